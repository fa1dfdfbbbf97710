"""How a command reaches its endpoint: the options, checked, and the chain of links that they make."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import parse_qsl

import aiohttp

from rxlink.auth.link import AuthLink
from rxlink.auth.session import AuthSession
from rxlink.commands.failures import Misuse, line_of, one_line
from rxlink.commands.headers import LOOKS_SECRET, headers_of
from rxlink.commands.protocols import LEGACY_WS, MULTIPART, OVER_WEBSOCKET, SPOKEN, SSE
from rxlink.commands.sources import Sources, valid_text
from rxlink.core.chain import from_
from rxlink.core.documents import MUTATION, SUBSCRIPTION
from rxlink.core.link import ApolloLink
from rxlink.core.operation import Operation
from rxlink.errors import NetworkError, RxlinkError
from rxlink.links.retry import AttemptsOptions, RetryLink
from rxlink.transport.http import DEFAULT_MAX_RESPONSE_SIZE, HttpLink
from rxlink.transport.sse import SseEvent, SseLink, SseResumed, SseRetrying
from rxlink.transport.websocket import (
    GraphQLWsLink,
    Resubscribed,
    WebSocketEvent,
    WebSocketLink,
    WebSocketRetrying,
)

__all__ = ["Connection", "chain_of", "connection_of"]

GAP: Final = "connected again; results of meanwhile may be missing"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)  # which would show secrets
class Connection:
    """How to reach an endpoint.

    Attributes:
        url: Its address.
        protocol: One of ``PROTOCOLS``.
        headers: Of each request, or of the handshake.
        params: What a WebSocket server is told first.
        timeout: Seconds for an answer, or until a subscription is connected; None for no limit.
        idle_timeout: Seconds that an answer in pieces, or a socket, may be silent; None for no limit.
        retries: How often to try again.
        uses_get: Whether queries go with GET.
    """

    url: str
    protocol: str
    headers: Mapping[str, str]
    params: Mapping[str, Any] | None
    timeout: float | None
    idle_timeout: float | None
    retries: int
    uses_get: bool


def connection_of(options: argparse.Namespace, sources: Sources, warn: Callable[[str], None]) -> Connection:
    """Return how to reach the endpoint that the options name.

    Args:
        options: What was given.
        sources: Reads what they name.
        warn: Is told of secrets on the command line.

    Raises:
        Misuse: It cannot be reached that way.
    """
    protocol = _protocol_of(options.url, options.protocol)
    if options.get and protocol != MULTIPART:
        raise Misuse(f"argument --get: it does not go with {protocol}")
    if options.connection_params is not None and protocol not in OVER_WEBSOCKET:
        raise Misuse("argument --connection-params: it is for ws:// and wss:// only; give --header")
    _warn_of_secrets(options.url, warn)
    return Connection(
        url=options.url,
        protocol=protocol,
        headers=headers_of(options, sources, warn),
        params=_params_of(options.connection_params, sources, warn),
        timeout=options.timeout or None,
        idle_timeout=options.idle_timeout or None,
        retries=options.retry,
        uses_get=options.get,
    )


def chain_of(
    connection: Connection,
    auth: AuthSession | None,
    session: aiohttp.ClientSession | None,
    tell: Callable[[str], None],
) -> ApolloLink:
    """Return the chain of links to an endpoint.

    Args:
        connection: How to reach it.
        auth: Whose token to send; None for none.
        session: What to send with; None for the link's own.
        tell: Is told of retries, and of results that may be missing.

    Raises:
        InvariantError: An option makes no sense.
    """
    if connection.protocol in OVER_WEBSOCKET:
        return _socket_link(connection, auth, session, tell)
    links: list[ApolloLink] = []
    if connection.retries:
        links.append(RetryLink(attempts=_attempts(connection, tell)))
    if connection.protocol == SSE:
        links.append(_sse_link(connection, auth, session, tell))
        return from_(links)
    if auth is not None:
        links.append(AuthLink(auth))
    http = HttpLink(
        connection.url,
        headers=connection.headers,
        use_get_for_queries=connection.uses_get,
        timeout=connection.timeout,
        idle_timeout=connection.idle_timeout,
        session=session,
    )
    return from_([*links, http])


def _sse_link(
    connection: Connection,
    auth: AuthSession | None,
    session: aiohttp.ClientSession | None,
    tell: Callable[[str], None],
) -> SseLink:
    link = SseLink(
        connection.url,
        auth=auth,
        headers=connection.headers,
        timeout=connection.timeout,
        idle_timeout=connection.idle_timeout,
        retry_attempts=connection.retries,
        session=session,
    )

    def hear(event: SseEvent) -> None:
        if isinstance(event, SseRetrying):
            tell(f"{line_of(event.error)}; trying again")
        elif isinstance(event, SseResumed) and event.may_have_gap:
            tell(GAP)

    link.events.subscribe(hear)
    return link


def _socket_link(
    connection: Connection,
    auth: AuthSession | None,
    session: aiohttp.ClientSession | None,
    tell: Callable[[str], None],
) -> GraphQLWsLink:
    kind = WebSocketLink if connection.protocol == LEGACY_WS else GraphQLWsLink
    link = kind(
        connection.url,
        auth=auth,
        connection_params=connection.params,
        headers=connection.headers,
        connection_ack_wait_timeout=connection.timeout,
        keep_alive=connection.idle_timeout,
        retry_attempts=connection.retries,
        retry_mutations=False,
        max_msg_size=DEFAULT_MAX_RESPONSE_SIZE,
        session=session,
    )

    def hear(event: WebSocketEvent) -> None:
        if isinstance(event, WebSocketRetrying):
            tell("the connection is lost, or could not be made; trying again")
        elif isinstance(event, Resubscribed) and event.may_have_gap:
            tell(GAP)

    link.events.subscribe(hear)
    return link


def _attempts(connection: Connection, tell: Callable[[str], None]) -> AttemptsOptions:
    """Try again where it makes sense; SseLink does so itself for subscriptions."""

    def is_worth_trying(error: Exception, operation: Operation) -> bool:
        if not isinstance(error, RxlinkError) or not error.retryable:
            return False
        if operation.operation_type == SUBSCRIPTION and connection.protocol == SSE:
            return False
        if operation.operation_type == MUTATION and (not isinstance(error, NetworkError) or error.may_have_arrived):
            return False
        tell(f"{line_of(error)}; trying again")
        return True

    return AttemptsOptions(max=connection.retries + 1, retry_if=is_worth_trying)


def _protocol_of(url: str, wanted: str | None) -> str:
    scheme, colon, rest = valid_text("URL", url).partition("://")
    spoken = SPOKEN.get(scheme.lower())
    if not colon or not rest or spoken is None:
        raise Misuse("argument URL: give an address that starts with http://, https://, ws:// or wss://")
    if wanted is not None and wanted not in spoken:
        raise Misuse(f"argument --protocol: {wanted} is not spoken at {scheme}://; choose from {', '.join(spoken)}")
    return wanted or spoken[0]


def _warn_of_secrets(url: str, warn: Callable[[str], None]) -> None:
    if "@" in url.partition("://")[2].partition("/")[0]:
        warn(
            "warning: the user name and the password in the URL are on the command line, where other users of this "
            "machine and the shell's history have them; give 'authorization: @FILE' or 'authorization: env:NAME' as "
            "--header"
        )
    for name, _ in parse_qsl(url.partition("#")[0].partition("?")[2]):
        if LOOKS_SECRET.search(name):
            warn(
                one_line(
                    f"warning: the value of {name!r} in the URL is on the command line, where other users of this "
                    "machine and the shell's history have it; if the server takes it as a header too, give 'NAME: "
                    "@FILE' or 'NAME: env:NAME' as --header"
                )
            )


def _params_of(given: str | None, sources: Sources, warn: Callable[[str], None]) -> Mapping[str, Any] | None:
    if given is None:
        return None
    try:
        params: Any = json.loads(sources.value("--connection-params", given))
    except (ValueError, RecursionError):
        params = None
    if not isinstance(params, dict):
        raise Misuse('argument --connection-params: it is no JSON object; give one such as {"name": "value"}')
    if not sources.is_elsewhere(given) and any(map(LOOKS_SECRET.search, cast("dict[str, Any]", params))):
        warn(
            "warning: --connection-params has what looks like a secret on the command line, where other users of this "
            "machine and the shell's history have it; give it as @FILE or env:NAME"
        )
    return cast("dict[str, Any]", params)
