"""How a chain runs: one subscription, its one resource slot, and the observables that start it.

Read this first; every link stands on it.

**Connecting.** A chain of links is connected once, from its end to its head. What comes out is a :data:`Connect`
function. Each operation then runs through it: every link that has something to do puts a small object, its
*worker*, between the observer above it and whatever comes from below. There is no Observable between two links.

**The root.** :class:`Subscription` is what a subscriber gets: the observer at the top of the workers and the
disposable in the subscriber's hand, in one object. It enforces the Rx grammar (nothing after an error, a completion
or ``dispose``), so no worker has to.

**The slot.** A linear chain waits for one thing at a time: a coroutine, then a request, then a place in a queue.
That thing is in the root's only slot; it is anything with a ``cancel()``, so an ``asyncio.Task`` fits as it is.
``dispose()`` cancels it. Rules for workers:

- ``hold(thing)`` fills the slot, ``release()`` empties it, ``cancel_resource()`` empties it and cancels what was
  there. Filling a slot that is full is an assertion error: cancel what is in it first.
- What runs side by side gets ``open_scope()`` each: a slot of its own, cancelled with the root's.
- Whoever finishes releases *before* telling the observer above: the observer may start the next thing at once.
- A worker that turns to another stream cancels the first and is deaf to what still comes from it.
- Workers know the observer above them and the root, never the worker below: no cycles, no garbage.

**Exceptions.** A worker calls users' functions under its own ``try`` and passes what they raise to the observer's
``on_error``. What leaves a :data:`Connect` function is therefore always the subscriber's own exception, raised from
its callback, and no link may mistake it for a failure of the operation.

**Contexts.** The root remembers the ``contextvars.Context`` of its subscriber. Whatever goes on because of somebody
else's event (another operation's refresh, a shared timer) goes on through :meth:`Subscription.resume`.

Subscribe and dispose on the thread of the event loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Generator
from contextvars import copy_context
from functools import partial
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, overload

from reactivex import Observable, abc
from reactivex.internal import default_error, noop
from reactivex.internal.exceptions import SequenceContainsNoElementsError
from reactivex.scheduler import CurrentThreadScheduler
from reactivex.scheduler.eventloop import AsyncIOScheduler

from rxlink.core.operation import Operation
from rxlink.core.result import FetchResult
from rxlink.errors import InvariantError, OperationCancelled

__all__ = [
    "Cancellable",
    "ChainObservable",
    "Connect",
    "Observer",
    "ResultObserver",
    "Scope",
    "Subscription",
    "report_callback_error",
    "subscribe_foreign",
]

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class Observer(Protocol[T_contra]):
    """What a worker talks to: the worker of the link above it, or the root."""

    def on_next(self, value: T_contra, /) -> None:
        """Take one result."""

    def on_error(self, error: Exception, /) -> None:
        """Take the end, with its reason."""

    def on_completed(self) -> None:
        """Take the end."""


class Cancellable(Protocol):
    """What fits into the slot."""

    def cancel(self) -> Any:
        """Stop, for good; called at most once by the slot."""


ResultObserver: TypeAlias = Observer[FetchResult]
Connect: TypeAlias = "Callable[[Operation, ResultObserver, Subscription], None]"
"""Start one operation: results go to the observer, what runs goes into the root's slot."""


class Subscription(abc.DisposableBase):
    """One subscription to a chain: its top observer, its disposable, and its resource slot.

    Attributes:
        is_stopped: Whether it has ended: by an error, a completion, or because the subscriber left.
        scheduler: The subscriber's scheduler, None where none was given: time is then the running loop's.
    """

    __slots__ = ("_context", "_on_completed", "_on_error", "_on_next", "_resource", "is_stopped", "scheduler")

    def __init__(
        self,
        on_next: Callable[[Any], None],
        on_error: Callable[[Exception], None],
        on_completed: Callable[[], None],
        scheduler: abc.SchedulerBase | None,
    ) -> None:
        self._on_next = on_next
        self._on_error = on_error
        self._on_completed = on_completed
        self._resource: Cancellable | None = None
        self._context = copy_context()
        self.is_stopped = False
        self.scheduler = scheduler

    def on_next(self, value: Any) -> None:
        """Hand a result to the subscriber."""
        if not self.is_stopped:
            self._on_next(value)

    def on_error(self, error: Exception) -> None:
        """End with an error; what still runs is cancelled."""
        if not self.is_stopped:
            self.dispose()
            self._on_error(error)

    def on_completed(self) -> None:
        """End; what still runs is cancelled."""
        if not self.is_stopped:
            self.dispose()
            self._on_completed()

    def dispose(self) -> None:
        """Leave: nothing is delivered any more, and what runs for this subscription is cancelled."""
        self.is_stopped = True
        self.cancel_resource()

    def hold(self, resource: Cancellable) -> None:
        """Put what now runs into the slot; it is cancelled at once if the subscriber has left meanwhile."""
        if self.is_stopped:
            resource.cancel()
            return
        assert self._resource is None, f"the slot is taken by {self._resource!r}: cancel it first"
        self._resource = resource

    @property
    def is_busy(self) -> bool:
        """Whether something is in the slot."""
        return self._resource is not None

    def release(self) -> None:
        """Empty the slot: what was in it has finished."""
        self._resource = None

    def cancel_resource(self) -> None:
        """Empty the slot and cancel what was in it."""
        resource = self._resource
        if resource is not None:
            self._resource = None
            resource.cancel()

    def open_scope(self) -> Scope:
        """Open a slot beside others, for what runs at the same time; ``close()`` the scope when its part is over.

        The scopes of a subscription share its slot: disposing it cancels what is in any of them.
        """
        scopes = self._resource
        if not isinstance(scopes, _Scopes):
            scopes = _Scopes(self)
            self.hold(scopes)
        return scopes.open()

    def resume(self, function: Callable[..., None], *args: Any) -> None:
        """Go on because of somebody else's event: in this subscription's own context, unless it has ended."""
        if not self.is_stopped:
            # A copy: this very context may be entered further up the stack, and a context is entered once.
            self._context.copy().run(function, *args)

    def spawn(self, work: Callable[..., Coroutine[Any, Any, None]], observer: Observer[Any], *args: Any) -> None:
        """Run a coroutine function as this subscription's resource.

        It gets the observer and the arguments, and calls the observer itself, after ``release()``. If it is cancelled
        by anybody but this subscription, the observer gets :class:`~rxlink.errors.OperationCancelled`.

        Raises:
            InvariantError: There is no running event loop, nor one in the subscriber's scheduler.
        """
        task = self._event_loop().create_task(work(observer, *args))
        task.add_done_callback(partial(self._on_task_done, observer))
        self.hold(task)

    def _on_task_done(self, observer: Observer[Any], task: asyncio.Task[None]) -> None:
        if task.cancelled():
            if self._resource is task:
                # Not the slot's doing: that would have emptied it first.
                self._resource = None
                observer.on_error(OperationCancelled("the work of an operation"))
            return
        error = task.exception()
        if isinstance(error, Exception):
            # From a callback of the subscriber: work passes its own failures on and does not raise them.
            report_callback_error(error)

    def _event_loop(self) -> asyncio.AbstractEventLoop:
        try:
            return asyncio.get_running_loop()
        except RuntimeError:
            pass
        if isinstance(self.scheduler, AsyncIOScheduler):
            return self.scheduler._loop  # pyright: ignore[reportPrivateUsage] - RxPY gives no other way to it
        raise InvariantError(
            "the operation was subscribed where no event loop runs, and its chain needs one; "
            "subscribe inside a coroutine, or pass scheduler=AsyncIOScheduler(loop)"
        )


class Scope(Subscription):
    """A slot of its own inside a subscription that runs several things at once."""

    __slots__ = ("_scopes",)

    def __init__(self, scopes: _Scopes, scheduler: abc.SchedulerBase | None) -> None:
        super().__init__(noop, noop, noop, scheduler)
        self._scopes = scopes

    def close(self) -> None:
        """Cancel what is in the slot and give the place back."""
        self.dispose()
        self._scopes.leave(self)


class _Scopes:
    """The scopes of one subscription, together in its slot."""

    __slots__ = ("_open", "_root")

    def __init__(self, root: Subscription) -> None:
        self._root = root
        self._open: list[Scope] = []

    def open(self) -> Scope:
        scope = Scope(self, self._root.scheduler)
        self._open.append(scope)
        if self._root.is_stopped:
            scope.dispose()
        return scope

    def leave(self, scope: Scope) -> None:
        if scope in self._open:
            self._open.remove(scope)
            if not self._open:
                self._root.release()

    def cancel(self) -> None:
        scopes, self._open = self._open, []
        for scope in scopes:
            scope.dispose()


def report_callback_error(error: Exception) -> None:
    """Give an exception that a callback raised to the event loop's exception handler, as asyncio does.

    For places where raising it further would stop others; without a running loop it is raised.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise error from None
    loop.call_exception_handler(
        {"message": f"rxlink: a callback raised {type(error).__name__}", "exception": error}
    )


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

    lock = _LazyLock()  # type: ignore[assignment]
    _subscribe = None

    def __init__(self, connect: Callable[[Any, Observer[T], Subscription], None], operation: Any = None) -> None:
        # Observable.__init__ makes a lock and keeps a subscribe function: neither is needed.
        self._connect = connect
        self._operation = operation

    def run(self, observer: Observer[T], root: Subscription) -> None:
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
        try:
            self._connect(self._operation, root, root)
        except Exception as error:
            if root.is_stopped:
                raise
            root.on_error(error)
        return root

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return self.subscribe(observer, scheduler=scheduler)

    def __await__(self) -> Generator[Any, None, T]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Wait for the last result; cancelling the wait disposes the subscription."""
        outcome = _Outcome[T]()
        subscription = self.subscribe(outcome)
        if not outcome.is_known:
            try:
                yield from outcome.wait().__await__()
            except BaseException:
                subscription.dispose()
                raise
        return outcome.result()


class _Outcome(Generic[T]):
    """An observer that keeps the last value, and one future for whoever awaits the end."""

    __slots__ = ("_error", "_future", "_has_value", "_value", "is_known")

    _value: T

    def __init__(self) -> None:
        self._error: Exception | None = None
        self._future: asyncio.Future[None] | None = None
        self._has_value = False
        self.is_known = False

    def on_next(self, value: T) -> None:
        self._value = value
        self._has_value = True

    def on_error(self, error: Exception) -> None:
        self._error = error
        self.on_completed()

    def on_completed(self) -> None:
        self.is_known = True
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def wait(self) -> asyncio.Future[None]:
        self._future = asyncio.get_running_loop().create_future()
        return self._future

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        if not self._has_value:
            raise SequenceContainsNoElementsError
        return self._value


class _Border(Generic[T]):
    """The place of a foreign Observable in the slot, and the observer at the border to it.

    The slot is taken before the Observable is subscribed: it may answer before ``subscribe`` returns, and what
    answers may already have put the next thing into the slot.
    """

    __slots__ = ("_disposable", "_is_over", "_observer", "_root")

    def __init__(self, observer: Observer[T], root: Subscription) -> None:
        self._observer = observer
        self._root = root
        self._disposable: abc.DisposableBase | None = None
        self._is_over = False

    def cancel(self) -> None:
        self._is_over = True
        if self._disposable is not None:
            self._disposable.dispose()

    def fill(self, disposable: abc.DisposableBase) -> None:
        self._disposable = disposable
        if self._is_over:
            disposable.dispose()

    def on_next(self, value: T) -> None:
        if not self._is_over:
            self._observer.on_next(value)

    def on_error(self, error: Exception) -> None:
        if not self._is_over:
            self._is_over = True
            self._root.release()
            self._observer.on_error(error)

    def on_completed(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._root.release()
            self._observer.on_completed()


def subscribe_foreign(source: Observable[T], observer: Observer[T], root: Subscription) -> None:
    """Run an Observable inside a subscription, whoever made it."""
    if isinstance(source, ChainObservable):
        source.run(observer, root)
        return
    border: Any = _Border(observer, root)
    root.hold(border)
    trampoline = CurrentThreadScheduler.singleton()
    if trampoline.schedule_required():
        # On RxPY's trampoline `subscribe` returns before a source made of scheduled items runs.
        trampoline.schedule(lambda *_: border.fill(source.subscribe(border, scheduler=root.scheduler)))
    else:
        border.fill(source.subscribe(border, scheduler=root.scheduler))
