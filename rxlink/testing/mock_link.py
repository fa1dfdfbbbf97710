"""A terminating link that answers from a list, in place of a server.

Ports: ``@apollo/client`` 4.3.8 ``src/testing/core/mocking/mockLink.ts``.
Differs: a mock without a delay answers at once, before ``subscribe`` returns, which is the harder
case for the links above (Apollo waits 20 to 50 ms at random); a mock may name an operation instead
of a query, or neither; without ``variables`` it takes any (there: none); the function in ``result``
gets the operation, not its variables.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

from rxlink.core.documents import DocumentNode, document_of, parse_document
from rxlink.core.link import ApolloLink, Forward
from rxlink.core.operation import Operation
from rxlink.core.result import FetchResult
from rxlink.core.subscription import Cancellable, Connect, ResultObserver, Subscription
from rxlink.core.timing import start_timer
from rxlink.errors import InvariantError, InvariantTypeError

__all__ = ["MockLink", "MockedResponse"]

VariableMatcher: TypeAlias = Callable[[Mapping[str, Any]], bool]
ResultFunction: TypeAlias = Callable[[Operation], FetchResult]


@dataclass(frozen=True, slots=True, kw_only=True)
class MockedResponse:
    """An answer, and the operations that it is for.

    Attributes:
        query: GraphQL text or a document, compared as graphql-core prints it; None for any.
        operation_name: The operation's name; None for any.
        variables: The very variables, or a function that tells whether it likes them; None for any.
        result: The result, copied for each answer, or a function that gets the operation and
            returns one. What it raises is the operation's error.
        error: The error to end with, instead of a result.
        delay: Seconds until the answer. None answers at once, before ``subscribe`` returns; 0 lets
            the loop turn first; ``math.inf`` never answers.
        max_usage: How often it answers, None for always.

    Raises:
        InvariantError: Both or neither of ``result`` and ``error``, or a ``max_usage`` below 1.
    """

    query: str | DocumentNode | None = None
    operation_name: str | None = None
    variables: Mapping[str, Any] | VariableMatcher | None = None
    result: FetchResult | ResultFunction | None = None
    error: Exception | None = None
    delay: float | timedelta | None = None
    max_usage: int | None = 1

    def __post_init__(self) -> None:
        if self.result is not None and self.error is not None:
            raise InvariantError(f"{self} has both `result` and `error`; keep one of them")
        if self.result is None and self.error is None and self.seconds != math.inf:
            raise InvariantError(f"{self} has no answer; give `result`, `error`, or `delay=math.inf` for never")
        if self.max_usage is not None and self.max_usage < 1:
            raise InvariantError(f"{self}: `max_usage` is {self.max_usage}; give 1 or more, or None for always")

    @property
    def seconds(self) -> float | None:
        """The delay in seconds, None for no delay."""
        return self.delay.total_seconds() if isinstance(self.delay, timedelta) else self.delay

    def matches(self, operation: Operation) -> bool:
        """Tell whether it is for this operation."""
        return (
            (self.query is None or _text(self.query) == _text(operation.query))
            and self.operation_name in (None, operation.operation_name)
            and self._likes(operation.variables)
        )

    def answer(self, operation: Operation) -> FetchResult:
        """Make the result for an operation.

        Raises:
            Exception: The mocked error, or what the function in ``result`` raises.
            InvariantTypeError: That function returned something that is no dict.
        """
        if self.error is not None:
            raise self.error
        result = self.result(operation) if callable(self.result) else copy.deepcopy(self.result)
        if not isinstance(result, dict):
            raise InvariantTypeError(f"{self}: `result` returned a {type(result).__name__}; return a dict")
        return result

    def _likes(self, variables: Mapping[str, Any]) -> bool:
        if callable(self.variables):
            return self.variables(variables)
        return self.variables is None or dict(self.variables) == variables

    def __str__(self) -> str:
        """Say which operations it is for."""
        name = self.operation_name or ("any operation" if self.query is None else "")
        query = "" if self.query is None else " ".join(_text(self.query).split())
        if callable(self.variables):
            variables = f"variables that {getattr(self.variables, '__qualname__', self.variables)} likes"
        else:
            variables = "any variables" if self.variables is None else f"variables {dict(self.variables)!r}"
        return f"a mock for {' '.join(filter(None, (name, query)))} with {variables}"


class MockLink(ApolloLink):
    """Answer each operation with the first of the mocks that is for it and not used up.

    Subscribing again is a new attempt and takes another mock.

    Attributes:
        operations: The operations that arrived, each a copy as it was at that moment.
        unsubscribed: Those of them whose subscriber left before the answer.

    Errors:
        :class:`~rxlink.errors.InvariantError` where no mock is left for the operation; it lists
        them.

    Example:
        >>> from rxlink import GraphQLRequest, execute
        >>> link = MockLink([MockedResponse(operation_name="Viewer", result={"data": {"viewer": None}})])
        >>> subscription = execute(link, GraphQLRequest("query Viewer { viewer { id } }")).subscribe(print)
        {'data': {'viewer': None}}
    """

    is_terminating = True

    def __init__(self, mocked_responses: Sequence[MockedResponse]) -> None:
        """Make the link.

        Args:
            mocked_responses: The mocks; the earlier one wins.
        """
        super().__init__()
        self.operations: list[Operation] = []
        self.unsubscribed: list[Operation] = []
        self._mocks = [_Mock(response) for response in mocked_responses]

    def connect(self, forward: Forward) -> Connect:
        """Prepare to run operations; see :meth:`ApolloLink.connect`."""
        return self._start

    def _start(self, operation: Operation, observer: ResultObserver, root: Subscription) -> None:
        seen = copy.copy(operation)
        self.operations.append(seen)
        try:
            mock = self._mock_for(operation)
            pending = _Pending(mock, operation, observer, root, lambda: self.unsubscribed.append(seen))
        except Exception as error:  # noqa: BLE001 - no mock, or what a matcher raises
            observer.on_error(error)
            return
        pending.start()

    def _mock_for(self, operation: Operation) -> MockedResponse:
        for mock in self._mocks:
            if mock.left > 0 and mock.response.matches(operation):
                mock.left -= 1
                return mock.response
        raise self._unmatched(operation)

    def _unmatched(self, operation: Operation) -> InvariantError:
        lines = [
            f"no mocked response for {operation!r} with variables {operation.variables!r}:",
            f"  {' '.join(_text(operation.query).split())}",
            "MockLink expected one of:" if self._mocks else "MockLink has no mocks at all",
        ]
        lines += [f"  {mock.response}{'' if mock.left > 0 else ' (used up)'}" for mock in self._mocks]
        return InvariantError("\n".join(lines))


class _Mock:
    """A mocked response and how often it may still be used."""

    __slots__ = ("left", "response")

    def __init__(self, response: MockedResponse) -> None:
        self.response = response
        self.left: float = math.inf if response.max_usage is None else response.max_usage


class _Pending:
    """One operation that waits for its answer, in the slot of its subscription."""

    __slots__ = ("_mock", "_note_leaver", "_observer", "_operation", "_root", "_timer")

    def __init__(
        self,
        mock: MockedResponse,
        operation: Operation,
        observer: ResultObserver,
        root: Subscription,
        note_leaver: Callable[[], None],
    ) -> None:
        self._mock = mock
        self._operation = operation
        self._observer = observer
        self._root = root
        self._note_leaver = note_leaver
        self._timer: Cancellable | None = None

    def start(self) -> None:
        seconds = self._mock.seconds
        if seconds is None:
            self._answer()
            return
        # Before the timer is set: a scheduler may run what is due at once.
        self._root.hold(self)
        if seconds != math.inf and not self._root.is_stopped:
            try:
                self._timer = start_timer(seconds, self._ring, self._root.scheduler)
            except RuntimeError:  # no running event loop
                self._root.release()
                self._observer.on_error(self._no_time())

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._note_leaver()

    def _no_time(self) -> InvariantError:
        return InvariantError(
            f"{self._mock} has a delay, but {self._operation!r} was subscribed with neither a "
            "running event loop nor a scheduler; subscribe inside a coroutine, or pass "
            "scheduler=TestScheduler()"
        )

    def _ring(self) -> None:
        self._timer = None
        self._root.release()
        self._answer()

    def _answer(self) -> None:
        try:
            result = self._mock.answer(self._operation)
        except Exception as error:  # noqa: BLE001 - the mocked error, or what the test's function raises
            self._observer.on_error(error)
            return
        self._observer.on_next(result)
        self._observer.on_completed()


def _text(query: str | DocumentNode) -> str:
    return document_of(parse_document(query)).text
