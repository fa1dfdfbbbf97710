"""What does a chain cost over HTTP, against the bare aiohttp call?

Asked twice: of a server in a second process on loopback, and of connections that answer inside the
process, which leaves the client's own work alone and is the less noisy of the two.
"""

import contextlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import aiohttp
from yarl import URL

from benchmarks.canned_server import canned_server
from benchmarks.four_links import ANSWER, QUERY, four_links
from benchmarks.harness import (
    Clock,
    Effort,
    Row,
    Table,
    Variant,
    Verdict,
    cpu_clock,
    drive,
    ratio_of,
    ratio_rows,
    rounds_of,
    wall_clock,
)
from benchmarks.in_process import InProcessConnector
from rxlink.core.chain import execute
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest
from rxlink.transport.http import HttpLink

__all__ = ["four_links_in_process", "measure"]

BARE = "bare aiohttp"
FOUR = "four links over HttpLink"
BUDGET = 0.85  # of the speed of the bare call
JUDGED_PARALLEL = 64
MOST_REQUESTS = 2_000  # in one round
NOWHERE = "http://127.0.0.1:9/graphql"  # where the connections inside the process would lead

VARIABLES = {"id": "1"}
HEADERS = {
    "content-type": "application/json",
    "x-tenant": "blue",
    "authorization": "Bearer an-access-token",
}

Call: TypeAlias = Callable[[], Awaitable[Any]]
Connector: TypeAlias = Callable[[], aiohttp.BaseConnector]


async def measure(effort: Effort) -> list[Table]:
    """Compare the ways to send an operation, at several numbers at a time."""
    async with canned_server() as uri:
        loopback = Place("over loopback", uri, _sockets, wall_clock)
        tables = [await _compare(loopback, parallel, effort) for parallel in effort.parallel]
    in_process = Place("inside the process", NOWHERE, _no_sockets, cpu_clock)
    return tables + [await _compare(in_process, parallel, effort) for parallel in effort.parallel]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the requests go.

    Attributes:
        name: In words.
        uri: The address.
        connector: Makes connections that lead there.
        clock: What the work is measured with.
    """

    name: str
    uri: str
    connector: Connector
    clock: Clock


def _sockets() -> aiohttp.BaseConnector:
    return aiohttp.TCPConnector(limit=0)


def _no_sockets() -> aiohttp.BaseConnector:
    return InProcessConnector(limit=0)


@contextlib.asynccontextmanager
async def _bare(uri: str, connector: Connector) -> AsyncGenerator[Call]:
    """The call as a user writes it."""
    async with aiohttp.ClientSession(connector=connector()) as session:

        async def call() -> Any:
            payload = {"query": QUERY, "operationName": "Viewer", "variables": VARIABLES}
            data = json.dumps(payload).encode()
            async with session.post(uri, data=data, headers=HEADERS) as response:
                return json.loads(await response.read())

        yield call


@contextlib.asynccontextmanager
async def _tuned(uri: str, connector: Connector) -> AsyncGenerator[Call]:
    """The same with what aiohttp lets one avoid: see the session's options and the kept URL."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=30)
    url = URL(uri)
    async with aiohttp.ClientSession(connector=connector(), timeout=timeout, headers=HEADERS) as session:

        async def call() -> Any:
            payload = {"query": QUERY, "operationName": "Viewer", "variables": VARIABLES}
            response = await session.post(url, data=json.dumps(payload).encode())
            return json.loads(await response.read())

        yield call


@contextlib.asynccontextmanager
async def _http_link(uri: str, connector: Connector) -> AsyncGenerator[Call]:
    async with aiohttp.ClientSession(connector=connector()) as session:
        yield _through(HttpLink(uri, session=session))


@contextlib.asynccontextmanager
async def _four_links(uri: str, connector: Connector) -> AsyncGenerator[Call]:
    async with aiohttp.ClientSession(connector=connector()) as session:
        yield _through(four_links(HttpLink(uri, session=session)))


def four_links_in_process() -> contextlib.AbstractAsyncContextManager[Call]:
    """Give an operation through the four links, over connections inside the process."""
    return _four_links(NOWHERE, _no_sockets)


def _through(link: ApolloLink) -> Call:
    return lambda: execute(link, GraphQLRequest(QUERY, VARIABLES))


WAYS = {
    BARE: _bare,
    "tuned aiohttp": _tuned,
    "HttpLink alone": _http_link,
    FOUR: _four_links,
}


async def _compare(place: Place, parallel: int, effort: Effort) -> Table:
    async with contextlib.AsyncExitStack() as stack:
        ways = {name: await stack.enter_async_context(way(place.uri, place.connector)) for name, way in WAYS.items()}
        for call in ways.values():
            assert await call() == ANSWER
        times = await rounds_of(
            [Variant(name, drive(call, parallel)) for name, call in ways.items()],
            effort,
            at_least=2 * parallel,
            at_most=MOST_REQUESTS,
            clock=place.clock,
        )
    rows = ratio_rows(times, BARE, of_speed=True)
    title = f"HTTP {place.name}, {parallel} at a time; ratio: speed, {BARE} = 1"
    return Table(title, rows, _verdicts(rows, place.name, parallel))


def _verdicts(rows: list[Row], where: str, parallel: int) -> list[Verdict]:
    if parallel != JUDGED_PARALLEL:
        return []
    subject = f"speed of four links {where}, {parallel} at a time, {BARE} = 1"
    return [Verdict(subject=subject, measured=ratio_of(rows, FOUR), bound=BUDGET, is_floor=True)]
