"""What an SSE link tells about its subscriptions. Never a secret."""

from __future__ import annotations

import logging
from asyncio import CancelledError
from dataclasses import dataclass, field

from rxlink.auth.signals import Signal
from rxlink.core.operation import Operation
from rxlink.core.work import report_callback_error

__all__ = ["SseAnnouncer", "SseEvent", "SseResumed", "SseRetrying"]

logger = logging.getLogger("rxlink.transport.sse")


@dataclass(frozen=True, slots=True)
class SseEvent:
    """The root of the events of a link.

    Attributes:
        operation: Whose subscription it is about.
    """

    operation: Operation


@dataclass(frozen=True, slots=True)
class SseRetrying(SseEvent):
    """A stream was lost, or could not be opened, and will be opened again.

    Attributes:
        retries: How often that was tried since the last result, from 0.
        wait: In how many seconds.
        error: What had happened.
    """

    retries: int
    wait: float
    error: Exception


@dataclass(frozen=True, slots=True)
class SseResumed(SseEvent):
    """A stream was lost, and the server has opened another one: who asks now misses nothing later.

    A stream that is lost again before its first result, or refused by it, is told of too; the last one counts.

    Attributes:
        may_have_gap: Whether what the server sent between the two streams is lost, because its events have no ids.
        last_event_id: The event after which the server was asked to go on, None where there is no id.
    """

    may_have_gap: bool
    last_event_id: str | None = field(repr=False)


class SseAnnouncer:
    """Tells a link's observers and its log.

    Args:
        link: What the link is called in the log.

    Attributes:
        events: What happens.
    """

    def __init__(self, link: str) -> None:
        self._link = link
        self.events = Signal[SseEvent]()

    def tell(self, event: SseEvent) -> None:
        """Tell of an event."""
        try:
            if isinstance(event, SseRetrying):
                failed = type(event.error).__name__
                logger.warning("%s: %r: %s, again in %.1f s", self._link, event.operation, failed, event.wait)
            else:
                logger.info("%s: %r: resumed", self._link, event.operation)
        except (Exception, CancelledError, GeneratorExit) as error:  # noqa: BLE001 - a handler or a filter
            report_callback_error(error)
        self.events.on_next(event)

    def close(self) -> None:
        """Tell that nothing more will happen."""
        self.events.on_completed()
