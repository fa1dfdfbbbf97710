"""Tells on a terminal that an answer takes long."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from rxlink.commands.output import say

__all__ = ["Waiting"]

PATIENCE: Final = 2.0
"""Seconds after which one begins to wonder."""
STEP: Final = 1.0  # seconds
CLEAR: Final = "\r\x1b[K"


class Waiting:
    """Counts the seconds on standard error, from the third on, until the block ends or something has come.

    Nothing is written where standard error is no terminal.

    Args:
        what: What is waited for.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._task: asyncio.Task[None] | None = None
        self._is_shown = False

    async def __aenter__(self) -> Self:
        if sys.stderr is not None and sys.stderr.isatty():  # pyright: ignore[reportUnnecessaryComparison] - None where it was closed
            self._task = asyncio.create_task(self._count())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """Stop counting, and clear the line."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
            if self._is_shown:
                self._is_shown = False
                _show(CLEAR)

    def tell(self, line: str) -> None:
        """Write a line to standard error; what is counted goes on below it."""
        if self._is_shown:
            _show(CLEAR)
        say(line)

    async def _count(self) -> None:
        seconds = PATIENCE
        await asyncio.sleep(PATIENCE)
        while True:
            self._is_shown = True
            _show(f"{CLEAR}rxlink: waiting for {self._what}, {seconds:.0f} s")
            await asyncio.sleep(STEP)
            seconds += STEP


def _show(text: str) -> None:
    with suppress(OSError):  # nobody reads it
        sys.stderr.write(text)
        sys.stderr.flush()
