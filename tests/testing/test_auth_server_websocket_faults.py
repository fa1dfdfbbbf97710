"""The faults that an auth server injects into sockets."""

import asyncio
from contextlib import suppress
from typing import Any

import aiohttp
import pytest

from rxlink.testing import VirtualTime, virtual
from rxlink.testing.auth_server import AuthServer, Fault, FaultScript, SocketRules
from tests.testing.websocket_client import LEGACY, TICKS, codes_of, next_of, opened, until

ACK = {"type": "connection_ack"}
LOST = (1006, "")


def ends_of(server: AuthServer) -> list[Any]:
    return [(each.closed_by, each.code, each.why) for each in server.ledger.sockets]


class TestOfSockets:
    async def test_close_with_a_code(self) -> None:
        async with AuthServer() as server, opened(server) as socket:
            server.faults.add(Fault.close(4499, "for a test"), on="websocket")
            end = await socket.init(server.sign_in("ada"))

        assert (4499, "for a test") == end
        assert [("server", 4499, "close")] == ends_of(server)
        assert () == server.faults.remaining

    @pytest.mark.parametrize(("code", "is_noted"), [(4401, True), (4403, True), (4400, False)])
    async def test_a_close_for_a_bad_token_is_a_reason_to_refresh(self, code: int, *, is_noted: bool) -> None:
        async with AuthServer() as server, opened(server) as socket:
            pair = server.sign_in("ada")
            server.faults.add(Fault.close(code), on="websocket")
            await socket.init(pair)

        assert is_noted == (pair.generation.refused_at is not None)

    async def test_cut(self) -> None:
        async with AuthServer() as server, opened(server) as socket:
            server.faults.add(Fault.drop(), on="websocket")
            end = await socket.init(server.sign_in("ada"))

        assert LOST == end
        assert [("server", 1006, "drop")] == ends_of(server)

    @virtual
    async def test_cut_later(self, time: VirtualTime) -> None:
        async with AuthServer(token_life=60, clock=time.monotonic) as server, opened(server) as socket:
            server.faults.add(Fault.drop().after(1.0), on="websocket")
            await socket.init(server.sign_in("ada"))
            await socket.subscribe("1", TICKS, every=0.4)
            heard = [await socket.hear() for _ in range(3)]
            now = time.monotonic()

        assert [next_of("1", ticks=0), next_of("1", ticks=1), LOST] == heard
        assert 1.0 == now

    @virtual
    async def test_delay_the_acknowledgement(self, time: VirtualTime) -> None:
        async with AuthServer(clock=time.monotonic) as server, opened(server) as socket:
            server.faults.add(Fault.delay(1.5), on="websocket")
            acknowledged = await socket.init(server.sign_in("ada"))
            now = time.monotonic()

        assert (ACK, 1.5) == (acknowledged, now)
        assert (0.0, 1.5) == (server.ledger.sockets[0].initialised, server.ledger.sockets[0].acknowledged)

    @pytest.mark.parametrize("after", [0.0, 1.0])
    def test_stall(self, after: float) -> None:
        @virtual
        async def test(time: VirtualTime) -> None:
            async with AuthServer(clock=time.monotonic) as server, opened(server) as socket:
                server.faults.add(Fault.hang().after(after), on="websocket")
                await socket.say("connection_init", payload={"authorization": server.sign_in("ada").access_token})
                await asyncio.sleep(2 * after)
                await socket.say("ping")
                await socket.say("ping")
                await until(lambda: not server.faults.remaining)
                server.strike_sockets(Fault.frame())
                heard = []
                with suppress(TimeoutError):
                    async with asyncio.timeout(60):
                        while True:
                            heard.append(await socket.hear())

            assert ([ACK] if after else []) == heard
            assert [("server", 1006, "hang")] == ends_of(server)

        test()

    async def test_a_stalled_socket_is_noted_as_its_client_leaves(self) -> None:
        async with AuthServer() as server:
            server.faults.add(Fault.hang(), on="websocket")
            async with opened(server) as socket:
                await socket.say("connection_init")
                await socket.say("ping")
                await until(lambda: not server.faults.remaining)
                socket.socket._response.connection.transport.abort()
            await until(lambda: server.ledger.sockets[0].closed)

        assert [("lost", 1006, None)] == ends_of(server)

    @pytest.mark.parametrize(("data", "kind"), [("garbage", aiohttp.WSMsgType.TEXT), (b"\0", aiohttp.WSMsgType.BINARY)])
    async def test_send_a_frame_that_is_no_message_and_go_on(self, data: Any, kind: Any) -> None:
        async with AuthServer() as server, opened(server) as socket:
            server.faults.add(Fault.frame(data), on="websocket")
            token = server.sign_in("ada").access_token
            await socket.say("connection_init", payload={"authorization": token})
            frame = await socket.socket.receive()
            acknowledged = await socket.hear()

        assert (kind, data, ACK) == (frame.type, frame.data, acknowledged)

    @pytest.mark.parametrize("refusal", [4401, 4403])
    async def test_refuse_whatever_the_token(self, refusal: Any) -> None:
        async with AuthServer(sockets=SocketRules(refusal=refusal)) as server, opened(server) as socket:
            pair = server.sign_in("ada")
            server.faults.add(Fault.unauthenticated(), on="websocket")
            code, _ = await socket.init(pair)

        assert (refusal, True) == (code, pair.generation.refused_at is not None)

    async def test_refuse_in_the_older_protocol(self) -> None:
        async with AuthServer() as server, opened(server, LEGACY) as socket:
            server.faults.add(Fault.unauthenticated(), on="websocket")
            refused = await socket.init(server.sign_in("ada"))
            end = await socket.hear()

        assert ("connection_error", 1011) == (refused["type"], end[0])

    async def test_refuse_each_operation_on_a_socket_where_that_is_the_way(self) -> None:
        async with AuthServer(sockets=SocketRules(refusal="error")) as server, opened(server) as socket:
            server.faults.add(Fault.unauthenticated(), on="websocket")
            acknowledged = await socket.init(server.sign_in("ada"))
            await socket.subscribe("1", TICKS, every=60)
            refused = await socket.hear()

        assert (ACK, ["UNAUTHENTICATED"]) == (acknowledged, codes_of(refused))

    @pytest.mark.parametrize(("fault", "expected"), [(Fault.status(503), 503), (Fault.too_many_requests(3), 429)])
    async def test_refuse_the_handshake(self, fault: Fault, expected: int) -> None:
        async with AuthServer() as server:
            server.faults.add(fault, on="websocket")
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                async with opened(server):
                    pass
            async with opened(server) as socket:
                acknowledged = await socket.init(server.sign_in("ada"))

        assert (expected, ACK) == (refused.value.status, acknowledged)
        assert 1 == len(server.ledger.sockets)

    async def test_strike_by_what_is_known_of_the_socket(self) -> None:
        async with AuthServer() as server, opened(server) as ada, opened(server) as bob:
            pair = server.sign_in("ada")
            server.faults.add(
                Fault.close(4400), on="websocket", when=lambda arrival: arrival.generation is pair.generation
            )
            bobs, adas = await bob.init(server.sign_in("bob")), await ada.init(pair)

        assert (ACK, (4400, "")) == (bobs, adas)


class TestOfOpenSockets:
    @pytest.mark.parametrize(
        ("fault", "expected"),
        [
            (Fault.drop(), LOST),
            (Fault.close(4205, "Client Restart"), (4205, "Client Restart")),
            (Fault.unauthenticated(), (4403, "Forbidden")),
            (Fault.frame("{}"), {}),
        ],
    )
    async def test_strike_all_of_them(self, fault: Fault, expected: Any) -> None:
        async with AuthServer() as server, opened(server) as first, opened(server) as second:
            for each in (first, second):
                await each.init(server.sign_in("ada"))
            struck = server.strike_sockets(fault)
            heard = [await each.hear() for each in (first, second)]

        assert (2, [expected] * 2) == (struck, heard)

    async def test_end_subscriptions_where_operations_are_refused(self) -> None:
        async with AuthServer(sockets=SocketRules(refusal="error")) as server, opened(server) as socket:
            await socket.init(server.sign_in("ada"))
            await socket.subscribe("1", TICKS, every=60)
            await socket.pong()
            server.strike_sockets(Fault.unauthenticated())
            ended = await socket.hear()

        assert ("1", ["UNAUTHENTICATED"]) == (ended["id"], codes_of(ended))

    @pytest.mark.parametrize("fault", [Fault.status(503), Fault.drop().after(1), Fault.delay(1)])
    def test_are_of_some_kinds_only(self, fault: Fault) -> None:
        with pytest.raises(ValueError, match="strikes an open socket at once"):
            AuthServer().strike_sockets(fault)

    def test_there_are_none_before_the_server_runs(self) -> None:
        assert 0 == AuthServer().strike_sockets(Fault.drop())


class TestScript:
    @pytest.mark.parametrize(
        ("fault", "on", "message"),
        [
            (Fault.close(4403), "graphql", "on must be 'websocket' for Fault.close, not 'graphql'"),
            (Fault.frame(), "refresh", "on must be 'websocket' for Fault.frame"),
            (Fault.not_json(), "websocket", "on must not be 'websocket' for Fault.not_json"),
            (Fault.invalid_grant(), "websocket", "on must be 'refresh' for Fault.invalid_grant"),
            (Fault.drop(), "socket", "not 'socket'"),
        ],
    )
    def test_refuses_what_cannot_strike_there(self, fault: Fault, on: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            FaultScript().add(fault, on=on)

    @pytest.mark.parametrize("code", [999, 1004, 1005, 1006, 1015, 2999, 5000])
    def test_refuses_a_code_that_may_not_be_sent(self, code: int) -> None:
        with pytest.raises(ValueError, match=f"code must be .* not {code}"):
            Fault.close(code)
