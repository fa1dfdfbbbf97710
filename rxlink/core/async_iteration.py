"""Take the results of an Observable one by one, in an ``async for`` loop, with a bounded buffer between the two.

Ports: nothing of Apollo Client; ``client.iterate`` of graphql-ws 6 (``src/client.ts``) is the nearest there is.
Differs: what waits there has no bound; here it has one, and what happens at the bound is an option. A second call
while one waits is refused (there it waits for its turn). RxPY 6.1 awaits the last value of an Observable and has
nothing for a loop; the two recipes in its ``examples/asyncio`` have no bound and no way to leave.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from contextvars import copy_context
from types import TracebackType
from typing import Any, Final, Generic, Literal, Self, TypeAlias, TypeVar, get_args

from reactivex import Observable, abc
from reactivex.internal import noop
from reactivex.scheduler.eventloop import AsyncIOScheduler

from rxlink.core.chain_observable import subscribe_foreign
from rxlink.core.options import checked_scheduler, kind_of
from rxlink.core.subscription import Subscription
from rxlink.core.work import report_callback_error
from rxlink.errors import BufferOverflow, InvariantError, InvariantTypeError, OperationCancelled

__all__ = ["ObservableIterator", "Overflow", "to_async_iterator"]

T = TypeVar("T")
Overflow: TypeAlias = Literal["error", "drop_oldest", "drop_newest"]
"""What happens when a value comes and the buffer is full."""

MAX_BUFFER: Final = 1000
"""Values: a burst fits, and who is a thousand results behind seldom catches up."""


def to_async_iterator(
    observable: Observable[T],
    *,
    max_buffer: int = MAX_BUFFER,
    overflow: Overflow = "error",
    scheduler: abc.SchedulerBase | None = None,
) -> ObservableIterator[T]:
    """Iterate over the values of any Observable with ``async for``.

    An Observable does not wait for its subscriber: what comes while the loop is busy waits in a buffer. A value is in
    it until the loop takes it, even if the loop waits for it already.

    Args:
        observable: What to subscribe: at the first step of the loop, or at ``async with``, in the running event loop.
        max_buffer: How many values may wait, 1 or more.
        overflow: What happens when one more comes. ``"error"``: the source is left at once, and the loop gets those
            that wait and then :class:`~rxlink.errors.BufferOverflow`. ``"drop_oldest"``: the oldest that waits is
            thrown away; with ``max_buffer=1`` the loop always gets the latest. ``"drop_newest"``: the one that comes is
            thrown away.
        scheduler: Handed to ``subscribe``; None for RxPY's scheduler on the running event loop.

    Returns:
        An iterator over one subscription. ``async with`` leaves the source where the block ends, by whatever way;
        without it the source is left when nobody refers to the iterator any more.

    Raises:
        InvariantTypeError: The first argument is no Observable, ``max_buffer`` no whole number, or ``scheduler`` none.
        InvariantError: ``max_buffer`` is less than 1, or ``overflow`` none of the three.

    Errors:
        What the source ends with, once all that came before has been taken.

    Example:
        >>> from reactivex import of
        >>> async def main():
        ...     async with to_async_iterator(of(1, 2, 3)) as values:
        ...         async for value in values:
        ...             print(value)
        ...             if value == 2:
        ...                 break
        >>> asyncio.run(main())
        1
        2
    """
    if not isinstance(observable, Observable):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may not be typed
        raise InvariantTypeError(f"to_async_iterator got {kind_of(observable)}; give it an Observable")
    if isinstance(max_buffer, bool) or not isinstance(max_buffer, int):  # pyright: ignore[reportUnnecessaryIsInstance] - the same
        raise InvariantTypeError(f"`max_buffer` is {max_buffer!r}; give a whole number, 1 or more")
    if max_buffer < 1:
        raise InvariantError(f"`max_buffer` is {max_buffer!r}; give a whole number, 1 or more")
    if overflow not in get_args(Overflow):
        raise InvariantError(f"`overflow` is {overflow!r}; give 'error', 'drop_oldest' or 'drop_newest'")
    checked_scheduler("scheduler", scheduler)
    return ObservableIterator(observable, _Inbox(max_buffer, overflow, scheduler))


class ObservableIterator(AsyncIterator[T]):
    """The values of one subscription, each once; :func:`to_async_iterator` makes it.

    One task takes from it at a time. A task that is cancelled while it waits loses no value: the next step gets it.
    After an error, and after the end, there is nothing more.
    """

    def __init__(self, observable: Observable[T], inbox: _Inbox[T]) -> None:
        self._observable: Observable[T] | None = observable
        self._inbox = inbox
        self._is_awaited = False

    @property
    def dropped(self) -> int:
        """How many values were thrown away because the buffer was full; with ``"error"`` the one too many."""
        return self._inbox.dropped

    async def __anext__(self) -> T:
        if self._is_awaited:
            raise InvariantError(
                "somebody waits for the next value of this iterator already, and each value goes to one; "
                "give each task an iterator of its own, or hand the values round by an asyncio.Queue"
            )
        self._start()
        self._is_awaited = True
        try:
            return await self._inbox.take()
        finally:
            self._is_awaited = False

    async def aclose(self) -> None:
        """Leave the source; what waits in the buffer is thrown away, and whoever waits for a value gets the end."""
        try:
            self._inbox.dispose()
        finally:  # a foreign teardown may raise
            self._inbox.wake()

    async def __aenter__(self) -> Self:
        self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _start(self) -> None:
        observable, self._observable = self._observable, None
        if observable is not None:
            self._inbox.start(observable)

    def __del__(self) -> None:
        # The source knows the inbox only, so this comes as soon as the loop has been left. Nobody waits by now.
        try:
            self._inbox.dispose()
        except Exception as error:  # noqa: BLE001 - of a foreign teardown; there is nobody to raise it to
            report_callback_error(error)


class _Inbox(Subscription, Generic[T]):
    """What has arrived and is not taken yet: the observer of the source, and the root of its subscription.

    The source may send from any thread, so a lock is around what changes the values. It can be entered again, and what
    changes them is in order at each line: the end of a value that is dropped, and the garbage collector, run foreign
    code at any of them, which may send to this very inbox.
    """

    __slots__ = ("_error", "_lock", "_loop", "_max_buffer", "_overflow", "_thread", "_values", "_waiter", "dropped")

    def __init__(self, max_buffer: int, overflow: Overflow, scheduler: abc.SchedulerBase | None) -> None:
        # Written out: nobody is called, and the context is the subscriber's.
        self._on_next = self._on_error = self._on_completed = noop
        self._resource = None
        self.is_stopped = False
        self.scheduler = scheduler
        self.dropped = 0
        self._max_buffer = max_buffer
        self._overflow = overflow
        self._lock = threading.RLock()
        self._values: deque[T] = deque()
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    def start(self, observable: Observable[T]) -> None:
        """Subscribe, in a copy of the context: what the source sets there is not set for the consumer."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._context = copy_context()
        self.scheduler = self.scheduler or AsyncIOScheduler(self._loop)
        self._context.run(self._subscribe, observable)

    def _subscribe(self, observable: Observable[T]) -> None:
        try:
            subscribe_foreign(observable, self, self)
        except Exception as error:
            if self.is_stopped:
                raise
            self.on_error(error)

    def on_next(self, value: T) -> None:
        """Keep a value until it is taken."""
        with self._lock:
            if self.is_stopped:
                return
            is_full = len(self._values) >= self._max_buffer
            is_kept = not is_full or self._overflow == "drop_oldest"
            self.dropped += is_full
            if is_kept:
                self._values.append(value)
            if is_kept and is_full:
                self._values.popleft()
        if self._loop.is_closed():
            self.dispose()  # nobody can take it any more
        elif is_kept:
            self.wake()
        elif self._overflow == "error":
            self.on_error(BufferOverflow(max_buffer=self._max_buffer))

    def on_error(self, error: Exception) -> None:
        """Keep the error until all values are taken."""
        if not self.is_stopped:
            self._error = error
            self.on_completed()

    def on_completed(self) -> None:
        """Take no more."""
        if not self.is_stopped:
            self.is_stopped = True
            try:
                self._leave_source()
            finally:  # a foreign teardown may raise
                self.wake()

    def dispose(self) -> None:
        """Leave the source and throw away what has not been taken; ``wake`` tells who waits."""
        self.is_stopped = True
        self._error = None
        self._values.clear()
        self._leave_source()

    def wake(self) -> None:
        """Let the one who waits look again."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            self._on_loop(self._settle, waiter)

    async def take(self) -> T:
        """Wait for the next value, and take it; or raise what the stream has ended with."""
        while self._is_idle():
            waiter = self._waiter = self._new_waiter()
            if self._is_idle():  # what came until here has woken nobody
                await waiter  # only a signal: cancelled or not, the value stays where it is until it is taken
        with self._lock:
            if self._values:
                return self._values.popleft()
        error, self._error = self._error, None
        try:
            raise _raisable(error)
        finally:
            del error  # the traceback holds this frame: no cycles

    def _is_idle(self) -> bool:
        return not self._values and not self.is_stopped

    def _new_waiter(self) -> asyncio.Future[None]:
        if asyncio.get_running_loop() is not self._loop:
            raise InvariantError(
                "this iterator was begun in another event loop, and its source sends to that one; make a new iterator"
            )
        return self._loop.create_future()

    def _settle(self, waiter: asyncio.Future[None]) -> None:
        if not waiter.done() and not self._loop.is_closed():
            waiter.set_result(None)

    def _leave_source(self) -> None:
        if self.is_busy:
            # In its own context, whoever makes it leave.
            self._on_loop(self._context.copy().run, self.cancel_resource)

    def _on_loop(self, function: Any, *args: Any) -> None:
        """Call a function on the thread of the event loop; on this one where the loop is closed."""
        if threading.get_ident() != self._thread:
            with suppress(RuntimeError):  # so it says that it is closed
                self._loop.call_soon_threadsafe(function, *args)
                return
        function(*args)


def _raisable(error: BaseException | None) -> Exception:
    """Return what a loop takes for what it is: a source's error may be one that Python gives a meaning of its own."""
    if error is None:
        return StopAsyncIteration()
    if isinstance(error, StopIteration | StopAsyncIteration):
        raised = RuntimeError(f"the source of to_async_iterator ended with {type(error).__name__}")
    elif isinstance(error, Exception):
        return error
    else:  # RxPY's `from_future` sends a CancelledError, and the consumer is not cancelled
        raised = OperationCancelled("the source of to_async_iterator")
    raised.__cause__ = error
    return raised
