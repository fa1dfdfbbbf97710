"""Clients of an AuthServer on which faults are let loose: one for each way to refresh, all over real sockets."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Literal

import aiohttp

from rxlink.auth.events import AuthState, AuthStatus, Ended, RefreshReason
from rxlink.auth.link import AuthLink
from rxlink.auth.pacing import BackoffOptions
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute, from_
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import ServerError, SessionEnded
from rxlink.testing.auth_server import Arrival, AuthServer, Fault, TokenPair
from rxlink.transport.http import HttpLink
from rxlink.transport.oauth2 import oauth2_refresh
from tests.recording import Recorder, subscribed

Way = Literal["mutation", "oauth2", "cookie"]
Trigger = Literal["reactive", "expired", "expiring"]
Target = Literal["refresh", "graphql"]

WAYS: tuple[Way, ...] = ("mutation", "oauth2", "cookie")
TARGETS: tuple[Target, ...] = ("refresh", "graphql")

LIFE = 1000.0
PASSING: dict[Trigger, float] = {"reactive": 0.0, "expiring": LIFE - 50, "expired": LIFE + 1}
"""Seconds from the sign-in to the operations; "reactive" tokens are revoked instead."""
GRACE = 600.0
MARGIN = 5.0
"""Seconds that a busy machine may add."""
AT_ONCE = 3
"""Operations of each client while the fault strikes."""

VIEWER = "query Viewer { viewer { name } }"
REFRESH = (
    "mutation Refresh($token: String!) { refreshToken(refreshToken: $token) { accessToken refreshToken expiresIn } }"
)
SIGN_IN = 'mutation SignIn($user: String!) { signIn(user: $user, password: "any") { accessToken expiresIn } }'


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Seconds for a whole refresh, and for one HTTP request, where the issuer is not given other ones.

    The mutation goes the way of all operations.
    """

    refresh: float
    http: float
    issuer: float | None = None

    @property
    def bound(self) -> float:
        """Within which each operation ends."""
        return self.refresh + self.http + MARGIN


class World:
    """A server, and the clock that it shares with its clients; it can be put forward."""

    def __init__(self, *, grace: float = GRACE) -> None:
        self._ahead = 0.0
        self.server = AuthServer(
            token_life=LIFE,
            refresh_life=1e6,
            reuse_grace=grace,
            clock=lambda: monotonic() + self._ahead,
            now=self.now,
        )

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._ahead)

    def pass_time(self, seconds: float) -> None:
        self._ahead += seconds

    async def stragglers_served(self) -> None:
        """Wait until the server has met the requests of those who have given up, which may be on their way still."""
        async with HttpLink(self.server.url) as link:
            for turn in range(3):
                await execute(link, GraphQLRequest("{ public }", context={"headers": {"x-operation-id": f"{turn}"}}))


class Client:
    """One user's session and chain.

    Attributes:
        ends: What each operation got, in order.
        states: Each state of the session.
        events: What it told.
        most_refreshes: How many calls of the refresh function ran at a time.
    """

    def __init__(self, world: World, user: str, way: Way, limits: Limits, stack: AsyncExitStack) -> None:
        self.user, self.way = user, way
        self._server, self._limits, self._stack = world.server, limits, stack
        self._running = self.most_refreshes = 0
        self.session = AuthSession(
            refresh=self._refresh,
            refresh_timeout=limits.refresh,
            backoff=BackoffOptions(initial=0.1, max=0.2),
            clock=world.now,
        )
        self.told: Recorder = subscribed(self.session.events)
        self.sends = 0

    async def open(self) -> None:
        enter = self._stack.enter_async_context
        patience = self._limits.issuer or self._limits.http
        jar, timeout = aiohttp.CookieJar(unsafe=True), aiohttp.ClientTimeout(total=patience)
        self._browser = await enter(aiohttp.ClientSession(cookie_jar=jar, timeout=timeout))
        session = self._browser if self.way == "cookie" else None
        self._http = await enter(HttpLink(self._server.url, timeout=self._limits.http, session=session))
        self._link = from_([AuthLink(self.session), self._http])
        self._oauth2 = await enter(oauth2_refresh(self._server.token_url, client_id="app", timeout=patience))
        await enter(self.session)

    async def sign_in(self) -> None:
        if self.way == "cookie":
            result = await execute(self._http, GraphQLRequest(SIGN_IN, {"user": self.user}))
            pair = result["data"]["signIn"]
            tokens = TokenSet(pair["accessToken"], expires_in=pair["expiresIn"])
        else:
            tokens = tokens_of(self._server.sign_in(self.user))
        await self.session.set_tokens(tokens)

    async def operate(self) -> dict[str, Any] | Exception:
        """Send an operation; return its result or its error. One that does not end in time is a failure."""
        self.sends += 1
        context = {"headers": {"x-operation-id": f"{self.user} {self.sends}"}}
        async with asyncio.timeout(self._limits.bound):
            try:
                return await execute(self._link, GraphQLRequest(VIEWER, context=context))
            except Exception as error:  # noqa: BLE001 - what it is, the test looks at
                return error

    async def settled(self) -> AuthState:
        """Wait until no refresh runs, and return where the session stands then."""
        states: asyncio.Queue[AuthState] = asyncio.Queue()
        listening = self.session.states.subscribe(states.put_nowait)
        try:
            async with asyncio.timeout(self._limits.bound):
                while (state := await states.get()).status is AuthStatus.REFRESHING:
                    pass
        finally:
            listening.dispose()
        return state

    @property
    def times_ended(self) -> int:
        return sum(isinstance(event, Ended) for event in self.told.seen)

    def is_mine(self, arrival: Arrival) -> bool:
        return arrival.generation is not None and arrival.generation.user == self.user

    async def _refresh(self, tokens: TokenSet | None, reason: RefreshReason) -> TokenSet:
        assert tokens is not None
        ways: dict[Way, Callable[[], Awaitable[TokenSet]]] = {
            "mutation": lambda: self._by_mutation(tokens),
            "oauth2": lambda: self._oauth2(tokens, reason),
            "cookie": self._by_cookie,
        }
        self._running += 1
        self.most_refreshes = max(self.most_refreshes, self._running)
        try:
            return await ways[self.way]()
        finally:
            self._running -= 1

    async def _by_mutation(self, tokens: TokenSet) -> TokenSet:
        """Through the same chain: `AuthLink` lets what its own refresh sends pass."""
        try:
            result = await execute(self._link, GraphQLRequest(REFRESH, {"token": tokens.refresh_token}))
        except ServerError as error:
            if error.status_code == 401:
                raise SessionEnded from error
            raise
        if "errors" in result:
            raise SessionEnded
        pair = result["data"]["refreshToken"]
        return TokenSet(pair["accessToken"], pair["refreshToken"], expires_in=pair["expiresIn"])

    async def _by_cookie(self) -> TokenSet:
        async with self._browser.post(self._server.cookie_url) as response:
            if response.status == 401 or (response.status == 400 and "invalid_grant" in await response.text()):
                raise SessionEnded
            response.raise_for_status()
            message = await response.json()
        return TokenSet(message["access_token"], expires_in=message["expires_in"])


def tokens_of(pair: TokenPair) -> TokenSet:
    return TokenSet(pair.access_token, pair.refresh_token, expires_in=pair.expires_in)


def is_final(way: Way, fault: Fault, *, is_strict: bool) -> bool:
    """Tell whether a fault of the issuer says that the refresh token is dead; the others pass.

    An answer that was lost is final where the issuer takes the replay for theft. "Not authenticated" says so where the
    client's own function takes it for that: not to `oauth2_refresh`, which knows only `invalid_grant`.
    """
    match fault.kind:
        case "invalid_grant":
            return True
        case "drop_after":
            return is_strict
        case "unauthenticated":
            return way == "mutation" or (way == "cookie" and fault.style != "result")
        case _:
            return False
