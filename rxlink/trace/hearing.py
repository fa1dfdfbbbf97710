"""What a session tells, put down to the operations that it is about."""

from __future__ import annotations

from typing import Any, Final, Protocol

from reactivex import abc

from rxlink.auth.events import (
    AuthEvent,
    OperationQueued,
    OperationRetried,
    RefreshFailed,
    RefreshStarted,
    RefreshSucceeded,
    RefreshSuperseded,
    RefreshTryFailed,
)
from rxlink.trace.events import TraceKind
from rxlink.trace.runs import NO_REFRESH, Run

__all__ = ["ADOPTED", "Hearing", "Recorder"]

ADOPTED: Final = "adopted"
"""The text of a refresh that has ended with the tokens that others got."""

NOWHERE: Final = (None, None, 0, 1, False)
"""Place, link above, depth, attempt and transport of what a session tells."""


class Recorder(Protocol):
    """What is needed of a trace."""

    def record(self, kind: TraceKind, scheduler: abc.SchedulerBase | None, *values: Any) -> None:
        """Put down an event."""

    def run_here(self, name: str | None) -> Run | None:
        """Return the operation to which something happens right now, if it has this name."""

    def run_waiting(self, name: str | None) -> Run | None:
        """Return who waits for stored tokens under this name, the first of them."""

    def announce_retry(self, name: str | None, refresh: int | None) -> None:
        """Take note that the operation that is passed on next is sent again with another token."""

    def next_refresh(self) -> int:
        """Return the number of a refresh that begins."""
        ...


class Hearing:
    """Listens to one session.

    A session names operations, and many may have one name. But it speaks while something is passed on for the very
    operation that it speaks of, or just before: that is how the trace knows which it is.

    Args:
        trace: Where it is put down.
        session: What the session is called.
        scheduler: Whose time it is.
    """

    def __init__(self, trace: Recorder, session: str | None, scheduler: abc.SchedulerBase | None) -> None:
        self._trace = trace
        self._session = session
        self._scheduler = scheduler
        self._refresh = NO_REFRESH

    def take(self, event: AuthEvent) -> None:
        """Put down one of its events."""
        match event:
            case RefreshStarted(reason=reason, operation_name=name):
                self._refresh = self._trace.next_refresh()
                self._tell(TraceKind.REFRESH_STARTED, self._trace.run_here(name), text=reason.value)
            case RefreshTryFailed(error_type=error, delay=delay):
                self._tell(TraceKind.REFRESH_TRY_FAILED, error=error, text=f"next in {delay:.2f} s")
            case RefreshSucceeded():
                self._tell(TraceKind.REFRESH_SUCCEEDED)
            case RefreshFailed(error_type=error):
                self._tell(TraceKind.REFRESH_FAILED, error=error)
            case RefreshSuperseded(is_adopted=is_adopted):
                self._tell(TraceKind.REFRESH_SUPERSEDED, text=ADOPTED if is_adopted else None)
            case OperationQueued(operation_name=name):
                self._note_waiting(name)
            case OperationRetried(operation_name=name):
                self._trace.announce_retry(name, self._refresh or None)
            case _:
                self._tell(TraceKind.SESSION, text=type(event).__name__)

    def _note_waiting(self, name: str | None) -> None:
        run = self._trace.run_here(name) or self._trace.run_waiting(name)
        if run is not None:
            run.waits_for = self._refresh
            self._tell(TraceKind.WAITING, run)

    def _tell(
        self, kind: TraceKind, run: Run | None = None, *, error: str | None = None, text: str | None = None
    ) -> None:
        whose = (None, None, None) if run is None else (run.number, run.name, run.kind)
        refresh = None if kind is TraceKind.SESSION else self._refresh or None
        values = (*whose, *NOWHERE, refresh, self._session, None, None, error, text)
        self._trace.record(kind, self._scheduler, *values)
