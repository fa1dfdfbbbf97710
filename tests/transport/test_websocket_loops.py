"""One WebSocket link on one event loop after another, on none, and on one that begins tasks at once."""

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rxlink.core.chain import execute
from rxlink.errors import ClientClosed, InvariantError
from rxlink.testing.virtual_time import VirtualTime
from rxlink.transport.websocket import GraphQLWsLink, WebSocketClosed, WebSocketState
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


class Elsewhere:
    """An event loop that runs in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()

    async def do(self, story: Callable[[], Awaitable[Any]]) -> Any:
        """Run a story there, and wait for its end here."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(story(), self.loop))  # type: ignore[arg-type]

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()


class TestALinkThatIsClosedOnOneLoop:
    @both
    def test_ends_its_operations_on_another_one_too_and_then_its_states(self, make: Make) -> None:
        states: list[Any] = []

        async def story() -> None:
            async with serving(make) as server:
                link = make(server.url, retry_wait=lambda _: 0.01)
                link.states.subscribe(states.append, on_completed=lambda: states.append("completed"))

                async def begin() -> Any:
                    return subscribed(execute(link, TICKS))

                recorder = await elsewhere.do(begin)
                other = await server.connection()
                await other.acknowledge()
                await other.begin()
                here, (mine,) = await begun(server, link)
                await link.aclose()

                assert NORMAL == await other.closed()
                assert NORMAL == await here.closed()
                await until(lambda: states[-1] == "completed")
                assert [[ClientClosed]] * 2 == [list(map(type, seen)) for seen in (mine.seen, recorder.seen)]
                await asyncio.sleep(0.05)
                assert 2 == len(server.handshakes), "nobody connects anew"

                async def left() -> list[Any]:
                    return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

                assert [] == await elsewhere.do(left)
                await link.aclose()

        elsewhere = Elsewhere()
        try:
            asyncio.run(story())
        finally:
            elsewhere.end()

        assert [WebSocketState.CLOSED, "completed"] == states[-2:]

    @both
    def test_tells_of_the_last_socket_before_its_events_end(self, make: Make) -> None:
        events: list[Any] = []

        async def story() -> None:
            async with serving(make) as server:
                link = make(server.url)
                link.events.subscribe(events.append, on_completed=lambda: events.append("completed"))

                async def begin() -> None:
                    subscribed(execute(link, TICKS))

                await elsewhere.do(begin)
                other = await server.connection()
                await other.acknowledge()
                await other.begin()
                await link.aclose()
                await until(lambda: events[-1:] == ["completed"])

        elsewhere = Elsewhere()
        try:
            asyncio.run(story())
        finally:
            elsewhere.end()

        assert [WebSocketClosed(*NORMAL), "completed"] == events[-2:]


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
