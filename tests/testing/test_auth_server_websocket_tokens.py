"""The auth server over WebSocket: what becomes of a socket whose token is not good, or no longer."""

import asyncio
from typing import Any

import pytest

from rxlink.testing import VirtualTime, virtual
from rxlink.testing.auth_server import AuthServer, SocketRules
from tests.testing.auth_server_client import SIGN_OUT, VIEWER
from tests.testing.websocket_client import (
    TICKS,
    codes_of,
    next_of,
    opened,
)

ACK = {"type": "connection_ack"}


class TestTokens:
    @pytest.mark.parametrize(
        ("refusal", "expected"),
        [(4403, (4403, "Forbidden")), (4401, (4401, "Unauthorized"))],
    )
    @pytest.mark.parametrize(("token", "why"), [(None, "missing"), ("x", "unknown")])
    async def test_that_are_not_good_close_the_socket(
        self, refusal: Any, expected: Any, token: str | None, why: str
    ) -> None:
        async with AuthServer(sockets=SocketRules(refusal=refusal)) as server, opened(server) as socket:
            end = await socket.init(token)

        assert expected == end
        assert ("server", refusal, why) == tuple(
            getattr(server.ledger.sockets[0], name) for name in ("closed_by", "code", "why")
        )

    async def test_that_are_not_good_refuse_each_operation_if_told_so(self) -> None:
        async with AuthServer(sockets=SocketRules(refusal="error")) as server, opened(server) as socket:
            acknowledged = await socket.init("x")
            await socket.subscribe("1", TICKS, every=1)
            await socket.subscribe("2", VIEWER)
            refused = [await socket.hear() for _ in range(2)]

        assert ACK == acknowledged
        assert ("error", ["UNAUTHENTICATED"]) == (refused[0]["type"], codes_of(refused[0]))
        assert "unknown" == refused[1]["payload"]["errors"][0]["extensions"]["reason"]
        assert [("refused", "unknown")] * 2 == [(send.outcome, send.why) for send in server.ledger.all_sends]

    @virtual
    async def test_end_their_sockets_to_the_moment(self, time: VirtualTime) -> None:
        async with AuthServer(token_life=2.0, clock=time.monotonic) as server, opened(server) as socket:
            pair = server.sign_in("ada")
            await asyncio.sleep(0.5)
            await socket.init(pair)
            await socket.subscribe("1", TICKS, every=60)
            end = await socket.hear()
            now = time.monotonic()

        assert ((4403, "Forbidden"), 2.0) == (end, now)
        assert "expired" == server.ledger.sockets[0].why

    @virtual
    async def test_end_their_sockets_after_a_leeway(self, time: VirtualTime) -> None:
        rules = SocketRules(leeway=0.5)
        async with AuthServer(token_life=2.0, clock=time.monotonic, sockets=rules) as server, opened(server) as socket:
            pair = server.sign_in("ada")
            await socket.init(pair)
            await asyncio.sleep(2.1)
            await socket.subscribe("1", TICKS, every=60)
            refused = await socket.hear()
            async with opened(server) as late:
                late_end = await late.init(pair)
            end = await socket.hear()
            now = time.monotonic()

        assert (["UNAUTHENTICATED"], (4403, "Forbidden")) == (codes_of(refused), late_end)
        assert ((4403, "Forbidden"), 2.5) == (end, now)

    @virtual
    async def test_that_are_revoked_have_no_leeway(self, time: VirtualTime) -> None:
        rules = SocketRules(leeway=60)
        async with AuthServer(clock=time.monotonic, sockets=rules) as server, opened(server) as socket:
            await socket.init(server.sign_in("ada"))
            server.revoke_access("ada")
            await socket.hear()
            now = time.monotonic()

        assert (0.0, "revoked") == (now, server.ledger.sockets[0].why)

    @virtual
    async def test_end_subscriptions_where_operations_are_refused(self, time: VirtualTime) -> None:
        rules = SocketRules(refusal="error")
        async with AuthServer(clock=time.monotonic, sockets=rules) as server, opened(server) as socket:
            await socket.init(server.sign_in("ada"))
            await socket.subscribe("1", TICKS, every=60)
            ended = await socket.hear()
            await socket.subscribe("1", TICKS, every=60)
            refused = await socket.hear()

        assert [["UNAUTHENTICATED"]] * 2 == [codes_of(ended), codes_of(refused)]
        assert "expired" == refused["payload"][0]["extensions"]["reason"]

    @virtual
    async def test_do_not_end_their_sockets_if_told_so(self, time: VirtualTime) -> None:
        rules = SocketRules(ends_with_token=False)
        async with AuthServer(clock=time.monotonic, sockets=rules) as server, opened(server) as socket:
            await socket.init(server.sign_in("ada"))
            await socket.subscribe("1", TICKS, every=2)
            heard = [await socket.hear() for _ in range(3)]
            await socket.subscribe("2", TICKS, every=1)
            refused = await socket.hear()

        assert [0, 1, 2] == [each["payload"]["data"]["ticks"] for each in heard]
        assert ["UNAUTHENTICATED"] == codes_of(refused)

    async def test_that_are_revoked_end_their_sockets_and_no_others(self) -> None:
        async with AuthServer() as server:
            async with opened(server) as ada, opened(server) as bob:
                await ada.init(server.sign_in("ada"))
                await bob.init(server.sign_in("bob"))
                server.revoke_access("ada")
                end, alive = await ada.hear(), await bob.pong()

        assert ((4403, "Forbidden"), []) == (end, alive)
        assert "revoked" == server.ledger.sockets[0].why

    async def test_a_sign_out_is_answered_before_the_end(self) -> None:
        async with AuthServer() as server, opened(server) as socket:
            await socket.init(server.sign_in("ada"))
            await socket.subscribe("1", SIGN_OUT)
            heard = [await socket.hear() for _ in range(3)]

        assert [next_of("1", signOut=True), {"id": "1", "type": "complete"}, (4403, "Forbidden")] == heard


class TestRules:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"refusal": 4400}, r"refusal must be 4401, 4403 or 'error', not 4400"),
            ({"init_timeout": 0}, r"init_timeout .* 0"),
            ({"leeway": -1}, r"leeway .* -1"),
        ],
    )
    def test_refuse_a_bad_value_by_name(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            SocketRules(**options)
