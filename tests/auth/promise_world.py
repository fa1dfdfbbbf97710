"""A world around a session that does only what it is told: issuer, storage, server, users, on one virtual time.

It never asks the session what it believes: `promise_checks` compares the world's own books with what the session did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import copy_context
from datetime import timedelta
from typing import Any, Self

from rxlink.auth.events import (
    AuthEvent,
    AuthState,
    Ended,
    RefreshFailed,
    RefreshStarted,
    RefreshSucceeded,
    SaveFailed,
    TokensSaved,
)
from rxlink.auth.link import AuthLink
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest, Operation
from rxlink.links.context import SetContextLink
from rxlink.testing.virtual_time import VirtualTime
from tests.auth.promise_books import Books
from tests.auth.promise_issuer import Issuer, Storage
from tests.auth.promise_operations import Attempt, Op, Server
from tests.auth.promise_records import (
    A_MOMENT,
    COOL_DOWN,
    MUCH_LATER,
    PLANTED,
    REQUEST_ID,
    TIME_LIMIT,
    ObserverRaised,
    RefreshCall,
    SetterRaised,
)

LISTENED_TO = (Ended, RefreshFailed, SaveFailed, TokensSaved)
"""The events at which a listener of the world starts an operation, once."""


class World(Books):
    """Everything around the link under test, and its books.

    Args:
        make_chain: Makes the links between the setters and the server; None for an AuthLink.
        signed_in: Whether the session begins with tokens; else it loads them from the storage.
        life: The life of the first token, in seconds.
        loads: How the storage answers the first load: `at once`, `ask`, `fail`; None for a session without storage.
        stored: Whether the storage holds tokens.
    """

    def __init__(
        self,
        *,
        make_chain: Callable[[World], ApolloLink] | None = None,
        signed_in: bool = True,
        life: float | None = None,
        loads: str = "at once",
        stored: bool = True,
    ) -> None:
        super().__init__()
        self.time = VirtualTime()
        self.started_at = self.time.clock()
        self.complaints: list[Any] = []
        self.time.loop.set_exception_handler(lambda _, complaint: self.complaints.append(complaint))
        self.forced_refreshes = 0
        self.server_policy = "ask"
        self.attempts: list[Attempt] = []
        self.ops: dict[int, Op] = {}
        self.returned: list[tuple[str, int, Any]] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.events: list[AuthEvent] = []
        self.states: list[AuthState] = []
        self.listener_starts_operations = False
        self.issuer = Issuer(self)
        self.storage = Storage(self)
        self.session: AuthSession | None = None
        if make_chain is None:
            self._make_session(signed_in=signed_in, life=life, loads=loads, stored=stored)
            links: list[ApolloLink] = [AuthLink(self.the_session), AuthLink(self.the_session)]
        else:
            self.is_loaded = True
            self.note_current(self.mint(life=life), life)
            links = [make_chain(self)] * 2
        server = Server(self)
        set_at_once, set_later = SetContextLink(self._set), SetContextLink(self._set_later)
        entry, exit_ = ApolloLink(self._note_entry), ApolloLink(self._note_exit)
        self.chains = [
            from_([entry, links[0], exit_, set_at_once, server]),
            from_([set_later, entry, links[1], exit_, set_later, server]),
        ]

    @property
    def the_session(self) -> AuthSession:
        assert self.session is not None
        return self.session

    def close(self) -> None:
        self.time.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- operations ---------------------------------------------------------------------------------------------------

    def make_op(self, *, parts: int = 1, reaction: str = "nothing", raises_in_setter_of_send: int = 0) -> Op:
        op = Op(self, len(self.ops), parts, reaction, raises_in_setter_of_send)
        self.ops[op.id] = op
        return op

    def observable(self, op: Op, chain: int = 0) -> Any:
        request = GraphQLRequest(f"query {op.name} {{ work }}", {"id": op.id})
        return execute(self.chains[chain], request)

    def begin(self, op: Op, chain: int = 0) -> Op:
        """Subscribe inside the loop, in a context of the operation's own."""

        def subscribe() -> None:
            REQUEST_ID.set(op.id)
            op.subscription = self.observable(op, chain).subscribe(op)
            if op.leaves_when_it_can:
                op.leave()

        with suppress(ObserverRaised):  # the subscriber's own exception comes out where it subscribed
            copy_context().run(subscribe)
        return op

    def start(self, chain: int = 0, **options: Any) -> Op:
        """Start an operation from outside the loop."""
        return self.time.call(self.begin, self.make_op(**options), chain)

    def answer(self, op: Op, how: str = "as deserved") -> None:
        """Let the server answer the attempt of an operation that waits for it."""
        (attempt,) = [attempt for attempt in self.pending if attempt.send.op is op]
        self.time.call(attempt.answer, how)

    def answer_all(self, how: str = "as deserved") -> None:
        for attempt in self.pending:
            self.time.call(attempt.answer, how)

    @property
    def pending(self) -> list[Attempt]:
        return [attempt for attempt in self.attempts if not attempt.is_over]

    @property
    def open_ops(self) -> list[Op]:
        return [op for op in self.ops.values() if op.is_open and not op.is_inner]

    @property
    def waiting_ops(self) -> list[Op]:
        """Those that wait for the session: neither ended, nor at the server."""
        at_the_server = {attempt.send.op.id for attempt in self.pending}
        return [op for op in self.open_ops if op.id not in at_the_server]

    def react(self, reaction: str, op: Op) -> None:
        """Do what a subscriber does in the midst of a callback."""
        match reaction:
            case "raise":
                raise ObserverRaised
            case "leave":
                op.leave()
            case "others leave":
                for other in [other for other in self.open_ops if other is not op]:
                    other.leave()
            case "start another" | "revoke and start another":
                if reaction.startswith("revoke"):
                    self.revoke()
                self.begin(self.make_op())
            case "sign out" | "sign in" | "force refresh":
                getattr(self, reaction.replace(" ", "_"))()

    # -- users and their session --------------------------------------------------------------------------------------

    def sign_out(self) -> None:
        async def clear() -> None:
            if not self.is_closed:
                self.note_end()
                await self.the_session.clear()

        self.spawn("clear", clear())

    def sign_in(self, life: float | None = None) -> None:
        async def set_tokens() -> None:
            if not self.is_closed:
                self.note_login()
                tokens = self.note_current(self.mint(life=life), life)
                await self.the_session.set_tokens(tokens)

        self.spawn("set_tokens", set_tokens())

    def ask_for_token(self) -> None:
        self.spawn("get_token", self.the_session.get_token())

    def force_refresh(self) -> None:
        async def refresh() -> Any:
            self.forced_refreshes += 1
            return await self.the_session.refresh(force=True)

        self.spawn("refresh", refresh())

    def let_a_listener_start_an_operation(self) -> None:
        self.listener_starts_operations = True

    def close_session(self) -> None:
        async def aclose() -> None:
            self.is_closed = True
            await self.the_session.aclose()

        self.spawn("aclose", aclose())

    def spawn(self, what: str, work: Coroutine[Any, Any, Any]) -> None:
        async def run() -> None:
            login = self.login
            try:
                outcome = await work
            except Exception as error:  # noqa: BLE001 - the checks judge it
                outcome = error
            self.returned.append((what, login, outcome))

        task = self.time.loop.create_task(run())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def finish_refresh(self, outcome: str) -> None:
        (call,) = self.issuer.running
        self.time.call(call.decision.set_result, outcome)

    def finish_storage(self, *, is_good: bool = True) -> None:
        """End the call that runs; the next one in the queue may begin."""
        for call in self.storage.running:
            self.time.call(call.decision.set_result, is_good)

    def finish_all_storage(self) -> None:
        while self.storage.running:
            self.finish_storage()

    @property
    def undecided_refreshes(self) -> list[RefreshCall]:
        return [call for call in self.issuer.running if not call.decision.done()]

    def what_a_new_operation_does(self) -> str:
        """Tell from the books whether an operation that starts now must `go on`, must `wait`, or may do either."""
        token = self.current
        if self.session is None or self.is_closed or not self.is_loaded or token is None or self.may_cool_down:
            return "either"
        if token.is_known_refused or token.is_in_mandatory_window(self.now):
            return "wait" if self.issuer.policy == "ask" else "either"
        if token.mandatory_at is not None and token.is_in_mandatory_window(self.now + timedelta(milliseconds=1)):
            return "either"  # too close for floats
        return "go on"

    def revoke(self) -> None:
        if self.current is not None:
            self.current.is_accepted = False

    def advance_to(self, moment: str) -> None:
        """Let time pass to a moment in the life of the token in use; its advisory window has a jitter."""
        token = self.current
        assert token is not None
        assert token.advisory_at is not None
        assert token.mandatory_at is not None
        window = token.mandatory_at - token.advisory_at
        goals = {"inside the advisory window": token.advisory_at + window / 2, "mandatory": token.mandatory_at}
        goal = goals.get(moment, token.mandatory_at + window)
        self.time.advance(max(goal - self.now, timedelta()) + timedelta(seconds=A_MOMENT))

    def heal(self) -> None:
        """Let everything work from now on, and let the pauses after failures pass."""
        self.storage.policy = dict.fromkeys(self.storage.policy, "at once")
        self.issuer.policy = "good at once"
        for _ in range(5):  # one may have been waiting for the other
            self.finish_all_storage()
            for call in self.issuer.running:
                if not call.decision.done():
                    self.time.call(call.decision.set_result, "good")
        self.time.advance(MUCH_LATER + TIME_LIMIT + COOL_DOWN)

    def run_out(self) -> None:
        """Let the server answer what it has, and every time limit pass; storage and issuer stay as they are."""
        for _ in range(6):
            self.answer_all()
            self.time.advance(TIME_LIMIT + 1)

    def _make_session(self, *, signed_in: bool, life: float | None, loads: str, stored: bool) -> None:
        options: dict[str, Any] = {"refresh": self.issuer.refresh, "clock": self.time.clock}
        self.storage.policy["load"] = loads
        if stored or signed_in:
            token = self.mint(life=life)
            self.storage.content = TokenSet(token.text, refresh_token=f"{PLANTED}-refresh", expires_at=token.ends)
        session = self.session = AuthSession(storage=self.storage, **options)
        session.events.subscribe(self._hear_event)
        session.states.subscribe(self.states.append)
        if signed_in:
            # The short way to a loaded session with a storage that is watched.
            self.storage.policy["load"] = "at once"
            self.time.run(session.get_token())

    def _hear_event(self, event: AuthEvent) -> None:
        self.events.append(event)
        if isinstance(event, RefreshStarted):
            self.refresh_began = self.time.monotonic()
        if isinstance(event, RefreshSucceeded):
            self.note_arrival()
        # `RefreshFailed` tells of a final failure just before the session ends of it: still the login before.
        is_between_logins = getattr(event, "error_type", None) == "SessionEnded"
        if self.listener_starts_operations and isinstance(event, LISTENED_TO) and not is_between_logins:
            self.listener_starts_operations = False
            self.begin(self.make_op())

    def _note_entry(self, operation: Operation, forward: Any) -> Any:
        """Stand right above the link under test, where an operation's login is decided."""
        self.ops[operation.variables["id"]].login = self.login
        return forward(operation)

    def _note_exit(self, operation: Operation, forward: Any) -> Any:
        op = self.ops[operation.variables["id"]]
        op.exits.append(self.login)
        token = self.token_of((operation.get_context().get("headers") or {}).get("authorization"))
        has_user = self.current is not None and not self.current.came_to_nobody
        op.left_as_nobody_with_a_user = token is None and has_user
        op.left_with_refused_token = token is not None and token.is_known_refused
        return forward(operation)

    def _set(self, context: Any, operation: Operation) -> Any:
        op = self.ops[operation.variables["id"]]
        op.seen.append(("setter", REQUEST_ID.get()))
        if op.raises_in_setter_of_send == len(op.sends) + 1:
            error = SetterRaised()
            op.own_errors.append(error)
            raise error
        return {"setter": op.id}

    async def _set_later(self, context: Any, operation: Operation) -> Any:
        await asyncio.sleep(0)
        return self._set(context, operation)
