"""A trace for the terminal: marble diagrams, a line for each operation, and refreshes on lines of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import Final

from rxlink.core.options import kind_of
from rxlink.errors import InvariantError, InvariantTypeError
from rxlink.trace.explain import reason_words
from rxlink.trace.marks import MarkKind
from rxlink.trace.recorder import Trace
from rxlink.trace.scale import in_digits, scale_of
from rxlink.trace.stories import OperationStory, RefreshStory, SpanKind, Stories, stories_of

__all__ = ["chosen", "to_text"]

NARROWEST: Final = 40
NARROWEST_LANE: Final = 15
LONGEST_NAME: Final = 22
MARKS_AT_END: Final = 4
"""Columns for marks of the last moment, which stand beside one another."""
FILLS: Final = {SpanKind.UNDER_WAY: "-", SpanKind.HELD: ".", SpanKind.WAITING: "w"}
SIGNS: Final = {
    MarkKind.SENT: ">",
    MarkKind.REFUSED: "x",
    MarkKind.RESULT: "o",
    MarkKind.ERRORS: "x",
    MarkKind.FAILED: "!",
    MarkKind.COMPLETED: "|",
    MarkKind.LEFT: "/",
}
LEGEND: Final = (
    "> passed to the transport   - under way   w waits for a refresh (with its number)   . held by a link",
    "o result   x result with errors   ! error   | completed   / left by its subscriber   ~ time left out",
)


def to_text(trace: Trace, *, width: int = 100, rows: int | None = None) -> str:
    """Draw a trace as text, readable without colours.

    Time runs to the right, and each column is a stretch of it; where nothing happens for long, columns are left out.
    Of what falls into one column the most telling is drawn.

    Args:
        trace: The trace.
        width: How many characters a line may have, 40 at least.
        rows: How many operations are drawn at most, those first that did not go straight through; None for all.

    Raises:
        InvariantError: The width is below 40, or ``rows`` below 1; an :class:`InvariantTypeError` where one is no whole
            number.

    Example:
        >>> from rxlink import GraphQLRequest, Trace, execute, to_text, traced
        >>> from rxlink.testing import MockedResponse, MockLink
        >>> from reactivex.testing import TestScheduler
        >>> trace, scheduler = Trace(), TestScheduler()
        >>> link = traced(MockLink([MockedResponse(result={"data": {"answer": 42}}, delay=2)]), trace)
        >>> subscription = execute(link, GraphQLRequest("query Ask { answer }")).subscribe(scheduler=scheduler)
        >>> observer = scheduler.start()
        >>> print(to_text(trace, width=40).splitlines()[1])
        1 Ask    >--------------------------o|
    """
    for name, value, least in (("width", width, NARROWEST), ("rows", rows, 1)):
        if value is None and name == "rows":
            continue
        if type(value) is not int:
            raise InvariantTypeError(f"`{name}` is {kind_of(value)}; give a whole number")
        if value < least:
            raise InvariantError(f"`{name}` is {value}; give {least} or more")
    stories = stories_of(trace)
    return "\n".join(_Drawing(stories, width, rows).lines())


def chosen(operations: Sequence[OperationStory], rows: int | None) -> list[OperationStory]:
    """Return those that are drawn where there is not room for all: first those that did not go straight through."""
    if rows is None or len(operations) <= rows:
        return list(operations)
    by_interest = sorted(operations, key=lambda story: (story.is_plain, story.number))
    return sorted(by_interest[:rows], key=lambda story: story.number)


class _Drawing:
    """One picture in text."""

    def __init__(self, stories: Stories, width: int, rows: int | None) -> None:
        self._stories = stories
        self._operations = chosen(stories.operations, rows)
        self._scale = scale_of(stories)
        titles = [_title(story) for story in self._operations]
        names = [_refresh_title(refresh) for refresh in stories.refreshes.values()]
        self._label = min(max(map(len, [*titles, *names, "seconds"])) + 2, width - NARROWEST_LANE)
        self._columns = width - self._label
        self._width = width

    def lines(self) -> Iterator[str]:
        """Draw it line by line."""
        yield self._head("seconds") + self._axis()
        for refresh in self._stories.refreshes.values():
            yield self._head(_refresh_title(refresh)) + self._refresh_lane(refresh)
        for story in self._operations:
            yield self._head(_title(story)) + self._lane(story)
        left_out = len(self._stories.operations) - len(self._operations)
        if left_out:
            yield f"and {left_out} more operations"
        if self._stories.dropped:
            yield f"(the first {self._stories.dropped} events had to go)"
        yield ""
        for line in LEGEND:
            yield from wrap(line, self._width, break_on_hyphens=False)

    def _head(self, text: str) -> str:
        """Return what stands before a lane."""
        return text[: self._label - 2].ljust(self._label)

    def _column(self, seconds: float) -> int:
        return int(self._scale.at(seconds) * (self._columns - MARKS_AT_END))

    def _axis(self) -> str:
        line = ""
        moments = self._scale.ticks(self._columns // 8)
        for moment, words in zip(moments, in_digits(moments), strict=True):
            column = min(self._column(moment), self._columns - len(words))
            if column >= len(line) + (2 if line else 0):
                line = line.ljust(column) + words
        return line

    def _blank(self) -> list[str]:
        cells = [" "] * self._columns
        self._leave_out(cells)
        return cells

    def _leave_out(self, cells: list[str], first: int = 0, last: int | None = None) -> None:
        """Mark the gaps, from one column to another."""
        for gap in self._scale.gaps:
            middle = self._column((gap.began + gap.ended) / 2)
            if first < middle < (self._columns if last is None else last):
                cells[middle] = "~"

    def _refresh_lane(self, refresh: RefreshStory) -> str:
        cells = self._blank()
        ended = refresh.ended if refresh.ended is not None else self._stories.seconds
        first, last = self._column(refresh.began), self._column(ended)
        cells[first : last + 1] = "=" * (last + 1 - first)
        cells[first] = "["
        self._leave_out(cells, first, last)
        if refresh.ended is not None:
            cells[max(last, min(first + 1, self._columns - 1))] = "!" if refresh.error else "]"
        waiting = f", {len(refresh.waiting)} waited" if refresh.waiting else ""
        words = f" {reason_words(refresh.reason)}{waiting}"
        end = max(last, first + 1) + 1
        if last - first > len(words) + 2:
            cells[first + 2 : first + 3 + len(words)] = f"{words} "
        elif end + len(words) <= self._columns:
            cells[end : end + len(words)] = words
        elif len(words) <= first:
            cells[first - len(words) : first] = words.strip() + " "
        return "".join(cells).rstrip(" ~")

    def _lane(self, story: OperationStory) -> str:
        cells = self._blank()
        for span in story.spans:
            first, last = self._column(span.began), self._column(span.ended)
            cells[first : last + 1] = FILLS[span.kind] * (last + 1 - first)
            if span.kind is SpanKind.WAITING and span.refresh is not None:
                number = str(span.refresh)
                if last - first > len(number):
                    cells[first + 1 : first + 1 + len(number)] = number
            self._leave_out(cells, first + 2, last)
        place = -1
        for mark in story.marks:
            # Two marks in one column stand beside one another: the order is what tells.
            place = min(max(self._column(mark.event.seconds), place + 1), self._columns - 1)
            cells[place] = SIGNS[mark.kind]
        last = place if story.ended is not None else self._column(self._stories.seconds)
        return "".join(cells[: last + 1]).rstrip(" ~")


def _title(story: OperationStory) -> str:
    name = story.title
    return f"{story.number} {name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 2] + '..'}"


def _refresh_title(refresh: RefreshStory) -> str:
    of = f" {refresh.session[:LONGEST_NAME]}" if refresh.session else ""
    return f"refresh {refresh.number}{of}"
