"""How a WebSocket is opened: the handshake, and what is refused of it."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import aiohttp

from rxlink.errors import InvariantError, InvariantTypeError, NetworkTimeout, ServerError
from rxlink.transport._body import culprit
from rxlink.transport._failures import network_error
from rxlink.transport._guarding import REDIRECTS
from rxlink.transport._uri import Target
from rxlink.transport._ws_options import WebSocketOptions

__all__ = ["CLOSING_TIME", "protocol_problem", "secrets_of", "shake_hands", "transport_of", "written_params"]

CLOSING_TIME: Final = 2.0  # seconds that the other side has to say goodbye

SWITCHING_PROTOCOLS: Final = 101
"""The status of a handshake that succeeds; aiohttp's words say what else is wrong then, and nothing with another."""

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def written_params(params: Mapping[str, Any], link: str) -> str:
    """Return as JSON what a server is told first.

    Raises:
        InvariantTypeError: JSON cannot carry it; the message tells the place, and no value.
    """
    try:
        return _encode(params)
    except Exception as error:  # noqa: BLE001 - whatever users' objects raise
        is_deep = isinstance(error, RecursionError)
    path, kind = culprit(_encode, {"connection_params": params}, 1 if is_deep else None)
    cure = "await it" if kind == "coroutine" else "convert it to text, a number, a dict or a list"
    raise InvariantTypeError(f"{path} of {link} is a {kind}, which JSON cannot carry; {cure}")


async def shake_hands(
    session: aiohttp.ClientSession, target: Target, options: WebSocketOptions, what: str
) -> aiohttp.ClientWebSocketResponse[bool]:
    """Open a WebSocket.

    Args:
        session: With which it is opened.
        target: Where.
        options: Of the link.
        what: What it is called in messages.

    Raises:
        InvariantError: The server has answered with a redirect.
        NetworkError: There is no connection.
        NetworkTimeout: The server has not answered in time.
        ServerError: It does not want to speak over a WebSocket.
    """
    headers = dict(options.headers)
    if target.authorization is not None and not any(name.lower() == "authorization" for name in headers):
        headers["authorization"] = target.authorization
    limit = asyncio.timeout(options.ack_timeout)
    view = _unredirected(session)
    try:
        async with limit:
            return await view.ws_connect(
                target.url,
                protocols=(options.dialect.name,),
                headers=headers,
                autoclose=False,
                autoping=False,
                max_msg_size=options.max_msg_size,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSING_TIME),  # pyright: ignore[reportCallIssue] - of attrs
                decode_text=False,
            )
    except (aiohttp.ClientError, OSError) as error:
        failure = _failure(error, options, what, is_too_late=limit.expired())
    finally:
        view.detach()
    try:
        # Not where it was caught: there it would carry along the original, which shows all headers.
        raise failure
    finally:
        del failure  # its traceback leads to this frame: no cycles


def secrets_of(target: Target) -> list[str]:
    """Return what of an address must not be shown: user name, password, their header, and what its query says."""
    secrets = [*target.url.query.values(), *target.url.raw_query_string.replace("&", "=").split("=")]
    if target.authorization is not None:
        pair = base64.b64decode(target.authorization.rpartition(" ")[2]).decode(errors="replace")
        secrets += [target.authorization, pair, *pair.split(":", 1)]
    return secrets


def protocol_problem(socket: aiohttp.ClientWebSocketResponse[bool], options: WebSocketOptions) -> str | None:
    """Return why a server is refused that speaks, or may speak, something else; None where it is not."""
    name = options.dialect.name
    if socket.protocol is not None:
        return None
    if _named_protocol(socket) is not None:
        return f"the server does not speak {name}"
    if options.accepts_missing_subprotocol:
        return None
    return (
        f"the server does not say that it speaks {name}; if it does all the same, give the link "
        '`missing_subprotocol="accept"`'
    )


def _named_protocol(socket: aiohttp.ClientWebSocketResponse[bool]) -> str | None:
    """Return which protocol the server says that it speaks, also one that it was not asked for."""
    return socket._response.headers.get("sec-websocket-protocol")  # pyright: ignore[reportPrivateUsage] - nowhere else


def transport_of(socket: aiohttp.ClientWebSocketResponse[bool]) -> asyncio.Transport:
    """Return what an open WebSocket goes over."""
    connection = socket._response.connection  # pyright: ignore[reportPrivateUsage] - as above
    assert connection is not None
    assert connection.transport is not None, "it was opened this moment"
    return connection.transport


def _unredirected(session: aiohttp.ClientSession) -> aiohttp.ClientSession:
    """Return a session that follows no redirect, which would take the headers along, wherever it leads.

    aiohttp's ``ws_connect`` has no option for that. To be detached: the connections are those of the original.
    """
    view = copy.copy(session)
    view.__dict__["request"] = partial(session.request, allow_redirects=False)
    return view


def _failure(
    error: aiohttp.ClientError | OSError, options: WebSocketOptions, what: str, *, is_too_late: bool
) -> Exception:
    if isinstance(error, aiohttp.WSServerHandshakeError):
        return _not_upgraded(error, what)
    if isinstance(error, TimeoutError) and is_too_late:
        return NetworkTimeout(what, seconds=options.ack_timeout or 0.0, option="connection_ack_wait_timeout")
    return network_error(error, what)


def _not_upgraded(error: aiohttp.WSServerHandshakeError, what: str) -> Exception:
    if error.status in REDIRECTS:
        return InvariantError(
            f"{what} answered with a redirect, and a WebSocket follows none; give the link the address that it leads to"
        )
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    said = f" ({error.message})" if error.status == SWITCHING_PROTOCOLS else ""
    return ServerError(
        f"{what} was not opened: the server answered with status {error.status}{said}",
        status_code=error.status,
        headers=headers,
        body_text="",
    )
