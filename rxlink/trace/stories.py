"""The events of a trace put together: one story for each operation, and for each refresh. What all views draw from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from rxlink.trace.events import TraceEvent, TraceKind
from rxlink.trace.hearing import ADOPTED
from rxlink.trace.marks import ARRIVALS, Mark, MarkKind, marks_of
from rxlink.trace.recorder import Trace

__all__ = ["Ending", "OperationStory", "RefreshStory", "Span", "SpanKind", "Stories", "stories_of"]


class SpanKind(StrEnum):
    """What an operation does for a while."""

    UNDER_WAY = "under way"
    """It was passed on to the transport."""
    WAITING = "waiting"
    """It waits for a refresh."""
    HELD = "held"
    """A link has it, which has neither passed it on nor answered, such as a retry link between two attempts."""


class Ending(StrEnum):
    """How an operation ended."""

    ANSWERED = "answered"
    EMPTY = "completed without a result"
    FAILED = "failed"
    LEFT = "left by its subscriber"
    BROKEN = "ended by a callback that raised"
    OPEN = "not ended"


ENDINGS: Final = {
    TraceKind.COMPLETED: Ending.ANSWERED,
    TraceKind.ERROR: Ending.FAILED,
    TraceKind.DISPOSED: Ending.LEFT,
    TraceKind.BROKEN: Ending.BROKEN,
}


SUPERSEDED: Final = {ADOPTED: "others had refreshed", None: "somebody had signed in or out, or closed the session"}


@dataclass(slots=True)
class Span:
    """What an operation did for a while.

    Attributes:
        kind: What.
        began: Seconds.
        ended: Seconds; the end of the trace while it goes on.
        where: The link that has it.
        refresh: The number of the refresh that it waits for.
    """

    kind: SpanKind
    began: float
    ended: float
    where: str
    refresh: int | None = None


@dataclass(slots=True)
class OperationStory:
    """One operation.

    Attributes:
        number: Its number.
        name: Its name, None if it is anonymous.
        kind: ``query``, ``mutation`` or ``subscription``.
        events: All that is known of it.
        spans: What it did, one after another.
        marks: What happened to it, one after another.
        ending: How it ended.
        began: When, in seconds; the first event that is kept.
        ended: When, in seconds; None while it goes on.
    """

    number: int
    name: str | None
    kind: str
    events: list[TraceEvent] = field(default_factory=list[TraceEvent])
    spans: list[Span] = field(default_factory=list[Span])
    marks: list[Mark] = field(default_factory=list[Mark])
    ending: Ending = Ending.OPEN
    began: float = 0.0
    ended: float | None = None

    @property
    def sends(self) -> int:
        """How often it came to the transport."""
        return sum(mark.kind is MarkKind.SENT for mark in self.marks)

    @property
    def title(self) -> str:
        """Its name, or what it is called without one."""
        return self.name or "(anonymous)"

    @property
    def is_whole(self) -> bool:
        """Whether its beginning is known, and not gone with the oldest events."""
        return self.events[0].kind is TraceKind.STARTED

    @property
    def waits(self) -> list[Span]:
        """When it waited for refreshes."""
        return [span for span in self.spans if span.kind is SpanKind.WAITING]

    @property
    def holder(self) -> Span | None:
        """What it does at the end of the trace, None where it has ended."""
        return self.spans[-1] if self.ended is None and self.spans else None

    @property
    def results(self) -> list[TraceEvent]:
        """The results that its subscriber has got."""
        return [event for event in self.events if event.kind is TraceKind.RESULT and event.depth == 0]

    @property
    def is_plain(self) -> bool:
        """Whether it went straight through: sent once, waited for nothing, answered without errors."""
        is_good = self.ending is Ending.ANSWERED and all(result.codes is None for result in self.results)
        return is_good and not self.waits and not any(event.attempt > 1 for event in self.events)


@dataclass(slots=True)
class RefreshStory:
    """One refresh.

    Attributes:
        number: Its number.
        session: The name of its session, None if it has none.
        reason: Why it ran.
        began: Seconds.
        ended: Seconds, None while it runs.
        error: The class of the error with which it failed, None if it did not.
        superseded: Why it ended without an outcome of its own, None if it has one.
        failed_tries: The classes of errors of tries that failed for the moment.
        waiting: The numbers of the operations that waited for it.
        is_whole: Whether its beginning is known, and not gone with the oldest events.
    """

    number: int
    session: str | None = None
    reason: str = ""
    began: float = 0.0
    ended: float | None = None
    error: str | None = None
    superseded: str | None = None
    failed_tries: list[str] = field(default_factory=list[str])
    waiting: list[int] = field(default_factory=list[int])
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class Stories:
    """All that a trace has to tell.

    Attributes:
        operations: The operations, in the order of their numbers.
        refreshes: The refreshes by number.
        others: What else happened to sessions.
        seconds: How long the trace is.
        dropped: How many events are missing at the beginning.
    """

    operations: list[OperationStory]
    refreshes: dict[int, RefreshStory]
    others: list[TraceEvent]
    seconds: float
    dropped: int


def stories_of(trace: Trace) -> Stories:
    """Put the events of a trace together."""
    events, dropped, seconds = trace.events, trace.dropped, trace.seconds
    by_operation: dict[int, list[TraceEvent]] = {}
    for event in events:
        if event.operation is not None and event.kind is not TraceKind.REFRESH_STARTED:
            by_operation.setdefault(event.operation, []).append(event)
    return Stories(
        [_operation_story(by_operation[number], seconds, trace.has_transport) for number in sorted(by_operation)],
        _refresh_stories(events),
        [event for event in events if event.kind is TraceKind.SESSION],
        max([seconds, *(event.seconds for event in events)]),
        dropped,
    )


def _refresh_stories(events: Iterable[TraceEvent]) -> dict[int, RefreshStory]:
    refreshes: dict[int, RefreshStory] = {}
    for event in events:
        if event.refresh is not None:
            story = refreshes.setdefault(event.refresh, RefreshStory(event.refresh, event.session, began=event.seconds))
            _go_on(story, event)
    return refreshes


def _go_on(story: RefreshStory, event: TraceEvent) -> None:
    match event.kind:
        case TraceKind.REFRESH_STARTED:
            story.reason, story.is_whole = event.text or "", True
        case TraceKind.REFRESH_TRY_FAILED:
            story.failed_tries.append(event.error or "")
        case TraceKind.REFRESH_SUCCEEDED | TraceKind.REFRESH_FAILED:
            story.ended, story.error = event.seconds, event.error
        case TraceKind.REFRESH_SUPERSEDED:
            story.ended, story.superseded = event.seconds, SUPERSEDED[event.text]
        case TraceKind.WAITING if event.operation is not None and event.operation not in story.waiting:
            story.waiting.append(event.operation)
        case TraceKind.REFRESHED | TraceKind.RETRIED if story.ended is None:
            story.ended = event.seconds  # at the latest: its own end is not among the events that are kept
        case _:
            pass


def _operation_story(events: Sequence[TraceEvent], seconds: float, has_transport: bool) -> OperationStory:  # noqa: FBT001 - one of three
    first = events[0]
    assert first.operation is not None
    story = OperationStory(first.operation, first.operation_name, first.operation_type or "", list(events))
    story.began = first.seconds
    lane = _Lane(story)
    for event in events:
        lane.take(event)
    lane.close(seconds)
    story.marks = [*marks_of(events, has_transport=has_transport)]
    return story


class _Lane:
    """Finds out what an operation did between its events."""

    def __init__(self, story: OperationStory) -> None:
        self._story = story
        self._open: Span | None = None
        self._has_result = False
        self._holder = ""
        self._holder_depth = 0

    def take(self, event: TraceEvent) -> None:
        """Go on to the next event."""
        kind, depth = event.kind, event.depth
        if kind in ARRIVALS:
            self._arrive(event)
        elif kind is TraceKind.WAITING:
            self._turn_to(Span(SpanKind.WAITING, event.seconds, event.seconds, self._holder, event.refresh))
        elif kind is TraceKind.RESULT and depth > 0:
            self._hand_up(event)
        elif kind is TraceKind.RESULT and depth == 0:
            self._has_result = True
        elif kind in ENDINGS and depth == 0:
            self._end(event)
        # Below a link that waits, or where all is over, what is left behind may still end.
        elif kind in ENDINGS and self._story.ended is None and (depth <= self._holder_depth or not self._is_waiting()):
            self._hand_up(event)
            self._turn_to(Span(SpanKind.HELD, event.seconds, event.seconds, self._holder))

    def close(self, seconds: float) -> None:
        """End what still goes on with the trace."""
        if self._story.ended is None:
            self._turn_to(None, seconds, is_interrupted=True)

    def _arrive(self, event: TraceEvent) -> None:
        story = self._story
        story.ended, story.ending = None, Ending.OPEN
        self._holder, self._holder_depth = event.place or "", event.depth
        kind = SpanKind.UNDER_WAY if event.is_transport else SpanKind.HELD
        self._turn_to(Span(kind, event.seconds, event.seconds, self._holder))

    def _hand_up(self, event: TraceEvent) -> None:
        self._holder, self._holder_depth = event.above or "", event.depth - 1

    def _is_waiting(self) -> bool:
        return self._open is not None and self._open.kind is SpanKind.WAITING

    def _end(self, event: TraceEvent) -> None:
        self._turn_to(None, event.seconds, is_interrupted=event.kind in {TraceKind.DISPOSED, TraceKind.BROKEN})
        self._story.ended = event.seconds
        is_empty = event.kind is TraceKind.COMPLETED and not self._has_result and self._story.is_whole
        self._story.ending = Ending.EMPTY if is_empty else ENDINGS[event.kind]

    def _turn_to(self, span: Span | None, seconds: float | None = None, *, is_interrupted: bool = False) -> None:
        """End what it did so far, and begin something else; what took no time is kept where it tells something."""
        until = seconds if seconds is not None else span.began if span is not None else 0.0
        ended = self._open
        if ended is not None:
            ended.ended = until
            is_only = span is None and (is_interrupted or not self._story.spans)
            if until > ended.began or ended.kind is SpanKind.WAITING or is_only:
                self._story.spans.append(ended)
        self._open = span
