"""GraphQLWsLink when something happens while it goes over to another socket."""

import asyncio

import pytest

from rxlink import CombinedGraphQLErrors
from rxlink.testing.virtual_time import VirtualTime, virtual
from rxlink.transport.websocket import WebSocketRetrying
from tests.auth.scripted import Issuer
from tests.transport.websocket_bench import (
    Reacting,
    began,
    bench,
    session_with,
    settle,
    ticks,
    token_of,
)
from tests.transport.websocket_overlap import by_tick, overlap

WAIT = 2.0
"""Seconds before the next try."""


def waiting(retries: int) -> float:
    return WAIT


@virtual
async def test_where_the_older_socket_is_cut_the_newer_one_takes_over_at_once(time: VirtualTime) -> None:
    async with overlap(time, "q", dedup_key=by_tick) as both:
        await both.tell(both.old, 1)
        await both.tell(both.new, 1, 2)
        both.old.abort()
        for _ in range(2):
            await both.new.expect("ping")
        await began(both.new, "q")
        await both.tell(both.new, 3)
        told = []
        for _ in range(2):
            told.append(both.resubscribed())
            await both.new.send({"type": "pong"})
            await settle()

        assert ticks(1, 2, 3) == both.seen
        assert [[], []] == told
        assert [("A", True, False)] == both.resubscribed()  # a query is answered, and misses nothing
        assert 2 == len(both.bench.server.handshakes)


@virtual
async def test_an_answer_to_what_was_asked_before_the_cut_counts_for_nothing(time: VirtualTime) -> None:
    async with overlap(time, keep_alive=None, keep_alive_timeout=7.0) as both:
        both.old.abort()
        await settle()

        await both.answer(both.new)
        await settle()
        assert [] == both.resubscribed()
        await asyncio.sleep(7.1)

        assert [("A", True, True)] == both.resubscribed()
        assert 2 == both.new.kinds.count("ping")


@virtual
async def test_where_the_newer_socket_is_cut_the_older_one_goes_on_and_another_try_is_made(time: VirtualTime) -> None:
    async with overlap(time, "q", retry_wait=waiting) as both:
        await both.tell(both.new, 2, 3)
        both.new.abort()
        await settle()
        cut = time.monotonic()
        await both.tell(both.old, 1, 2)
        assert ticks(1, 2) == both.seen

        third, _ = await both.bench.accept("A")
        assert WAIT == pytest.approx(time.monotonic() - cut, abs=0.01)
        await both.tell(third, 3)
        for connection in (third, both.old, third):
            await both.answer(connection)

        assert ticks(1, 2, 3) == both.seen
        assert [("A", False, True)] == both.resubscribed()
        assert "A1" == token_of(third)
        assert ["idle", "connecting", "connected"] == both.bench.states


@virtual
async def test_what_began_on_a_newer_socket_that_is_cut_goes_on_with_the_older_one(time: VirtualTime) -> None:
    async with overlap(time, retry_wait=waiting) as both:
        other = both.bench.start("B")
        await both.new.expect("ping")
        await began(both.new, "B")

        both.new.abort()
        both.ids |= await began(both.old, "B")
        await both.tell(both.old, 1, name="B")
        assert [] == both.resubscribed()
        await both.answer(both.old)

        assert ticks(1) == other.seen
        assert [("B", True, False)] == both.resubscribed()


@virtual
async def test_where_the_newer_socket_cannot_be_opened_tries_are_made_as_after_a_loss(time: VirtualTime) -> None:
    async with session_with(Issuer(), time) as session, bench(auth=session, retry_attempts=3) as link:
        seen = link.start("A").seen
        old, ids = await link.accept("A")
        link.server.refusal = 503

        await session.refresh(force=True)
        await asyncio.sleep(25)

        assert [0, 1, 2] == [event.retries for event in link.events if isinstance(event, WebSocketRetrying)]
        assert 5 == len(link.server.handshakes)
        await old.deliver(ids["A"], tick=1)
        await settle()
        assert ticks(1) == seen
        assert ["idle", "connecting", "connected"] == link.states


@virtual
async def test_after_that_the_next_token_is_a_new_occasion(time: VirtualTime) -> None:
    async with session_with(Issuer(), time) as session, bench(auth=session, retry_attempts=0) as link:
        link.start("A")
        await link.accept("A")
        link.server.refusal = 503
        await session.refresh(force=True)
        await asyncio.sleep(5)
        link.server.refusal = None

        await session.refresh(force=True)
        new, _ = await link.accept("A")

        assert "A2" == token_of(new)


@virtual
async def test_where_both_are_cut_everything_is_sent_again_after_the_wait(time: VirtualTime) -> None:
    async with overlap(time, "B", retry_wait=waiting) as both:
        both.new.abort()
        both.old.abort()
        await settle()
        assert "retrying" == both.bench.states[-1]

        third, _ = await both.bench.accept("A", "B")
        await both.tell(third, 1)

        assert ticks(1) == both.seen
        assert 3 == len(both.bench.server.handshakes)


@virtual
async def test_the_state_shows_when_the_older_socket_is_lost_before_the_newer_one_stands(time: VirtualTime) -> None:
    async with session_with(Issuer(), time) as session, bench(auth=session) as link:
        seen = link.start("A").seen
        old, _ = await link.accept("A")
        await session.refresh(force=True)
        new = await link.server.connection()

        old.abort()
        await settle()
        assert "connecting" == link.states[-1]
        await new.acknowledge()
        ids = await began(new, "A")
        await new.deliver(ids["A"], tick=1)
        await settle()

        assert ticks(1) == seen
        assert 2 == len(link.server.handshakes)


@virtual
async def test_a_newer_socket_that_answers_no_ping_takes_over_all_the_same(time: VirtualTime) -> None:
    async with overlap(time, keep_alive=None, keep_alive_timeout=7.0) as both:
        began_at = time.monotonic()
        await both.tell(both.new, 2)
        await both.tell(both.old, 1)

        await both.answer(both.old)
        assert 7.0 == pytest.approx(time.monotonic() - began_at, abs=0.01)
        await both.old.closed()

        assert 14.0 == pytest.approx(time.monotonic() - began_at, abs=0.01)
        assert ticks(1, 2) == both.seen
        assert [("A", True, True)] == both.resubscribed()


@virtual
async def test_an_older_socket_that_answers_no_ping_is_left_all_the_same(time: VirtualTime) -> None:
    async with overlap(time, keep_alive=None, keep_alive_timeout=7.0) as both:
        began_at = time.monotonic()
        await both.tell(both.new, 1)
        await both.answer(both.new)
        await both.answer(both.new)

        await both.old.closed()

        assert 7.0 == pytest.approx(time.monotonic() - began_at, abs=0.01)
        assert ticks(1) == both.seen
        assert [("A", True, True)] == both.resubscribed()


@virtual
async def test_a_token_that_changes_meanwhile_is_gone_over_to_afterwards(time: VirtualTime) -> None:
    async with overlap(time) as both:
        await both.session.refresh(force=True)
        await settle()
        assert 2 == len(both.bench.server.handshakes)

        await both.finish()
        third, _ = await both.bench.accept("A")
        await both.tell(both.new, 1)
        await both.tell(third, 2)
        for connection in (third, both.new, third):
            await both.answer(connection)

        assert "A2" == token_of(third)
        assert ticks(1, 2) == both.seen
        assert (1000, "Normal Closure") == await both.new.closed()


@virtual
async def test_with_a_key_two_changes_close_together_bring_nothing_twice(time: VirtualTime) -> None:
    async with overlap(time, dedup_key=by_tick) as both:
        await both.tell(both.old, 1)
        await both.session.refresh(force=True)
        await both.finish()
        third, _ = await both.bench.accept("A")

        await both.tell(both.new, 2)
        await both.tell(third, 2, 3)
        for connection in (third, both.new, third):
            await both.answer(connection)
        await both.tell(third, 4)

        assert ticks(1, 2, 3, 4) == both.seen


@virtual
async def test_a_server_error_on_the_newer_socket_does_not_touch_the_others(time: VirtualTime) -> None:
    async with overlap(time, "B", dedup_key=by_tick) as both:
        await both.new.send({"id": both.ids["A"], "type": "error", "payload": [{"message": "full"}]})
        await both.finish()
        await both.tell(both.new, 1, name="B")

        assert [CombinedGraphQLErrors] == [type(error) for error in both.seen]
        assert [("B", False, False)] == both.resubscribed()


@virtual
async def test_an_operation_that_ends_after_it_has_gone_over_does_not_end_the_overlap(time: VirtualTime) -> None:
    async with overlap(time, "B") as both:
        await both.answer(both.new)
        await both.answer(both.old)

        await both.new.complete(both.ids["B"])
        await settle()
        assert not both.old.is_closed
        await both.answer(both.new)

        assert (1000, "Normal Closure") == await both.old.closed()
        assert [("AB", False, True)] == both.resubscribed()


@virtual
async def test_an_operation_that_ends_on_the_older_socket_has_not_gone_over(time: VirtualTime) -> None:
    async with overlap(time, "B") as both:
        await both.old.complete(both.ids["B"])
        await both.finish()

        assert [("A", False, True)] == both.resubscribed()


@virtual
async def test_who_leaves_while_what_was_held_back_is_delivered_gets_nothing_more(time: VirtualTime) -> None:
    leaver: Reacting
    leaver = Reacting(lambda: leaver.subscription.dispose())  # noqa: PLW0108 - there is none yet
    async with session_with(Issuer(), time) as session, bench(auth=session) as link:
        link.start("A", recorder=leaver)
        link.start("B")
        old, ids = await link.accept("A", "B")
        await session.refresh(force=True)
        new, _ = await link.accept("A", "B")
        await new.deliver(ids["A"], tick=1)
        await new.deliver(ids["A"], tick=2)

        for connection in (new, old):
            await connection.expect("ping")
            await connection.send({"type": "pong"})
        await settle()

        assert ticks(1) == leaver.seen
        assert "complete" in new.kinds


@virtual
async def test_closing_the_link_meanwhile_closes_both(time: VirtualTime) -> None:
    async with overlap(time) as both:
        await both.bench.link.aclose()

        assert [(1000, "Normal Closure")] * 2 == [await both.old.closed(), await both.new.closed()]
        assert ["ClientClosed"] == [type(error).__name__ for error in both.seen]
