"""A world around a session that does only what it is told: issuer, storage, server, users, on one virtual time.

It never asks the session what it believes: `promise_checks` compares the world's own books with what the session did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import copy_context
from datetime import datetime, timedelta
from typing import Any, Self

from rxlink.auth.events import (
    AuthEvent,
    Ended,
    RefreshFailed,
    RefreshStarted,
    RefreshSucceeded,
    SaveFailed,
    TokensSaved,
)
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest
from tests.auth.promise_books import Books
from tests.auth.promise_events import Listener
from tests.auth.promise_hook import Hook
from tests.auth.promise_issuer import Issuer, Storage
from tests.auth.promise_operations import Attempt, Op
from tests.auth.promise_realm import Realm
from tests.auth.promise_records import (
    A_MOMENT,
    COOL_DOWN,
    MUCH_LATER,
    PLANTED,
    REQUEST_ID,
    TIME_LIMIT,
    HookCall,
    ObserverRaised,
    Options,
    RefreshCall,
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
        options: Of the session and the links.
        realm: What is shared with others; None for a realm of this one's own.
    """

    def __init__(
        self,
        *,
        make_chain: Callable[[World], ApolloLink] | None = None,
        signed_in: bool = True,
        life: float | None = None,
        loads: str = "at once",
        stored: bool = True,
        options: Options | None = None,
        realm: Realm | None = None,
    ) -> None:
        self.realm = realm or Realm()
        super().__init__(key=len(self.realm.worlds))
        self.realm.worlds.append(self)
        self.time = self.realm.time
        self.options = options or Options()
        self.started_at = self.time.clock()
        self.forced_refreshes = 0
        self.attempts: list[Attempt] = []
        self.ops: dict[int, Op] = {}
        self.returned: list[tuple[str, int, Any]] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.waiting_calls: set[asyncio.Task[None]] = set()
        self.listener = Listener(self)
        self.events, self.states = self.listener.events, self.listener.states
        self.listener_starts_operations = False
        self.issuer = Issuer(self)
        self.hook = Hook(self)
        self.storage = Storage(self)
        self.session: AuthSession | None = None
        if make_chain is None:
            self._make_session(signed_in=signed_in, life=life, loads=loads, stored=stored)
        else:
            self.is_loaded = True
            self.note_current(self.mint(life=life))
        if make_chain is not None:
            self.realm.build([make_chain(self)] * 2)
        elif realm is None:
            self.realm.build_for_one()

    @property
    def now(self) -> datetime:
        return self.realm.clock()

    @property
    def complaints(self) -> list[Any]:
        return self.realm.complaints

    @property
    def server_policy(self) -> str:
        return self.realm.server_policy

    @server_policy.setter
    def server_policy(self, policy: str) -> None:
        self.realm.server_policy = policy

    @property
    def longest_wait(self) -> float:
        """How many seconds anybody may wait for one thing."""
        return TIME_LIMIT + (self.options.relogin_limit if self.options.signs_in_again else 0)

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

    def make_op(self, *, parts: int = 1, reaction: str = "nothing", **traits: Any) -> Op:
        op = Op(self, len(self.realm.ops), parts, reaction, **traits)
        self.ops[op.id] = self.realm.ops[op.id] = op
        return op

    def observable(self, op: Op, chain: int = 0) -> Any:
        kind = "mutation" if op.is_mutation else "query"
        context: dict[str, Any] = {} if op.retry_mutations is None else {"retry_mutations": op.retry_mutations}
        if op.is_outside and not op.is_nobodys:
            context["auth"] = "none"
        request = GraphQLRequest(f"{kind} {op.name} {{ work }}", {"id": op.id}, context=context)
        return execute(self.realm.chains[chain], request)

    async def run_inside(self, how: str) -> None:
        """Send an operation of the refresh itself through the guarded chain, which must let it pass."""
        op = self.make_op()
        op.is_inner = True
        waiting = asyncio.ensure_future(self.observable(op))
        await asyncio.sleep(0)
        for attempt in [attempt for attempt in self.pending if attempt.send.op is op]:
            attempt.answer(how)
        op.results.append(await waiting)
        op.ends.append(None)

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

    @property
    def held_ops(self) -> list[Op]:
        """Those that the link under test has: they wait for the session."""
        return [op for op in self.open_ops if op.is_held]

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
                self.listener.part()
                await self.the_session.clear()

        self.spawn("clear", clear())

    def sign_in(self, life: float | None = None) -> None:
        async def set_tokens() -> None:
            if not self.is_closed:
                self.note_login()
                self.listener.part()
                tokens = self.note_current(self.mint(life=life))
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
            login, is_known = self.login, self.the_session.keeper.is_up_to_date
            try:
                outcome = await work
            except Exception as error:  # noqa: BLE001 - the checks judge it
                outcome = error
            self.returned.append((what, login if is_known else self.login, outcome))

        task = self.time.loop.create_task(run())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        if what in {"get_token", "refresh"}:
            self.waiting_calls.add(task)
            task.add_done_callback(self.waiting_calls.discard)

    def finish_refresh(self, outcome: str) -> None:
        (call,) = self.issuer.running
        self.time.call(call.decision.set_result, outcome)

    def finish_hook(self, outcome: str) -> None:
        (call,) = self.hook.running
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

    @property
    def undecided_hooks(self) -> list[HookCall]:
        return [call for call in self.hook.running if not call.decision.done()]

    def what_a_new_operation_does(self) -> str:
        """Tell from the books whether an operation that starts now must `go on`, must `wait`, or may do either."""
        token = self.current
        if self.session is None or self.is_closed or not self.is_loaded or self.may_cool_down:
            return "either"
        if token is None:
            return "wait" if self.wants_first_tokens and self.issuer.policy == "ask" else "either"
        if token.is_known_refused or token.is_in_mandatory_window(self.now):
            if self.issuer.policy != "ask":
                return "either"
            return "wait" if token.is_known_refused else self._what_it_does_at_the_end()
        if token.mandatory_at is not None and token.is_in_mandatory_window(self.now + timedelta(milliseconds=1)):
            return "either"  # too close for floats
        is_old = token.advisory_surely_at is not None and self.now >= token.advisory_surely_at
        return "go on and refresh" if is_old and not self.storage.running else "go on"

    def _what_it_does_at_the_end(self) -> str:
        if self.options.on_outage != "use_stale":
            return "wait"
        tries = [call for call in self.issuer.calls if call.login == self.login and not call.is_running]
        if not tries and not self.hook.calls and not self.issuer.running:
            return "wait"
        is_down = bool(tries) and tries[-1].outcome in {"transient", "retry after 5", "retry much later"}
        return "go on" if is_down else "either"

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
        self.hook.policy = "tokens at once"
        for _ in range(5):  # one may have been waiting for the other
            self.finish_all_storage()
            for call in self.issuer.running:
                if not call.decision.done():
                    self.time.call(call.decision.set_result, "good")
            for hook in self.undecided_hooks:
                self.time.call(hook.decision.set_result, "tokens")
        self.time.advance(MUCH_LATER + TIME_LIMIT + COOL_DOWN)

    def run_out(self) -> None:
        """Let the server answer what it has, and every time limit pass; storage and issuer stay as they are."""
        self.realm.run_out()

    def session_facts(self) -> tuple[Any, ...]:
        """What must stay as it is while something happens to another user."""
        return (self.login, self.current, len(self.issuer.calls), len(self.hook.calls), len(self.events))

    def _make_session(self, *, signed_in: bool, life: float | None, loads: str, stored: bool) -> None:
        self.storage.policy["load"] = loads
        if stored or signed_in:
            token = self.mint(life=life)
            is_dated = token.form not in {"jwt", "opaque"}
            ends = token.ends if is_dated else None
            self.storage.content = TokenSet(token.text, refresh_token=f"{PLANTED}-refresh-{self.key}", expires_at=ends)
        session = self.session = AuthSession(
            storage=self.storage,
            refresh=self.issuer.refresh,
            clock=self.realm.clock,
            on_refresh_outage=self.options.on_outage,
            obtain_first=self.options.obtain_first,
            on_session_ended=self.hook.sign_in_again if self.options.signs_in_again else None,
            relogin_timeout=self.options.relogin_timeout,
        )
        session.events.subscribe(self._hear_event, on_completed=self.listener.hear_completion)
        session.states.subscribe(self.states.append)
        if signed_in:
            # The short way to a loaded session with a storage that is watched.
            self.storage.policy["load"] = "at once"
            asking = self.time.loop.create_task(session.get_token())
            self.time.settle()
            asking.cancel()  # the tokens may need a refresh, and that is nobody's business here
            self.time.settle()

    def _hear_event(self, event: AuthEvent) -> None:
        if isinstance(event, RefreshStarted):
            self.refresh_began = self.time.monotonic()
        self.listener.hear(event)
        if isinstance(event, RefreshSucceeded):
            self.note_arrival()
        if isinstance(event, RefreshFailed) and event.error_type == "SessionEnded" and self.hook.running:
            self.hook.is_late()
        # `RefreshFailed` tells of a final failure just before the session ends of it: still the login before.
        is_between_logins = getattr(event, "error_type", None) == "SessionEnded"
        if self.listener_starts_operations and isinstance(event, LISTENED_TO) and not is_between_logins:
            self.listener_starts_operations = False
            self.begin(self.make_op())

    def note_exit(self, op: Op, header: str | None) -> None:
        """Book that the link under test has let an operation pass."""
        op.is_held = False
        op.exits.append(self.login)
        token = self.token_of(header)
        has_user = self.current is not None and not self.current.came_to_nobody
        op.left_as_nobody_with_a_user = token is None and has_user
        op.left_with_refused_token = token is not None and token.is_known_refused
