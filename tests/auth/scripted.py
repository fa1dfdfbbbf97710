"""What the tests of auth share: a server in one link, an issuer in one object, and a storage that can fail.

Nothing here knows how rxlink works inside: the server reads the header that arrives and looks into a set of valid
tokens, the issuer hands out `A1`, `A2`, ... and is slow or broken when told so.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from rxlink.auth.events import AuthEvent, RefreshReason
from rxlink.auth.link import AuthLink
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute, from_
from rxlink.core.chain_observable import ChainObservable
from rxlink.core.link import ApolloLink, Forward
from rxlink.core.operation import GraphQLRequest, Operation
from rxlink.core.subscription import Connect, ResultObserver, Subscription
from rxlink.errors import ServerError
from rxlink.testing.virtual_time import VirtualTime
from tests.recording import Recorder, subscribed

REQUEST_ID: ContextVar[int | None] = ContextVar("request_id", default=None)
UNAUTHENTICATED = {"errors": [{"message": "who are you?", "extensions": {"code": "UNAUTHENTICATED"}}], "data": None}
REFUSED = TokenSet("A0", refresh_token="R0")
"""Tokens of a login that the server no longer accepts, of unknown life."""


def status_401() -> ServerError:
    return ServerError("401", status_code=401, headers={}, body_text="no")


@dataclass(frozen=True)
class Send:
    """One arrival at the server: when, which operation, with which headers, in whose context."""

    time: float
    name: str
    headers: dict[str, str]
    request_id: int | None

    @property
    def token(self) -> str | None:
        return self.headers.get("authorization")


class ScriptedServer(ApolloLink):
    """A terminating link that answers `{"data": {"echo": name}}` to valid tokens, and refuses all others."""

    is_terminating = True

    def __init__(self, *valid: str, delay: float | None = 0.0, scheme: str = "Bearer ") -> None:
        super().__init__()
        self.valid = {f"{scheme}{token}" for token in valid}
        self.scheme = scheme
        self.delay = delay
        self.refusal: Callable[[], dict[str, Any] | Exception] = lambda: UNAUTHENTICATED
        self.sends: list[Send] = []
        self.aborted: list[str] = []

    @property
    def tokens(self) -> list[str | None]:
        return [send.token for send in self.sends]

    @property
    def per_operation(self) -> Counter[str]:
        return Counter(send.name for send in self.sends)

    def accept_only(self, *tokens: str) -> None:
        self.valid = {f"{self.scheme}{token}" for token in tokens}

    def answer(self, name: str, token: str | None) -> dict[str, Any] | Exception:
        return {"data": {"echo": name}} if token in self.valid else self.refusal()

    def connect(self, forward: Forward) -> Connect:
        return self._start

    def _start(self, operation: Operation, observer: ResultObserver, root: Subscription) -> None:
        name = operation.operation_name or ""
        try:
            headers = dict(operation.get_context().get("headers") or {})
        except (TypeError, ValueError) as error:
            observer.on_error(error)
            return
        self.sends.append(Send(_now(), name, headers, REQUEST_ID.get()))
        answer = self.answer(name, headers.get("authorization"))
        if self.delay is None:
            _deliver(answer, observer)
        else:
            root.spawn(self._answer_later(observer, root, name, answer, self.delay), observer)

    async def _answer_later(
        self, observer: ResultObserver, root: Subscription, name: str, answer: dict[str, Any] | Exception, delay: float
    ) -> None:
        try:
            await asyncio.sleep(delay)
        except asyncio.CancelledError:
            self.aborted.append(name)
            raise
        root.release()
        _deliver(answer, observer)


def _now() -> float:
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return 0.0


def _deliver(answer: dict[str, Any] | Exception, observer: ResultObserver) -> None:
    if isinstance(answer, Exception):
        observer.on_error(answer)
    else:
        observer.on_next(answer)
        observer.on_completed()


@dataclass
class Issuer:
    """A refresh callback that hands out A1, A2, ... with R1, R2, ...; the server, if any, accepts the newest only.

    `script` holds what to do instead, call by call: an exception to raise, a value to return, a function of the call.
    """

    server: ScriptedServer | None = None
    delay: float = 0.0
    life: float | None = None
    script: list[Any] = field(default_factory=list)
    calls: list[tuple[float, TokenSet | None, RefreshReason]] = field(default_factory=list)
    issued: int = 0

    async def __call__(self, tokens: TokenSet | None, reason: RefreshReason) -> Any:
        self.calls.append((_now(), tokens, reason))
        step = self.script.pop(0) if self.script else None
        await asyncio.sleep(self.delay)
        if isinstance(step, Exception):
            raise step
        return self.issue() if step is None else step() if callable(step) else step

    @property
    def reasons(self) -> list[RefreshReason]:
        return [reason for _, _, reason in self.calls]

    def issue(self) -> TokenSet:
        self.issued += 1
        if self.server is not None:
            self.server.accept_only(f"A{self.issued}")
        return TokenSet(f"A{self.issued}", refresh_token=f"R{self.issued}", expires_in=self.life)


NOTHING = lambda: None  # noqa: E731 - a step of a script
EMPTY = lambda: ""  # noqa: E731


async def never(*_: object) -> Any:
    await asyncio.Event().wait()


class ScriptedStorage:
    """A storage in memory that suspends, and fails or hangs call by call when told so."""

    def __init__(self, tokens: TokenSet | None = None, *, delay: float = 0.0, **failures: list[Any]) -> None:
        self.tokens = tokens
        self.delay = delay
        self.failures = failures
        self.log: list[str] = []

    async def load(self) -> TokenSet | None:
        await self._call("load")
        return self.tokens

    async def save(self, tokens: TokenSet, /) -> None:
        await self._call("save")
        self.tokens = tokens
        self.log.append(f"saved {tokens.access_token}")

    async def clear(self) -> None:
        await self._call("clear")
        self.tokens = None
        self.log.append("cleared")

    async def _call(self, name: str) -> None:
        self.log.append(name)
        step = self.failures[name].pop(0) if self.failures.get(name) else None
        await asyncio.sleep(self.delay)
        if isinstance(step, Exception):
            raise step
        if step is not None:
            await step()


@dataclass
class Bench:
    """A session, its link, its server and its issuer, as most tests need them."""

    server: ScriptedServer
    issuer: Issuer
    session: AuthSession
    link: ApolloLink

    def start(self, name: str = "Q", *, headers: Any = None, request_id: int | None = None) -> Recorder:
        token = REQUEST_ID.set(request_id)
        try:
            return subscribed(self.run(name, headers=headers))
        finally:
            REQUEST_ID.reset(token)

    def run(self, name: str = "Q", *, headers: Any = None) -> ChainObservable[Any]:
        context = None if headers is None else {"headers": headers}
        return execute(self.link, request(name, context=context))

    def start_many(self, count: int) -> list[Recorder]:
        return [self.start(f"Q{number}") for number in range(count)]


def bench(
    tokens: TokenSet | None = REFUSED,
    *,
    valid: Iterable[str] = (),
    issuer: Issuer | None = None,
    delay: float | None = 0.0,
    link: dict[str, Any] | None = None,
    time: VirtualTime | None = None,
    **options: Any,
) -> Bench:
    server = ScriptedServer(*valid, delay=delay)
    issuer = issuer or Issuer()
    issuer.server = server
    if time is not None:
        options["clock"] = time.clock
    session = AuthSession(refresh=options.pop("refresh", issuer), tokens=tokens, **options)
    return Bench(server, issuer, session, from_([AuthLink(session, **(link or {})), server]))


def request(name: str = "Q", *, kind: str = "query", context: dict[str, Any] | None = None) -> GraphQLRequest:
    return GraphQLRequest(f"{kind} {name} {{ echo }}", context=context)


def good(name: str = "Q") -> list[Any]:
    """What a subscriber sees of an operation that went well."""
    return [{"data": {"echo": name}}, "completed"]


def fresh(time: VirtualTime, seconds: float, *, life: float | None = None) -> TokenSet:
    """A0, of which so much is left."""
    return TokenSet("A0", refresh_token="R0", expires_in=life, expires_at=time.clock() + timedelta(seconds=seconds))


def names_of(events: Iterable[AuthEvent]) -> list[str]:
    return [type(event).__name__ for event in events]


def statuses_of(recorder: Recorder) -> list[str]:
    return [state if isinstance(state, str) else state.status.value for state in recorder.seen]
