"""A terminating link that answers from a list, in place of a server.

Ports: ``@apollo/client`` 4.3.8 ``src/testing/core/mocking/mockLink.ts``; its mocks are in
:mod:`rxlink.testing.mocked_response`.
Differs: a mock without a delay answers at once, before ``subscribe`` returns, which is the harder
case for the links above (Apollo waits 20 to 50 ms at random; `realistic_delay` does that); a mock
is chosen for each subscription (there when ``execute`` is called); where none is left the error
says it all, and no warning is printed.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from typing import cast

from rxlink.core.documents import document_of
from rxlink.core.link import ApolloLink, Forward
from rxlink.core.operation import Operation
from rxlink.core.options import checked_function, kind_of
from rxlink.core.subscription import Cancellable, Connect, ResultObserver, Subscription
from rxlink.core.timing import start_timer
from rxlink.errors import InvariantError, InvariantTypeError
from rxlink.testing.mocked_response import NOT_AWAITED, Delay, MockedResponse, seconds_of

__all__ = ["MockLink"]


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

    def __init__(self, mocked_responses: Iterable[MockedResponse] = (), *, default_delay: Delay | None = None) -> None:
        """Make the link.

        Args:
            mocked_responses: The mocks; the earlier one wins.
            default_delay: Seconds until the answer of a mock without a ``delay``, or a function of
                the operation, such as ``realistic_delay()`` returns; None answers at once, before
                ``subscribe`` returns.

        Raises:
            InvariantError: The delay is negative.
            InvariantTypeError: The delay is no duration and no plain function of the operation, or something is no
                ``MockedResponse``.
        """
        super().__init__()
        if callable(default_delay):
            checked_function("`default_delay`", default_delay, "operation", instead=NOT_AWAITED)
        seconds_of("default_delay", default_delay, None)
        if not isinstance(cast("object", mocked_responses), Iterable):
            raise InvariantTypeError(
                f"`mocked_responses` of MockLink is {kind_of(mocked_responses)}; give a list of MockedResponse(...)"
            )
        self._default_delay = default_delay
        self.operations: list[Operation] = []
        self.unsubscribed: list[Operation] = []
        self._mocks: list[_Mock] = []
        for response in mocked_responses:
            self.add_mocked_response(response)

    @property
    def operation(self) -> Operation | None:
        """The last operation that arrived, None before the first."""
        return self.operations[-1] if self.operations else None

    def add_mocked_response(self, mocked_response: MockedResponse) -> None:
        """Add a mock behind the others.

        Raises:
            InvariantTypeError: It is no ``MockedResponse``.
        """
        if not isinstance(cast("object", mocked_response), MockedResponse):
            raise InvariantTypeError(f"a mocked response is {kind_of(mocked_response)}; give a MockedResponse(...)")
        self._mocks.append(_Mock(mocked_response))

    def connect(self, forward: Forward) -> Connect:
        """Prepare to run operations; see :meth:`ApolloLink.connect`."""
        return self._start

    def _start(self, operation: Operation, observer: ResultObserver, root: Subscription) -> None:
        seen = copy.copy(operation)
        self.operations.append(seen)
        try:
            mock = self._mock_for(operation)
            seconds = seconds_of("delay", mock.delay, operation)
            if seconds is None:
                seconds = seconds_of("default_delay", self._default_delay, operation)
            pending = _Pending(mock, operation, observer, root, lambda: self.unsubscribed.append(seen))
        except Exception as error:  # noqa: BLE001 - no mock, or what a matcher raises
            observer.on_error(error)
            return
        pending.start(seconds)

    def _mock_for(self, operation: Operation) -> MockedResponse:
        for mock in self._mocks:
            if mock.left > 0 and mock.response.matches(operation):
                mock.left -= 1
                return mock.response
        raise self._unmatched(operation)

    def _unmatched(self, operation: Operation) -> InvariantError:
        lines = [
            f"no mocked response for {operation!r} with variables {operation.variables!r}:",
            f"  {' '.join(document_of(operation.query).text.split())}",
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

    def start(self, seconds: float | None) -> None:
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
