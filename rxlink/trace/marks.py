"""What is marked on the line of an operation: what came to the transport and to the subscriber."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from rxlink.trace.events import TraceEvent, TraceKind

__all__ = ["ARRIVALS", "Mark", "MarkKind", "marks_of"]


class MarkKind(StrEnum):
    """What is marked at a moment."""

    SENT = "sent"
    REFUSED = "answered with errors, which went no further"
    RESULT = "result"
    ERRORS = "result with errors"
    FAILED = "error"
    COMPLETED = "completed"
    LEFT = "left by its subscriber"


@dataclass(frozen=True, slots=True)
class Mark:
    """What happened to an operation at a moment.

    Attributes:
        kind: What.
        event: The event.
    """

    kind: MarkKind
    event: TraceEvent


ARRIVALS: Final = {TraceKind.STARTED, TraceKind.FORWARDED}
ANSWERS: Final = {TraceKind.RESULT, TraceKind.ERROR}
OF_THE_SUBSCRIBER: Final = {
    TraceKind.RESULT: MarkKind.RESULT,
    TraceKind.ERROR: MarkKind.FAILED,
    TraceKind.BROKEN: MarkKind.FAILED,
    TraceKind.COMPLETED: MarkKind.COMPLETED,
    TraceKind.DISPOSED: MarkKind.LEFT,
}


def marks_of(events: Sequence[TraceEvent], *, has_transport: bool) -> Iterator[Mark]:
    """Mark what happened to an operation.

    What the transport has answered is marked where it was an error that went no further: else it is the subscriber's.

    Args:
        events: What is known of the operation.
        has_transport: Whether the place of the transport is traced; else the deepest place stands for it.
    """
    deepest = max(event.depth for event in events)
    answer: Mark | None = None
    for event in events:
        is_bottom = event.is_transport or (not has_transport and event.depth == deepest)
        if _is_of_the_subscriber(event):
            answer = None if event.kind in ANSWERS else answer
        elif is_bottom and event.depth > 0 and event.kind in ANSWERS:
            answer = _refusal(event)
        if answer is not None and _goes_on(event):
            yield answer
            answer = None
        if event.kind in ARRIVALS and is_bottom:
            yield Mark(MarkKind.SENT, event)
        elif _is_of_the_subscriber(event):
            yield _mark_of_the_subscriber(event)
    if answer is not None:
        yield answer


def _is_of_the_subscriber(event: TraceEvent) -> bool:
    """Tell whether it has come to the subscriber, or from it."""
    return event.depth == 0 and event.place is not None and event.kind in OF_THE_SUBSCRIBER


def _goes_on(event: TraceEvent) -> bool:
    """Tell whether an answer before this event went no further: the operation turned to something else."""
    has_completed = event.depth == 0 and event.kind is TraceKind.COMPLETED
    return event.kind in ARRIVALS or event.kind is TraceKind.WAITING or has_completed


def _refusal(event: TraceEvent) -> Mark | None:
    if event.error is not None:
        return Mark(MarkKind.FAILED, event)
    return None if event.codes is None else Mark(MarkKind.REFUSED, event)


def _mark_of_the_subscriber(event: TraceEvent) -> Mark:
    has_errors = event.kind is TraceKind.RESULT and event.codes is not None
    return Mark(MarkKind.ERRORS if has_errors else OF_THE_SUBSCRIBER[event.kind], event)
