"""Queries, mutations and subscriptions as calls that wait, for plain threads.

Ports: nothing of Apollo Client, which has no threads; the calls are those of :class:`~rxlink.client.client.Client`.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar, Unpack, overload
from weakref import finalize

from rxlink.client.client import Client
from rxlink.client.observable import ClientObservable
from rxlink.client.options import CallOptions, DefaultOptions, StrictCallOptions, TolerantCallOptions, Variables
from rxlink.client.portal import Portal
from rxlink.client.result import OperationResult, check_result_type
from rxlink.client.result_iterator import ResultIterator
from rxlink.client.schema import Schema
from rxlink.core.async_iteration import MAX_BUFFER, Overflow, to_async_iterator
from rxlink.core.documents import DocumentNode
from rxlink.core.link import ApolloLink
from rxlink.core.operation import Context

__all__ = ["SyncClient"]

Data = TypeVar("Data")
Query: TypeAlias = str | DocumentNode
Result: TypeAlias = OperationResult[Data]


class SyncClient:
    """Run operations on a chain of links from plain threads, any number of them at once.

    Operations run on an event loop of the client's own, in one background thread, which starts with ``with`` or the
    first call. Its chain belongs to it alone; an AuthSession may be shared with clients on other loops. Links see the
    ``contextvars`` of the calling thread.

    Close it with :meth:`close` or ``with``; the interpreter's exit closes it too. Ctrl-C in a waiting thread cancels
    the operation.

    Attributes:
        link: The chain.

    Example:
        >>> from rxlink.testing import MockedResponse, MockLink
        >>> with SyncClient(MockLink([MockedResponse(result={"data": {"answer": 42}})])) as client:
        ...     client.query("{ answer }").data["answer"]
        42
    """

    def __init__(
        self,
        link: ApolloLink,
        *,
        default_options: DefaultOptions | None = None,
        default_context: Context | None = None,
        schema: Schema | None = None,
    ) -> None:
        """Make the client; no thread is started yet.

        Args:
            link: As for :class:`~rxlink.client.client.Client`.
            default_options: The same.
            default_context: The same.
            schema: The same.

        Raises:
            InvariantError: As :class:`~rxlink.client.client.Client`.
            InvariantTypeError: As :class:`~rxlink.client.client.Client`.
        """
        self.link = link
        self._client = Client(link, default_options=default_options, default_context=default_context, schema=schema)
        self._portal = Portal(self._client.aclose)
        # For who forgets it. The exit is the portal's own affair: it waits there.
        finalize(self, self._portal.ask_to_close).atexit = False

    @overload
    def query(
        self,
        document: Query,
        variables: Variables = None,
        *,
        result_type: type[Data],
        **options: Unpack[StrictCallOptions],
    ) -> Result[Data]: ...

    @overload
    def query(
        self,
        document: Query,
        variables: Variables = None,
        *,
        result_type: type[Data],
        **options: Unpack[TolerantCallOptions],
    ) -> Result[Data | None]: ...

    @overload
    def query(self, document: Query, variables: Variables = None, **options: Unpack[CallOptions]) -> Result[Any]: ...

    def query(
        self,
        document: Query,
        variables: Variables = None,
        *,
        result_type: type[Any] | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[Any]:
        """Run a query and wait for its result, of a deferred one the last.

        Args:
            document: As for :meth:`Client.query <rxlink.client.client.Client.query>`.
            variables: By name.
            result_type: A ``TypedDict`` that says to a type checker what is in ``data``.
            options: See :class:`~rxlink.client.options.CallOptions`.

        Raises:
            ClientClosed: The client was closed, before or meanwhile.
            OperationCancelled: A link has raised a ``CancelledError``.
            InvariantError: As :meth:`Client.query <rxlink.client.client.Client.query>`; or an event loop runs in this
                thread.
            InvariantTypeError: As :meth:`Client.query <rxlink.client.client.Client.query>`.
            Exception: What :class:`~rxlink.client.client.Client` sends through the stream, as the error policy says.
        """
        check_result_type(result_type)
        return self._portal.run(_last, self._client.query(document, variables, **options))

    @overload
    def mutate(
        self,
        document: Query,
        variables: Variables = None,
        *,
        result_type: type[Data],
        **options: Unpack[StrictCallOptions],
    ) -> Result[Data]: ...

    @overload
    def mutate(
        self,
        document: Query,
        variables: Variables = None,
        *,
        result_type: type[Data],
        **options: Unpack[TolerantCallOptions],
    ) -> Result[Data | None]: ...

    @overload
    def mutate(self, document: Query, variables: Variables = None, **options: Unpack[CallOptions]) -> Result[Any]: ...

    def mutate(
        self,
        document: Query,
        variables: Variables = None,
        *,
        result_type: type[Any] | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[Any]:
        """Run a mutation and wait for its result.

        Args:
            document: As for :meth:`query`.
            variables: By name.
            result_type: As for :meth:`query`.
            options: See :class:`~rxlink.client.options.CallOptions`.

        Raises:
            ClientClosed: As :meth:`query`.
            OperationCancelled: As :meth:`query`.
            InvariantError: As :meth:`query`.
            InvariantTypeError: As :meth:`query`.
            Exception: As :meth:`query`.
        """
        check_result_type(result_type)
        return self._portal.run(_last, self._client.mutate(document, variables, **options))

    @overload
    def subscribe(
        self,
        document: Query,
        variables: Variables = None,
        *,
        result_type: type[Data],
        max_buffer: int = MAX_BUFFER,
        overflow: Overflow = "error",
        **options: Unpack[CallOptions],
    ) -> ResultIterator[Result[Data | None]]: ...

    @overload
    def subscribe(
        self,
        document: Query,
        variables: Variables = None,
        *,
        max_buffer: int = MAX_BUFFER,
        overflow: Overflow = "error",
        **options: Unpack[CallOptions],
    ) -> ResultIterator[Result[Any]]: ...

    def subscribe(
        self,
        document: Query,
        variables: Variables = None,
        *,
        result_type: type[Any] | None = None,
        max_buffer: int = MAX_BUFFER,
        overflow: Overflow = "error",
        **options: Unpack[CallOptions],
    ) -> ResultIterator[Result[Any]]:
        """Run a subscription; take its results in a ``for`` loop.

        Args:
            document: As for :meth:`query`.
            variables: By name.
            result_type: As for :meth:`query`.
            max_buffer: How many results may wait while the loop is busy, 1 or more.
            overflow: What happens when one more comes: as for :func:`~rxlink.to_async_iterator`.
            options: See :class:`~rxlink.client.options.CallOptions`; errors are results, as with
                :meth:`Client.subscribe <rxlink.client.client.Client.subscribe>`.

        Raises:
            InvariantError: As :meth:`query`, or ``max_buffer`` or ``overflow`` makes no sense. A step of the loop
                raises it where an event loop runs.
            InvariantTypeError: As :meth:`query`.
        """
        check_result_type(result_type)
        call = self._client.subscribe(document, variables, **options)
        return ResultIterator(self, self._portal, to_async_iterator(call, max_buffer=max_buffer, overflow=overflow))

    def close(self) -> None:
        """Close the client, its chain and its thread; closing twice is fine.

        What still runs in other threads, and what is called afterwards, ends with :class:`~rxlink.errors.ClientClosed`.
        In a forked child nothing happens where the parent has used the client: it is the parent's.

        Raises:
            InvariantError: It is called by a link of its own chain, in the client's thread.
            Exception: Closing a link failed; the others were closed all the same. An ExceptionGroup for several.
        """
        self._portal.close()

    def __enter__(self) -> Self:
        """Start the client's thread, and enter the chain there: some links connect then; if one fails, all close."""
        self._portal.run(self._enter)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _enter(self) -> None:
        try:
            await self._client.__aenter__()
        except BaseException:
            self._portal.ask_to_close()
            raise

    def __repr__(self) -> str:
        return f"<SyncClient over {self.link!r}>"


async def _last(call: ClientObservable[Result[Any]]) -> Result[Any]:
    """Await what is no coroutine itself."""
    return await call
