"""Durations and timers: time comes from a scheduler where one is given, else from the running event loop."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextvars import copy_context
from datetime import timedelta
from typing import TypeAlias

from reactivex import abc

from rxlink.core.subscription import Cancellable
from rxlink.errors import InvariantError, InvariantTypeError

__all__ = ["Duration", "sleep", "start_timer", "to_seconds", "to_seconds_or_none"]

Duration: TypeAlias = float | timedelta
"""A span of time: seconds, or a ``timedelta``."""


LONGEST = 10**12
"""Seconds that a whole number may have: more than thirty thousand years."""


def to_seconds(name: str, value: Duration, *, may_be_zero: bool = True, or_else: str = "") -> float:
    """Return a duration in seconds.

    Args:
        name: The option it was given for, for the error message.
        value: Seconds or a ``timedelta``.
        may_be_zero: Whether zero makes sense for this option.
        or_else: What else may be given, for the end of the message, such as ``, or None for never``.

    Raises:
        InvariantTypeError: The value is neither.
        InvariantError: The value is negative, not finite, or zero where zero makes no sense.
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):  # pyright: ignore[reportUnnecessaryIsInstance] - untyped
        raise InvariantTypeError(f"`{name}` is {value!r}; give seconds or a timedelta{or_else}")
    is_finite = math.isfinite(seconds) if isinstance(seconds, float) else seconds < LONGEST
    if not is_finite or seconds < 0 or (seconds == 0 and not may_be_zero):
        least = "0 or more" if may_be_zero else "more than 0"
        raise InvariantError(f"`{name}` is {seconds!r}; give {least} seconds{or_else}")
    return float(seconds)


def to_seconds_or_none(name: str, value: Duration | None, *, or_else: str = ", or None for ever") -> float | None:
    """Return a duration above zero in seconds, and None for None.

    Args:
        name: The option it was given for, for the error message.
        value: Seconds, a ``timedelta``, or None.
        or_else: What None means, for the end of the message.

    Raises:
        InvariantTypeError: The value is none of these.
        InvariantError: The value is not above 0, or not finite.
    """
    return None if value is None else to_seconds(name, value, may_be_zero=False, or_else=or_else)


class _ScheduledTimer:
    """A timer on a RxPY scheduler, with the ``cancel`` of a resource."""

    __slots__ = ("_disposable",)

    def __init__(self, disposable: abc.DisposableBase) -> None:
        self._disposable = disposable

    def cancel(self) -> None:
        self._disposable.dispose()


def start_timer(seconds: float, action: Callable[[], None], scheduler: abc.SchedulerBase | None = None) -> Cancellable:
    """Call a function later, in the context of now.

    Args:
        seconds: How much later.
        action: What to call.
        scheduler: Whose time it is; None for the running event loop's.
    """
    if scheduler is None:
        return asyncio.get_running_loop().call_later(seconds, action)
    context = copy_context()

    def fire(_scheduler: abc.SchedulerBase, _state: object = None) -> None:
        context.run(action)

    return _ScheduledTimer(scheduler.schedule_relative(seconds, fire))


async def sleep(seconds: float, scheduler: abc.SchedulerBase | None = None) -> None:
    """Wait, by the scheduler's time or the loop's."""
    woken = asyncio.get_running_loop().create_future()

    def wake() -> None:
        if not woken.done():
            woken.set_result(None)

    timer = start_timer(seconds, wake, scheduler)
    try:
        await woken
    finally:
        timer.cancel()
