"""How long each step of a WebSocket may take, from the handshake to the goodbye; demand E93."""

import asyncio
from contextlib import suppress
from itertools import pairwise
from typing import Any

import aiohttp
import pytest
from reactivex import operators as ops

from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute
from rxlink.errors import NetworkError, NetworkTimeout
from rxlink.testing.virtual_time import VirtualTime, virtual
from rxlink.transport.websocket import GraphQLWsLink
from tests.recording import subscribed
from tests.transport.websocket_server import ScriptedWebSocketServer
from tests.transport.websocket_stories import TICKS, Make, begun, both, ids_of, serving, ticked
from tests.transport.websocket_wire import frame

PING = b"\x89\x00"


PONG = b"\x8a\x00"


class TestTimeouts:
    @both
    @pytest.mark.parametrize("seconds", [30.0, 0.5])
    def test_of_the_handshake_name_their_option(self, make: Make, seconds: float) -> None:
        @virtual
        async def test(time: VirtualTime) -> None:
            async with serving(make) as server:
                server.is_silent = True
                async with make(server.url, connection_ack_wait_timeout=seconds, retry_attempts=0) as link:
                    recorder = subscribed(execute(link, TICKS))
                    await server.handshake()
                    await asyncio.sleep(seconds - 0.01)
                    before = [*recorder.seen]
                    await asyncio.sleep(0.02)

            (error,) = recorder.seen
            assert [] == before
            assert isinstance(error, NetworkTimeout)
            expected = (
                f"the WebSocket at {server.url}: no answer within {seconds:g} s; raise `connection_ack_wait_timeout`"
            )
            assert str(error).startswith(expected)
            assert seconds == error.seconds
            assert [] == time.leftovers()

        test()

    @both
    def test_of_a_given_session_do_not_name_it(self, make: Make) -> None:
        @virtual
        async def test() -> None:
            async with serving(make) as server, aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(3)) as session:
                server.is_silent = True
                async with make(server.url, retry_attempts=0, session=session) as link:
                    recorder = subscribed(execute(link, TICKS))
                    await asyncio.sleep(4)

            assert [NetworkError] == list(map(type, recorder.seen))
            assert "connection_ack_wait_timeout" not in str(recorder.seen[0])

        test()

    @both
    @pytest.mark.parametrize("has_pings", [True, False])
    def test_of_the_acknowledgement_close_the_socket(self, make: Make, *, has_pings: bool) -> None:
        """graphql-ws `connectionAckWaitTimeout`: 4504. What else the server says does not put it off."""

        @virtual
        async def test(time: VirtualTime) -> None:
            async with serving(make) as server, make(server.url, retry_attempts=0) as link:
                recorder = subscribed(execute(link, TICKS))
                connection = await server.connection()
                await connection.expect("connection_init")
                for _ in range(29):
                    await asyncio.sleep(1)
                    if has_pings:
                        await connection.send({"type": "ping" if connection.is_newer else "ka"})
                        connection.send_raw(PING)
                        connection.send_raw(PONG)
                before = [*recorder.seen]
                await asyncio.sleep(1.01)
                end = await connection.closed()

            assert [] == before
            assert (4504, "Connection acknowledgement timeout") == end
            assert [4504] == [error.code for error in recorder.seen]
            assert recorder.seen[0].retryable
            assert [] == time.leftovers()

        test()

    @both
    def test_of_both_may_be_none(self, make: Make) -> None:
        @virtual
        async def test() -> None:
            async with serving(make) as server, make(server.url, connection_ack_wait_timeout=None) as link:
                recorder = subscribed(execute(link, TICKS))
                connection = await server.connection()
                await connection.expect("connection_init")
                await asyncio.sleep(86_400)
                await connection.send({"type": "connection_ack"})
                await connection.deliver(await connection.begin(), ticks=1)
                await asyncio.sleep(0.01)

                assert ticked(1) == recorder.seen

        test()

    @both
    def test_do_not_count_what_the_application_takes(self, make: Make) -> None:
        """E93: a refresh that takes longer than the server's init timeout is over before the socket is opened."""

        async def slow_refresh(tokens: Any, reason: Any) -> TokenSet:
            await asyncio.sleep(25)
            return TokenSet("new")

        async def slow_params() -> dict[str, Any]:
            await asyncio.sleep(100)
            return {"a": 1}

        async def slow_url() -> str:
            await asyncio.sleep(100)
            return url

        @virtual
        async def test(time: VirtualTime) -> None:
            nonlocal url
            session = AuthSession(refresh=slow_refresh, obtain_first=True)
            async with serving(make) as server, session:
                url = server.url
                async with make(slow_url, connection_params=slow_params, auth=session) as link:
                    subscribed(execute(link, TICKS))
                    connection = await server.connection()
                    opened_at = time.monotonic()
                    message = await connection.acknowledge()

            assert {"a": 1, "authorization": "Bearer new"} == message["payload"]
            assert (225.0, 225.0) == (opened_at, time.monotonic()), "nothing is waited for once the socket is open"

        url = ""
        test()

    @both
    def test_end_the_goodbye_of_a_server_that_says_none(self, make: Make) -> None:
        @virtual
        async def test(time: VirtualTime) -> None:
            async with serving(make) as server, make(server.url) as link:
                connection, (recorder,) = await begun(server, link)
                connection.stall()
                closing = asyncio.ensure_future(link.aclose())
                await asyncio.sleep(0.01)
                told = [type(error).__name__ for error in recorder.seen]
                await closing

            assert ["ClientClosed"] == told
            assert 2.0 == time.monotonic()
            assert [] == time.leftovers()

        test()

    @both
    def test_of_the_goodbye_are_not_needed_where_the_server_answers(self, make: Make) -> None:
        @virtual
        async def test(time: VirtualTime) -> None:
            async with serving(make) as server, make(server.url) as link:
                connection, _ = await begun(server, link)
                await link.aclose()
                assert connection.is_closed, "the server has read it all before that returns"

            assert (1000, "Normal Closure") == await connection.closed()
            assert 0.0 == time.monotonic()

        test()


def test_nothing_of_a_flood_is_lost_when_the_socket_closes() -> None:
    """What waits unread here must not reset the connection before the server has read the goodbye."""

    @virtual
    async def test() -> None:
        async with ScriptedWebSocketServer() as server, GraphQLWsLink(server.url) as link:
            recorder = subscribed(execute(link, TICKS).pipe(ops.take(1)))
            connection = await server.connection()
            await connection.acknowledge()
            identity = await connection.begin()
            with suppress(ConnectionError):
                for _ in range(20_000):
                    await connection.deliver(identity, ticks="x" * 100)
            end = await connection.closed()

        assert (1000, "Normal Closure") == end
        assert {"id": identity, "type": "complete"} == connection.received[-1]
        assert "completed" == recorder.seen[-1]

    test()


def test_a_flood_leaves_the_others_on_the_loop_their_turns() -> None:
    @virtual
    async def test() -> None:
        async with ScriptedWebSocketServer() as server, GraphQLWsLink(server.url) as link:
            connection, (recorder,) = await begun(server, link)
            text = b'{"id":"%s","type":"next","payload":{}}' % ids_of(connection)[0].encode()
            connection.send_raw(frame(1, text) * 3000)
            steps = [0]
            while len(recorder.seen) < 3000:
                await asyncio.sleep(0)
                steps.append(len(recorder.seen))

        assert max(after - before for before, after in pairwise(steps)) <= 100

    test()
