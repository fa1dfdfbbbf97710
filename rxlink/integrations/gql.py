"""Let gql send its operations through a chain: gql's ``Client`` stays, its transport is a chain of links.

Implements: ``AsyncTransport`` of gql 4.4 (``gql/transport/async_transport.py``), with the arguments for a single call
that gql's own ``AIOHTTPTransport`` takes.
Differs: a chain connects when its first operation needs it, so that ``connect`` waits for a server only where entering
a chain of its own does. A batch is one request where the chain ends with a ``BatchHttpLink``; else its operations are
sent side by side. Of ``extra_args`` headers and ``allow_redirects`` are taken; what else of an operation can be said
stands in its ``context``. An operation without a name takes the one that is given with it, which gql sends beside it,
where servers refuse it. Messages quote no answer unless they are asked to.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias, cast

from graphql import ExecutionResult
from reactivex import operators as ops

from rxlink.client.options import check_mapping
from rxlink.core.async_iteration import to_async_iterator
from rxlink.core.chain import execute, from_
from rxlink.core.chain_observable import ChainObservable, subscribe_foreign
from rxlink.core.closing import enter_or_close
from rxlink.core.link import ApolloLink
from rxlink.core.options import checked_flag, checked_function, kind_of, name_of
from rxlink.core.result import FetchResult
from rxlink.errors import InvariantTypeError, ServerError
from rxlink.integrations._gql_connection import Connection, HeaderNote

try:
    from gql import GraphQLRequest
    from gql.transport.async_transport import AsyncTransport
    from gql.transport.exceptions import TransportAlreadyConnected, TransportClosed, TransportProtocolError

    from rxlink.integrations._gql_errors import TransportTimeout, as_gql_errors
    from rxlink.integrations._gql_requests import is_subscription, request_of
except ImportError as error:
    raise ImportError(
        "rxlink.integrations.gql needs gql 4.4 or a later 4.x: pip install 'rxlink[gql]'", name=error.name
    ) from error

__all__ = ["BATCH", "LinkFactory", "LinkTransport", "TransportTimeout"]

LinkFactory: TypeAlias = Callable[[], ApolloLink]

BATCH: Final = "gql_batch"
"""In the context of each operation of an ``execute_batch``: how many they are. It makes a test for ``split``."""

WHERE: Final = "`link` of LinkTransport"


class LinkTransport(AsyncTransport):
    """A transport of gql over a chain of links.

    Give it to ``gql.Client``, with ``async with`` or without, and also for calls without asyncio: gql then connects and
    closes at each call, so that a function that makes the chain is right there.

    Errors:
        gql's exceptions, each with rxlink's as its ``__cause__``; ``docs/coming-from-gql.md`` has the table. Misuse is
        an :class:`~rxlink.errors.InvariantError` as everywhere.

    Attributes:
        response_headers: The headers of the answer that came last, of whichever operation; None before the first, and
            where a transport has none, such as a WebSocket.

    Example:
        >>> import asyncio
        >>> from gql import Client, gql
        >>> from rxlink import HttpLink
        >>> from rxlink.testing import AuthServer
        >>> async def main():
        ...     async with AuthServer() as server:
        ...         transport = LinkTransport(lambda: HttpLink(server.url))
        ...         async with Client(transport=transport) as session:
        ...             return await session.execute(gql("{ public }"))
        >>> "public" in asyncio.run(main())
        True
    """

    def __init__(
        self, link: ApolloLink | LinkFactory, *, owns_link: bool = False, quotes_answers: bool = False
    ) -> None:
        """Make the transport; it connects to nothing yet.

        Args:
            link: A chain; or a function that makes one, which is asked at each ``connect`` and whose chain ``close``
                closes.
            owns_link: Whether ``close`` closes a given chain too, after which the transport cannot be connected again.
                False leaves it to whoever made it: one chain may then serve several transports, and other code.
            quotes_answers: Whether the message of a ``TransportProtocolError`` quotes the whole answer that is no
                GraphQL response, as with gql's own transports. It may hold anything, also what no log should show:
                False leaves it to ``error.__cause__.body_text``.

        Raises:
            InvariantTypeError: The link is neither, or the function takes arguments or is a coroutine function; a
                switch is neither True nor False.
        """
        self.response_headers: Mapping[str, str] | None = None
        self._is_made_here = not isinstance(link, ApolloLink)
        if self._is_made_here:
            checked_function(WHERE, link, instead="give a plain function", or_else=", or a chain")
        self._given = link
        self._owns_link = checked_flag("owns_link", owns_link) or self._is_made_here
        self._gql_errors = partial(as_gql_errors, quotes_answers=checked_flag("quotes_answers", quotes_answers))
        self._connection: Connection | None = None
        self._is_over = False

    async def connect(self) -> None:
        """Begin; nothing is sent yet, and no server has to be there.

        Raises:
            TransportAlreadyConnected: It has begun already.
            TransportClosed: It was closed, and with it a chain that it owned.
            TransportError: A chain of its own could not be entered with ``async with``, as some links connect there.
            InvariantTypeError: What the function for the chain returned is none.
        """
        if self._connection is not None:
            raise TransportAlreadyConnected(f"{self!r} is connected already")
        if self._is_over:
            raise TransportClosed(
                f"{self!r} was closed together with its chain; give it a function that makes a chain at each connect, "
                "or leave `owns_link` False"
            )
        link = self._new_link()
        connection = self._connection = Connection(
            from_([HeaderNote(self._note_headers), link]), owned=link if self._owns_link else None
        )
        with self._gql_errors():
            await enter_or_close(connection.enter, self.close)

    async def close(self) -> None:
        """End: loops over subscriptions end, and a chain that the transport owns is closed.

        Operations that wait for an answer then get ``TransportClosed``; those of a chain that somebody else owns go on.
        Closing twice is fine.
        """
        connection, self._connection = self._connection, None
        if connection is None:
            return
        self._is_over = self._owns_link and not self._is_made_here
        await connection.aclose()

    async def execute(
        self,
        request: GraphQLRequest,
        *,
        extra_args: Mapping[str, Any] | None = None,
        upload_files: bool = False,
        context: Mapping[str, Any] | None = None,
    ) -> ExecutionResult:
        """Send an operation, and wait for its result; gql's ``session.execute`` passes on these arguments.

        Of a result that comes in pieces it is the whole; of a subscription it is the first, and the subscription is
        left.

        Args:
            request: The operation.
            extra_args: ``headers`` for this operation alone, and ``allow_redirects``. gql's own transport hands
                all others to aiohttp.
            upload_files: Whether the variables hold files: ``FileVar``, open files or asynchronous streams.
            context: The first context of the operation, for the links of the chain.

        Raises:
            TransportError: See the class; ``TransportClosed`` where it is not connected.
            InvariantError: The arguments cannot be used.
        """
        chain = self._running().chain
        operation = request_of(request, extra_args, context, has_files=upload_files)
        observable = execute(chain, operation)
        with self._gql_errors():
            wanted = _first_of(observable) if is_subscription(operation) else observable
            return _execution_result(await _answer_to(wanted))

    async def execute_batch(  # pyright: ignore[reportIncompatibleMethodOverride] - takes no others, as gql's own
        self,
        reqs: Sequence[GraphQLRequest],
        *,
        extra_args: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> list[ExecutionResult]:
        """Send several operations at once, and wait for all results.

        They share a request where the chain ends with a :class:`~rxlink.BatchHttpLink`, as many as its ``batch_max``
        allows. The first that fails ends the others.

        Args:
            reqs: The operations.
            extra_args: As of ``execute``, for each of them.
            context: As of ``execute``, for each of them.

        Raises:
            TransportError: As of ``execute``.
            InvariantError: As of ``execute``.
        """
        self._running()  # also for none at all
        check_mapping("context", context)
        marked = {**(context or {}), BATCH: len(reqs)}
        observables = [self._observable(request, extra_args, marked) for request in reqs]
        with self._gql_errors():
            return [_execution_result(result) for result in await _all_of(observables)]

    async def subscribe(
        self,
        request: GraphQLRequest,
        *,
        extra_args: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> AsyncGenerator[ExecutionResult, None]:
        """Send an operation, and give each of its results; leaving the loop leaves the operation.

        Args:
            request: The operation: a subscription mostly, and any other too.
            extra_args: As of ``execute``.
            context: As of ``execute``.

        Raises:
            TransportError: As of ``execute``; what came before is given first.
            InvariantError: As of ``execute``.
        """
        observable = self._observable(request, extra_args, context)
        connection = self._running()
        with self._gql_errors():
            async with to_async_iterator(observable) as results:
                with connection.holding(results):
                    async for result in results:
                        yield _execution_result(result)

    def __repr__(self) -> str:
        given = self._given
        return f"<LinkTransport {repr(given) if isinstance(given, ApolloLink) else name_of(given)}>"

    def _new_link(self) -> ApolloLink:
        if isinstance(self._given, ApolloLink):
            return self._given
        link = cast("object", self._given())
        if not isinstance(link, ApolloLink):
            raise InvariantTypeError(f"{WHERE}, {name_of(self._given)}, returned {kind_of(link)}; return a chain")
        return link

    def _note_headers(self, headers: Mapping[str, str]) -> None:
        self.response_headers = headers

    def _running(self) -> Connection:
        if self._connection is None or not self._connection.is_open:
            raise TransportClosed(f"{self!r} is not connected; use `async with Client(transport=...) as session`")
        return self._connection

    def _observable(
        self,
        request: GraphQLRequest,
        extra_args: Mapping[str, Any] | None,
        context: Mapping[str, Any] | None,
    ) -> ChainObservable[FetchResult]:
        chain = self._running().chain
        return execute(chain, request_of(request, extra_args, context, has_files=False))


async def _all_of(observables: Sequence[ChainObservable[FetchResult]]) -> list[FetchResult]:
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_answer_to(observable)) for observable in observables]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


def _first_of(observable: ChainObservable[FetchResult]) -> ChainObservable[FetchResult]:
    return ChainObservable(subscribe_foreign, observable.pipe(ops.take(1)))


async def _answer_to(observable: ChainObservable[FetchResult]) -> FetchResult:
    try:
        return await observable
    except ServerError as error:
        # gql reads a GraphQL response whatever its status and its media type.
        if error.result is not None and _is_result(error.result):
            return error.result
        raise


def _is_result(value: Any) -> bool:
    return isinstance(value, Mapping) and ("data" in value or "errors" in value)


def _execution_result(result: FetchResult) -> ExecutionResult:
    if not _is_result(result):  # which gql takes for a mistake of the transport
        raise TransportProtocolError("Server did not return a valid GraphQL result: neither data nor errors are in it")
    return ExecutionResult(data=result.get("data"), errors=result.get("errors"), extensions=result.get("extensions"))
