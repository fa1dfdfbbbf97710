"""Leaving an operation over a WebSocket, and closing the link, at every moment: nothing goes on, nothing is left."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rxlink.core.chain import execute
from rxlink.errors import ClientClosed
from rxlink.testing.virtual_time import VirtualTime, virtual
from rxlink.transport.websocket import GraphQLWsLink, WebSocketState
from tests.recording import Recorder, subscribed
from tests.transport.websocket_server import ScriptedWebSocketServer
from tests.transport.websocket_stories import (
    NORMAL,
    TICKS,
    VIEWER,
    Make,
    both,
    ids_of,
    serving,
    sockets_that_live,
    ticked,
)


class Story:
    """An operation up to some moment, from which it may go on as if nothing had happened."""

    def __init__(self, make: Make, server: ScriptedWebSocketServer) -> None:
        self.server = server
        self.params: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.link = make(server.url, connection_params=self.tell, retry_wait=lambda _: 5.0)
        self.recorder = Recorder()
        self.is_asked = asyncio.Event()

    async def tell(self) -> dict[str, Any]:
        self.is_asked.set()
        return await asyncio.shield(self.params)

    async def at_once(self) -> None:
        self.recorder = subscribed(execute(self.link, TICKS))

    async def a_turn_later(self) -> None:
        await self.at_once()
        await asyncio.sleep(0)

    async def gathering_parameters(self) -> None:
        await self.at_once()
        await self.is_asked.wait()

    async def shaking_hands(self) -> None:
        self.server.is_silent = True
        self.params.set_result({})
        await self.at_once()
        await self.server.handshake()

    async def before_the_acknowledgement(self) -> None:
        self.params.set_result({})
        await self.at_once()
        self.connection = await self.server.connection()
        await self.connection.expect("connection_init")

    async def while_the_acknowledgement_comes(self) -> None:
        await self.before_the_acknowledgement()
        await self.connection.send({"type": "connection_ack"})

    async def running(self) -> None:
        await self.while_the_acknowledgement_comes()
        self.identity = await self.connection.begin()

    async def while_a_result_comes(self) -> None:
        await self.running()
        await self.connection.deliver(self.identity, ticks=1)

    async def after_a_result(self) -> None:
        await self.while_a_result_comes()
        await asyncio.sleep(0.01)
        assert ticked(1) == self.recorder.seen

    async def while_the_end_comes(self) -> None:
        await self.running()
        await self.connection.complete(self.identity)

    async def waiting_for_another_try(self) -> None:
        await self.running()
        self.connection.abort()
        await asyncio.sleep(1)

    async def while_the_socket_is_lost(self) -> None:
        await self.running()
        self.connection.abort()


MOMENTS = [
    Story.at_once,
    Story.a_turn_later,
    Story.gathering_parameters,
    Story.shaking_hands,
    Story.before_the_acknowledgement,
    Story.while_the_acknowledgement_comes,
    Story.running,
    Story.while_a_result_comes,
    Story.after_a_result,
    Story.while_the_end_comes,
    Story.waiting_for_another_try,
    Story.while_the_socket_is_lost,
]


BEGUN = MOMENTS[6:10]


at_every_moment = pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.__name__)


@both
@at_every_moment
def test_who_leaves_hears_nothing_more_and_leaves_nothing_behind(
    make: Make, moment: Callable[[Story], Awaitable[None]]
) -> None:
    @virtual
    async def test(time: VirtualTime) -> None:
        async with serving(make) as server:
            story = Story(make, server)
            async with story.link:
                states = subscribed(story.link.states).seen
                await moment(story)
                before = [*story.recorder.seen]
                story.recorder.subscription.dispose()
                await asyncio.sleep(0.1)
                ends = [await connection.closed() for connection in server.connections]
                left = sockets_that_live()
                is_idle = states[-1]
                await asyncio.sleep(100)

            assert before == story.recorder.seen
            assert [] == left
            assert WebSocketState.IDLE == is_idle
            assert len(server.handshakes) <= 1
            if moment in BEGUN:
                assert [NORMAL] == ends
                goodbye = [message["type"] for message in server.connections[0].received[2:]]
                ended_there = moment is Story.while_the_end_comes
                stop = "complete" if make is GraphQLWsLink else "stop"
                expected = [stop] if make is GraphQLWsLink else [stop, "connection_terminate"]
                assert goodbye == expected or (ended_there and goodbye == expected[1:])
            assert [] == time.leftovers()

    test()


@both
@at_every_moment
def test_who_leaves_takes_nothing_from_the_others(make: Make, moment: Callable[[Story], Awaitable[None]]) -> None:
    @virtual
    async def test() -> None:
        async with serving(make) as server:
            story = Story(make, server)
            async with story.link:
                await moment(story)
                other = subscribed(execute(story.link, VIEWER))
                story.recorder.subscription.dispose()
                server.is_silent = False
                if moment is Story.shaking_hands:
                    await story.link.aclose()
                    assert [ClientClosed] == list(map(type, other.seen))
                    return
                if not story.params.done():
                    story.params.set_result({})
                connection = await newest(server)
                await acknowledged(connection)
                await asyncio.sleep(0.1)
                await connection.deliver(ids_of(connection)[-1], viewer=1)
                await connection.complete(ids_of(connection)[-1])
                await connection.closed()

            assert [{"data": {"viewer": 1}}, "completed"] == other.seen

    async def newest(server: ScriptedWebSocketServer) -> Any:
        await asyncio.sleep(20)
        return server.connections[-1]

    async def acknowledged(connection: Any) -> None:
        if len(connection.received) == 1 and moment is not Story.while_the_acknowledgement_comes:
            await connection.send({"type": "connection_ack"})

    test()


@both
@at_every_moment
def test_who_closes_the_link_ends_them_all_and_waits_until_all_is_closed(
    make: Make, moment: Callable[[Story], Awaitable[None]]
) -> None:
    @virtual
    async def test(time: VirtualTime) -> None:
        async with serving(make) as server:
            story = Story(make, server)
            states, events = subscribed(story.link.states).seen, subscribed(story.link.events).seen
            await moment(story)
            other = subscribed(execute(story.link, VIEWER))
            await story.link.aclose()
            left = asyncio.all_tasks() - {asyncio.current_task()}
            after = [*story.recorder.seen], [*other.seen]
            late = subscribed(execute(story.link, VIEWER)).seen
            await asyncio.sleep(100)

            assert [] == [task for task in left if "rxlink" in repr(task)]
            assert after == (story.recorder.seen, other.seen)
            assert [ClientClosed] == [type(seen) for seen in other.seen]
            assert isinstance(story.recorder.seen[-1], ClientClosed)
            assert f"{story.link!r} is closed; make a new one, or close it later" == str(late[0])
            assert [WebSocketState.CLOSED, "completed"] == states[-2:]
            assert "completed" == events[-1]
            assert all(connection.is_closed for connection in server.connections)
            await story.link.aclose()
            assert len(server.handshakes) <= 1
        assert [] == time.leftovers()

    test()
