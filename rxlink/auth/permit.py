"""The right to refresh, which one of those who share a storage has at a time: taken, renewed, given back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from reactivex import abc

from rxlink.auth.events import LeaseLost
from rxlink.auth.loop_end import LoopEnd
from rxlink.auth.loops import loop_here, running_loop
from rxlink.auth.storage.shared import SharedTokenStorage, TokenLease
from rxlink.core.timing import sleep
from rxlink.errors import AuthError, TokenRefreshError, TokenStorageError

__all__ = ["Permit"]

POLL: Final = 0.05
"""Seconds until the second try to get the lease, on average; each time newer tokens are looked for, too."""
LONGEST_POLL: Final = 0.5
"""Seconds between two tries when others have had it for a while."""
RELEASE_LIMIT: Final = 2.0
"""Seconds after which a lease that cannot be given back is left to end by itself."""
UNSAVED: Final = object()
"""Who holds the lease while tokens of a refresh that is over are still to be saved."""


class Permit:
    """One session's right to refresh.

    Attributes:
        lease: For how many seconds it lasts unless it is renewed, as the storage says.
        patience: How many seconds others may take, before those who wait give up.

    Args:
        storage: Who hands it out.
        look: Reads what is kept, and adopts what is newer; tells whether the storage has lost what it had.
        tell: Called with each event.
        settle: Saves what is unsaved, where the event loop comes to its end.
        patience: Seconds that others may take for their refreshes.
        scheduler: Whose time that is; None for the running loop's.
    """

    def __init__(
        self,
        storage: SharedTokenStorage,
        look: Callable[[], Awaitable[bool]],
        tell: Callable[..., None],
        settle: Callable[[], Awaitable[None]],
        *,
        patience: float,
        scheduler: abc.SchedulerBase | None,
    ) -> None:
        self._storage = storage
        self._look = look
        self._tell = tell
        self._settle = settle
        self._ending = LoopEnd(self._end_with_loop)
        self._scheduler = scheduler
        self._lease: TokenLease | None = None
        self._holder: object = None
        self._lasts_until: float | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._was_down = False
        self._chores: set[asyncio.Task[None]] = set()
        self.lease = storage.lease
        self.patience = storage.lease + patience

    async def take(self, holder: object, is_enough: Callable[[bool], bool]) -> bool:
        """Wait until this session may refresh, or somebody else has done it.

        Args:
            holder: Who is to have it: it gives it back.
            is_enough: Called after each look, with whether others were waited for; tells whether no refresh is needed.

        Returns:
            Whether it may.

        Raises:
            TokenRefreshError: Others have not given it back in time.
            TokenStorageError: What the storage raised is its cause.
        """
        try:
            return await self._wait_for_it(holder, is_enough)
        except AuthError as error:
            self._was_down = isinstance(error, TokenStorageError) and error.retryable
            raise
        except Exception as error:
            self._was_down = True
            raise TokenStorageError("locked for a refresh") from error

    def keep_for_saving(self, holder: object) -> None:
        """Keep it while tokens are still to be saved: with those that are kept, the others would fare badly."""
        if self._holder is holder:
            self._holder = UNSAVED

    async def give_back(self, holder: object) -> None:
        """Let the others have it; if that cannot be told to the storage, it ends by itself."""
        if (lease := self._part_with(holder)) is not None:
            await _release(lease)

    def give_back_soon(self, holder: object = UNSAVED) -> None:
        """Let the others have it, while nobody waits for that."""
        if (loop := loop_here()) is None:
            self.keep_for_saving(holder)  # whoever refreshes next gives it back
        elif (lease := self._part_with(holder)) is not None:
            chore = loop.create_task(_release(lease))
            self._chores.add(chore)
            chore.add_done_callback(self._chores.discard)

    async def aclose(self) -> None:
        """Give it back now, whoever holds it."""
        await self.give_back(self._holder)
        await self._ending.forget()
        if chores := [chore for chore in tuple(self._chores) if chore.get_loop() is running_loop()]:
            await asyncio.wait(chores)

    async def _wait_for_it(self, holder: object, is_enough: Callable[[bool], bool]) -> bool:
        began, has_waited, pause = self._ticks(), False, POLL
        was_down, has_settled = self._was_down, False
        while True:
            has_kept_it = await self._still_has_it(holder)
            may = has_kept_it or await self._acquires(holder)
            try:
                has_lost_all = await self._look()
            except BaseException:
                if not has_kept_it:
                    self.give_back_soon(holder)  # who has not looked must not refresh
                raise
            if is_enough(has_waited):
                self.give_back_soon(holder)
                return False
            if may and self._is_held():  # and it was not lost while this process stood still
                if has_settled or self._lasts_until is None or not (was_down or has_lost_all):
                    return True
                # Who had the lease when the storage went down may still have tokens to save: they come first.
                await sleep(self._storage.lease, self._scheduler)
                has_settled = True
                continue
            has_waited = True
            left = self._check_patience(began)
            await sleep(min(random.uniform(0.5, 1.5) * pause, left), self._scheduler)  # noqa: S311 - hides nothing
            pause = min(pause * 1.5, LONGEST_POLL)

    async def _acquires(self, holder: object) -> bool:
        asked_at = self._ticks()
        lease = await self._storage.try_acquire()
        self._was_down = False
        if lease is not None:
            self._hold(holder, lease, asked_at)
            if lease.duration is None:
                await self._ending.mind()
        return lease is not None

    async def _still_has_it(self, holder: object) -> bool:
        """Tell whether it was kept since the last try, or since tokens were to be saved."""
        lease, asked_at = self._lease, self._ticks()
        if lease is None or self._holder not in {UNSAVED, holder} or not self._is_held():
            return False
        self._holder = holder
        if lease.duration is None:
            return True
        if not await lease.renew() or self._lease is not lease:
            return False
        self._lasts_until = asked_at + lease.duration
        if self._renewing is None or self._renewing.done() or self._renewing.get_loop() is not running_loop():
            self._renewing = running_loop().create_task(self._renew(lease, lease.duration))
        return True

    def _is_held(self) -> bool:
        return self._lease is not None and (self._lasts_until is None or self._ticks() < self._lasts_until)

    def _hold(self, holder: object, lease: TokenLease, since: float) -> None:
        self._part_with(self._holder)  # which it has lost, or will
        self._lease, self._holder, self._lasts_until = lease, holder, None
        if lease.duration is not None:
            self._lasts_until = since + lease.duration
            self._renewing = running_loop().create_task(self._renew(lease, lease.duration))

    def _part_with(self, holder: object) -> TokenLease | None:
        if self._holder is not holder:
            return None
        lease, self._lease, self._holder = self._lease, None, None
        renewing, self._renewing = self._renewing, None
        if renewing is not None and not renewing.get_loop().is_closed():
            renewing.get_loop().call_soon_threadsafe(renewing.cancel)
        return lease

    async def _renew(self, lease: TokenLease, duration: float) -> None:
        """Renew the lease at a third of its duration, until it is given back or lost."""
        while self._lease is lease and self._is_held():
            await sleep(duration / 3, self._scheduler)
            since, is_ours = self._ticks(), None
            with suppress(Exception):  # the storage is away for a moment: there is time for another try
                is_ours = await lease.renew()
            if self._lease is lease and is_ours is not None:
                self._lasts_until = since + duration if is_ours else since
        if self._lease is lease:
            self._lease = self._holder = self._renewing = None
            self._tell(LeaseLost)

    def _check_patience(self, began: float) -> float:
        """Return how many seconds are left."""
        left = began + self.patience - self._ticks()
        if left <= 0:
            raise TokenRefreshError(
                f"the token refresh did not begin: others have had the storage's lease for {self.patience:g} s "
                "(the lease and `refresh_timeout`) without saving new tokens",
                retryable=True,
            )
        return left

    async def _end_with_loop(self) -> None:
        """Save what is unsaved, and let the others have it: the loop on which it is held has come to its end."""
        lease = self._part_with(self._holder)
        if lease is not None:
            await self._settle()
            await _release(lease)

    def _ticks(self) -> float:
        return running_loop().time() if self._scheduler is None else self._scheduler.now.timestamp()


async def _release(lease: TokenLease) -> None:
    with suppress(Exception):
        async with asyncio.timeout(RELEASE_LIMIT):
            await lease.release()
