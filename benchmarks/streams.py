"""What does a chain cost per event of an answer that comes in pieces, against a bare aiohttp loop?

Events of a subscription as parts of ``multipart/mixed`` and as server-sent events, and the increments of a result whose
document says ``@stream`` and ``@defer``. Asked twice: of a server in a second process on loopback that writes all of
them at once, and inside the process, where each comes by itself.
"""

import contextlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import aiohttp

from benchmarks.canned_streams import (
    INCREMENTS,
    INCREMENTS_IN_AN_ANSWER,
    MULTIPART,
    SSE,
    CannedStream,
    answer_to,
    canned_streams,
    variables,
)
from benchmarks.following import Follow, Take, Way, compare, follow_chain, installed
from benchmarks.four_links import ANSWER, four_links
from benchmarks.harness import Effort, Table, cpu_clock, ratio_rows
from benchmarks.in_process import InProcessConnector
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest
from rxlink.transport.http import HttpLink
from rxlink.transport.sse import SseLink

__all__ = ["measure"]

BARE = "bare aiohttp"
NOWHERE = "http://127.0.0.1:9"  # where the connections inside the process would lead
EVENTS = 5_000  # in a round
HEADERS = {
    "content-type": "application/json",
    "x-tenant": "blue",
    "authorization": "Bearer an-access-token",
}

Connector: TypeAlias = Callable[[], aiohttp.BaseConnector]
Read: TypeAlias = Callable[[aiohttp.ClientResponse, Take], Awaitable[None]]
"""Take an answer apart, as a user writes it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the answers come from.

    Attributes:
        name: In words.
        address: Of the server.
        connector: Makes connections that lead there.
    """

    name: str
    address: str
    connector: Connector


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of stream.

    Attributes:
        name: What it consists of.
        stream: What the server answers.
        read: Reads that without any link.
        link: The class of the link that reads it.
        most: How many pieces an answer has at most.
    """

    name: str
    stream: CannedStream
    read: Read
    link: Callable[..., ApolloLink]
    most: int = EVENTS


async def measure(effort: Effort) -> list[Table]:
    """Compare the ways to follow each kind of stream."""
    has_gql = bool(installed("streams", "gql"))
    async with canned_streams() as address:
        loopback = Place("over loopback, all at once", address, aiohttp.TCPConnector)
        tables = [await _compare(kind, loopback, effort, has_gql=has_gql) for kind in KINDS]
    in_process = Place("inside the process, one by one", NOWHERE, lambda: InProcessConnector(answer_to=answer_to))
    return tables + [await _compare(kind, in_process, effort, has_gql=has_gql) for kind in KINDS]


async def _compare(kind: Kind, place: Place, effort: Effort, *, has_gql: bool) -> Table:
    ways = list(_ways(kind, place, has_gql=has_gql))
    times = await compare(ways, effort, cpu_clock, count=EVENTS, beside=INCREMENTS_IN_AN_ANSWER)
    rows = ratio_rows(times, BARE, of_speed=True)
    return Table(f"{kind.name} {place.name}; ratio: speed, {BARE} = 1", rows)


def _ways(kind: Kind, place: Place, *, has_gql: bool) -> Iterator[Way]:
    link = kind.link.__name__
    last = kind.stream.last
    yield Way(BARE, _bare(kind, place), last)
    yield Way(f"{link} alone", _through(kind, place, lambda link: link), last)
    yield Way(f"four links over {link}", _through(kind, place, four_links), last)
    if has_gql and kind.stream is MULTIPART:
        yield Way("gql over aiohttp", _gql(kind, place), ANSWER["data"])


@contextlib.asynccontextmanager
async def _bare(kind: Kind, place: Place) -> AsyncGenerator[Follow]:
    async with aiohttp.ClientSession(connector=place.connector()) as session:

        async def follow(count: int, take: Take) -> None:
            for wanted in _answers(count, kind):
                payload = {"query": kind.stream.query, "operationName": "Viewers", "variables": variables(wanted)}
                data = json.dumps(payload).encode()
                async with session.post(place.address + kind.stream.path, data=data, headers=HEADERS) as response:
                    await kind.read(response, take)

        yield follow


@contextlib.asynccontextmanager
async def _through(kind: Kind, place: Place, chain_over: Callable[[ApolloLink], ApolloLink]) -> AsyncGenerator[Follow]:
    async with aiohttp.ClientSession(connector=place.connector()) as session:
        chain = chain_over(kind.link(place.address + kind.stream.path, session=session))

        async def follow(count: int, take: Take) -> None:
            for wanted in _answers(count, kind):
                await follow_chain(chain, [GraphQLRequest(kind.stream.query, variables(wanted))], take)

        yield follow


@contextlib.asynccontextmanager
async def _gql(kind: Kind, place: Place) -> AsyncGenerator[Follow]:
    """A session, and an ``async for`` over the subscription, as in its documentation."""
    from gql import Client
    from gql import GraphQLRequest as Request
    from gql.transport.aiohttp import AIOHTTPTransport

    document = Request(kind.stream.query)
    transport = AIOHTTPTransport(
        place.address + kind.stream.path,
        headers=HEADERS,
        ssl=False,
        client_session_args={"connector": place.connector()},
    )
    async with Client(transport=transport) as session:

        async def follow(count: int, take: Take) -> None:
            for wanted in _answers(count, kind):
                async for data in session.subscribe(Request(document, variable_values=variables(wanted))):
                    take(data)

        yield follow


def _answers(count: int, kind: Kind) -> Iterator[int]:
    """Give how many pieces each answer has that is needed for so many in all."""
    while count > 0:
        yield min(count, kind.most)
        count -= kind.most


async def _read_multipart(response: aiohttp.ClientResponse, take: Take) -> None:
    async for body in _parts(response):
        take(json.loads(body)["payload"])


async def _read_increments(response: aiohttp.ClientResponse, take: Take) -> None:
    """Merge each piece into what has come before."""
    result: dict[str, Any] = {}
    places: dict[str, Any] = {}
    async for body in _parts(response):
        piece = json.loads(body)
        if "data" in piece:
            result["data"] = piece["data"]
        for entry in piece.get("incremental", ()):
            place = places[entry["id"]]
            if "items" in entry:
                place.extend(entry["items"])
            else:
                place.update(entry["data"])
        for pending in piece.get("pending", ()):
            place = result["data"]
            for step in pending["path"]:
                place = place[step]
            places[pending["id"]] = place
        take(result)


async def _parts(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes]:
    """Take an answer apart at its delimiters."""
    buffer = b""
    async for chunk in response.content.iter_any():
        *parts, buffer = (buffer + chunk).split(b"\r\n--graphql")
        for part in parts:
            yield part.partition(b"\r\n\r\n")[2]


async def _read_events(response: aiohttp.ClientResponse, take: Take) -> None:
    buffer = b""
    async for chunk in response.content.iter_any():
        *events, buffer = (buffer + chunk).split(b"\n\n")
        for event in events:
            name, _, data = event.partition(b"\n")
            if name == b"event: next":
                take(json.loads(data.removeprefix(b"data: ")))
            elif name == b"event: complete":
                return


KINDS = (
    Kind("Events of a subscription as multipart/mixed", MULTIPART, _read_multipart, HttpLink),
    Kind("Events of a subscription as server-sent events", SSE, _read_events, SseLink),
    Kind("Increments of @stream and @defer", INCREMENTS, _read_increments, HttpLink, INCREMENTS_IN_AN_ANSWER),
)
