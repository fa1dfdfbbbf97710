"""The faults that an auth server injects into operations on sockets, and what it writes down of sockets."""

import asyncio
import time as clocks
from typing import Any

import pytest

from rxlink.testing import VirtualTime, virtual
from rxlink.testing.auth_server import AuthServer, Fault
from tests.testing.auth_server_client import ECHO, INCREMENT, REFRESH, VIEWER
from tests.testing.websocket_client import TICKS, codes_of, next_of, opened

LOST = (1006, "")


def ends_of(server: AuthServer) -> list[Any]:
    return [(each.closed_by, each.code, each.why) for each in server.ledger.sockets]


class TestOfOperations:
    async def test_refuse_one_and_not_the_others(self) -> None:
        async with AuthServer() as server, opened(server) as socket:
            pair = server.sign_in("ada")
            server.faults.add(Fault.unauthenticated(), on="graphql", operation_name="Ticks", times=None)
            await socket.init(pair)
            await socket.subscribe("1", TICKS, every=60)
            await socket.subscribe("2", ECHO, value="x")
            heard = [await socket.hear() for _ in range(2)]

        assert ("1", ["UNAUTHENTICATED"]) == (heard[0]["id"], codes_of(heard[0]))
        assert next_of("2", echo="x") == heard[1]
        assert ["faulted", "accepted"] == [send.outcome for send in server.ledger.all_sends]
        assert pair.generation.refused_at is not None

    @virtual
    async def test_delay(self, time: VirtualTime) -> None:
        async with AuthServer(token_life=60, clock=time.monotonic) as server, opened(server) as socket:
            server.faults.add(Fault.delay(1.0), on="graphql")
            await socket.init(server.sign_in("ada"))
            await socket.subscribe("1", ECHO, value="x")
            heard, now = await socket.hear(), time.monotonic()

        assert (next_of("1", echo="x"), 1.0) == (heard, now)
        assert [("accepted", "delay")] == [(send.outcome, send.fault) for send in server.ledger.all_sends]

    @pytest.mark.parametrize("fault", [Fault.hang(), Fault.delay(600)])
    async def test_hold_back_until_the_client_is_no_longer_interested(self, fault: Fault) -> None:
        async with AuthServer() as server, opened(server) as socket:
            server.faults.add(fault, on="graphql")
            await socket.init(server.sign_in("ada"))
            await socket.subscribe("1", INCREMENT, key="a")
            await socket.say("complete", id="1")
            heard = await socket.pong()

        assert ([], {}) == (heard, server.counters)
        assert [("faulted", "client-left")] == [(send.outcome, send.why) for send in server.ledger.all_sends]

    @pytest.mark.parametrize(("fault", "counters"), [(Fault.drop(), {}), (Fault.drop_after(), {"a": 1})])
    async def test_cut_the_socket_before_or_after_a_mutation(self, fault: Fault, counters: dict[str, int]) -> None:
        async with AuthServer() as server, opened(server) as socket:
            server.faults.add(fault, on="graphql")
            await socket.init(server.sign_in("ada"))
            await socket.subscribe("1", INCREMENT, key="a")
            end = await socket.hear()

        assert (LOST, counters) == (end, server.counters)
        assert [("server", 1006, fault.kind)] == ends_of(server)

    async def test_refuse_a_refresh(self) -> None:
        async with AuthServer() as server, opened(server) as socket:
            pair = server.sign_in("ada")
            server.faults.add(Fault.invalid_grant())
            await socket.init(pair)
            await socket.subscribe("1", REFRESH, token=pair.refresh_token)
            refused = await socket.hear()

        assert "invalid_grant" == refused["payload"][0]["extensions"]["reason"]
        assert ["faulted"] == [attempt.outcome for attempt in server.ledger.refresh_tries]

    @pytest.mark.parametrize("fault", [Fault.status(503), Fault.not_json()])
    async def test_an_answer_of_http_passes_them_by(self, fault: Fault) -> None:
        async with AuthServer() as server, opened(server) as socket:
            server.faults.add(fault, on="graphql")
            await socket.init(server.sign_in("ada"))
            await socket.subscribe("1", VIEWER)
            heard = await socket.hear()

        assert "next" == heard["type"]
        assert (fault,) == server.faults.remaining

    async def test_of_sockets_pass_them_by(self) -> None:
        async with AuthServer() as server, opened(server) as socket:
            await socket.init(server.sign_in("ada"))
            server.faults.add(Fault.drop(), on="websocket")
            await socket.subscribe("1", VIEWER)
            heard = await socket.hear()

        assert "next" == heard["type"]


class TestLedger:
    @virtual
    async def test_tells_which_token_each_socket_had(self, time: VirtualTime) -> None:
        async with AuthServer(token_life=60, clock=time.monotonic) as server:
            pair = server.sign_in("ada")
            async with opened(server) as socket:
                await asyncio.sleep(1)
                await socket.init(pair)
                await socket.subscribe("1", TICKS, every=0.5)
                await socket.hear()
                await socket.socket.close(code=4321)
            async with opened(server) as other:
                await other.init("nonsense")

        first, second = server.ledger.sockets
        assert (0.0, 1.0, 1.0, 1.5) == (first.opened, first.initialised, first.acknowledged, first.closed)
        assert (pair.generation, pair.generation.access_fingerprint) == (first.generation, first.token_fingerprint)
        assert ("graphql-transport-ws", 1, "client", 4321) == (
            first.protocol,
            first.operations,
            first.closed_by,
            first.code,
        )
        assert (None, None, "unknown") == (second.generation, second.acknowledged, second.why)
        assert second.token_fingerprint not in (None, first.token_fingerprint)

    async def test_shows_no_token(self) -> None:
        async with AuthServer() as server, opened(server) as socket:
            pair = server.sign_in("ada")
            await socket.init(pair)
            await socket.subscribe("1", TICKS, every=60, key="hush-hush")
            await socket.pong()
            shown = repr((server.ledger, server.faults, server))

        assert pair.access_token not in shown
        assert "hush-hush" not in shown

    async def test_a_socket_leaves_what_was_written_alone_at_its_end(self) -> None:
        began = clocks.monotonic()
        async with AuthServer() as server:
            async with opened(server) as socket:
                await socket.init()
                closed = server.ledger.sockets[0].closed
                await asyncio.sleep(0.01)

        assert closed == server.ledger.sockets[0].closed
        assert closed is not None
        assert closed >= began
