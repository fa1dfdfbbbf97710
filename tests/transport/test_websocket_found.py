"""What random interleavings have found in GraphQLWsLink; see `test_websocket_promises.py`."""

from __future__ import annotations

import asyncio

from rxlink import GraphQLRequest, Operation, SocketClosed, TokenSet
from rxlink.testing.virtual_time import VirtualTime, virtual
from rxlink.transport._ws_keys import Keys
from rxlink.transport.websocket import WebSocketConnected
from tests.auth.scripted import Issuer
from tests.transport.websocket_bench import (
    UNAUTHENTICATED,
    Bench,
    began,
    bench,
    session_with,
    settle,
    tick,
    ticks,
    token_of,
)
from tests.transport.websocket_overlap import by_tick, overlap


@virtual
async def test_one_that_is_denied_before_the_newer_socket_has_it_may_have_a_gap(time: VirtualTime) -> None:
    async with overlap(time) as both:
        await both.tell(both.old, 1)
        await both.old.send({"id": both.ids["A"], "type": "error", "payload": [UNAUTHENTICATED]})
        await settle()

        # 2 is published: the older socket has ended the operation, the newer one has not begun it.
        await both.answer(both.new)
        await both.tell(both.new, 3)
        await both.answer(both.old)
        await both.answer(both.new)

        assert ticks(1, 3) == both.seen
        assert [("A", True, True)] == both.resubscribed()


async def _refuse(link: Bench) -> None:
    """Refuse the next socket because of its token."""
    connection = await link.server.connection()
    await connection.close(4401, "no")


@virtual
async def test_a_refusal_of_long_ago_does_not_count_beside_that_of_a_newer_token(time: VirtualTime) -> None:
    async with session_with(Issuer(), time) as session, bench(auth=session) as link:
        link.start("A")
        await _refuse(link)
        await link.accept("A")
        await asyncio.sleep(20)

        await session.refresh(force=True)
        before = time.monotonic()
        await _refuse(link)
        third, _ = await link.accept("A")

        assert ("A3", True) == (token_of(third), time.monotonic() - before < 0.1)  # at once


@virtual
async def test_e91_a_refusal_while_an_older_socket_stands_counts_when_that_is_lost(time: VirtualTime) -> None:
    issuer = Issuer()
    async with session_with(issuer, time) as session, bench(auth=session, retry_wait=lambda _: 1) as link:
        seen = link.start("A").seen
        await _refuse(link)
        old, ids = await link.accept("A")
        await old.deliver(ids["A"], tick=1)
        await session.refresh(force=True)
        await _refuse(link)  # nobody waits for it: the older socket stands
        await settle()

        old.abort()
        await _refuse(link)
        await asyncio.sleep(60)

        assert [4401] == [error.code for error in seen if isinstance(error, SocketClosed)]
        assert (4, 3) == (len(link.server.handshakes), issuer.issued)


@virtual
async def test_nor_after_sockets_that_were_left_in_time(time: VirtualTime) -> None:
    async with session_with(Issuer(), time) as session, bench(auth=session) as link:
        link.server.answers_pings = True
        seen = link.start("A").seen
        await _refuse(link)
        await link.accept("A")
        await asyncio.sleep(20)
        await session.refresh(force=True)
        second, ids = await link.accept("A")
        await second.deliver(ids["A"], tick=1)
        await asyncio.sleep(5)

        await second.close(4401, "no")
        third, _ = await link.accept("A")

        assert ("A3", ticks(1)) == (token_of(third), seen)


@virtual
async def test_a_socket_that_is_ready_in_the_midst_of_a_handover_takes_what_is_new_and_waits(time: VirtualTime) -> None:
    async with overlap(time, dedup_key=by_tick) as both:
        other = both.bench.start("C")
        await both.new.expect("ping")
        both.ids |= await began(both.new, "C")
        await both.new.send({"id": both.ids["C"], "type": "error", "payload": [UNAUTHENTICATED]})
        third, _ = await both.bench.accept("C")
        await both.tell(third, 1, name="C")
        before = (both.resubscribed(), both.old.is_closed, third.kinds.count("subscribe"))
        await both.tell(both.new, 2, 3)
        await both.tell(both.old, 1)
        await both.new.send({"type": "pong"})
        await both.answer(both.old)
        await both.answer(both.new)

        assert ([], False, 1) == before
        assert (ticks(1, 2, 3), ticks(1)) == (both.seen, other.seen)
        assert [("A", False, False)] == both.resubscribed()
        assert 2 == third.kinds.count("subscribe")


@virtual
async def test_a_handover_that_nobody_needs_any_more_keeps_no_socket(time: VirtualTime) -> None:
    """Whoever had to go over has left, and the older socket closed when its last query was answered."""
    async with overlap(time, "b") as both:
        both.bench.start("C")
        await both.new.expect("ping")
        both.ids |= await began(both.new, "C")
        await both.new.send({"id": both.ids["C"], "type": "error", "payload": [UNAUTHENTICATED]})
        await both.bench.accept("C")

        both.recorder.subscription.dispose()
        await both.tell(both.old, 1, name="b")
        await both.old.complete(both.ids["b"])

        assert [(1000, "Normal Closure")] * 2 == [await both.old.closed(), await both.new.closed()]
        assert 3 == [type(event) for event in both.bench.events].count(WebSocketConnected)


@virtual
async def test_where_the_older_socket_is_lost_the_overlap_is_waited_for_all_the_same(time: VirtualTime) -> None:
    async with overlap(time, overlap=3.0) as both:
        both.old.abort()
        await settle()
        await both.new.send({"type": "pong"})
        await both.new.send({"type": "pong"})
        await asyncio.sleep(2.9)
        before = both.resubscribed()
        await asyncio.sleep(0.2)

        assert [[], [("A", True, True)]] == [before, both.resubscribed()]


def test_keys_are_kept_for_two_overlaps() -> None:
    keys = Keys(by_tick, Operation(GraphQLRequest("subscription A { tick }")))
    keys.keep()
    keys.has(tick(1), is_noted=True)
    kept = []
    for _ in range(3):
        keys.keep()
        kept.append(keys.has(tick(1), is_noted=False))

    assert [True, False, False] == kept


@virtual
async def test_p7_the_reason_of_a_close_is_masked_with_the_token_in_use_too(time: VirtualTime) -> None:
    async with session_with(Issuer(), time, token="first-secret") as session, bench(auth=session) as link:
        seen = link.start("A").seen
        connection, _ = await link.accept("A")
        await session.set_tokens(TokenSet("second-secret", refresh_token="third-secret"))
        await connection.close(1011, "not first-secret but second-secret, third-secret")
        await settle()

    assert "secret" not in repr(link.events) + repr(seen)
