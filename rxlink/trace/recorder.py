"""The recorder: a bounded list of what happened to operations and to sessions.

Ports: nothing; Apollo's developer tools look into its cache, not into its links.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from reactivex import abc

from rxlink.auth.session import AuthSession
from rxlink.core.operation import Operation
from rxlink.core.options import checked_scheduler, kind_of
from rxlink.errors import InvariantError, InvariantTypeError
from rxlink.trace.clocks import Clocks
from rxlink.trace.events import TraceEvent, TraceKind, label
from rxlink.trace.hearing import Hearing
from rxlink.trace.runs import Run, Runs

__all__ = ["Trace"]


class _Here(threading.local):
    """What goes on in this thread.

    Attributes:
        runs: The operations that something is passed on for, the innermost last.
        retry: The name and the refresh of an operation that is about to be sent again.
    """

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.retry: tuple[str | None, int | None] | None = None


class Trace:
    """Records what happens to operations: where they are, what they wait for, how they end.

    Give it to :func:`traced` or :class:`TraceLink`, and let it :meth:`watch` the sessions that operations may wait for;
    then look at it with :func:`explain`, :func:`to_text`, :func:`to_svg` or :func:`to_html`. It may record from any
    number of chains, loops and threads. What it keeps is bounded, and holds no header, variable, value or token.

    An operation that was made, but never subscribed or awaited, has not begun, and cannot be seen.

    Example:
        >>> from rxlink import GraphQLRequest, Trace, execute, from_, traced
        >>> from rxlink.testing import MockedResponse, MockLink
        >>> trace = Trace()
        >>> link = traced(MockLink([MockedResponse(result={"data": {"answer": 42}})]), trace)
        >>> subscription = execute(link, GraphQLRequest("query Ask { answer }")).subscribe()
        >>> [(event.kind.value, event.place) for event in trace.events]
        [('started', 'MockLink'), ('result', 'MockLink'), ('completed', 'MockLink')]
    """

    def __init__(self, *, max_events: int = 10_000) -> None:
        """Begin an empty trace.

        Args:
            max_events: How many events are kept; the oldest go, and :attr:`dropped` counts them. An operation makes
                about three for each link that it passes. An event takes about 250 bytes.

        Raises:
            InvariantError: It is below 1; an :class:`InvariantTypeError` where it is no whole number.
        """
        if type(max_events) is not int:
            raise InvariantTypeError(f"`max_events` is {kind_of(max_events)}; give a whole number")
        if max_events < 1:
            raise InvariantError(f"`max_events` is {max_events}; give 1 or more")
        self._events: deque[tuple[Any, ...]] = deque(maxlen=max_events)
        self._lock = threading.Lock()
        self._count = self._cleared = 0
        self._has_transport = False
        self._refreshes = 0
        self._clocks = Clocks()
        self._here = _Here()
        self._runs = Runs(max_events)

    @property
    def events(self) -> tuple[TraceEvent, ...]:
        """What is kept, the oldest first."""
        with self._lock:
            kept = [*self._events]
        return tuple(TraceEvent(*values) for values in kept)

    @property
    def dropped(self) -> int:
        """How many events had to go."""
        with self._lock:
            return self._count - self._cleared - len(self._events)

    @property
    def seconds(self) -> float:
        """How long the trace is by now: in a running event loop up to this moment, else up to the latest event."""
        with self._lock:
            return self._clocks.so_far()

    def clear(self) -> None:
        """Forget all that was recorded; numbers go on, and so do operations that are under way."""
        with self._lock:
            self._cleared = self._count
            self._events.clear()

    def watch(
        self, session: AuthSession, *, name: str | None = None, scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        """Record the refreshes of a session too, and which operations wait for which.

        Call it on the event loop where the operations run: what the session tells is then told at once, and each wait
        is put down to its operation. It goes on until the session is closed.

        Args:
            session: Which; for ``AuthSessions``, each of them where it is made.
            name: What it is called in the views, for those who have several.
            scheduler: Whose time it is; None for the running event loop's.

        Returns:
            What ends it before.

        Raises:
            InvariantTypeError: It is no AuthSession, the name is no text, or the scheduler is none.
        """
        if not isinstance(session, AuthSession):  # pyright: ignore[reportUnnecessaryIsInstance] - may be untyped
            raise InvariantTypeError(f"`watch` got {kind_of(session)}; give it an AuthSession")
        if name is not None and not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance] - may be untyped
            raise InvariantTypeError(f"`name` of `watch` is {kind_of(name)}; give text, or None")
        checked_scheduler("scheduler", scheduler)
        return session.events.subscribe(Hearing(self, name and label(name), scheduler).take)

    def record(self, kind: TraceKind, scheduler: abc.SchedulerBase | None, *values: Any) -> None:
        """Put down an event.

        Args:
            kind: What happened.
            scheduler: Whose time it is.
            values: The other attributes of a :class:`TraceEvent` in their order; those at the end may be missing.
        """
        with self._lock:
            self._count += 1
            # A tuple: making a TraceEvent of it takes longer than all else, and is for who wants to see it.
            self._events.append((self._count, self._clocks.seconds(scheduler), kind, *values))

    def run_of(self, operation: Operation, place: object) -> Run:
        """Return the run of an operation that comes to a place."""
        with self._lock:
            return self._runs.of(operation, place)

    def forget(self, run: Run) -> None:
        """Forget a run that is over for good; its events stay."""
        with self._lock:
            self._runs.forget(run)

    @property
    def has_transport(self) -> bool:
        """Whether the place of a transport records here, so that it is known what was sent."""
        return self._has_transport

    def note_transport(self) -> None:
        """Take note that the place of a transport records here."""
        self._has_transport = True

    @property
    def runs_here(self) -> list[Run]:
        """The operations that something is passed on for in this thread, the innermost last."""
        return self._here.runs

    def run_here(self, name: str | None) -> Run | None:
        """Return the operation to which something happens right now in this thread, if it has this name."""
        runs = self._here.runs
        return runs[-1] if runs and runs[-1].name == name else None

    def run_waiting(self, name: str | None) -> Run | None:
        """Return who waits for stored tokens under this name, the first of them."""
        with self._lock:
            return self._runs.waiting(name)

    def announce_retry(self, name: str | None, refresh: int | None) -> None:
        """Take note that the operation that is passed on next, in this thread, is sent again with another token."""
        self._here.retry = name, refresh

    def retry_of(self, run: Run) -> tuple[str | None, int | None] | None:
        """Return what was announced, if it was of this operation; the next one to be passed on is no longer meant."""
        retry, self._here.retry = self._here.retry, None
        return retry if retry is not None and retry[0] == run.name else None

    def next_refresh(self) -> int:
        """Return the number of a refresh that begins."""
        with self._lock:
            self._refreshes += 1
            return self._refreshes

    def __repr__(self) -> str:
        with self._lock:
            return f"<Trace: {len(self._events)} events>"
