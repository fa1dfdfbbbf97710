"""One WebSocket link on one event loop after another, on none, and on one that begins tasks at once."""

import asyncio
import sys
from typing import Any

import pytest

from rxlink.core.chain import execute
from rxlink.errors import ClientClosed, InvariantError
from rxlink.testing.virtual_time import VirtualTime
from rxlink.transport.websocket import GraphQLWsLink, WebSocketState
from tests.recording import subscribed
from tests.testing.websocket_client import until
from tests.transport.websocket_server import ScriptedWebSocketServer
from tests.transport.websocket_stories import (
    NORMAL,
    TICKS,
    Make,
    begun,
    both,
    ids_of,
    serving,
    ticked,
)


class TestTwoLoops:
    """One link, one loop after another: sockets and sessions belong to their loop."""

    @both
    @pytest.mark.parametrize("is_ended", [True, False])
    def test_find_their_own_sockets(self, make: Make, *, is_ended: bool) -> None:
        link: Any = None
        seen: list[Any] = []

        async def once() -> None:
            nonlocal link
            async with serving(make) as server:
                link = link or make(lambda: servers[-1].url)
                servers.append(server)
                connection, (recorder,) = await begun(server, link)
                identity = ids_of(connection)[0]
                await connection.deliver(identity, ticks=len(servers))
                if is_ended:
                    await connection.complete(identity)
                    await connection.closed()
                else:
                    await until(lambda: recorder.seen)
                seen.append(recorder)

        servers: list[ScriptedWebSocketServer] = []
        asyncio.run(once())
        asyncio.run(once())

        assert [ticked(1), ticked(2)] == [recorder.seen[:1] for recorder in seen]
        assert [2, 2] == [len(recorder.seen) for recorder in seen]

    @both
    def test_of_which_one_is_gone_do_not_trouble_the_other(self, make: Make) -> None:
        states: list[Any] = []

        async def leave_open() -> None:
            async with serving(make) as server:
                urls.append(server.url)
                await begun(server, link)

        async def close() -> None:
            async with serving(make) as server:
                urls.append(server.url)
                connection, (recorder,) = await begun(server, link)
                await link.aclose()
                assert NORMAL == await connection.closed()
                assert [ClientClosed] == list(map(type, recorder.seen))

        urls: list[str] = []
        link = make(lambda: urls[-1], retry_attempts=0)
        link.states.subscribe(states.append)
        asyncio.run(leave_open())
        between = states[-1]
        asyncio.run(close())

        assert WebSocketState.IDLE == between
        assert WebSocketState.CLOSED == states[-1]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in Python 3.12")
class TestALoopThatBeginsTasksAtOnce:
    @both
    def test_runs_operations(self, make: Make) -> None:
        async def story() -> None:
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
            async with serving(make) as server, make(server.url, retry_wait=lambda _: 0.0) as link:
                connection, (recorder,) = await begun(server, link)
                await connection.deliver(ids_of(connection)[0], ticks=1)
                await until(lambda: recorder.seen)
                connection.abort()
                connection = await server.connection()
                await connection.acknowledge()
                await connection.complete(await connection.begin())
                assert NORMAL == await connection.closed()
            assert [*ticked(1), "completed"] == recorder.seen

        asyncio.run(story())

    @both
    def test_tells_what_fails_before_the_first_wait(self, make: Make) -> None:
        async def story() -> None:
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
            async with make("ws://localhost/", connection_params=lambda: 1 / 0) as link:
                recorder = subscribed(execute(link, TICKS))
                await until(lambda: recorder.seen)
            assert [ZeroDivisionError] == list(map(type, recorder.seen))

        asyncio.run(story())


class TestWithoutALoop:
    def test_an_operation_says_what_it_needs(self) -> None:
        recorder = subscribed(execute(GraphQLWsLink("ws://localhost/"), TICKS))

        assert [InvariantError] == list(map(type, recorder.seen))
        assert "no event loop runs" in str(recorder.seen[0])

    def test_an_operation_finds_the_loop_of_its_scheduler(self) -> None:
        with VirtualTime() as time:
            server = ScriptedWebSocketServer()
            time.run(server.__aenter__())
            link = GraphQLWsLink(server.url)
            recorder = subscribed(execute(link, TICKS), time.scheduler)

            async def answer() -> None:
                connection = await server.connection()
                await connection.acknowledge()
                await connection.complete(await connection.begin())
                await connection.closed()
                await link.aclose()
                await server.__aexit__(None, None, None)

            time.run(answer())
            time.settle()

            assert ["completed"] == recorder.seen
            assert [] == time.leftovers()
