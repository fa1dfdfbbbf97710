"""A server that asks and asks, and does not read what it is answered."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from rxlink.errors import SocketClosed
from rxlink.testing.virtual_time import VirtualTime, virtual
from rxlink.transport._ws_pings import Pongs
from rxlink.transport.websocket import GraphQLWsLink, WebSocketLink
from tests.transport.websocket_stories import Make, begun, serving

MEBIBYTE = 1024 * 1024


class TestPongsThatWait:
    def test_are_sent_in_order(self) -> None:
        pongs = Pongs()

        places = [pongs.add(b"1"), pongs.add("2")]

        assert [True, True] == places
        assert [b"1", "2"] == [pongs.take(), pongs.take()]
        assert pongs.add(b"3")

    @pytest.mark.parametrize(("size", "expected"), [(1, 100), (MEBIBYTE // 10, 10), (5 * MEBIBYTE, 1)])
    def test_are_few_and_the_newest(self, size: int, expected: int) -> None:
        pongs = Pongs()

        for number in range(1000):
            pongs.add(f"{number:>{size}}")
            pongs.add(f"{number:>{size}}")
        waiting = [pong for pong in [pongs.take() for _ in range(pongs._places)] if pong is not None]

        assert expected == len(waiting)
        assert 999 == int(waiting[-1])
        assert pongs.add(b"another"), "all places are free again"

    def test_need_no_more_places_than_there_were(self) -> None:
        pongs = Pongs()

        places = [pongs.add("small") for _ in range(50)] + [pongs.add("x" * MEBIBYTE) for _ in range(50)]

        assert 50 == sum(places)
        assert ["x" * MEBIBYTE, *[None] * 49] == [pongs.take() for _ in range(50)]


@pytest.mark.parametrize(
    ("make", "kind"), [(GraphQLWsLink, "message"), (GraphQLWsLink, "frame"), (WebSocketLink, "frame")]
)
def test_a_server_that_takes_no_answers_gets_few(make: Make, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Any] = []
    may_take = asyncio.Event()

    async def take(_: object, pong: Any) -> None:
        await may_take.wait()
        taken.append(pong)

    @virtual
    async def test() -> None:
        async with serving(make) as server, make(server.url) as link:
            connection, _ = await begun(server, link)
            monkeypatch.setattr(aiohttp.ClientWebSocketResponse, "send_str" if kind == "message" else "pong", take)
            for number in range(10_000):
                if kind == "message":
                    await connection.send({"type": "ping", "payload": {"n": number}})
                else:
                    await connection._socket.ping(str(number).encode())
            await asyncio.sleep(1)
            may_take.set()
            await asyncio.sleep(1)
            monkeypatch.undo()

    test()

    numbers = [json.loads(pong)["payload"]["n"] if kind == "message" else int(pong) for pong in taken]
    assert len(numbers) <= 101
    assert sorted(numbers) == numbers
    assert 9_999 == numbers[-1]


@virtual
async def test_a_server_that_talks_and_does_not_read_is_given_up(time: VirtualTime) -> None:
    async with serving(GraphQLWsLink) as server, GraphQLWsLink(server.url, retry_attempts=0) as link:
        connection, (recorder,) = await begun(server, link)
        connection.stall()
        for _ in range(20):
            await connection.send({"type": "ping", "payload": {"deep": "x" * MEBIBYTE}})
        while not recorder.seen and time.monotonic() < 200:
            await asyncio.sleep(5)
            if not recorder.seen:
                await connection.send({"type": "pong"})

        (error,) = recorder.seen
        assert isinstance(error, SocketClosed)
        assert (4499, "nothing is read that was sent") == (error.code, error.reason)
        assert 40 <= time.monotonic() <= 80


@virtual
async def test_a_server_that_reads_slowly_is_not_given_up(time: VirtualTime) -> None:
    async with serving(GraphQLWsLink) as server, GraphQLWsLink(server.url, retry_attempts=0) as link:
        connection, (recorder,) = await begun(server, link)
        for _ in range(10):
            connection.stall()
            for _ in range(20):
                await connection.send({"type": "ping", "payload": {"deep": "x" * MEBIBYTE}})
            await asyncio.sleep(20)
            await connection.send({"type": "pong"})
            connection.transport.resume_reading()
            await asyncio.sleep(1)

        assert [] == recorder.seen
