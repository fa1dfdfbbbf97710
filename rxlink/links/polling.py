"""Send an operation again and again, at an interval, until its subscriber leaves or an attempt fails.

Ports: ``apollo-link-polling`` 1.0.0 ``src/pollingLink.ts``.
Differs: the interval is seconds. Each subscription has a timer and a request of its own (there the link has one of
each, so that a second operation stops the first). Without an interval the operation passes, and completes (there it
never does). An interval that is no duration, or zero, is the operation's error (there the server is asked without a
pause).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from rxlink.core.link import ApolloLink, Forward
from rxlink.core.operation import Operation
from rxlink.core.options import checked_function
from rxlink.core.result import FetchResult
from rxlink.core.subscription import Cancellable, Connect, ResultObserver, Scope, Subscription
from rxlink.core.timing import Duration, start_timer, to_seconds

__all__ = ["PollInterval", "PollingLink"]

PollInterval: TypeAlias = Callable[[Operation], Duration | None]


class PollingLink(ApolloLink):
    """Send an operation at once and then at each interval, and deliver the results of all attempts as one stream.

    The stream ends with the first error, and never completes. An attempt that is still under way when the next one is
    due is aborted, so the interval should be longer than the server takes to answer.

    Errors:
        An attempt's error; what the function raises; :class:`~rxlink.errors.InvariantError` where it returns no
        duration, or where there is neither an event loop nor a scheduler to wait by.

    Example:
        >>> import asyncio
        >>> from reactivex import operators as ops
        >>> from rxlink import GraphQLRequest, execute, from_
        >>> from rxlink.testing import MockedResponse, MockLink
        >>> server = MockLink([MockedResponse(result={"data": {"answer": number}}) for number in range(3)])
        >>> link = from_([PollingLink(lambda operation: 0.01), server])
        >>> async def main():
        ...     return await execute(link, GraphQLRequest("{ answer }")).pipe(ops.take(3), ops.to_list())
        >>> asyncio.run(main())
        [{'data': {'answer': 0}}, {'data': {'answer': 1}}, {'data': {'answer': 2}}]
    """

    def __init__(self, poll_interval: PollInterval) -> None:
        """Make the link.

        Args:
            poll_interval: Gets the operation, once for each subscription, and returns the time from one attempt to the
                next, in seconds or as a ``timedelta``; None to send it only once.

        Raises:
            InvariantTypeError: It cannot be called, or is a coroutine function.
        """
        super().__init__()
        self._poll_interval = checked_function(
            "`poll_interval`", poll_interval, "operation", instead="give a plain one"
        )

    def connect(self, forward: Forward) -> Connect:
        """Prepare to run operations; see :meth:`ApolloLink.connect`."""
        poll_interval, proceed = self._poll_interval, forward.connect

        def start(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
            try:
                given = poll_interval(operation)
                interval = None if given is None else to_seconds("poll_interval", given, may_be_zero=False)
                if interval is not None and root.scheduler is None:
                    root.event_loop()
            except Exception as error:  # noqa: BLE001 - what the function raises, and that there is nothing to wait by
                observer.on_error(error)
                return
            if interval is None:
                proceed(operation, observer, root)
            else:
                _Polling(operation, observer, root, proceed, interval).start()

        return start


class _Polling:
    """One operation that is sent again and again; its timer and its request run side by side, each in a scope."""

    __slots__ = ("_clock", "_interval", "_observer", "_operation", "_proceed", "_request", "_root", "_timer")

    def __init__(
        self, operation: Operation, observer: ResultObserver, root: Subscription, proceed: Connect, interval: float
    ) -> None:
        self._operation = operation
        self._observer = observer
        self._root = root
        self._proceed = proceed
        self._interval = interval
        self._clock = root.open_scope()
        self._request: Scope | None = None
        self._timer: Cancellable | None = None

    def start(self) -> None:
        self._clock.hold(self)
        self._poll()

    def cancel(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def take(self, result: FetchResult) -> None:
        """Hand on a result of the attempt that is under way; of what the subscriber raises the stream dies."""
        try:
            self._observer.on_next(result)
        except Exception as error:
            if self._root.is_stopped:
                raise
            self._root.on_error(error)

    def fail(self, error: Exception) -> None:
        """End with the error of an attempt."""
        self._clock.close()
        self._observer.on_error(error)

    def _poll(self) -> None:
        """Make an attempt in the place of the one before, and set the timer of the next."""
        if self._request is not None:
            self._request.close()
        if self._clock.is_stopped:  # the subscriber has left, in the teardown of the one before or even earlier
            return
        self._timer = start_timer(self._interval, partial(self._root.resume, self._poll_again), self._root.scheduler)
        self._request = self._root.open_scope()
        self._proceed(self._operation, _Attempt(self, self._request), self._request)

    def _poll_again(self) -> None:
        try:
            self._poll()
        except Exception as error:
            # The subscriber's own, from its callback: the stream has died of it.
            if self._root.is_stopped:
                raise
            self._root.on_error(error)


class _Attempt:
    """One of the attempts; deaf as soon as its scope is closed."""

    __slots__ = ("_polling", "_scope")

    def __init__(self, polling: _Polling, scope: Scope) -> None:
        self._polling = polling
        self._scope = scope

    def on_next(self, result: FetchResult) -> None:
        if not self._scope.is_stopped:
            self._polling.take(result)

    def on_error(self, error: Exception) -> None:
        if not self._scope.is_stopped:
            self._scope.close()
            self._polling.fail(error)

    def on_completed(self) -> None:
        # The stream goes on with the next attempt.
        self._scope.close()
