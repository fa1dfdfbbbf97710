"""What does a chain cost per message of a WebSocket, against a bare aiohttp socket and a callback?

Results of subscriptions come as fast as the client takes them, from a server in a second process on loopback: of one
subscription, and of many side by side on one socket. The server writes all of them at once, so that the client never
waits, and its own time is what counts.
"""

import contextlib
import importlib
import json
from asyncio import gather
from collections.abc import AsyncGenerator, Callable, Collection, Iterator
from typing import Any

import aiohttp

from benchmarks.canned_websocket import PROTOCOL, QUERY, canned_websocket, variables
from benchmarks.following import Follow, Take, Way, compare, follow_chain, installed
from benchmarks.four_links import ANSWER, four_links
from benchmarks.harness import Effort, Row, Table, Times, Verdict, cpu_clock, ratio_of, ratio_rows
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest
from rxlink.transport.websocket import GraphQLWsLink

__all__ = ["measure"]

BARE = "bare aiohttp socket"
FOUR = "four links over GraphQLWsLink"
GQL = "gql over aiohttp"
MUST, AIM = 0.85, 1.0  # of the speed of the bare socket
MUST_OF_GQL, AIM_OF_GQL = 2.0, 3.0  # times the speed of gql
SIDE_BY_SIDE = (1, 64)  # subscriptions
MESSAGES = 25_600  # in a round
TOKEN = {"authorization": "Bearer an-access-token"}


async def measure(effort: Effort) -> list[Table]:
    """Compare the ways to follow a subscription, and many."""
    peers = installed("websocket", "orjson", "gql", "websockets")
    async with canned_websocket() as uri:
        return [await _compare(uri, beside, peers, effort) for beside in SIDE_BY_SIDE]


async def _compare(uri: str, beside: int, peers: Collection[str], effort: Effort) -> Table:
    times = await compare(list(_ways(uri, beside, peers)), effort, cpu_clock, count=MESSAGES, beside=beside)
    rows = ratio_rows(times, BARE, of_speed=True)
    for row in rows:
        row["messages/s"] = round(1e6 / float(row["us/op"]))
    what = "one subscription" if beside == 1 else f"{beside} subscriptions on one socket"
    title = f"WebSocket, a message of {what}; ratio: speed, {BARE} = 1"
    return Table(title, rows, _verdicts(times, rows) if beside == 1 else [])


def _ways(uri: str, beside: int, peers: Collection[str]) -> Iterator[Way]:
    yield Way(BARE, _bare(uri, beside, json.loads))
    yield Way("GraphQLWsLink alone", _through(uri, beside))
    yield Way(FOUR, _through(uri, beside, four_links))
    if "orjson" in peers:
        loads = importlib.import_module("orjson").loads
        yield Way(f"{BARE}, orjson", _bare(uri, beside, loads))
        yield Way(f"{FOUR}, orjson", _through(uri, beside, four_links, loads))
    if "gql" in peers:
        yield Way(GQL, _gql(uri, beside, "aiohttp_websockets", "AIOHTTPWebsocketsTransport"), ANSWER["data"])
        if "websockets" in peers:
            yield Way("gql over websockets", _gql(uri, beside, "websockets", "WebsocketsTransport"), ANSWER["data"])


@contextlib.asynccontextmanager
async def _bare(uri: str, beside: int, loads: Callable[[str], Any]) -> AsyncGenerator[Follow]:
    """The loop as a user writes it."""
    async with aiohttp.ClientSession() as session, session.ws_connect(uri, protocols=(PROTOCOL,)) as socket:
        await socket.send_json({"type": "connection_init", "payload": TOKEN})
        assert (await socket.receive_json())["type"] == "connection_ack"

        async def follow(count: int, take: Take) -> None:
            payload = {"query": QUERY, "operationName": "Viewers", "variables": variables(count, beside)}
            takers = {str(number): take for number in range(beside)}
            for identity in takers:
                await socket.send_json({"id": identity, "type": "subscribe", "payload": payload})
            async for message in socket:
                answer = loads(message.data)
                if answer["type"] == "next":
                    takers[answer["id"]](answer["payload"])
                elif answer["type"] == "complete":
                    del takers[answer["id"]]
                    if not takers:
                        return

        yield follow


@contextlib.asynccontextmanager
async def _through(
    uri: str,
    beside: int,
    chain_over: Callable[[ApolloLink], ApolloLink] | None = None,
    decode: Callable[[bytes], Any] | None = None,
) -> AsyncGenerator[Follow]:
    # The token is in the parameters too: the header that AuthLink writes goes into no message.
    async with GraphQLWsLink(uri, connection_params=TOKEN, decode=decode, lazy=False) as link:
        chain = link if chain_over is None else chain_over(link)
        yield lambda count, take: follow_chain(
            chain, [GraphQLRequest(QUERY, variables(count, beside)) for _ in range(beside)], take
        )


@contextlib.asynccontextmanager
async def _gql(uri: str, beside: int, module: str, name: str) -> AsyncGenerator[Follow]:
    """A session, and an ``async for`` over each subscription, as in its documentation."""
    from gql import Client
    from gql import GraphQLRequest as Request

    make = getattr(importlib.import_module(f"gql.transport.{module}"), name)
    document = Request(QUERY)
    async with Client(transport=make(uri, init_payload=TOKEN)) as session:

        async def follow_one(request: Request, take: Take) -> None:
            async for data in session.subscribe(request):
                take(data)

        async def follow(count: int, take: Take) -> None:
            request = Request(document, variable_values=variables(count, beside))
            await gather(*(follow_one(request, take) for _ in range(beside)))

        yield follow


def _verdicts(times: Times, rows: list[Row]) -> list[Verdict]:
    verdicts = [_verdict("bare aiohttp", ratio_of(rows, FOUR), MUST, AIM)]
    if GQL in times:
        times_faster = ratio_of(ratio_rows(times, GQL, of_speed=True), FOUR)
        verdicts.append(_verdict(GQL, times_faster, MUST_OF_GQL, AIM_OF_GQL))
    return verdicts


def _verdict(baseline: str, measured: float, must: float, aim: float) -> Verdict:
    subject = f"speed of WebSocket messages through four links, {baseline} = 1"
    return Verdict(subject=subject, measured=measured, bound=must, aim=aim, is_floor=True, is_headline=True)
