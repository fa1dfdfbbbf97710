"""GraphQLWsLink whose newer socket is lost when operations have gone over to it, and the older one still stands."""

from __future__ import annotations

from contextlib import suppress
from unittest.mock import patch

import pytest

from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.recording import END
from tests.transport.websocket_bench import settle, ticks
from tests.transport.websocket_overlap import by_tick, overlap


@pytest.mark.parametrize(("key", "has_duplicates"), [(None, True), (by_tick, False)])
@virtual
async def test_what_came_twice_before_is_told_with_the_next_socket(
    time: VirtualTime, key: object, has_duplicates: bool
) -> None:
    async with overlap(time, dedup_key=key, retry_wait=lambda _: 1) as both:
        await both.tell(both.old, 1)
        await both.tell(both.new, 1, 2)
        for connection in (both.new, both.old):
            await both.answer(connection)
        both.old.abort()
        both.new.abort()
        await settle()
        third, _ = await both.bench.accept("A")
        await both.tell(third, 5)
        await both.answer(third)

        seen = ticks(1, 1, 2, 5) if has_duplicates else ticks(1, 2, 5)
        assert seen == both.seen
        assert [("A", True, has_duplicates)] == both.resubscribed()


@virtual
async def test_what_has_left_the_older_socket_does_not_come_back_to_it(time: VirtualTime) -> None:
    """There its id ends, and what is still on its way there belongs to what was left."""
    async with overlap(time, dedup_key=by_tick, retry_wait=lambda _: 1) as both:
        await both.tell(both.new, 1, 2)
        for connection in (both.new, both.old):
            await both.answer(connection)
        both.new.abort()
        await settle()
        with suppress(ConnectionError):  # it is closed
            await both.tell(both.old, 1)
            await both.old.complete(both.ids["A"])
        third, _ = await both.bench.accept("A")
        await both.tell(third, 3)
        await both.answer(third)

        assert ticks(1, 2, 3) == both.seen
        assert [("A", True, False)] == both.resubscribed()
        assert (1000, "Normal Closure") == await both.old.closed()


@virtual
async def test_a_query_on_the_older_socket_ends_there_all_the_same(time: VirtualTime) -> None:
    async with overlap(time, "q", dedup_key=by_tick, retry_wait=lambda _: 1) as both:
        for connection in (both.new, both.old):
            await both.answer(connection)
        both.new.abort()
        await both.bench.accept("A")
        await both.tell(both.old, 7, name="q")
        await both.old.complete(both.ids["q"])

        assert (1000, "Normal Closure") == await both.old.closed()
        assert [*ticks(7), END] == both.recorders["q"].seen


@virtual
async def test_where_one_has_left_early_none_comes_back(time: VirtualTime) -> None:
    with patch("rxlink.transport._ws_operation.MOST_HELD", 2):
        async with overlap(time, "B", dedup_key=by_tick, retry_wait=lambda _: 1) as both:
            await both.tell(both.new, 1, 2, 3)  # with these A goes over at once
            both.new.abort()
            await settle()
            with suppress(ConnectionError):  # it is closed
                await both.tell(both.old, 1)
                await both.tell(both.old, 8, name="B")
            third, _ = await both.bench.accept("A", "B")
            await both.tell(third, 4)
            await both.tell(third, 9, name="B")
            await both.answer(third)

            assert (ticks(1, 2, 3, 4), ticks(9)) == (both.seen, both.recorders["B"].seen)
            assert [("AB", True, False)] == both.resubscribed()
