"""The life of GraphQLWsLink and WebSocketLink: when their socket opens and closes, and what is told of it."""

import asyncio
from typing import Any

import pytest

from rxlink.auth.link import AuthLink
from rxlink.auth.session import AuthSession
from rxlink.client.client import Client
from rxlink.core.chain import execute, from_, split
from rxlink.errors import InvariantError
from rxlink.links.retry import RetryLink
from rxlink.testing.virtual_time import VirtualTime, virtual
from rxlink.transport.http import HttpLink
from rxlink.transport.websocket import (
    GraphQLWsLink,
    WebSocketClosed,
    WebSocketConnected,
    WebSocketConnecting,
    WebSocketRetrying,
    WebSocketState,
)
from tests.recording import subscribed
from tests.testing.websocket_client import until
from tests.transport.websocket_server import ScriptedWebSocketServer
from tests.transport.websocket_stories import NORMAL, TICKS, VIEWER, Make, begun, both, ids_of, serving


class TestALazySocket:
    @both
    def test_opens_with_the_first_operation_and_closes_after_the_last(self, make: Make) -> None:
        @virtual
        async def test(time: VirtualTime) -> None:
            async with serving(make) as server, make(server.url) as link:
                await asyncio.sleep(10)
                before = len(server.handshakes)
                connection, _ = await begun(server, link, TICKS, VIEWER)
                first, second = ids_of(connection)
                await connection.complete(first)
                await asyncio.sleep(10)
                between = connection.is_closed
                await connection.complete(second)
                end = await connection.closed()

            assert (0, False, NORMAL) == (before, between, end)
            assert 20.0 == time.monotonic()

        test()

    @both
    def test_stays_open_for_a_while_if_that_is_wished(self, make: Make) -> None:
        @virtual
        async def test(time: VirtualTime) -> None:
            async with serving(make) as server, make(server.url, lazy_close_timeout=5.0, keep_alive=None) as link:
                connection, (recorder,) = await begun(server, link)
                recorder.subscription.dispose()
                await asyncio.sleep(4.9)
                second = subscribed(execute(link, TICKS))
                await asyncio.sleep(100)
                is_kept = not connection.is_closed
                second.subscription.dispose()
                await asyncio.sleep(4.9)
                is_still_there = not connection.is_closed
                await connection.closed()

            assert is_kept
            assert is_still_there
            assert 1 == len(server.handshakes)
            assert pytest.approx(109.8) == time.monotonic() - 0.1
            assert [] == time.leftovers()

        test()

    @both
    def test_opens_again_for_the_next_operation(self, make: Make) -> None:
        @virtual
        async def test() -> None:
            async with serving(make) as server, make(server.url) as link:
                for _ in range(3):
                    connection, (recorder,) = await begun(server, link)
                    recorder.subscription.dispose()
                    await connection.closed()

            assert 3 == len(server.handshakes)

        test()


class TestAnEagerSocket:
    @both
    def test_opens_by_itself_and_stays(self, make: Make) -> None:
        @virtual
        async def test() -> None:
            async with serving(make) as server, make(server.url, lazy=False, keep_alive=None) as link:
                connection = await server.connection()
                await connection.acknowledge()
                await asyncio.sleep(3600)
                recorder = subscribed(execute(link, TICKS))
                await connection.complete(await connection.begin())
                await asyncio.sleep(3600)
                is_open = not connection.is_closed

            assert is_open
            assert ["completed"] == recorder.seen
            assert NORMAL == await connection.closed()
            assert 1 == len(server.handshakes)

        test()

    @both
    def test_opens_by_itself_in_a_chain_too_and_by_way_of_a_client(self, make: Make) -> None:
        @virtual
        async def test() -> None:
            async with serving(make) as server, from_([RetryLink(), make(server.url, lazy=False)]):
                await server.connection()
            async with serving(make) as server, Client(split(bool, make(server.url, lazy=False))):
                await server.connection()

        test()

    @both
    def test_opens_with_the_first_operation_without_a_with_statement(self, make: Make) -> None:
        @virtual
        async def test() -> None:
            async with serving(make) as server:
                link = make(server.url, lazy=False)
                await asyncio.sleep(1)
                before = len(server.handshakes)
                connection, (recorder,) = await begun(server, link)
                recorder.subscription.dispose()
                await asyncio.sleep(10)
                is_open = not connection.is_closed
                await link.aclose()

            assert (0, True) == (before, is_open)

        test()

    @both
    def test_opens_again_when_it_is_lost_also_while_there_is_no_operation(self, make: Make) -> None:
        @virtual
        async def test(time: VirtualTime) -> None:
            async with serving(make) as server, make(server.url, lazy=False, retry_wait=lambda _: 1.0):
                for _ in range(3):
                    connection = await server.connection()
                    await connection.acknowledge()
                    connection.abort()
                await (await server.connection()).acknowledge()

            assert 3.0 == time.monotonic()

        test()

    @both
    @pytest.mark.parametrize("code", [4500, 4403])
    def test_that_is_given_up_is_told_and_opened_for_the_next_operation(self, make: Make, code: int) -> None:
        @virtual
        async def test() -> None:
            told: list[Exception] = []
            async with serving(make) as server:
                options = {"retry_attempts": 0, "on_non_lazy_error": told.append}
                async with make(server.url, lazy=False, **options) as link:
                    states = subscribed(link.states).seen
                    connection = await server.connection()
                    await connection.acknowledge()
                    await connection.close(code)
                    await asyncio.sleep(100)
                    state = states[-1]
                    await begun(server, link)

            assert [code] == [error.code for error in told]  # type: ignore[attr-defined]
            assert WebSocketState.IDLE == state
            assert 2 == len(server.handshakes)

        test()

    def test_that_is_given_up_is_reported_to_the_loop_otherwise(self) -> None:
        complaints: list[dict[str, Any]] = []

        async def story() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
            async with ScriptedWebSocketServer() as server:
                link = GraphQLWsLink(server.url, lazy=False)
                connection, _ = await begun(server, link)
                await connection.close(4500)
                await until(lambda: complaints)
                await begun(server, link)  # and is left like this

        asyncio.run(story())

        given_up = "rxlink: a WebSocket that should stay open was given up"
        assert [(given_up, 4500)] == [(each["message"], each["exception"].code) for each in complaints]

    def test_may_be_given_up_before_it_was_open(self) -> None:
        @virtual
        async def test() -> None:
            told: list[Exception] = []
            async with GraphQLWsLink(lambda: "nowhere", lazy=False, on_non_lazy_error=told.append):
                await asyncio.sleep(1)

            assert [InvariantError] == list(map(type, told))

        test()


class TestStatesAndEvents:
    @both
    def test_tell_what_becomes_of_the_connection(self, make: Make) -> None:
        @virtual
        async def test() -> None:
            async with serving(make) as server:
                link = make(server.url, retry_wait=float)
                states, events = subscribed(link.states).seen, subscribed(link.events).seen
                recorder = subscribed(execute(link, TICKS))
                connection = await server.connection()
                await connection.acknowledge({"hello": 1})
                await connection.close(4499, "for a test")
                server.refusal = 503
                await asyncio.sleep(0.5)
                server.refusal = None
                await (await server.connection()).acknowledge()
                await asyncio.sleep(0.01)
                recorder.subscription.dispose()
                await asyncio.sleep(0.01)
                late = subscribed(link.states).seen
                await link.aclose()

            assert [
                *[WebSocketState.IDLE, WebSocketState.CONNECTING, WebSocketState.CONNECTED],
                *[WebSocketState.RETRYING, WebSocketState.CONNECTING] * 2,
                *[WebSocketState.CONNECTED, WebSocketState.IDLE, WebSocketState.CLOSED, "completed"],
            ] == states
            assert [WebSocketState.IDLE, WebSocketState.CLOSED, "completed"] == late
            told = [event for event in events if type(event).__name__ != "Resubscribed"]
            assert [
                WebSocketConnecting(is_retry=False),
                WebSocketConnected(was_retry=False, payload={"hello": 1}),
                WebSocketClosed(4499, "for a test"),
                WebSocketRetrying(retries=0),
                WebSocketConnecting(is_retry=True),
                WebSocketClosed(None, "ServerError"),
                WebSocketRetrying(retries=1),
                WebSocketConnecting(is_retry=True),
                WebSocketConnected(was_retry=True, payload=None),
                WebSocketClosed(1000, "Normal Closure"),
                "completed",
            ] == told

        test()


class TestThePlaceInAChain:
    def test_is_its_end(self) -> None:
        with pytest.raises(InvariantError, match="never forwards"):
            from_([GraphQLWsLink("ws://localhost/"), HttpLink("http://localhost/")])

    @both
    def test_is_not_behind_an_auth_link_of_the_same_session(self, make: Make) -> None:
        session = AuthSession(refresh=lambda tokens, reason: None)
        other = AuthSession(refresh=lambda tokens, reason: None)
        link = make("ws://localhost/", auth=session)

        with pytest.raises(InvariantError, match=f"{make.__name__} has the session of the AuthLink above"):
            from_([AuthLink(session), link])

        from_([AuthLink(other), link])
        split(lambda operation: True, link, from_([AuthLink(session), HttpLink("http://localhost/")]))

    @both
    def test_shows_where_it_leads(self, make: Make) -> None:
        def of_shard() -> str:
            return ""

        assert f"<{make.__name__} wss://host:8443/graphql>" == repr(make("wss://a:b@host:8443/graphql?c=d#e"))
        assert repr(make(of_shard)).startswith(f"<{make.__name__} (the url of TestThePlaceInAChain.")
