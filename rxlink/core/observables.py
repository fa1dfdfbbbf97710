"""The only bridge between coroutines and observables, and the small sources that recipes need.

Ports: ``@apollo/client`` 3 ``fromPromise`` and ``fromError`` (``src/link/utils``), which every token refresh tutorial
uses; rxjs ``from`` and ``throwError`` took their places in Apollo Client 4.
Differs: ``from_future`` also takes a function, and then runs it once for each subscription (a Promise has always
started already); RxPY's own ``from_future`` takes only a future or a task, which runs although nobody has subscribed,
and lets one leaver cancel it for all.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar, cast

from reactivex import Observable

from rxlink.core.chain_observable import ChainObservable
from rxlink.core.options import kind_of
from rxlink.core.subscription import Observer, Subscription
from rxlink.core.work import report_callback_error
from rxlink.errors import InvariantError, InvariantTypeError, OperationCancelled

__all__ = ["from_error", "from_future", "own", "resolve"]

T = TypeVar("T")


def from_future(source: Callable[[], Awaitable[T]] | Awaitable[T]) -> Observable[T]:
    """Turn asynchronous work into a stream of its one result.

    Args:
        source: A function that returns an awaitable (a coroutine function): it runs once per subscription, and
            leaving cancels that run. Or an awaitable (a coroutine, a Task, a Future): it is started at the first
            subscription, all share its outcome, and leaving never cancels it; a coroutine that nobody ever subscribes
            to is closed quietly.

    Returns:
        An Observable of one value.

    Raises:
        InvariantTypeError: The source is neither.

    Errors:
        What the work raises; :class:`~rxlink.errors.OperationCancelled` where it was cancelled from outside.

    Example:
        >>> import asyncio
        >>> async def get_new_token():
        ...     return "a token"
        >>> async def main():
        ...     return await from_future(get_new_token()).filter(bool).map(len)
        >>> asyncio.run(main())
        7
    """
    if inspect.isawaitable(source) and not isinstance(source, Observable):
        return _Shared(source)
    if callable(source):
        return ChainObservable(_run_function, source)
    raise InvariantTypeError(
        f"from_future got {kind_of(source)}; give it a coroutine function, a coroutine or a future"
    )


def from_error(error: Exception) -> Observable[Any]:
    """Return a stream that ends with this error as soon as it is subscribed.

    Raises:
        InvariantTypeError: It is no exception.
    """
    if not isinstance(error, Exception):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may not be typed
        raise InvariantTypeError(f"from_error got {kind_of(error)}; give it an exception")
    return ChainObservable(_send_error, error)


async def resolve(value: Any) -> Any:
    """Wait for what a user's function returned: an awaitable, an Observable (its last value), or a plain value."""
    if isinstance(value, Observable):
        return await cast("Observable[Any]", value)
    if inspect.isawaitable(value):
        return await own(value)
    return value


def own(awaitable: Awaitable[T]) -> Awaitable[T]:
    """Return an awaitable that may be cancelled: a Task or Future may be somebody else's too, a coroutine is not."""
    return from_future(awaitable) if asyncio.isfuture(awaitable) else awaitable


def _send_error(error: Exception, observer: Observer[Any], root: Subscription) -> None:
    observer.on_error(error)


def _run_function(function: Callable[[], Awaitable[Any]], observer: Observer[Any], root: Subscription) -> None:
    root.spawn(_relay(observer, function, root), observer)


async def _relay(observer: Observer[Any], function: Callable[[], Awaitable[Any]], root: Subscription) -> None:
    try:
        value = await own(_call(function))
    except Exception as error:  # noqa: BLE001 - whatever the user's function raises is the stream's error
        root.release()
        observer.on_error(error)
    else:
        _finish(value, observer, root)


def _call(function: Callable[[], Awaitable[T]]) -> Awaitable[T]:
    awaitable = function()
    if not inspect.isawaitable(awaitable):
        raise InvariantTypeError(f"from_future: {function!r} returned {kind_of(awaitable)} instead of an awaitable")
    return awaitable


def _finish(value: Any, observer: Observer[Any], root: Subscription) -> None:
    root.release()
    try:
        observer.on_next(value)
    finally:
        observer.on_completed()


class _Shared(ChainObservable[T]):
    """The outcome of one awaitable, for any number of subscribers."""

    def __init__(self, awaitable: Awaitable[T]) -> None:
        self._operation = None
        self._awaitable = awaitable
        self._future: asyncio.Future[T] | None = None
        self._waiting: dict[_Place[T], None] = {}

    # A method, not an attribute as in the base: a bound method kept in its own object would be a cycle.
    def _connect(  # pyright: ignore[reportIncompatibleVariableOverride] - see above
        self, operation: None, observer: Observer[T], root: Subscription
    ) -> None:
        if self._future is None:
            try:
                self._future = self._start(root)
            except InvariantError as error:
                # Without its frames, which hold this object and with it the coroutine.
                observer.on_error(error.with_traceback(None))
                return
            # One callback for all: asyncio removes callbacks by scanning, so one each would cost O(n) to leave.
            self._future.add_done_callback(self._settle)
        if self._future.done():
            _deliver(self._future, observer, root)
            return
        place = _Place(observer, root, self._waiting)
        self._waiting[place] = None
        root.hold(place)

    def _start(self, root: Subscription) -> asyncio.Future[T]:
        if asyncio.isfuture(self._awaitable):
            return self._awaitable
        return asyncio.ensure_future(self._awaitable, loop=root.event_loop())

    def _settle(self, future: asyncio.Future[T]) -> None:
        if not future.cancelled():
            future.exception()  # where all have left, nobody else asks, and asyncio would complain
        for place in tuple(self._waiting):
            if place in self._waiting:
                del self._waiting[place]
                place.settle(future)

    def __del__(self) -> None:
        if self._future is None and inspect.iscoroutine(self._awaitable):
            self._awaitable.close()


class _Place(Generic[T]):
    """One subscriber of a shared awaitable, in the slot of its subscription."""

    __slots__ = ("_observer", "_root", "_waiting")

    def __init__(self, observer: Observer[T], root: Subscription, waiting: dict[_Place[T], None]) -> None:
        self._observer = observer
        self._root = root
        self._waiting = waiting

    def cancel(self) -> None:
        self._waiting.pop(self, None)

    def settle(self, future: asyncio.Future[T]) -> None:
        try:
            self._root.resume(_deliver, future, self._observer, self._root)
        except Exception as error:  # noqa: BLE001 - one subscriber's callback must not stop the others
            report_callback_error(error)


def _deliver(future: asyncio.Future[T], observer: Observer[T], root: Subscription) -> None:
    error = None if future.cancelled() else future.exception()
    if error is None and not future.cancelled():
        _finish(future.result(), observer, root)
        return
    if not isinstance(error, Exception):
        # Cancelled, or an exit: not an answer, but the operation has ended.
        cancelled = OperationCancelled("the awaitable given to from_future")
        cancelled.__cause__, error = error, cancelled
    root.release()
    observer.on_error(error)
