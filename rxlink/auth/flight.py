"""One flight: who waits for it, on which loops, and what runs for it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from reactivex.disposable import SingleAssignmentDisposable

from rxlink.auth.loops import call_on, loop_here, running_loop
from rxlink.auth.pending import PendingRequests
from rxlink.core.observer import Cancellable

__all__ = ["Elsewhere", "Flight"]

A = TypeVar("A")
T = TypeVar("T")


class _NoTimer:
    """The timer of a flight that has not started."""

    def cancel(self) -> None:
        """Do nothing."""


NO_TIMER = _NoTimer()


@dataclass(slots=True)
class Elsewhere(Generic[T]):
    """Those who wait on another loop than the flight's.

    Attributes:
        wave: They.
        timer: What ends their wait if the flight's loop stands still.
    """

    wave: PendingRequests[T]
    timer: Cancellable = NO_TIMER


class Flight(Generic[A, T]):
    """One flight: who waits for it, and what runs for it.

    Attributes:
        argument: What it was started with.
        wave: Those who wait on its own loop.
        limit: How many seconds it may take, counted from when that was last said.
        said: How often that was said.
        is_keeping: Whether it has begun to keep its outcome.
        elsewhere: Those who wait on other loops.
    """

    def __init__(self, argument: A) -> None:
        self.argument = argument
        self.loop = running_loop()
        self.process = os.getpid()
        self.timer: Cancellable = NO_TIMER
        self.wave = PendingRequests[T]()
        self.limit = 0.0
        self.said = 0
        self.is_keeping = False
        self.elsewhere: dict[asyncio.AbstractEventLoop, Elsewhere[T]] = {}
        self.stream = SingleAssignmentDisposable()
        self.landed: Future[None] = Future()
        self.outcome: list[T] = []

    def is_dead(self) -> bool:
        """Tell whether nothing can come of it: its loop is closed, or it runs in the process that forked this one."""
        return self.loop.is_closed() or self.process != os.getpid()

    def is_of_running_loop(self) -> bool:
        """Tell whether it runs on the caller's loop; also where none runs, so that the caller hears of it at once."""
        return loop_here() in {self.loop, None}

    @property
    def waiting(self) -> int:
        """How many wait, on all loops."""
        return self.wave.waiting + sum(elsewhere.wave.waiting for elsewhere in list(self.elsewhere.values()))

    def stop(self) -> None:
        """Stop what runs, on its own loop."""
        if self.is_dead():
            self.landed.set_result(None)
        else:
            call_on(self.loop, self._stop)

    def _stop(self) -> None:
        self.timer.cancel()
        self.stream.dispose()
        self.landed.set_result(None)

    def succeed(self, outcome: T) -> None:
        """Let those who wait go on."""

        def tell(wave: PendingRequests[T]) -> None:
            wave.on_next(outcome)
            wave.on_completed()

        self.release(tell)

    def release(self, tell: Callable[[PendingRequests[T]], None]) -> None:
        """Tell those who wait, each on their own loop."""
        call_on(self.loop, tell, self.wave)
        for loop, elsewhere in list(self.elsewhere.items()):
            call_on(loop, elsewhere.timer.cancel)
            call_on(loop, tell, elsewhere.wave)
