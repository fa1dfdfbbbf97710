"""One session's view of a storage that it shares: what it saw last, and what it may write over."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Final

from rxlink.auth.storage.depot import Kept, Superseded
from rxlink.auth.storage.shared import SharedTokenStorage, StoredTokens
from rxlink.core.work import report_callback_error

__all__ = ["SharedDepot"]

NEVER_SEEN: Final = object()
"""The stamp of a storage that was not read yet."""
BROKEN: Final = object()
"""The stamp of a storage whose `stamp` raises."""


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
        self._over: StoredTokens | None = None
        self._look_again_at: float | None = None
        kind = type(storage)
        self._tells = (kind.stamp, kind.watch) != (SharedTokenStorage.stamp, SharedTokenStorage.watch)

    @property
    def has_had_something(self) -> bool:
        """Whether something was ever found there."""
        return self._serial > 0

    def is_outdated(self) -> bool:
        """Tell whether others may have changed what is kept since it was read last."""
        if self._look_again_at is not None and self._ticks() >= self._look_again_at:
            return True
        return self._stamp_now() != self._stamp

    def look_again_in(self, seconds: float) -> None:
        """Go on with what is known, and look again after so many seconds."""
        self._stamp = self._stamp_now()
        self._look_again_at = self._ticks() + seconds

    def _stamp_now(self) -> Hashable:
        try:
            return self._storage.stamp()
        except Exception as error:  # noqa: BLE001 - a user's function must not keep anybody waiting
            if self._stamp is not BROKEN:
                report_callback_error(error)
            return BROKEN

    async def load(self) -> StoredTokens | None:
        """Return what is kept."""
        stamp = self._stamp_now()
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
            over = await self._replaced_by(kept)
            if over is not None and over.login == new.login and over.tokens == new.tokens:
                return over  # it was kept, and only the answer was lost
        while True:
            if kept.is_login and over is not None:
                # Who signs out parts with whoever is signed in there, and they are to know it.
                login = new.login if new.tokens is not None else over.login
                new = replace(new, login=login, serial=max(new.serial, over.serial + 1))
            if await self._storage.replace(over, new):
                break
            over = await self._storage.read()
            if _is_it(over, new):
                break  # a call that was cut short has done it
            new = self._following(over, new, kept)
        await self._check(new)
        return new

    def _following(self, found: StoredTokens | None, new: StoredTokens, kept: Kept) -> StoredTokens:
        """Return what goes over something that was not expected there.

        Raises:
            Superseded: Nothing does.
        """
        if kept.is_late and found is not None and _are_of_one_login(found, kept):
            return replace(new, serial=found.serial + 1)
        if kept.is_late or not (kept.is_login or self._may_go_over(found, new)):
            raise Superseded(found)
        return new

    async def _replaced_by(self, kept: Kept) -> StoredTokens | None:
        """Return what a sign-in or a sign-out goes over; one that comes late goes over no other that has come since."""
        found = await self._storage.read()
        if not kept.is_late:
            self._over = found
        elif found is not None and not found.is_same_as(self._over) and not _are_of_one_login(found, kept):
            raise Superseded(found)
        return found

    def _may_go_over(self, found: StoredTokens | None, new: StoredTokens) -> bool:
        """Tell whether what is kept is older than what this session has: a save was lost, or a backup came back."""
        if found is None or found.serial < self._serial:
            return True
        return found.login == new.login and found.serial < new.serial

    async def _check(self, new: StoredTokens) -> None:
        """Read what was written: tokens that are lost unnoticed would cost the others the session."""
        stamp = self._stamp_now()
        found = await self._storage.read()
        if _is_it(found, new):
            self._serial = 0  # what it was before no longer counts
            self._saw(found, stamp)
        elif found is None or found.serial <= new.serial:
            raise OSError("the storage has taken the tokens, and does not have them")

    def _saw(self, found: StoredTokens | None, stamp: Hashable) -> None:
        self._stamp = stamp
        # A storage that tells nothing of changes is looked at now and then.
        self._look_again_at = None if self._tells else self._ticks() + self._storage.lease
        if found is not None:
            self._serial = max(self._serial, found.serial)


def _is_it(found: StoredTokens | None, new: StoredTokens) -> bool:
    return found is not None and found.is_same_as(new) and found.tokens == new.tokens


def _are_of_one_login(found: StoredTokens, kept: Kept) -> bool:
    return found.login == kept.record.login or (kept.base is not None and found.login == kept.base.login)
