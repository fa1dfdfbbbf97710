"""Tokens that the storage did not take: saved again after a while, so that the next start of the program finds them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from threading import Lock
from typing import Final

from reactivex import abc

from rxlink.auth.loops import call_on
from rxlink.auth.storage.depot import Kept
from rxlink.auth.storage.serial import Turn
from rxlink.core.observer import Cancellable
from rxlink.core.timing import start_timer

__all__ = ["Unsaved"]

PAUSES: Final = (1.0, 5.0, 25.0)
"""Seconds before each further try; after that the next refresh saves its own."""


class Unsaved:
    """What is still to be saved; nobody waits for it.

    Args:
        save: Saves this in a turn of the storage; tells whether nothing is left to do.
        claim: Takes that turn; None where other tokens have come since, or nobody is signed in any more.
        scheduler: Whose time the pauses are; None for the running loop's.
        pauses: Begins the seconds before each further try.
        settled: Called when nothing is left to do, or nothing more is tried.
    """

    def __init__(
        self,
        save: Callable[[Kept, Turn], Awaitable[bool]],
        claim: Callable[[Kept], Turn | None],
        scheduler: abc.SchedulerBase | None,
        *,
        pauses: Callable[[], Iterator[float]] = lambda: iter(PAUSES),
        settled: Callable[[], None] | None = None,
    ) -> None:
        self._save = save
        self._claim = claim
        self._scheduler = scheduler
        self._pauses = pauses
        self._settled = settled
        self._lock = Lock()
        self._noted: Kept | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: Cancellable | None = None
        self._chore: asyncio.Task[None] | None = None

    @property
    def is_pending(self) -> bool:
        """Whether something is still to be saved."""
        return self._noted is not None

    def note(self, kept: Kept) -> None:
        """Save this again later; what was noted before is of no use any more."""
        self._stop()
        with self._lock:
            self._noted = kept
        self._try_after(self._pauses())

    @property
    def is_stranded(self) -> bool:
        """Whether something is still to be saved, and the loop that was to do it has ended."""
        return self._noted is not None and (self._loop is None or self._loop.is_closed())

    def revive(self) -> None:
        """Go on, on the running loop, where the one before has ended."""
        if (noted := self._noted) is not None and self.is_stranded:
            self.note(noted)

    def is_done_with(self, kept: Kept) -> None:
        """Something was saved: what was noted of it, or of what came before it, is of no use any more."""
        with self._lock:
            noted = self._noted
            if noted is None or noted.generation > kept.generation:
                return
            self._noted = None
        self._stop()
        if self._settled is not None:
            self._settled()

    async def aclose(self) -> None:
        """Wait no longer: try once more, now."""
        self._stop()
        await self._try()

    def _try_after(self, pauses: Iterator[float]) -> None:
        if (pause := next(pauses, None)) is not None:
            self._loop = asyncio.get_running_loop()
            self._timer = start_timer(pause, lambda: self._begin(pauses), self._scheduler)
        elif self._settled is not None:
            self._settled()

    def _begin(self, pauses: Iterator[float]) -> None:
        self._chore = asyncio.get_running_loop().create_task(self._save_again(pauses))

    async def _save_again(self, pauses: Iterator[float]) -> None:
        if not await self._try():
            self._try_after(pauses)

    async def _try(self) -> bool:
        """Tell whether nothing is left to do."""
        if (noted := self._noted) is None:
            return True
        turn = self._claim(noted)
        if turn is not None and not await self._save(noted, turn):
            return False
        with self._lock:
            is_settled = self._noted is noted  # else another loop has noted newer ones meanwhile
            if is_settled:
                self._noted = None
        if is_settled and self._settled is not None:
            self._settled()
        return True

    def _stop(self) -> None:
        if self._loop is not None and self._timer is not None:
            call_on(self._loop, self._timer.cancel)
        if self._loop is not None and self._chore is not None:
            call_on(self._loop, _cancel, self._chore)
        self._loop = self._timer = self._chore = None


def _cancel(chore: asyncio.Task[None]) -> None:
    chore.cancel()
