"""The time that a socket has for the answers it owes, before it closes and the next one opens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context

__all__ = ["Parting"]


class Parting:
    """Waits until a socket owes no answer any more, but not for ever.

    Args:
        loop: The event loop.
        seconds: How long it waits at most.
        part: Called when the wait is over.
    """

    __slots__ = ("_loop", "_part", "_seconds", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, part: Callable[[], None]) -> None:
        self._loop = loop
        self._seconds = seconds
        self._part = part
        self._timer: asyncio.Handle | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether it waits."""
        return self._timer is not None

    def begin(self) -> None:
        """Wait, unless it does already."""
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._part, context=Context())

    def end(self) -> None:
        """Wait no longer: all is answered. Not at once, for somebody may be in the midst of the last answer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._loop.call_soon(self._part, context=Context())

    def stop(self) -> None:
        """Wait for nothing: the socket is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
