"""The refresh stream: one flight at a time, shared by everyone who needs its outcome.

Apollo's recipe keeps a flag ``isRefreshing`` and a list of pending callbacks, and answers a failed operation with

    fromPromise(getNewToken()).filter(Boolean).flatMap(() => forward(operation))

The same stream is in :meth:`SingleFlight._fly`: ``from_future``, ``filter``, ``flat_map``, and the pending-request
subject behind it (:mod:`rxlink.auth.pending`). The retry, ``forward(operation)``, is what each waiting operation does
with the subject's value (:mod:`rxlink.auth.link`). Hardened: the flag is reset *before* anyone is released, so who
fails meanwhile starts a new flight; a run that fails, hangs or returns nothing gives every waiter an error (``filter``
alone completes the leader empty); nobody who leaves stops it; a run that comes back to its own flight is told so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from typing import Generic, TypeVar

from reactivex import abc
from reactivex.disposable import SingleAssignmentDisposable

from rxlink.auth.clock import running_loop
from rxlink.auth.pending import PendingRequests
from rxlink.core.observables import from_future
from rxlink.core.refreshes import enter_refresh, refreshes_here
from rxlink.core.subscription import Cancellable
from rxlink.core.timing import start_timer

__all__ = ["NothingReturned", "SingleFlight"]

A = TypeVar("A")
T = TypeVar("T")


class NothingReturned(Exception):
    """The run ended and had nothing to go on with."""


class SingleFlight(Generic[A, T]):
    """Runs something once at a time; whoever asks meanwhile shares the outcome.

    Args:
        run: The work; what it returns is shared, None means nothing.
        keep: What is done with the outcome before anyone goes on with it; returns it.
        time_limit: Seconds for both. What ``run`` has returned by then counts, even if ``keep`` has not ended.
        failed: Turns what ended a flight without an outcome into the error that the waiters get:
            :class:`NothingReturned`, ``TimeoutError``, or what ``run`` raised. Called once per failed flight.
        scheduler: Whose time the limit is; None for the running loop's.
    """

    def __init__(
        self,
        run: Callable[[A], Awaitable[T | None]],
        *,
        keep: Callable[[T], Awaitable[T]],
        time_limit: float,
        failed: Callable[[Exception], Exception],
        scheduler: abc.SchedulerBase | None = None,
    ) -> None:
        self._run, self._keep, self._failed = run, keep, failed
        self._time_limit, self._scheduler = time_limit, scheduler
        self._flight: _Flight[T] | None = None

    @property
    def wave(self) -> PendingRequests[T] | None:
        """Those who wait for the flight that is under way; None where none is."""
        if self._flight is not None and self._flight.loop.is_closed():
            self._flight = None  # it died with its event loop, and so did those who waited
        return None if self._flight is None else self._flight.wave

    def is_inside(self) -> bool:
        """Tell whether the caller is part of the run itself, and so must not wait for it."""
        return self._flight is not None and self._flight.wave in refreshes_here.get()

    def join(self, argument: A) -> PendingRequests[T]:
        """Return those who wait, to wait with them; start a flight, on the running loop, where none is under way."""
        if (wave := self.wave) is not None:
            return wave
        flight = _Flight[T]()
        copy_context().run(self._fly, flight, argument)
        return flight.wave

    def abandon(self, error: Exception) -> None:
        """Stop the flight, if one is under way, and give its waiters this error."""
        if (wave := self.wave) is not None and (flight := self._flight) is not None:
            self._land(flight)
            wave.on_error(error)

    async def ended(self) -> None:
        """Wait until no flight is under way."""
        while self.wave is not None and self._flight is not None:
            await self._flight.landed.wait()

    def _fly(self, flight: _Flight[T], argument: A) -> None:
        """Start the stream, in a context of its own."""
        enter_refresh(flight.wave)
        flight.timer = start_timer(self._time_limit, lambda: self._expire(flight), self._scheduler)
        self._flight = flight
        flight.stream.disposable = (
            from_future(lambda: self._run(argument))
            .filter(lambda outcome: outcome is not None)
            .do_action(flight.outcome.append)
            .flat_map(lambda outcome: from_future(lambda: self._keep(outcome)))  # saved first; the retry comes after
            .subscribe(
                lambda outcome: self._succeed(flight, outcome),
                lambda error: self._fail(flight, error),
                lambda: self._fail(flight, NothingReturned()),
            )
        )

    def _succeed(self, flight: _Flight[T], outcome: T) -> None:
        self._land(flight)
        flight.wave.on_next(outcome)
        flight.wave.on_completed()

    def _fail(self, flight: _Flight[T], error: Exception) -> None:
        # The completion that follows an outcome finds another flight here, or none.
        if self._flight is flight:
            self._land(flight)
            flight.wave.on_error(self._failed(error))

    def _expire(self, flight: _Flight[T]) -> None:
        if flight.outcome:
            self._succeed(flight, flight.outcome[0])
        else:
            self._fail(flight, TimeoutError())

    def _land(self, flight: _Flight[T]) -> None:
        """Make room for the next flight; only then may anyone be released."""
        self._flight = None
        flight.timer.cancel()
        flight.stream.dispose()
        flight.landed.set()


class _Flight(Generic[T]):
    """One flight: who waits for it, and what runs for it."""

    def __init__(self) -> None:
        self.timer: Cancellable
        self.loop = running_loop()
        self.wave = PendingRequests[T]()
        self.stream = SingleAssignmentDisposable()
        self.landed = asyncio.Event()
        self.outcome: list[T] = []
