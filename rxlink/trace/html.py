"""A trace as one page that needs nothing else: no network, no server; to zoom and to filter."""

from __future__ import annotations

import json
import re
from html import escape
from typing import Any, Final

from rxlink.core.options import kind_of
from rxlink.errors import InvariantTypeError
from rxlink.trace.events import TraceEvent, TraceKind, label
from rxlink.trace.explain import explain, reason_words, refresh_line
from rxlink.trace.marks import MarkKind
from rxlink.trace.numbers import counted
from rxlink.trace.recorder import Trace
from rxlink.trace.scale import scale_of
from rxlink.trace.stories import Ending, OperationStory, RefreshStory, SpanKind, Stories, stories_of

__all__ = ["to_html"]

GAP: Final = re.compile(r"@@(\w+)@@")
SPANS: Final = {SpanKind.UNDER_WAY: "way", SpanKind.WAITING: "waiting", SpanKind.HELD: "held"}
MARKS: Final = {MarkKind.SENT: "sent", MarkKind.RESULT: "result", MarkKind.LEFT: "left"}
BAD: Final = {Ending.FAILED, Ending.BROKEN, Ending.EMPTY}
WORDS: Final = {
    TraceKind.STARTED: "started: handed to {place}{again}",
    TraceKind.FORWARDED: "passed on to {place}{again}",
    TraceKind.RESULT: "{place} answered: {outcome}",
    TraceKind.ERROR: "{place} failed: {outcome}",
    TraceKind.COMPLETED: "{place} completed",
    TraceKind.DISPOSED: "{place} was left by {above}",
    TraceKind.BROKEN: "a callback of the subscriber raised {error}",
    TraceKind.WAITING: "waits for {refresh}",
    TraceKind.REFRESHED: "goes on after {refresh}",
    TraceKind.RETRIED: "is sent again with another token",
}
"""What is said of the events of an operation."""
DIGITS: Final = 6


def to_html(trace: Trace, *, title: str = "What happened") -> str:
    """Draw a trace as one HTML page, with all that it needs inside.

    The page zooms (wheel, buttons, keys), filters by name, number, link and error, type, and what became of an
    operation, and shows the events of an operation that is clicked. Its address keeps what is shown:
    ``trace.html#filter=Viewer&operation=7``. The same trace gives the same bytes.

    Args:
        trace: The trace.
        title: What stands above it.

    Raises:
        InvariantTypeError: The title is no text.
    """
    from importlib.resources import files

    if not isinstance(title, str):  # pyright: ignore[reportUnnecessaryIsInstance] - may be untyped
        raise InvariantTypeError(f"`title` is {kind_of(title)}; give text")
    title = label(title)
    stories = stories_of(trace)
    page = files("rxlink.trace") / "page"
    parts = {
        "title": escape(title),
        "summary": escape(_summary(stories)),
        "words": escape(explain(trace)),
        "data": _json_in_html(_data(stories)),
        "style": (page / "page.css").read_text(encoding="utf-8"),
        "script": (page / "page.js").read_text(encoding="utf-8"),
    }
    # In one go: what is put in may look like a gap itself.
    return GAP.sub(lambda gap: parts[gap[1]], (page / "page.html").read_text(encoding="utf-8"))


def _summary(stories: Stories) -> str:
    operations = counted(len(stories.operations), "operation")
    refreshes = counted(len(stories.refreshes), "refresh", "refreshes")
    counts = f"{operations}, {refreshes}, {stories.seconds:.2f} s"
    return counts + (f"; {stories.dropped} earlier events had to go" if stories.dropped else "")


def _json_in_html(data: object) -> str:
    """Return JSON that can stand in a script element, whatever text is in it."""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _data(stories: Stories) -> dict[str, Any]:
    scale = scale_of(stories)
    points = [*scale.points()]
    return {
        "seconds": _round(stories.seconds),
        "scale": {
            "moments": [_round(moment) for moment, _ in points],
            "places": [_round(place) for _, place in points],
        },
        "gaps": [[_round(gap.began), _round(gap.ended)] for gap in scale.gaps],
        "refreshes": [_refresh(refresh, stories.seconds) for refresh in stories.refreshes.values()],
        "operations": [_operation(story) for story in stories.operations],
    }


def _refresh(refresh: RefreshStory, now: float) -> dict[str, Any]:
    return {
        "number": refresh.number,
        "began": _round(refresh.began),
        "ended": _round(now if refresh.ended is None else refresh.ended),
        "error": refresh.error,
        "why": reason_words(refresh.reason),
        "words": refresh_line(refresh, now),
    }


def _operation(story: OperationStory) -> dict[str, Any]:
    events = [[_round(event.seconds), event.kind.value, _words(event), _is_bad(event)] for event in story.events]
    outcomes = " ".join(dict.fromkeys(f"{event.place or ''} {event.outcome}" for event in story.events))
    return {
        "number": story.number,
        "name": story.title,
        "kind": story.kind,
        "ending": story.ending.value,
        "plain": story.is_plain,
        "open": story.ending is Ending.OPEN,
        "bad": story.ending in BAD or any(mark.kind is MarkKind.ERRORS for mark in story.marks),
        "sends": story.sends,
        "began": _round(story.began),
        "text": f"{story.title} {outcomes}".lower(),
        "spans": [
            [SPANS[span.kind], _round(span.began), _round(span.ended), span.where, span.refresh] for span in story.spans
        ],
        "marks": [
            [MARKS.get(mark.kind, "bad"), _round(mark.event.seconds), _words(mark.event)]
            for mark in story.marks
            if mark.kind is not MarkKind.COMPLETED
        ],
        "events": events,
    }


def _is_bad(event: TraceEvent) -> bool:
    return event.error is not None or event.codes is not None


def _words(event: TraceEvent) -> str:
    """Say what an event was."""
    return WORDS[event.kind].format(
        place=event.place,
        above=event.above or "its subscriber",
        again=f" (attempt {event.attempt})" if event.attempt > 1 else "",
        refresh=f"refresh {event.refresh}" if event.refresh else "the stored tokens",
        outcome=event.outcome,
        error=event.error,
    )


def _round(seconds: float) -> float:
    return round(seconds, DIGITS)
