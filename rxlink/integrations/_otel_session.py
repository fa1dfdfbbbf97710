"""A session's refreshes as spans and metrics, and what they mean for the operations that wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from opentelemetry.trace import Span, StatusCode, Tracer

from rxlink.auth.events import (
    AuthEvent,
    CallbackFailed,
    Ended,
    LeaseLost,
    LoadFailed,
    OperationQueued,
    OperationReleased,
    OperationRetried,
    RefreshFailed,
    RefreshStarted,
    RefreshSucceeded,
    RefreshSuperseded,
    RefreshTryFailed,
    SaveFailed,
)
from rxlink.auth.loops import loop_here
from rxlink.integrations._otel_instruments import ERROR_TYPE, SessionInstruments
from rxlink.integrations._otel_operation import OperationSpan, operation_here

__all__ = ["SessionTelemetry"]

PROBLEMS: Final[Mapping[type[AuthEvent], str]] = {
    CallbackFailed: "callback_failed",
    Ended: "session_ended",
    LeaseLost: "lease_lost",
    LoadFailed: "load_failed",
    SaveFailed: "save_failed",
}
SIGNED_OUT: Final = "signed out"
"""The reason of an end that is no problem."""


class SessionTelemetry:
    """Hears a session's events where they happen.

    Args:
        tracer: Makes the spans.
        instruments: What is counted and measured.
    """

    def __init__(self, tracer: Tracer, instruments: SessionInstruments) -> None:
        self._tracer = tracer
        self._instruments = instruments
        self._span: Span | None = None
        self._waiting: set[OperationSpan] = set()

    def hear(self, event: AuthEvent) -> None:
        """Tell of an event; called in the context of whoever has set it off."""
        match event:
            case OperationQueued() | OperationReleased() | OperationRetried():
                self._hear_of_operation(event)
            case RefreshStarted():
                self._begin(event)
            case RefreshTryFailed():
                self._note_failed_try(event)
            case RefreshSucceeded() | RefreshFailed() | RefreshSuperseded():
                self._end(event)
            case _ if type(event) in PROBLEMS and getattr(event, "reason", None) != SIGNED_OUT:
                self._instruments.problems.add(1, {"rxlink.session.problem": PROBLEMS[type(event)]})
            case _:
                pass

    def close(self) -> None:
        """End the span of a refresh that is under way: nothing more is heard of it."""
        span, self._span = self._span, None
        if span is not None:
            span.end()

    def _hear_of_operation(self, event: OperationQueued | OperationReleased | OperationRetried) -> None:
        operation = operation_here()
        if operation is None:  # it has no span
            return
        if isinstance(event, OperationQueued):
            span = self._span
            operation.wait(None if span is None else span.get_span_context(), self._waiting)
        elif isinstance(event, OperationReleased):
            operation.go_on()
        else:
            operation.go_again()

    def _begin(self, event: RefreshStarted) -> None:
        self.close()  # one whose event loop ended with it
        # Under the span that is current here: of the operation, or of the call, that has set it off.
        self._span = self._tracer.start_span("rxlink.refresh", attributes={"rxlink.refresh.reason": event.reason.value})

    def _note_failed_try(self, event: RefreshTryFailed) -> None:
        if self._span is not None:
            self._span.add_event("rxlink.try_failed", {ERROR_TYPE: event.error_type, "rxlink.delay": event.delay})

    def _end(self, event: RefreshSucceeded | RefreshFailed | RefreshSuperseded) -> None:
        told = {"rxlink.refresh.outcome": _outcome(event)}
        if isinstance(event, RefreshFailed):
            told[ERROR_TYPE] = event.error_type
        reason = {"rxlink.refresh.reason": event.reason.value}
        self._instruments.refreshes.add(1, told | reason)
        self._instruments.duration.record(event.seconds, told | reason)
        self._instruments.waiting.record(event.waiting, told | reason)
        if self._span is not None:
            self._span.set_attributes({**told, "rxlink.refresh.waiting": event.waiting})
            if isinstance(event, RefreshFailed):
                self._span.set_status(StatusCode.ERROR)
        self.close()
        if isinstance(event, RefreshFailed):
            self._release()

    def _release(self) -> None:
        """Let those go that get the error: a link above may have each sent again, much later."""
        here = loop_here()
        for operation in tuple(self._waiting):
            if operation.waits_on is here:  # else its own loop may end it in this very moment
                operation.go_on()


def _outcome(event: RefreshSucceeded | RefreshFailed | RefreshSuperseded) -> str:
    if isinstance(event, RefreshSuperseded):
        return "adopted" if event.is_adopted else "superseded"
    return "success" if isinstance(event, RefreshSucceeded) else "failure"
