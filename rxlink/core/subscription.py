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
import logging
import threading
from collections.abc import Callable, Coroutine, Generator
from contextvars import copy_context
from functools import partial
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

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

logger = logging.getLogger(__name__)

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
            try:
                self.dispose()
            finally:  # a foreign teardown may raise
                self._on_error(error)

    def on_completed(self) -> None:
        """End; what still runs is cancelled."""
        if not self.is_stopped:
            try:
                self.dispose()
            finally:
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
        scope = Scope(self)
        occupant = self._resource
        if self.is_stopped:
            scope.dispose()
        elif occupant is None:
            self._resource = scope
        elif isinstance(occupant, _Scopes):
            occupant.open.append(scope)
        else:
            assert isinstance(occupant, Scope), f"the slot is taken by {occupant!r}: cancel it first"
            self._resource = _Scopes([occupant, scope])
        return scope

    def close_scope(self, scope: Scope) -> None:
        """Cancel what is in a scope and give its place back."""
        scope.dispose()
        occupant = self._resource
        if occupant is scope:
            self._resource = None
        elif isinstance(occupant, _Scopes) and scope in occupant.open:
            occupant.open.remove(scope)
            if len(occupant.open) == 1:
                self._resource = occupant.open[0]

    def resume(self, function: Callable[..., None], *args: Any) -> None:
        """Go on because of somebody else's event: in this subscription's own context, unless it has ended."""
        if not self.is_stopped:
            # A copy: this very context may be entered further up the stack, and a context is entered once.
            self._context.copy().run(function, *args)

    def spawn(self, work: Callable[..., Coroutine[Any, Any, None]], observer: Observer[Any], *args: Any) -> None:
        """Run a coroutine function as this subscription's resource.

        It gets the observer and the arguments, and calls the observer itself, after ``release()``. If it is cancelled
        by anybody but this subscription, the observer gets :class:`~rxlink.errors.OperationCancelled`. A coroutine
        among the arguments is closed where the work never came to await it. Where there is no running event loop,
        nor one in the subscriber's scheduler, the observer gets an :class:`~rxlink.errors.InvariantError` at once.
        """
        try:
            loop = self.event_loop()
        except InvariantError as error:
            _close_coroutines(args)
            observer.on_error(error)
            return
        task = loop.create_task(work(observer, *args))
        task.add_done_callback(partial(self._on_task_done, observer, args))
        self.hold(task)

    def _on_task_done(self, observer: Observer[Any], args: tuple[Any, ...], task: asyncio.Task[None]) -> None:
        if task.cancelled():
            _close_coroutines(args)
            if self._resource is task:
                # Not the slot's doing: that would have emptied it first.
                self._resource = None
                observer.on_error(OperationCancelled("the work of an operation"))
            return
        error = task.exception()
        if not isinstance(error, Exception):
            return
        # From a callback of the subscriber: work passes its own failures on and does not raise them.
        if self._resource is task:
            # In the midst of a stream, which has died of it; the workers above have no part in that.
            self._resource = None
            self.on_error(error)
        else:
            report_callback_error(error)

    def event_loop(self) -> asyncio.AbstractEventLoop:
        """Return the running loop, or that of the subscriber's scheduler.

        Raises:
            InvariantError: There is neither.
        """
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
    """A slot of its own inside a subscription that runs several things at once; in that one's slot itself."""

    __slots__ = ("_parent",)

    def __init__(self, parent: Subscription) -> None:
        # Written out: of the base's only the slot is its own, and no context has to be copied.
        self._on_next = self._on_completed = noop
        self._on_error = parent.on_error
        self._resource = None
        self._context = parent._context
        self._parent = parent
        self.is_stopped = False
        self.scheduler = parent.scheduler

    def close(self) -> None:
        """Cancel what is in the slot and give the place back."""
        self._parent.close_scope(self)

    def cancel(self) -> None:
        """Cancel what is in the slot, for good."""
        self.dispose()


class _Scopes:
    """Several scopes of one subscription, together in its slot."""

    __slots__ = ("open",)

    def __init__(self, scopes: list[Scope]) -> None:
        self.open = scopes

    def cancel(self) -> None:
        for scope in self.open:
            scope.dispose()


def report_callback_error(error: Exception) -> None:
    """Give an exception that a callback raised to the event loop's exception handler, as asyncio does.

    For places where raising it further would stop others; without a running loop it is logged.
    """
    message = f"rxlink: a callback raised {type(error).__name__}"
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        logger.error(message, exc_info=error)
        return
    loop.call_exception_handler({"message": message, "exception": error})


def _close_coroutines(values: tuple[Any, ...]) -> None:
    """Close those that were never awaited, which Python would warn of; closing a finished one does nothing."""
    for value in values:
        if asyncio.iscoroutine(value):
            value.close()


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
        outcome: _Outcome[T] = _Outcome()
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
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # the traceback holds this frame: no cycles
        if not self._has_value:
            raise SequenceContainsNoElementsError
        return self._value


class _Border(Generic[T]):
    """The place of a foreign Observable in the slot, and the observer at the border to it.

    The slot is taken before the Observable is subscribed: it may answer before ``subscribe`` returns, and what
    answers may already have put the next thing into the slot.
    """

    __slots__ = ("_callback_error", "_disposable", "_is_over", "_observer", "_root")

    def __init__(self, observer: Observer[T], root: Subscription) -> None:
        self._callback_error: Exception | None = None
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
            try:
                self._observer.on_next(value)
            except Exception as error:
                self._callback_error = error
                raise

    def on_error(self, error: Exception) -> None:
        if not self._is_over:
            self._is_over = True
            self._root.release()
            callback_error, self._callback_error = self._callback_error, None
            # A consumer's exception comes back as if the source had failed: no worker may retry on it.
            observer = self._root if error is callback_error else self._observer
            observer.on_error(error)

    def on_completed(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._root.release()
            self._observer.on_completed()


def subscribe_foreign(source: Observable[T], observer: Observer[T], root: Subscription) -> None:
    """Run an Observable inside a subscription, whoever made it; not if the subscriber has left."""
    if root.is_stopped:
        return
    if isinstance(source, ChainObservable):
        source.run_inside(observer, root)
        return
    border: Any = _Border(observer, root)
    root.hold(border)
    trampoline = CurrentThreadScheduler.singleton()

    def start(_scheduler: abc.SchedulerBase | None = None, _state: object = None) -> None:
        border.fill(source.subscribe(border, scheduler=root.scheduler))

    if trampoline.schedule_required():
        # On RxPY's trampoline `subscribe` returns before a source made of scheduled items runs.
        trampoline.schedule(start)
    else:
        start()
