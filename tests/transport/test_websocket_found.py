"""What random interleavings have found in GraphQLWsLink; see `test_websocket_promises.py`."""

from __future__ import annotations

import asyncio

from rxlink import SocketClosed
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import Issuer
from tests.transport.websocket_bench import UNAUTHENTICATED, Bench, bench, session_with, settle, ticks, token_of
from tests.transport.websocket_overlap import overlap


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
