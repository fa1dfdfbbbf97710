"""Send operations over a WebSocket, and keep subscriptions alive while sockets and tokens come and go.

Ports: ``@apollo/client`` 4.3.8 ``src/link/subscriptions/index.ts`` (``GraphQLWsLink``) with the client that it is made
of, ``graphql-ws`` 6.x ``src/client.ts``; and ``src/link/ws/index.ts`` (``WebSocketLink``).
Differs: the client's options are the link's. What is told to the server first is gathered before the socket is opened,
so that a token refresh does not take the time that the server allows for it (there after). By default a silent server
is given up: the handshake and the acknowledgement have 30 s each, and after 30 s without a word the server is asked
whether it is there (there neither has an end). Connections that could not be made are tried again too (there only those
that have closed), and after a normal close by the server with operations still running the link waits before it
connects anew (there it does so at once, for ever). A message that the protocol does not know closes the socket with
4400, as the protocol document says (there 4004), and so does a second acknowledgement (there it is ignored). Closing
the link ends its operations with ``ClientClosed`` (there they complete). Empty ``extensions``, and variables that the
document does not use, are not sent. Redirects of the handshake are refused, as browsers do. A handshake that the server
refuses is a ``ServerError`` with its status, and another subprotocol a close with 4406 (there an error without words).
A socket that nobody waits for any more is given up before it is open (there after), and who comes while one closes gets
a new one at once, as does the first operation after all tries are used up. A loss is told once the server has begun the
operations again, for which a ping goes behind them (there nothing is told, and nothing sent). Tries are counted anew
only after a connection that has brought a result or has stood for 10 s (there after each acknowledgement, so that a
server that acknowledges and closes is tried for ever); waits stop growing at 64 s (there they double for ever), and a
mutation that was under way is sent again once (there without end). A server that sends and takes nothing is given up
(there never). ``WebSocketLink`` connects, waits and tries again by the same rules as ``GraphQLWsLink``, so that it
reconnects by default, and waits for the acknowledgement before it sends operations.
"""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Any, ClassVar, Final, Self

import aiohttp
from reactivex import Observable

from rxlink.auth.classify import AuthErrorClassifier, AuthErrorPredicate, is_auth_error
from rxlink.auth.link import AuthLink
from rxlink.auth.session import AuthSession
from rxlink.core.link import ApolloLink, Forward
from rxlink.core.operation import Operation
from rxlink.core.options import kind_of
from rxlink.core.result import FetchResult
from rxlink.core.subscription import Connect, ResultObserver, Subscription
from rxlink.core.timing import Duration
from rxlink.core.work import close_unawaited
from rxlink.errors import ClientClosed, InvariantError, InvariantTypeError
from rxlink.transport._body import JsonEncoder, Printer
from rxlink.transport._response import JsonDecoder
from rxlink.transport._sessions import GivenSession, OwnSessions
from rxlink.transport._ws_client import SocketClient
from rxlink.transport._ws_connections import Connections
from rxlink.transport._ws_events import (
    Announcer,
    Resubscribed,
    WebSocketClosed,
    WebSocketConnected,
    WebSocketConnecting,
    WebSocketEvent,
    WebSocketRetrying,
    WebSocketState,
)
from rxlink.transport._ws_operation import LiveOperation
from rxlink.transport._ws_options import (
    ConnectionParams,
    MissingSubprotocol,
    OnNewToken,
    RetryWait,
    UrlFunction,
    checked_options,
)
from rxlink.transport._ws_protocol import LEGACY_WS, TRANSPORT_WS, Dialect
from rxlink.transport._ws_tokens import checked_session

__all__ = [
    "ConnectionParams",
    "GraphQLWsLink",
    "MissingSubprotocol",
    "OnNewToken",
    "Resubscribed",
    "RetryWait",
    "WebSocketClosed",
    "WebSocketConnected",
    "WebSocketConnecting",
    "WebSocketEvent",
    "WebSocketLink",
    "WebSocketRetrying",
    "WebSocketState",
]

DEFAULT_MAX_MSG_SIZE: Final = 4 * 1024 * 1024  # bytes
DEFAULT_AUTH_CLOSE_CODES: Final = (4401, 4403)
OVERLAP: Final = "overlap"


def bearer(token: str) -> Mapping[str, Any]:
    """Return a token as servers read it most often from the parameters of a connection."""
    return {"authorization": f"Bearer {token}"}


class GraphQLWsLink(ApolloLink):
    """Send operations over a WebSocket with the protocol ``graphql-transport-ws``.

    The link stands at the end of a chain, mostly on the branch of a ``split`` that gets the subscriptions; queries and
    mutations go over the socket as well. All operations of an event loop share one socket. It opens with the first and
    closes after the last (``lazy``). Where it is lost, the link connects anew and sends all of them again, in their
    order, on the same observables: after 1.3 to 4 s, then 2.3 to 5 s, and so on, ``retry_attempts`` times in a row.

    With an ``AuthSession`` the link tells the server the session's token at each connect, refreshed before if it has to
    be. Before a token ends it has it refreshed, and goes over to a socket with the new one: by default that is open and
    has all subscriptions before the first one closes, so that no result is lost, and what came on both comes twice
    unless there is a ``dedup_key``. Where the server closes because of the token, it is refreshed, and the link
    connects again at once; where it refuses the new one too, or nobody is signed in, operations end with an error.
    Where it denies a single operation because of the token, that one is sent again after a refresh, once. A sign-out,
    or another login, ends the operations of the login before with ``SessionEnded``.

    :attr:`states` and :attr:`events` tell what becomes of the connection; :class:`Resubscribed` says whose results may
    have a gap, or come twice.

    Errors:
        :class:`~rxlink.errors.CombinedGraphQLErrors`: the server has ended the operation with errors. (Errors in a
        result stay there.)
        :class:`~rxlink.errors.SocketClosed`, :class:`~rxlink.errors.NetworkError`, :class:`~rxlink.errors.ServerError`:
        there is no connection, and trying again makes no sense, or was done often enough.
        :class:`~rxlink.errors.SerializationError`: variables that JSON cannot carry.
        :class:`~rxlink.errors.AuthError`: of the session.
        :class:`~rxlink.errors.ClientClosed`: the link, or the session, was closed.
        What ``connection_params``, ``url`` and the other functions raise.

    Example:
        >>> import asyncio
        >>> from reactivex import operators as ops
        >>> from rxlink import GraphQLRequest, execute
        >>> from rxlink.testing import AuthServer
        >>> async def main():
        ...     async with AuthServer() as server:
        ...         params = {"authorization": f"Bearer {server.sign_in('ada').access_token}"}
        ...         async with GraphQLWsLink(server.ws_url, connection_params=params) as link:
        ...             ticks = execute(link, GraphQLRequest("subscription { ticks(every: 0.01) }"))
        ...             return await ticks.pipe(ops.map(lambda tick: sorted(tick["data"])), ops.take(2), ops.to_list())
        >>> asyncio.run(main())
        [['ticks'], ['ticks']]
    """

    is_terminating = True
    _dialect: ClassVar[Dialect] = TRANSPORT_WS

    def __init__(
        self,
        url: str | UrlFunction,
        *,
        connection_params: ConnectionParams | None = None,
        auth: AuthSession | None = None,
        auth_params: Callable[[str], Mapping[str, Any]] = bearer,
        is_auth_error: AuthErrorPredicate | AuthErrorClassifier = is_auth_error,
        auth_close_codes: Collection[int] = DEFAULT_AUTH_CLOSE_CODES,
        auth_close_messages: Collection[str | re.Pattern[str]] = (),
        on_new_token: OnNewToken = OVERLAP,
        overlap: Duration | None = None,
        dedup_key: Callable[[FetchResult], Hashable] | None = None,
        allow_insecure: bool = False,
        headers: Mapping[str, str] | None = None,
        lazy: bool = True,
        lazy_close_timeout: Duration = 0.0,
        on_non_lazy_error: Callable[[Exception], None] | None = None,
        keep_alive: Duration | None = 30.0,
        keep_alive_timeout: Duration = 10.0,
        connection_ack_wait_timeout: Duration | None = 30.0,
        retry_attempts: int | None = 5,
        retry_wait: RetryWait | None = None,
        should_retry: Callable[[Exception], bool] | None = None,
        is_fatal_connection_problem: Callable[[Exception], bool] | None = None,
        retry_mutations: bool = True,
        generate_id: Callable[[Mapping[str, Any]], str] | None = None,
        missing_subprotocol: MissingSubprotocol = "refuse",
        max_msg_size: int = DEFAULT_MAX_MSG_SIZE,
        print: Printer | None = None,
        encode: JsonEncoder | None = None,
        decode: JsonDecoder | None = None,
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        """Make the link; it connects to nothing yet. Durations are seconds, or a ``timedelta``.

        Args:
            url: Where to connect: a ws(s) address, or a function that returns one, or an awaitable of one, at each
                connect. User name and password in it become an ``authorization`` header of the handshake.
            connection_params: What the server is told first (the payload of ``connection_init``): a mapping, or a
                function that returns one, or an awaitable or an Observable of one, at each connect.
            auth: The session whose token goes into these parameters; None for none.
            auth_params: Gets the token and returns what is merged over ``connection_params``; by default
                ``{"authorization": "Bearer <token>"}``.
            is_auth_error: Tells which errors of a single operation mean that the token is no longer accepted, as
                AuthLink's.
            auth_close_codes: Close codes that mean it; so do a ``connection_error`` (4403) and a handshake that ends
                with status 401 or 403.
            auth_close_messages: Reasons of a close that mean it: text is the whole reason, a compiled pattern is
                searched in it.
            on_new_token: How the connection goes over to a new token. ``"overlap"``: the new socket has all
                subscriptions before the old one closes. ``"reconnect"``: queries and mutations under way end first,
                for at most ``keep_alive_timeout``, and what begins meanwhile waits; then the old one closes, and what
                the server sends until the new one is there is lost. ``"keep"``: the old one stays as long as the server
                lets it.
            overlap: How long both sockets are heard in an overlap after the server has answered a ping on the new one,
                and how long the link waits after a ping's answer before it tells of a gap: for servers that begin a
                subscription later than they answer a ping. None for 0; with the older protocol, which has no pings,
                for 1.
            dedup_key: Gets a result, of any operation, and returns what tells it from all others of its operation;
                results with the key of one before are left out. It is asked in an overlap only. Where it returns None,
                or raises, the result passes. None as the option lets all pass.
            allow_insecure: Whether the token may go over plain ws to another machine.
            headers: Of the handshake.
            lazy: Whether the socket is open only while there are operations. False: it is opened by ``async with`` or
                the first operation, and kept.
            lazy_close_timeout: How long it stays open after the last operation, default 0.
            on_non_lazy_error: Gets the error with which the link has given up a connection that it should keep; None
                gives it to the event loop's exception handler.
            keep_alive: After how long without a message the server is asked whether it is there, default 30; None for
                never.
            keep_alive_timeout: How long it may take to answer that, default 10; then the socket is given up (4499).
            connection_ack_wait_timeout: How long the handshake may take, and then the acknowledgement (4504), default
                30; None for ever.
            retry_attempts: How often in a row to connect anew without a connection that served, default 5; 0 never,
                None without end.
            retry_wait: Gets the number of tries since the last connection, from 0, and returns how long to wait, or an
                awaitable that waits. None: 2 to the power of that number, at most 64 s, and 0.3 to 3 s more at
                random.
            should_retry: Gets the error that ended the connection and tells whether to connect anew. None: except
                after what would happen again. It is not asked about close codes that are fatal in any case.
            is_fatal_connection_problem: Gets the error too; true ends the operations with it.
            retry_mutations: Whether mutations that were under way are sent again on the next socket, once; False ends
                them with the error: they may have run.
            generate_id: Gets what is sent of an operation and returns its id, which no other on the same socket had
                lately: its last results may be on their way. None makes a UUID.
            missing_subprotocol: What to do with a server that does not say which protocol it speaks.
            max_msg_size: The largest message in bytes, default 4 MiB; 0 for any.
            print: Gets a document and the default printer, and returns GraphQL text. None prints each document once.
            encode: Makes JSON of what is sent of an operation, such as ``orjson.dumps``. None: compact JSON.
            decode: Makes objects of JSON in UTF-8, such as ``orjson.loads``. None: a strict ``json.loads``.
            session: An aiohttp session to open sockets with, which is never closed; None for the link's own.

        Raises:
            InvariantError: The url is no ws(s) address; an option is out of its range.
            InvariantTypeError: An option has the wrong type; a function takes other arguments than these, or is a
                coroutine function where its answer is not awaited.
        """
        super().__init__()
        name = type(self).__name__
        self._options = checked_options(
            name,
            self._dialect,
            url=url,
            connection_params=connection_params,
            on_new_token=on_new_token,
            overlap=overlap,
            dedup_key=dedup_key,
            headers=headers,
            lazy=lazy,
            lazy_close_timeout=lazy_close_timeout,
            on_non_lazy_error=on_non_lazy_error,
            keep_alive=keep_alive,
            keep_alive_timeout=keep_alive_timeout,
            connection_ack_wait_timeout=connection_ack_wait_timeout,
            retry_attempts=retry_attempts,
            retry_wait=retry_wait,
            should_retry=should_retry,
            is_fatal_connection_problem=is_fatal_connection_problem,
            retry_mutations=retry_mutations,
            generate_id=generate_id,
            missing_subprotocol=missing_subprotocol,
            max_msg_size=max_msg_size,
            print=print,
            encode=encode,
            decode=decode,
        )
        self._tokens = checked_session(
            name,
            auth,
            params=auth_params,
            is_auth_error=is_auth_error,
            close_codes=auth_close_codes,
            close_messages=auth_close_messages,
            allow_insecure=allow_insecure,
        )
        sessions = OwnSessions() if session is None else GivenSession(session, name)
        self._announcer = Announcer(repr(self))
        self._connections = Connections(self._options, sessions, self._tokens, self._announcer)

    @property
    def states(self) -> Observable[WebSocketState]:
        """Where the connection stands: the current state at once, then each change."""
        return self._announcer.states.as_observable()

    @property
    def events(self) -> Observable[WebSocketEvent]:
        """What happens to the connection, as it happens; never a secret."""
        return self._announcer.events.as_observable()

    def connect(self, forward: Forward) -> Connect:
        """Prepare to run operations; see :meth:`ApolloLink.connect`."""
        return self._start

    def check_place(self, above: Sequence[ApolloLink]) -> None:
        """Refuse a place behind an AuthLink that does nothing for a socket, or has the same tokens to refresh.

        Raises:
            InvariantError: There is one above.
        """
        sessions = [other.session for other in above if isinstance(other, AuthLink)]
        if sessions and self._tokens is None and self._options.connection_params is None:
            raise InvariantError(
                f"the AuthLink above {type(self).__name__} writes a header, which no message of a socket carries; give "
                "the link the session: GraphQLWsLink(url, auth=session), and put AuthLink on the other branch"
            )
        if self._tokens is not None and self._tokens.session in sessions:
            raise InvariantError(
                f"{type(self).__name__} has the session of the AuthLink above, and would do again what that does; put "
                "AuthLink on the other branch: split(is_subscription, ws_link, from_([AuthLink(session), http_link]))"
            )

    async def aclose(self) -> None:
        """Close the sockets; operations that run, or come later, get ``ClientClosed``.

        Those of other event loops do so there, soon; :attr:`states` and :attr:`events` end with the last of them. A
        given session stays open.
        """
        await self._connections.aclose()

    async def __aenter__(self) -> Self:
        """Begin to connect, where the socket is to be open without operations."""
        if not self._options.is_lazy and not self._connections.is_closed:
            self._connections.on(asyncio.get_running_loop()).wake()
        return self

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._options.shown_url}>"

    def _start(self, operation: Operation, observer: ResultObserver, root: Subscription) -> None:
        try:
            if self._connections.is_closed:
                raise ClientClosed(repr(self))
            tokens = self._tokens
            if tokens is not None and tokens.is_inside_refresh():
                raise InvariantError(
                    f"{operation!r} is sent by the refresh of the session of {self!r}, and the link waits for that "
                    "before it connects; let the refresh send its operations over HTTP"
                )
            client = self._connections.on(root.event_loop())
            body = self._options.body_of(operation)
            live = LiveOperation(
                client.operations,
                operation,
                observer,
                root,
                identity=self._identity_of(operation, body, client),
                body=body,
                epoch=None if tokens is None else tokens.login,
                dedup_key=self._options.dedup_key,
            )
        except Exception as error:  # noqa: BLE001 - users' functions run here
            observer.on_error(error)
            return
        root.hold(live)
        if not live.is_over:  # a user's function may have left the operation
            client.operations.add(live)

    def _identity_of(self, operation: Operation, body: str, client: SocketClient) -> str:
        generate_id = self._options.generate_id
        if generate_id is None:
            return str(uuid.uuid4())
        identity: Any = generate_id(json.loads(body))
        if not isinstance(identity, str) or not identity:
            if not isinstance(identity, str):
                close_unawaited(identity)
            shown = "no text" if identity == "" else kind_of(identity)
            raise InvariantTypeError(f"`generate_id` returned {shown} for {operation!r}; let it return text")
        if client.operations.has_identity(identity):
            raise InvariantError(
                f"`generate_id` returned {identity!r} for {operation!r}, while another one runs with it"
            )
        return identity


class WebSocketLink(GraphQLWsLink):
    """Send operations over a WebSocket with the older protocol, of ``subscriptions-transport-ws``.

    For servers that speak no other. Its options, and what it does, are those of :class:`GraphQLWsLink`, but for what
    that protocol lacks: it has no pings of its own, so that a silent server is found out with those of the WebSocket,
    and an overlap has no other end than ``overlap``, which by default is a second here.

    Example:
        >>> from rxlink import from_
        >>> link = from_([WebSocketLink("ws://localhost:4000/subscriptions")])
    """

    _dialect: ClassVar[Dialect] = LEGACY_WS
