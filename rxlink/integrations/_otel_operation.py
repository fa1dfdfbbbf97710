"""One operation, or one of its attempts, as a span.

The worker keeps two OpenTelemetry contexts apart: below it, the span is the current one, also where somebody else's
event lets the operation go on, because what runs below runs in a subscription of its own whose context has the span;
above it, the caller's span is the current one, so that what the subscriber starts next is no child of what has ended.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Mapping
from typing import Final

from opentelemetry import context as otel
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Span, SpanContext, StatusCode, set_span_in_context
from reactivex.internal import noop

from rxlink.auth.loops import loop_here
from rxlink.core.documents import OperationType
from rxlink.core.operation import Operation
from rxlink.core.result import FetchResult, IncrementalResult, graphql_errors
from rxlink.core.subscription import Connect, ResultObserver, Subscription
from rxlink.core.work import report_callback_error
from rxlink.errors import ServerError, ServerParseError
from rxlink.integrations._otel_instruments import ERROR_TYPE
from rxlink.integrations._otel_telemetry import Telemetry, codes_of, error_type

__all__ = ["Attempt", "OperationSpan", "live_spans", "operation_here"]

OPERATION: Final = otel.create_key("rxlink.operation")
"""Under which the operation stands in the OpenTelemetry context of what runs for it."""
LIVE: Final = "rxlink.integrations.opentelemetry"
"""The context key under which a subscription's operation has the spans that have not ended."""


class _Spanned:
    """The worker that both have in common; in the slot of its subscription until it ends."""

    __slots__ = ("_caller", "_has_errors", "_has_next", "_inner", "_is_over", "_observer", "_operation", "_results",
                 "_root", "_span", "_telemetry")  # fmt: skip

    def __init__(
        self, telemetry: Telemetry, operation: Operation, observer: ResultObserver, root: Subscription
    ) -> None:
        self._telemetry = telemetry
        self._operation = operation
        self._observer = observer
        self._root = root
        self._caller = otel.get_current()
        self._span: Span = INVALID_SPAN
        self._inner: Subscription | None = None
        self._results = 0
        self._has_errors = self._has_next = self._is_over = False

    def begin(self, proceed: Connect) -> None:
        """Begin the span, and start the operation under it."""
        here = self._enter()
        token = otel.attach(here)
        try:
            # Made here, so that whatever goes on later in its context goes on under the span.
            inner = self._inner = Subscription(noop, self._root.on_error, noop, self._root.scheduler)
            self._root.hold(self)
            if not self._is_over:
                proceed(self._operation, self, inner)
        finally:
            otel.detach(token)

    def on_next(self, result: FetchResult) -> None:
        """Count a result and pass it on."""
        if self._is_over:
            return
        self._results += 1
        try:
            self._note(result)
        except Exception as error:  # noqa: BLE001 - of a span processor; or a link's result that is none
            report_callback_error(error)
        token = otel.attach(self._caller)
        try:
            self._observer.on_next(result)
        finally:
            otel.detach(token)

    def on_error(self, error: Exception) -> None:
        """End the span, and pass the error on."""
        if self._is_over:
            return
        self._root.release()
        self._end(error)
        token = otel.attach(self._caller)
        try:
            self._observer.on_error(error)
        finally:
            otel.detach(token)

    def on_completed(self) -> None:
        """End the span, and pass the completion on."""
        if self._is_over:
            return
        self._root.release()
        self._end(None)
        token = otel.attach(self._caller)
        try:
            self._observer.on_completed()
        finally:
            otel.detach(token)

    def cancel(self) -> None:
        """End the span: the subscriber has left."""
        if not self._is_over:
            self._end(None, is_left=True)

    def _enter(self) -> Context:
        """Begin the span, and return the context for what runs below."""
        here = self._caller
        try:
            self._span = self._telemetry.start_span(self._operation, self._caller, self._attributes())
            here = self._context(set_span_in_context(self._span, self._caller))
            self._telemetry.propagate(self._operation, here)
        except Exception as error:  # noqa: BLE001 - of a sampler, a span processor or a propagator: no operation's error
            report_callback_error(error)
        return here

    def _attributes(self) -> Mapping[str, str | int]:
        return {}

    def _context(self, here: Context) -> Context:
        return here

    def _note(self, result: FetchResult) -> None:
        """Take note of what a result says of itself, without what is in it."""
        self._has_next = isinstance(result, IncrementalResult) and result.has_next
        errors = graphql_errors(result)
        said = result.get("errors")
        if said and not isinstance(said, list):  # as no server should send it; it is no success all the same
            errors = [said]
        if errors:
            self._has_errors = True
            codes = codes_of(errors, self._operation)
            self._span.add_event("graphql.errors", {"graphql.error.count": len(errors), "graphql.error.codes": codes})

    def _end(self, error: Exception | None, *, is_left: bool = False) -> None:
        self._is_over = True
        inner, self._inner = self._inner, None  # whose context has the span, and with it this object
        try:
            self._tell_end(self._outcome(error, is_left=is_left), error)
        except Exception as failure:  # noqa: BLE001 - of a span processor or an exporter: no operation's error
            report_callback_error(failure)
        if inner is not None:
            inner.dispose()

    def _outcome(self, error: Exception | None, *, is_left: bool) -> str:
        if error is not None:
            return "error"
        # Who leaves with the last result in hand, as `take(1)` does, has what it came for.
        is_answered = self._results and not self._has_next
        if is_left and not (is_answered and self._operation.operation_type is not OperationType.SUBSCRIPTION):
            return "cancelled"
        return "graphql_errors" if self._has_errors else "success"

    def _tell_end(self, outcome: str, error: Exception | None) -> None:
        span = self._span
        kind = error_type(error, has_errors=self._has_errors)
        if span.is_recording():
            told: dict[str, str | int] = {"rxlink.outcome": outcome, "rxlink.results": self._results}
            if isinstance(error, (ServerError, ServerParseError)):
                told["http.response.status_code"] = error.status_code
            if kind is not None:
                told[ERROR_TYPE] = kind
                span.set_status(StatusCode.ERROR)  # without a description: messages may quote what was sent
            if error is not None:
                span.add_event("exception", {"exception.type": kind or ""})
            span.set_attributes(told)
        span.end()


class OperationSpan(_Spanned):
    """One operation, from the caller's side: all its attempts and waits together."""

    __slots__ = ("_began", "_is_waiting", "_queue", "_waits_since", "attempts", "waits_on")

    def __init__(
        self, telemetry: Telemetry, operation: Operation, observer: ResultObserver, root: Subscription
    ) -> None:
        super().__init__(telemetry, operation, observer, root)
        self._began = self._ticks()
        self._is_waiting = False
        self._queue: set[OperationSpan] = set()
        self._waits_since: float | None = None
        self.attempts = 0
        """How many attempts below have begun."""
        self.waits_on: AbstractEventLoop | None = None
        """The event loop on which it began to wait."""

    def wait(self, refresh: SpanContext | None, queue: set[OperationSpan]) -> None:
        """Take note that it waits, for which refresh, and among whom, as long as it does."""
        if self._is_over:
            return
        if not self._is_waiting:
            self._is_waiting, self._waits_since = True, self._ticks()
            self._span.add_event("rxlink.waiting")
            self.waits_on = loop_here()
            self._queue = queue
            queue.add(self)
        if refresh is not None and refresh.is_valid:
            self._span.add_link(refresh)

    def go_on(self) -> None:
        """Take note that it waits no longer."""
        if self._is_waiting and not self._is_over:
            seconds = self._end_wait()
            self._span.add_event("rxlink.released", {} if seconds is None else {"rxlink.wait.duration": seconds})

    def go_again(self) -> None:
        """Take note that it is sent again, with another token."""
        self.go_on()
        if not self._is_over:
            self._span.add_event("rxlink.retried")

    def resume(self, attributes: Mapping[str, bool]) -> None:
        """Take note that a subscription goes on, on another connection."""
        if not self._is_over:
            self._span.add_event("rxlink.resubscribed", attributes)

    def _context(self, here: Context) -> Context:
        operation = self._operation
        if operation.operation_type is OperationType.SUBSCRIPTION:
            live: set[OperationSpan] = operation.get_context().get(LIVE) or set()
            live.add(self)
            operation.set_context({LIVE: live})
        return otel.set_value(OPERATION, self, here)

    def _tell_end(self, outcome: str, error: Exception | None) -> None:
        live: set[OperationSpan] | None = self._operation.get_context().get(LIVE)
        if live is not None:
            live.discard(self)
        try:
            if self._is_waiting:
                self._end_wait()
            self._measure(outcome, error)
        finally:
            super()._tell_end(outcome, error)

    def _measure(self, outcome: str, error: Exception | None) -> None:
        """Count the operation, and its duration where there is time."""
        instruments = self._telemetry.instruments
        if instruments is None:
            return
        told = {"graphql.operation.type": self._operation.operation_type.value, "rxlink.outcome": outcome}
        kind = error_type(error, has_errors=self._has_errors)
        if kind is not None:
            told[ERROR_TYPE] = kind
        here = set_span_in_context(self._span, self._caller)
        instruments.operations.add(1, told, here)
        now = self._ticks()
        if now is not None and self._began is not None:
            instruments.duration.record(now - self._began, told, here)

    def _end_wait(self) -> float | None:
        """Measure the wait, and return its seconds, None where there is no time."""
        since, now = self._waits_since, self._ticks()
        self._is_waiting, self._waits_since = False, None
        self._queue.discard(self)
        instruments = self._telemetry.instruments
        if now is None or since is None or instruments is None:
            return None
        told = {"graphql.operation.type": self._operation.operation_type.value}
        instruments.wait.record(now - since, told, set_span_in_context(self._span, self._caller))
        return now - since

    def _ticks(self) -> float | None:
        """Return the subscriber's time in seconds, None where it gave no scheduler and no event loop runs."""
        if self._root.scheduler is not None:
            return self._root.scheduler.now.timestamp()
        loop = loop_here()
        return None if loop is None else loop.time()


class Attempt(_Spanned):
    """One attempt: the operation is sent once."""

    __slots__ = ()

    def _attributes(self) -> Mapping[str, str | int]:
        operation = operation_here()
        if operation is None:
            return {}
        operation.attempts += 1
        return {"rxlink.attempt": operation.attempts}


def operation_here() -> OperationSpan | None:
    """Return the operation for which the running code runs, None where none has a span."""
    found = otel.get_value(OPERATION)
    return found if isinstance(found, OperationSpan) else None


def live_spans(operation: Operation) -> tuple[OperationSpan, ...]:
    """Return the spans of a subscription's operation that have not ended: one for each of its subscribers."""
    return tuple(operation.get_context().get(LIVE, ()))
