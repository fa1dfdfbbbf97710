"""A limit to the time that a call of a storage takes, by whatever scheduler tells the time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from reactivex import abc

from rxlink.core.timing import start_timer

__all__ = ["within"]

T = TypeVar("T")


async def within(call: Coroutine[Any, Any, T], seconds: float, scheduler: abc.SchedulerBase | None) -> T:
    """Let a call of the storage take its time, but not for ever: the calls behind it wait.

    Raises:
        TimeoutError: It did not end within the time limit, and was cancelled.
    """
    task = asyncio.current_task()
    assert task is not None, "a coroutine runs in a task"
    before, has_expired = task.cancelling(), False

    def expire() -> None:
        nonlocal has_expired
        has_expired = True
        task.cancel()

    timer = start_timer(seconds, expire, scheduler)
    try:
        return await call
    except asyncio.CancelledError:
        if has_expired and task.uncancel() <= before:
            raise TimeoutError(f"the storage did not answer within {seconds:g} s") from None
        raise
    finally:
        timer.cancel()
