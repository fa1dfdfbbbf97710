"""The ways to send an operation over HTTP that are compared: aiohttp itself, rxlink, and other clients.

Each keeps what its documentation says to keep: its session, its connections, the parsed document. All send the same
query, variables and headers.
"""

import contextlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from operator import attrgetter, itemgetter
from typing import Any, TypeAlias

import aiohttp
from yarl import URL

from benchmarks.four_links import QUERY, four_links, four_retrying_links
from benchmarks.in_process import InProcessConnector
from rxlink.core.chain import execute
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest
from rxlink.transport.http import HttpLink

__all__ = [
    "BARE",
    "FOUR",
    "GQL",
    "HEADERS",
    "NOWHERE",
    "OWN_HEADERS",
    "TUNED",
    "VARIABLES",
    "WAYS",
    "WITH_AUTH",
    "Call",
    "Connector",
    "Way",
    "bare",
    "installed",
    "is_installed",
    "no_sockets",
    "sockets",
    "through",
]

BARE = "bare aiohttp"
TUNED = "tuned aiohttp"
FOUR = "four links over HttpLink"
WITH_AUTH = "four links, AuthLink one of them"
GQL = "gql on aiohttp"
FEW = 64  # at a time

NOWHERE = "http://127.0.0.1:9/graphql"  # where the connections inside the process would lead
VARIABLES = {"id": "1"}
OWN_HEADERS = {"x-tenant": "blue", "authorization": "Bearer an-access-token"}
HEADERS = {"content-type": "application/json", **OWN_HEADERS}

Call: TypeAlias = Callable[[], Awaitable[Any]]
Connector: TypeAlias = Callable[[], aiohttp.BaseConnector]
Calls: TypeAlias = contextlib.AbstractAsyncContextManager[Call]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to send an operation.

    Attributes:
        name: What its row is called.
        open: Gets an address and what makes connections, and gives the call.
        module: What has to be installed for it.
        takes_connector: Whether it can use connections inside the process.
        most: With how many operations at a time it is asked; None for any number.
        data_of: Gets what the call returns, and returns the result's data.
    """

    name: str
    open: Callable[[str, Connector], Calls]
    module: str = "aiohttp"
    takes_connector: bool = True
    most: int | None = None
    data_of: Callable[[Any], Any] = itemgetter("data")

    def is_asked(self, parallel: int, *, in_process: bool) -> bool:
        """Whether it has a row."""
        return (self.takes_connector or not in_process) and (self.most is None or parallel <= self.most)


def sockets() -> aiohttp.BaseConnector:
    """Make connections over the network, as many as are needed."""
    return aiohttp.TCPConnector(limit=0)


def no_sockets() -> aiohttp.BaseConnector:
    """Make connections that answer inside the process."""
    return InProcessConnector()


def is_installed(module: str) -> bool:
    """Return whether a module can be imported, and print a line if not."""
    if find_spec(module) is None:
        print(f"{module}: not installed")
        return False
    return True


def installed(ways: Sequence[Way]) -> list[Way]:
    """Return those of which the module is there; of the others a line is printed."""
    missing = {module for module in dict.fromkeys(way.module for way in ways) if not is_installed(module)}
    return [way for way in ways if way.module not in missing]


@contextlib.asynccontextmanager
async def bare(uri: str, connector: Connector) -> AsyncGenerator[Call]:
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
        yield through(HttpLink(uri, session=session))


@contextlib.asynccontextmanager
async def _four_links(uri: str, connector: Connector) -> AsyncGenerator[Call]:
    async with aiohttp.ClientSession(connector=connector()) as session:
        yield through(four_retrying_links(HttpLink(uri, session=session)))


@contextlib.asynccontextmanager
async def _four_links_with_auth(uri: str, connector: Connector) -> AsyncGenerator[Call]:
    async with aiohttp.ClientSession(connector=connector()) as session:
        yield through(four_links(HttpLink(uri, session=session)))


@contextlib.asynccontextmanager
async def _four_links_orjson(uri: str, connector: Connector) -> AsyncGenerator[Call]:
    import orjson

    async with aiohttp.ClientSession(connector=connector()) as session:
        yield through(four_retrying_links(HttpLink(uri, session=session, encode=orjson.dumps, decode=orjson.loads)))


def through(link: ApolloLink) -> Call:
    """Return the call that sends an operation through a link."""
    return lambda: execute(link, GraphQLRequest(QUERY, VARIABLES))


@contextlib.asynccontextmanager
async def _gql_aiohttp(uri: str, connector: Connector) -> AsyncGenerator[Call]:
    """An async session that stays open."""
    import gql
    from gql.transport.aiohttp import AIOHTTPTransport

    transport = AIOHTTPTransport(uri, headers=OWN_HEADERS, client_session_args={"connector": connector()})
    document = gql.gql(QUERY).document
    async with gql.Client(transport=transport) as session:
        yield lambda: session.execute(gql.GraphQLRequest(document, variable_values=VARIABLES))


@contextlib.asynccontextmanager
async def _gql_httpx(uri: str, connector: Connector) -> AsyncGenerator[Call]:
    """The same; httpx closes all but twenty connections that are free, unless told not to."""
    import gql
    import httpx
    from gql.transport.httpx import HTTPXAsyncTransport

    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    transport = HTTPXAsyncTransport(uri, headers=OWN_HEADERS, limits=limits)
    document = gql.gql(QUERY).document
    async with gql.Client(transport=transport) as session:
        yield lambda: session.execute(gql.GraphQLRequest(document, variable_values=VARIABLES))


@contextlib.asynccontextmanager
async def _rath(uri: str, connector: Connector) -> AsyncGenerator[Call]:
    """Its link for aiohttp alone, which keeps a session while it is entered."""
    from graphql import parse
    from rath.links.aiohttp import AIOHttpLink
    from rath.rath import Rath

    document = parse(QUERY)
    async with Rath(link=AIOHttpLink(endpoint_url=uri)) as client:
        yield lambda: client.aquery(document, VARIABLES, OWN_HEADERS)


WAYS = (
    Way(name=BARE, open=bare),
    Way(name=TUNED, open=_tuned),
    Way(name="HttpLink alone", open=_http_link),
    Way(name=FOUR, open=_four_links),
    Way(name=WITH_AUTH, open=_four_links_with_auth),
    Way(name="four links, orjson", open=_four_links_orjson, module="orjson"),
    Way(name=GQL, open=_gql_aiohttp, module="gql", data_of=lambda data: data),
    Way(
        name="gql on httpx", open=_gql_httpx, module="httpx", takes_connector=False, most=FEW, data_of=lambda data: data
    ),
    Way(name="rath", open=_rath, module="rath", takes_connector=False, most=FEW, data_of=attrgetter("data")),
)
