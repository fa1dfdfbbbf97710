"""A trace as a picture for documents: one SVG file that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Final

from rxlink.core.options import kind_of
from rxlink.errors import InvariantError, InvariantTypeError
from rxlink.trace.events import label
from rxlink.trace.explain import reason_words, refresh_line
from rxlink.trace.marks import MarkKind
from rxlink.trace.recorder import Trace
from rxlink.trace.scale import in_digits, scale_of
from rxlink.trace.stories import OperationStory, RefreshStory, Span, SpanKind, Stories, stories_of
from rxlink.trace.text import chosen

__all__ = ["to_svg"]

WIDTH: Final = 1000
LABEL: Final = 150
"""Room for names, in the picture's units."""
RIGHT: Final = 24
TOP: Final = 40
ROW: Final = 18
BAR: Final = 10
LONGEST_NAME: Final = 20
LETTER: Final = 6.2
"""The width of a letter, about."""

STYLE: Final = """
text { font: 11px system-ui, -apple-system, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; fill: #24292f }
.page { fill: #ffffff } .dim { fill: #6e7781 } .line { stroke: #d0d7de; stroke-width: 1 }
.gap { stroke: #afb8c1; stroke-width: 1; stroke-dasharray: 2 3 }
.band { fill: #bf8700; fill-opacity: .10 } .bandfailed { fill: #cf222e; fill-opacity: .10 }
.refresh { fill: #bf8700 } .refreshfailed { fill: #cf222e } .on { fill: #ffffff; font-weight: 600 }
.way { fill: #54aeff } .waiting { fill: #eac54f } .held { fill: #d0d7de } .who { fill: #4d2d00; font-weight: 600 }
.sent { fill: #0550ae } .result { fill: #1a7f37 } .bad { fill: #cf222e } .left { fill: #6e7781 }
"""
CLASSES: Final = {SpanKind.UNDER_WAY: "way", SpanKind.WAITING: "waiting", SpanKind.HELD: "held"}


def to_svg(trace: Trace, *, rows: int | None = None, title: str = "What happened") -> str:
    """Draw a trace as SVG, 1000 units wide: an operation a row, and the refreshes as bands that go through all rows.

    It holds no script, and refers to nothing outside. The same trace gives the same bytes.

    Args:
        trace: The trace.
        rows: How many operations are drawn at most, those first that did not go straight through; None for all.
        title: What stands above it.

    Raises:
        InvariantError: ``rows`` is below 1; an :class:`InvariantTypeError` where something has the wrong type.
    """
    if rows is not None and type(rows) is not int:
        raise InvariantTypeError(f"`rows` is {kind_of(rows)}; give a whole number, or None for all")
    if rows is not None and rows < 1:
        raise InvariantError(f"`rows` is {rows}; give 1 or more, or None for all")
    if not isinstance(title, str):  # pyright: ignore[reportUnnecessaryIsInstance] - may be untyped
        raise InvariantTypeError(f"`title` is {kind_of(title)}; give text")
    title = label(title)
    return "\n".join(_Picture(stories_of(trace), rows, title).parts()) + "\n"


class _Picture:
    """One picture: a header, a row for each operation, a legend."""

    def __init__(self, stories: Stories, rows: int | None, title: str) -> None:
        self._stories = stories
        self._operations = chosen(stories.operations, rows)
        self._scale = scale_of(stories)
        self._title = title
        self._named_until = 0.0
        self._bottom = TOP + 2 * ROW + ROW * len(self._operations)

    def parts(self) -> Iterator[str]:
        """Draw it part by part."""
        height = self._bottom + 3 * ROW
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
            f'aria-labelledby="rxlink-title"><title id="rxlink-title">{escape(self._title)}</title>'
        )
        yield f"<style>{STYLE}</style>"
        yield f'<rect class="page" width="{WIDTH}" height="{height}"/>'
        yield self._text(12, 20, self._title, "who")
        yield from self._axis()
        for refresh in self._stories.refreshes.values():
            yield from self._refresh(refresh)
        for row, story in enumerate(self._operations):
            yield from self._row(story, TOP + 2 * ROW + row * ROW)
        yield from self._legend()
        yield "</svg>"

    def _x(self, seconds: float) -> float:
        return LABEL + self._scale.at(seconds) * (WIDTH - LABEL - RIGHT)

    def _text(self, x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
        named = f' class="{kind}"' if kind else ""
        placed = "" if anchor == "start" else f' text-anchor="{anchor}"'
        return f'<text x="{x:.1f}" y="{y:.1f}"{named}{placed}>{escape(text)}</text>'

    def _axis(self) -> Iterator[str]:
        moments = self._scale.ticks(14)
        for moment, words in zip(moments, in_digits(moments), strict=True):
            x = self._x(moment)
            yield f'<line class="line" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{self._bottom}"/>'
            yield self._text(x, TOP - 4, f"{words} s", "dim", "middle")
        for gap in self._scale.gaps:
            x = (self._x(gap.began) + self._x(gap.ended)) / 2
            yield (
                f'<line class="gap" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{self._bottom}">'
                f"<title>{gap.ended - gap.began:.2f} s in which nothing happened, drawn shorter</title></line>"
            )

    def _refresh(self, refresh: RefreshStory) -> Iterator[str]:
        ended = self._stories.seconds if refresh.ended is None else refresh.ended
        x, width = self._x(refresh.began), max(self._x(ended) - self._x(refresh.began), 3.0)
        failed = "failed" if refresh.error else ""
        why = reason_words(refresh.reason)
        title = escape(refresh_line(refresh, self._stories.seconds))
        band = f'x="{x:.1f}" y="{TOP + ROW}" width="{width:.1f}" height="{self._bottom - TOP - ROW}"'
        chip = f'x="{x - 8:.1f}" y="{TOP + 4}" width="{width + 16:.1f}" height="14" rx="7"'
        yield f'<g><title>{title}</title><rect class="band{failed}" {band}/><rect class="refresh{failed}" {chip}/>'
        yield self._text(x + width / 2, TOP + 15, f"{refresh.number}", "on", "middle")
        room = LETTER * len(why) / 2
        middle = min(max(x + width / 2, LABEL + room), WIDTH - room)
        if middle - room > self._named_until:  # else the title of the band says it
            yield self._text(middle, TOP + 2 * ROW - 4, why, "dim", "middle")
            self._named_until = middle + room
        yield "</g>"

    def _row(self, story: OperationStory, y: float) -> Iterator[str]:
        name = story.title if len(story.title) <= LONGEST_NAME else f"{story.title[: LONGEST_NAME - 3]}..."
        yield f"<g><title>{escape(f'{story.kind} {story.number} {story.title}: {story.ending.value}')}</title>"
        yield self._text(LABEL - 12, y + 13, f"{name}  {story.number}", "", "end")
        for span in story.spans:
            yield from self._span(span, y)
        x = 0.0
        for mark in story.marks:
            x = max(self._x(mark.event.seconds), x + 3)
            yield _sign(mark.kind, x, y + ROW / 2)
        yield "</g>"

    def _span(self, span: Span, y: float) -> Iterator[str]:
        x, width = self._x(span.began), max(self._x(span.ended) - self._x(span.began), 1.0)
        whom = f" for refresh {span.refresh}" if span.refresh else ""
        title = f"{span.kind.value}{whom} ({span.where}), {span.ended - span.began:.3f} s"
        yield (
            f'<rect class="{CLASSES[span.kind]}" x="{x:.1f}" y="{y + (ROW - BAR) / 2:.1f}" width="{width:.1f}" '
            f'height="{BAR}" rx="2"><title>{escape(title)}</title></rect>'
        )
        if span.refresh and width > 2 * LETTER:
            yield self._text(x + width / 2, y + 13, f"{span.refresh}", "who", "middle")

    def _legend(self) -> Iterator[str]:
        y = self._bottom + 14
        left_out = len(self._stories.operations) - len(self._operations)
        more = f"; {left_out} more operations are not drawn" if left_out else ""
        gone = f"; {self._stories.dropped} earlier events are gone" if self._stories.dropped else ""
        x = 12.0
        for kind, words in (
            ("way", "under way"),
            ("waiting", "waits for the refresh of this number"),
            ("held", "held by a link"),
        ):
            yield f'<rect class="{kind}" x="{x:.1f}" y="{y}" width="22" height="{BAR}" rx="2"/>'
            yield self._text(x + 28, y + 9, words, "dim")
            x += 44 + LETTER * len(words)
        for kind, words in (
            (MarkKind.SENT, "sent"),
            (MarkKind.RESULT, "result"),
            (MarkKind.ERRORS, "errors"),
            (MarkKind.LEFT, "left"),
        ):
            yield _sign(kind, x + 5, y + 5)
            yield self._text(x + 14, y + 9, words, "dim")
            x += 32 + LETTER * len(words)
        yield self._text(12, y + 26, f"Dashed: time in which nothing happened is drawn shorter{more}{gone}.", "dim")


def _sign(kind: MarkKind, x: float, y: float) -> str:
    """Draw a mark; shapes tell them apart where colours do not."""
    match kind:
        case MarkKind.SENT:
            return f'<path class="sent" d="M{x - 3:.1f} {y - 4:.1f}l7 4l-7 4z"/>'
        case MarkKind.RESULT:
            return f'<circle class="result" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
        case MarkKind.COMPLETED:
            return f'<rect class="result" x="{x - 1:.1f}" y="{y - 6:.1f}" width="2" height="12"/>'
        case MarkKind.LEFT:
            return f'<path class="left" d="M{x - 3:.1f} {y + 5:.1f}l5 -10h2l-5 10z"/>'
        case _:
            return f'<path class="bad" d="M{x:.1f} {y - 5:.1f}l5 5l-5 5l-5 -5z"/>'
