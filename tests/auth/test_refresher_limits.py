"""A session's refreshes: the very moments at which there is no time left."""

from __future__ import annotations

import pytest

from rxlink.auth.session import AuthSession
from rxlink.errors import TokenRefreshError
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import Issuer, fresh


@virtual
async def test_a_pause_up_to_the_time_limit_leaves_no_time_for_another_try(time: VirtualTime) -> None:
    """E22: who waits is told at once, and not when the limit has come."""
    busy = TokenRefreshError("429", retryable=True, retry_after=5)
    session = AuthSession(refresh=Issuer(script=[busy]), tokens=fresh(time, -1), clock=time.clock, refresh_timeout=5)

    with pytest.raises(TokenRefreshError, match="leaves no time for one") as failure:
        await session.get_token()

    assert (0, busy) == (time.monotonic(), failure.value.__cause__)
