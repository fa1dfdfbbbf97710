"""What a session's time comes from: its clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias

from rxlink.core.options import checked_function, kind_of
from rxlink.errors import InvariantError, InvariantTypeError

__all__ = ["Clock", "checked_clock", "system_clock"]

Clock: TypeAlias = Callable[[], datetime]
"""Tells the current time as an aware datetime."""


def system_clock() -> datetime:
    """Tell the current time; `datetime` is looked up each time, for those who freeze it in their tests."""
    return datetime.now(UTC)


def checked_clock(clock: Clock) -> Clock:
    """Return a clock that can be asked.

    Raises:
        InvariantTypeError: It cannot be called, or tells something else than a datetime.
        InvariantError: Its time has no time zone.
    """
    checked_function("`clock`", clock)
    now: Any = clock()
    if not isinstance(now, datetime):
        raise InvariantTypeError(f"`clock` tells {kind_of(now)}; let it tell an aware datetime")
    if now.utcoffset() is None:
        raise InvariantError(f"`clock` tells {now!r} without a time zone; give lambda: datetime.now(UTC)")
    return clock
