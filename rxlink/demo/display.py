"""Where a timeline appears: plain lines, or a terminal with colours and a progress bar.

Colours and bar need rich (extra ``cli``); a terminal without it gets plain lines.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol, TextIO

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["Display", "Line", "Mood", "PlainLines", "Terminal", "display_on"]

REDRAWN: Final = 20
"""The progress bar is drawn anew after so many operations, and with each line."""


class Mood(StrEnum):
    """What a line is about, as the style that rich gives it."""

    TITLE = "bold"
    PLAIN = "none"
    WAITING = "yellow"
    REFRESH = "cyan"
    GOOD = "green"
    BAD = "bold red"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a timeline.

    Attributes:
        label: When and who.
        text: What.
        mood: How it looks, where there are colours.
    """

    label: str
    text: str
    mood: Mood

    def __str__(self) -> str:
        return self.label + self.text

    def styled(self) -> Text:
        """Return it for rich."""
        from rich.text import Text

        return Text.assemble((self.label, "dim"), (self.text, self.mood.value))


class Display(Protocol):
    """Takes the lines of a timeline as they come."""

    def show(self, line: Line) -> None:
        """Show a line."""
        ...

    def advance(self, ended: int) -> None:
        """Take note of how many operations have ended."""
        ...

    def close(self) -> None:
        """Leave things in order, also after an interruption."""
        ...


class PlainLines:
    """Prints lines; no escape codes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, line: Line) -> None:
        """Print it at once; if the reader has left, such as ``head``, print to nobody from now on."""
        try:
            print(line, file=self._stream, flush=True)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def advance(self, ended: int) -> None:
        """Print nothing."""

    def close(self) -> None:
        """Do nothing: the stream is somebody else's."""


class Terminal:
    """Prints lines in colour, above a progress bar.

    Raises:
        ImportError: rich is not installed.
    """

    def __init__(self, stream: TextIO, operations: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self._progress = Progress(
            TextColumn("operations"),
            BarColumn(),
            MofNCompleteColumn(),
            console=Console(file=stream, highlight=False),
            auto_refresh=False,  # by a thread
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._bar = self._progress.add_task("operations", total=operations)
        self._progress.start()

    def show(self, line: Line) -> None:
        """Print it above the bar."""
        self._progress.console.print(line.styled())

    def advance(self, ended: int) -> None:
        """Move the bar."""
        self._progress.update(self._bar, completed=ended, refresh=ended % REDRAWN == 0)

    def close(self) -> None:
        """Take the bar away."""
        self._progress.stop()


def display_on(stream: TextIO, operations: int) -> Display:
    """Return what suits a stream: colours on a terminal that wants them, else plain lines."""
    is_plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    if not stream.isatty() or is_plain:
        return PlainLines(stream)
    try:
        return Terminal(stream, operations)
    except ImportError:
        return PlainLines(stream)
