"""What a WebSocket link tells about its connection: its state, and what happened to it. Never a secret."""

from __future__ import annotations

import asyncio
import json
import logging
from asyncio import CancelledError
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from rxlink.auth.signals import CurrentSignal, Signal
from rxlink.core.operation import Operation
from rxlink.core.work import report_callback_error
from rxlink.errors import OperationCancelled

__all__ = [
    "Announcer",
    "Resubscribed",
    "WebSocketClosed",
    "WebSocketConnected",
    "WebSocketConnecting",
    "WebSocketEvent",
    "WebSocketRetrying",
    "WebSocketState",
    "log_frame",
    "report_given_up",
]

logger = logging.getLogger("rxlink.transport.websocket")


class WebSocketState(StrEnum):
    """Where the connection of a link stands."""

    IDLE = "idle"
    """Nothing is open, and nobody needs it."""
    CONNECTING = "connecting"
    """A socket is being opened, or waits for its acknowledgement, or for a token."""
    CONNECTED = "connected"
    """Operations run. It stays so while a second socket takes the place of the first."""
    RETRYING = "retrying"
    """The connection was lost, and the link waits before it tries again."""
    CLOSED = "closed"
    """The link was closed."""


@dataclass(frozen=True, slots=True)
class WebSocketEvent:
    """The root of the events of a link."""


@dataclass(frozen=True, slots=True)
class WebSocketConnecting(WebSocketEvent):
    """A socket is being opened; ``is_retry`` tells whether the one before was lost."""

    is_retry: bool


@dataclass(frozen=True, slots=True)
class WebSocketConnected(WebSocketEvent):
    """The server has acknowledged the connection; ``payload`` is what it said to that."""

    was_retry: bool
    payload: Mapping[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class WebSocketClosed(WebSocketEvent):
    """A socket has closed, or could not be opened; ``code`` is None where there never was one."""

    code: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class WebSocketRetrying(WebSocketEvent):
    """The link will try again; ``retries`` counts the tries since the last connection, from 0."""

    retries: int


@dataclass(frozen=True, slots=True)
class Resubscribed(WebSocketEvent):
    """Subscriptions go on, on another socket, where the server has begun them: who asks now misses nothing later.

    A server that does not answer in time whether it has begun them is not waited for; when it does, it is told again.

    Attributes:
        operations: Which; some may have come to their own end by now.
        may_have_gap: Whether results of between the two sockets are lost: whoever needs all of them asks again.
        may_have_duplicates: Whether results of while both were open may have come twice.
    """

    operations: tuple[Operation, ...]
    may_have_gap: bool
    may_have_duplicates: bool


KNOWN: Final = frozenset({
    "complete", "connection_ack", "connection_error", "connection_init", "connection_terminate", "data", "error", "ka",
    "next", "ping", "pong", "start", "stop", "subscribe",
})  # fmt: skip
"""The types of messages, in both protocols."""

LEVELS: Final[Mapping[type[WebSocketEvent], int]] = {WebSocketRetrying: logging.WARNING}


class Announcer:
    """Tells a link's observers and its log.

    Args:
        link: What the link is called in the log.

    Attributes:
        states: Where the connection stands.
        events: What happens.
    """

    def __init__(self, link: str) -> None:
        self._link = link
        self.states = CurrentSignal(WebSocketState.IDLE)
        self.events = Signal[WebSocketEvent]()

    def tell(self, event: WebSocketEvent) -> None:
        """Tell of an event."""
        try:
            shown = f"Resubscribed {len(event.operations)} operations" if isinstance(event, Resubscribed) else event
            logger.log(LEVELS.get(type(event), logging.INFO), "%s: %s", self._link, shown)
        except (Exception, CancelledError, GeneratorExit) as error:  # noqa: BLE001 - a handler or a filter
            report_callback_error(error)
        self.events.on_next(event)

    def stand(self, state: WebSocketState) -> None:
        """Tell where the connection stands now."""
        self.states.on_next(state)

    def close(self) -> None:
        """Tell that nothing more will happen."""
        self.states.on_next(WebSocketState.CLOSED)
        self.events.on_completed()
        self.states.on_completed()


def log_frame(direction: str, frame: bytes) -> None:
    """Log the type of a frame and its size; all else in it may be secret, also a type that there is not."""
    try:
        kind: Any = json.loads(frame).get("type")
    except Exception:  # noqa: BLE001 - what the server has sent may be anything
        kind = None
    shown = kind if isinstance(kind, str) and kind in KNOWN else "(no message)"
    try:
        logger.debug("%s %s: %d bytes", direction, shown, len(frame))
    except (Exception, CancelledError, GeneratorExit) as error:  # noqa: BLE001 - a handler or a filter
        report_callback_error(error)


def report_given_up(error: Exception) -> None:
    """Tell the event loop that a connection is lost for good which should stand; a loop that ends is no news to it."""
    if not isinstance(error, OperationCancelled):
        message = "rxlink: a WebSocket that should stay open was given up"
        asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})
