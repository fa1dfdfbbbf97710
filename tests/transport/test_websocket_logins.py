"""GraphQLWsLink when somebody signs in or out (P8), and when the session ends or its refresh fails."""

import asyncio
import contextlib
import types
from collections.abc import Coroutine, Generator
from typing import Any

import pytest

from rxlink import (
    SessionEnded,
    TokenSet,
)
from rxlink.testing.virtual_time import VirtualTime, virtual
from rxlink.transport.websocket import WebSocketConnected
from tests.auth.scripted import Issuer
from tests.transport.websocket_bench import Reacting, bench, session_with, settle, ticks, timers, token_of


@virtual
async def test_p8_a_sign_out_ends_operations_and_closes_the_socket(time: VirtualTime) -> None:
    async with session_with(Issuer(), time) as session, bench(auth=session) as link:
        recorders = [link.start("A"), link.start("q", "query")]
        connection, _ = await link.accept("A", "q")

        await session.clear()
        assert (1000, "Normal Closure") == await connection.closed()
        await settle()

        errors = [error for recorder in recorders for error in recorder.seen]
        assert ["signed out"] * 2 == [error.reason for error in errors if isinstance(error, SessionEnded)]
        assert 1 == len(link.server.handshakes)
        assert "idle" == link.states[-1]


@virtual
async def test_p8_another_login_ends_operations_and_new_ones_get_a_socket_of_their_own(time: VirtualTime) -> None:
    async with session_with(Issuer(), time) as session, bench(auth=session) as link:
        old = link.start("A")
        before, _ = await link.accept("A")

        await session.set_tokens(TokenSet("B0"))
        new = link.start("B")
        after, ids = await link.accept("B")
        await after.deliver(ids["B"], tick=1)
        await settle()

        assert ["another login"] == [error.reason for error in old.seen]
        assert ticks(1) == new.seen
        assert ["A0", "B0"] == [token_of(before), token_of(after)]
        assert before.is_closed


@virtual
async def test_p8_an_operation_that_is_begun_again_by_its_own_error_goes_out_as_who_is_signed_in_now(
    time: VirtualTime,
) -> None:
    async with session_with(Issuer(), time) as session, bench(auth=session) as link:
        again: list[Any] = []
        link.start("A", recorder=Reacting(lambda: again.append(link.start("A"))))
        await link.accept("A")

        await session.set_tokens(TokenSet("B0"))
        after, ids = await link.accept("A")
        await after.deliver(ids["A"], tick=1)
        await settle()

        assert "B0" == token_of(after)
        assert [ticks(1)] == [recorder.seen for recorder in again]


@pytest.mark.parametrize("moment", ["token", "parameters", "handshake", "acknowledgement", "wait"])
@virtual
async def test_p8_another_login_while_the_link_connects_is_never_told_the_token_before(
    moment: str, time: VirtualTime
) -> None:
    gate = asyncio.Event()

    async def params() -> dict[str, Any]:
        if moment == "parameters":
            await gate.wait()
        return {}

    issuer = Issuer(delay=5.0)
    life = 100.0 if moment == "token" else None
    async with session_with(issuer, time, life=life) as session, bench(auth=session, connection_params=params) as link:
        await asyncio.sleep(95)
        link.server.is_silent = moment == "handshake"
        link.server.refusal = 503 if moment == "wait" else None
        old = link.start("A")
        if moment in {"handshake", "wait"}:
            await link.server.handshake()
        if moment == "acknowledgement":
            await link.server.connection()
        await asyncio.sleep(1)
        link.server.is_silent, link.server.refusal = False, None

        await session.set_tokens(TokenSet("B0"))
        gate.set()
        new = link.start("B")
        connection, ids = await link.accept("B")
        await connection.deliver(ids["B"], tick=1)
        await settle()

        assert ["another login"] == [error.reason for error in old.seen]
        assert ("B0", ticks(1)) == (token_of(connection), new.seen)


@virtual
async def test_p8_a_sign_out_in_an_overlap_closes_both_sockets(time: VirtualTime) -> None:
    async with session_with(Issuer(), time) as session, bench(auth=session) as link:
        seen = link.start("A").seen
        old, ids = await link.accept("A")
        await session.refresh(force=True)
        new, _ = await link.accept("A")
        await new.deliver(ids["A"], tick=1)
        await settle()

        await session.clear()
        await old.closed()
        await new.closed()

        assert [SessionEnded] == [type(error) for error in seen]
        assert "idle" == link.states[-1]


@virtual
async def test_p8_a_sign_out_by_an_observer_of_the_newer_connection_leaves_no_socket_of_that_login(
    time: VirtualTime,
) -> None:
    async with session_with(Issuer(), time) as session, bench(auth=session) as link:
        seen = link.start("A").seen
        old, _ = await link.accept("A")

        def sign_out_at_once(event: object) -> None:
            if isinstance(event, WebSocketConnected):
                tasks.append(_begun_at_once(session.clear()))

        tasks: list[asyncio.Task[None]] = []
        link.link.events.subscribe(sign_out_at_once)
        await session.refresh(force=True)
        new = await link.server.connection()
        await new.acknowledge()

        assert (1000, "Normal Closure") == await old.closed()
        assert (1000, "Normal Closure") == await new.closed()
        assert [SessionEnded] == [type(error) for error in seen]
        assert "idle" == link.states[-1]
        await asyncio.gather(*tasks)
        await settle()  # until both have closed on this side too
        assert [] == timers(time)


@virtual
async def test_the_state_is_true_when_somebody_signs_in_while_a_newer_socket_is_waited_for(time: VirtualTime) -> None:
    async with session_with(Issuer(), time) as session, bench(auth=session, retry_wait=lambda retries: 5) as link:
        link.start("A", recorder=Reacting(lambda: link.start("B")))
        await link.accept("A")
        link.server.refusal = 503
        await session.refresh(force=True)
        while "Retrying" not in link.kinds():
            await settle()
        link.server.refusal = None

        await session.set_tokens(TokenSet("B0"))
        await settle()
        assert "retrying" == link.states[-1]
        after, _ = await link.accept("B")

        assert "B0" == token_of(after)
        assert "connected" == link.states[-1]


def _begun_at_once(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run a coroutine to its first wait now, as the eager tasks of Python 3.12 do, and the rest of it in a task."""
    wait = coroutine.send(None)

    @types.coroutine
    def rest() -> Generator[Any, Any, None]:
        step = wait
        with contextlib.suppress(StopIteration):
            while True:
                yield step
                step = coroutine.send(None)

    async def go_on() -> None:
        await rest()

    return asyncio.get_running_loop().create_task(go_on())


@virtual
async def test_a_link_that_keeps_its_socket_opens_one_for_the_next_login(time: VirtualTime) -> None:
    async with session_with(Issuer(), time) as session, bench(auth=session, lazy=False) as link:
        async with link.link:
            before = await link.server.connection()
            await before.acknowledge()

            await session.set_tokens(TokenSet("B0"))
            after = await link.server.connection()
            await after.acknowledge()

            assert ["A0", "B0"] == [token_of(before), token_of(after)]
            assert before.is_closed
