"""The requests that run on one event loop, and what ends them early: the timeout, or closing the link.

All requests of a link have the same timeout, so they fall due in the order in which they started, and one timer
serves them all. A timer for each costs as much as the rest of the link's own work (a heap of Python objects). For the
same reason it stays when the last request is over, in case another begins: it ends when it finds none, at most the
timeout later, or when the link is closed.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, MutableMapping
from enum import Enum
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

__all__ = ["Ended", "IdleTimer", "Running"]


class Ended(Enum):
    """Who cancelled a request."""

    BY_TIMEOUT = "timeout"
    BY_SILENCE = "silence"
    BY_CLOSING = "closing"


class IdleTimer:
    """Tells when nothing has been heard for a while.

    Args:
        loop: Whose time it is.
        seconds: How long; None for ever.
        on_idle: Called once, then.
    """

    __slots__ = ("_heard_at", "_loop", "_on_idle", "_seconds", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float | None, on_idle: Callable[[], None]) -> None:
        self._loop = loop
        self._seconds = math.inf if seconds is None else seconds
        self._on_idle = on_idle
        self._heard_at = loop.time()
        self._timer = None if seconds is None else loop.call_later(seconds, self._look)

    def heard(self) -> None:
        """Begin anew."""
        self._heard_at = self._loop.time()

    def stop(self) -> None:
        """Tell nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        due = self._heard_at + self._seconds
        if due > self._loop.time():
            self._timer = self._loop.call_at(due, self._look)
        else:
            self._timer = None
            self._on_idle()


class Running:
    """The tasks of requests, each with the time at which it will have taken too long.

    Args:
        loop: Where they run.
        timeout: Seconds; None for any time.

    Attributes:
        due: When each will have taken too long, by its task, in the order in which they began: whoever runs it
            deletes it when it is over.
    """

    __slots__ = ("_ended", "_loop", "_streams", "_timeout", "_timer", "due")

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout: float | None) -> None:
        self._loop = loop
        self._timeout = timeout
        self.due: dict[asyncio.Task[Any], float] = {}
        self._streams: dict[asyncio.Task[Any], IdleTimer] = {}
        # By weak references: some may end in another way all the same.
        self._ended: MutableMapping[asyncio.Task[Any], Ended] = WeakKeyDictionary()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self.due) + len(self._streams)

    def enter(self, task: asyncio.Task[Any]) -> None:
        """Note a request that begins now."""
        if self._timeout is None:
            self.due[task] = math.inf
            return
        due = self.due[task] = self._loop.time() + self._timeout
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._sweep)

    def enter_stream(self, task: asyncio.Task[Any], idle: float | None) -> IdleTimer:
        """Note a request whose answer comes in pieces, with so many seconds at most between two of them."""
        self._ended.pop(task, None)  # of the answer's head, which has come all the same
        timer = self._streams[task] = IdleTimer(self._loop, idle, partial(self._end, task, Ended.BY_SILENCE))
        return timer

    def leave_stream(self, task: asyncio.Task[Any]) -> None:
        """Forget one that is over."""
        self._streams.pop(task).stop()

    def why_cancelled(self, task: asyncio.Task[Any]) -> Ended | None:
        """Tell who cancelled a request, None where somebody else did, or somebody else as well."""
        ended = self._ended.pop(task, None)
        return None if ended is None or task.uncancel() else ended

    async def close(self) -> None:
        """End all that run, and wait until they have ended."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        tasks = [*self.due, *self._streams]
        for task in tasks:
            self._end(task, Ended.BY_CLOSING)
        if tasks:
            await asyncio.wait(tasks)

    def _sweep(self) -> None:
        self._timer = None
        now = self._loop.time()
        for task, due in self.due.items():
            if due > now:
                self._timer = self._loop.call_at(due, self._sweep)
                return
            self._end(task, Ended.BY_TIMEOUT)

    def _end(self, task: asyncio.Task[Any], ended: Ended) -> None:
        if task not in self._ended:
            self._ended[task] = ended
            task.cancel()
