"""Users who share a time, two chains and a server: each a world of their own, with a session of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from rxlink.auth.link import AuthLink
from rxlink.auth.session import AuthSession
from rxlink.auth.sessions import AuthSessions
from rxlink.core.chain import from_
from rxlink.core.link import ApolloLink
from rxlink.core.operation import Operation
from rxlink.links.context import SetContextLink
from rxlink.testing.virtual_time import VirtualTime
from tests.auth.promise_operations import Attempt, Op, Server
from tests.auth.promise_records import REQUEST_ID, Options, SetterRaised

if TYPE_CHECKING:
    from tests.auth.promise_world import World


class Realm:
    """What several users share.

    Attributes:
        ops: The operations of all, by id.
        worlds: The users.
        sessions: Their sessions, where the links choose among several.
        made: The keys for which a session was made.
        skew: How many seconds the sessions' clock is ahead of the issuers'.
        was_set: Whether somebody has set it back.
    """

    def __init__(self) -> None:
        self.time = VirtualTime()
        self.skew = 0.0
        self.was_set = False
        self.complaints: list[Any] = []
        self.time.loop.set_exception_handler(lambda _, complaint: self.complaints.append(complaint))
        self.server_policy = "ask"
        self.ops: dict[int, Op] = {}
        self.worlds: list[World] = []
        self.sessions: AuthSessions[int] | None = None
        self.made: list[int] = []
        self.chains: list[ApolloLink] = []

    def set_clock(self, skew: float) -> None:
        self.was_set = self.was_set or skew < self.skew
        self.skew = skew

    def clock(self) -> datetime:
        """What the sessions' clock shows."""
        return self.time.clock() + timedelta(seconds=self.skew)

    def choose_by_user(self, options: Options) -> None:
        """Let the links choose the session of each operation's user."""
        sessions = self.sessions = AuthSessions(self._make, key=self._key)
        self.build([AuthLink(sessions, retry_mutations=options.retry_mutations) for _ in range(2)])

    def build_for_one(self) -> None:
        """Let the links have the one session that there is."""
        (world,) = self.worlds
        self.build([AuthLink(world.the_session, retry_mutations=world.options.retry_mutations) for _ in range(2)])

    def build(self, links: list[ApolloLink]) -> None:
        """Put each link into a chain: its neighbours note what goes in and what comes out."""
        server = Server(self.op_of)
        set_at_once, set_later = SetContextLink(self._set), SetContextLink(self._set_later)
        entry, exit_ = ApolloLink(self._note_entry), ApolloLink(self._note_exit)
        self.chains = [
            from_([entry, links[0], exit_, set_at_once, server]),
            from_([set_later, entry, links[1], exit_, set_later, server]),
        ]

    @property
    def pending(self) -> list[Attempt]:
        return [attempt for world in self.worlds for attempt in world.pending]

    def run_out(self) -> None:
        """Let the server answer what it has, and every time limit pass; storages and issuers stay as they are."""
        for _ in range(6):
            for world in self.worlds:
                world.answer_all()
            self.time.advance(max(world.longest_wait for world in self.worlds) + 1)

    def close_sessions(self) -> None:
        """Close them all: together, where they are kept together."""
        for world in self.worlds:
            if self.sessions is None or world.key not in self.sessions:
                self.time.call(world.close_session)
        if self.sessions is None:
            return
        for world in self.worlds:
            world.is_closed = True
        task = self.time.loop.create_task(self.sessions.aclose())
        self.worlds[0].tasks.add(task)
        task.add_done_callback(self.worlds[0].tasks.discard)

    def op_of(self, operation: Operation) -> Op:
        return self.ops[operation.variables["id"]]

    def close(self) -> None:
        self.time.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _key(self, operation: Operation) -> int | None:
        op = self.op_of(operation)
        return None if op.is_nobodys else op.world.key

    def _make(self, key: int) -> AuthSession:
        self.made.append(key)
        return self.worlds[key].the_session

    def _note_entry(self, operation: Operation, forward: Callable[[Operation], Any]) -> Any:
        """Stand right above the link under test, where an operation's login is decided."""
        op = self.op_of(operation)
        op.login, op.is_held = op.world.login, True
        return forward(operation)

    def _note_exit(self, operation: Operation, forward: Callable[[Operation], Any]) -> Any:
        op = self.op_of(operation)
        op.world.note_exit(op, (operation.get_context().get("headers") or {}).get("authorization"))
        return forward(operation)

    def _set(self, context: Any, operation: Operation) -> Any:
        op = self.op_of(operation)
        op.seen.append(("setter", REQUEST_ID.get()))
        if op.raises_in_setter_of_send == len(op.sends) + 1:
            error = SetterRaised()
            op.own_errors.append(error)
            raise error
        return {"setter": op.id}

    async def _set_later(self, context: Any, operation: Operation) -> Any:
        await asyncio.sleep(0)
        return self._set(context, operation)
