"""The operations that go out together: how they wait, and how they share one stream of lists."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, cast

from reactivex import Observable, abc

from rxlink.core.chain_observable import subscribe_foreign
from rxlink.core.fan_out import own_error
from rxlink.core.link import Forward, ForwardFunction
from rxlink.core.operation import Operation
from rxlink.core.options import kind_of, name_of
from rxlink.core.result import FetchResult
from rxlink.core.subscription import Cancellable, ResultObserver, Subscription
from rxlink.core.timing import start_timer
from rxlink.core.work import report_callback_error
from rxlink.errors import InvariantError, InvariantTypeError

__all__ = ["Batch", "BatchHandler", "BatchOptions", "LastResults", "Member"]

BatchHandler: TypeAlias = Callable[[list[Operation], list[ForwardFunction]], Observable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOptions:
    """How a link batches; the interval is in seconds, a largest size of 0 is none."""

    handler: BatchHandler
    interval: float
    max_size: int
    is_debounced: bool


class LastResults(list[Any]):
    """Results behind which nothing comes but the end: each member is told both at once."""


class Member:
    """One operation in a batch; in the slot of its subscription until it ends."""

    __slots__ = ("_forward", "batch", "context", "observer", "operation", "root")

    def __init__(self, operation: Operation, forward: Forward, observer: ResultObserver, root: Subscription) -> None:
        self._forward = forward
        self.batch: Batch | None = None
        self.context: Context = copy_context()
        self.observer = observer
        self.operation = operation
        self.root = root

    def cancel(self) -> None:
        """Leave the batch."""
        if self.batch is not None:
            self.batch.leave(self)

    def forward(self, operation: Operation) -> Observable[FetchResult]:
        """Hand an operation to the links behind, which run in this member's context."""
        source = self.context.copy().run(self._forward, operation)

        def subscribe(
            observer: abc.ObserverBase[FetchResult], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            return self.context.copy().run(partial(source.subscribe, observer, scheduler=scheduler))

        return Observable(subscribe)

    def end(self, tell: Callable[..., None], *args: object) -> None:
        """Tell the observer above that this was it."""
        self.root.release()
        self.tell(tell, *args)

    def tell(self, tell: Callable[..., None], *args: object) -> None:
        """Tell the observer above something, in its own context; what it raises must not stop the others."""
        try:
            self.root.resume(tell, *args)
        except Exception as error:  # noqa: BLE001 - of the subscriber's callback
            report_callback_error(error)


class Batch:
    """Operations that go out together: first they wait, and then they share one stream of lists."""

    __slots__ = ("_key", "_members", "_options", "_sent", "_stream", "_timer", "_waiting")

    def __init__(self, options: BatchOptions, key: str, waiting: dict[str, Batch]) -> None:
        self._options = options
        self._key = key
        self._waiting = waiting
        self._members: dict[Member, None] = {}
        self._timer: Cancellable | None = None
        self._sent: tuple[Member, ...] = ()
        self._stream: Subscription | None = None

    def add(self, member: Member) -> None:
        member.batch = self
        self._members[member] = None
        if len(self._members) == self._options.max_size:
            self._send()
        elif self._timer is None or self._options.is_debounced:
            self._stop_timer()
            self._timer = start_timer(self._options.interval, self._send, member.root.scheduler)

    def leave(self, member: Member) -> None:
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
        handler = self._options.handler
        try:
            source = handler([member.operation for member in self._sent], [member.forward for member in self._sent])
            subscribe_foreign(_checked(source, handler), stream, stream)
        except Exception as error:  # noqa: BLE001 - whatever the handler raises is the error of each operation
            if stream.is_stopped:
                report_callback_error(error)
            else:
                stream.on_error(error)

    def _take(self, results: object) -> None:
        stream = self._stream
        assert stream is not None, "a stream that has ended says no more"
        answers = cast("Sequence[object]", results) if isinstance(results, (list, tuple)) else (results,)
        if len(answers) != len(self._sent):
            stream.on_error(
                InvariantError(
                    f"`batch_handler` {name_of(self._options.handler)} answered {len(self._sent)} operations with "
                    f"{len(answers)} results; it has to send one for each, in their order"
                )
            )
            return
        are_last = isinstance(results, LastResults)
        for member, answer in zip(self._sent, answers, strict=True):
            if member not in self._members:
                continue
            if isinstance(answer, Exception):
                self.leave(member)
                member.end(member.observer.on_error, answer)
            elif are_last:
                del self._members[member]
                member.end(_tell_last, member.observer, answer)
            else:
                member.tell(member.observer.on_next, answer)

    def _fail(self, error: Exception) -> None:
        for member in self._ended_members():
            member.end(member.observer.on_error, own_error(error))

    def _complete(self) -> None:
        for member in self._ended_members():
            member.end(member.observer.on_completed)

    def _ended_members(self) -> Iterator[Member]:
        """Hand out those who are left, one by one: what one of them does may make another one leave."""
        sent, self._sent, self._stream = self._sent, (), None
        for member in sent:
            if member in self._members:
                del self._members[member]
                yield member

    def _withdraw(self) -> None:
        """Stop waiting: who comes now begins another batch."""
        self._stop_timer()
        if self._waiting.get(self._key) is self:  # not one that has gone out, of which the last is leaving
            del self._waiting[self._key]

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()


def _tell_last(observer: ResultObserver, result: FetchResult) -> None:
    try:
        observer.on_next(result)
    finally:
        observer.on_completed()


def _checked(source: object, handler: BatchHandler) -> Observable[Any]:
    if isinstance(source, Observable):
        return cast("Observable[Any]", source)
    if inspect.iscoroutine(source):
        source.close()
    raise InvariantTypeError(
        f"`batch_handler` {name_of(handler)} returned {kind_of(source)} instead of an Observable; "
        "wrap what has to be awaited: from_future(...)"
    )
