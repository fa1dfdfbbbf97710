"""What both sides of a WebSocket say to each other, message by message; knows no socket.

The protocol documents: ``graphql-transport-ws`` (``PROTOCOL.md`` of the package graphql-ws), and the older
``graphql-ws`` (``PROTOCOL.md`` of subscriptions-transport-ws). A :class:`Dialect` says in which words, a
:class:`Conversation` is what was said on one socket.
"""

from __future__ import annotations

import json
from asyncio import CancelledError
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias, cast

from rxlink.core.result import FetchResult

__all__ = ["LEGACY_WS", "TRANSPORT_WS", "Conversation", "Dialect", "Peer", "Receiver"]

BAD_MESSAGE: Final = 4400
"""How a socket is closed on which the server has sent what the protocol does not know ("Invalid message")."""
LONGEST_SHOWN: Final = 60  # characters of a message's own words that the reason shows

Payload: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """In which words a protocol says what both have.

    Attributes:
        name: The subprotocol of the handshake.
        subscribe: Begins an operation.
        next: Brings a result of it.
        complete: Ends it, said by the client.
        has_pings: Whether either side may ask whether the other is there.
        usual_overlap: For how many seconds two sockets are heard at once where nothing else is wished.
        farewell: What the client says before it closes, None for nothing.
    """

    name: str
    subscribe: str
    next: str
    complete: str
    has_pings: bool
    usual_overlap: float
    farewell: str | None = None


TRANSPORT_WS: Final = Dialect(
    name="graphql-transport-ws",
    subscribe="subscribe",
    next="next",
    complete="complete",
    has_pings=True,
    usual_overlap=0.0,
)
LEGACY_WS: Final = Dialect(
    name="graphql-ws",
    subscribe="start",
    next="data",
    complete="stop",
    has_pings=False,
    usual_overlap=1.0,
    farewell='{"type":"connection_terminate"}',
)


class Receiver(Protocol):
    """Who gets what the server answers to one operation."""

    def on_next(self, result: FetchResult, /) -> None:
        """Take a result."""

    def on_error(self, errors: list[Any], /) -> None:
        """Take the errors with which the operation has ended."""

    def on_completed(self) -> None:
        """Take note that the operation has ended."""


class Peer(Protocol):
    """Who sends what the client says, and is told what the server says about the connection."""

    def send(self, text: str, /) -> None:
        """Send a message."""

    def violated(self, code: int, reason: str, /) -> None:
        """Close the socket: the server has broken the protocol."""

    def acknowledged(self, payload: Payload | None, /) -> None:
        """The server is ready for operations."""

    def refused(self, reason: str, /) -> None:
        """The server does not want this connection, and says so in a message of its own (``connection_error``)."""

    def respond(self, pong: str, /) -> None:
        """Send the answer to a ping."""

    def answered(self, payload: Payload | None, /) -> None:
        """The server has answered a ping, or says so."""


class _Violation(Exception):
    """The server has sent what the protocol does not know."""


class Conversation:
    """What was said on one socket.

    Args:
        dialect: In which words.
        peer: Who sends, and is told.
        decode: Makes objects of JSON in UTF-8.

    Attributes:
        is_acknowledged: Whether operations may be sent.
        is_over: Whether the server has broken the protocol; nothing is heard any more.
        receivers: Who gets the answers, by the operation's id.
    """

    __slots__ = ("_decode", "_dialect", "_next", "_peer", "_readers", "is_acknowledged", "is_over", "receivers")

    def __init__(self, dialect: Dialect, peer: Peer, decode: Callable[[bytes], Any]) -> None:
        self._dialect = dialect
        self._peer = peer
        self._decode = decode
        self._next = dialect.next
        self._readers = _READERS_WITH_PINGS if dialect.has_pings else _READERS_OF_LEGACY
        self.is_acknowledged = False
        self.is_over = False
        self.receivers: dict[str, Receiver] = {}

    def initialise(self, payload: str | None) -> None:
        """Ask for the connection, with parameters that are JSON already."""
        extra = "" if payload is None else f',"payload":{payload}'
        self._peer.send(f'{{"type":"connection_init"{extra}}}')

    def subscribe(self, identity: str, body: str, receiver: Receiver) -> None:
        """Begin an operation; its body is JSON already."""
        self.receivers[identity] = receiver
        self._peer.send(f'{{"id":{json.dumps(identity)},"type":"{self._dialect.subscribe}","payload":{body}}}')

    def unsubscribe(self, identity: str) -> None:
        """Hear nothing of an operation any more, and tell the server, unless that has ended it."""
        if self.receivers.pop(identity, None) is not None:
            self._peer.send(f'{{"id":{json.dumps(identity)},"type":"{self._dialect.complete}"}}')

    def ping(self, payload: Payload | None = None) -> None:
        """Ask whether the server is there."""
        extra = "" if payload is None else f',"payload":{json.dumps(payload, separators=(",", ":"))}'
        self._peer.send(f'{{"type":"ping"{extra}}}')

    def receive(self, data: bytes) -> None:
        """Take a message, and tell whom it is for."""
        if self.is_over:
            return
        try:
            message = self._read(data)
            if message["type"] != self._next:
                self._reader_of(message["type"])(self, message)
                return
            receiver, payload = self._receiver_of(message), message.get("payload")
            if not isinstance(payload, dict):
                raise _Violation(f"the payload of '{self._next}' is no object")
        except _Violation as violation:
            self.violate(str(violation))
            return
        if receiver is not None:
            receiver.on_next(payload)  # pyright: ignore[reportUnknownArgumentType] - an object is a result

    def violate(self, reason: str) -> None:
        """Close the socket for what the server has sent."""
        self.is_over = True
        self._peer.violated(BAD_MESSAGE, reason)

    def _read(self, data: bytes) -> dict[str, Any]:
        try:
            message: dict[str, Any] = self._decode(data)
        except (Exception, CancelledError, GeneratorExit):  # noqa: BLE001 - of a user's decoder, and it may show secrets
            raise _Violation("a message is no JSON") from None
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):  # pyright: ignore[reportUnnecessaryIsInstance] - JSON may be anything
            raise _Violation("a message has no type")
        return message

    def _reader_of(self, kind: str) -> Callable[[Conversation, dict[str, Any]], None]:
        reader = self._readers.get(kind)
        if reader is None:
            # Whole or not at all: of what is cut, nobody could tell that it begins with a secret.
            shown = repr(kind) if len(kind) <= LONGEST_SHOWN else f"of {len(kind)} characters"
            raise _Violation(f"a message has the unknown type {shown}")
        return reader

    def _receiver_of(self, message: dict[str, Any]) -> Receiver | None:
        """Return who is meant; nobody by an unknown id, which may be of an operation that has ended meanwhile."""
        if not self.is_acknowledged:
            raise _Violation(f"the first message is '{message['type']}', not 'connection_ack'")
        identity: Any = message.get("id")
        if not isinstance(identity, str) or not identity:
            raise _Violation(f"a message of type '{message['type']}' has no id")
        return self.receivers.get(identity)

    def _read_acknowledgement(self, message: dict[str, Any]) -> None:
        if self.is_acknowledged:
            raise _Violation("a second 'connection_ack'")
        payload = _object_or_nothing(message)
        self.is_acknowledged = True
        self._peer.acknowledged(payload)

    def _read_error(self, message: dict[str, Any]) -> None:
        receiver = self._receiver_of(message)
        payload: Any = message.get("payload")
        if not self._dialect.has_pings and isinstance(payload, dict):
            payload = [payload]  # the older protocol has one error there
        if not isinstance(payload, list) or not payload:
            raise _Violation("the payload of 'error' is no list of errors")
        if receiver is not None:
            del self.receivers[message["id"]]
            receiver.on_error(cast("list[Any]", payload))

    def _read_completion(self, message: dict[str, Any]) -> None:
        receiver = self._receiver_of(message)
        if receiver is not None:
            del self.receivers[message["id"]]
            receiver.on_completed()

    def _read_ping(self, message: dict[str, Any]) -> None:
        payload, extra = _object_or_nothing(message), ""
        # A user's decoder may make what JSON cannot carry, and it may be nested too deeply to be written again.
        with suppress(TypeError, ValueError, RecursionError):
            extra = (
                "" if payload is None else f',"payload":{json.dumps(payload, separators=(",", ":"), allow_nan=False)}'
            )
        self._peer.respond(f'{{"type":"pong"{extra}}}')

    def _read_pong(self, message: dict[str, Any]) -> None:
        self._peer.answered(_object_or_nothing(message))

    def _read_refusal(self, message: dict[str, Any]) -> None:
        payload: Any = message.get("payload")
        words: Any = cast("dict[str, Any]", payload).get("message") if isinstance(payload, dict) else payload
        self.is_over = True
        self._peer.refused(words if isinstance(words, str) else "")

    def _read_sign_of_life(self, message: dict[str, Any]) -> None:
        """The older protocol's ``ka``."""


def _object_or_nothing(message: dict[str, Any]) -> dict[str, Any] | None:
    payload: Any = message.get("payload")
    if payload is not None and not isinstance(payload, dict):
        raise _Violation(f"the payload of '{message['type']}' is no object")
    return cast("dict[str, Any] | None", payload)


_READERS: Final[dict[str, Callable[[Conversation, dict[str, Any]], None]]] = {
    "connection_ack": Conversation._read_acknowledgement,  # pyright: ignore[reportPrivateUsage] - of this module
    "connection_error": Conversation._read_refusal,  # pyright: ignore[reportPrivateUsage] - of this module
    "error": Conversation._read_error,  # pyright: ignore[reportPrivateUsage] - of this module
    "complete": Conversation._read_completion,  # pyright: ignore[reportPrivateUsage] - of this module
}
"""``connection_error`` is of the older protocol; some servers of the newer one say it too."""
_READERS_WITH_PINGS: Final = _READERS | {
    "ping": Conversation._read_ping,  # pyright: ignore[reportPrivateUsage] - of this module
    "pong": Conversation._read_pong,  # pyright: ignore[reportPrivateUsage] - of this module
}
_READERS_OF_LEGACY: Final = _READERS | {"ka": Conversation._read_sign_of_life}  # pyright: ignore[reportPrivateUsage] - of this module
