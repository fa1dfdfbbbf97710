"""Each link that ends a chain, over connections inside the process, where nothing goes wrong.

Counted is what rxlink's own code does: aiohttp's calls and graphql-core's are their own business.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import aiohttp
import graphql
from reactivex.abc import DisposableBase

from benchmarks._allowances import Bounds
from benchmarks._counting import OPERATIONS, Counted, Held, garbage_of, own_calls_of, own_held
from benchmarks._http_ways import NOWHERE
from benchmarks._in_process_socket import InProcessSocketConnector
from benchmarks.canned_server import response_of
from benchmarks.four_links import ANSWER, QUERY, REQUEST, four_links, nothing
from benchmarks.in_process import InProcessConnector
from rxlink.core.chain import execute
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest, Operation
from rxlink.transport.batch_http import BatchHttpLink
from rxlink.transport.http import HttpLink
from rxlink.transport.schema import SchemaLink
from rxlink.transport.sse import SseLink
from rxlink.transport.websocket import GraphQLWsLink

__all__ = ["STREAMS", "TRANSPORTS", "TransportCase", "count_stream", "count_transport"]

BATCH = 10
WAITING = 200
TURNS = 30
"""Of the loop, until what was begun waits for its answer."""
FEW, MANY = 100, 1_100
"""Results of a stream: what one more costs is a thousandth of the difference."""

SUBSCRIPTION = GraphQLRequest(QUERY.replace("query", "subscription"), {"id": "1"})
SCHEMA = graphql.build_schema("type Query { viewer(id: ID!): Viewer } type Viewer { id: ID!, name: String! }")

Results: TypeAlias = int | None
"""How many results an answer has; None for a server that never answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportCase:
    """How one link is counted.

    Attributes:
        link: Makes the link.
        connector: Makes its connections.
        request: What is asked.
        together: How many operations it sends at once.
        inside: What it does with somebody else's code that leaves garbage itself, which is not rxlink's.
    """

    link: Callable[[aiohttp.ClientSession, Results], ApolloLink]
    connector: Callable[[Results], aiohttp.BaseConnector]
    request: GraphQLRequest = REQUEST
    together: int = 1
    inside: Callable[[], Awaitable[object]] | None = None


def _whole(results: Results) -> aiohttp.BaseConnector:
    return _answering(results, "application/json", json.dumps(ANSWER).encode())


def _list(results: Results) -> aiohttp.BaseConnector:
    return _answering(results, "application/json", json.dumps([ANSWER] * BATCH).encode())


def _events(results: Results) -> aiohttp.BaseConnector:
    event = f"event: next\ndata: {json.dumps(ANSWER)}\n\n"
    return _answering(results, "text/event-stream", (event * (results or 0) + "event: complete\ndata:\n\n").encode())


def _parts(results: Results) -> aiohttp.BaseConnector:
    part = f"\r\ncontent-type: application/json\r\n\r\n{json.dumps({'payload': ANSWER})}\r\n--graphql"
    body = "\r\n--graphql" + part * (results or 0) + "--\r\n"
    return _answering(results, "multipart/mixed;boundary=graphql;subscriptionSpec=1.0", body.encode())


def _answering(results: Results, content_type: str, body: bytes) -> aiohttp.BaseConnector:
    return InProcessConnector(response=None if results is None else response_of(body, content_type))


async def _never(*_: object, **__: object) -> object:
    return await asyncio.get_running_loop().create_future()


def _viewer(*_: object, **__: object) -> object:
    return ANSWER["data"]["viewer"]


def _schema_link(session: aiohttp.ClientSession, results: Results) -> ApolloLink:
    return SchemaLink(SCHEMA, root_value={"viewer": _never if results is None else _viewer})


async def _graphql_alone() -> None:
    operation = Operation(REQUEST)
    graphql.execute(SCHEMA, operation.query, {"viewer": _viewer}, variable_values=operation.variables)


def _http_link(session: aiohttp.ClientSession, results: Results) -> ApolloLink:
    return HttpLink(NOWHERE, session=session)


def _batch_http_link(session: aiohttp.ClientSession, results: Results) -> ApolloLink:
    return BatchHttpLink(NOWHERE, session=session, batch_max=BATCH)


def _sse_link(session: aiohttp.ClientSession, results: Results) -> ApolloLink:
    return SseLink(NOWHERE, session=session)


def _socket_link(session: aiohttp.ClientSession, results: Results) -> ApolloLink:
    return GraphQLWsLink(NOWHERE.replace("http", "ws", 1), session=session, lazy=False)


def _four_links(session: aiohttp.ClientSession, results: Results) -> ApolloLink:
    return four_links(_http_link(session, results))


TRANSPORTS: Mapping[str, TransportCase] = {
    "four links over HttpLink": TransportCase(link=_four_links, connector=_whole),
    "HttpLink": TransportCase(link=_http_link, connector=_whole),
    f"BatchHttpLink, {BATCH} together": TransportCase(link=_batch_http_link, connector=_list, together=BATCH),
    "SseLink": TransportCase(link=_sse_link, connector=_events),
    "GraphQLWsLink": TransportCase(link=_socket_link, connector=InProcessSocketConnector),
    "SchemaLink": TransportCase(link=_schema_link, connector=_whole, inside=_graphql_alone),
}

STREAMS: Mapping[str, TransportCase] = {
    "HttpLink, multipart": TransportCase(link=_http_link, connector=_parts, request=SUBSCRIPTION),
    "SseLink": TransportCase(link=_sse_link, connector=_events, request=SUBSCRIPTION),
    "GraphQLWsLink": TransportCase(link=_socket_link, connector=InProcessSocketConnector, request=SUBSCRIPTION),
}


async def count_transport(case: TransportCase) -> Counted:
    """Count an operation that is answered, one that is not answered, and what very many leave."""
    async with _call(case, 1) as call:
        calls = await own_calls_of(call)
        garbage = await garbage_of(call, times=OPERATIONS // case.together)
    if case.inside is not None:
        garbage -= await garbage_of(case.inside)
    return Counted(Bounds(round(calls / case.together), *await _held_by(case)), garbage)


async def count_stream(case: TransportCase) -> tuple[int, int]:
    """Count the calls that one more result of a stream makes, and the objects that very many leave."""
    counts: list[int] = []
    for results in (FEW, MANY):
        async with _call(case, results) as call:
            counts.append(await own_calls_of(call))
    async with _call(case, FEW) as call:
        garbage = await garbage_of(call, times=OPERATIONS // FEW)
    return round((counts[1] - counts[0]) / (MANY - FEW)), garbage


@contextlib.asynccontextmanager
async def _link(case: TransportCase, results: Results) -> AsyncGenerator[ApolloLink]:
    async with (
        aiohttp.ClientSession(connector=case.connector(results)) as session,
        case.link(session, results) as link,
    ):
        yield link


@contextlib.asynccontextmanager
async def _call(case: TransportCase, results: int) -> AsyncGenerator[Callable[[], Awaitable[Any]]]:
    """Give what sends as many operations as go together, and waits for their ends."""
    async with _link(case, results) as link:

        async def call() -> Any:
            if case.together == 1:
                return await execute(link, case.request)
            return (await asyncio.gather(*(execute(link, case.request) for _ in range(case.together))))[-1]

        assert await call() == ANSWER
        yield call


async def _held_by(case: TransportCase) -> Held:
    async with _link(case, None) as link:

        async def start() -> list[DisposableBase]:
            waiting = [execute(link, case.request).subscribe(nothing, nothing, nothing) for _ in range(WAITING)]
            for _ in range(TURNS):
                await asyncio.sleep(0)
            return waiting

        for each in await start():  # whatever is done once is done
            each.dispose()
        held, waiting = await own_held(start)
        for each in waiting:
            each.dispose()
        await asyncio.sleep(0)
    return held
