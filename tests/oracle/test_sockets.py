"""The scripted WebSocket server, with aiohttp's own client and nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

import aiohttp
import pytest

from tests.oracle import frames
from tests.oracle.clock import SettlingLoop
from tests.oracle.scenario import Scenario
from tests.oracle.server import Server
from tests.oracle.world import Owner

INIT = {"type": "connection_init"}
ACK = {"type": "connection_ack"}
Client = Callable[[aiohttp.ClientSession], Awaitable[Any]]


class Notes:
    """A world that writes down who was told what."""

    def __init__(self, loop: SettlingLoop) -> None:
        self._loop = loop
        self.events: list[tuple[Any, ...]] = []

    def note_for(self, owner: Owner, event: str, **fields: Any) -> None:
        moment = round(self._loop.time() * 1000, 3)
        self.events.append((moment, owner.attempt, event, *fields.values()))


def talk(client: Client, *scripts: dict[str, Any]) -> tuple[Any, list[tuple[Any, ...]]]:
    """Let a client speak with the server; return what it returns and what the server noted after the handshake."""

    async def run(scenario: Scenario) -> Any:
        async with Server(scenario, notes).session() as session:
            return await client(session)

    with closing(SettlingLoop()) as loop:
        notes = Notes(loop)
        result = loop.run_until_complete(run({"sockets": scripts, "chain": [], "operations": []}))
        return result, [event for event in notes.events if event[2] != "ws-connect"]


async def connected(session: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse[bool]:
    return await session.ws_connect("wss://server.test/graphql", protocols=["graphql-transport-ws"])


async def received(socket: aiohttp.ClientWebSocketResponse[bool]) -> list[Any]:
    """Return what comes until the socket closes, and how it closes."""
    messages = [json.loads(message.data) async for message in socket]
    return [*messages, socket.close_code]


def test_it_answers_what_a_script_says_and_by_itself() -> None:
    async def client(session: aiohttp.ClientSession) -> list[Any]:
        socket = await connected(session)
        await socket.send_json(INIT)
        await socket.send_json({"type": "subscribe", "id": "x1", "payload": {"operationName": "A"}})
        return await received(socket)

    steps = [{"send": {"type": "next", "id": "A", "payload": 1}, "after": 5}, {"close": [4400, "bad"], "after": 2}]

    messages, events = talk(client, {"after": 3, "on": {"subscribe A": steps}})

    assert [ACK, {"type": "next", "id": "x1", "payload": 1}, 4400] == messages
    subscribed = {"type": "subscribe", "id": "A#1", "payload": {"operationName": "A"}}
    assert [(3, 1, "ws-send", INIT), (3, 1, "ws-send", subscribed)] == events


@pytest.mark.parametrize(("close", "code"), [([], 0), ([1013], 1013), ([4403, "no"], 4403)])
def test_it_closes_with_a_code_or_none(close: list[Any], code: int) -> None:
    async def client(session: aiohttp.ClientSession) -> Any:
        message = await (await connected(session)).receive()
        return message.type, message.data

    closed, events = talk(client, {"on": {"open": [{"close": close}]}})

    assert (aiohttp.WSMsgType.CLOSE, code) == closed
    assert [] == events  # the client's answer to it is none of its own


def test_a_cut_is_no_close() -> None:
    async def client(session: aiohttp.ClientSession) -> Any:
        socket = await connected(session)
        return (await socket.receive()).type, socket.close_code

    assert (aiohttp.WSMsgType.CLOSED, 1006) == talk(client, {"on": {"open": [{"cut": True}]}})[0]


def test_the_clients_close_is_noted_and_answered() -> None:
    async def client(session: aiohttp.ClientSession) -> Any:
        socket = await connected(session)
        await socket.close(code=4205, message=b"reason")

    _, events = talk(client, {"after": 2, "closes": 7, "on": {"open": [{"send": ACK}]}})

    assert [(2, 1, "ws-close", 4205, "reason")] == events


def test_who_goes_without_a_word_is_noted() -> None:
    async def client(session: aiohttp.ClientSession) -> Any:
        await connected(session)

    assert [(1, 1, "ws-cut")] == talk(client)[1]


def test_who_goes_before_the_close_is_answered_is_noted() -> None:
    async def client(session: aiohttp.ClientSession) -> Any:
        socket = await connected(session)
        closing = asyncio.create_task(socket.close(message=b"bye"))
        await asyncio.sleep(0.01)
        await session.close()
        await closing

    assert [(1, 1, "ws-close", 1000, "bye"), (11, 1, "ws-cut")] == talk(client, {"closes": 50})[1]


@pytest.mark.parametrize("script", [{"fail": True}, {"status": 403}])
def test_it_refuses(script: dict[str, Any]) -> None:
    async def client(session: aiohttp.ClientSession) -> int | None:
        try:
            await connected(session)
        except aiohttp.WSServerHandshakeError as error:
            return error.status
        except aiohttp.ServerDisconnectedError:
            return None
        raise AssertionError("it was let in")

    assert script.get("status") == talk(client, script)[0]


@pytest.mark.parametrize("protocol", [None, "graphql-ws"])
def test_it_may_name_another_protocol_or_none(protocol: str | None) -> None:
    async def client(session: aiohttp.ClientSession) -> Any:
        socket = await connected(session)
        await socket.close()
        return socket.protocol

    assert talk(client, {"protocol": protocol})[0] is None


def test_each_connection_has_the_next_script_and_the_last_one_stays() -> None:
    async def client(session: aiohttp.ClientSession) -> list[Any]:
        return [await received(await connected(session)) for _ in range(3)]

    scripts = [{"on": {"open": [{"close": [code]}]}} for code in (4001, 4002)]

    assert [[4001], [4002], [4002]] == talk(client, *scripts)[0]


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536, 100_000])
def test_frames_of_all_sizes_arrive_whole(size: int) -> None:
    async def client(session: aiohttp.ClientSession) -> Any:
        socket = await connected(session)
        await socket.send_json({"type": "ping", "payload": "x" * size})
        return await received(socket)

    message = {"type": "pong", "payload": "y" * size}

    messages, events = talk(client, {"on": {"ping": [{"send": message}, {"close": [1001]}]}})

    assert [message, 1001] == messages
    assert [(1, 1, "ws-send", {"type": "ping", "payload": "x" * size})] == events


def test_a_frame_that_comes_in_pieces_waits_for_its_rest() -> None:
    masked = bytes([0x81, 0x82, 1, 2, 3, 4, ord("h") ^ 1, ord("i") ^ 2])
    received = bytearray()
    seen = []

    for byte in masked:
        received.append(byte)
        seen += [list(frames.frames(received))]

    assert [[]] * 7 + [[(frames.TEXT, b"hi")]] == seen
    assert bytearray() == received
