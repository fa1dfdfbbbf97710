"""One process among several: a session with a chain of its own, which can stand still, die, and be replaced."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from datetime import datetime
from typing import TYPE_CHECKING, Any

from reactivex import abc
from reactivex.disposable import Disposable
from reactivex.scheduler.eventloop import AsyncIOScheduler

from rxlink.auth.events import AuthEvent, Ended, TokensAdopted
from rxlink.auth.link import AuthLink
from rxlink.auth.session import AuthSession
from rxlink.auth.storage import StoredTokens
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import from_
from rxlink.errors import TokenStorageError
from tests.auth.shared_operations import Op, Server
from tests.auth.shared_records import HOST, LIFE, Minted
from tests.auth.shared_store import HostStorage

if TYPE_CHECKING:
    from tests.auth.shared_world import World


class Gate:
    """Whether a process runs: what comes while it stands still waits until it runs again."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.is_frozen = False
        self.is_dead = False
        self.frozen_at = 0.0
        self.stood_still = 0.0
        self._waiting: list[Callable[[], None]] = []
        self._timers: list[Callable[[], None]] = []

    @property
    def is_open(self) -> bool:
        return not self.is_frozen and not self.is_dead

    async def passage(self) -> None:
        """Wait until the process runs; for ever where it is dead."""
        while not self.is_open:
            if self._world.is_over:
                raise ConnectionError("the world has ended")
            woken = asyncio.get_running_loop().create_future()
            self._waiting.append(lambda woken=woken: woken.done() or woken.set_result(None))
            await woken

    def deliver(self, what: Callable[[], None]) -> None:
        """Call this, now or when the process runs again."""
        if self.is_open:
            what()
        else:
            self._waiting.append(what)

    def let_timer(self, fire: Callable[[], None]) -> None:
        fire() if self.is_open else self._timers.append(fire)

    def freeze(self) -> None:
        self.is_frozen, self.frozen_at = True, self._world.now

    def thaw(self) -> None:
        self.is_frozen = False
        self.stood_still += self._world.now - self.frozen_at
        timers_first = self._world.options.timers_first
        first, then = (self._timers, self._waiting) if timers_first else (self._waiting, self._timers)
        self._timers, self._waiting = [], []
        for what in [*first, *then]:
            self._world.time.loop.call_soon(what)


class HostTime(AsyncIOScheduler):
    """The timers of a process, which do not fire while it stands still."""

    def __init__(self, world: World, gate: Gate) -> None:
        super().__init__(world.time.loop)
        self._world = world
        self._gate = gate
        self.pending: set[object] = set()

    @property
    def now(self) -> datetime:
        return self._world.time.clock()

    def schedule_relative(
        self, duetime: Any, action: abc.ScheduledAction[Any], state: Any = None
    ) -> abc.DisposableBase:
        mark = object()
        self.pending.add(mark)

        def fire() -> None:
            if mark in self.pending:
                self.pending.discard(mark)
                action(self, state)

        handle = self._world.time.loop.call_later(float(duetime), self._gate.let_timer, fire)

        def cancel() -> None:
            self.pending.discard(mark)
            handle.cancel()

        return Disposable(cancel)


class Troubles:
    """The calls of the storage that did not end as they should, by their time."""

    def __init__(self) -> None:
        self._times: list[list[float]] = []

    def begin(self, now: float) -> list[float]:
        span = [now, float("inf")]
        self._times.append(span)
        return span

    def end(self, span: list[float], now: float, *, is_good: bool) -> None:
        if is_good:
            self._times.remove(span)
        else:
            span[1] = now

    def any_since(self, then: float, now: float, *, longer_than: float = 0.0) -> bool:
        return any(end >= then and (end != float("inf") or now - began > longer_than) for began, end in self._times)


class Host:
    """One process.

    Attributes:
        gate: Whether it runs.
        was_refused: Whether the issuer's last word to it was that its refresh token is dead.
        its_writes_land: Whether what it had begun to write when it died gets written.
    """

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number
        self.gate = Gate(world)
        self.troubles = Troubles()
        self.its_writes_land = True
        self.is_closing = self.is_closed = False
        self.was_refused = False
        self.refused_families: set[int] = set()
        self.own_login_at = self.changed_at = -1.0
        self.wants_own_login = False
        self.heard: tuple[str, bool] | None = None
        self.has_ended = False
        self.cleared = False
        self.calls: set[asyncio.Task[Any]] = set()
        self.since: dict[asyncio.Task[Any], float] = {}
        self.ops: list[Op] = []
        self.storage = HostStorage(world.store, self)
        self.timers = HostTime(world, self.gate)
        self.session = AuthSession(
            refresh=self._refresh,
            storage=self.storage,
            clock=world.time.clock,
            scheduler=self.timers,
            jitter=0.0,
            on_refresh_outage=world.options.on_outage,
        )
        self.session.events.subscribe(self._hear)
        self.chain = from_([AuthLink(self.session), Server(world)])

    def __str__(self) -> str:
        return f"host {self.number}"

    @property
    def is_usable(self) -> bool:
        return self.gate.is_open and not self.is_closing

    @property
    def awake(self) -> float:
        """How many seconds it has run."""
        return self.world.now - self.gate.stood_still

    def run(self, what: Callable[[], Any]) -> Any:
        """Do something in this process, and let it settle."""
        return self.world.time.call(self.run_inside, what)

    def run_inside(self, what: Callable[[], Any]) -> Any:
        def enter() -> Any:
            HOST.set(self)
            return what()

        return copy_context().run(enter)

    def start(self) -> Op:
        op = Op(self, self.world.next_op())
        self.ops.append(op)
        self.world.ops[op.id] = op
        self.world.tell(f"{op} starts on {self}")
        self.run(op.subscribe)
        return op

    def spawn(self, what: str, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        async def run() -> None:
            try:
                await work()
                self.world.tell(f"{what} of {self} is done")
            except Exception as error:  # noqa: BLE001 - the checks judge it
                self.world.tell(f"{what} of {self}: {type(error).__name__}")
                self.wants_own_login |= isinstance(error, TokenStorageError) and what != "refresh"
                self.world.check_call(self, what, error)

        def begin() -> None:
            task = self.world.time.loop.create_task(run(), name=f"{what} of {self}")
            self.calls.add(task)
            self.since[task] = self.awake
            task.add_done_callback(self.calls.discard)
            task.add_done_callback(self.since.pop)

        self.run(begin)

    def force_refresh(self) -> None:
        self.spawn("refresh", lambda: self.session.refresh(force=True))

    def sign_in(self) -> None:
        pair = self.world.issuer.sign_in()
        pair.is_of_sign_in = True
        self.world.tell(f"{self} signs in with {pair.access}")
        self._note_own_login()
        self.has_ended = False
        tokens = TokenSet(pair.access, refresh_token=pair.refresh, expires_in=LIFE)
        self.spawn("sign-in", lambda: self.session.set_tokens(tokens))

    def sign_out(self) -> None:
        self.world.tell(f"{self} signs out")
        self.cleared = True
        self._note_own_login()
        self.spawn("sign-out", self.session.clear)

    def close(self) -> None:
        self.world.tell(f"{self} is closed")
        self.is_closing = True
        self.spawn("close", self._close)

    def kill(self, *, its_writes_land: bool) -> None:
        self.world.tell(f"{self} is killed")
        self.gate.is_dead, self.its_writes_land = True, its_writes_land
        self._disturb()
        self.world.forget_watchers(self)

    def freeze(self) -> None:
        self.world.tell(f"{self} stands still")
        self._disturb()
        self.gate.freeze()

    def thaw(self) -> None:
        self.world.tell(f"{self} goes on")
        self._disturb()
        self.run(self.gate.thaw)

    def hear_of(self, record: StoredTokens | None) -> None:
        """Note what a read has returned."""
        if record is not None and self.heard != (heard := (record.login, record.tokens is None)):
            self.heard, self.changed_at = heard, self.world.now

    def hear_refusal(self, pair: Minted) -> None:
        self.was_refused = True
        self.refused_families.add(pair.family)
        self.changed_at = self.world.now

    def note_failed_save(self, record: StoredTokens) -> None:
        if record.tokens is not None:
            self.world.minted[record.tokens.access_token].save_failed = True

    def _note_own_login(self) -> None:
        self.was_refused = False
        self.changed_at = self.own_login_at = self.world.now
        self.wants_own_login = False

    async def _refresh(self, tokens: TokenSet | None, reason: object) -> TokenSet:
        return await self.world.issuer.refresh(self, tokens, reason)

    async def _close(self) -> None:
        await self.session.aclose()
        self.is_closed = True

    def _disturb(self) -> None:
        lease = self.world.store.holder()
        if lease is not None and lease.host is self:
            lease.disturbed_at = self.world.now

    def _hear(self, event: AuthEvent) -> None:
        if self.gate.is_dead:
            return
        self.world.tell(f"{self} tells {event}")
        if isinstance(event, Ended):
            self.world.check_end(self, event)
            self.has_ended = True
        elif isinstance(event, TokensAdopted):
            self.has_ended = self.was_refused = False
