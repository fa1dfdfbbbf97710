"""What a session keeps its tokens in: a storage of its own, or one that it shares with others."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from rxlink.auth.storage.plain import TokenStorage
from rxlink.auth.storage.shared import StoredTokens, new_login
from rxlink.auth.tokens import TokenSet, checked_tokens
from rxlink.core.options import kind_of
from rxlink.errors import InvariantTypeError

__all__ = ["Depot", "Forgetful", "Kept", "OwnDepot", "Superseded"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """What is to be kept.

    Attributes:
        record: The tokens, or that somebody has signed out.
        generation: Of the tokens.
        base: What it follows: where something else is kept by now, that one stays.
        is_login: Whether it goes over whatever is kept: somebody has signed in or out.
        is_late: Whether it is a sign-out that could not be kept at once: it goes over whatever is of its own login.
    """

    record: StoredTokens
    generation: int
    base: StoredTokens | None = None
    is_login: bool = False
    is_late: bool = False


class Superseded(Exception):
    """Others have changed what is kept meanwhile.

    Attributes:
        record: What is kept now.
    """

    def __init__(self, record: StoredTokens | None) -> None:
        super().__init__("others have changed what is kept")
        self.record = record


class Depot(Protocol):
    """Loads and saves one after another; see :class:`~rxlink.auth.storage.serial.SerialDepot`."""

    async def load(self) -> StoredTokens | None:
        """Return what is kept."""
        ...

    async def save(self, kept: Kept, /) -> StoredTokens:
        """Keep this; return it as it is kept.

        Raises:
            Superseded: Something else is kept by now.
        """
        ...


class OwnDepot:
    """A storage that no other process uses."""

    def __init__(self, storage: TokenStorage) -> None:
        self._storage = storage

    async def load(self) -> StoredTokens | None:
        """Return what is kept, under a name for the sign-in that holds for this process."""
        tokens = await _answer_of(self._storage.load)
        return None if tokens is None else StoredTokens(checked_tokens(tokens), new_login(), 1)

    async def save(self, kept: Kept, /) -> StoredTokens:
        """Save the tokens, or clear the storage."""
        tokens = kept.record.tokens
        await _answer_of(self._storage.clear if tokens is None else lambda: self._storage.save(tokens))
        return kept.record


class Forgetful:
    """Where no storage was given: the session itself remembers its tokens, and nobody else has to."""

    async def load(self) -> TokenSet | None:
        """Nothing is kept."""

    async def save(self, tokens: TokenSet, /) -> None:
        """Keep nothing."""

    async def clear(self) -> None:
        """Nothing is kept."""


async def _answer_of(call: Callable[[], Awaitable[T]]) -> T:
    answer = call()
    if not inspect.isawaitable(answer):  # pyright: ignore[reportUnnecessaryComparison] - users' storages may be untyped
        raise InvariantTypeError(
            f"the storage answered with {kind_of(answer)} at once; let `load`, `save` and `clear` be coroutine "
            "functions"
        )
    return await answer
