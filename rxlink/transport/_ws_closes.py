"""What the codes mean with which a WebSocket closes, and after which of them it is opened again.

Ports: ``graphql-ws`` 6.x ``src/client.ts``, its list of fatal codes, and ``src/common.ts``, ``CloseCode``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, cast

import aiohttp

from rxlink.core.options import kind_of
from rxlink.errors import (
    InvariantError,
    InvariantTypeError,
    NetworkError,
    OperationCancelled,
    RxlinkError,
    SocketClosed,
)

__all__ = [
    "ABNORMAL",
    "CLIENT_RESTART",
    "FORBIDDEN",
    "NORMAL",
    "SERVER_GONE",
    "as_error",
    "checked_codes",
    "checked_messages",
    "closed",
    "ending",
    "is_fatal",
    "masked",
    "shortened",
]

NORMAL: Final = 1000
NO_STATUS: Final = 1005
ABNORMAL: Final = 1006
TOO_BIG: Final = 1009
CLIENT_RESTART: Final = 4205
FORBIDDEN: Final = 4403
SERVER_GONE: Final = 4499
"""The name of graphql-ws for it is "Terminated": the socket has frozen, and was given up."""

LONGEST_REASON: Final = 123  # bytes (RFC 6455 section 5.5.1)
LONGEST_WORDS: Final = 500  # characters of what a server says that an error shows
SHORTEST_SECRET: Final = 6  # characters; shorter ones, such as "1", would blot out words that say nothing

HIDDEN: Final = "***"

RETRIED_OF_THE_STANDARD: Final = frozenset({1000, 1001, 1005, 1006, 1012, 1013, 1014})
"""Of the codes below 2000; all others of them are fatal."""
STANDARD: Final = range(1000, 2000)
CLOSE_CODES: Final = range(1000, 5000)

MEANINGS: Final[Mapping[int, str]] = {
    1002: "protocol error",
    1003: "unacceptable data",
    1007: "invalid data",
    1008: "policy violation",
    1009: "too large; what this side takes says `max_msg_size`",
    1010: "an extension is missing",
    1011: "internal error of the server",
    1015: "TLS failed",
    4004: "bad response",
    4005: "internal error of the client",
    4400: "a message that the protocol does not know",
    4401: "the server does not accept what it was told: see `connection_params`, or `auth`",
    4403: "the server does not accept what it was told: see `connection_params`, or `auth`",
    4406: "the server speaks another subprotocol",
    4408: "the connection was not initialised in time",
    4409: "two operations with one id",
    4429: "the connection was initialised twice",
    4499: "the server did not answer",
    4500: "internal error of the server",
    4504: "the server did not acknowledge the connection in time",
}
FATAL_OF_THE_PROTOCOL: Final = frozenset({4500, 4005, 4400, 4004, 4401, 4406, 4409, 4429})
"""4403, 4408 and 4504 are none: another attempt may go better."""


def is_fatal(error: Exception) -> bool:
    """Tell whether opening the socket again would end in the same way."""
    if isinstance(error, SocketClosed):
        return error.code in FATAL_OF_THE_PROTOCOL or (
            error.code in STANDARD and error.code not in RETRIED_OF_THE_STANDARD
        )
    if isinstance(error, NetworkError):
        return not error.retryable
    if isinstance(error, (OSError, aiohttp.ClientError)):
        return False  # of a function of the application, which has asked another server
    return not (isinstance(error, RxlinkError) and error.retryable)


def closed(code: int, reason: str = "", *, meaning: str | None = None) -> SocketClosed:
    """Return the error of operations whose socket has closed; None as the meaning for that of the code."""
    meaning = MEANINGS.get(code, "") if meaning is None else meaning
    error = SocketClosed(code, reason, meaning="" if meaning == reason.lower() else meaning)
    error.retryable = not is_fatal(error)
    return error


def ending(message: aiohttp.WSMessage, max_msg_size: int, mask: Callable[[str], str]) -> SocketClosed:
    """Return what the last message of a socket amounts to; the server's words are masked."""
    if message.type is aiohttp.WSMsgType.CLOSE:
        return closed(message.data or NO_STATUS, mask(message.extra or ""))
    if isinstance(message.data, aiohttp.WebSocketError):  # with whose code aiohttp has closed
        if message.data.code == TOO_BIG:
            return closed(TOO_BIG, f"a message is larger than {max_msg_size} bytes")
        return closed(message.data.code, "the server has broken the rules of WebSockets")
    return closed(ABNORMAL)


def as_error(failure: BaseException) -> Exception:
    """Return what operations get where a user's function has raised something: also what is no error, as one."""
    if isinstance(failure, Exception):
        return failure
    error = OperationCancelled("a function of the link")
    error.__cause__ = failure
    return error


def shortened(reason: str) -> str:
    """Cut a reason to what a close frame can carry."""
    return reason.encode()[:LONGEST_REASON].decode(errors="ignore")


def masked(text: str, *sent: object) -> str:
    """Blot out of a server's words what was sent to it before the connection stood: that may hold tokens.

    Args:
        text: The words; of many, the first are returned.
        sent: Parameters of the connection, headers, and secrets of the address.
    """
    secrets = set[str]().union(*map(_texts_in, sent)) if text else set[str]()
    end = "..." if len(text) > LONGEST_WORDS else ""
    text = text[:LONGEST_WORDS]
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    # A token may be longer than what a close frame can carry, or be cut above.
    longest = min(len(text), max(map(len, secrets), default=0))
    for length in range(longest, SHORTEST_SECRET - 1, -1):
        if any(secret.startswith(text[-length:]) for secret in secrets):
            return text[:-length] + HIDDEN + end
    return text + end


def _texts_in(value: object) -> set[str]:
    if isinstance(value, str):
        return {part for part in (value, *value.split()) if len(part) >= SHORTEST_SECRET and part.lower() != "bearer"}
    if isinstance(value, Mapping):
        value = list(cast("Mapping[Any, Any]", value).values())
    if isinstance(value, list):
        return set[str]().union(*map(_texts_in, cast("list[Any]", value)))
    return set()


def checked_codes(name: str, codes: object) -> frozenset[int]:
    """Return a set of close codes.

    Raises:
        InvariantTypeError: This is no collection of whole numbers.
        InvariantError: One is no close code.
    """
    if not isinstance(codes, Collection) or isinstance(codes, (str, bytes, Mapping)):
        raise InvariantTypeError(f"`{name}` is {kind_of(cast('object', codes))}; give a list of close codes")
    for code in cast("Collection[object]", codes):
        if isinstance(code, bool) or not isinstance(code, int):
            raise InvariantTypeError(f"`{name}` holds {kind_of(code)}; give close codes such as 4401")
        if code not in CLOSE_CODES:
            raise InvariantError(f"`{name}` holds {code}; close codes are 1000 to 4999")
    return frozenset(cast("Collection[int]", codes))


def checked_messages(name: str, messages: object) -> tuple[str | re.Pattern[str], ...]:
    """Return texts and patterns.

    Raises:
        InvariantTypeError: This is no collection of them.
    """
    if not isinstance(messages, Collection) or isinstance(messages, (str, bytes, Mapping)):
        raise InvariantTypeError(f"`{name}` is {kind_of(cast('object', messages))}; give a list of texts or patterns")
    for message in cast("Collection[object]", messages):
        if not isinstance(message, (str, re.Pattern)):
            raise InvariantTypeError(f"`{name}` holds {kind_of(message)}; give texts or compiled patterns")
    return tuple(cast("Collection[str | re.Pattern[str]]", messages))
