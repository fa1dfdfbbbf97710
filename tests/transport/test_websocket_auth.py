"""GraphQLWsLink with an AuthSession: with which token it connects, and what it does when that is refused."""

import asyncio
import re
from typing import Any

import pytest

from rxlink import (
    GraphQLWsLink,
    ServerError,
    SocketClosed,
    WebSocketLink,
)
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import Issuer
from tests.transport.websocket_bench import Bench, bench, session_with, settle, ticks, token_of
from tests.transport.websocket_server import Connection


async def _refuse(link: Bench, code: int, reason: str = "") -> Connection:
    connection = await link.server.connection()
    await connection.expect("connection_init")
    await connection.close(code, reason)
    return connection


@virtual
async def test_e86_the_parameters_are_made_anew_at_each_connect(time: VirtualTime) -> None:
    made: list[int] = []

    async def params() -> dict[str, Any]:
        made.append(1)
        return {"try": len(made), "authorization": "of nobody"}

    async with session_with(Issuer(), time) as session, bench(auth=session, connection_params=params) as link:
        link.start("A")
        first, _ = await link.accept("A")
        await session.refresh(force=True)
        second, _ = await link.accept("A")
        second.answers_pings = True
        first.abort()
        second.abort()
        third, _ = await link.accept("A")

        said = [connection.received[0]["payload"] for connection in (first, second, third)]
        assert [
            {"try": 1, "authorization": "Bearer A0"},
            {"try": 2, "authorization": "Bearer A1"},
            {"try": 3, "authorization": "Bearer A1"},
        ] == said


@virtual
async def test_e87_a_new_token_loses_no_subscription(time: VirtualTime) -> None:
    """S19: the socket is another, and the observables are the same."""
    async with session_with(Issuer(), time) as session, bench(auth=session, on_new_token="reconnect") as link:
        recorders = [link.start(name) for name in "ABC"]
        await link.accept("A", "B", "C")

        await session.refresh(force=True)
        new, ids = await link.accept("A", "B", "C")
        for number, name in enumerate("ABC"):
            await new.deliver(ids[name], tick=number)
        await settle()

        assert [ticks(0), ticks(1), ticks(2)] == [recorder.seen for recorder in recorders]


@pytest.mark.parametrize("code", [4401, 4403])
@virtual
async def test_e88_a_close_with_an_auth_code_has_the_token_refreshed_before_it_connects_again_at_once(
    code: int, time: VirtualTime
) -> None:
    issuer = Issuer(delay=3.0)
    async with session_with(issuer, time) as session, bench(auth=session) as link:
        seen = link.start("A").seen
        connection, _ = await link.accept("A")
        closed = time.monotonic()
        await connection.close(code, "token expired")

        connection, ids = await link.accept("A")
        await connection.deliver(ids["A"], tick=1)
        await settle()

        assert "A1" == token_of(connection)
        assert 3.0 == pytest.approx(time.monotonic() - closed, abs=0.1)
        assert ticks(1) == seen
        assert "Retrying" not in link.kinds()
        assert [False, True] == [event.is_retry for event in link.events if hasattr(event, "is_retry")]


@virtual
async def test_e88_codes_and_words_can_be_told(time: VirtualTime) -> None:
    options = {"auth_close_codes": (4400,), "auth_close_messages": ("gone", re.compile("jwt.*expired"))}
    issuer = Issuer()
    async with session_with(issuer, time) as session, bench(auth=session, **options) as link:
        seen = link.start("A").seen

        for code, reason in ((4400, ""), (4500, "gone"), (1011, "the jwt has expired")):
            connection, _ = await link.accept("A")
            await asyncio.sleep(20)
            await connection.close(code, reason)
        await link.accept("A")
        assert ([], 3) == (seen, issuer.issued)

        await link.server.connections[-1].close(4401, "not among them")
        await settle()
        assert [4401] == [error.code for error in seen]


@pytest.mark.parametrize("kind", [GraphQLWsLink, WebSocketLink])
@virtual
async def test_e88_a_connection_error_has_the_token_refreshed(kind: type[GraphQLWsLink], time: VirtualTime) -> None:
    protocol = "graphql-ws" if kind is WebSocketLink else "graphql-transport-ws"
    async with session_with(Issuer(), time) as session, bench(auth=session, link=kind, subprotocol=protocol) as link:
        link.start("A")
        refused = await link.server.connection()
        await refused.expect("connection_init")
        await refused.send({"type": "connection_error", "payload": {"message": "who?"}})

        connection, _ = await link.accept("A")

        assert "A1" == token_of(connection)


@pytest.mark.parametrize("status", [401, 403])
@virtual
async def test_e88_a_refused_handshake_has_the_token_refreshed(status: int, time: VirtualTime) -> None:
    async with session_with(Issuer(), time) as session, bench(auth=session) as link:
        link.server.refusal = status
        link.start("A")
        await link.server.handshake()
        link.server.refusal = None

        connection, _ = await link.accept("A")

        assert "A1" == token_of(connection)


@virtual
async def test_e91_a_fresh_token_that_is_refused_too_ends_operations_with_the_cause(time: VirtualTime) -> None:
    issuer = Issuer()
    async with session_with(issuer, time) as session, bench(auth=session) as link:
        recorders = [link.start("A"), link.start("B")]

        await _refuse(link, 4403, "no A0")
        await _refuse(link, 4403, "no A1")
        await asyncio.sleep(60)

        errors = [error for recorder in recorders for error in recorder.seen]
        assert [(4403, "no A1")] * 2 == [(error.code, error.reason) for error in errors]
        assert errors[0] is not errors[1]
        assert (2, 1) == (len(link.server.handshakes), issuer.issued)
        assert "idle" == link.states[-1]


@virtual
async def test_e91_so_does_one_that_is_refused_right_after_it_was_accepted(time: VirtualTime) -> None:
    issuer = Issuer()
    async with session_with(issuer, time) as session, bench(auth=session) as link:
        seen = link.start("A").seen

        for _ in range(2):
            connection, _ = await link.accept("A")
            await connection.close(4403, "no")
        await asyncio.sleep(60)

        assert [4403] == [error.code for error in seen]
        assert (2, 1) == (len(link.server.handshakes), issuer.issued)


@virtual
async def test_a_token_that_has_served_for_a_while_may_be_refused_again_and_again(time: VirtualTime) -> None:
    issuer = Issuer()
    async with session_with(issuer, time) as session, bench(auth=session) as link:
        seen = link.start("A").seen

        for _ in range(20):
            connection, _ = await link.accept("A")
            await asyncio.sleep(10.1)
            await connection.close(4403, "expired")
        await link.accept("A")

        assert ([], 20) == (seen, issuer.issued)


@virtual
async def test_so_may_one_that_has_come_to_its_end(time: VirtualTime) -> None:
    issuer = Issuer(life=4.0)
    async with session_with(issuer, time) as session, bench(auth=session, on_new_token="keep") as link:
        seen = link.start("A").seen
        await _refuse(link, 4403, "no A0")

        for _ in range(5):
            connection, _ = await link.accept("A")
            await asyncio.sleep(3.5)
            await connection.close(4403, "expired")
        await link.accept("A")

        assert ([], 6) == (seen, issuer.issued)


@virtual
async def test_e91_where_nobody_is_signed_in_the_first_refusal_is_the_end(time: VirtualTime) -> None:
    issuer = Issuer()
    async with session_with(issuer, time) as session, bench(auth=session) as link:
        await session.clear()
        seen = link.start("A").seen

        connection = await _refuse(link, 4401, "who?")
        await asyncio.sleep(60)

        assert token_of(connection) is None
        assert [(4401, "who?")] == [(error.code, error.reason) for error in seen if isinstance(error, SocketClosed)]
        assert (1, 0) == (len(link.server.handshakes), issuer.issued)


@virtual
async def test_e91_a_refused_handshake_ends_with_its_status(time: VirtualTime) -> None:
    async with session_with(Issuer(), time) as session, bench(auth=session) as link:
        link.server.refusal = 401
        seen = link.start("A").seen

        await asyncio.sleep(60)

        assert [401] == [error.status_code for error in seen if isinstance(error, ServerError)]
        assert 2 == len(link.server.handshakes)


@virtual
async def test_a_refused_token_that_was_replaced_meanwhile_is_not_refreshed_again(time: VirtualTime) -> None:
    issuer = Issuer()
    async with session_with(issuer, time) as session, bench(auth=session) as link:
        link.start("A")
        first = await link.server.connection()
        await first.expect("connection_init")

        await session.refresh(force=True)
        await first.close(4403)
        second, _ = await link.accept("A")

        assert "A1" == token_of(second)
        assert 1 == issuer.issued


@virtual
async def test_e93_a_slow_refresh_comes_before_the_socket_is_opened(time: VirtualTime) -> None:
    issuer = Issuer(delay=20.0)
    async with session_with(issuer, time, life=100) as session, bench(auth=session) as link:
        await asyncio.sleep(95)
        asked = time.monotonic()

        link.start("A")
        await asyncio.sleep(19)
        assert [] == link.server.handshakes
        connection, _ = await link.accept("A")

        assert "A1" == token_of(connection)
        assert 20.0 == pytest.approx(time.monotonic() - asked, abs=0.1)


@virtual
async def test_first_tokens_are_got_before_the_socket_is_opened(time: VirtualTime) -> None:
    from rxlink import AuthSession

    async with AuthSession(refresh=Issuer(), obtain_first=True, clock=time.clock) as session:
        async with bench(auth=session) as link:
            link.start("A")

            connection, _ = await link.accept("A")

            assert "A1" == token_of(connection)
