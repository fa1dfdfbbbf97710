"""Gather operations for a moment and hand them on together, as one batch.

Ports: ``@apollo/client`` 4.3.8 ``src/link/batch/batchLink.ts`` and ``batching.ts``.
Differs: the end of one batch leaves the next one alone (there it sends it early); a handler that raises, or returns no
Observable, is the error of each member (there they hang); an exception in the list is the error of one member; each
subscription is a member of its own, also of the same Observable (there they share a place), and asks for its key then
(there when ``execute`` is called); ``batch_handler`` has no default (there it answers nothing); times are seconds.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Final, TypeAlias

from reactivex import abc
from reactivex.scheduler.eventloop import AsyncIOScheduler

from rxlink.core.link import ApolloLink, Forward
from rxlink.core.operation import Operation
from rxlink.core.options import checked_flag, checked_function, kind_of, name_of
from rxlink.core.subscription import Connect, ResultObserver, Subscription
from rxlink.core.timing import Duration, to_seconds
from rxlink.errors import ClientClosed, InvariantError, InvariantTypeError
from rxlink.links._batching import Batch, BatchHandler, BatchOptions, Member

__all__ = ["BatchHandler", "BatchKey", "BatchLink"]

DEFAULT_INTERVAL: Final = 0.01  # seconds

BatchKey: TypeAlias = Callable[[Operation], str]
Time: TypeAlias = asyncio.AbstractEventLoop | abc.SchedulerBase


class BatchLink(ApolloLink):
    """Gather the operations of a moment that have the same key, and give them to a handler all at once.

    An operation that leaves before its batch goes out is not part of it; one that leaves later leaves the others alone,
    and the last one to leave stops what the handler has started. Each member's observer, and the links that its
    ``forward`` leads to, run in the context of its own subscription; the handler in that of the first member.

    Errors:
        What the handler's stream ends with, for each member; what the handler raises;
        :class:`~rxlink.errors.InvariantError` where it answers with more or fewer results than there are operations;
        what ``batch_key`` raises, for that operation alone; :class:`~rxlink.errors.ClientClosed` for those that wait
        when the link is closed, or come later.

    Example:
        >>> import asyncio, reactivex
        >>> from rxlink import GraphQLRequest, execute
        >>> def answer_all(operations, forwards):
        ...     return reactivex.of([{"data": f"{place} of {len(operations)}"} for place, _ in enumerate(operations)])
        >>> link = BatchLink(batch_handler=answer_all, batch_interval=0.02)
        >>> async def ask():
        ...     return await execute(link, GraphQLRequest("{ answer }"))
        >>> async def main():
        ...     return await asyncio.gather(ask(), ask())
        >>> asyncio.run(main())
        [{'data': '0 of 2'}, {'data': '1 of 2'}]
    """

    def __init__(
        self,
        *,
        batch_handler: BatchHandler,
        batch_interval: Duration = DEFAULT_INTERVAL,
        batch_max: int = 0,
        batch_debounce: bool = False,
        batch_key: BatchKey | None = None,
    ) -> None:
        """Make the link.

        Args:
            batch_handler: Gets the operations of a batch, and for each the ``forward`` that leads it to the links
                behind. It returns an Observable of lists: a result for each operation, in their order. An exception in
                the place of a result ends that operation; a single result will do for a batch of one.
            batch_interval: Seconds, or a timedelta, from the first operation of a batch until it goes out; default
                0.01.
            batch_max: With how many operations a batch goes out at once; 0 for any number.
            batch_debounce: Whether each further operation starts the interval anew.
            batch_key: Gets an operation and returns text; only operations with the same text share a batch. None: all
                do.

        Raises:
            InvariantError: ``batch_interval`` or ``batch_max`` is out of its range.
            InvariantTypeError: An option has the wrong type, or a function is a coroutine function.
        """
        super().__init__()
        cure = "wrap it: lambda operations, forwards: from_future(...)"
        self._options = BatchOptions(
            handler=checked_function("`batch_handler`", batch_handler, "operations", "forwards", instead=cure),
            interval=to_seconds("batch_interval", batch_interval),
            max_size=_checked_max(batch_max),
            is_debounced=checked_flag("batch_debounce", batch_debounce),
        )
        self._key = checked_batch_key(batch_key)
        self._waiting: dict[Time, dict[str, Batch]] = {}
        self._is_closed = False

    def connect(self, forward: Forward) -> Connect:
        """Prepare to run operations; see :meth:`ApolloLink.connect`."""
        key_of = self._key

        def start(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
            try:
                if self._is_closed:
                    raise ClientClosed(repr(self))
                key = "" if key_of is None else checked_key(key_of(operation), key_of)
                time = _time_of(root)
            except Exception as error:  # noqa: BLE001 - a user's function runs here
                observer.on_error(error)
                return
            member = Member(operation, forward, observer, root)
            root.hold(member)
            if not root.is_stopped:
                self._batch_for(key, time).add(member)

        return start

    async def aclose(self) -> None:
        """End the operations that wait for their batch to go out; those whose batch is under way go on."""
        self._is_closed = True
        here = asyncio.get_running_loop()
        for time, waiting in self._waiting.items():
            if time is here or not isinstance(time, asyncio.AbstractEventLoop):
                for batch in tuple(waiting.values()):
                    batch.refuse(ClientClosed(repr(self)))

    def _batch_for(self, key: str, time: Time) -> Batch:
        waiting = self._waiting.get(time)
        if waiting is None:
            # A chain may serve several loops, one after another: what is over is forgotten.
            self._waiting = {known: batches for known, batches in self._waiting.items() if batches and _is_open(known)}
            waiting = self._waiting[time] = {}
        batch = waiting.get(key)
        if batch is None:
            batch = waiting[key] = Batch(self._options, key, waiting)
        return batch


def _checked_max(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvariantTypeError(f"`batch_max` is {value!r}; give a whole number, 0 for any")
    if value < 0:
        raise InvariantError(f"`batch_max` is {value}; give 1 or more, or 0 for any number of operations")
    return value


def checked_batch_key(batch_key: BatchKey | None) -> BatchKey | None:
    """Return the option, checked.

    Raises:
        InvariantTypeError: It is no function of one operation, or a coroutine function.
    """
    if batch_key is not None:
        cure = "put what it waits for into the context, with SetContextLink"
        checked_function("`batch_key`", batch_key, "operation", instead=cure, shows_text=True)
    return batch_key


def checked_key(key: object, function: BatchKey) -> str:
    """Return what the option returned, checked.

    Raises:
        InvariantTypeError: It is no text.
    """
    if isinstance(key, str):
        return key
    if inspect.iscoroutine(key):
        key.close()
    raise InvariantTypeError(f"`batch_key` {name_of(function)} returned {kind_of(key)}; return text")


def _time_of(root: Subscription) -> Time:
    """Return whose time a batch of this subscription goes by: only members of one time share a batch."""
    scheduler = root.scheduler
    return root.event_loop() if scheduler is None or isinstance(scheduler, AsyncIOScheduler) else scheduler


def _is_open(time: Time) -> bool:
    return not (isinstance(time, asyncio.AbstractEventLoop) and time.is_closed())
