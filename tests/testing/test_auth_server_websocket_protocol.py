"""The auth server over WebSocket: the rules of graphql-transport-ws, and the older graphql-ws."""

import json
from contextlib import suppress
from typing import Any

import aiohttp
import pytest

from rxlink.testing import VirtualTime, virtual
from rxlink.testing.auth_server import AuthServer, SocketRules
from tests.testing.auth_server_client import ECHO, VIEWER
from tests.testing.websocket_client import (
    COUNTDOWN,
    LEGACY,
    TICKS,
    TRANSPORT,
    opened,
    until,
)

ACK = {"type": "connection_ack"}


class TestProtocol:
    @virtual
    async def test_waits_for_an_init_only_so_long(self, time: VirtualTime) -> None:
        rules = SocketRules(init_timeout=2.5)
        async with AuthServer(clock=time.monotonic, sockets=rules) as server, opened(server) as socket:
            end = await socket.hear()
            now = time.monotonic()

        assert ((4408, "Connection initialisation timeout"), 2.5) == (end, now)

    @pytest.mark.parametrize(
        ("messages", "end"),
        [
            ([{"type": "connection_init"}], (4429, "Too many initialisation requests")),
            ([{"type": "subscribe", "id": "1", "payload": {"query": "{ public }"}}], None),
            ([{"type": "next", "id": "1", "payload": {}}], (4400, "Invalid message received")),
            ([{"type": "subscribe", "id": "", "payload": {"query": "{ public }"}}], (4400, "Invalid message received")),
            ([{"type": "subscribe", "id": "1", "payload": {"query": 1}}], (4400, "Invalid message received")),
            ([{"type": "subscribe", "id": "1"}], (4400, "Invalid message received")),
            ([{"type": "ping", "payload": []}], (4400, "Invalid message received")),
            ([[]], (4400, "Invalid message received")),
            ([{"type": "complete", "id": "unknown"}], None),
            ([{"type": "pong"}], None),
        ],
    )
    async def test_judges_what_comes_after_the_acknowledgement(self, messages: Any, end: Any) -> None:
        async with AuthServer(sockets=SocketRules(refusal="error")) as server, opened(server) as socket:
            await socket.init()
            for message in messages:
                await socket.socket.send_str(json.dumps(message))
            await socket.say("ping", payload={"n": 1})
            heard = await socket.hear()
            if isinstance(heard, dict) and heard["type"] == "next":
                heard = [await socket.hear() for _ in range(2)][-1]

        assert (end or {"type": "pong", "payload": {"n": 1}}) == heard

    @pytest.mark.parametrize("frame", ["no json", b"{}"])
    async def test_closes_for_frames_that_are_no_messages(self, frame: str | bytes) -> None:
        async with AuthServer() as server, opened(server) as socket:
            if isinstance(frame, str):
                await socket.socket.send_str(frame)
            else:
                await socket.socket.send_bytes(frame)
            end = await socket.hear()

        assert (4400, "Invalid message received") == end

    async def test_does_not_know_operations_before_the_acknowledgement(self) -> None:
        async with AuthServer() as server, opened(server) as socket:
            await socket.subscribe("1", VIEWER)
            end = await socket.hear()

        assert (4401, "Unauthorized") == end

    async def test_takes_an_id_once_at_a_time(self) -> None:
        async with AuthServer() as server, opened(server) as socket:
            await socket.init(server.sign_in("ada"))
            await socket.subscribe("1", TICKS, every=60)
            await socket.say("complete", id="1")
            await socket.subscribe("1", TICKS, every=60)
            alive = await socket.pong()
            await socket.subscribe("1", TICKS, every=60)
            end = await socket.hear()

        assert ([], (4409, "Subscriber for 1 already exists")) == (alive, end)

    async def test_needs_a_protocol_in_common(self) -> None:
        async with AuthServer() as server, opened(server, "something-else") as socket:
            end = await socket.hear()

        assert (4406, "Subprotocol not acceptable") == end
        assert (None, 4406) == (server.ledger.sockets[0].protocol, server.ledger.sockets[0].code)

    async def test_closes_for_frames_that_are_too_big(self) -> None:
        async with AuthServer() as server, opened(server) as socket:
            with suppress(ConnectionError):  # the server does not read it to its end
                await socket.socket.send_str(" " * (4 * 1024 * 1024 + 1))
            await until(lambda: server.ledger.sockets[0].closed)

        assert ("server", 1009) == (server.ledger.sockets[0].closed_by, server.ledger.sockets[0].code)

    async def test_answers_pings_of_websocket_itself(self) -> None:
        async with AuthServer() as server, opened(server) as socket:
            socket.socket._autoping = False
            await socket.socket.ping(b"there?")
            frame = await socket.socket.receive()

        assert (aiohttp.WSMsgType.PONG, b"there?") == (frame.type, frame.data)

    async def test_a_plain_request_is_refused(self) -> None:
        async with AuthServer() as server, aiohttp.ClientSession() as session:
            async with session.get(server.url) as answer:
                status = answer.status

        assert 400 == status


class TestOlderProtocol:
    async def test_is_spoken_too_and_does_not_wait_for_the_acknowledgement(self) -> None:
        async with AuthServer() as server, opened(server, LEGACY) as socket:
            payload = {"query": ECHO, "variables": {"value": "early"}}
            token = server.sign_in("ada").access_token
            await socket.say("start", id="0", payload=payload)
            await socket.say("connection_init", payload={"Authorization": f"Bearer {token}"})
            await socket.say("start", id="1", payload={"query": COUNTDOWN, "variables": {"start": 1}})
            heard = [await socket.hear() for _ in range(5)]

        assert [
            ACK,
            {"id": "0", "type": "data", "payload": {"data": {"echo": "early"}}},
            {"id": "0", "type": "complete"},
            {"id": "1", "type": "data", "payload": {"data": {"left": 1}}},
            {"id": "1", "type": "complete"},
        ] == heard

    async def test_says_errors_in_its_way(self) -> None:
        async with AuthServer() as server, opened(server, LEGACY) as socket:
            await socket.init(server.sign_in("ada"))
            await socket.say("start", id="1", payload={"query": "{ nothing }"})
            await socket.say("start", id="2", payload={})
            await socket.say("nonsense", id="3")
            await socket.socket.send_str("no json")
            heard = [await socket.hear() for _ in range(4)]

        assert ["1", "2", "3", None] == [each["id"] for each in heard]
        assert {"error"} == {each["type"] for each in heard}
        assert "'query' must be a text." == heard[1]["payload"]["message"]

    async def test_a_second_start_of_an_id_takes_the_place_of_the_first(self) -> None:
        async with AuthServer() as server, opened(server, LEGACY) as socket:
            await socket.init(server.sign_in("ada"))
            for _ in range(2):
                await socket.say("start", id="1", payload={"query": TICKS, "variables": {"every": 60}})
            await socket.say("stop", id="1")
            await socket.say("connection_terminate")
            end = await socket.hear()

        assert (1000, 2) == (end[0], server.ledger.sockets[0].operations)

    async def test_refuses_by_a_connection_error(self) -> None:
        async with AuthServer() as server, opened(server, LEGACY) as socket:
            await socket.say("connection_init")
            heard = [await socket.hear() for _ in range(2)]

        assert [{"type": "connection_error", "payload": {"message": "Forbidden"}}, (1011, "")] == heard

    async def test_is_chosen_as_the_client_prefers(self) -> None:
        async with AuthServer() as server:
            async with opened(server, LEGACY, TRANSPORT) as first, opened(server, TRANSPORT, LEGACY) as second:
                chosen = [each.socket.protocol for each in (first, second)]

        assert [LEGACY, TRANSPORT] == chosen
