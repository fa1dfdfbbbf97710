"""Queries, mutations and subscriptions as calls, over any chain of links.

Ports: ``@apollo/client`` 4.3.8 ``src/core/ApolloClient.ts``: ``query``, ``mutate``, ``subscribe`` with their options,
without what needs the cache (``watchQuery``, refetching, optimistic results) and what needs a user interface.
Differs: each call returns an Observable (a Promise there, but for subscriptions), so nothing is sent before somebody
wants it, and leaving aborts. Default variables that a document declares are left to the server. A document may be text,
and may have several operations. Equal queries at the same time are shared by a DedupLink in the chain, where one is
wanted. :mod:`rxlink.client.options` and :mod:`rxlink.client.policies` have the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar, Unpack, cast, overload

from rxlink.client.kinds import check_kind
from rxlink.client.observable import ClientObservable
from rxlink.client.options import (
    CallOptions,
    DefaultOptions,
    Settings,
    StrictCallOptions,
    TolerantCallOptions,
    Variables,
    settings_of,
)
from rxlink.client.policies import PolicyWorker
from rxlink.client.result import OperationResult, check_result_type
from rxlink.client.running import RunningOperations
from rxlink.client.schema import INTROSPECT, IntrospectedSchema, KnownSchema, Schema, known_schema
from rxlink.core.chain import entry_of, from_
from rxlink.core.documents import DocumentNode, parse_with_places
from rxlink.core.link import ApolloLink
from rxlink.core.observer import Observer
from rxlink.core.operation import Context, Operation
from rxlink.core.subscription import Subscription
from rxlink.links.dedup import DedupLink

__all__ = ["Client"]

Data = TypeVar("Data")
Query: TypeAlias = str | DocumentNode
Results: TypeAlias = ClientObservable[OperationResult[Data]]


class Client:
    """Run operations on a chain of links.

    A client belongs to an application, not to a call: make one, close it at the end. It may be made anywhere; its calls
    are subscribed or awaited where an event loop runs. From plain threads, use :class:`~rxlink.client.sync.SyncClient`.

    Attributes:
        link: The chain.

    Errors:
        Through each call, as its error policy says: what the chain ends with, and
        :class:`~rxlink.errors.CombinedGraphQLErrors` for ``errors`` of a result;
        :class:`~rxlink.errors.NetworkTimeout` when its ``timeout`` is over. Whatever the policy:
        :class:`~rxlink.errors.ClientClosed`, and :class:`~rxlink.errors.InvariantError` for a document that does not
        fit an introspected schema, or a chain that brings no result.

    Example:
        >>> import asyncio
        >>> from rxlink.testing import MockedResponse, MockLink
        >>> async def main():
        ...     async with Client(MockLink([MockedResponse(result={"data": {"answer": 42}})])) as client:
        ...         result = await client.query("{ answer }")
        ...         return result.data["answer"]
        >>> asyncio.run(main())
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
        """Make the client; nothing is sent or opened yet.

        Args:
            link: The chain, or a single link. Closing the client closes it.
            default_options: What calls of a kind give that do not give it themselves: a mapping from ``"query"``,
                ``"mutate"`` and ``"subscribe"`` to options. An option of the call takes the place of the default, and
                ``variables`` and ``headers`` are merged by name.
            default_context: What stands in the context of every operation; a call's own ``context`` goes over it, value
                by value.
            schema: Check documents against this before they are sent: a ``GraphQLSchema``, the path of a file with one
                (SDL, or the JSON of an introspection), or ``INTROSPECT`` to ask the server when the first operation
                runs; operations wait for that, and if it fails it is their error, and the next one asks again. None
                checks nothing.

        Raises:
            InvariantError: A default makes no sense or needs the cache, or the schema cannot be read.
            InvariantTypeError: Something is of a wrong type.
        """
        self.link = link
        self._connect = entry_of(link, "Client").connect
        self._settings = settings_of(default_options, default_context)
        self._operations = RunningOperations()
        self._known: KnownSchema | None = None
        self._introspected: IntrospectedSchema | None = None
        self._has_schema = schema is not None
        if schema == INTROSPECT:
            settings = replace(self._settings["query"], variables=None)
            asked = entry_of(from_([DedupLink(), link]), "Client").connect
            self._introspected = IntrospectedSchema(asked, lambda text: settings.request(text, None))
        elif schema is not None:
            self._known = known_schema(schema)

    @overload
    def query(
        self,
        document: Query,
        variables: Variables = None,
        *,
        result_type: type[Data],
        **options: Unpack[StrictCallOptions],
    ) -> Results[Data]: ...

    @overload
    def query(
        self,
        document: Query,
        variables: Variables = None,
        *,
        result_type: type[Data],
        **options: Unpack[TolerantCallOptions],
    ) -> Results[Data | None]: ...

    @overload
    def query(self, document: Query, variables: Variables = None, **options: Unpack[CallOptions]) -> Results[Any]: ...

    def query(
        self,
        document: Query,
        variables: Variables = None,
        *,
        result_type: type[Any] | None = None,
        **options: Unpack[CallOptions],
    ) -> Results[Any]:
        """Run a query.

        Args:
            document: GraphQL text, or a document such as :func:`~rxlink.gql` returns.
            variables: By name.
            result_type: A ``TypedDict`` that says to a type checker what is in ``data``; nothing is converted.
            options: See :class:`~rxlink.client.options.CallOptions`.

        Returns:
            An Observable of :class:`~rxlink.client.result.OperationResult`: one, or one for each piece of a deferred
            result. Awaiting it gives the last.

        Raises:
            InvariantError: The document is no GraphQL, its operation is none of this kind or cannot be chosen, it does
                not fit a given schema, or an option makes no sense or needs the cache.
            InvariantTypeError: Something is of a wrong type, or there is no option of that name.
        """
        check_result_type(result_type)
        return self._call("query", document, variables, options)

    @overload
    def mutate(
        self,
        document: Query,
        variables: Variables = None,
        *,
        result_type: type[Data],
        **options: Unpack[StrictCallOptions],
    ) -> Results[Data]: ...

    @overload
    def mutate(
        self,
        document: Query,
        variables: Variables = None,
        *,
        result_type: type[Data],
        **options: Unpack[TolerantCallOptions],
    ) -> Results[Data | None]: ...

    @overload
    def mutate(self, document: Query, variables: Variables = None, **options: Unpack[CallOptions]) -> Results[Any]: ...

    def mutate(
        self,
        document: Query,
        variables: Variables = None,
        *,
        result_type: type[Any] | None = None,
        **options: Unpack[CallOptions],
    ) -> Results[Any]:
        """Run a mutation: each time that what this returns is subscribed or awaited.

        Args:
            document: As for :meth:`query`, and so is all else.
            variables: By name.
            result_type: A ``TypedDict``.
            options: See :class:`~rxlink.client.options.CallOptions`.

        Raises:
            InvariantError: As :meth:`query`.
            InvariantTypeError: As :meth:`query`.
        """
        check_result_type(result_type)
        return self._call("mutate", document, variables, options)

    @overload
    def subscribe(
        self, document: Query, variables: Variables = None, *, result_type: type[Data], **options: Unpack[CallOptions]
    ) -> Results[Data | None]: ...

    @overload
    def subscribe(
        self, document: Query, variables: Variables = None, **options: Unpack[CallOptions]
    ) -> Results[Any]: ...

    def subscribe(
        self,
        document: Query,
        variables: Variables = None,
        *,
        result_type: type[Any] | None = None,
        **options: Unpack[CallOptions],
    ) -> Results[Any]:
        """Run a subscription; take its results with ``async for``, or subscribe what this returns.

        Errors are results, as in Apollo Client 4: the stream goes on after one with GraphQL errors, and ends after one
        that says with what the chain has ended.

        Args:
            document: As for :meth:`query`.
            variables: By name.
            result_type: As for :meth:`query`.
            options: See :class:`~rxlink.client.options.CallOptions`. ``timeout`` is until the first result. The
                ``error_policy`` ``"none"`` gives results with an ``error`` and without ``data``; ``"all"`` gives both;
                ``"ignore"`` gives the data alone, and nothing where there is none.

        Returns:
            An Observable of :class:`~rxlink.client.result.OperationResult`, until the server ends it.

        Raises:
            InvariantError: As :meth:`query`.
            InvariantTypeError: As :meth:`query`.
        """
        check_result_type(result_type)
        return self._call("subscribe", document, variables, options)

    async def aclose(self) -> None:
        """Close the client and its chain; closing twice is fine.

        What still runs, and what is subscribed afterwards, ends with :class:`~rxlink.errors.ClientClosed`. An
        AuthSession is closed by whoever has made it.

        Raises:
            Exception: Closing a link failed; the others were closed all the same. An ExceptionGroup for several.
        """
        self._operations.close()
        await self.link.aclose()

    async def __aenter__(self) -> Self:
        """Enter the chain: some links connect there."""
        await self.link.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<Client over {self.link!r}>"

    def _call(self, method: str, document: Query, variables: Variables, options: CallOptions) -> Results[Any]:
        settings = self._settings[method].with_options(cast("Mapping[str, Any]", options), f"`{method}`")
        if self._has_schema and isinstance(document, str):
            document = parse_with_places(document)  # what does not fit is told with its place
        operation = Operation(settings.request(document, variables))
        check_kind(method, operation)
        if self._known is not None:
            self._known.check(operation.query)
        return ClientObservable(partial(self._start, settings), operation)

    def _start(
        self, settings: Settings, operation: Operation, observer: Observer[OperationResult[Any]], root: Subscription
    ) -> None:
        run = self._operations.begin(observer, root)
        if run is None:
            return
        worker = PolicyWorker(settings.error_policy, operation, observer, run)
        if settings.timeout is not None and not run.limit(settings.timeout, operation, worker):
            return
        if self._introspected is None:
            self._connect(operation, worker, run)
        else:
            self._introspected.start(operation, worker, run, self._connect)
