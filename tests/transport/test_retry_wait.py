"""How long a WebSocket link waits by itself before it connects anew."""

import asyncio
from unittest.mock import patch

import pytest

from rxlink.testing.virtual_time import VirtualTime, virtual
from rxlink.transport._retry_wait import default_retry_wait
from tests.transport.test_websocket_reconnect import nowhere, times_of_tries
from tests.transport.websocket_bench import bench

no_chance = patch("rxlink.transport._retry_wait.random.uniform", return_value=0.5)


class TestDefaultRetryWait:
    @pytest.mark.parametrize(
        ("retries", "seconds"), [(0, 1.5), (1, 2.5), (5, 32.5), (6, 64.5), (7, 64.5), (10**6, 64.5)]
    )
    def test_doubles_up_to_64_seconds(self, retries: int, seconds: float) -> None:
        with no_chance:
            assert seconds == default_retry_wait(retries)

    def test_is_longer_by_chance(self) -> None:
        waits = {default_retry_wait(6) for _ in range(50)}

        assert len(waits) > 1
        assert all(64.3 <= wait <= 67 for wait in waits)

    @virtual
    async def test_stays_so_where_tries_have_no_end(self, time: VirtualTime) -> None:
        with no_chance:
            async with bench(url=nowhere, retry_attempts=None) as link:
                times = times_of_tries(link, time)

                link.start("A")
                await asyncio.sleep(300)

        assert [0.0, 1.5, 4.0, 8.5, 17.0, 33.5, 66.0, 130.5, 195.0, 259.5] == times
