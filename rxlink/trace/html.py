"""A trace as one page that needs nothing else: no network, no server; to zoom and to filter."""

from __future__ import annotations

import json
import re
from html import escape
from typing import Any, Final

from rxlink.core.options import kind_of
from rxlink.errors import InvariantTypeError
from rxlink.trace.events import TraceEvent, TraceKind
from rxlink.trace.explain import explain, reason_words, refresh_line
from rxlink.trace.recorder import Trace
from rxlink.trace.scale import scale_of
from rxlink.trace.stories import Ending, MarkKind, OperationStory, RefreshStory, SpanKind, Stories, stories_of

__all__ = ["to_html"]

GAP: Final = re.compile(r"@@(\w+)@@")
SPANS: Final = {SpanKind.UNDER_WAY: "way", SpanKind.WAITING: "waiting", SpanKind.HELD: "held"}
MARKS: Final = {MarkKind.SENT: "sent", MarkKind.RESULT: "result", MarkKind.LEFT: "left"}
BAD: Final = {Ending.FAILED, Ending.BROKEN, Ending.EMPTY}
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
    counts = f"{len(stories.operations)} operations, {len(stories.refreshes)} refreshes, {stories.seconds:.2f} s"
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
        "scale": {"moments": [_round(moment) for moment, _ in points], "places": [_round(place) for _, place in points]},
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
    again = f", for the {event.attempt}. time" if event.attempt > 1 else ""
    refresh = f"refresh {event.refresh}" if event.refresh else "the stored tokens"
    match event.kind:
        case TraceKind.STARTED:
            return f"started: handed to {event.place}{again}"
        case TraceKind.FORWARDED:
            return f"passed on to {event.place}{again}"
        case TraceKind.RESULT:
            return f"{event.place} answered: {event.outcome}"
        case TraceKind.ERROR:
            return f"{event.place} failed: {event.outcome}"
        case TraceKind.COMPLETED:
            return f"{event.place} completed"
        case TraceKind.DISPOSED:
            return f"{event.place} left by {event.above or 'the subscriber'}"
        case TraceKind.BROKEN:
            return f"a callback of the subscriber raised {event.error}"
        case TraceKind.WAITING:
            return f"waits for {refresh}"
        case TraceKind.REFRESHED:
            return f"goes on after {refresh}"
        case TraceKind.RETRIED:
            return "sent again with another token"
        case _:
            return event.kind.value


def _round(seconds: float) -> float:
    return round(seconds, DIGITS)
