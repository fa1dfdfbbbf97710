"""How a chain runs: one subscription and its one resource slot.

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
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import copy_context
from typing import Any, Final, TypeAlias

from reactivex import abc
from reactivex.internal import noop
from reactivex.scheduler.eventloop import AsyncIOScheduler

from rxlink.core.observer import Cancellable, Observer
from rxlink.core.operation import Operation
from rxlink.core.result import FetchResult
from rxlink.core.work import Work, close_unawaited
from rxlink.errors import InvariantError

__all__ = ["Cancellable", "Connect", "Observer", "ResultObserver", "Scope", "Subscription"]

ResultObserver: TypeAlias = Observer[FetchResult]
TASK_NAME: Final = "rxlink"
Connect: TypeAlias = "Callable[[Operation, ResultObserver, Subscription], None]"
"""Start one operation: results go to the observer, what runs goes into the root's slot."""


class Subscription(abc.DisposableBase):
    """One subscription to a chain: its top observer, its disposable, and its resource slot.

    Attributes:
        is_stopped: Whether it has ended: by an error, a completion, or because the subscriber left.
        scheduler: The subscriber's scheduler, None where none was given: time is then the running loop's.
        loop_at_start: The running loop, where something has asked for it, for who asks in the same turn: in Python
            3.11 it takes a system call to find it.
    """

    __slots__ = ("_context", "_on_completed", "_on_error", "_on_next", "_resource", "is_stopped", "loop_at_start",
                 "scheduler")  # fmt: skip

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
        self.loop_at_start: asyncio.AbstractEventLoop | None = None
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

    def resume_next(self, observer: Observer[Any], value: Any) -> None:
        """Hand an observer a value as ``resume`` does, without the time that it takes to pack arguments."""
        if not self.is_stopped:
            self._context.copy().run(observer.on_next, value)

    def end_with(self, observer: Observer[Any], value: Any) -> None:
        """Empty the slot, and hand an observer its last value and the end likewise."""
        self._resource = None
        if not self.is_stopped:
            self._context.copy().run(_tell_last, observer, value)

    def spawn(
        self,
        work: Coroutine[Any, Any, None],
        observer: Observer[Any],
        awaits: Awaitable[object] | None = None,
    ) -> None:
        """Run a coroutine as this subscription's resource.

        It tells the observer itself, after ``release()``. If it is cancelled by anybody but this subscription, the
        observer gets :class:`~rxlink.errors.OperationCancelled`. Where there is no running event loop, nor one in the
        subscriber's scheduler, it is closed, and the observer gets an :class:`~rxlink.errors.InvariantError` at once.

        Args:
            work: The coroutine.
            observer: Whom it tells.
            awaits: The user's awaitable that it awaits: a coroutine is closed where the work never came to it.
        """
        try:
            loop = self.loop_at_start = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        if loop is None:  # not in the handler, whose exception the error would keep as its context
            try:
                loop = self.event_loop()
            except InvariantError as error:
                work.close()
                close_unawaited(awaits)
                observer.on_error(error)
                return
        try:
            task = (
                loop.create_task(work, name=TASK_NAME)  # without a name, a number is made text each time
                if loop.get_task_factory() is None
                else loop.create_task(work)  # a factory need not take one
            )
        except BaseException:  # such as a loop that is closed
            work.close()
            close_unawaited(awaits)
            raise
        running = Work(task, self, observer, awaits)
        task.add_done_callback(running, context=self._context)
        if self.is_stopped:
            task.cancel()
        elif not task.done():  # else it was an eager one, and what it began is in the slot already
            assert self._resource is None, f"the slot is taken by {self._resource!r}: cancel it first"
            self._resource = running

    def finish(self) -> Work | None:
        """Empty the slot, as ``release()`` does, and return the work that was in it, None where there was none.

        For work that catches what its observer raises and gives it to ``report_callback_error`` itself. When all is
        told it calls ``dismiss()`` on what this returned, and the loop has one callback less to run.
        """
        work = self._resource
        self._resource = None
        return work if type(work) is Work else None

    def running_task(self) -> asyncio.Task[Any]:
        """Return the task of the work that asks, before it has emptied the slot."""
        work = self._resource
        if type(work) is Work:
            return work.task
        task = asyncio.current_task()  # of an eager task, which begins before it is in the slot
        assert task is not None, "work runs in a task"
        return task

    def holds(self, task: asyncio.Task[None]) -> bool:
        """Tell whether the work of a task is in the slot: somebody above may have turned to another stream."""
        work = self._resource
        return type(work) is Work and work.task is task

    def lose(self, work: Work) -> bool:
        """Empty the slot if work is still in it that has ended without a word, and tell whether it was."""
        is_lost = self._resource is work
        if is_lost:
            self._resource = None
        return is_lost

    def event_loop(self) -> asyncio.AbstractEventLoop:
        """Return the running loop, or that of the subscriber's scheduler.

        Raises:
            InvariantError: There is neither.
        """
        try:
            loop = self.loop_at_start = asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            return loop
        if isinstance(self.scheduler, AsyncIOScheduler):
            return self.scheduler._loop  # pyright: ignore[reportPrivateUsage] - RxPY gives no other way to it
        raise InvariantError(
            "the operation was subscribed where no event loop runs, and its chain needs one; "
            "subscribe inside a coroutine, or pass scheduler=AsyncIOScheduler(loop)"
        )


def _tell_last(observer: Observer[Any], value: Any) -> None:
    try:
        observer.on_next(value)
    finally:
        observer.on_completed()


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
        self.loop_at_start = None
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
