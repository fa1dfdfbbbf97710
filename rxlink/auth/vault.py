"""A session's dealings with its storage: load once, save before anyone goes on, clear."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from threading import RLock
from typing import Any

from reactivex import abc

from rxlink.auth.events import AuthEvent, SaveFailed, TokensSaved
from rxlink.auth.single_flight import SingleFlight
from rxlink.auth.storage import TokenStorage
from rxlink.auth.storage.serial import SerialStorage, Turn
from rxlink.auth.tokens import TokenSet, checked_tokens
from rxlink.auth.unsaved import Unsaved
from rxlink.core.options import kind_of
from rxlink.core.timing import start_timer
from rxlink.errors import AuthError, InvalidStoredTokens, InvariantError, InvariantTypeError, TokenStorageError

__all__ = ["Vault"]


class Vault:
    """Keeps what the session's wallet holds; a storage that fails or hangs never stops the session.

    Args:
        storage: Where the tokens are kept.
        use: Called with what was loaded; None where nobody is signed in.
        claim: Takes a turn for saving the tokens of a generation once more; None where others have come since.
        tell: Called with each event.
        time_limit: Seconds that a call of the storage may take.
        scheduler: Whose time that is; None for the running loop's.
        lock: Held while it is decided whether tokens are being loaded.

    Attributes:
        loading: The load: one at a time, tried again after a failure.
    """

    def __init__(
        self,
        storage: TokenStorage,
        use: Callable[[TokenSet | None], None],
        tell: Callable[[AuthEvent], None],
        *,
        claim: Callable[[int], Turn | None] | None = None,
        time_limit: float,
        scheduler: abc.SchedulerBase | None,
        lock: RLock | None = None,
    ) -> None:
        for name in ("load", "save", "clear"):
            if isinstance(storage, type) or not callable(getattr(storage, name, None)):
                raise InvariantTypeError(f"`storage` is {kind_of(storage)} without `{name}`; see TokenStorage")
        self._storage = SerialStorage(storage)
        self._use = use
        self._tell = tell
        self._time_limit = time_limit
        self._scheduler = scheduler
        self._chores: set[asyncio.Task[None]] = set()
        self._saving: TokenSet | None = None
        self._unsaved = Unsaved(self._save_once_more, claim or self._claim_always, scheduler)
        self.loading: SingleFlight[None, tuple[TokenSet | None]] = SingleFlight(
            self._load, keep=self._hand_over, time_limit=time_limit, failed=_load_failed, scheduler=scheduler, lock=lock
        )

    @property
    def is_saving(self) -> bool:
        """Whether tokens from a refresh are being saved."""
        return self._saving is not None

    def take_turn(self) -> Turn:
        """Return a place in the queue of the storage's calls, for one of the methods below."""
        return self._storage.take_turn()

    async def save_refreshed(self, tokens: TokenSet, generation: int, turn: Turn | None = None) -> None:
        """Save tokens from a refresh; they are good all the same if that fails."""
        self._saving = tokens
        try:
            await (turn or self.take_turn()).save(tokens)
        except (Exception, asyncio.CancelledError) as error:
            self._tell(SaveFailed(generation, type(error).__name__))
            self._unsaved.note(tokens, generation)
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise  # by the time limit, or a sign-out, and not by the storage itself
        else:
            self._tell(TokensSaved(generation))
        finally:
            if self._saving is tokens:  # a storage may be slow to notice that it was cancelled
                self._saving = None

    async def save(self, tokens: TokenSet, generation: int, turn: Turn | None = None) -> None:
        """Save the tokens of a login.

        Raises:
            TokenStorageError: The storage did not take them.
        """
        try:
            await self._within_limit((turn or self.take_turn()).save(tokens))
        except Exception as error:
            raise _not_done("saved", error) from error
        self._tell(TokensSaved(generation))

    async def clear(self, turn: Turn | None = None) -> None:
        """Clear the storage.

        Raises:
            TokenStorageError: It could not be cleared.
        """
        try:
            await self._within_limit((turn or self.take_turn()).clear())
        except Exception as error:
            raise _not_done("cleared", error) from error

    async def forget(self, generation: int, turn: Turn | None = None) -> None:
        """Clear the storage; who waits for it goes on all the same if that fails."""
        try:
            await self.clear(turn)
        except TokenStorageError as error:
            self._tell(SaveFailed(generation, type(error.__cause__).__name__))

    def forget_later(self, generation: int, turn: Turn) -> None:
        """Clear the storage, while nobody waits for it."""
        chore = asyncio.get_running_loop().create_task(self.forget(generation, turn))
        self._chores.add(chore)
        chore.add_done_callback(self._chores.discard)
        chore.add_done_callback(lambda _: turn.give_up())  # where the loop has ended before it began

    async def see_through(self, call: Coroutine[Any, Any, None]) -> None:
        """Wait for a call of the storage; who leaves meanwhile does not stop it: memory and storage must agree."""
        chore = asyncio.get_running_loop().create_task(call)
        self._chores.add(chore)
        chore.add_done_callback(self._chores.discard)
        await asyncio.shield(chore)

    async def aclose(self) -> None:
        """Wait for what nobody waits for, at most for the time limit; try once more to save what is unsaved."""
        await self._unsaved.aclose()
        loop = asyncio.get_running_loop()
        if chores := [chore for chore in tuple(self._chores) if chore.get_loop() is loop]:
            _, late = await asyncio.wait(chores, timeout=self._time_limit)
            for chore in late:
                chore.cancel()

    async def _load(self, _: None) -> tuple[TokenSet | None]:
        # In a tuple: to a flight, None means that nothing was returned.
        return (await self._storage.load(),)

    async def _hand_over(self, _: None, loaded: tuple[TokenSet | None]) -> tuple[TokenSet | None]:
        (tokens,) = loaded
        self._use(None if tokens is None else checked_tokens(tokens))
        return loaded

    async def _save_once_more(self, tokens: TokenSet, generation: int, turn: Turn) -> bool:
        try:
            await self.save(tokens, generation, turn)
        except TokenStorageError as error:
            self._tell(SaveFailed(generation, type(error.__cause__).__name__))
            return False
        return True

    def _claim_always(self, generation: int) -> Turn:
        return self.take_turn()

    async def _within_limit(self, call: Coroutine[Any, Any, None]) -> None:
        """Let a call of the storage take its time, but not for ever: the calls behind it wait.

        Raises:
            TimeoutError: It did not end within the time limit, and was cancelled.
        """
        task = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"
        before, has_expired = task.cancelling(), False

        def expire() -> None:
            nonlocal has_expired
            has_expired = True
            task.cancel()

        timer = start_timer(self._time_limit, expire, self._scheduler)
        try:
            await call
        except asyncio.CancelledError:
            if has_expired and task.uncancel() <= before:
                raise TimeoutError(f"the storage did not answer within {self._time_limit:g} s") from None
            raise
        finally:
            timer.cancel()


def _load_failed(_: None, error: Exception, waiting: int) -> AuthError:
    return _not_done("loaded", error)


def _not_done(what: str, error: Exception) -> TokenStorageError:
    failure = TokenStorageError(
        what, because=error if isinstance(error, (InvariantError, InvalidStoredTokens)) else None
    )
    failure.__cause__ = error
    return failure
