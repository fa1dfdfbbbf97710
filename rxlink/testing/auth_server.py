"""An auth and GraphQL server to test against: short-lived tokens, three refreshes, a ledger.

It listens on loopback only, keeps everything in memory and accepts every password: it is for tests,
examples and the demo. The rules that it follows are those of strict providers: refresh tokens are
good for one use, using one again revokes the whole session, and the ledger tells afterwards whether
a client lived by them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Self

from aiohttp import web

from rxlink.testing._answers import COOKIE_PATH
from rxlink.testing._application import GRAPHQL_PATH, TOKEN_PATH, application_of, checked_port, websockets_of
from rxlink.testing._auth_schema import AuthSchema
from rxlink.testing._durations import Duration, nonnegative_seconds, positive_seconds
from rxlink.testing._endpoints import Endpoints
from rxlink.testing._fault_injection import FaultInjector
from rxlink.testing._faults import Fault, FaultScript, Unauthenticated
from rxlink.testing._ledger import Ledger, operation_key
from rxlink.testing._ledger_records import Arrival, Generation, RefreshTry, Send
from rxlink.testing._oauth2_messages import ClientRegistration
from rxlink.testing._token_table import TokenPair, TokenTable
from rxlink.testing._websocket_rules import SocketRecord, SocketRules
from rxlink.testing._websockets import WebSockets

__all__ = [
    "Arrival",
    "AuthServer",
    "Fault",
    "FaultScript",
    "Generation",
    "Ledger",
    "RefreshTry",
    "Send",
    "SocketRecord",
    "SocketRules",
    "TokenPair",
    "Unauthenticated",
    "operation_key",
]

_HOST = "127.0.0.1"
_SECONDS_TO_FINISH_ANSWERS = 1.0


def _utc_now() -> datetime:
    return datetime.now(UTC)


class AuthServer:
    """A server on loopback that speaks GraphQL and hands out tokens that end soon.

    Over HTTP it takes one operation a request, as JSON: no batches, no files. Over WebSocket it speaks
    graphql-transport-ws and the older graphql-ws; the token comes in the payload of
    `connection_init`, as `authorization`. A subscription runs before the ping that follows it is
    answered.

    Example:
        >>> async def main():
        ...     async with AuthServer(token_life=2.0) as server:
        ...         pair = server.sign_in("ada")
        ...         server.faults.add(Fault.status(503), on="refresh", times=1)
        ...         # point a client at server.url and server.token_url
        ...         return server.ledger.violations()
        >>> asyncio.run(main())
        []

    Attributes:
        faults: The script of faults; add to it at any time.
        ledger: Everything that happened. It stays readable after closing.
        counters: How often the `increment` mutation ran for each key.
    """

    def __init__(
        self,
        *,
        token_life: Duration = 2.0,
        refresh_life: Duration = 3600.0,
        reuse_grace: Duration = 0.0,
        seed: int = 0,
        unauthenticated: Unauthenticated = "result",
        client_id: str | None = None,
        client_secret: str | None = None,
        sockets: SocketRules | None = None,
        port: int = 0,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        """Describe a server; `start` or `async with` opens it.

        Args:
            token_life: How long an access token is accepted, in seconds; fractions count. (Its
                `exp` claim is cut to whole seconds, and the server does not look at it.)
            refresh_life: How long a refresh token is accepted, in seconds, from its own issue.
            reuse_grace: For how many seconds after a refresh the used token gets the same new pair
                once more instead of revoking its session. 0 means never.
            seed: Tokens are the same for the same seed and the same `now`.
            unauthenticated: How operations without a good access token are answered: `result`
                (status 200, error code UNAUTHENTICATED), `status` (401) or `graphql-response` (401
                with a media type that makes clients read the errors in it).
            client_id: The only OAuth2 client that may use the token endpoint; `None` means any.
            client_secret: Its secret, by Basic or in the body; `None` for a public client.
            sockets: How WebSockets are refused and ended; `None` is `SocketRules()`.
            port: Where to listen; 0 is any free port. A server that is started again comes back on
                the port that it had.
            clock: The time that decides about ends, in seconds. It must not go back.
            now: The aware time that is written into JWTs.

        Raises:
            ValueError: An option is out of range; the message names it and its value.
            InvariantError: `port` is none.
            InvariantTypeError: `port` is no whole number.
        """
        if unauthenticated not in ("result", "status", "graphql-response"):
            styles = "'result', 'status' or 'graphql-response'"
            raise ValueError(f"unauthenticated must be {styles}, not {unauthenticated!r}")
        if client_id == "":
            raise ValueError("client_id must not be empty, not ''; None lets every client in")
        if client_secret is not None and client_id is None:
            raise ValueError("client_secret needs a client_id, not None")
        if now().tzinfo is None:
            raise ValueError(f"now must return an aware datetime, not {now()!r}")
        self.faults = FaultScript()
        self.ledger = Ledger()
        self.counters: dict[str, int] = {}
        self._unauthenticated: Unauthenticated = unauthenticated
        self._registration = ClientRegistration(client_id=client_id, client_secret=client_secret)
        self._socket_rules = SocketRules() if sockets is None else sockets
        self._port = checked_port(port)
        self._clock = clock
        self._table = TokenTable(
            ledger=self.ledger,
            clock=clock,
            now=now,
            token_life=positive_seconds("token_life", token_life),
            refresh_life=positive_seconds("refresh_life", refresh_life),
            reuse_grace=nonnegative_seconds("reuse_grace", reuse_grace),
            seed=seed,
        )
        self._runner: web.AppRunner | None = None
        self._websockets: WebSockets | None = None
        self._closing = asyncio.Event()

    @property
    def url(self) -> str:
        """Where GraphQL operations are posted.

        Raises:
            RuntimeError: The server is not running.
        """
        return self._address(GRAPHQL_PATH)

    @property
    def ws_url(self) -> str:
        """Where GraphQL is spoken over WebSocket.

        Raises:
            RuntimeError: The server is not running.
        """
        return self._address(GRAPHQL_PATH).replace("http", "ws", 1)

    @property
    def token_url(self) -> str:
        """The OAuth2 token endpoint: grants `refresh_token` and `client_credentials`.

        Raises:
            RuntimeError: The server is not running.
        """
        return self._address(TOKEN_PATH)

    @property
    def cookie_url(self) -> str:
        """Where a POST refreshes by the httpOnly cookie that `signIn` and this endpoint itself set.

        An aiohttp client keeps cookies of an IP address only with `CookieJar(unsafe=True)`.

        Raises:
            RuntimeError: The server is not running.
        """
        return self._address(COOKIE_PATH)

    async def start(self) -> None:
        """Listen on the loopback interface: on the port it had before, else on the one that was given.

        What was handed out is still good after a restart: tokens, sessions, addresses.

        Raises:
            RuntimeError: The server is running already.
            OSError: Somebody else has the port.
        """
        if self._runner is not None:
            raise RuntimeError("The AuthServer is running already; close it before starting it again.")
        self._closing = asyncio.Event()
        endpoints = self._endpoints()
        websockets = websockets_of(endpoints, self._socket_rules)
        runner = web.AppRunner(
            application_of(endpoints, websockets),
            handler_cancellation=True,
            access_log=None,
            shutdown_timeout=_SECONDS_TO_FINISH_ANSWERS,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, _HOST, self._port).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner, self._websockets = runner, websockets
        self._port = runner.addresses[0][1]
        loop = asyncio.get_running_loop()
        # Only then, so that the answer to a sign-out over a socket comes before the end of that.
        self._table.on_revoked = lambda: loop.call_soon(websockets.recheck)

    async def aclose(self) -> None:
        """Stop listening; close every socket; cut every request that a fault holds back.

        Closing again is fine.
        """
        runner, self._runner = self._runner, None
        websockets, self._websockets = self._websockets, None
        if runner is not None and websockets is not None:
            self._table.on_revoked = None
            self._closing.set()
            websockets.close()
            await runner.cleanup()

    async def __aenter__(self) -> Self:
        """Start the server."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the server."""
        await self.aclose()

    def sign_in(self, user: str) -> TokenPair:
        """Return the first pair of a new session; other sessions go on.

        Raises:
            ValueError: `user` is empty.
        """
        if not user:
            raise ValueError("user must not be empty, not ''")
        return self._table.sign_in(user)

    def revoke_access(self, user: str) -> int:
        """Stop accepting the current access token of each of a user's sessions.

        Their refresh tokens stay good.

        Returns:
            How many tokens were still accepted until now.
        """
        return self._table.revoke_access(user)

    def revoke_refresh(self, user: str) -> int:
        """Stop accepting the current refresh token of each of a user's sessions.

        Their access tokens stay good.

        Returns:
            How many tokens were not revoked until now.
        """
        return self._table.revoke_refresh(user)

    def strike_sockets(self, fault: Fault) -> int:
        """Let a fault strike every open socket, at once: a drop, a hang, a close, a frame, a refusal.

        Returns:
            How many were open.

        Raises:
            ValueError: The fault is of another kind, or is to strike later.
        """
        if not fault.strikes_open_sockets or fault.seconds > 0:
            raise ValueError(f"fault must be one that strikes an open socket at once, not {fault!r}")
        return 0 if self._websockets is None else self._websockets.strike(fault)

    def _address(self, path: str) -> str:
        if self._runner is None:
            raise RuntimeError("The AuthServer is not running; start it, or use it in `async with`.")
        return f"http://{_HOST}:{self._port}{path}"

    def _endpoints(self) -> Endpoints:
        return Endpoints(
            table=self._table,
            ledger=self.ledger,
            injector=FaultInjector(script=self.faults, ledger=self.ledger, closing=self._closing),
            clock=self._clock,
            counters=self.counters,
            registration=self._registration,
            unauthenticated=self._unauthenticated,
            schema=AuthSchema(),
        )
