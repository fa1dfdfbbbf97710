"""A plot of rates as SVG, made of nothing but text: a column of panels beside another."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Panel", "draw"]

WIDTH, HEIGHT, GAP, TOP, LEFT = 400, 90, 56, 40, 40  # pixels
STYLE = (
    "text{font:12px sans-serif;fill:#444}.title{font-weight:bold}.axis{stroke:#999;fill:none}"
    ".mean{stroke:#999;stroke-dasharray:3 3}.rate{stroke:#2563a8;fill:#2563a822;stroke-width:1}.out{fill:#c0392b22}"
)


@dataclass(frozen=True, slots=True)
class Panel:
    """One curve.

    Attributes:
        title: What stands above it.
        rates: The values of its bins; the mean is 1.
        bins: How many of them a token lives.
        lives: How many lives the panel is wide.
        most: Up to where its axis goes; what is higher is cut off, and told.
        shaded: From which bin to which the issuer is down.
    """

    title: str
    rates: Sequence[float]
    bins: int
    lives: int
    most: float
    shaded: tuple[float, float] | None = None


def draw(columns: Sequence[Sequence[Panel]]) -> str:
    """Return the plot as the text of an SVG file."""
    parts = [
        f'<g transform="translate({LEFT + across * (WIDTH + GAP)} {TOP + down * (HEIGHT + GAP)})">{_panel(panel)}</g>'
        for across, column in enumerate(columns)
        for down, panel in enumerate(column)
    ]
    width = LEFT + len(columns) * (WIDTH + GAP)
    height = TOP + max(map(len, columns)) * (HEIGHT + GAP)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">',
            "<title>Refreshes that an issuer sees, in times of their mean rate</title>",
            f"<style>{STYLE}</style>",
            f'<rect width="{width}" height="{height}" fill="#fff"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _panel(panel: Panel) -> str:
    step = WIDTH / (panel.bins * panel.lives)
    curve = " ".join(
        f"H{n * step:.1f}V{_y(rate, panel):.1f}H{(n + 1) * step:.1f}" for n, rate in enumerate(panel.rates)
    )
    highest = max(panel.rates)
    title = panel.title + (f" (up to {highest:.0f})" if highest > panel.most else "")
    parts = [
        f'<text class="title" y="-8">{escape(title)}</text>',
        f'<path class="rate" d="M0 {HEIGHT}{curve}V{HEIGHT}Z"/>',
        f'<path class="mean" d="M0 {_y(1, panel):.1f}H{WIDTH}"/>',
        f'<path class="axis" d="M0 0V{HEIGHT}H{WIDTH}"/>',
        f'<text x="-8" y="{_y(1, panel) + 4:.1f}" text-anchor="end">1</text>',
        f'<text x="-8" y="10" text-anchor="end">{panel.most:g}</text>',
        f'<text x="{WIDTH}" y="{HEIGHT + 16}" text-anchor="end">{panel.lives} lives of a token</text>',
    ]
    if panel.shaded is not None:
        begins, ends = (number * step for number in panel.shaded)
        parts.insert(0, f'<rect class="out" x="{begins:.1f}" width="{ends - begins:.1f}" height="{HEIGHT}"/>')
    return "".join(parts)


def _y(rate: float, panel: Panel) -> float:
    return HEIGHT * (1 - min(rate / panel.most, 1))
