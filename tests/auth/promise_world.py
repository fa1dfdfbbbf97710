"""A world around a session that does only what it is told: issuer, storage, server, users, on one virtual time.

It keeps its own books of logins, tokens, sends and calls, and never asks the session what it believes;
`promise_checks` compares those books with what the session did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import reactivex

from rxlink.auth.events import AuthEvent, AuthState, Ended, RefreshFailed, SaveFailed, TokensSaved
from rxlink.auth.link import AuthLink
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.core.link import ApolloLink, Forward, execute, from_
from rxlink.core.operation import GraphQLRequest, Operation
from rxlink.core.subscription import Connect, ResultObserver, Subscription
from rxlink.errors import NetworkError, ServerError, SessionEnded, TokenRefreshError
from rxlink.links.context import SetContextLink
from rxlink.testing.virtual_time import VirtualTime

ADVISORY = 60.0
MANDATORY = 10.0
TIME_LIMIT = 30.0
COOL_DOWN = 30.0
MUCH_LATER = 100.0
"""Seconds; the defaults of a session, and the longest Retry-After of the issuer."""
PLANTED = "planted"
"""In every token, so that a check can look for it where none belongs."""

LISTENED_TO = (Ended, RefreshFailed, SaveFailed, TokensSaved)
"""The events at which a listener of the world starts an operation, once."""

REQUEST_ID: ContextVar[int | None] = ContextVar("request_id", default=None)


class ObserverRaised(Exception):
    """From a subscriber's callback."""


class SetterRaised(Exception):
    """From a context setter of the chain."""


@dataclass(eq=False)
class Minted:
    """An access token, as its issuer knows it, and as a client that keeps the defaults should judge it."""

    text: str
    login: int
    is_refreshed: bool
    minted_at: float
    ends: datetime | None = None
    advisory_at: datetime | None = None
    mandatory_at: datetime | None = None
    is_accepted: bool = True
    is_known_refused: bool = False
    came_to_nobody: bool = False
    """By a forced refresh while nobody was signed in: for a turn of the loop it is on its way to the session."""

    def is_good_at(self, now: datetime) -> bool:
        return self.is_accepted and (self.ends is None or now < self.ends)

    def may_be_in_advisory_window(self, now: datetime) -> bool:
        return self.advisory_at is not None and now >= self.advisory_at

    def is_in_mandatory_window(self, now: datetime) -> bool:
        return self.mandatory_at is not None and now >= self.mandatory_at


@dataclass(eq=False)
class RefreshCall:
    """One run of the refresh callback."""

    login: int
    reason: str
    began: float
    current: Minted | None
    decision: asyncio.Future[str]
    was_forced: bool
    is_running: bool = True
    was_cancelled: bool = False
    outcome: str | None = None


@dataclass(eq=False)
class StorageCall:
    """One call of the storage."""

    kind: str
    token: Minted | None
    login: int
    decision: asyncio.Future[bool]
    state: str = "running"


@dataclass(eq=False)
class Send:
    """One attempt of an operation, as it reached the server."""

    op: Op
    token: Minted | None
    header: str | None
    login: int
    moment: int
    has_user: bool
    has_left: bool
    was_known_refused: bool
    at: float
    saves_of_token: tuple[str, ...]
    is_good: bool
    may_cool_down: bool


@dataclass(eq=False)
class Op:
    """One operation and its subscriber."""

    world: World
    id: int
    parts: int
    reaction: str
    raises_in_setter_of_send: int = 0
    login: int | None = None
    exits: list[int] = field(default_factory=list)
    """The login of each time that the link under test has let it pass."""
    sends: list[Send] = field(default_factory=list)
    seen: list[tuple[str, int | None]] = field(default_factory=list)
    results: list[Any] = field(default_factory=list)
    ends: list[Exception | None] = field(default_factory=list)
    own_errors: list[Exception] = field(default_factory=list)
    refusals: list[Any] = field(default_factory=list)
    late_calls: list[str] = field(default_factory=list)
    has_left: bool = False
    leaves_when_it_can: bool = False
    is_inner: bool = False
    must_be_retried: bool = False
    subscription: Any = None

    @property
    def name(self) -> str:
        return f"Work{self.id}"

    @property
    def is_open(self) -> bool:
        return not self.ends and not self.has_left

    @property
    def expected(self) -> list[Any]:
        return [{"data": {"operation": self.id, "part": part}} for part in range(self.parts)]

    def leave(self) -> None:
        if self.subscription is None:
            self.leaves_when_it_can = True  # `subscribe` has not returned yet
        elif self.is_open:
            self.has_left = True
            self.subscription.dispose()

    def on_next(self, result: Any) -> None:
        self._hear("on_next")
        self.results.append(result)
        self._react()

    def on_error(self, error: Exception) -> None:
        self._hear("on_error")
        self.ends.append(error)
        self._react()

    def on_completed(self) -> None:
        self._hear("on_completed")
        self.ends.append(None)

    def _hear(self, what: str) -> None:
        if not self.is_open:
            self.late_calls.append(what)
        self.seen.append((what, REQUEST_ID.get()))

    def _react(self) -> None:
        reaction, self.reaction = self.reaction, "nothing"
        self.world.react(reaction, self)


class Attempt:
    """One send that waits for the server, in the slot of its subscription."""

    def __init__(self, send: Send, observer: ResultObserver, root: Subscription) -> None:
        self.send = send
        self._observer = observer
        self._root = root
        self._parts_sent = 0
        self.is_over = False

    def cancel(self) -> None:
        self.is_over = True

    def answer(self, how: str) -> None:
        """Answer in the context of the subscription, as the task of a transport does."""
        try:
            self._root.resume(self._answer, how)
        except ObserverRaised as error:
            # A transport dies of its consumer's exception: what follows is the engine's rule for its own tasks.
            if not self.is_over:
                self._end()
                self._root.resume(self._root.on_error, error)

    def _answer(self, how: str) -> None:
        if self.is_over:
            return
        if how == "as deserved":
            how = "accept" if self.send.is_good else "refuse"
        getattr(self, how.replace(" ", "_"))()

    def accept(self) -> None:
        while not self.is_over and self._parts_sent < self.send.op.parts:
            self.accept_a_part()
        if not self.is_over:
            self._end()
            self._observer.on_completed()

    def accept_a_part(self) -> None:
        if self._parts_sent < self.send.op.parts:
            self._parts_sent += 1
            self._observer.on_next(self.send.op.expected[self._parts_sent - 1])

    def refuse(self) -> None:
        """Refuse as a status or as a result, by turns."""
        if (self.send.op.id + len(self.send.op.sends)) % 2:
            self.refuse_by_status()
        else:
            self.refuse_by_result()

    def refuse_by_status(self) -> None:
        error = ServerError("401", status_code=401, headers={}, body_text="")
        self.send.op.own_errors.append(error)
        self._note_refusal()
        self._end()
        self._observer.on_error(error)

    def refuse_by_result(self) -> None:
        problem = {"message": f"operation {self.send.op.id}", "extensions": {"code": "UNAUTHENTICATED"}}
        result = {"data": None, "errors": [problem]}
        self.send.op.refusals.append(result)
        self._note_refusal()
        self._observer.on_next(result)
        if not self.is_over:
            self._end()
            self._observer.on_completed()

    def break_down(self) -> None:
        error = NetworkError("connection reset")
        self.send.op.own_errors.append(error)
        self._end()
        self._observer.on_error(error)

    def _note_refusal(self) -> None:
        op, token = self.send.op, self.send.token
        if token is None or self._parts_sent or op.is_inner:
            return
        if not token.is_known_refused:
            token.is_known_refused = True
            op.world.note_refusal(token)
        op.must_be_retried = not op.world.may_cool_down

    def _end(self) -> None:
        self.is_over = True
        self._root.release()


class Server(ApolloLink):
    """The end of every chain: keeps the ledger of sends, and answers at once or when told to."""

    is_terminating = True

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def connect(self, forward: Forward) -> Connect:
        def start(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
            header = (operation.get_context().get("headers") or {}).get("authorization")
            op = self._world.ops[operation.variables["id"]]
            op.seen.append(("send", REQUEST_ID.get()))
            attempt = Attempt(self._world.note_send(op, header), observer, root)
            self._world.attempts.append(attempt)
            root.hold(attempt)
            if self._world.server_policy == "at once":
                attempt.answer("as deserved")

        return start


class Storage:
    """A storage whose calls end when told to."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.policy = {"load": "at once", "save": "at once", "clear": "at once"}
        self.calls: list[StorageCall] = []
        self.content: TokenSet | None = None
        self.overlaps = 0

    @property
    def running(self) -> list[StorageCall]:
        return [call for call in self.calls if call.state == "running"]

    async def load(self) -> TokenSet | None:
        await self._run("load", None)
        self._world.note_load(self.content)
        return self.content

    async def save(self, tokens: TokenSet, /) -> None:
        await self._run("save", self._world.minted[tokens.access_token])
        self.content = tokens

    async def clear(self) -> None:
        await self._run("clear", None)
        self.content = None

    async def _run(self, kind: str, token: Minted | None) -> None:
        decision: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        call = StorageCall(kind, token, self._world.login, decision)
        self.overlaps += bool(self.running)
        self.calls.append(call)
        if self.policy[kind] != "ask":
            decision.set_result(self.policy[kind] == "at once")
        try:
            is_good = await decision
        except asyncio.CancelledError:
            call.state = "cancelled"
            raise
        call.state = "returned" if is_good else "failed"
        if not is_good:
            raise OSError(f"no {kind}")


class Issuer:
    """The refresh callback: what it does is decided while it runs, unless a policy has decided before."""

    #: What a run may come to.
    OUTCOMES = (
        "good", "good without life", "short", "already ended", "refused too", "transient", "retry after 5",
        "retry much later", "final", "nothing", "empty", "wrong type", "value error", "cancelled",
        "asks for a token", "runs an operation", "its operation is refused",
    )  # fmt: skip
    #: How it is answered where nobody is asked.
    POLICIES = ("ask", "good at once", "good as text", "good as stream", "raises at once", "value error at once")

    def __init__(self, world: World) -> None:
        self._world = world
        self.policy = "ask"
        self.calls: list[RefreshCall] = []
        self.most_at_a_time = 0
        self.raised: list[Exception] = []

    @property
    def running(self) -> list[RefreshCall]:
        return [call for call in self.calls if call.is_running]

    def refresh(self, tokens: TokenSet | None, reason: str) -> Any:
        world = self._world
        decision: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        call = RefreshCall(
            world.login, str(reason), world.time.monotonic(), world.current, decision, world.forced_refreshes > 0
        )
        self.calls.append(call)
        self.most_at_a_time = max(self.most_at_a_time, len(self.running))
        if self.policy == "ask":
            return self._run(call)
        call.is_running = False
        call.outcome = self.policy
        if self.policy == "raises at once":
            raise self._note(ConnectionError("the issuer is down"))
        if self.policy == "value error at once":
            raise self._note(ValueError("no such key"))
        token = self._hand_out(100)
        if self.policy == "good as text":
            world.note_current(token, None)
            return token.text
        returned = world.note_current(token, 100)
        return reactivex.just(returned) if self.policy == "good as stream" else returned

    async def _run(self, call: RefreshCall) -> Any:
        try:
            call.outcome = await call.decision
            return await self._come_to(call.outcome)
        except asyncio.CancelledError:
            call.was_cancelled = call.outcome != "cancelled"
            raise
        except SessionEnded:
            self._world.note_end()
            raise
        finally:
            call.is_running = False

    async def _come_to(self, outcome: str) -> Any:  # noqa: C901, PLR0911, PLR0912 - a table would hide the order
        world = self._world
        match outcome:
            case "nothing":
                return None
            case "empty":
                return ""
            case "wrong type":
                return 7
            case "transient":
                raise self._note(ConnectionError("the issuer is down"))
            case "retry after 5":
                raise self._note(TokenRefreshError("busy", retryable=True, retry_after=5))
            case "retry much later":
                raise self._note(TokenRefreshError("busy", retryable=True, retry_after=MUCH_LATER))
            case "value error":
                raise self._note(ValueError("no such key"))
            case "final":
                raise self._note(SessionEnded("invalid_grant"))
            case "cancelled":
                raise asyncio.CancelledError
            case "asks for a token":
                try:
                    return await world.the_session.get_token()
                except Exception as error:
                    self._note(error)
                    raise
            case "runs an operation":
                await self._run_an_operation("accept")
            case "its operation is refused":
                await self._run_an_operation("refuse by result")
                raise self._note(SessionEnded("the refresh operation was refused"))
            case _:
                pass
        life = {"good without life": None, "short": 1, "already ended": 0}.get(outcome, 100)
        return world.note_current(self._hand_out(life, is_accepted=outcome != "refused too"), life)

    async def _run_an_operation(self, how: str) -> None:
        """Send the refresh itself through the guarded chain, which must let it pass."""
        world = self._world
        op = world.make_op()
        op.is_inner = True
        observable = world.observable(op)
        waiting = asyncio.ensure_future(observable)
        await asyncio.sleep(0)
        for attempt in [attempt for attempt in world.pending if attempt.send.op is op]:
            attempt.answer(how)
        op.results.append(await waiting)
        op.ends.append(None)

    def _hand_out(self, life: float | None, *, is_accepted: bool = True) -> Minted:
        token = self._world.mint(is_refreshed=True, life=life)
        token.is_accepted = is_accepted
        return token

    def _note(self, error: Exception) -> Exception:
        self.raised.append(error)
        return error


class World:
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
        self.time = VirtualTime()
        self.started_at = self.time.clock()
        self.complaints: list[Any] = []
        self.time.loop.set_exception_handler(lambda _, complaint: self.complaints.append(complaint))
        self.login = 1
        self.moment = 0
        self.minted: dict[str, Minted] = {}
        self.current: Minted | None = None
        self.last_known_life: float | None = None
        self.refused_fresh_tokens = 0
        self.endings = 0
        self.forced_refreshes = 0
        self.is_loaded = False
        self.is_closed = False
        self.server_policy = "ask"
        self.attempts: list[Attempt] = []
        self.sends: list[Send] = []
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

    @property
    def now(self) -> datetime:
        return self.time.clock()

    def close(self) -> None:
        self.time.close()

    def __enter__(self) -> World:
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

        try:
            copy_context().run(subscribe)
        except ObserverRaised:
            pass  # the subscriber's own exception, raised where it subscribed
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

    def react(self, reaction: str, op: Op) -> None:
        """Do what a subscriber does in the midst of a callback."""
        match reaction:
            case "raise":
                raise ObserverRaised
            case "leave":
                op.leave()
            case "others leave":
                for other in self.open_ops:
                    if other is not op:
                        other.leave()
            case "revoke and start another":
                self.revoke()
                self.begin(self.make_op())
            case "start another":
                self.begin(self.make_op())
            case "sign out":
                self.sign_out()
            case "sign in":
                self.sign_in()
            case "force":
                self.force_refresh()
            case _:
                pass

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
                self._note_login()
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

    # -- books --------------------------------------------------------------------------------------------------------

    def mint(self, *, is_refreshed: bool = False, life: float | None = None) -> Minted:
        token = Minted(f"{PLANTED}-{self.login}-{len(self.minted)}", self.login, is_refreshed, self.time.monotonic())
        token.ends = None if life is None else self.now + timedelta(seconds=max(life, 1))
        self.minted[token.text] = token
        return token

    def note_current(self, token: Minted, life: float | None) -> TokenSet:
        """Book a token as the one in use; its windows are those of the defaults, jitter left aside."""
        token.came_to_nobody = token.is_refreshed and self.current is None
        self.current = token
        known = self.last_known_life if life is None else life
        if known is not None and known > 0:
            self._set_windows(token, self.now + timedelta(seconds=known), known)
            self.last_known_life = known
        else:
            self.last_known_life = None
        return TokenSet(token.text, refresh_token=f"{PLANTED}-refresh-{len(self.minted)}", expires_in=life)

    def note_load(self, tokens: TokenSet | None) -> None:
        self.is_loaded = True
        if tokens is not None and not self.is_closed:
            token = self.minted[tokens.access_token]
            token.login = self.login
            self.current = token
            if tokens.expires_at is not None:
                life = (tokens.expires_at - self.now).total_seconds()
                self.last_known_life = life if life > 0 else None
                self._set_windows(token, tokens.expires_at, max(life, 0))

    def note_end(self) -> None:
        """Book the end of a login, by its user or by its issuer; the listeners hear of it if anybody was there."""
        self.endings += self.current is not None or not self.is_loaded
        self._note_login()

    def note_refusal(self, token: Minted) -> None:
        if token.is_refreshed:
            self.refused_fresh_tokens += 1

    def note_send(self, op: Op, header: str | None) -> Send:
        self.moment += 1
        text = None if header is None else header.removeprefix("Bearer ")
        token = None if text is None else self.minted.get(text)
        saves = tuple(call.state for call in self.storage.calls if call.kind == "save" and call.token is token)
        send = Send(
            op=op,
            token=token,
            header=header,
            login=self.login,
            moment=self.moment,
            has_user=self.current is not None and not self.current.came_to_nobody,
            has_left=not op.is_open,
            was_known_refused=token is not None and token.is_known_refused,
            at=self.time.monotonic(),
            saves_of_token=saves,
            is_good=token is None or token.is_good_at(self.now),
            may_cool_down=self.may_cool_down,
        )
        op.sends.append(send)
        self.sends.append(send)
        return send

    @property
    def may_cool_down(self) -> bool:
        """Whether so many fresh tokens of this login were refused that sending a refused one again is allowed."""
        return self.refused_fresh_tokens >= 3

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
        # `RefreshFailed` tells of a final failure just before the session ends of it: still the login before.
        is_between_logins = getattr(event, "error_type", None) == "SessionEnded"
        if self.listener_starts_operations and isinstance(event, LISTENED_TO) and not is_between_logins:
            self.listener_starts_operations = False
            self.begin(self.make_op())

    def _note_login(self) -> None:
        self.login += 1
        self.current = None
        self.is_loaded = True
        self.last_known_life = None
        self.refused_fresh_tokens = 0

    def _set_windows(self, token: Minted, ends: datetime, life: float) -> None:
        advisory = min(ADVISORY, life / 4)
        token.advisory_at = ends - timedelta(seconds=advisory)
        token.mandatory_at = ends - timedelta(seconds=min(MANDATORY, life / 10))

    def _note_entry(self, operation: Operation, forward: Any) -> Any:
        """Stand right above the link under test, where an operation's login is decided."""
        self.ops[operation.variables["id"]].login = self.login
        return forward(operation)

    def _note_exit(self, operation: Operation, forward: Any) -> Any:
        self.ops[operation.variables["id"]].exits.append(self.login)
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


def causes(error: BaseException) -> Sequence[BaseException]:
    """Return an error and what caused it, and so on."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__  # type: ignore[assignment]
    return chain
