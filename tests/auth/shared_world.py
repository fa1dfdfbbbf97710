"""Several processes that share a storage and an issuer, on one virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, Self
from weakref import WeakKeyDictionary

from rxlink.auth.events import Ended
from rxlink.auth.storage import StoredTokens
from rxlink.auth.storage.shared import new_login
from rxlink.auth.tokens import TokenSet
from rxlink.testing.virtual_time import VirtualTime
from tests.auth import shared_checks as checks
from tests.auth.shared_host import Host
from tests.auth.shared_issuer import Issuer
from tests.auth.shared_operations import Op
from tests.auth.shared_records import HOST, LIFE, Minted, Options, Request, Story
from tests.auth.shared_store import Store

MUCH_LATER = 40.0


class World:
    """Hosts around one storage, which has the tokens of a login.

    Attributes:
        hosts: All there ever were.
        slots: Those that there are now.
    """

    def __init__(self, hosts: int = 2, options: Options | None = None) -> None:
        self.options = options or Options()
        self.time = VirtualTime()
        self.is_over = False
        self.complaints: list[Any] = []
        self.time.loop.set_exception_handler(lambda _, complaint: self.complaints.append(complaint))
        self.time.loop.set_task_factory(self._make_task)
        self._tasks: WeakKeyDictionary[asyncio.Task[Any], Host] = WeakKeyDictionary()
        self.story = Story(lambda: self.now)
        self.tell, self.object_to = self.story.tell, self.story.object_to
        self.minted: dict[str, Minted] = {}
        self.ops: dict[int, Op] = {}
        self.store = Store(self)
        self.issuer = Issuer(self)
        pair = self.issuer.sign_in()
        tokens = TokenSet(pair.access, refresh_token=pair.refresh, expires_in=LIFE).received(self.time.clock())
        self.store.put(StoredTokens(tokens, new_login(), 1), "the beginning")
        self.hosts: list[Host] = []
        self.slots: list[Host] = []
        for _ in range(hosts):
            self.slots.append(self._new_host())

    @property
    def now(self) -> float:
        return self.time.monotonic()

    @property
    def usable(self) -> list[Host]:
        return [host for host in self.slots if host.is_usable]

    @property
    def pending(self) -> list[Op]:
        """The operations that wait for the server."""
        return [op for op in self.ops.values() if op.is_open and not op.waits and op.host.gate.is_open]

    def next_op(self) -> int:
        return len(self.ops)

    def tasks_of(self, host: Host) -> list[asyncio.Task[Any]]:
        return [task for task, owner in self._tasks.items() if owner is host]

    # -- what happens -------------------------------------------------------------------------------------------------

    def replace(self, host: Host) -> Host:
        """Put a new process in the place of one that is no more."""
        new = self._new_host()
        self.slots[self.slots.index(host)] = new
        self.tell(f"{new} takes the place of {host}")
        return new

    def answer(self, op: Op) -> None:
        if op.attempt is not None:
            self.time.call(op.attempt.answer, "as deserved")

    def answer_all(self) -> None:
        for op in self.pending:
            self.answer(op)

    def revoke(self) -> None:
        """Let the server refuse the newest access token."""
        if (pair := self.store.pair) is not None:
            self.tell(f"{pair.access} is revoked")
            pair.is_revoked = True

    def advance(self, seconds: float) -> None:
        self.time.advance(seconds)

    def advance_to(self, age: float) -> None:
        """Let time pass until the tokens that are kept are so old."""
        if (pair := self.store.pair) is not None and pair.born + age > self.now:
            self.time.advance(pair.born + age - self.now)

    def lose_everything(self) -> None:
        self.store.suffer("everything is lost")
        self.store.put(None, "nobody")

    def put_garbage(self) -> None:
        self.store.suffer("garbage")
        self.store.is_garbage = True

    def remove_garbage(self, *, with_what_was_there: bool) -> None:
        if self.store.is_garbage:
            self.store.suffer("no garbage any more")
            self.store.is_garbage = False
            self.store.put(None if not with_what_was_there else self.store.record, "somebody who has cleaned up")

    def decide(self, request: Request, outcome: str) -> None:
        self.time.call(self.issuer.decide, request, outcome)

    def settle(self) -> None:
        """Let everything end that can."""
        self.advance(1.5)
        self.answer_all()
        self.advance(MUCH_LATER)
        self.answer_all()
        self.advance(1.5)

    def heal(self) -> None:
        """Let everything work from now on, and all time limits pass."""
        self.tell("all heals")
        self.remove_garbage(with_what_was_there=True)
        self.issuer.policy = "at once"
        for host in self.hosts:
            host.storage.faults.clear()
            if host.gate.is_frozen and not host.gate.is_dead:
                host.thaw()
        for _ in range(4):
            for request in self.issuer.undecided:
                self.decide(request, "good")
            self.answer_all()
            self.advance(MUCH_LATER)
        self.answer_all()

    def close_all(self) -> None:
        for host in self.usable:
            host.close()
        self.advance(MUCH_LATER)

    def forget_watchers(self, host: Host) -> None:
        for notice, watcher in list(self.store.watchers.items()):
            if watcher is host:
                del self.store.watchers[notice]

    # -- what is checked at once --------------------------------------------------------------------------------------

    def check_request(self, request: Request) -> None:
        checks.p1_one_request_at_a_time(self, request)

    def check_reuse(self, request: Request) -> None:
        checks.p1_a_refresh_token_comes_again(self, request)

    def check_send(self, op: Op, pair: Minted | None) -> None:
        checks.p4_saved_before_retried(self, op, pair)
        checks.p8_one_login(self, op, pair)

    def check_failure(self, op: Op, error: Exception) -> None:
        checks.p9_why_it_fails(self, op, error)

    def check_end(self, host: Host, event: Ended) -> None:
        checks.p9_why_it_ends(self, host, event)

    def check_call(self, host: Host, what: str, error: Exception) -> None:
        checks.check_call(self, host, what, error)

    def check_all(self) -> None:
        assert not self.story.wrong, self.story.wrong[0]
        checks.p2_nobody_waits_too_long(self)
        checks.p2_every_operation_ends_once(self)

    # -- its end ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        self.is_over = self.story.is_over = True
        self.time.close()

    def __enter__(self) -> Self:
        random.seed(0)  # the pauses of sessions are drawn
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _new_host(self) -> Host:
        host = Host(self, len(self.hosts))
        self.hosts.append(host)
        return host

    def _make_task(self, loop: asyncio.AbstractEventLoop, work: Any, **named: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **named)
        context = named.get("context")
        host = HOST.get() if context is None else context.get(HOST)
        if host is not None:
            self._tasks[task] = host
        return task


def wrong_of(happenings: Callable[[World], None], *, hosts: int = 2, options: Options | None = None) -> list[str]:
    """Return what was wrong with what happened, for the smallest stories of what the machine has found."""
    with World(hosts, options) as world:
        happenings(world)
        return world.story.wrong
