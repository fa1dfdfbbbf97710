"""GraphQLWsLink and the end of its token, while it only listens (E89)."""

import asyncio
import logging
from collections import Counter
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Any

import pytest

from rxlink import AuthSession, TokenSet
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import Issuer, names_of
from tests.transport.websocket_bench import bench, session_with, settle, ticks, timers, token_of

REQUEST: ContextVar[str] = ContextVar("request", default="nobody's")


@virtual
async def test_e89_before_the_token_ends_the_link_goes_over_to_a_new_one(time: VirtualTime) -> None:
    issuer = Issuer(life=100.0)
    async with session_with(issuer, time, life=100.0) as session, bench(auth=session) as link:
        link.server.answers_pings = True
        seen = link.start("A").seen
        moments: list[float] = []

        for number in range(5):
            connection, ids = await link.accept("A")
            moments.append(round(time.monotonic()))
            await connection.deliver(ids["A"], tick=number)

        await settle()
        assert [0, 75, 150, 225, 300] == moments
        assert ["A0", "A1", "A2", "A3", "A4"] == [token_of(connection) for connection in link.server.connections]
        assert ticks(0, 1, 2, 3, 4) == seen
        assert 4 == issuer.issued


@virtual
async def test_a_token_of_unknown_life_is_never_looked_at(time: VirtualTime) -> None:
    async with session_with(Issuer(), time) as session, bench(auth=session, keep_alive=None) as link:
        link.start("A")
        await link.accept("A")

        assert [] == timers(time)


@virtual
async def test_a_refresh_that_fails_is_tried_again_until_it_works(time: VirtualTime) -> None:
    issuer = Issuer(life=400.0, script=[ConnectionError()] * 3)
    async with session_with(issuer, time, life=400.0) as session, bench(auth=session) as link:
        link.server.answers_pings = True
        link.start("A")
        await link.accept("A")

        connection, _ = await link.accept("A")

        assert "A1" == token_of(connection)
        assert 340 <= issuer.calls[0][0] < 341
        assert time.monotonic() < 400


@pytest.mark.parametrize("policy", ["wait", "fail", "use_stale"])
@virtual
async def test_while_the_issuer_is_down_it_is_not_asked_all_the_time(policy: Any, time: VirtualTime) -> None:
    issuer = Issuer(script=[ConnectionError()] * 10_000)
    options = {"on_refresh_outage": policy}
    async with session_with(issuer, time, life=100.0, **options) as session, bench(auth=session) as link:
        link.server.answers_pings = True
        events: list[Any] = []
        session.events.subscribe(events.append)
        seen = link.start("A").seen
        connection, ids = await link.accept("A")

        await asyncio.sleep(300)
        await connection.deliver(ids["A"], tick=1)
        await settle()

        counts = Counter(names_of(events))
        assert counts["RefreshStarted"] < 300
        assert len(issuer.calls) < 300
        assert ticks(1) == seen
        assert not connection.is_closed


@virtual
async def test_the_link_follows_the_clock_after_a_long_sleep_of_the_machine(time: VirtualTime) -> None:
    skew = [timedelta(0)]

    def clock() -> datetime:
        return time.clock() + skew[0]

    tokens = TokenSet("A0", refresh_token="R0", expires_in=36_000.0)
    async with AuthSession(refresh=Issuer(life=36_000.0), tokens=tokens, clock=clock) as session:
        async with bench(auth=session) as link:
            link.server.answers_pings = True
            link.start("A")
            await link.accept("A")
            await asyncio.sleep(100)

            skew[0] = timedelta(hours=20)
            woke = time.monotonic()
            connection, _ = await link.accept("A")

            assert "A1" == token_of(connection)
            assert time.monotonic() - woke <= 31


@virtual
async def test_a_clock_that_is_set_back_puts_nothing_off_for_longer_than_the_server_lets_it(time: VirtualTime) -> None:
    skew = [timedelta(0)]
    tokens = TokenSet("A0", refresh_token="R0", expires_in=100.0)
    issuer = Issuer(life=100.0)
    async with AuthSession(refresh=issuer, tokens=tokens, clock=lambda: time.clock() + skew[0]) as session:
        async with bench(auth=session) as link:
            link.server.answers_pings = True
            link.start("A")
            connection, _ = await link.accept("A")
            skew[0] = timedelta(hours=-1)
            await asyncio.sleep(100)
            assert 0 == issuer.issued

            await connection.close(4403, "expired")
            connection, _ = await link.accept("A")

            assert "A1" == token_of(connection)


@virtual
async def test_a_link_without_a_socket_looks_at_nothing(time: VirtualTime) -> None:
    issuer = Issuer(life=100.0)
    async with session_with(issuer, time, life=100.0) as session, bench(auth=session) as link:
        recorder = link.start("A")
        await link.accept("A")
        recorder.subscription.dispose()

        await asyncio.sleep(1000)

        assert 0 == issuer.issued
        assert "idle" == link.states[-1]


@virtual
async def test_a_link_that_keeps_its_socket_keeps_its_token_fresh(time: VirtualTime) -> None:
    issuer = Issuer(life=100.0)
    async with session_with(issuer, time, life=100.0) as session, bench(auth=session, lazy=False) as link:
        link.server.answers_pings = True
        async with link.link:
            first = await link.server.connection()
            await first.acknowledge()

            second = await link.server.connection()
            await second.acknowledge()

            assert "A1" == token_of(second)
            assert (1000, "Normal Closure") == await first.closed()


@virtual
async def test_p11_what_the_link_does_by_itself_is_done_in_nobodys_context(time: VirtualTime) -> None:
    found: list[str] = []

    async def refresh(tokens: TokenSet | None, reason: object) -> TokenSet:
        found.append(REQUEST.get())
        return TokenSet(f"A{len(found)}", expires_in=100.0)

    def params() -> dict[str, str]:
        found.append(REQUEST.get())
        return {}

    tokens = TokenSet("A0", expires_in=100.0)
    async with AuthSession(refresh=refresh, tokens=tokens, clock=time.clock) as session:
        async with bench(auth=session, connection_params=params) as link:
            link.server.answers_pings = True
            REQUEST.set("the first subscriber's")
            link.start("A")
            REQUEST.set("somebody else's")

            await link.accept("A")
            await link.accept("A")

            assert ["nobody's"] * 3 == found


@pytest.mark.parametrize("timeout", [0.0, 1.0])
@virtual
async def test_p11_so_is_what_it_logs(timeout: float, time: VirtualTime, caplog: pytest.LogCaptureFixture) -> None:
    found: list[str] = []
    logger = logging.getLogger("rxlink.transport.websocket")
    note = lambda record: found.append(REQUEST.get()) or True  # noqa: E731
    async with session_with(Issuer(), time) as session, bench(auth=session, lazy_close_timeout=timeout) as link:
        caplog.set_level(logging.INFO, logger.name)
        logger.addFilter(note)
        REQUEST.set("the first subscriber's")
        link.start("A")
        REQUEST.set("somebody else's")
        await link.accept("A")

        await session.set_tokens(TokenSet("B0"))
        recorder = link.start("B")
        await link.accept("B")
        recorder.subscription.dispose()
        await link.until("idle")

        logger.removeFilter(note)
        assert ["nobody's"] * 6 == found
        assert ["Connecting", "Connected", "Closed"] * 2 == link.kinds()


@virtual
async def test_a_closed_session_is_looked_at_no_more(time: VirtualTime) -> None:
    session = session_with(Issuer(), time, life=100.0)
    async with bench(auth=session, keep_alive=None) as link:
        seen = link.start("A").seen
        connection, ids = await link.accept("A")

        await session.aclose()
        await asyncio.sleep(200)
        await connection.deliver(ids["A"], tick=1)
        await settle()

        assert ticks(1) == seen
        assert [] == timers(time)
