"""A trace in words: why an operation waited, was sent again, failed, or was never answered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from rxlink.auth.events import RefreshReason
from rxlink.core.documents import OperationType
from rxlink.trace.events import TraceEvent, TraceKind
from rxlink.trace.numbers import counted, range_words, time_words
from rxlink.trace.recorder import Trace
from rxlink.trace.stories import Ending, OperationStory, RefreshStory, SpanKind, Stories, stories_of

__all__ = ["explain", "reason_words", "refresh_line"]

REASONS: Final = {
    RefreshReason.EXPIRING: "token about to end",
    RefreshReason.EXPIRED: "token ended",
    RefreshReason.REJECTED: "token rejected",
    RefreshReason.FORCED: "it was asked for",
    RefreshReason.MISSING: "no token yet",
}
NO_VALUE: Final = (
    "the stream that its handler returned ended without a value, so that `filter` and `flat_map` let nothing through: "
    "look whether the refresh gave a falsy token (None, an empty text) or sent nothing"
)
NO_WORD: Final = (
    "the stream that its handler returned has sent nothing: look whether what it waits for, such as a refresh or a "
    "subject, ever sends a value or ends"
)
WAITED, HELD, WAS, HAS, ITS = "\x00waited{}\x00", "\x00held", "\x00was", "\x00has", "\x00its"
"""Gaps in the words of a story for its times, and for what differs where several operations share it."""
SHORTEST: Final = 0.001
"""Seconds; in less, nothing was loaded from anywhere."""
NAMED: Final = 4
"""How many operations of one story are named."""


def explain(trace: Trace) -> str:
    """Say in words what became of the operations that did not go straight through, and of the refreshes.

    A line for each operation that waited, was sent again, failed, got errors, ended without a result, was left, or has
    not been answered; those that share a story share a line. In a running event loop what is still going on is told as
    of now, else as of the latest event.

    Returns:
        The lines; one that says so where nothing is worth a word. An operation that was never subscribed is in no
        trace.

    Example:
        >>> from rxlink import GraphQLRequest, Trace, execute, explain, from_, from_future, on_error, traced
        >>> from rxlink.testing import MockedResponse, MockLink
        >>> import asyncio
        >>> trace = Trace()
        >>> async def get_no_token():
        ...     return None
        >>> def retry(response):
        ...     return from_future(get_no_token()).filter(bool).flat_map(lambda _: response.forward(response.operation))
        >>> refusal = MockedResponse(result={"errors": [{"message": "no", "extensions": {"code": "UNAUTHENTICATED"}}]})
        >>> link = traced(from_([on_error(retry), MockLink([refusal])]), trace)
        >>> async def main():
        ...     await execute(link, GraphQLRequest("query Viewer { viewer { name } }")).to_list()
        >>> asyncio.run(main())
        >>> print(explain(trace).partition(":")[0])
        Operation 1 (Viewer) ended without a result
    """
    stories = stories_of(trace)
    lines = [*_refresh_lines(stories), *_operation_lines(stories)]
    if stories.dropped:
        lines.insert(0, f"The first {counted(stories.dropped, 'event')} had to go; raise `max_events` to keep more.")
    if not stories.operations:
        lines.append("No operation was traced; one that was never subscribed or awaited has not begun.")
    elif not lines:
        every = "The operation" if len(stories.operations) == 1 else f"All {len(stories.operations)} operations"
        lines.append(f"{every} went straight through.")
    return "\n".join(lines)


def reason_words(reason: str) -> str:
    """Say why a refresh ran."""
    return REASONS[RefreshReason(reason)] if reason in set(RefreshReason) else reason or "its beginning is not known"


def _refresh_lines(stories: Stories) -> Iterator[str]:
    return (refresh_line(refresh, stories.seconds) for refresh in stories.refreshes.values())


def refresh_line(refresh: RefreshStory, now: float) -> str:
    """Say what became of a refresh."""
    name = _refresh_name(refresh)
    return f"{name[0].upper()}{name[1:]} {_refresh_words(refresh, now)}."


def _refresh_name(refresh: RefreshStory) -> str:
    of = f" of {refresh.session}" if refresh.session else ""
    return f"refresh {refresh.number}{of} ({reason_words(refresh.reason)})"


def _refresh_words(refresh: RefreshStory, now: float) -> str:
    tries = f", after {counted(len(refresh.failed_tries), 'try', 'tries')} that failed" if refresh.failed_tries else ""
    whom = f"; {counted(len(refresh.waiting), 'operation')} waited for it" if refresh.waiting else ""
    if refresh.ended is None:
        begun = f"has run for {time_words(now - refresh.began)} and " if refresh.is_whole else ""
        return f"{begun}is not over{tries}{whom}"
    if not refresh.is_whole:
        how = "was over" if refresh.error is None else f"had failed with {refresh.error}"
        return f"{how} after {refresh.ended:.2f} s of the trace{tries}{whom}"
    took = time_words(refresh.ended - refresh.began)
    if refresh.error is not None:
        return f"failed with {refresh.error} after {took}{tries}{whom}"
    if refresh.superseded is not None:
        return f"was given up after {took}{tries}, since {refresh.superseded}{whom}"
    return f"took {took}{tries}{whom}"


def _operation_lines(stories: Stories) -> Iterator[str]:
    told = [(_words(story, stories), story) for story in stories.operations]
    shapes: dict[tuple[str, str], list[OperationStory]] = {}
    for words, story in told:
        if words is not None:
            shapes.setdefault((words, story.title), []).append(story)
    for (words, title), alike in shapes.items():
        yield f"{_who(alike, title)} {_with_times(words, alike, stories.seconds)}."


def _with_times(words: str, alike: Sequence[OperationStory], now: float) -> str:
    for place, _ in enumerate(_waits_of(alike[0])):
        waited = range_words([_waits_of(story)[place].seconds for story in alike])
        words = words.replace(WAITED.format(place), waited)
    held = range_words([(story.ended if story.ended is not None else now) - story.began for story in alike])
    was, has, its = ("was", "has", "its subscriber") if len(alike) == 1 else ("were", "have", "their subscribers")
    for gap, word in ((HELD, held), (WAS, was), (HAS, has), (ITS, its)):
        words = words.replace(gap, word)
    return words


def _who(alike: Sequence[OperationStory], title: str) -> str:
    numbers = [story.number for story in alike]
    if len(numbers) == 1:
        return f"Operation {numbers[0]} {title if alike[0].name is None else f'({title})'}"
    runs = [[number for _, number in run] for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    shown = ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs[:NAMED])
    return f"Operations {shown}{' ...' if len(runs) > NAMED else ''} ({len(numbers)} x {title})"


def _words(story: OperationStory, stories: Stories) -> str | None:
    """Say what became of an operation, with gaps for its times; None where there is nothing to say."""
    steps = [*_waits(story, stories), *_resends(story)]
    if story.ending is Ending.ANSWERED and not steps and all(result.codes is None for result in story.results[-1:]):
        return None
    return _joined(steps, _end(story, stories))


def _end(story: OperationStory, stories: Stories) -> str:
    match story.ending:
        case Ending.OPEN:
            end = _open(story, stories)
        case Ending.EMPTY:
            end = _empty(story)
        case Ending.FAILED:
            end = f"failed with {_last(story, TraceKind.ERROR).outcome}"
        case Ending.LEFT if story.kind != OperationType.SUBSCRIPTION and _errors_of(story) is not None:
            end = f"answered with {_errors_of(story)}, with which {ITS} left"
        case Ending.LEFT:
            held = f"; {story.spans[-1].where} had it" if story.spans and story.spans[-1].where else ""
            before = "" if story.results else ", before it was answered"
            end = f"ended when {ITS} left, after {HELD}{before}{held}"
        case Ending.BROKEN:
            end = f"ended because a callback of {ITS} raised {_last(story, TraceKind.BROKEN).error}"
        case Ending.ANSWERED:
            outcome = _errors_of(story)
            end = "answered" if outcome is None else f"answered with {outcome}"
    return end


def _errors_of(story: OperationStory) -> str | None:
    """Say which errors its last result has, None where there are none."""
    return next((last.outcome for last in story.results[-1:] if last.codes is not None), None)


def _joined(steps: Sequence[str], end: str) -> str:
    is_new = end.startswith("answered") and not (steps and steps[-1].startswith(WAS))
    end = f"{WAS} {end}" if is_new else end
    return " and ".join(filter(None, (", ".join(steps), end)))


def _waits(story: OperationStory, stories: Stories) -> Iterator[str]:
    for place, wait in enumerate(_waits_of(story)):
        refresh = stories.refreshes.get(wait.refresh or 0)
        waited = f"waited {WAITED.format(place)} for"
        if refresh is None:
            yield f"{waited} the stored tokens"
        else:
            failed = f", which failed with {refresh.error}" if refresh.error else ""
            yield f"{waited} {_refresh_name(refresh)}{failed}"


@dataclass(slots=True)
class _Wait:
    """All the time that an operation waited for one refresh, or for stored tokens (None)."""

    refresh: int | None
    seconds: float


def _waits_of(story: OperationStory) -> list[_Wait]:
    """Return what it waited for that is over; without what was loaded in no time before something else."""
    seconds: dict[int | None, float] = {}
    for wait in story.waits:
        if wait is not story.holder:
            seconds[wait.refresh] = seconds.get(wait.refresh, 0.0) + wait.ended - wait.began
    is_worth_a_word = len(seconds) == 1 or seconds.get(None, 0.0) >= SHORTEST
    return [_Wait(refresh, time) for refresh, time in seconds.items() if refresh is not None or is_worth_a_word]


def _resends(story: OperationStory) -> Iterator[str]:
    """Say which links have sent it again, and after what."""
    if any(event.kind is TraceKind.RETRIED for event in story.events):
        yield f"{WAS} sent again"
    repeats: dict[str, int] = {}
    starts: dict[str | None, int] = {}
    after: dict[str, list[str]] = {}
    is_retry = False
    for event in story.events:
        if event.kind is TraceKind.RETRIED:
            is_retry = True
        elif event.kind is TraceKind.ERROR and event.above is not None:
            after.setdefault(event.above, []).append(event.error or "")
        elif event.kind in {TraceKind.STARTED, TraceKind.FORWARDED}:
            before = starts.get(event.place)
            # Where the link above has come anew itself, it is not the one that has sent it again.
            if before is not None and before > starts.get(event.above, -1) and not is_retry:
                repeats[event.above or ITS] = repeats.get(event.above or ITS, 0) + 1
            starts[event.place] = event.number
            is_retry = False
    for link, times in repeats.items():
        errors = ", ".join(dict.fromkeys(after.get(link, ())))
        often = "again" if times == 1 else f"{times} more times"
        yield f"{WAS} sent {often} by {link}{f', after {errors},' if errors else ''}"


def _open(story: OperationStory, stories: Stories) -> str:
    held = story.holder
    results = story.results
    if results:
        return f"{HAS} sent {counted(len(results), 'result')} in {HELD} and goes on"
    if held is None:
        return f"{HAS} not been answered for {HELD}"
    if held.kind is SpanKind.WAITING:
        refresh = stories.refreshes.get(held.refresh or 0)
        whom = "the stored tokens" if refresh is None else _refresh_name(refresh)
        state = "" if refresh is None else f", which {_refresh_words(refresh, stories.seconds).partition(';')[0]}"
        return f"{HAS} waited since {held.began:.2f} s for {whom}{state}"
    where = held.where or "a link above the first trace link"
    last = _last_answer(story)
    hint = f", which got {last.outcome} from {last.place}: {NO_WORD}" if last is not None else ""
    return f"{HAS} not been answered for {HELD}: {where} has it since {held.began:.2f} s{hint}"


def _empty(story: OperationStory) -> str:
    """Say which link has ended without a result: the lowest one, unless something came to it from below."""
    answers = [event for event in story.events if event.depth > 0]
    last = _last_answer(story)
    if last is not None and not _went_on(answers, last):
        above = last.above or "the link above"
        return f"ended without a result: {above} got {last.outcome} from {last.place}, and {NO_VALUE}"
    completed = [event for event in story.events if event.kind is TraceKind.COMPLETED]
    return f"ended without a result: {completed[0].place} completed, and had sent none"


def _went_on(events: Sequence[TraceEvent], answer: TraceEvent) -> bool:
    """Tell whether the operation was passed on once more after an answer."""
    return any(event.kind is TraceKind.FORWARDED and event.number > answer.number for event in events)


def _last_answer(story: OperationStory) -> TraceEvent | None:
    """Return what came last to a link from below, None where that was passed on, or nothing has come."""
    for event in reversed(story.events):
        if event.kind in {TraceKind.RESULT, TraceKind.ERROR} and event.depth > 0:
            return event
        if event.kind in {TraceKind.STARTED, TraceKind.FORWARDED}:
            return None
    return None


def _last(story: OperationStory, kind: TraceKind) -> TraceEvent:
    return next(event for event in reversed(story.events) if event.kind is kind)
