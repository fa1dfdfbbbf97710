"""A shared storage with an outside place, for tests of the contract: right as it is, and easy to get wrong."""

import asyncio
from collections.abc import Callable, Hashable
from threading import Lock
from time import monotonic

from rxlink.auth.storage import SharedTokenStorage, StoredTokens, TokenLease
from rxlink.auth.storage.record_text import from_text, to_text
from rxlink.errors import InvalidStoredTokens
from rxlink.testing.storage_contract import SharedTokenStorageContract


class Paper:
    """The place: what is written, who has the lease until when, and who looks over one's shoulder."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.content: bytes | None = None
        self.changes = 0
        self.holder: PaperLease | None = None
        self.until = 0.0
        self.is_down = False
        self.watchers: list[Callable[[], None]] = []


class PaperStorage(SharedTokenStorage):
    def __init__(self, paper: Paper, lease: float) -> None:
        super().__init__(lease=lease)
        self.paper = paper

    async def read(self) -> StoredTokens | None:
        await self.turn()
        return self.look()

    async def replace(self, old: StoredTokens | None, new: StoredTokens, /) -> bool:
        await self.turn()
        with self.paper.lock:
            if not self.may_replace(self.look(), old):
                return False
            self.write(new)
        await self.turn()
        return True

    async def try_acquire(self) -> TokenLease | None:
        await self.turn()
        with self.paper.lock:
            if self.paper.holder is not None and monotonic() < self.paper.until:
                return None
            lease = self.make_lease()
            self.paper.holder, self.paper.until = lease, monotonic() + self.lease
            return lease

    def stamp(self) -> Hashable:
        return self.paper.changes

    def watch(self, notice: Callable[[], None], /) -> Callable[[], None]:
        loop = asyncio.get_running_loop()
        is_over: list[bool] = []

        def call() -> None:
            if not is_over:
                notice()

        def tell() -> None:
            loop.call_soon_threadsafe(call)

        def stop() -> None:
            is_over.append(True)
            if tell in self.paper.watchers:
                self.paper.watchers.remove(tell)

        self.paper.watchers.append(tell)
        return stop

    def make_lease(self) -> "PaperLease":
        return PaperLease(self.paper, self.lease)

    def look(self) -> StoredTokens | None:
        if self.paper.is_down:
            raise ConnectionError("the paper is out of sight")
        return None if self.paper.content is None else from_text(self.paper.content, "the paper")

    def may_replace(self, kept: StoredTokens | None, old: StoredTokens | None) -> bool:
        return kept is None if old is None else old.is_same_as(kept)

    def write(self, record: StoredTokens) -> None:
        self.paper.content = to_text(record).encode()
        self.paper.changes += 1
        self.tell()

    def tell(self) -> None:
        for watcher in list(self.paper.watchers):
            watcher()

    async def turn(self) -> None:
        await asyncio.sleep(0)


class PaperLease(TokenLease):
    def __init__(self, paper: Paper, duration: float) -> None:
        self.paper = paper
        self.duration = duration

    async def renew(self) -> bool:
        with self.paper.lock:
            if self.paper.holder is not self or monotonic() >= self.paper.until:
                return False
            self.paper.until = monotonic() + self.paper_duration()
            return True

    async def release(self) -> None:
        with self.paper.lock:
            if self.paper.holder is self:
                self.paper.holder = None

    def paper_duration(self) -> float:
        assert self.duration is not None
        return self.duration


class OutOfTime(PaperStorage):
    """What it raises in an outage is not the contract's own limit."""

    def look(self) -> StoredTokens | None:
        if self.paper.is_down:
            raise TimeoutError
        return super().look()


class FallsBack(PaperStorage):
    """To the record before, where the last one is torn."""

    before: bytes | None = None

    def look(self) -> StoredTokens | None:
        try:
            return super().look()
        except InvalidStoredTokens:
            content = type(self).before
            return None if content is None else from_text(content, "the paper")

    def write(self, record: StoredTokens) -> None:
        type(self).before = self.paper.content
        super().write(record)


class CannotTell(PaperStorage):
    """That anything was changed."""

    stamp = SharedTokenStorage.stamp
    watch = SharedTokenStorage.watch


class TellsAtOnceAlone(PaperStorage):
    """So that its stamp need not differ."""

    def stamp(self) -> Hashable:
        return None


class PaperContract(SharedTokenStorageContract):
    """With every hook; a test of the contract says which storage."""

    storage: type[PaperStorage] = PaperStorage
    lease = 0.3

    def setup_method(self) -> None:
        self.paper = Paper()

    def make_storage(self) -> SharedTokenStorage:
        return self.storage(self.paper, self.lease)

    def spoil(self, content: bytes) -> None:
        self.paper.content = content

    def spoiled(self) -> bytes:
        return self.paper.content or b""

    def tear(self) -> None:
        content = self.spoiled()
        self.paper.content = content[: len(content) // 2]

    def break_down(self) -> None:
        self.paper.is_down = True

    def mend(self) -> None:
        self.paper.is_down = False
