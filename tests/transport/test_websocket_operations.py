"""Operations over GraphQLWsLink and WebSocketLink: how they are sent, what they get, and in which words."""

import asyncio
import json
from typing import Any

from graphql import parse

from rxlink.core.chain import execute
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import CombinedGraphQLErrors, SocketClosed
from rxlink.testing.virtual_time import VirtualTime, virtual
from rxlink.transport.websocket import (
    GraphQLWsLink,
    WebSocketLink,
)
from tests.recording import subscribed
from tests.transport.websocket_stories import NORMAL, RENAME, TICKS, VIEWER, Make, begun, both, ids_of, serving, ticked


class TestOperations:
    @both
    def test_of_all_kinds_share_the_socket(self, make: Make) -> None:
        @virtual
        async def test() -> None:
            async with serving(make) as server, make(server.url) as link:
                connection, recorders = await begun(server, link, TICKS, VIEWER, RENAME)
                ticks, viewer, rename = ids_of(connection)
                await connection.deliver(ticks, ticks=1)
                await connection.deliver(rename, rename=True)
                await connection.complete(rename)
                await connection.deliver(ticks, ticks=2)
                await connection.deliver(viewer, viewer=None)
                await connection.complete(viewer)
                await connection.complete(ticks)
                await connection.closed()

            assert [*ticked(1, 2), "completed"] == recorders[0].seen
            assert [{"data": {"viewer": None}}, "completed"] == recorders[1].seen
            assert [{"data": {"rename": True}}, "completed"] == recorders[2].seen
            assert 3 == len({ticks, viewer, rename})

        test()

    @both
    def test_can_be_awaited(self, make: Make) -> None:
        @virtual
        async def test() -> None:
            async with serving(make) as server, make(server.url) as link:
                waiting = asyncio.ensure_future(_awaited(execute(link, VIEWER)))
                connection = await server.connection()
                await connection.acknowledge()
                identity = await connection.begin()
                await connection.deliver(identity, viewer=1)
                await connection.complete(identity)

                assert {"data": {"viewer": 1}} == await waiting

        test()

    @both
    def test_run_anew_with_each_subscription(self, make: Make) -> None:
        @virtual
        async def test() -> None:
            async with serving(make) as server, make(server.url) as link:
                observable = execute(link, TICKS)
                first, second = subscribed(observable), subscribed(observable)
                connection = await server.connection()
                await connection.acknowledge()
                one, two = await connection.begin(), await connection.begin()
                await connection.deliver(one, ticks=1)
                await connection.deliver(two, ticks=2)
                await asyncio.sleep(0.01)

                assert one != two
                assert [ticked(1), ticked(2)] == [first.seen, second.seen]

        test()

    @both
    def test_a_thousand_of_them_begin_in_their_order(self, make: Make) -> None:
        @virtual
        async def test() -> None:
            async with serving(make) as server, make(server.url) as link:
                names = [f"Q{number}" for number in range(1000)]
                recorders = [subscribed(execute(link, GraphQLRequest(f"query {name} {{ a }}"))) for name in names]
                connection = await server.connection()
                await connection.acknowledge()
                for _ in names:
                    await connection.complete(await connection.begin())
                await connection.closed()

            assert names == [message["payload"]["operationName"] for message in connection.received if "id" in message]
            assert [["completed"]] * 1000 == [recorder.seen for recorder in recorders]
            assert 1 == len(server.handshakes)

        test()

    @both
    def test_end_with_what_the_server_says_is_wrong_with_them(self, make: Make) -> None:
        @virtual
        async def test() -> None:
            async with serving(make) as server, make(server.url) as link:
                connection, (one, two) = await begun(server, link, TICKS, TICKS)
                first, second = ids_of(connection)
                errors = [{"message": "no such field"}, {"message": "and no such type"}]
                await connection.send({"id": first, "type": "error", "payload": errors})
                result = {"data": None, "errors": errors}
                await connection.send(
                    {"id": second, "type": "next" if connection.is_newer else "data", "payload": result}
                )
                await connection.complete(second)
                await connection.closed()

            (error,) = one.seen
            assert isinstance(error, CombinedGraphQLErrors)
            assert (errors, "no such field\nand no such type") == (error.errors, str(error))
            assert [result, "completed"] == two.seen, "errors in a result stay there"

        test()

    @both
    def test_are_sent_as_the_other_links_send_them(self, make: Make) -> None:
        request = GraphQLRequest(
            "query A($a: Int) { f(a: $a) } query B { g }",
            {"a": 1, "unused": 2},
            operation_name="A",
            extensions={"trace": "ü"},
        )

        @virtual
        async def test() -> None:
            async with serving(make) as server, make(server.url) as link:
                connection, _ = await begun(server, link, request, GraphQLRequest("{ a }"))
                first, second = connection.received[1:]

            kind = "subscribe" if make is GraphQLWsLink else "start"
            assert {"id", "type", "payload"} == first.keys()
            assert kind == first["type"]
            assert {
                "operationName": "A",
                "variables": {"a": 1},
                "extensions": {"trace": "ü"},
                "query": "query A($a: Int) {\n  f(a: $a)\n}\n\nquery B {\n  g\n}",
            } == first["payload"]
            assert {"variables": {}, "query": "{\n  a\n}"} == second["payload"]

        test()

    @both
    def test_are_written_and_read_as_is_wished(self, make: Make) -> None:
        documents: list[Any] = []
        texts: list[Any] = []

        def write(document: Any, printer: Any) -> str:
            documents.append(document)
            return f"# mine\n{printer(document)}"

        def decode(body: bytes) -> Any:
            texts.append(body)
            return json.loads(body)

        @virtual
        async def test() -> None:
            options = {"print": write, "encode": lambda body: json.dumps({**body, "mine": 1}), "decode": decode}
            async with serving(make) as server, make(server.url, **options) as link:
                connection, (recorder,) = await begun(server, link, GraphQLRequest(parse("{ a }")))
                await connection.deliver(ids_of(connection)[0], a=1)
                await connection.complete(ids_of(connection)[0])
                await connection.closed()

            assert {"variables": {}, "query": "# mine\n{\n  a\n}", "mine": 1} == connection.received[1]["payload"]
            assert [{"data": {"a": 1}}, "completed"] == recorder.seen
            assert 1 == len(documents)
            assert [bytes] * 3 == list(map(type, texts))

        test()


class TestTheOlderProtocol:
    @virtual
    async def test_says_stop_and_terminate(self) -> None:
        async with serving(WebSocketLink) as server, WebSocketLink(server.url, connection_params={"a": 1}) as link:
            recorder = subscribed(execute(link, TICKS))
            connection = await server.connection()
            await connection.send({"type": "ka"})
            await connection.acknowledge()
            await connection.send({"type": "ka"})
            identity = await connection.begin()
            await connection.send({"type": "data", "id": identity, "payload": {"data": {"ticks": 1}}})
            await asyncio.sleep(0.01)
            recorder.subscription.dispose()
            end = await connection.closed()

        assert ticked(1) == recorder.seen
        assert ["connection_init", "start", "stop", "connection_terminate"] == connection.kinds
        assert {"a": 1} == connection.received[0]["payload"]
        assert {"type": "connection_terminate"} == connection.received[-1]
        assert NORMAL == end

    @virtual
    async def test_has_one_error_that_is_no_list(self) -> None:
        async with serving(WebSocketLink) as server, WebSocketLink(server.url) as link:
            connection, (recorder,) = await begun(server, link)
            await connection.send({"type": "error", "id": ids_of(connection)[0], "payload": {"message": "no"}})
            await connection.closed()

        assert ["no"] == list(map(str, recorder.seen))

    @both
    def test_may_refuse_the_connection_in_a_message_of_its_own(self, make: Make) -> None:
        """E88: `connection_error`; some servers of the newer protocol say it too. It is what 4403 is."""

        @virtual
        async def test(time: VirtualTime) -> None:
            async with serving(make) as server, make(server.url, retry_attempts=1, retry_wait=lambda _: 1.0) as link:
                recorder = subscribed(execute(link, TICKS))
                for _ in range(2):
                    connection = await server.connection()
                    await connection.expect("connection_init")
                    await connection.send({"type": "connection_error", "payload": {"message": "who are you?"}})
                    assert (1000, "") == await connection.closed()

            (error,) = recorder.seen
            assert isinstance(error, SocketClosed)
            assert "Socket closed with event 4403 who are you? (connection_error)" == str(error)
            assert (4403, "who are you?", 1.0) == (error.code, error.reason, time.monotonic())

        test()


async def _awaited(observable: Any) -> Any:
    return await observable
