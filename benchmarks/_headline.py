"""The budget in one table, and the same as a picture: what must be, what is wanted, what was measured."""

import math
from collections.abc import Sequence
from html import escape

from benchmarks.harness import Row, Table, Verdict, as_text

__all__ = ["draw", "headline"]

WIDTH, ROW, LABELS, TOP = 980, 26, 520, 46  # pixels
BARS = WIDTH - LABELS - 90
WIDEST = 4.0  # times what must be
STYLE = (
    "text{font:12px sans-serif;fill:#444}.title{font-weight:bold}.must{stroke:#c0392b;stroke-width:2}"
    ".aim{stroke:#999;stroke-dasharray:3 3}.bar{fill:#2563a8}.missed{fill:#c0392b}.reported{fill:#999}"
)


def headline(verdicts: Sequence[Verdict]) -> Table:
    """Return the table of what was promised."""
    return Table("The budget", [_row(verdict) for verdict in verdicts])


def draw(verdicts: Sequence[Verdict]) -> str:
    """Return the picture as the text of an SVG file: a bar for each row, better to the right, on a scale of ratios."""
    height = TOP + ROW * len(verdicts) + 10
    must = LABELS + _place(1.0)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}">',
            "<title>What was measured, in times of what must be</title>",
            f"<style>{STYLE}</style>",
            f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
            f'<text x="{must}" y="18" text-anchor="middle" class="title">must</text>',
            '<text x="10" y="18" class="title">better to the right; dashed: wanted; grey: wanted only</text>',
            f'<path class="must" d="M{must} {TOP - 18}V{height - 6}"/>',
            *(_bar(verdict, TOP + ROW * number) for number, verdict in enumerate(verdicts)),
            "</svg>\n",
        ]
    )


def _row(verdict: Verdict) -> Row:
    return {
        "subject": verdict.subject,
        "must": "reported" if verdict.bound is None else f"{verdict.side} {as_text(verdict.bound)}",
        "aim": "" if verdict.aim is None else as_text(verdict.aim),
        "measured": verdict.measured,
        "": _outcome(verdict),
    }


def _outcome(verdict: Verdict) -> str:
    if verdict.reaches_aim:
        return "aim reached"
    if verdict.bound is None:
        return "below aim"
    return "kept" if verdict.is_kept else "MISSED"


def _bar(verdict: Verdict, top: int) -> str:
    good = _goodness(verdict, verdict.measured)
    kind = "missed" if not verdict.is_kept else "reported" if verdict.bound is None else "bar"
    aim = ""
    if verdict.aim is not None and verdict.bound is not None:
        place = LABELS + _place(_goodness(verdict, verdict.aim))
        aim = f'<path class="aim" d="M{place:.0f} {top - 14}v{ROW - 8}"/>'
    return (
        f'<text x="10" y="{top}">{escape(verdict.subject)}</text>'
        f'<rect class="{kind}" x="{LABELS}" y="{top - 11}" width="{_place(good):.0f}" height="14"/>{aim}'
        f'<text x="{WIDTH - 84}" y="{top}">{as_text(verdict.measured)}</text>'
    )


def _goodness(verdict: Verdict, value: float) -> float:
    """Return how many times better a value is than it must be; where nothing is allowed, all or nothing.

    Without a must it is compared with what is wanted.
    """
    bound = verdict.aim if verdict.bound is None else verdict.bound
    assert bound is not None, "a verdict has a must or an aim"
    above, below = (value, bound) if verdict.is_floor else (bound, value)
    if below == 0:
        return WIDEST if above >= 0 else 0.0
    return above / below


def _place(good: float) -> float:
    """Return how far to the right a value stands; the scale is logarithmic, and ends at both sides."""
    low, high = 1 / WIDEST, WIDEST
    return BARS * math.log(min(max(good, low), high) / low) / math.log(high / low)
