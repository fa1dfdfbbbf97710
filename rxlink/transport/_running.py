"""The requests that run on one event loop, and what ends them early: the timeout, or closing the link.

All requests of a link have the same timeout, so they fall due in the order in which they started, and one timer
serves them all. A timer for each costs as much as the rest of the link's own work (a heap of Python objects).
"""

from __future__ import annotations

import asyncio
import math
from enum import Enum
from typing import Any

__all__ = ["Ended", "Running"]


class Ended(Enum):
    """Who cancelled a request."""

    BY_TIMEOUT = "timeout"
    BY_CLOSING = "closing"


class Running:
    """The tasks of requests, each with the time at which it will have taken too long.

    Args:
        loop: Where they run.
        timeout: Seconds; None for any time.
    """

    __slots__ = ("_due", "_ended", "_loop", "_timeout", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout: float | None) -> None:
        self._loop = loop
        self._timeout = math.inf if timeout is None else timeout
        self._due: dict[asyncio.Task[Any], float] = {}
        self._ended: dict[asyncio.Task[Any], Ended] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._due)

    def enter(self, task: asyncio.Task[Any]) -> None:
        """Note a request that begins now."""
        due = self._due[task] = self._loop.time() + self._timeout
        if self._timer is None and due != math.inf:
            self._timer = self._loop.call_at(due, self._sweep)

    def leave(self, task: asyncio.Task[Any]) -> None:
        """Forget a request that is over."""
        del self._due[task]
        if self._ended:
            self._ended.pop(task, None)
        if not self._due and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def why_cancelled(self, task: asyncio.Task[Any]) -> Ended | None:
        """Tell who cancelled a request, None where somebody else did, or somebody else as well."""
        ended = self._ended.get(task)
        return None if ended is None or task.uncancel() else ended

    async def close(self) -> None:
        """End all that run, and wait until they have ended."""
        tasks = list(self._due)
        for task in tasks:
            self._end(task, Ended.BY_CLOSING)
        if tasks:
            await asyncio.wait(tasks)

    def _sweep(self) -> None:
        self._timer = None
        now = self._loop.time()
        for task, due in self._due.items():
            if due > now:
                self._timer = self._loop.call_at(due, self._sweep)
                return
            self._end(task, Ended.BY_TIMEOUT)

    def _end(self, task: asyncio.Task[Any], ended: Ended) -> None:
        if task not in self._ended:
            self._ended[task] = ended
            task.cancel()
