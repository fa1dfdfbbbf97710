"""Tokens that the storage did not take: saved again after a while, so that the next start of the program finds them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from threading import Lock
from typing import Final

from reactivex import abc

from rxlink.auth.loops import call_on
from rxlink.auth.storage.serial import Turn
from rxlink.auth.tokens import TokenSet
from rxlink.core.observer import Cancellable
from rxlink.core.timing import start_timer

__all__ = ["Unsaved"]

PAUSES: Final = (1.0, 5.0, 25.0)
"""Seconds before each further try; after that the next refresh saves its own."""


class Unsaved:
    """What is still to be saved; nobody waits for it.

    Args:
        save: Saves tokens of a generation in a turn of the storage; tells whether it has.
        claim: Takes that turn; None where other tokens have come since, or nobody is signed in any more.
        scheduler: Whose time the pauses are; None for the running loop's.
    """

    def __init__(
        self,
        save: Callable[[TokenSet, int, Turn], Awaitable[bool]],
        claim: Callable[[int], Turn | None],
        scheduler: abc.SchedulerBase | None,
    ) -> None:
        self._save = save
        self._claim = claim
        self._scheduler = scheduler
        self._lock = Lock()
        self._tokens: tuple[TokenSet, int] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: Cancellable | None = None
        self._chore: asyncio.Task[None] | None = None

    def note(self, tokens: TokenSet, generation: int) -> None:
        """Save these tokens again later; those that were noted before are of no use any more."""
        self._stop()
        with self._lock:
            self._tokens = (tokens, generation)
        self._try_after(list(PAUSES))

    async def aclose(self) -> None:
        """Wait no longer: try once more, now."""
        self._stop()
        await self._try()

    def _try_after(self, pauses: list[float]) -> None:
        if pauses:
            self._loop = asyncio.get_running_loop()
            self._timer = start_timer(pauses[0], lambda: self._begin(pauses[1:]), self._scheduler)

    def _begin(self, pauses: list[float]) -> None:
        self._chore = asyncio.get_running_loop().create_task(self._save_again(pauses))

    async def _save_again(self, pauses: list[float]) -> None:
        if not await self._try():
            self._try_after(pauses)

    async def _try(self) -> bool:
        """Tell whether nothing is left to do."""
        if (noted := self._tokens) is None:
            return True
        tokens, generation = noted
        turn = self._claim(generation)
        if turn is not None and not await self._save(tokens, generation, turn):
            return False
        with self._lock:
            if self._tokens is noted:  # else another loop has noted newer ones meanwhile
                self._tokens = None
        return True

    def _stop(self) -> None:
        if self._loop is not None and self._timer is not None:
            call_on(self._loop, self._timer.cancel)
        if self._loop is not None and self._chore is not None:
            call_on(self._loop, _cancel, self._chore)
        self._loop = self._timer = self._chore = None


def _cancel(chore: asyncio.Task[None]) -> None:
    chore.cancel()
