"""Executing an operation on a schema with graphql-core, in its minor versions 3.2 and 3.3 alike."""

from __future__ import annotations

from collections.abc import AsyncIterable, Coroutine, Generator
from inspect import CORO_CREATED, getcoroutinelocals, getcoroutinestate, isawaitable
from types import CoroutineType
from typing import Any, cast

import graphql
from graphql import ExecutionResult, GraphQLSchema

from rxlink.core.documents import INCREMENTAL_DIRECTIVES
from rxlink.core.operation import Operation
from rxlink.core.result import FetchResult

__all__ = [
    "HAS_PIECES",
    "DeclaredExecution",
    "Execution",
    "close_unstarted",
    "execution_type",
    "response_of",
    "source_of_events",
]

_graphql: Any = graphql
"""Untyped: its own types are partial, and what makes a subscription's source differs between the two versions."""
HAS_PIECES = hasattr(graphql, "Executor")
"""Whether graphql-core can give results in pieces: version 3.3 can, and 3.2 overlooks ``@defer`` and ``@stream``."""


class Execution(Coroutine[Any, Any, ExecutionResult]):
    """One execution, and the coroutines that its resolvers returned.

    Where an execution is cancelled or ends early, graphql-core leaves behind those that it has not started, and Python
    warns of each. Closing this closes them, and so does the end of awaiting it; it is a coroutine itself, so that
    whoever would await it can close it.
    """

    __slots__ = ("_coroutines", "_outcome")

    def __init__(self) -> None:
        self._coroutines: list[CoroutineType[Any, Any, Any]] = []
        self._outcome: Any = None

    def begin(
        self, schema: GraphQLSchema, operation: Operation, root_value: Any, context: Any
    ) -> ExecutionResult | None:
        """Execute as far as nothing waits; return what came out, or None where that has to be awaited.

        Raises:
            Exception: graphql-core refuses to execute this at all.
        """
        try:
            outcome = self._call(
                *(schema, operation.query, root_value, context, operation.variables, operation.operation_name)
            )
        except BaseException:
            self.close()
            raise
        if isinstance(outcome, ExecutionResult):
            self.close()
            return outcome
        self._outcome = outcome
        if isinstance(outcome, CoroutineType):
            # It may be wrapped once more, around a coroutine that was not looked at.
            wrapped: list[Any] = [outcome, *getcoroutinelocals(cast("Any", outcome)).values()]
            self._coroutines += [value for value in wrapped if isinstance(value, CoroutineType)]
        return None

    def close(self) -> None:
        """Close the coroutines that have not been started, with those that they would have awaited."""
        close_unstarted(self._coroutines)

    def send(self, value: Any) -> Any:
        """Go on, as a coroutine does."""
        return self._outcome.send(value)

    def throw(self, *error: Any) -> Any:
        """Go on with an exception, as a coroutine does."""
        return self._outcome.throw(*error)

    def __await__(self) -> Generator[Any, Any, ExecutionResult]:
        return self._finish().__await__()

    async def _finish(self) -> ExecutionResult:
        try:
            return await self._outcome
        finally:
            self.close()

    def _call(self, *request: Any) -> Any:
        return _graphql.execute(*request, is_awaitable=self._is_awaitable)

    def _is_awaitable(self, value: Any) -> bool:
        is_one: bool = _graphql.pyutils.is_awaitable(value)
        if is_one and isinstance(value, CoroutineType):
            self._coroutines.append(cast("CoroutineType[Any, Any, Any]", value))
        return is_one


class DeclaredExecution(Execution):
    """One on a schema that declares ``@defer`` or ``@stream``, where graphql-core 3.3 has another function for it."""

    __slots__ = ()

    def _call(self, *request: Any) -> Any:
        return _graphql.experimental_execute_incrementally(*request, is_awaitable=self._is_awaitable)


def execution_type(schema: GraphQLSchema) -> type[Execution]:
    """Return what executes on a schema the operations that defer and stream nothing."""
    is_declared = any(schema.get_directive(name) for name in INCREMENTAL_DIRECTIVES)
    return DeclaredExecution if HAS_PIECES and is_declared else Execution


def close_unstarted(value: Any) -> None:
    """Close a coroutine that was not started, and what it would have awaited: alone, or as the items of a list."""
    if isinstance(value, list):
        for item in cast("list[Any]", value):
            close_unstarted(item)
    elif isinstance(value, CoroutineType) and getcoroutinestate(cast("Any", value)) == CORO_CREATED:
        inner = [*getcoroutinelocals(cast("Any", value)).values()]
        cast("Any", value).close()
        close_unstarted(inner)


async def source_of_events(
    schema: GraphQLSchema, operation: Operation, root_value: Any, context: Any
) -> AsyncIterable[Any] | ExecutionResult:
    """Call the resolver of a subscription; what is wrong with it or with the operation is an ``ExecutionResult``."""
    request: tuple[Any, ...]
    request = (schema, operation.query, root_value, context, operation.variables, operation.operation_name)
    if HAS_PIECES:
        executor = _graphql.Executor.build(*request)
        if isinstance(executor, list):
            return ExecutionResult(None, cast("list[graphql.GraphQLError]", executor))
        request = (executor,)
    try:
        source: Any = _graphql.create_source_event_stream(*request)
        return await source if isawaitable(source) else source
    except TypeError as error:  # graphql-core 3.2, where the resolver returned no iterator; 3.3 makes a result of it
        return ExecutionResult(None, [graphql.GraphQLError(str(error), original_error=error)])


def response_of(outcome: ExecutionResult) -> FetchResult:
    """Return what a server would send: after a request error there is no ``data`` (GraphQL specification, 7.1)."""
    response = cast("FetchResult", outcome.formatted)
    if outcome.data is None and outcome.errors and all(error.path is None for error in outcome.errors):
        del response["data"]
    return response
