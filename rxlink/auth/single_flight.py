"""The refresh stream: one flight at a time, shared by everyone who needs its outcome.

Apollo's recipe keeps a flag ``isRefreshing`` and a list of pending callbacks, and answers a failed operation with

    fromPromise(getNewToken()).filter(Boolean).flatMap(() => forward(operation))

The same stream is in :meth:`SingleFlight._fly`: ``from_future``, ``filter``, ``flat_map``, and the pending-request
subject behind it (:mod:`rxlink.auth.pending`). The retry, ``forward(operation)``, is what each waiting operation does
with the subject's value (:mod:`rxlink.auth.attempts`). Hardened: the flag is reset *before* anyone is released, so who
fails meanwhile starts a new flight; a run that fails, hangs or returns nothing gives every waiter an error (``filter``
alone completes the leader empty); nobody who leaves stops it; a run that comes back to its own flight is told so.

A flight runs on the event loop that started it. Whoever joins it on another loop, in another thread, waits in a subject
of that loop, and is released there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from threading import RLock
from typing import Generic, TypeVar

from reactivex import abc

from rxlink.auth.flight import Elsewhere, Flight
from rxlink.auth.pending import PendingRequests
from rxlink.core.observables import from_future
from rxlink.core.refreshes import enter_refresh, refreshes_here
from rxlink.core.timing import start_timer
from rxlink.errors import OperationCancelled

__all__ = ["A_MOMENT", "NothingReturned", "SingleFlight"]

A = TypeVar("A")
T = TypeVar("T")

A_MOMENT = 0.5
"""Seconds by which another loop waits longer than the flight may take, so that its own loop speaks first."""


class NothingReturned(Exception):
    """The run ended and had nothing to go on with."""


class SingleFlight(Generic[A, T]):
    """Runs something once at a time; whoever asks meanwhile, on whichever loop, shares the outcome.

    Args:
        run: The work; what it returns is shared, None means nothing.
        keep: Gets the argument and the outcome: what is done with it before anyone goes on with it; returns it.
        time_limit: Seconds for both. What ``run`` has returned by then counts, even if ``keep`` has not ended.
        failed: Gets the argument, what ended a flight without an outcome (:class:`NothingReturned`, ``TimeoutError``,
            or what ``run`` raised), and how many wait. Returns what they get: an error, or something to go on with
            all the same. Called once per failed flight.
        landed: Called with the argument when a flight is over, however, before anyone is released.
        scheduler: Whose time the limit is; None for the running loop's.
        lock: Held while it is decided whether a flight is under way; None for one of its own.
    """

    def __init__(
        self,
        run: Callable[[A], Awaitable[T | None]],
        *,
        keep: Callable[[A, T], Awaitable[T]],
        time_limit: float,
        failed: Callable[[A, Exception, int], Exception | T],
        landed: Callable[[A], None] | None = None,
        scheduler: abc.SchedulerBase | None = None,
        lock: RLock | None = None,
    ) -> None:
        self._run, self._keep, self._failed, self._landed = run, keep, failed, landed
        self._time_limit, self._scheduler = time_limit, scheduler
        self._lock = RLock() if lock is None else lock
        self._flight: Flight[A, T] | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether a flight is under way, on any loop."""
        return self._current() is not None

    @property
    def argument(self) -> A | None:
        """What the flight that is under way was started with, on any loop; None where none is."""
        flight = self._current()
        return None if flight is None else flight.argument

    @property
    def wave(self) -> PendingRequests[T] | None:
        """Those on the running loop who wait for the flight that is under way; None where none is."""
        with self._lock:
            flight = self._current()
            return None if flight is None else self._wave_of(flight)

    def is_inside(self) -> bool:
        """Tell whether the caller is part of the run itself, and so must not wait for it."""
        flight = self._flight
        return flight is not None and flight.wave in refreshes_here.get()

    def join(self, argument: A) -> PendingRequests[T]:
        """Return those who wait, to wait with them; start a flight, on the running loop, where none is under way."""
        with self._lock:
            if (flight := self._current()) is None:
                flight = Flight[A, T](argument)
                copy_context().run(self._fly, flight)
                return flight.wave
            return self._wave_of(flight)

    def abandon(self, error: Exception) -> None:
        """Stop the flight, if one is under way, and give its waiters this error."""
        self.withdraw()(error)

    def withdraw(self) -> Callable[[Exception], None]:
        """Stop the flight, if one is under way, and return what gives its waiters an error."""
        flight = self._current()
        if flight is None or not self._land(flight):
            return _tell_nobody
        return lambda error: flight.release(lambda wave: wave.on_error(error))

    def turn_away(self, error: Exception) -> None:
        """Give those who wait this error, and let the flight go on without them."""
        if (flight := self._current()) is not None:
            flight.release(lambda wave: wave.on_error(error))

    def extend(self, seconds: float) -> None:
        """Let the flight that is under way take so many seconds from now; called by its own run."""
        if (flight := self._flight) is not None and flight.is_of_running_loop():
            self._limit(flight, seconds)

    @property
    def waiting(self) -> int:
        """How many wait, on all loops."""
        flight = self._flight
        return 0 if flight is None else flight.waiting

    @property
    def is_seeking(self) -> bool:
        """Whether a flight is under way that has no outcome yet."""
        flight = self._current()
        return flight is not None and not flight.outcome

    async def ended(self) -> None:
        """Wait until no flight is under way; for one on another loop, at most for the time limit."""
        while (flight := self._current()) is not None:
            limit = None if flight.is_of_running_loop() else self._time_limit
            done, _ = await asyncio.wait([asyncio.wrap_future(flight.landed)], timeout=limit)
            if not done:
                return

    def _current(self) -> Flight[A, T] | None:
        with self._lock:
            flight = self._flight
            if flight is None or not flight.is_dead():
                return flight
            self._flight = None  # it died with its event loop, and so did those who waited there
        self._stop(flight)
        if flight.elsewhere:
            self._release_failed(flight, TimeoutError())
        return None

    def _wave_of(self, flight: Flight[A, T]) -> PendingRequests[T]:
        """Return those who wait on the running loop; each loop but the flight's own has its own time limit."""
        if flight.is_of_running_loop():
            return flight.wave
        loop = asyncio.get_running_loop()
        if loop not in flight.elsewhere:
            flight.elsewhere[loop] = Elsewhere(PendingRequests[T]())
            self._limit_elsewhere(flight, flight.elsewhere[loop])
        return flight.elsewhere[loop].wave

    def _limit_elsewhere(self, flight: Flight[A, T], elsewhere: Elsewhere[T]) -> None:
        """Wait on another loop than the flight's no longer than it may take, in case that one stands still."""
        said = flight.said

        def expire() -> None:
            if flight.said != said:  # it was extended meanwhile
                self._limit_elsewhere(flight, elsewhere)
            else:
                self._expire(flight)

        elsewhere.timer = start_timer(flight.limit + A_MOMENT, expire, self._scheduler)

    def _fly(self, flight: Flight[A, T]) -> None:
        """Start the stream, in a context of its own."""
        enter_refresh(flight.wave)
        self._limit(flight, self._time_limit)
        self._flight = flight
        flight.stream.disposable = (
            from_future(lambda: self._run(flight.argument))
            .filter(lambda outcome: outcome is not None)
            .do_action(flight.outcome.append)
            # Saved first; the retry comes after.
            .flat_map(lambda outcome: from_future(lambda: self._begin_to_keep(flight, outcome)))
            .subscribe(
                lambda outcome: self._succeed(flight, outcome),
                lambda error: self._fail(flight, error),
                lambda: self._fail(flight, NothingReturned()),
            )
        )

    async def _begin_to_keep(self, flight: Flight[A, T], outcome: T) -> T:
        flight.is_keeping = True
        return await self._keep(flight.argument, outcome)

    def _limit(self, flight: Flight[A, T], seconds: float) -> None:
        flight.limit = seconds
        flight.said += 1
        flight.timer.cancel()
        flight.timer = start_timer(seconds, lambda: self._expire(flight), self._scheduler)

    def _succeed(self, flight: Flight[A, T], outcome: T) -> None:
        if self._land(flight):
            flight.succeed(outcome)

    def _fail(self, flight: Flight[A, T], error: Exception) -> None:
        # The completion that follows an outcome finds another flight here, or none.
        if self._land(flight):
            self._release_failed(flight, error)

    def _release_failed(self, flight: Flight[A, T], error: Exception) -> None:
        try:
            outcome = self._failed(flight.argument, error, flight.waiting)
        except Exception as failure:  # noqa: BLE001 - whatever it was, those who wait must hear of it
            outcome = failure
        if not isinstance(outcome, Exception):
            flight.succeed(outcome)
            return
        # Where its loop has ended in the midst of keeping, those on other loops have what they waited for.
        kept = flight.outcome if isinstance(error, OperationCancelled) else []

        def tell(wave: PendingRequests[T]) -> None:
            if kept and wave is not flight.wave:
                wave.on_next(kept[0])
                wave.on_completed()
            else:
                wave.on_error(outcome)

        flight.release(tell)

    def _expire(self, flight: Flight[A, T]) -> None:
        is_between = bool(flight.outcome) and not flight.is_keeping and flight.is_of_running_loop()
        if is_between and self._current() is flight:
            # The outcome came this very moment. To land now would stop its keeping before the first step.
            flight.loop.call_soon_threadsafe(self._expire, flight)
        elif flight.outcome:
            self._succeed(flight, flight.outcome[0])
        else:
            self._fail(flight, TimeoutError())

    def _land(self, flight: Flight[A, T]) -> bool:
        """Make room for the next flight; only then may anyone be released. Tell whether it was still under way."""
        with self._lock:
            if self._flight is not flight:
                return False
            self._flight = None
        self._stop(flight)
        return True

    def _stop(self, flight: Flight[A, T]) -> None:
        flight.stop()
        if self._landed is not None:
            self._landed(flight.argument)


def _tell_nobody(error: Exception) -> None:
    """Nobody waits."""
