"""A terminating link whose results a test sends by hand, in place of a server that pushes.

Ports: ``@apollo/client`` 4.3.8 ``src/testing/core/mocking/mockSubscriptionLink.ts``.
Differs: options are keywords; without a delay a result is delivered before ``simulate_result``
returns (there a turn of the loop later); who has ended or left is forgotten, so that simulating for
nobody is an error (there nobody is ever forgotten); one subscriber's exception does not keep the
result from the others, and is raised to the test afterwards.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from reactivex import abc

from rxlink.core.link import ApolloLink, Forward
from rxlink.core.operation import Operation
from rxlink.core.options import checked_flag, checked_function, checked_scheduler, kind_of
from rxlink.core.result import FetchResult
from rxlink.core.subscription import Connect, ResultObserver, Subscription
from rxlink.core.timing import Duration, start_timer, to_seconds
from rxlink.errors import InvariantError, InvariantTypeError

__all__ = ["MockSubscriptionLink"]

Listener: TypeAlias = Callable[[], object]

NOT_AWAITED: Final = "what it returns is not awaited: give a plain function, which may start a task"


class MockSubscriptionLink(ApolloLink):
    """Keep each operation open, and send to all that are what the test says.

    Attributes:
        operations: The operations that arrived, each a copy as it was at that moment.

    Errors:
        What the test simulates; what a function given to ``on_setup`` raises.

    Example:
        >>> from rxlink import GraphQLRequest, execute
        >>> link = MockSubscriptionLink()
        >>> subscription = execute(link, GraphQLRequest("subscription { tick }")).subscribe(print)
        >>> link.simulate_result({"data": {"tick": 1}})
        {'data': {'tick': 1}}
        >>> link.simulate_complete()
    """

    is_terminating = True

    def __init__(self) -> None:
        """Make the link."""
        super().__init__()
        self.operations: list[Operation] = []
        self._setups: list[Listener] = []
        self._unsubscribers: list[Listener] = []
        self._open: dict[_Open, None] = {}

    @property
    def operation(self) -> Operation | None:
        """The last operation that arrived, None before the first."""
        return self.operations[-1] if self.operations else None

    @property
    def subscribers(self) -> int:
        """How many subscriptions are open."""
        return len(self._open)

    def on_setup(self, listener: Listener) -> None:
        """Call a function at each subscription, before it is open.

        Raises:
            InvariantTypeError: It cannot be called without arguments, or is a coroutine function.
        """
        self._setups.append(checked_function("`on_setup`", listener, instead=NOT_AWAITED))

    def on_unsubscribe(self, listener: Listener) -> None:
        """Call a function when a subscription is over: left, completed or failed.

        Raises:
            InvariantTypeError: It cannot be called without arguments, or is a coroutine function.
        """
        self._unsubscribers.append(checked_function("`on_unsubscribe`", listener, instead=NOT_AWAITED))

    def simulate_result(
        self,
        result: FetchResult | None = None,
        *,
        error: Exception | None = None,
        complete: bool = False,
        delay: Duration | None = None,
        scheduler: abc.SchedulerBase | None = None,
    ) -> None:
        """Send to each open subscription: a result (a copy each), then an error, then the end, whatever is given.

        Args:
            result: The result.
            error: The error to end with.
            complete: Whether to end.
            delay: Seconds until then; it goes to those that are open by then. None for now.
            scheduler: Whose seconds; None for the running event loop's.

        Raises:
            InvariantError: There is nothing to send, nobody to send it to, the delay is negative, or there is a delay
                and neither a running event loop nor a scheduler.
            InvariantTypeError: The result is no dict, the error no exception, the delay no duration, or another
                argument has the wrong type.
            Exception: What a subscriber's callback raises, after all have been served; an ``ExceptionGroup`` where
                several do. With a delay it goes to the event loop's exception handler, as does "nobody".
        """
        if result is None and error is None and not complete:
            raise InvariantError("there is nothing to simulate; give `result`, `error` or `complete=True`")
        _check_types(result, error)
        checked_flag("complete", complete)
        checked_scheduler("scheduler", scheduler)
        if delay is None:
            self._send(result, error, is_complete=complete)
            return
        seconds = to_seconds("delay", delay)
        try:
            start_timer(seconds, lambda: self._send(result, error, is_complete=complete), scheduler)
        except RuntimeError as failure:
            raise InvariantError(
                "`delay` needs a time, and there is neither a running event loop nor a scheduler; call this inside a "
                "coroutine, or pass scheduler=TestScheduler()"
            ) from failure

    def simulate_complete(self) -> None:
        """End each open subscription.

        Raises:
            InvariantError: There is none.
            Exception: As for ``simulate_result``.
        """
        self._send(None, None, is_complete=True)

    def connect(self, forward: Forward) -> Connect:
        """Prepare to run operations; see :meth:`ApolloLink.connect`."""
        return self._start

    def _start(self, operation: Operation, observer: ResultObserver, root: Subscription) -> None:
        self.operations.append(copy.copy(operation))
        try:
            _call_each(self._setups)
        except Exception as error:  # noqa: BLE001 - of the test's own function
            observer.on_error(error)
            return
        subscriber = _Open(self._open, self._unsubscribers, observer, root)
        self._open[subscriber] = None
        root.hold(subscriber)

    def _send(self, result: FetchResult | None, error: Exception | None, *, is_complete: bool) -> None:
        if not self._open:
            raise InvariantError(f"{self!r} has nobody to send to: nobody has subscribed, or all have ended or left")
        failures: list[Exception] = []
        for subscriber in tuple(self._open):
            try:
                subscriber.take(result, error, is_complete=is_complete)
            except Exception as failure:  # noqa: BLE001 - the others are served first
                failures.append(failure)
        if len(failures) == 1:
            raise failures[0]
        if failures:
            raise ExceptionGroup("several subscribers raised", failures)


class _Open:
    """One open subscription, in its slot."""

    __slots__ = ("_observer", "_open", "_root", "_unsubscribers")

    def __init__(
        self,
        open_: dict[_Open, None],
        unsubscribers: list[Listener],
        observer: ResultObserver,
        root: Subscription,
    ) -> None:
        self._open = open_
        self._unsubscribers = unsubscribers
        self._observer = observer
        self._root = root

    def cancel(self) -> None:
        del self._open[self]
        _call_each(self._unsubscribers)

    def take(self, result: FetchResult | None, error: Exception | None, *, is_complete: bool) -> None:
        try:
            if result is not None and self in self._open:
                self._root.resume(self._observer.on_next, copy.deepcopy(result))
        finally:
            if error is not None:
                self._end(self._observer.on_error, error)
            if is_complete:
                self._end(self._observer.on_completed)

    def _end(self, tell: Callable[..., None], *args: Any) -> None:
        if self not in self._open:  # it is over, maybe since it or another one took the result
            return
        del self._open[self]
        self._root.release()
        try:
            self._root.resume(tell, *args)
        finally:
            _call_each(self._unsubscribers)


def _call_each(listeners: list[Listener]) -> None:
    for listener in tuple(listeners):
        listener()


def _check_types(result: object, error: object) -> None:
    if result is not None and not isinstance(result, dict):
        raise InvariantTypeError(
            f"`result` of simulate_result is {kind_of(result)}; give a dict, such as {{'data': ...}}"
        )
    if error is not None and not isinstance(error, Exception):
        raise InvariantTypeError(f"`error` of simulate_result is {kind_of(error)}; give an exception")
