"""The time that a socket has for the answers it owes, before it closes and the next one opens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rxlink.transport._ws_alarm import Alarm

__all__ = ["Parting"]


class Parting:
    """Waits until a socket owes no answer any more, but not for ever.

    Args:
        loop: The event loop.
        seconds: How long it waits at most.
        part: Called when the wait is over.
    """

    __slots__ = ("_alarm", "_part", "_seconds")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, part: Callable[[], None]) -> None:
        self._alarm = Alarm(loop)
        self._seconds = seconds
        self._part = part

    @property
    def is_under_way(self) -> bool:
        """Whether it waits."""
        return self._alarm.is_set

    def begin(self) -> None:
        """Wait, unless it does already."""
        if not self._alarm.is_set:
            self._alarm.set(self._seconds, self._part)

    def end(self) -> None:
        """Wait no longer: all is answered. Not at once, for somebody may be in the midst of the last answer."""
        if self._alarm.is_set:
            self._alarm.set(0.0, self._part)

    def stop(self) -> None:
        """Wait for nothing: the socket is gone."""
        self._alarm.stop()
