"""The time of a trace: the subscriber's scheduler, or the running loop's clock, as seconds since the first event."""

from __future__ import annotations

import asyncio

from reactivex import abc
from reactivex.scheduler import CurrentThreadScheduler
from reactivex.scheduler.eventloop import AsyncIOScheduler
from reactivex.scheduler.scheduler import Scheduler

__all__ = ["Clocks"]

MONOTONIC = asyncio.BaseEventLoop
"""Stands for all ordinary event loops: they have one clock, so that one loop can follow another."""


class Clocks:
    """Reads the clocks of those who subscribe.

    Clocks that have nothing in common may meet in one trace, such as a virtual one and that of a loop. Each begins
    where the trace stands when it is first read.
    """

    def __init__(self) -> None:
        self._origins: dict[object, float] = {}
        self.latest = 0.0

    def seconds(self, scheduler: abc.SchedulerBase | None = None) -> float:
        """Return the time of now since the first event.

        Args:
            scheduler: The subscriber's; None for the running loop's clock. Where there is none either, it is that of
                RxPY's own scheduler, which runs such a subscription. For one that cannot say, time stands still.
        """
        try:
            clock, now = _read(scheduler)
        except Exception:  # noqa: BLE001 - a scheduler is a user's, and a trace must not stop what it looks at
            return self.latest
        origin = self._origins.get(clock)
        if origin is None:
            self._forget_closed_loops()
            origin = self._origins[clock] = now - self.latest
        seconds = now - origin
        self.latest = max(self.latest, seconds)
        return seconds

    def so_far(self) -> float:
        """Return the time of now by the running loop's clock, if the trace knows it, else of the latest reading."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self.latest
        clock, now = _read(None)
        origin = self._origins.get(clock)
        return self.latest if origin is None else max(self.latest, now - origin)

    def _forget_closed_loops(self) -> None:
        for clock in [*self._origins]:
            if isinstance(clock, asyncio.AbstractEventLoop) and clock.is_closed():
                del self._origins[clock]


def _read(scheduler: abc.SchedulerBase | None) -> tuple[object, float]:
    if scheduler is None or isinstance(scheduler, AsyncIOScheduler):
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            is_ordinary = isinstance(loop, MONOTONIC) and type(loop).time is MONOTONIC.time
            return MONOTONIC if is_ordinary else loop, loop.time()
    if scheduler is None:
        return CurrentThreadScheduler, Scheduler.to_seconds(CurrentThreadScheduler.singleton().now)
    return scheduler, Scheduler.to_seconds(scheduler.now)
