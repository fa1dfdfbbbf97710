"""Leaving an operation over a WebSocket, or closing the link, inside what the link calls at that moment."""

import asyncio
from typing import Any

import pytest
from reactivex import operators as ops
from reactivex.disposable import SerialDisposable

from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink, Forward
from rxlink.core.subscription import Connect, Subscription
from rxlink.errors import ClientClosed
from rxlink.testing.virtual_time import VirtualTime, virtual
from rxlink.transport.websocket import WebSocketState
from tests.recording import Recorder, subscribed
from tests.transport.websocket_stories import (
    NORMAL,
    TICKS,
    VIEWER,
    Make,
    both,
    serving,
    sockets_that_live,
    ticked,
)


class TestSynchronously:
    """Leaving before `subscribe` has returned: in what the link calls meanwhile."""

    @both
    @pytest.mark.parametrize("name", ["generate_id", "encode", "print"])
    def test_in_a_function_of_the_link(self, make: Make, name: str) -> None:
        roots: list[Subscription] = []

        class Above(ApolloLink):
            def connect(self, forward: Forward) -> Connect:
                def start(operation: Any, observer: Any, root: Subscription) -> None:
                    roots.append(root)
                    forward.connect(operation, observer, root)

                return start

        def leave(*given: Any) -> Any:
            roots[-1].dispose()
            return {"generate_id": "1", "encode": "{}", "print": "{ a }"}[name]

        @virtual
        async def test(time: VirtualTime) -> None:
            async with serving(make) as server, make(server.url, **{name: leave}) as link:
                recorder = subscribed(execute(from_([Above(), link]), TICKS))
                await asyncio.sleep(0.1)

                assert [] == sockets_that_live()
                assert [] == recorder.seen
            assert [] == server.handshakes
            assert [] == time.leftovers()

        test()

    @both
    @pytest.mark.parametrize("stream", ["states", "events"])
    @pytest.mark.parametrize("number", [0, 1, 2, 3])
    def test_in_an_observer_of_the_link(self, make: Make, stream: str, number: int) -> None:
        handle = SerialDisposable()
        told: list[Any] = []

        def leave(it: Any) -> None:
            told.append(it)
            if len(told) == number + 1:
                handle.dispose()

        @virtual
        async def test(time: VirtualTime) -> None:
            async with serving(make) as server, make(server.url) as link:
                getattr(link, stream).subscribe(leave)
                handle.disposable = subscribed(execute(link, TICKS)).subscription
                await asyncio.sleep(0.01)
                if server.connections:
                    connection = await server.connection()
                    await connection.expect("connection_init")
                    await connection.send({"type": "connection_ack"})
                await asyncio.sleep(0.1)
                sockets = sockets_that_live()
                assert handle.is_disposed == (sockets == [])
            assert [] == time.leftovers()

        test()

    @both
    def test_in_a_callback_nothing_more_comes_of_what_is_there_already(self, make: Make) -> None:
        @virtual
        async def test() -> None:
            async with serving(make) as server, make(server.url) as link:
                first = subscribed(execute(link, TICKS).pipe(ops.take(2)))
                second = subscribed(execute(link, TICKS))
                connection = await server.connection()
                await connection.acknowledge()
                identities = [await connection.begin(), await connection.begin()]
                for number in range(1, 5):
                    for identity in identities:
                        await connection.deliver(identity, ticks=number)
                assert identities[0] == (await connection.hear())["id"]
                await connection.complete(identities[1])
                await connection.closed()

            assert [*ticked(1, 2), "completed"] == first.seen
            assert [*ticked(1, 2, 3, 4), "completed"] == second.seen

        test()

    @both
    def test_a_callback_may_take_the_others_along(self, make: Make) -> None:
        @virtual
        async def test(time: VirtualTime) -> None:
            async with serving(make) as server, make(server.url, retry_attempts=0) as link:
                recorders = [Taking() for _ in range(3)]
                for recorder in recorders:
                    recorder.all = recorders
                    recorder.subscription = execute(link, TICKS).subscribe(recorder)
                connection = await server.connection()
                await connection.acknowledge()
                for _ in recorders:
                    await connection.begin()
                await connection.close(4500)
                await asyncio.sleep(0.01)

            assert [1, 0, 0] == [len(recorder.seen) for recorder in recorders]
            assert [] == time.leftovers()

        class Taking(Recorder):
            all: list[Any]

            def on_error(self, error: Exception) -> None:
                super().on_error(error)
                for recorder in self.all:
                    recorder.subscription.dispose()

        test()

    @both
    @pytest.mark.parametrize("when", ["next", "completed", "error"])
    def test_a_callback_may_close_the_link(self, make: Make, when: str) -> None:
        @virtual
        async def test(time: VirtualTime) -> None:
            closing: list[asyncio.Task[None]] = []

            class Closing(Recorder):
                def tell(self, value: Any) -> None:
                    self.seen.append(value)
                    closing.append(asyncio.ensure_future(link.aclose()))

                on_next = on_error = tell

                def on_completed(self) -> None:
                    self.tell("completed")

            async with serving(make) as server:
                link = make(server.url)
                first = Closing()
                execute(link, TICKS).subscribe(first)
                second = subscribed(execute(link, TICKS))
                connection = await server.connection()
                await connection.acknowledge()
                identity, _ = await connection.begin(), await connection.begin()
                if when == "next":
                    await connection.deliver(identity, ticks=1)
                elif when == "completed":
                    await connection.complete(identity)
                else:
                    await connection.send({"id": identity, "type": "error", "payload": [{"message": "no"}]})
                await connection.closed()
                await asyncio.gather(*closing)

            assert [ClientClosed] == list(map(type, second.seen))
            assert (2 if when == "next" else 1) == len(first.seen)
            assert NORMAL == await connection.closed()
            assert [] == time.leftovers()

        test()

    @both
    def test_a_callback_may_start_the_next_operation_on_the_same_socket(self, make: Make) -> None:
        @virtual
        async def test() -> None:
            seen: list[Any] = []
            async with serving(make) as server, make(server.url) as link:
                execute(link, VIEWER).pipe(ops.concat(execute(link, VIEWER))).subscribe(seen.append)
                connection = await server.connection()
                await connection.acknowledge()
                for number in (1, 2):
                    identity = await connection.begin()
                    await connection.deliver(identity, viewer=number)
                    await connection.complete(identity)
                await connection.closed()

            assert [{"data": {"viewer": 1}}, {"data": {"viewer": 2}}] == seen
            assert 1 == len(server.handshakes)

        test()

    @both
    def test_an_observer_of_the_states_may_start_an_operation(self, make: Make) -> None:
        """Whatever it is told: there is one socket for both."""

        @virtual
        async def test() -> None:
            others: list[Recorder] = []

            def start(state: WebSocketState) -> None:
                if state is not WebSocketState.IDLE and state is not WebSocketState.CLOSED:
                    others.append(subscribed(execute(link, TICKS)))

            async with serving(make) as server, make(server.url) as link:
                link.states.subscribe(start)
                recorder = subscribed(execute(link, TICKS))
                connection = await server.connection()
                await connection.acknowledge()
                for _ in range(3):
                    identity = await connection.begin()
                    await connection.deliver(identity, ticks=1)
                await asyncio.sleep(10)

                assert [ticked(1)] * 3 == [each.seen for each in (recorder, *others)]
                assert 1 == len(server.handshakes)

        test()
