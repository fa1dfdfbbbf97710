"""One session's view of a storage that it shares: what it saw last, and what it may write over."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Final

from rxlink.auth.storage.depot import Kept, Superseded
from rxlink.auth.storage.shared import SharedTokenStorage, StoredTokens

__all__ = ["SharedDepot"]

NEVER_SEEN: Final = object()
"""The stamp of a storage that was not read yet."""


class SharedDepot:
    """Saves only what follows what is kept, and tells whether others have changed it.

    Args:
        storage: The storage.
        ticks: The time of the timers, in seconds.
    """

    def __init__(self, storage: SharedTokenStorage, ticks: Callable[[], float]) -> None:
        self._storage = storage
        self._ticks = ticks
        self._stamp: Hashable = NEVER_SEEN
        self._serial = 0  # the largest that was seen there
        self._look_again_at: float | None = None

    def is_outdated(self) -> bool:
        """Tell whether others may have changed what is kept since it was read last."""
        if self._look_again_at is not None and self._ticks() >= self._look_again_at:
            return True
        return self._storage.stamp() != self._stamp

    def look_again_in(self, seconds: float) -> None:
        """Go on with what is known, and look again after so many seconds."""
        self._stamp = self._storage.stamp()
        self._look_again_at = self._ticks() + seconds

    async def load(self) -> StoredTokens | None:
        """Return what is kept."""
        stamp = self._storage.stamp()
        found = await self._storage.read()
        self._saw(found, stamp)
        return found

    async def save(self, kept: Kept, /) -> StoredTokens:
        """Keep this, if it follows what is kept; return it as it is kept.

        Raises:
            Superseded: Something else is kept by now.
            OSError: The storage has taken it and not kept it.
        """
        new, over = kept.record, kept.base
        if kept.is_login:
            over = await self._storage.read()
        while True:
            if kept.is_login and over is not None:
                # Who signs out parts with whoever is signed in there, and they are to know it.
                login = new.login if new.tokens is not None else over.login
                new = replace(new, login=login, serial=max(new.serial, over.serial + 1))
            if await self._storage.replace(over, new):
                break
            found = await self._storage.read()
            if _is_it(found, new):
                break  # a call that was cut short has done it
            if kept.is_late and found is not None and found.login == new.login:
                new = replace(new, serial=found.serial + 1)
            elif not kept.is_login and not self._may_go_over(found, new):
                raise Superseded(found)
            over = found
        await self._check(new)
        return new

    def _may_go_over(self, found: StoredTokens | None, new: StoredTokens) -> bool:
        """Tell whether what is kept is older than what this session has: a save was lost, or a backup came back."""
        if found is None or found.serial < self._serial:
            return True
        return found.login == new.login and found.serial < new.serial

    async def _check(self, new: StoredTokens) -> None:
        """Read what was written: tokens that are lost unnoticed would cost the others the session."""
        stamp = self._storage.stamp()
        found = await self._storage.read()
        if _is_it(found, new):
            self._serial = 0  # what it was before no longer counts
            self._saw(found, stamp)
        elif found is None or found.serial <= new.serial:
            raise OSError("the storage has taken the tokens, and does not have them")

    def _saw(self, found: StoredTokens | None, stamp: Hashable) -> None:
        self._stamp = stamp
        self._look_again_at = None
        if found is not None:
            self._serial = max(self._serial, found.serial)


def _is_it(found: StoredTokens | None, new: StoredTokens) -> bool:
    return found is not None and found.is_same_as(new) and found.tokens == new.tokens
