"""How GraphQLWsLink and WebSocketLink connect, and what becomes of it where that fails."""

import asyncio
from typing import Any

import pytest
import reactivex

from rxlink.core.chain import execute
from rxlink.errors import SocketClosed
from rxlink.testing.virtual_time import VirtualTime, virtual
from rxlink.transport.websocket import (
    GraphQLWsLink,
)
from tests.recording import subscribed
from tests.transport.websocket_server import LEGACY, TRANSPORT, ScriptedWebSocketServer
from tests.transport.websocket_stories import TICKS, Make, begun, both, ids_of, serving


class TestConnecting:
    @both
    @pytest.mark.parametrize(
        ("params", "expected"),
        [
            (None, {}),
            ({}, {"payload": {}}),
            ({"a": [1, None, "ü"]}, {"payload": {"a": [1, None, "ü"]}}),
            (dict, {"payload": {}}),
            (lambda: None, {}),
            (lambda: reactivex.of({"a": 1}, {"a": 2}), {"payload": {"a": 2}}),
        ],
    )
    def test_tells_the_parameters(self, make: Make, params: Any, expected: dict[str, Any]) -> None:
        @virtual
        async def test() -> None:
            async with serving(make) as server, make(server.url, connection_params=params) as link:
                subscribed(execute(link, TICKS))
                message = await (await server.connection()).acknowledge()

            assert {"type": "connection_init", **expected} == message

        test()

    @both
    @pytest.mark.parametrize("kind", ["plain", "coroutine", "future", "observable"])
    def test_asks_for_parameters_and_url_each_time(self, make: Make, kind: str) -> None:
        """E86: the parameters are those of the moment."""
        asked: list[str] = []

        async def later(value: Any) -> Any:
            await asyncio.sleep(1)
            return value

        def given(name: str, value: Any) -> Any:
            asked.append(name)
            if kind == "plain":
                return value
            if kind == "coroutine":
                return later(value)
            if kind == "future":
                return asyncio.ensure_future(later(value))
            return reactivex.of("not this", value)

        @virtual
        async def test() -> None:
            async with serving(make) as first, serving(make) as second:
                servers = [first, second]
                link = make(
                    lambda: given("url", servers[(len(asked) - 1) // 2 % 2].url),
                    connection_params=lambda: given("params", {"number": len(asked)}),
                    retry_wait=lambda _: 1.0,
                )
                messages = []
                async with link:
                    subscribed(execute(link, TICKS))
                    for number in range(4):
                        connection = await servers[number % 2].connection()
                        messages.append(await connection.acknowledge())
                        connection.abort()

            assert ["params", "url"] * 4 == asked[:8]
            assert [0, 2, 4, 6] == [message["payload"]["number"] for message in messages]

        test()

    @both
    def test_names_the_protocol_and_sends_headers(self, make: Make) -> None:
        @virtual
        async def test() -> None:
            async with serving(make) as server, make(server.url, headers={"X-Api-Key": "1"}) as link:
                subscribed(execute(link, TICKS))
                handshake = await server.handshake()

            assert (TRANSPORT if make is GraphQLWsLink else LEGACY) == handshake.headers["Sec-WebSocket-Protocol"]
            assert "1" == handshake.headers["X-Api-Key"]
            assert "permessage-deflate" not in handshake.headers.get("Sec-WebSocket-Extensions", "")

        test()

    @both
    def test_takes_a_server_that_names_no_protocol_if_that_is_wished(self, make: Make) -> None:
        @virtual
        async def test() -> None:
            async with ScriptedWebSocketServer(subprotocol=None) as server:
                async with make(server.url, missing_subprotocol="accept") as link:
                    connection, (recorder,) = await begun(server, link)
                    await connection.complete(ids_of(connection)[0])
                    await connection.closed()

            assert ["completed"] == recorder.seen

        test()

    @both
    @pytest.mark.parametrize("choice", ["refuse", "accept"])
    @pytest.mark.parametrize("named", [None, "another"])
    def test_refuses_a_server_that_speaks_something_else(self, make: Make, choice: str, named: str | None) -> None:
        @virtual
        async def test(time: VirtualTime) -> None:
            async with ScriptedWebSocketServer(subprotocol=None) as server:
                if named is not None:
                    server.headers = {"Sec-WebSocket-Protocol": named}
                async with make(server.url, missing_subprotocol=choice) as link:
                    recorder = subscribed(execute(link, TICKS))
                    connection = await server.connection()
                    if named is None and choice == "accept":
                        await connection.acknowledge()
                        return
                    end = await connection.closed()
                    await asyncio.sleep(10)

            (error,) = recorder.seen
            assert (4406, "Subprotocol not acceptable") == end
            assert isinstance(error, SocketClosed)
            protocol = TRANSPORT if make is GraphQLWsLink else LEGACY
            says = (
                f"does not speak {protocol}" if named else f"does not say that it speaks {protocol}; if it does all the"
            )
            assert says in str(error)
            assert (named is None) == ('missing_subprotocol="accept"' in str(error))
            assert (4406, False, 1) == (error.code, error.retryable, len(server.handshakes))

        test()

    @both
    def test_says_at_once_that_a_server_speaks_something_else(self, make: Make) -> None:
        @virtual
        async def test(time: VirtualTime) -> None:
            async with ScriptedWebSocketServer(subprotocol=None) as server, make(server.url) as link:
                recorder = subscribed(execute(link, TICKS))
                connection = await server.connection()
                connection.stall()
                await asyncio.sleep(0.01)

                assert [4406] == [error.code for error in recorder.seen]

        test()

    @both
    @pytest.mark.parametrize(
        ("status", "is_retried"), [(400, False), (401, False), (403, False), (404, False), (500, True), (503, True)]
    )
    def test_tells_how_a_handshake_was_refused(self, make: Make, status: int, *, is_retried: bool) -> None:
        @virtual
        async def test() -> None:
            async with serving(make) as server, make(server.url, retry_attempts=2, retry_wait=lambda _: 1.0) as link:
                server.refusal, server.headers = status, {"Retry-After": "5"}
                recorder = subscribed(execute(link, TICKS))
                await asyncio.sleep(10)

            (error,) = recorder.seen
            told = f"the WebSocket at {server.url} was not opened: the server answered with status {status}"
            assert told == str(error)
            assert (status, "5", is_retried) == (error.status_code, error.headers["retry-after"], error.retryable)
            assert (3 if is_retried else 1) == len(server.handshakes)

        test()

    @both
    def test_tells_what_is_wrong_with_an_upgrade(self, make: Make) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
            writer.write(upgrade + b"Sec-WebSocket-Accept: wrong\r\n\r\n")
            await reader.read()
            writer.close()

        @virtual
        async def test() -> None:
            async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
                port = server.sockets[0].getsockname()[1]
                async with make(f"ws://127.0.0.1:{port}/", retry_attempts=0) as link:
                    recorder = subscribed(execute(link, TICKS))
                    await asyncio.sleep(0.01)

            (error,) = recorder.seen
            assert str(error).endswith("the server answered with status 101 (Invalid challenge response)")

        test()

    @both
    def test_tells_that_nobody_is_there(self, make: Make) -> None:
        @virtual
        async def test() -> None:
            async with serving(make) as server:
                url = server.url
            async with make(url, retry_attempts=1, retry_wait=lambda _: 1.0) as link:
                recorder = subscribed(execute(link, TICKS))
                await asyncio.sleep(10)

            assert f"the WebSocket at {url} got no answer (ClientConnectorError" in str(recorder.seen[0])
            assert not recorder.seen[0].may_have_arrived

        test()
