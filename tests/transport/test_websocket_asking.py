"""GraphQLWsLink whose functions ask other servers for what they return, and cannot reach them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest

from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.transport.websocket_bench import bench, settle, ticks


@pytest.mark.parametrize("failure", [OSError("away"), TimeoutError(), aiohttp.ServerDisconnectedError()])
@virtual
async def test_what_they_could_not_get_is_asked_for_again_after_a_wait(time: VirtualTime, failure: Exception) -> None:
    failures = [failure, failure]

    async def params() -> Mapping[str, Any]:
        if failures:
            raise failures.pop()
        return {"key": "of the moment"}

    async with bench(connection_params=params, retry_wait=lambda _: 1) as link:
        recorder = link.start("A")
        connection, ids = await link.accept("A")
        await connection.deliver(ids["A"], tick=1)
        await settle()

        assert [] == failures
        assert 2 == time.monotonic() // 1
        assert ticks(1) == recorder.seen
