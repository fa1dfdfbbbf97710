"""Executing an operation with graphql-core 3.3 so that its result arrives in pieces, and telling them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from inspect import CORO_CLOSED, getcoroutinestate
from typing import Any

import graphql
from graphql import ExecutionResult

from rxlink.core.result import FetchResult
from rxlink.core.subscription import ResultObserver, Subscription
from rxlink.core.work import report_callback_error
from rxlink.incremental.detecting import DetectingHandler
from rxlink.transport._execution import DeclaredExecution, Execution, close_unstarted, response_of
from rxlink.transport._streamed import StreamedLists

__all__ = ["IncrementalExecution", "UndividedExecution", "relay"]

_graphql: Any = graphql
MOST_KEPT = 1000
"""How many coroutines are kept to be closed, before those are forgotten that have ended."""


class UndividedExecution(Execution):
    """One that overlooks ``@defer`` and ``@stream``."""

    __slots__ = ()

    def _call(self, *request: Any) -> Any:
        return _graphql.experimental_execute_incrementally(
            *request, is_awaitable=self._is_awaitable, executor_class=_graphql.Executor
        )


class IncrementalExecution(DeclaredExecution):
    """One whose result may come in pieces; what its resolvers have opened is closed with it.

    Attributes:
        has_next: Whether another piece is to come.
    """

    __slots__ = ("_later", "_lists", "_merging", "_most_kept", "_streamed", "has_next")

    def __init__(self) -> None:
        super().__init__()
        self._merging = DetectingHandler().start_request()
        self._later: AsyncGenerator[Any] | None = None
        self._streamed = StreamedLists()
        self._lists: list[list[Any]] = []
        self._most_kept = MOST_KEPT
        self.has_next = True

    async def next(self) -> FetchResult:
        """Return the result so far, after another piece; or the whole one, if it comes as such.

        Raises:
            Exception: graphql-core has failed.
        """
        if self._later is None:
            return await self._first()
        piece = await anext(self._later)
        if not piece.has_next:
            await anext(self._later, None)  # it ends, with all that it has begun
            self.has_next = False
        return self._merging.handle(piece.formatted)

    async def _first(self) -> FetchResult:
        outcome = self._outcome
        if not isinstance(outcome, _graphql.ExperimentalIncrementalExecutionResults):
            outcome = await outcome
        if isinstance(outcome, ExecutionResult):
            self.has_next = False
            return response_of(outcome)
        self._later = outcome.subsequent_results
        return self._merging.handle(outcome.initial_result.formatted)

    def close(self) -> None:
        """Close what can be closed at once."""
        self._streamed.stop()
        super().close()
        close_unstarted(self._lists)

    async def aclose(self, work: asyncio.Task[Any]) -> None:
        """Cancel what still works on it, and close all that is open, however often this is cancelled meanwhile."""
        if self.has_next:
            self._streamed.stop()
            self._keep_lists()
            closing = asyncio.ensure_future(self._close_all(work))
            while not closing.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait((closing,))
        self.close()

    async def _close_all(self, work: asyncio.Task[Any]) -> None:
        work.cancel()
        await asyncio.wait((work,))
        if self._later is not None:
            await self._later.aclose()
        await self._streamed.aclose()

    def _keep_lists(self) -> None:
        """Keep the lists that graphql-core is making: it drops them as they are where it is cancelled."""
        for coroutine in self._coroutines:
            frame: Any = coroutine.cr_frame
            if frame is not None and frame.f_globals["__name__"].startswith("graphql."):
                self._lists += [value for value in frame.f_locals.values() if isinstance(value, list)]

    def _call(self, *request: Any) -> Any:
        return _graphql.experimental_execute_incrementally(
            *request, is_awaitable=self._is_awaitable, middleware=(self._streamed,)
        )

    def _is_awaitable(self, value: Any) -> bool:
        is_one = super()._is_awaitable(value)
        if len(self._coroutines) > self._most_kept:  # a stream may have no end
            self._coroutines = [kept for kept in self._coroutines if getcoroutinestate(kept) != CORO_CLOSED]
            self._most_kept = MOST_KEPT + 2 * len(self._coroutines)
        return is_one


async def relay(observer: ResultObserver, execution: IncrementalExecution, root: Subscription) -> None:
    """Tell an observer each result of an execution, and then the end; what it raises ends the execution."""
    # A task of its own: whoever cancels this one does not cancel graphql-core before all is found that it has opened.
    telling = asyncio.create_task(_tell_pieces(observer, execution, root))
    try:
        await asyncio.wait((telling,))
    except asyncio.CancelledError:
        await execution.aclose(telling)
        if not telling.cancelled() and (error := telling.exception()):
            report_callback_error(error)  # of a callback that has left, too
        raise
    await execution.aclose(telling)
    last = telling.result()
    try:
        if last is not None and not root.is_stopped:
            root.release()
            _tell_last(observer, last)
    finally:
        del last  # an error's traceback holds this frame: no cycles


async def _tell_pieces(
    observer: ResultObserver, execution: IncrementalExecution, root: Subscription
) -> FetchResult | Exception | None:
    """Tell each result but the last; return that, or the error in its place; None if the subscriber has left."""
    while not root.is_stopped:
        try:
            result = await execution.next()
        except Exception as error:  # noqa: BLE001 - graphql-core has failed
            return error
        if not execution.has_next:
            return result
        if not root.is_stopped:  # a resolver may have gone on in spite of its cancellation
            observer.on_next(result)
    return None


def _tell_last(observer: ResultObserver, last: FetchResult | Exception) -> None:
    if isinstance(last, Exception):
        observer.on_error(last)
        return
    try:
        observer.on_next(last)
    finally:
        observer.on_completed()
