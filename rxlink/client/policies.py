"""What an error policy makes of the results and errors of one operation.

Ports: ``@apollo/client`` 4.3.8 ``src/core/QueryManager.ts``: what ``getResultsFromLink`` (queries), ``mutate`` and
``startGraphQLSubscription`` do with results and errors.
Differs: a chain that completes without a result is an error whatever the policy (a mutation's obeys it there). The
result of a query has ``extensions`` too. A call is an Observable, so each piece of a deferred result arrives.
"""

from __future__ import annotations

from typing import Any

from rxlink.client.result import OperationResult
from rxlink.client.running import OperationRun
from rxlink.core.documents import OperationType
from rxlink.core.observer import Observer
from rxlink.core.operation import Operation
from rxlink.core.options import kind_of
from rxlink.core.result import FetchResult
from rxlink.errors import CombinedGraphQLErrors, InvariantError, InvariantTypeError

__all__ = ["PolicyWorker"]


class PolicyWorker:
    """Observes the chain of one operation, and makes what the subscriber gets."""

    __slots__ = ("_error_policy", "_has_result", "_is_subscription", "_observer", "_operation", "_run")

    def __init__(
        self, error_policy: str, operation: Operation, observer: Observer[OperationResult[Any]], run: OperationRun
    ) -> None:
        self._error_policy = error_policy
        self._operation = operation
        self._observer = observer
        self._run = run
        self._is_subscription = operation.operation_type is OperationType.SUBSCRIPTION
        self._has_result = False

    def on_next(self, result: FetchResult) -> None:
        """Make a result of what the chain brings, or end with its errors."""
        if self._run.is_stopped:  # by itself, and what sends has not noticed yet
            return
        if not isinstance(result, dict):  # pyright: ignore[reportUnnecessaryIsInstance] - a user's link may send anything
            self._run.refuse(self._no_result(result))
            return
        self._has_result = True
        if self._is_subscription:
            self._run.stop_timer()
        error = CombinedGraphQLErrors(result) if result.get("errors") else None
        if error is not None and self._ends_with_errors():
            self._run.refuse(error)
        else:
            self._deliver(result.get("data"), error, result.get("extensions") or None)

    def on_error(self, error: Exception) -> None:
        """End with what the chain has ended with, or make a result of it."""
        if self._run.is_stopped:
            return
        if self._ends_with_errors():
            self._run.refuse(error)
            return
        self._run.end()
        try:
            self._deliver(None, error)
        finally:
            self._observer.on_completed()

    def on_completed(self) -> None:
        """End."""
        if self._run.is_stopped:
            return
        if self._has_result or self._is_subscription:
            self._run.end()
            self._observer.on_completed()
        else:
            self._run.refuse(
                InvariantError(
                    f"the chain has completed without a result for {self._operation!r}: one of its links has swallowed "
                    "it, or answers with nothing"
                )
            )

    def _ends_with_errors(self) -> bool:
        """Tell whether an error ends the call; a subscription gets each as a result."""
        return self._error_policy == "none" and not self._is_subscription

    def _deliver(self, data: Any, error: Exception | None, extensions: Any = None) -> None:
        if self._error_policy == "ignore":
            error = None
        elif error is not None and self._error_policy == "none":
            data = None
        if data is None and error is None and self._is_subscription:
            return  # nothing is left of it
        self._observer.on_next(OperationResult(data, error, extensions))

    def _no_result(self, value: object) -> InvariantTypeError:
        return InvariantTypeError(
            f"the chain brought {kind_of(value)} to {self._operation!r}; a result is a dict with `data` or `errors`: "
            "look at the links that change results"
        )
