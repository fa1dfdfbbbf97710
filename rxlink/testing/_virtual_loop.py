"""An asyncio event loop whose clock moves only when nothing is left to do.

A real loop that is idle sleeps in its selector until the next timer. This one looks at its sockets
without sleeping and then sets its clock to the moment of that timer: an hour of timers costs what
its callbacks cost. Sockets and executor jobs stay real, and come before time (`VirtualLoop.wait`).
"""

import asyncio
import itertools
import math
import selectors
from asyncio import TimerHandle
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import Context
from typing import Any, Self, TypeAlias, TypeVar, TypeVarTuple, Unpack

__all__ = ["VirtualLoop"]

#: Digits after the point of a virtual second. With decimal rounding sums come out as people expect:
#: ten steps of a tenth of a second reach the timer that is due after one second.
DIGITS = 9

Events: TypeAlias = list[tuple[selectors.SelectorKey, int]]
Poll: TypeAlias = Callable[[float | None], Events]
Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with a virtual `time()`, starting at 0.

    Args:
        io_grace: Real seconds that bytes in flight get to arrive before time moves on; only spent
            while a socket is registered.
        patience: Real seconds without a byte after which open sockets are no reason to wait longer.
    """

    # asyncio's heap of timers: read, never changed. No public call tells when the next one is due.
    _scheduled: list[TimerHandle]

    def __init__(self, *, io_grace: float, patience: float) -> None:
        self._io_grace = io_grace
        self._patience = patience
        self._limit = math.inf
        self._jobs: set[asyncio.Future[Any]] = set()
        self._order = itertools.count()
        self._files = _VirtualSelector(self.wait)
        super().__init__(self._files)
        self._set_time(0.0)

    def time(self) -> float:
        """Tell the virtual seconds since the loop was made, in whole nanoseconds."""
        return self._now

    def run_until(self, moment: float) -> None:
        """Run all that is due up to `moment` (virtual seconds), in order; leave the clock at it."""
        self._limit = max(self._now, round(moment, DIGITS))
        try:
            self.run_forever()
        finally:
            self._limit = math.inf

    def timers(self) -> list[TimerHandle]:
        """Return the timers that have neither fired nor been cancelled, the next one first."""
        return sorted(timer for timer in self._scheduled if not timer.cancelled())

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Arguments]], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> TimerHandle:
        """Set a timer, as asyncio does; timers of one moment fire in the order they were set."""
        moment = round(when, DIGITS)
        if moment <= self._now < when:
            # Code that sets a timer for a rest that rounds to nothing would never see time pass.
            step = round(self._now + 10**-DIGITS, DIGITS)
            moment = max(step, math.nextafter(self._now, math.inf))
        return super().call_at(_Moment(moment, next(self._order)), callback, *args, context=context)

    def run_in_executor(
        self,
        executor: Executor | None,
        func: Callable[[Unpack[Arguments]], Result],
        *args: *Arguments,
    ) -> asyncio.Future[Result]:
        """Run a function in a thread, as asyncio does; time stands while it runs."""
        job = super().run_in_executor(executor, func, *args)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        return job

    def wait(self, poll: Poll) -> Events:
        """Find work for a loop that has nothing ready: real events first, then the next timer.

        Raises:
            RuntimeError: nothing can ever happen; the message names the tasks that wait.
        """
        if self._jobs:
            return poll(None)
        events = poll(self._io_grace) if self._has_sockets() else []
        if events:
            return events
        due = self._scheduled[0].when() if self._scheduled else math.inf
        if due <= self._limit and due < math.inf:
            self._set_time(due)
        elif self._limit < math.inf:
            self._set_time(self._limit)
            self.stop()
        else:
            events = poll(self._patience) if self._has_sockets() else []
            if not events:
                raise RuntimeError(self._standstill())
        return events

    def _set_time(self, now: float) -> None:
        self._now = float(now)
        # asyncio fires timers due before `time() + _clock_resolution`. One step of a float makes
        # that "due by now", and is never too small to make a difference, as a constant would be.
        self._clock_resolution = math.ulp(self._now)

    def _has_sockets(self) -> bool:
        # The one that is always there is the pipe by which threads wake the loop.
        return len(self._files.get_map()) > 1

    def _standstill(self) -> str:
        silence = f", no socket had anything for {self._patience:g} real seconds"
        waiting = sorted(map(describe, asyncio.all_tasks(self)))
        return (
            f"virtual time stands still at {self._now:g} s: no callback is ready, no timer is set"
            f"{silence if self._has_sockets() else ''}, so the coroutine being run can never end. "
            f"Waiting tasks: {'; '.join(waiting) or 'none'}. "
            "Make what they wait for happen, or give the wait a timeout."
        )


class _VirtualSelector(selectors.DefaultSelector):
    """The system's selector, asking `wait` instead of sleeping when nothing is ready."""

    def __init__(self, wait: Callable[[Poll], Events]) -> None:
        super().__init__()
        self._wait = wait

    def select(self, timeout: float | None = None) -> Events:
        events = super().select(0)
        is_idle = timeout is None or timeout > 0
        return self._wait(super().select) if is_idle and not events else events


class _Moment(float):
    """A time in seconds that comes before equal ones with a higher number.

    asyncio's heap alone does not keep timers of one moment in order.
    """

    __slots__ = ("_number",)
    _number: int

    def __new__(cls, seconds: float, number: int) -> Self:
        moment = super().__new__(cls, seconds)
        moment._number = number
        return moment

    def __lt__(self, other: float) -> bool:
        if isinstance(other, _Moment) and float(self) == float(other):
            return self._number < other._number
        return super().__lt__(other)


def describe(task: asyncio.Task[Any]) -> str:
    """Return a task's name and the line at which it waits, without any value that it carries."""
    frames = task.get_stack(limit=1)
    place = f" in {frames[0].f_code.co_filename}:{frames[0].f_lineno}" if frames else ""
    return f"{task.get_name()} ({getattr(task.get_coro(), '__qualname__', 'unnamed')}{place})"
