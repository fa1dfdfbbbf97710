"""Something that is to happen once, later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context

__all__ = ["Alarm"]


class Alarm:
    """Calls something once, after a while; set anew, it forgets what it was set to.

    It calls in a context of its own: it is nobody's in particular (P11).

    Args:
        loop: The event loop.
    """

    __slots__ = ("_handle", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handle: asyncio.Handle | None = None

    @property
    def is_set(self) -> bool:
        """Whether it will call."""
        return self._handle is not None

    def set(self, seconds: float, action: Callable[[], None]) -> None:
        """Call after so many seconds; with 0 not at once, but before anything that comes later."""
        self.stop()
        context = Context()
        self._handle = (
            self._loop.call_later(seconds, self._ring, action, context=context)
            if seconds
            else self._loop.call_soon(self._ring, action, context=context)
        )

    def stop(self) -> None:
        """Call nothing."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _ring(self, action: Callable[[], None]) -> None:
        self._handle = None
        action()
