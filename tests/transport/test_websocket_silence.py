"""Servers that say nothing on a WebSocket: pings, and what becomes of a socket on which nobody answers."""

import asyncio
from typing import Any

import pytest

from rxlink.core.chain import execute
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import SocketClosed
from rxlink.testing.virtual_time import VirtualTime, virtual
from rxlink.transport.websocket import GraphQLWsLink, WebSocketLink
from tests.recording import subscribed
from tests.transport.websocket_server import Connection, ScriptedWebSocketServer
from tests.transport.websocket_stories import RENAME, TICKS, VIEWER, Make, begun, both, ids_of, serving, ticked

PING = b"\x89\x00"


PONG = b"\x8a\x00"


def pings_of(connection: Connection) -> int:
    return connection.kinds.count("ping")


class TestPings:
    @virtual
    async def test_go_out_after_each_silence(self, time: VirtualTime) -> None:
        async with ScriptedWebSocketServer(answers_pings=True) as server, GraphQLWsLink(server.url) as link:
            connection, (recorder,) = await begun(server, link)
            await asyncio.sleep(29.9)
            before = pings_of(connection)
            await asyncio.sleep(90.2)

        assert (0, 4) == (before, pings_of(connection))
        assert "ClientClosed" == type(recorder.seen[0]).__name__
        assert [] == time.leftovers()

    @pytest.mark.parametrize(
        "message", [{"type": "pong"}, {"type": "ping"}, {"type": "complete", "id": "unknown"}, PING, PONG]
    )
    def test_are_put_off_by_whatever_comes(self, message: Any) -> None:
        @virtual
        async def test() -> None:
            async with ScriptedWebSocketServer(answers_pings=True) as server, GraphQLWsLink(server.url) as link:
                connection, _ = await begun(server, link)
                for _ in range(4):
                    await asyncio.sleep(20)
                    connection.send_raw(message) if isinstance(message, bytes) else await connection.send(message)
                await asyncio.sleep(29)
                before = pings_of(connection)
                await asyncio.sleep(2)

                assert (0, 1) == (before, pings_of(connection))

        test()

    @both
    def test_of_the_websocket_are_answered(self, make: Make) -> None:
        """RFC 6455 section 5.5.3: with the same data, and also while nothing is acknowledged."""

        @virtual
        async def test() -> None:
            async with serving(make) as server, make(server.url) as link:
                subscribed(execute(link, TICKS))
                connection = await server.connection()
                connection.send_raw(b"\x89\x02hi")
                await connection.acknowledge()
                connection.send_raw(b"\x89\x00")
                await connection.begin()
                await asyncio.sleep(0.01)

                assert [b"hi", b""] == connection.pongs

        test()

    @both
    def test_of_the_websocket_that_nobody_waits_for_harm_nothing(self, make: Make) -> None:
        @virtual
        async def test() -> None:
            async with serving(make) as server, make(server.url, retry_attempts=0) as link:
                connection, (recorder,) = await begun(server, link)
                connection.send_raw(PING * 10_000)
                connection.abort()
                await asyncio.sleep(0.01)

            assert ["Socket closed with event 1006"] == list(map(str, recorder.seen))

        test()

    @both
    def test_are_not_sent_where_keep_alive_is_none(self, make: Make) -> None:
        @virtual
        async def test(time: VirtualTime) -> None:
            async with serving(make) as server, make(server.url, keep_alive=None) as link:
                connection, (recorder,) = await begun(server, link)
                connection.stall()
                await asyncio.sleep(86_400)

                assert [] == recorder.seen
                assert not connection.is_closed

        test()

    @virtual
    async def test_of_the_older_protocol_are_those_of_the_websocket(self) -> None:
        async with serving(WebSocketLink) as server, WebSocketLink(server.url) as link:
            connection, (recorder,) = await begun(server, link)
            await asyncio.sleep(3600)

            assert [] == recorder.seen
            assert ["connection_init", "start"] == connection.kinds
            assert 119 <= len(connection.pings) <= 120


class TestASilentServer:
    @both
    @pytest.mark.parametrize(
        ("options", "seconds"),
        [
            ({}, 40.0),
            ({"keep_alive": 5.0, "keep_alive_timeout": 0.5}, 5.5),
            ({"keep_alive": 1.0, "keep_alive_timeout": 60}, 61.0),
        ],
    )
    def test_is_given_up(self, make: Make, options: dict[str, Any], seconds: float) -> None:
        @virtual
        async def test(time: VirtualTime) -> None:
            async with serving(make) as server, make(server.url, retry_attempts=0, **options) as link:
                connection, recorders = await begun(server, link, TICKS, VIEWER, RENAME)
                connection.stall()
                await asyncio.sleep(seconds - 0.01)
                before = [recorder.seen for recorder in recorders if recorder.seen]
                await asyncio.sleep(0.02)
                errors = [error for recorder in recorders for error in recorder.seen]

            assert [] == before
            assert [SocketClosed] * 3 == list(map(type, errors))
            assert {(4499, "no answer to a ping", True)} == {
                (each.code, each.reason, each.retryable) for each in errors
            }
            assert [] == time.leftovers()

        test()

    @both
    def test_is_left_for_another_socket_and_nothing_is_held_open(self, make: Make) -> None:
        """P2: no subscription is silently dead. E87: it goes on, on the same observable."""

        @virtual
        async def test(time: VirtualTime) -> None:
            async with serving(make) as server, make(server.url, retry_wait=lambda _: 1.0) as link:
                connection, (recorder,) = await begun(server, link)
                connection.stall()
                again = await server.connection()
                assert 41.0 == time.monotonic()
                await again.acknowledge()
                await again.deliver(await again.begin(), ticks=1)
                await asyncio.sleep(3.0)
                sockets = [task for task in asyncio.all_tasks() if "Socket._run" in repr(task)]

                assert ticked(1) == recorder.seen
                assert 1 == len(sockets)

        test()

    @both
    @pytest.mark.parametrize("way", ["silence", "aclose", "leaving"])
    def test_that_reads_nothing_is_left_although_much_waits_to_be_sent(self, make: Make, way: str) -> None:
        big = GraphQLRequest("query Q($deep: String) { a(b: $deep) }", {"deep": "x" * 2**24})

        @virtual
        async def test(time: VirtualTime) -> None:
            async with serving(make) as server, make(server.url, retry_attempts=0) as link:
                connection, recorders = await begun(server, link)
                connection.stall()
                before = len(time.loop._selector.get_map())  # type: ignore[attr-defined]
                recorders += [subscribed(execute(link, big)) for _ in range(2)]
                await asyncio.sleep(60 if way == "silence" else 0.1)
                if way == "leaving":
                    for recorder in recorders:
                        recorder.subscription.dispose()
                    await asyncio.sleep(5)
                elif way == "aclose":
                    await link.aclose()
                assert before - 1 == len(time.loop._selector.get_map()), "the client's socket is open"  # type: ignore[attr-defined]

            assert [0 if way == "leaving" else 1] * 3 == [len(recorder.seen) for recorder in recorders]
            assert [] == time.leftovers()

        test()

    @virtual
    async def test_is_alive_as_long_as_it_sends_results(self) -> None:
        """Half-dead: it sends, and answers no ping."""
        async with (
            ScriptedWebSocketServer() as server,
            GraphQLWsLink(server.url, keep_alive=5, keep_alive_timeout=10) as link,
        ):
            connection, (recorder,) = await begun(server, link)
            for number in range(20):
                await connection.deliver(ids_of(connection)[0], ticks=number)
                await asyncio.sleep(8)

            assert ticked(*range(20)) == recorder.seen
            assert 10 < pings_of(connection) < 30

    @virtual
    async def test_is_asked_again_after_each_answer(self, time: VirtualTime) -> None:
        async with ScriptedWebSocketServer(answers_pings=True) as server:
            async with GraphQLWsLink(server.url, keep_alive=1, keep_alive_timeout=100, retry_attempts=0) as link:
                connection, (recorder,) = await begun(server, link)
                await asyncio.sleep(10.5)
                answered = pings_of(connection)
                connection.answers_pings = False
                await asyncio.sleep(200)

        assert 10 == answered
        assert [4499] == [error.code for error in recorder.seen]
