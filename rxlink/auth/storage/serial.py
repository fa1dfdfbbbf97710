"""Calls to a storage one after another, so that the last word wins."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from rxlink.auth.storage.memory import TokenStorage
from rxlink.auth.tokens import TokenSet

__all__ = ["SerialStorage"]

T = TypeVar("T")


class SerialStorage:
    """A storage whose calls never overlap: each begins when the one before has ended or was cancelled.

    Without this, a slow save of a refresh could land after the ``clear`` of the sign-out that came later.
    """

    def __init__(self, storage: TokenStorage) -> None:
        self._storage = storage
        self._last: asyncio.Future[None] | None = None

    async def load(self) -> TokenSet | None:
        """Load, in turn."""
        return await self._in_turn(self._storage.load)

    async def save(self, tokens: TokenSet, /) -> None:
        """Save, in turn."""
        await self._in_turn(lambda: self._storage.save(tokens))

    async def clear(self) -> None:
        """Clear, in turn."""
        await self._in_turn(self._storage.clear)

    async def _in_turn(self, call: Callable[[], Awaitable[T]]) -> T:
        loop = asyncio.get_running_loop()
        before, self._last = self._last, loop.create_future()
        mine = self._last
        try:
            # A call of another loop has ended with that loop.
            if before is not None and before.get_loop() is loop:
                await asyncio.wait([before])
            return await call()
        finally:
            if before is None or before.done() or before.get_loop() is not loop:
                mine.set_result(None)
            else:
                # Cancelled while waiting: whoever comes next waits for the one before.
                before.add_done_callback(lambda _: mine.set_result(None))
