"""Closes the session of a command. Who interrupts it is told what it still waits for, and may leave all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Final

from rxlink.auth.session import AuthSession
from rxlink.commands.time_limit import TimeLimit

__all__ = ["Leaving"]

A_MOMENT: Final = 0.1
"""Seconds after which it is told what is waited for."""
WAITS: Final = (
    "interrupted; waiting for the token refresh that is under way, so that the login is not lost; Ctrl-C once more "
    "leaves at once"
)


class Leaving:
    """Closes a session at the end of a block.

    A refresh that is under way may have spent the refresh token, so its answer is awaited: at most for the time that a
    refresh may take, and where the block was interrupted, for what is left of the limit.

    Args:
        auth: The session.
        is_kept: Whether its tokens outlive the command; if not, nobody who interrupts it waits for any.
        tell: Is told what is waited for.
        limit: Of the command; None where it has none.
    """

    def __init__(
        self, auth: AuthSession, *, is_kept: bool, tell: Callable[[str], None], limit: TimeLimit | None
    ) -> None:
        self._auth = auth
        self._is_kept = is_kept
        self._tell = tell
        self._limit = limit

    async def __aenter__(self) -> None:
        """Nothing is to be done."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        closing = asyncio.create_task(self._auth.aclose())
        if isinstance(error, asyncio.CancelledError):
            await self._interrupted(closing)
            return
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            await self._interrupted(closing)
            raise

    async def _interrupted(self, closing: asyncio.Task[None]) -> None:
        """See the closing to its end where something depends on it; a second interruption cancels it."""
        if not self._is_kept or (self._limit is not None and self._limit.is_reached):
            closing.cancel()
            return
        done, _ = await asyncio.wait([closing], timeout=A_MOMENT)
        if not done:
            self._tell(WAITS)
        await closing
