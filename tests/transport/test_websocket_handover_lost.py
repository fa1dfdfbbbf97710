"""GraphQLWsLink whose newer socket is lost when operations have gone over to it, and the older one still stands."""

from __future__ import annotations

import pytest

from rxlink.testing.virtual_time import VirtualTime, virtual
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

        seen = ticks(1, 1, 2, 5) if has_duplicates else ticks(1, 2, 5)
        assert seen == both.seen
        assert [("A", True, has_duplicates)] == both.resubscribed()
