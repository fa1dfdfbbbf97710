"""The storage that all hosts share, with a lease that ends unless it is renewed; and each host's way to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from rxlink.auth.storage import SharedTokenStorage, StoredTokens, TokenLease
from rxlink.errors import InvalidStoredTokens
from rxlink.testing.faulty_storage import FaultyTokenStorage
from tests.auth.shared_records import A_MOMENT, LEASE, Change, LeaseBook, Minted

if TYPE_CHECKING:
    from tests.auth.shared_host import Host
    from tests.auth.shared_world import World

T = TypeVar("T")


class Store:
    """What is kept, and who may refresh.

    Attributes:
        record: What is kept.
        history: Each change of that.
        is_garbage: Whether something else is there.
        disasters: When what was kept was lost, or was not to be read.
        over: The logins that somebody has left for good.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.record: StoredTokens | None = None
        self.history: list[Change] = []
        self.is_garbage = False
        self.disasters: list[float] = []
        self.over: set[str] = set()
        self.changed_login_at = 0.0
        self.lease: LeaseBook | None = None
        self.leases: list[LeaseBook] = []
        self.watchers: dict[Callable[[], None], Host] = {}

    @property
    def pair(self) -> Minted | None:
        tokens = None if self.record is None else self.record.tokens
        return None if tokens is None else self._world.minted[tokens.access_token]

    def read(self) -> StoredTokens | None:
        self._refuse_garbage()
        return self.record

    def replace(self, old: StoredTokens | None, new: StoredTokens, host: Host) -> bool:
        self._refuse_garbage()
        before = self.record
        if (before is None) != (old is None) or (before is not None and not before.is_same_as(old)):
            self._world.tell(f"{host} may not write {self._shown(new)} over {self._shown(before)}")
            return False
        if new.tokens is not None and new.login in self.over:
            self._world.object_to(f"P8: {host} has brought back a login that was over, {self._shown(new)}")
        if before is not None and (before.login != new.login or (new.tokens is None and not host.was_refused)):
            self.over.add(before.login)
        self.put(new, str(host))
        return True

    def put(self, record: StoredTokens | None, by: str) -> None:
        if _who(record) != _who(self.record):
            self.changed_login_at = self._world.now
        self.record = record
        self._world.tell(f"kept, by {by}: {self._shown(record)}")
        self.history.append(Change(self._world.now, record, by))
        if (pair := self.pair) is not None and pair.kept_at is None:
            pair.kept_at, pair.kept_order = self._world.now, self._world.story.place()
        for notice, host in list(self.watchers.items()):
            host.gate.deliver(partial(host.run_inside, notice))

    def suffer(self, what: str) -> None:
        """Note that what was kept is not what was written."""
        self._world.tell(f"the storage: {what}")
        self.disasters.append(self._world.now)
        self.over.clear()

    def acquire(self, host: Host) -> LeaseBook | None:
        if self.holder() is not None:
            return None
        now = self._world.now
        ends = now + LEASE if self._world.options.lease_ends else float("inf")
        self.lease = LeaseBook(host, now, ends)
        self.leases.append(self.lease)
        self._world.tell(f"{host} has the lease")
        return self.lease

    def holder(self) -> LeaseBook | None:
        """Return the lease that is alive."""
        lease = self.lease
        if lease is None or lease.state != "alive":
            return None
        if lease.ends == float("inf"):
            return None if lease.host.gate.is_dead else lease
        if self._world.now >= lease.ends:
            lease.state = "expired"
            self._world.tell(f"the lease of {lease.host} has ended")
            return None
        return lease

    def _refuse_garbage(self) -> None:
        if self.is_garbage:
            raise InvalidStoredTokens("the store", "it is garbage")

    def _shown(self, record: StoredTokens | None) -> str:
        if record is None:
            return "nothing"
        who = "nobody" if record.tokens is None else record.tokens.access_token
        return f"{who} (login {record.login[:4]}, {record.serial})"


class Way(SharedTokenStorage):
    """A host's connection to the storage: takes its time, and does not know whether its host still lives."""

    def __init__(self, store: Store, host: Host) -> None:
        super().__init__(lease=LEASE)
        self._store = store
        self._host = host
        self._heard = 0

    async def read(self) -> StoredTokens | None:
        return await self.travel(self._store.read)

    async def replace(self, old: StoredTokens | None, new: StoredTokens, /) -> bool:
        return await self.travel(lambda: self._write(old, new))

    async def try_acquire(self) -> TokenLease | None:
        book = await self.travel(lambda: self._store.acquire(self._host))
        return None if book is None else WayLease(self, self._store, book)

    async def travel(self, do: Callable[[], T]) -> T:
        latency = self._host.world.options.latency
        if latency:
            await asyncio.sleep(latency / 2)
        if self._host.gate.is_dead and not self._host.its_writes_land:
            await asyncio.get_running_loop().create_future()
        answer = do()
        if latency:
            await asyncio.sleep(latency / 2)
        return answer

    def stamp(self) -> Hashable:
        if self._host.world.options.is_watched:
            return self._heard
        record = self._store.record
        return "garbage" if self._store.is_garbage else None if record is None else (record.login, record.serial)

    def watch(self, notice: Callable[[], None], /) -> Callable[[], None]:
        if not self._host.world.options.is_watched:
            return lambda: None

        def hear() -> None:
            self._heard += 1
            notice()

        self._store.watchers[hear] = self._host
        return lambda: void(self._store.watchers.pop(hear, None))

    def _write(self, old: StoredTokens | None, new: StoredTokens) -> bool:
        return self._store.replace(old, new, self._host)


class WayLease(TokenLease):
    """The lease, as one host has it."""

    def __init__(self, way: Way, store: Store, book: LeaseBook) -> None:
        self.duration = LEASE if store._world.options.lease_ends else None
        self._way = way
        self._store = store
        self._book = book

    async def renew(self) -> bool:
        return await self._way.travel(self._renew)

    async def release(self) -> None:
        await self._way.travel(self._release)

    def _renew(self) -> bool:
        if self._store.holder() is not self._book:
            return False
        self._book.ends = self._store._world.now + LEASE
        return True

    def _release(self) -> None:
        if self._store.holder() is self._book:
            self._book.state = "released"
            self._store._world.tell(f"{self._book.host} gives the lease back")


class HostStorage(SharedTokenStorage):
    """What a session gets: nothing comes through while its host stands still, or when it is dead."""

    def __init__(self, store: Store, host: Host) -> None:
        super().__init__(lease=LEASE)
        self._store = store
        self._host = host
        self._inner = FaultyTokenStorage(Way(store, host))
        self.faults = self._inner.faults

    async def read(self) -> StoredTokens | None:
        found = await self.note("read", self._inner.read)
        self._host.hear_of(found)
        return found

    async def replace(self, old: StoredTokens | None, new: StoredTokens, /) -> bool:
        try:
            is_done = await self.note("replace", lambda: self._inner.replace(old, new))
        except BaseException:
            self._host.note_failed_save(new)
            raise
        if not is_done or self._store.record is None or not new.is_same_as(self._store.record):
            self._host.note_failed_save(new)
        return is_done

    async def try_acquire(self) -> TokenLease | None:
        before = self._store.holder()
        try:
            lease = await self.note("acquire", self._inner.try_acquire)
        except BaseException:
            if not self._host.world.options.lease_ends and (now := self._store.holder()) is not before:
                self.let_go(now)  # as a storage has to, whose leases do not end
            raise
        return None if lease is None else HostLease(self, lease, self._store.lease)

    def let_go(self, lease: LeaseBook | None) -> None:
        if lease is not None and lease.host is self._host and self._host.gate.is_open and lease.state == "alive":
            lease.state = "released"

    def stamp(self) -> Hashable:
        return self._inner.stamp()

    def watch(self, notice: Callable[[], None], /) -> Callable[[], None]:
        return self._inner.watch(notice)

    async def note(self, kind: str, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call, when the host is awake, and hear of its end when it is awake again."""
        gate, world = self._host.gate, self._host.world
        await gate.passage()
        began = world.now
        trouble = self._host.troubles.begin(began)
        is_good = False
        try:
            answer = await self._answer_of(call)
            is_good = world.now - began < A_MOMENT
        except Exception as error:
            world.tell(f"{kind} of {self._host} fails: {type(error).__name__}")
            raise
        finally:
            self._host.troubles.end(trouble, world.now, is_good=is_good)
        return answer

    async def _answer_of(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            answer = await call()
        except Exception:
            await self._host.gate.passage()
            raise
        await self._host.gate.passage()
        return answer


class HostLease(TokenLease):
    """What a session has of the lease."""

    def __init__(self, storage: HostStorage, lease: TokenLease, book: LeaseBook | None) -> None:
        self.duration = lease.duration
        self._storage = storage
        self._lease = lease
        self._book = book

    async def renew(self) -> bool:
        return await self._storage.note("renew", self._lease.renew)

    async def release(self) -> None:
        if self._book is not None and self._book.state == "alive":
            self._book.was_given_back = True
        if self.duration is None:
            self._storage.let_go(self._book)  # a file that is closed is not locked, whatever else goes wrong
        await self._storage.note("release", self._lease.release)


def _who(record: StoredTokens | None) -> tuple[str, bool] | None:
    return None if record is None else (record.login, record.tokens is None)


def void(_: Any) -> None:
    """Nothing is returned."""
