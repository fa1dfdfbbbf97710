"""A callback that raises, beside others on the same socket: it ends its own subscription, and that alone."""

import asyncio
from typing import Any

import pytest

from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.testing.virtual_time import virtual
from rxlink.transport.websocket import GraphQLWsLink
from tests.recording import Recorder, subscribed
from tests.transport.websocket_server import Connection
from tests.transport.websocket_stories import TICKS, VIEWER, Make, begun, both, ids_of, serving, ticked


class Raising(Recorder):
    """Raises when it is told of some of what it is told."""

    def __init__(self, *when: str, error: BaseException | None = None) -> None:
        super().__init__()
        self.when = when
        self.error = error or RuntimeError("of the subscriber")

    def tell(self, name: str, value: Any) -> None:
        self.seen.append(value)
        if name in self.when:
            raise self.error

    def on_next(self, value: Any) -> None:
        self.tell("next", value)

    def on_error(self, error: Exception) -> None:
        self.tell("error", error)

    def on_completed(self) -> None:
        self.tell("completed", "completed")


async def beside(
    make: Make, raising: Raising, story: Any, time_of_story: Any = None
) -> tuple[list[Any], list[Any], list[Any]]:
    """Let one of two subscribers raise; return what each got, and what the loop was told."""
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint["exception"]))
    async with serving(make) as server, make(server.url, retry_attempts=0) as link:
        execute(link, TICKS).subscribe(raising)
        other = subscribed(execute(link, TICKS))
        connection = await server.connection()
        await connection.acknowledge()
        first, second = await connection.begin(), await connection.begin()
        await story(connection, first, second)
        await asyncio.sleep(0.01)
    return raising.seen, other.seen, complaints


class TestACallbackThatRaises:
    """It ends its own subscription, as it does on any other link; the others on the socket go on."""

    @both
    def test_on_a_result_ends_its_stream_with_what_it_raised(self, make: Make) -> None:
        async def story(connection: Connection, first: str, second: str) -> None:
            await connection.deliver(first, ticks=1)
            await connection.deliver(first, ticks=2)
            await connection.deliver(second, ticks=3)
            kind = "complete" if connection.is_newer else "stop"
            assert {"id": first, "type": kind} == await connection.hear()
            await connection.complete(second)

        @virtual
        async def test() -> None:
            raising = Raising("next")
            seen, others, complaints = await beside(make, raising, story)

            assert [*ticked(1), raising.error] == seen
            assert [*ticked(3), "completed"] == others
            assert [] == complaints

        test()

    @both
    def test_on_its_error_is_reported(self, make: Make) -> None:
        async def story(connection: Connection, first: str, second: str) -> None:
            await connection.send({"id": first, "type": "error", "payload": [{"message": "no"}]})
            await connection.deliver(second, ticks=3)
            await connection.complete(second)

        @virtual
        async def test() -> None:
            raising = Raising("error")
            seen, others, complaints = await beside(make, raising, story)

            assert ["no"] == list(map(str, seen))
            assert [*ticked(3), "completed"] == others
            assert [raising.error] == complaints

        test()

    @both
    def test_on_its_completion_is_reported(self, make: Make) -> None:
        async def story(connection: Connection, first: str, second: str) -> None:
            await connection.complete(first)
            await connection.deliver(second, ticks=3)
            await connection.complete(second)

        @virtual
        async def test() -> None:
            raising = Raising("completed")
            seen, others, complaints = await beside(make, raising, story)

            assert ["completed"] == seen
            assert [*ticked(3), "completed"] == others
            assert [raising.error] == complaints

        test()

    @both
    def test_on_the_end_of_all_spoils_it_for_nobody(self, make: Make) -> None:
        async def story(connection: Connection, first: str, second: str) -> None:
            await connection.close(4500)

        @virtual
        async def test() -> None:
            raising = Raising("error")
            seen, others, complaints = await beside(make, raising, story)

            assert [[4500], [4500]] == [[error.code for error in each] for each in (seen, others)]
            assert [raising.error] == complaints

        test()

    @both
    def test_on_a_result_and_on_its_error_is_reported_once(self, make: Make) -> None:
        async def story(connection: Connection, first: str, second: str) -> None:
            await connection.deliver(first, ticks=1)
            await connection.deliver(second, ticks=3)

        @virtual
        async def test() -> None:
            raising = Raising("next", "error")
            seen, others, complaints = await beside(make, raising, story)

            assert [*ticked(1), raising.error] == seen
            assert ticked(3) == others[:1]
            assert [raising.error] == complaints

        test()

    @both
    @pytest.mark.parametrize("when", ["next", "error", "completed"])
    def test_may_raise_what_looks_like_a_cancellation(self, make: Make, when: str) -> None:
        async def story(connection: Connection, first: str, second: str) -> None:
            if when == "error":
                await connection.send({"id": first, "type": "error", "payload": [{"message": "no"}]})
            await connection.deliver(first, ticks=1)
            await connection.complete(first)
            await connection.deliver(second, ticks=3)
            await connection.complete(second)

        @virtual
        async def test() -> None:
            seen, others, complaints = await beside(make, Raising(when, error=asyncio.CancelledError()), story)

            assert [*ticked(3), "completed"] == others
            expected = {"next": "OperationCancelled", "error": "CombinedGraphQLErrors", "completed": "str"}
            assert expected[when] == type(seen[-1]).__name__
            assert ([] if when == "next" else [asyncio.CancelledError]) == list(map(type, complaints))

        test()

    @both
    def test_of_a_link_between_is_not_taken_for_a_failure_of_the_socket(self, make: Make) -> None:
        def above(operation: Any, forward: Any) -> Any:
            return forward(operation).map(lambda result: result["data"]["nothing"])

        @virtual
        async def test() -> None:
            async with serving(make) as server, make(server.url) as socket_link:
                link = from_([ApolloLink(above), socket_link])
                recorder = subscribed(execute(link, TICKS))
                connection, (other,) = await begun(server, socket_link, VIEWER)
                first, second = (
                    ids_of(connection)
                    if len(ids_of(connection)) == 2
                    else (*ids_of(connection), await connection.begin())
                )
                await connection.deliver(first, ticks=1)
                await connection.deliver(second, viewer=1)
                await connection.complete(second)
                await connection.closed()

            assert [KeyError] == list(map(type, recorder.seen))
            assert [{"data": {"viewer": 1}}, "completed"] == other.seen

        test()


class TestObserversOfTheLink:
    def test_are_strangers_to_one_another_and_to_the_operations(self) -> None:
        @virtual
        async def test() -> None:
            complaints: list[Any] = []
            asyncio.get_running_loop().set_exception_handler(
                lambda _, complaint: complaints.append(complaint["exception"])
            )
            error = RuntimeError("of an observer")
            events: list[str] = []

            def fail(_: object) -> None:
                raise error

            async with serving(GraphQLWsLink) as server, GraphQLWsLink(server.url) as link:
                for stream in (link.states, link.events):
                    stream.subscribe(fail)
                    stream.subscribe(lambda it: events.append(type(it).__name__))
                connection, (recorder,) = await begun(server, link)
                await connection.complete(ids_of(connection)[0])
                await connection.closed()

            assert ["completed"] == recorder.seen
            assert len(events) == len(complaints) > 4
            assert {error} == set(complaints)

        test()
