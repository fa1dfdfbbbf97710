"""What a network does to answers in pieces: single bytes, a cut in the middle of a part, silence; with real servers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from rxlink import HttpLink, NetworkError, NetworkTimeout, SseLink
from tests.peers.peer import Peer, until
from tests.peers.stream_hearing import hear, is_over, plain, states
from tests.peers.streams import SINGLE, WAYS, Line, StreamServers, Way, line_to
from tests.recording import END
from tests.transport.tcp_proxy import TcpProxy, proxied

IN_PIECES = "query Pieces { hello ... @defer { person { name email friends { name } } } letters @stream }"
TICKS = "subscription Ticks($key: String!) { ticks(key: $key) }"
DEFERRING = [way for way in WAYS if way.name != "graphql-sse"]
SUBSCRIBING = [way for way in WAYS if way.is_sse or way.form == "multipart"]


@asynccontextmanager
async def through(streams: StreamServers, way: Way) -> AsyncIterator[tuple[TcpProxy, StreamServers]]:
    """Give the servers of a way behind a proxy."""
    async with proxied(streams.peers[way.name].address) as proxy:
        yield proxy, StreamServers({way.name: Peer(way.name, proxy.url)})


@pytest.mark.parametrize("way", DEFERRING, ids=str)
async def test_single_bytes_come_to_the_same(way: Way, streams: StreamServers):
    async with through(streams, way) as (proxy, behind), line_to(behind, way) as line:
        whole = await hear(line, plain(IN_PIECES))
        proxy.slow(size=1)
        in_pieces = await hear(line, IN_PIECES)

    assert END == in_pieces.seen[-1]
    assert states(whole)[-1] == states(in_pieces)[-1]


@pytest.mark.parametrize("way", SUBSCRIBING, ids=str)
async def test_a_cut_keeps_what_came_and_is_an_error(way: Way, streams: StreamServers, account: str):
    async with through(streams, way) as (proxy, behind), line_to(behind, way) as line:
        ticks = line.hear(TICKS, key=account)
        proxy.slow(size=7)  # so that it strikes in the middle of a part
        await until(lambda: len(ticks.seen) > 2)
        proxy.cut()
        await until(lambda: is_over(ticks))

    *numbers, error = ticks.seen
    assert list(range(1, len(numbers) + 1)) == [number["data"]["ticks"] for number in numbers]
    assert NetworkError is type(error)
    await until(lambda: nobody_listens(streams, account))


@pytest.mark.parametrize("way", SUBSCRIBING, ids=str)
async def test_a_stall_is_a_timeout(way: Way, streams: StreamServers, account: str):
    async with through(streams, way) as (proxy, behind):
        url = behind.url(way)
        link = (
            SseLink(url, single_connection=way.form == SINGLE, idle_timeout=0.3, retry_attempts=0)
            if way.is_sse
            else HttpLink(url, idle_timeout=0.3)
        )
        async with link:
            ticks = Line(link).hear(TICKS, key=account)
            await until(lambda: len(ticks.seen) > 2)
            proxy.stall("client")
            await until(lambda: is_over(ticks))

    assert NetworkTimeout is type(ticks.seen[-1])


async def nobody_listens(streams: StreamServers, key: str) -> bool:
    return await streams.listeners(key) == 0
