"""The auth server over WebSocket: what runs on a socket, its counters, its end."""

import asyncio

import pytest

from rxlink.testing import VirtualTime, virtual
from rxlink.testing.auth_server import AuthServer
from tests.testing.auth_server_client import ECHO, INCREMENT, REFRESH, VIEWER, running
from tests.testing.websocket_client import (
    COUNTDOWN,
    LEGACY,
    TICKS,
    next_of,
    opened,
    until,
)

ACK = {"type": "connection_ack"}


class TestOperations:
    async def test_run_on_an_acknowledged_socket(self) -> None:
        async with AuthServer() as server, opened(server) as socket:
            acknowledged = await socket.init(server.sign_in("ada"))
            await socket.subscribe("1", VIEWER)
            await socket.subscribe("2", ECHO, value="again")
            await socket.subscribe("3", INCREMENT, key="a")
            heard = [await socket.hear() for _ in range(6)]

        assert ACK == acknowledged
        assert [
            next_of("1", viewer={"id": "ada", "name": "ada"}),
            {"id": "1", "type": "complete"},
            next_of("2", echo="again"),
            {"id": "2", "type": "complete"},
            next_of("3", increment=1),
            {"id": "3", "type": "complete"},
        ] == heard
        assert {"a": 1} == server.counters

    async def test_count_down_to_their_end(self) -> None:
        async with AuthServer() as server, opened(server) as socket:
            await socket.init(server.sign_in("ada"))
            await socket.subscribe("1", COUNTDOWN, start=2)
            heard = [await socket.hear() for _ in range(3)]

        assert [next_of("1", left=2), next_of("1", left=1), {"id": "1", "type": "complete"}] == heard

    async def test_are_refused_by_an_error_if_something_is_wrong_with_them(self) -> None:
        wrong = [
            ("{ nothing }", {}),
            (TICKS, {"every": 0}),
            (TICKS, {}),
            ("subscription { ticks(every: 1) @skip(if: true) }", {}),
        ]
        async with AuthServer() as server, opened(server) as socket:
            await socket.init(server.sign_in("ada"))
            for number, (query, variables) in enumerate(wrong):
                await socket.subscribe(str(number), query, **variables)
            heard = [await socket.hear() for _ in wrong]

        assert [("error", str(number)) for number in range(4)] == [(each["type"], each["id"]) for each in heard]
        messages = [each["payload"][0]["message"] for each in heard]
        assert "Cannot query field" in messages[0]
        assert "every must be more than 0, not 0.0." == messages[1]
        assert "'$every'" in messages[2]
        assert "skip" in messages[3] or "nothing" in messages[3]

    async def test_refresh_tokens(self) -> None:
        async with AuthServer() as server, opened(server) as socket:
            pair = server.sign_in("ada")
            await socket.init(pair)
            await socket.subscribe("1", REFRESH, token=pair.refresh_token)
            heard = await socket.hear()

        assert heard["payload"]["data"]["refreshToken"]["accessToken"]
        [attempt] = server.ledger.refresh_tries
        assert ("websocket", pair.generation, "granted") == (attempt.via, attempt.generation, attempt.outcome)

    async def test_a_subscription_needs_a_socket(self) -> None:
        async with running() as (server, client, _):
            status, body = await client.graphql(TICKS, {"every": 1}, token=server.sign_in("ada").access_token)

        assert (400, "A subscription needs a WebSocket.") == (status, body["errors"][0]["message"])


class TestTicks:
    @virtual
    async def test_are_told_to_all_sockets_at_once_by_the_time_of_the_server(self, time: VirtualTime) -> None:
        async with AuthServer(token_life=60, clock=time.monotonic) as server:
            pair = server.sign_in("ada")
            async with opened(server) as first, opened(server) as second:
                await first.init(pair)
                await second.init(pair)
                await first.subscribe("1", TICKS, every=0.2, key="a")
                begun = time.monotonic()
                early = [await first.hear() for _ in range(2)]
                await second.subscribe("2", TICKS, every=0.2, key="a")
                late = await asyncio.gather(first.hear(), second.hear())
                now = time.monotonic()

        assert [next_of("1", ticks=0), next_of("1", ticks=1)] == early
        assert [next_of("1", ticks=2), next_of("2", ticks=2)] == late
        assert 0.6 == pytest.approx(now - begun)

    @virtual
    async def test_that_nobody_hears_are_lost(self, time: VirtualTime) -> None:
        async with AuthServer(token_life=60, clock=time.monotonic) as server, opened(server) as socket:
            await socket.init(server.sign_in("ada"))
            await socket.subscribe("1", TICKS, every=0.2, key="a")
            before = await socket.hear()
            await socket.say("complete", id="1")
            nothing = await socket.pong()
            await asyncio.sleep(0.3)
            await socket.subscribe("2", TICKS, every=0.2, key="a")
            after = await socket.hear()

        assert [] == nothing
        assert (0, 2) == (before["payload"]["data"]["ticks"], after["payload"]["data"]["ticks"])

    @virtual
    async def test_have_a_counter_for_each_key_and_period(self, time: VirtualTime) -> None:
        async with AuthServer(token_life=60, clock=time.monotonic) as server, opened(server) as socket:
            await socket.init(server.sign_in("ada"))
            await socket.subscribe("1", TICKS, every=0.5, key="a")
            await asyncio.sleep(0.6)
            await socket.subscribe("2", TICKS, every=0.5, key="b")
            await socket.subscribe("3", TICKS, every=0.3, key="a")
            await socket.subscribe("4", TICKS, every=0.5)
            await asyncio.sleep(0.6)
            heard = await socket.pong()

        assert [("1", 0), ("3", 0), ("1", 1), ("2", 0), ("4", 0), ("3", 1)] == [
            (each["id"], each["payload"]["data"]["ticks"]) for each in heard
        ]

    @virtual
    async def test_run_before_the_ping_that_follows_is_answered(self, time: VirtualTime) -> None:
        async with AuthServer(token_life=60, clock=time.monotonic) as server:
            async with opened(server) as old, opened(server) as new:
                pair = server.sign_in("ada")
                await old.init(pair)
                await new.init(pair)
                await old.subscribe("1", TICKS, every=0.05)
                heard, numbers = [], []
                for _ in range(10):
                    await new.subscribe("2", TICKS, every=0.05)
                    heard += await new.pong()
                    numbers += [each["payload"]["data"]["ticks"] for each in await old.pong()]
                    await old.say("complete", id="1")
                    await asyncio.sleep(0.05)
                    numbers += [each["payload"]["data"]["ticks"] for each in await new.pong()]
                    await old.pong()
                    await old.subscribe("1", TICKS, every=0.05)
                    await old.pong()
                    await new.say("complete", id="2")

        assert [] == heard
        assert list(range(len(numbers))) == numbers
        assert len(numbers) >= 10

    @virtual
    async def test_all_come_however_late_the_server_is(self, time: VirtualTime) -> None:
        async with AuthServer(token_life=60, clock=time.monotonic) as server, opened(server) as socket:
            await socket.init(server.sign_in("ada"))
            await socket.subscribe("1", TICKS, every=0.1)
            await socket.pong()
            time.loop._set_time(time.monotonic() + 0.55)
            heard = [await socket.hear() for _ in range(6)]

        assert list(range(6)) == [each["payload"]["data"]["ticks"] for each in heard]


class TestLifecycle:
    def test_has_no_address_before_it_runs(self) -> None:
        with pytest.raises(RuntimeError, match="not running"):
            _ = AuthServer().ws_url

    async def test_closing_the_server_closes_its_sockets_as_going_away(self) -> None:
        server = AuthServer()
        await server.start()
        async with opened(server) as socket, opened(server, LEGACY) as other:
            await socket.init(server.sign_in("ada"))
            await socket.subscribe("1", TICKS, every=0.01)
            closing = asyncio.ensure_future(server.aclose())
            while isinstance(end := await socket.hear(), dict):
                pass
            others_end = await other.hear()
            await closing

        assert [(1001, "Going away")] * 2 == [end, others_end]
        assert [("server", 1001)] * 2 == [(each.closed_by, each.code) for each in server.ledger.sockets]

    async def test_a_client_that_breaks_off_leaves_nothing_running(self) -> None:
        async with AuthServer() as server:
            async with opened(server) as socket:
                await socket.init(server.sign_in("ada"))
                await socket.subscribe("1", TICKS, every=0.01)
                await socket.pong()
                socket.socket._response.connection.transport.abort()
                await until(lambda: server.ledger.sockets[0].closed)

        assert ("lost", 1006) == (server.ledger.sockets[0].closed_by, server.ledger.sockets[0].code)
