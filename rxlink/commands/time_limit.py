"""The time that a query may take, all in all: the sign-in, each try, each refresh, and the answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from rxlink.errors import NetworkTimeout, RxlinkError

__all__ = ["TimeLimit", "time_limit"]


class TimeLimit:
    """The limit of a block.

    Args:
        timeout: Cancels the block when it is reached.

    Attributes:
        what: What is waited for, for the message.
    """

    def __init__(self, timeout: asyncio.Timeout) -> None:
        self._timeout = timeout
        self.what = "the sign-in"

    @property
    def is_reached(self) -> bool:
        """Whether the time is up."""
        return self._timeout.expired()

    def lift(self) -> None:
        """Let the block take any time from now on."""
        if not self.is_reached:
            self._timeout.reschedule(None)


@asynccontextmanager
async def time_limit(seconds: float | None) -> AsyncGenerator[TimeLimit]:
    """Limit the time that a block may take.

    Args:
        seconds: How long; None for any time.

    Raises:
        NetworkTimeout: It did not end in time.
    """
    timeout = asyncio.timeout(seconds)
    limit = TimeLimit(timeout)
    try:
        async with timeout:
            yield limit
    except TimeoutError as error:
        if seconds is None or not limit.is_reached or isinstance(error, RxlinkError):
            raise
        raise NetworkTimeout(limit.what, seconds=seconds) from None
