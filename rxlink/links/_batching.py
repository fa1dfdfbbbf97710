"""The operations that go out together: how they wait, and how they share one stream of lists.

Ports: ``@apollo/client`` 4.3.8 ``src/link/batch/batching.ts``, whose ``OperationBatcher`` stands here under its name.
"""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from collections.abc import Callable, Iterator, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar, cast

from reactivex import Observable, abc
from reactivex.scheduler.eventloop import AsyncIOScheduler

from rxlink.core.chain_observable import subscribe_foreign
from rxlink.core.fan_out import own_error
from rxlink.core.operation import Operation
from rxlink.core.subscription import Cancellable, ResultObserver, Subscription
from rxlink.core.timing import start_timer
from rxlink.core.work import report_callback_error
from rxlink.errors import ClientClosed, InvariantError

__all__ = ["BatchOptions", "LastResults", "Member", "MemberType", "OperationBatcher"]

Time: TypeAlias = asyncio.AbstractEventLoop | abc.SchedulerBase
MemberType = TypeVar("MemberType", bound="Member")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOptions(Generic[MemberType]):
    """How a link batches.

    Attributes:
        link: The link, for error messages.
        handler: Gets the members of a batch, and returns an Observable of lists: a result for each.
        shown_handler: What the handler is called in error messages.
        interval: How long a batch waits, in seconds.
        max_size: With how many members it goes out at once; 0 for any number.
        is_debounced: Whether each further member starts the interval anew.
    """

    link: object
    handler: Callable[[tuple[MemberType, ...]], Observable[Any]]
    shown_handler: str
    interval: float
    max_size: int
    is_debounced: bool


class LastResults(list[Any]):
    """Results behind which nothing comes but the end: each member is told both at once. There is one for each."""


class Member:
    """One operation in a batch; in the slot of its subscription until it ends.

    Attributes:
        key: Only members with the same key share a batch.
    """

    __slots__ = ("batch", "context", "key", "observer", "operation", "root")

    def __init__(self, operation: Operation, observer: ResultObserver, root: Subscription, key: str) -> None:
        self.batch: Batch[Any] | None = None
        self.context: Context = copy_context()
        self.key = key
        self.observer = observer
        self.operation = operation
        self.root = root

    def cancel(self) -> None:
        """Leave the batch."""
        if self.batch is not None:
            self.batch.leave(self)

    def end(self, tell: Callable[..., None], *args: object) -> None:
        """Tell the observer above that this was it."""
        self.root.release()
        self.tell(tell, *args)

    def tell(self, tell: Callable[..., None], *args: object) -> None:
        """Tell the observer above something, in its own context; what it raises must not stop the others."""
        try:
            self.root.resume(tell, *args)
        except (Exception, CancelledError) as error:  # noqa: BLE001 - of the subscriber's callback
            report_callback_error(error)


class OperationBatcher(Generic[MemberType]):
    """Gathers members into batches: by their key, and by whose time they go.

    Args:
        options: How.
    """

    __slots__ = ("_is_closed", "_options", "_waiting")

    def __init__(self, options: BatchOptions[MemberType]) -> None:
        self._options = options
        self._waiting: dict[Time, dict[str, Batch[MemberType]]] = {}
        self._is_closed = False

    def enqueue(self, member: MemberType) -> None:
        """Let a member wait for its batch to go out, or tell its observer why it cannot."""
        root = member.root
        try:
            if self._is_closed:
                raise ClientClosed(repr(self._options.link))
            # Only members of one time share a batch.
            scheduler = root.scheduler
            time = root.event_loop() if scheduler is None or isinstance(scheduler, AsyncIOScheduler) else scheduler
        except (ClientClosed, InvariantError) as error:
            member.observer.on_error(error)
            return
        root.hold(member)
        if root.is_stopped:
            return
        waiting = self._waiting[time] if time in self._waiting else self._begin_on(time)
        key = member.key
        batch = waiting[key] if key in waiting else self._begin(key, waiting)
        batch.add(member)

    def close(self) -> None:
        """End those who wait on the running loop, or on a scheduler, and turn away who comes later."""
        self._is_closed = True
        here = asyncio.get_running_loop()
        for time, waiting in self._waiting.items():
            if time is here or not isinstance(time, asyncio.AbstractEventLoop):
                for batch in tuple(waiting.values()):
                    batch.refuse(ClientClosed(repr(self._options.link)))

    def _begin(self, key: str, waiting: dict[str, Batch[MemberType]]) -> Batch[MemberType]:
        batch = waiting[key] = Batch(self._options, key, waiting)
        return batch

    def _begin_on(self, time: Time) -> dict[str, Batch[MemberType]]:
        # A chain may serve several loops, one after another: what is over is forgotten.
        self._waiting = {known: batches for known, batches in self._waiting.items() if batches and _is_open(known)}
        waiting = self._waiting[time] = {}
        return waiting


class Batch(Generic[MemberType]):
    """Operations that go out together: first they wait, and then they share one stream of lists."""

    __slots__ = ("_key", "_members", "_options", "_sent", "_stream", "_timer", "_waiting")

    def __init__(self, options: BatchOptions[MemberType], key: str, waiting: dict[str, Batch[MemberType]]) -> None:
        self._options = options
        self._key = key
        self._waiting = waiting
        self._members: dict[MemberType, None] = {}
        self._timer: Cancellable | None = None
        self._sent: tuple[MemberType, ...] = ()
        self._stream: Subscription | None = None

    def add(self, member: MemberType) -> None:
        options, members = self._options, self._members
        member.batch = self
        members[member] = None
        if len(members) == options.max_size:
            self._send()
        elif self._timer is None or options.is_debounced:
            self._stop_timer()
            self._start_timer(member.root.scheduler)

    def leave(self, member: MemberType) -> None:
        if member not in self._members:
            return
        del self._members[member]
        if self._members:
            return
        stream, self._stream = self._stream, None
        if stream is None:
            self._withdraw()
        else:
            self._sent = ()
            stream.dispose()

    def refuse(self, error: Exception) -> None:
        """End those who wait."""
        self._withdraw()
        self._sent = tuple(self._members)
        self._fail(error)

    def _send(self) -> None:
        self._withdraw()
        self._sent = tuple(self._members)
        # Another member's arrival may have brought this about, and a handler reads the first one's headers.
        self._sent[0].context.copy().run(self._run)

    def _run(self) -> None:
        stream = self._stream = Subscription(self._take, self._fail, self._complete, self._sent[0].root.scheduler)
        try:
            subscribe_foreign(self._options.handler(self._sent), stream, stream)
        except Exception as error:  # noqa: BLE001 - whatever the handler raises is the error of each operation
            if stream.is_stopped:
                report_callback_error(error)
            else:
                stream.on_error(error)

    def _take(self, results: object) -> None:
        if isinstance(results, LastResults):
            self._take_last(results)
            return
        stream = self._stream
        assert stream is not None, "a stream that has ended says no more"
        answers = cast("Sequence[object]", results) if isinstance(results, (list, tuple)) else (results,)
        if len(answers) != len(self._sent):
            stream.on_error(
                InvariantError(
                    f"`batch_handler` {self._options.shown_handler} answered {len(self._sent)} operations with "
                    f"{len(answers)} results; it has to send one for each, in their order"
                )
            )
            return
        for member, answer in zip(self._sent, answers, strict=True):
            if member not in self._members:
                continue
            if isinstance(answer, Exception):
                self.leave(member)
                member.end(member.observer.on_error, answer)
            else:
                member.tell(member.observer.on_next, answer)

    def _take_last(self, results: LastResults) -> None:
        members = self._members
        for member, result in zip(self._sent, results, strict=True):
            if member not in members:  # it has left
                continue
            del members[member]
            if type(result) is not dict and isinstance(result, Exception):
                member.end(member.observer.on_error, result)
                continue
            # As `end` does, without a call for each step.
            try:
                member.root.end_with(member.observer, result)
            except (Exception, CancelledError) as error:  # noqa: BLE001 - of the subscriber's callback
                report_callback_error(error)

    def _fail(self, error: Exception) -> None:
        for member in self._ended_members():
            member.end(member.observer.on_error, own_error(error))

    def _complete(self) -> None:
        for member in self._ended_members():
            member.end(member.observer.on_completed)

    def _ended_members(self) -> Iterator[MemberType]:
        """Hand out those who are left, one by one: what one of them does may make another one leave."""
        sent = self._sent if self._members else ()
        self._sent, self._stream = (), None
        for member in sent:
            if member in self._members:
                del self._members[member]
                yield member

    def _withdraw(self) -> None:
        """Stop waiting: who comes now begins another batch."""
        self._stop_timer()
        if self._waiting.get(self._key) is self:  # not one that has gone out, of which the last is leaving
            del self._waiting[self._key]

    def _start_timer(self, scheduler: abc.SchedulerBase | None) -> None:
        interval = self._options.interval
        if scheduler is not None or not interval:
            self._timer = start_timer(interval, self._send, scheduler)
        else:
            # A timer takes a while to make and to cancel: a batch may be full before the loop turns.
            loop = asyncio.get_running_loop()
            self._timer = loop.call_soon(self._wait_until, loop, loop.time() + interval)

    def _wait_until(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self._timer = loop.call_at(due, self._send)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()


def _is_open(time: Time) -> bool:
    return not (isinstance(time, asyncio.AbstractEventLoop) and time.is_closed())
