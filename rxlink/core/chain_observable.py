"""The Observables of a chain: those that start it, and the border to everybody else's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator
from contextvars import copy_context
from typing import Any, Final, Generic, NoReturn, TypeVar

from reactivex import Observable, abc
from reactivex.internal import default_error, noop
from reactivex.internal.exceptions import SequenceContainsNoElementsError
from reactivex.scheduler import CurrentThreadScheduler

from rxlink.core.subscription import Observer, Subscription

__all__ = ["ChainObservable", "subscribe_foreign"]

T = TypeVar("T")

_NOTHING: Final = object()
"""In the place of a result, before there is one."""


class _LazyLock:
    """RxPY gives every Observable a lock; most of ours never need theirs, so it is made when asked for."""

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        lock = instance.__dict__["lock"] = threading.RLock()
        return lock


class ChainObservable(Observable[T]):
    """What a link returns: a true Observable that starts workers instead of nesting Observables.

    Every RxPY operator works on it. ``await`` gives the last result, or raises the error.
    Subscribing again is a new attempt.
    """

    lock = _LazyLock()  # type: ignore[assignment] - as the attribute is there
    _subscribe = None

    def __init__(self, connect: Callable[[Any, Observer[T], Subscription], None], operation: Any = None) -> None:
        # Observable.__init__ makes a lock and keeps a subscribe function: neither is needed.
        self._connect = connect
        self._operation = operation

    def run_inside(self, observer: Observer[T], root: Subscription) -> None:
        """Start inside another subscription: how workers subscribe, without a root of its own."""
        self._connect(self._operation, observer, root)

    def subscribe(  # pyright: ignore[reportIncompatibleMethodOverride] - RxPY's overloads say the same in more words
        self,
        on_next: Any = None,
        on_error: Callable[[Exception], None] | None = None,
        on_completed: Callable[[], None] | None = None,
        *,
        scheduler: abc.SchedulerBase | None = None,
    ) -> abc.DisposableBase:
        """Start, as ``Observable.subscribe`` does: callbacks or an observer, and optionally a scheduler."""
        if on_next is not None and callable(getattr(on_next, "on_next", None)):
            observer = on_next
            root = Subscription(observer.on_next, observer.on_error, observer.on_completed, scheduler)
        else:
            root = Subscription(on_next or noop, on_error or default_error, on_completed or noop, scheduler)
        self._begin(root)
        return root

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return self.subscribe(observer, scheduler=scheduler)

    def __await__(self) -> Generator[Any, None, T]:  # pyright: ignore[reportIncompatibleMethodOverride] - wider here
        """Wait for the last result; cancelling the wait disposes the subscription."""
        root = _Awaited()
        self._begin(root)
        if not root.is_stopped:
            future = root.future = (root.loop_at_start or asyncio.get_running_loop()).create_future()
            try:
                yield from future
            except BaseException:
                root.dispose()
                raise
        if root.error is not None or root.result is _NOTHING:
            root.fail()
        return root.result

    def _begin(self, root: Subscription) -> None:
        try:
            self._connect(self._operation, root, root)
        except Exception as error:
            if root.is_stopped:
                raise
            root.on_error(error)


class _Awaited(Subscription):
    """The root of an operation that is awaited: keeps the last result, and one future for the end.

    Attributes:
        error: The error that it has ended with.
        future: Done when it has ended.
        result: The last result.
    """

    __slots__ = ("error", "future", "result")

    def __init__(self) -> None:
        # Written out, without callbacks, since nobody is called: it is made for every operation that is awaited.
        self._resource = None
        self._context = copy_context()
        self.is_stopped = False
        self.loop_at_start = None
        self.scheduler = None
        self.error: Exception | None = None
        self.future: asyncio.Future[None] | None = None
        self.result: Any = _NOTHING

    def on_next(self, value: Any) -> None:
        if not self.is_stopped:
            self.result = value

    def on_error(self, error: Exception) -> None:
        if not self.is_stopped:
            self.error = error
            self.on_completed()

    def on_completed(self) -> None:
        if self.is_stopped:
            return
        self.is_stopped = True
        try:
            if self._resource is not None:
                self.cancel_resource()
        finally:  # a foreign teardown may raise
            future = self.future
            if future is not None and not future.done():
                future.set_result(None)

    def fail(self) -> NoReturn:
        """Raise the error, or that there was no result."""
        error, self.error = self.error or SequenceContainsNoElementsError(), None
        try:
            raise error
        finally:
            del error  # the traceback holds this frame: no cycles


class _Border(Generic[T]):
    """The place of a foreign Observable in the slot, and the observer at the border to it.

    The slot is taken before the Observable is subscribed: it may answer before ``subscribe`` returns, and what
    answers may already have put the next thing into the slot.

    What it sends arrives in the context of whoever makes it send, as everywhere in RxPY. Only where it was subscribed
    on a trampoline that runs already, somebody else may run it: then all goes on in a copy of the subscriber's context.

    Args:
        observer: Whom it tells.
        root: The subscription that it is a part of.
        is_guest: Whether a trampoline runs already.
    """

    __slots__ = ("_callback_error", "_context", "_disposable", "_is_inside", "_is_over", "_observer", "_root")

    def __init__(self, observer: Observer[T], root: Subscription, *, is_guest: bool) -> None:
        self._context = copy_context() if is_guest else None
        self._is_inside = False
        self._callback_error: Exception | None = None
        self._observer = observer
        self._root = root
        self._disposable: abc.DisposableBase | None = None
        self._is_over = False

    def cancel(self) -> None:
        self._is_over = True
        disposable, self._disposable = self._disposable, None
        if disposable is not None:
            disposable.dispose()

    def fill(self, disposable: abc.DisposableBase) -> None:
        if self._is_over:
            disposable.dispose()
        else:
            self._disposable = disposable

    def on_next(self, value: T) -> None:
        if not self._is_over:
            try:
                self._tell(self._observer.on_next, value)
            except Exception as error:
                self._callback_error = error
                raise

    def on_error(self, error: Exception) -> None:
        if not self._is_over:
            self._is_over = True
            self._disposable = None  # RxPY disposes what has ended; keeping it would be a cycle
            self._root.release()
            callback_error, self._callback_error = self._callback_error, None
            # A consumer's exception comes back as if the source had failed: no worker may retry on it.
            observer = self._root if error is callback_error else self._observer
            self._tell(observer.on_error, error)

    def on_completed(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._disposable = None
            self._root.release()
            self._tell(self._observer.on_completed)

    def _tell(self, notify: Callable[..., None], *args: Any) -> None:
        if self._context is None or self._is_inside:
            notify(*args)
            return
        self._is_inside = True
        try:
            self._context.run(notify, *args)
        finally:
            self._is_inside = False


def subscribe_foreign(source: Observable[T], observer: Observer[T], root: Subscription) -> None:
    """Run an Observable inside a subscription, whoever made it; not if the subscriber has left."""
    if root.is_stopped:
        return
    if isinstance(source, ChainObservable):
        source.run_inside(observer, root)
        return
    trampoline = CurrentThreadScheduler.singleton()
    is_guest = not trampoline.schedule_required()
    border: Any = _Border(observer, root, is_guest=is_guest)
    root.hold(border)

    def start(_scheduler: abc.SchedulerBase | None = None, _state: object = None) -> None:
        border.fill(source.subscribe(border, scheduler=root.scheduler))

    if is_guest:
        start()
    else:
        # On RxPY's trampoline `subscribe` returns before a source made of scheduled items runs.
        trampoline.schedule(start)
