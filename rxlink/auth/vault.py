"""A session's dealings with its storage: load once, or whenever others have changed it; save before anyone goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from itertools import chain, repeat
from threading import RLock
from typing import Any, Final

from reactivex import abc

from rxlink.auth.events import AuthEvent, LoadFailed, SaveFailed, TokensSaved
from rxlink.auth.loops import loop_here, running_loop
from rxlink.auth.permit import Permit
from rxlink.auth.single_flight import SingleFlight
from rxlink.auth.storage import SharedTokenStorage, StoredTokens, TokenStorage
from rxlink.auth.storage.depot import Depot, Kept, OwnDepot, Superseded
from rxlink.auth.storage.serial import SerialDepot, Turn
from rxlink.auth.storage.shared_depot import SharedDepot
from rxlink.auth.time_limit import within
from rxlink.auth.unsaved import Unsaved
from rxlink.auth.vault_owner import VaultOwner
from rxlink.auth.watch import Watch
from rxlink.core.options import kind_of
from rxlink.errors import AuthError, InvalidStoredTokens, InvariantError, InvariantTypeError, TokenStorageError

__all__ = ["Vault"]

SHORT_PAUSE: Final = 1.0
"""Seconds before each further try to save what others wait for, or a third of the lease where that is less."""
SHORT_PAUSES: Final = 30
"""How many of these; after them the pauses are as long as `LONG_PAUSE`."""
LONG_PAUSE: Final = 25.0
LOOK_LIMIT: Final = 2.0
"""Seconds that operations wait at most until a shared storage is read again."""
LOOK_AGAIN: Final = 1.0
"""Seconds after which it is tried once more."""


class Vault:
    """Keeps what the session's wallet holds; a storage that fails or hangs never stops the session.

    Args:
        storage: Where the tokens are kept.
        owner: The session.
        time_limit: Seconds that a call of the storage may take.
        scheduler: Whose time that is; None for the running loop's.
        lock: Held while it is decided whether tokens are being loaded.

    Attributes:
        loading: The load: one at a time, tried again after a failure.
        permit: The right to refresh; None where the storage is shared with nobody.
    """

    def __init__(
        self,
        storage: TokenStorage,
        owner: VaultOwner,
        *,
        time_limit: float,
        scheduler: abc.SchedulerBase | None,
        lock: RLock | None = None,
    ) -> None:
        for name in ("load", "save", "clear"):
            if isinstance(storage, type) or not callable(getattr(storage, name, None)):
                raise InvariantTypeError(f"`storage` is {kind_of(storage)} without `{name}`; see TokenStorage")
        self._owner = owner
        self._time_limit = time_limit
        self._scheduler = scheduler
        self._chores: set[asyncio.Task[None]] = set()
        self._saving: Kept | None = None
        self._shared: SharedDepot | None = None
        self.permit: Permit | None = None
        self._watch: Watch | None = None
        self._has_heard = False
        self._awaited_turn: Turn | None = None
        depot: Depot
        if isinstance(storage, SharedTokenStorage):
            depot = self._shared = SharedDepot(storage, self._ticks)
            self.permit = Permit(
                storage, self.look, self._tell_of, self._settle, patience=time_limit, scheduler=scheduler
            )
            self._watch = Watch(storage, self._look_soon)
        else:
            depot = OwnDepot(storage)
        self._depot = SerialDepot(depot)
        self._unsaved = (
            Unsaved(self._save_once_more, owner.claim, scheduler)
            if self.permit is None
            else Unsaved(
                self._save_once_more,
                owner.claim,
                scheduler,
                pauses=lambda: _for_long(self.permit),
                settled=self._nothing_is_unsaved,
            )
        )
        self.loading: SingleFlight[None, tuple[StoredTokens | None]] = SingleFlight(
            self._load,
            keep=self._hand_over,
            time_limit=time_limit,
            failed=self._load_failed,
            landed=self._look_again,
            scheduler=scheduler,
            lock=lock,
        )

    @property
    def is_saving(self) -> bool:
        """Whether tokens from a refresh are being saved."""
        return self._saving is not None

    def is_outdated(self) -> bool:
        """Tell whether others may have changed what is kept since it was read."""
        shared, watch = self._shared, self._watch
        if shared is None:
            return False
        # What is being read may be old news to nobody but this session.
        return (
            shared.is_outdated()
            or self.loading.is_under_way
            or self._unsaved.is_stranded
            or (watch is not None and watch.is_stale())
        )

    def take_turn(self) -> Turn:
        """Return a place in the queue of the storage's calls, for one of the methods below."""
        return self._depot.take_turn()

    async def look(self) -> bool:
        """Read a shared storage again, and adopt what is newer; tell whether it has lost what it had.

        Raises:
            TokenStorageError: It could not be read.
        """
        try:
            found = await self._depot.load()
        except Exception as error:
            raise _not_done("loaded", error) from error
        self._owner.adopt(found)
        return found is None and self._shared is not None and self._shared.has_had_something

    async def save_refreshed(self, kept: Kept, turn: Turn | None = None) -> None:
        """Save tokens from a refresh; they are good all the same if that fails."""
        self._saving = kept
        try:
            record = await (turn or self.take_turn()).save(kept)
        except Superseded as superseded:
            self._owner.adopt(superseded.record)
            self._insist(kept)
        except (Exception, asyncio.CancelledError) as error:
            self._owner.tell(_failure(SaveFailed, kept.generation, error))
            self._unsaved.note(kept)
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise  # by the time limit, or a sign-out, and not by the storage itself
        else:
            self._has_saved(kept, record)
        finally:
            if self._saving is kept:  # a storage may be slow to notice that it was cancelled
                self._saving = None
            self._give_back()  # where the refresh was over before

    async def save(self, kept: Kept, turn: Turn | None = None) -> None:
        """Save the tokens of a login, or that nobody is signed in.

        Raises:
            TokenStorageError: The storage did not take it.
        """
        if self._watch is not None:
            self._watch.start()  # a session may begin with a sign-in, and load nothing
        try:
            await self._try_to_save(kept, turn or self.take_turn())
        except TokenStorageError:
            if self._shared is not None:
                # What comes late is for the login that it was meant for, and for none that has come since.
                is_sign_in = kept.is_login and kept.record.tokens is not None
                self._unsaved.note(replace(kept, is_login=is_sign_in, is_late=kept.is_login))
            raise
        finally:
            self._give_back()

    async def forget(self, kept: Kept, turn: Turn | None = None) -> None:
        """Clear the storage; who waits for it goes on all the same if that fails."""
        try:
            await self.save(kept, turn)
        except TokenStorageError as error:
            self._owner.tell(_failure(SaveFailed, kept.generation, error.__cause__))

    def forget_later(self, kept: Kept, turn: Turn) -> None:
        """Clear the storage, while nobody waits for it."""
        chore = asyncio.get_running_loop().create_task(self.forget(kept, turn))
        self._chores.add(chore)
        chore.add_done_callback(self._chores.discard)
        chore.add_done_callback(lambda _: turn.give_up())  # where the loop has ended before it began

    async def see_through(self, call: Coroutine[Any, Any, None]) -> None:
        """Wait for a call of the storage; who leaves meanwhile does not stop it: memory and storage must agree."""
        chore = asyncio.get_running_loop().create_task(call)
        self._chores.add(chore)
        chore.add_done_callback(self._chores.discard)
        await asyncio.shield(chore)

    def expect(self, turn: Turn) -> None:
        """Keep the lease until this turn has ended: somebody signs in or out in the midst of a refresh."""
        self._awaited_turn = turn

    def refresh_is_over(self, refresh: object) -> None:
        """Let the others refresh, unless something is still to be saved: what is kept may be used up.

        That is known a moment later: where the refresh has failed for good, the session's end is what is to be saved.
        """
        if self.permit is not None:
            self.permit.keep_for_saving(refresh)
            if (loop := loop_here()) is None:
                self._give_back()
            else:
                loop.call_soon(self._give_back)

    def _give_back(self) -> None:
        if not (self.is_saving or self._unsaved.is_pending):
            self._nothing_is_unsaved()

    def _nothing_is_unsaved(self) -> None:
        """Let the others refresh, unless somebody signs in or out this moment, and that is still to be saved."""
        is_awaited = self._awaited_turn is not None and self._awaited_turn.awaited() is not None
        if self.permit is not None and not is_awaited:
            self.permit.give_back_soon()

    async def aclose(self) -> None:
        """Wait for what nobody waits for, at most for the time limit; try once more to save what is unsaved."""
        loop = asyncio.get_running_loop()
        if chores := [chore for chore in tuple(self._chores) if chore.get_loop() is loop]:
            _, late = await asyncio.wait(chores, timeout=self._time_limit)
            for chore in late:
                chore.cancel()
        await self._unsaved.aclose()
        if self.permit is not None:
            await self.permit.aclose()
        if self._watch is not None:
            self._watch.stop()  # last: what is saved watches

    async def _load(self, _: None) -> tuple[StoredTokens | None]:
        # In a tuple: to a flight, None means that nothing was returned.
        if self._owner.is_loaded:
            self.loading.extend(min(self._time_limit, LOOK_LIMIT))
        self._unsaved.revive()
        if self._watch is not None:
            self._watch.start()
        try:
            return (await self._depot.load(),)
        except asyncio.CancelledError:
            self._has_heard = False  # the loop ends, perhaps: whoever comes next looks
            raise

    async def _hand_over(self, _: None, loaded: tuple[StoredTokens | None]) -> tuple[StoredTokens | None]:
        self._owner.adopt(*loaded)
        return loaded

    def _load_failed(self, _: None, error: Exception, waiting: int) -> AuthError | tuple[StoredTokens | None]:
        if self._shared is None or not self._owner.is_loaded:
            return _not_done("loaded", error)
        # There are tokens to go on with; a storage that is away for a moment must not stop those who use them.
        self._shared.look_again_in(LOOK_AGAIN)
        self._owner.tell(_failure(LoadFailed, self._owner.generation, error))
        return (None,)

    def _look_soon(self) -> None:
        """Others have told that they have changed what is kept: see to it at once, while nobody waits."""
        self._has_heard = True
        if not self.loading.is_under_way:
            self._look_again(None)

    def _look_again(self, _: None) -> None:
        if self._has_heard and not self._owner.is_closed and loop_here() is not None and self.is_outdated():
            self._has_heard = False
            self.loading.join(None)

    async def _save_once_more(self, kept: Kept, turn: Turn) -> bool:
        try:
            await self._try_to_save(kept, turn)
        except TokenStorageError as error:
            self._owner.tell(_failure(SaveFailed, kept.generation, error.__cause__))
            return False
        return True

    async def _try_to_save(self, kept: Kept, turn: Turn) -> None:
        try:
            record = await within(turn.save(kept), self._time_limit, self._scheduler)
        except Superseded as superseded:
            self._owner.give_in(kept)
            self._owner.adopt(superseded.record)
            self._insist(kept)
        except Exception as error:
            raise _not_done("cleared" if kept.record.tokens is None else "saved", error) from error
        else:
            self._has_saved(kept, record)

    def _insist(self, kept: Kept) -> None:
        """Save over what was not adopted: a login that is over was put back, after the storage had lost everything."""
        if (insisted := self._owner.insist(kept)) is not None:
            self._unsaved.note(insisted)

    def _has_saved(self, kept: Kept, record: StoredTokens) -> None:
        self._owner.confirm(kept, record)
        self._unsaved.is_done_with(kept)
        if record.tokens is not None:
            self._owner.tell(TokensSaved(kept.generation))

    def _tell_of(self, event: Callable[..., AuthEvent]) -> None:
        self._owner.tell(event(self._owner.generation))

    def _ticks(self) -> float:
        return running_loop().time() if self._scheduler is None else self._scheduler.now.timestamp()

    async def _settle(self) -> None:
        await self._unsaved.aclose()


def _failure(
    event: type[LoadFailed | SaveFailed], generation: int, error: BaseException | None
) -> LoadFailed | SaveFailed:
    return event(generation, type(error).__name__, error.where if isinstance(error, InvalidStoredTokens) else None)


def _for_long(permit: Permit | None) -> Iterator[float]:
    short = SHORT_PAUSE if permit is None else min(SHORT_PAUSE, permit.lease / 3)
    return chain(repeat(short, SHORT_PAUSES), repeat(LONG_PAUSE))


def _not_done(what: str, error: Exception) -> TokenStorageError:
    is_ours = isinstance(error, (InvariantError, InvalidStoredTokens))
    failure = TokenStorageError(
        what if is_ours else f"{what} ({type(error).__name__})", because=error if is_ours else None
    )
    failure.__cause__ = error
    return failure
