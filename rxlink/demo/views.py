"""What is shown of the demo's trace, and where."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from rxlink import Trace, explain, to_html, to_svg, to_text
from rxlink.demo.display import Line, Mood, PlainLines

__all__ = ["Views"]

TITLE: Final = "rxlink demo"
ROWS: Final = 60
"""How many operations are drawn where one cannot filter."""
NARROWEST, WIDEST = 60, 160
"""Columns."""
EVENTS_OF_AN_OPERATION: Final = 16
MOST_EVENTS: Final = 500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """The views of a trace that were asked for.

    Attributes:
        is_text: Whether it is printed.
        html: Where the page goes, None for nowhere.
        svg: Where the picture goes, None for nowhere.
    """

    is_text: bool = False
    html: Path | None = None
    svg: Path | None = None

    def new_trace(self, operations: int) -> Trace | None:
        """Return a trace with room for so many operations, None where nobody wants to see one."""
        if not (self.is_text or self.html or self.svg):
            return None
        return Trace(max_events=min(operations * EVENTS_OF_AN_OPERATION + 1000, MOST_EVENTS))

    def show(self, trace: Trace, stream: TextIO) -> None:
        """Print the text and write the files.

        Raises:
            OSError: A file could not be written.
        """
        if self.is_text:
            width = min(max(shutil.get_terminal_size((100, 24)).columns, NARROWEST), WIDEST)
            text = f"\n{to_text(trace, width=width, rows=ROWS)}\n\n{explain(trace)}"
            PlainLines(stream).show(Line("", text, Mood.PLAIN))
        if self.html is not None:
            self.html.write_text(to_html(trace, title=TITLE), encoding="utf-8")
        if self.svg is not None:
            self.svg.write_text(to_svg(trace, rows=ROWS, title=TITLE), encoding="utf-8")
