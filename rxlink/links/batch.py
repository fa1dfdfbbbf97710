"""Gather operations for a moment and hand them on together, as one batch.

Ports: ``@apollo/client`` 4.3.8 ``src/link/batch/batchLink.ts`` and ``batching.ts``.
Differs: the end of one batch leaves the next one alone (there it sends it early); a handler that raises, or returns no
Observable, is the error of each member (there they hang); an exception in the list is the error of one member; each
subscription is a member of its own, also of the same Observable (there they share a place), and asks for its key then
(there when ``execute`` is called); ``batch_handler`` has no default (there it answers nothing); times are seconds.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeAlias, cast

from reactivex import Observable, abc

from rxlink.core.link import ApolloLink, Forward, ForwardFunction
from rxlink.core.operation import Operation
from rxlink.core.options import checked_flag, checked_function, kind_of, name_of
from rxlink.core.result import FetchResult
from rxlink.core.subscription import Connect, ResultObserver, Subscription
from rxlink.core.timing import Duration, to_seconds
from rxlink.errors import InvariantError, InvariantTypeError
from rxlink.links._batching import BatchOptions, Member, MemberType, OperationBatcher

__all__ = ["BatchHandler", "BatchKey", "BatchLink"]

DEFAULT_INTERVAL: Final = 0.01  # seconds

BatchHandler: TypeAlias = Callable[[list[Operation], list[ForwardFunction]], Observable[Any]]
BatchKey: TypeAlias = Callable[[Operation], str]


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
        checked_function("`batch_handler`", batch_handler, "operations", "forwards", instead=cure)
        options: BatchOptions[_ForwardedMember] = batch_options(
            self,
            handler=partial(_handle, batch_handler),
            shown_handler=name_of(batch_handler),
            batch_interval=batch_interval,
            batch_max=batch_max,
            batch_debounce=batch_debounce,
        )
        self._key = checked_batch_key(batch_key)
        self._batcher = OperationBatcher(options)

    def connect(self, forward: Forward) -> Connect:
        """Prepare to run operations; see :meth:`ApolloLink.connect`."""
        key_of, enqueue = self._key, self._batcher.enqueue

        def start(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
            try:
                key = "" if key_of is None else checked_key(key_of(operation), key_of)
            except Exception as error:  # noqa: BLE001 - a user's function runs here
                observer.on_error(error)
                return
            enqueue(_ForwardedMember(operation, forward, observer, root, key))

        return start

    async def aclose(self) -> None:
        """End the operations that wait for their batch to go out; those whose batch is under way go on."""
        self._batcher.close()


class _ForwardedMember(Member):
    """A member whose handler may hand operations to the links behind."""

    __slots__ = ("_forward",)

    def __init__(
        self, operation: Operation, forward: Forward, observer: ResultObserver, root: Subscription, key: str
    ) -> None:
        super().__init__(operation, observer, root, key)
        self._forward = forward

    def forward(self, operation: Operation) -> Observable[FetchResult]:
        """Hand an operation to the links behind, which run in this member's context."""
        source = self.context.copy().run(self._forward, operation)

        def subscribe(
            observer: abc.ObserverBase[FetchResult], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            return self.context.copy().run(partial(source.subscribe, observer, scheduler=scheduler))

        return Observable(subscribe)


def _handle(handler: BatchHandler, members: tuple[_ForwardedMember, ...]) -> Observable[Any]:
    source: Any = handler([member.operation for member in members], [member.forward for member in members])
    if isinstance(source, Observable):
        return cast("Observable[Any]", source)
    if inspect.iscoroutine(source):
        source.close()
    raise InvariantTypeError(
        f"`batch_handler` {name_of(handler)} returned {kind_of(source)} instead of an Observable; "
        "wrap what has to be awaited: from_future(...)"
    )


def batch_options(
    link: ApolloLink,
    *,
    handler: Callable[[tuple[MemberType, ...]], Observable[Any]],
    shown_handler: str = "",
    batch_interval: Duration,
    batch_max: int,
    batch_debounce: bool,
) -> BatchOptions[MemberType]:
    """Return how a link batches, checked.

    Raises:
        InvariantError: ``batch_interval`` or ``batch_max`` is out of its range.
        InvariantTypeError: One of them, or ``batch_debounce``, has the wrong type.
    """
    return BatchOptions(
        link=link,
        handler=handler,
        shown_handler=shown_handler,
        interval=to_seconds("batch_interval", batch_interval),
        max_size=_checked_max(batch_max),
        is_debounced=checked_flag("batch_debounce", batch_debounce),
    )


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
