"""GraphQLWsLink when the refresh of its session fails, when that is closed, and when others share its tokens."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rxlink import (
    AuthSession,
    ClientClosed,
    MemoryTokenStorage,
    SessionEnded,
    TokenRefreshError,
    TokenSet,
)
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import Issuer
from tests.transport.websocket_bench import Bench, began, bench, session_with, settle, ticks, token_of
from tests.transport.websocket_server import Connection


@virtual
async def test_a_refresh_that_ends_the_session_ends_all_operations(time: VirtualTime) -> None:
    issuer = Issuer(script=[SessionEnded("refresh token rejected")], delay=1.0)
    async with session_with(issuer, time) as session, bench(auth=session) as link:
        recorders = [link.start("A"), link.start("B")]
        connection, _ = await link.accept("A", "B")

        await connection.close(4403, "expired")
        await asyncio.sleep(60)

        errors = [error for recorder in recorders for error in recorder.seen]
        assert ["refresh token rejected"] * 2 == [error.reason for error in errors if isinstance(error, SessionEnded)]
        assert errors[0] is not errors[1]
        assert [4403, 4403] == [error.auth_error.code for error in errors]
        assert ["operation A", "operation B"] == [str(error)[:11] for error in errors]
        assert 1 == len(link.server.handshakes)
        assert "idle" == link.states[-1]


@virtual
async def test_a_refresh_that_fails_for_good_ends_those_who_wait_with_the_cause(time: VirtualTime) -> None:
    issuer = Issuer(script=[ValueError("a mistake")])
    async with session_with(issuer, time) as session, bench(auth=session) as link:
        recorders = [link.start("A"), link.start("B")]
        connection, _ = await link.accept("A", "B")

        await connection.close(4403, "expired")
        await asyncio.sleep(60)

        errors = [error for recorder in recorders for error in recorder.seen]
        assert [TokenRefreshError] * 2 == [type(error) for error in errors]
        assert ["operation A", "operation B"] == [str(error)[:11] for error in errors]
        assert [4403, 4403] == [error.auth_error.code for error in errors]
        assert [ValueError, ValueError] == [type(error.__cause__) for error in errors]
        assert 1 == len(link.server.handshakes)


@virtual
async def test_a_refresh_that_fails_for_a_while_is_a_failed_try(time: VirtualTime) -> None:
    issuer = Issuer(script=[ConnectionError()] * 40)
    options = {"refresh_timeout": 10.0}
    async with session_with(issuer, time, **options) as session, bench(auth=session, retry_attempts=None) as link:
        seen = link.start("A").seen
        connection, _ = await link.accept("A")

        await connection.close(4403, "expired")
        connection, ids = await link.accept("A")
        await connection.deliver(ids["A"], tick=1)
        await settle()

        assert ("A1", ticks(1)) == (token_of(connection), seen)
        assert "Retrying" in link.kinds()
        assert 2 == len(link.server.handshakes)


@virtual
async def test_a_refresh_that_fails_for_a_while_ends_operations_when_the_tries_are_used_up(time: VirtualTime) -> None:
    issuer = Issuer(script=[ConnectionError()] * 10_000)
    async with session_with(issuer, time) as session, bench(auth=session, retry_attempts=1) as link:
        seen = link.start("A").seen
        connection, _ = await link.accept("A")

        await connection.close(4403, "expired")
        await asyncio.sleep(200)

        assert [TokenRefreshError] == [type(error) for error in seen]
        assert 4403 == seen[0].auth_error.code


@virtual
async def test_where_the_session_is_closed_operations_end_when_they_need_a_token(time: VirtualTime) -> None:
    session = session_with(Issuer(), time)
    async with bench(auth=session) as link:
        seen = link.start("A").seen
        connection, _ = await link.accept("A")
        await session.aclose()
        other = link.start("B")
        await began(connection, "B")

        connection.abort()
        await asyncio.sleep(60)

        assert [ClientClosed] == [type(error) for error in seen]
        assert [ClientClosed] == [type(error) for error in other.seen]


@asynccontextmanager
async def _two_sessions(time: VirtualTime) -> AsyncIterator[tuple[AuthSession, AuthSession, Bench, Connection]]:
    """Yield a session with a link, and another one with the same storage."""
    storage = MemoryTokenStorage(TokenSet("A0", refresh_token="R0"))
    issuer = Issuer()
    async with (
        AuthSession(refresh=issuer, storage=storage, clock=time.clock) as own,
        AuthSession(refresh=issuer, storage=storage, clock=time.clock) as other,
        bench(auth=own) as link,
    ):
        link.server.answers_pings = True
        link.start("A")
        connection, _ = await link.accept("A")
        yield own, other, link, connection


@virtual
async def test_tokens_that_another_session_has_got_move_the_socket(time: VirtualTime) -> None:
    async with _two_sessions(time) as (_, other, link, before):
        await other.refresh(force=True)

        after, _ = await link.accept("A")

        assert ["A0", "A1"] == [token_of(before), token_of(after)]
        assert time.monotonic() < 31
        assert (1000, "Normal Closure") == await before.closed()


@virtual
async def test_a_sign_out_by_another_session_closes_the_socket(time: VirtualTime) -> None:
    async with _two_sessions(time) as (_, other, link, before):
        await other.clear()

        assert (1000, "Normal Closure") == await before.closed()

        assert time.monotonic() < 31
        await settle()
        assert "idle" == link.states[-1]


@virtual
async def test_a_kept_socket_hears_of_a_sign_out_by_another_session_too(time: VirtualTime) -> None:
    storage = MemoryTokenStorage(TokenSet("A0", refresh_token="R0"))
    async with (
        AuthSession(refresh=Issuer(), storage=storage, clock=time.clock) as own,
        AuthSession(refresh=Issuer(), storage=storage, clock=time.clock) as other,
        bench(auth=own, on_new_token="keep") as link,
    ):
        link.server.answers_pings = True
        seen = link.start("A").seen
        connection, _ = await link.accept("A")
        await other.clear()

        assert (1000, "Normal Closure") == await connection.closed()
        assert [SessionEnded] == [type(error) for error in seen]


@virtual
async def test_a_session_that_has_to_load_first_is_waited_for(time: VirtualTime) -> None:
    storage = MemoryTokenStorage(TokenSet("A0", refresh_token="R0"))
    async with AuthSession(refresh=Issuer(), storage=storage, clock=time.clock) as session, bench(auth=session) as link:
        seen = link.start("A").seen

        connection, ids = await link.accept("A")
        await connection.deliver(ids["A"], tick=1)
        await settle()

        assert ("A0", ticks(1)) == (token_of(connection), seen)
