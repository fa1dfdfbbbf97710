"""GraphQLWsLink with `on_new_token="reconnect"`: what is under way on the older socket ends there first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from rxlink import AuthSession, SessionEnded, SocketClosed
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import Issuer
from tests.recording import END, Recorder
from tests.transport.websocket_bench import Bench, bench, session_with, settle, ticks, timers, token_of
from tests.transport.websocket_server import Connection

RESTART = (4205, "Client Restart")
TIMEOUT = 7.0


@dataclass
class Moving:
    """A link with a subscription S and one more operation, whose token was replaced."""

    bench: Bench
    session: AuthSession
    recorders: dict[str, Recorder]
    old: Connection
    ids: dict[str, str]

    async def answer(self, name: str) -> None:
        await self.old.deliver(self.ids[name], tick=1)
        await self.old.complete(self.ids[name])
        await settle()


@asynccontextmanager
async def moving(time: VirtualTime, kind: str, **options: Any) -> AsyncIterator[Moving]:
    async with (
        session_with(Issuer(), time) as session,
        bench(auth=session, on_new_token="reconnect", keep_alive_timeout=TIMEOUT, **options) as link,
    ):
        recorders = {"S": link.start("S"), "M": link.start("M", kind)}
        old, ids = await link.accept("S", "M")
        await session.refresh(force=True)
        await settle()
        yield Moving(link, session, recorders, old, ids)


@pytest.mark.parametrize("kind", ["query", "mutation"])
@virtual
async def test_a_query_or_a_mutation_ends_where_it_runs_and_then_the_socket_closes(
    time: VirtualTime, kind: str
) -> None:
    async with moving(time, kind) as it:
        await asyncio.sleep(TIMEOUT / 2)
        assert 1 == len(it.bench.server.handshakes)

        await it.answer("M")
        assert RESTART == await it.old.closed()
        new, ids = await it.bench.accept("S")
        await new.deliver(ids["S"], tick=5)
        await settle()

        assert [*ticks(1), END] == it.recorders["M"].seen
        assert ticks(5) == it.recorders["S"].seen
        assert "A1" == token_of(new)


@virtual
async def test_subscriptions_are_heard_meanwhile(time: VirtualTime) -> None:
    async with moving(time, "query") as it:
        await it.old.deliver(it.ids["S"], tick=3)
        await settle()

        assert ticks(3) == it.recorders["S"].seen


@pytest.mark.parametrize("retries", [True, False])
@virtual
async def test_it_waits_no_longer_than_for_a_ping(time: VirtualTime, *, retries: bool) -> None:
    async with moving(time, "mutation", retry_mutations=retries) as it:
        await asyncio.sleep(TIMEOUT - 0.1)
        assert 1 == len(it.bench.server.handshakes)

        await asyncio.sleep(0.2)
        assert RESTART == await it.old.closed()
        await it.bench.accept(*("SM" if retries else "S"))

        assert ([] if retries else [SocketClosed]) == [type(error) for error in it.recorders["M"].seen]


@virtual
async def test_what_begins_meanwhile_waits_for_the_newer_socket(time: VirtualTime) -> None:
    async with moving(time, "query") as it:
        seen = it.bench.start("N", "mutation").seen
        await settle()
        assert 3 == len(it.old.received)

        await it.answer("M")
        new, ids = await it.bench.accept("S", "N")
        await new.deliver(ids["N"], tick=2)
        await settle()

        assert ticks(2) == seen


@virtual
async def test_where_the_older_socket_is_lost_meanwhile_there_is_no_more_to_wait_for(time: VirtualTime) -> None:
    async with moving(time, "query", retry_wait=lambda retries: 1.0) as it:
        it.old.abort()
        new, ids = await it.bench.accept("S", "M")
        await new.deliver(ids["M"], tick=4)
        await asyncio.sleep(2 * TIMEOUT)

        assert ticks(4) == it.recorders["M"].seen
        assert 2 == len(it.bench.server.handshakes)


@virtual
async def test_a_sign_out_ends_all_at_once(time: VirtualTime) -> None:
    async with moving(time, "query") as it:
        await it.session.clear()

        assert (1000, "Normal Closure") == await it.old.closed()
        await asyncio.sleep(2 * TIMEOUT)
        assert [SessionEnded] * 2 == [type(error) for each in it.recorders.values() for error in each.seen]
        assert 1 == len(it.bench.server.handshakes)
        assert [] == timers(time)


@virtual
async def test_when_all_have_left_no_other_socket_is_opened(time: VirtualTime) -> None:
    async with moving(time, "query") as it:
        for recorder in it.recorders.values():
            recorder.subscription.dispose()

        assert (1000, "Normal Closure") == await it.old.closed()
        await asyncio.sleep(2 * TIMEOUT)
        assert 1 == len(it.bench.server.handshakes)
        assert [] == timers(time)
