"""The storage that forgets at the end of the process."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import Lock

from rxlink.auth.storage.shared import LEASE, SharedTokenStorage, StoredTokens, TokenLease, new_login
from rxlink.auth.tokens import TokenSet
from rxlink.core.timing import Duration

__all__ = ["MemoryTokenStorage"]


class MemoryTokenStorage(SharedTokenStorage):
    """Keeps tokens in memory. Any number of sessions of one process may share it, also on several threads."""

    def __init__(self, tokens: TokenSet | None = None, *, lease: Duration = LEASE) -> None:
        """Start with these tokens, or with none.

        Args:
            tokens: The tokens.
            lease: Seconds; of no consequence here, where the holder of the right to refresh cannot die alone.
        """
        super().__init__(lease=lease)
        self._lock = Lock()
        self._record = None if tokens is None else StoredTokens(tokens, new_login(), 1)
        self._lease: _Lease | None = None

    async def read(self) -> StoredTokens | None:
        """Return what is kept."""
        return self._record

    async def replace(self, old: StoredTokens | None, new: StoredTokens, /) -> bool:
        """Keep ``new`` if ``old`` is what is kept."""
        with self._lock:
            kept = self._record
            if kept is not old and (kept is None or not kept.is_same_as(old)):
                return False
            self._record = new
        return True

    async def try_acquire(self) -> TokenLease | None:
        """Return the right to refresh, or None where another session has it."""
        with self._lock:
            if self._lease is not None:
                return None
            self._lease = _Lease(self._give_back)
            return self._lease

    def stamp(self) -> Hashable:
        """Return the number of the last change."""
        record = self._record
        return None if record is None else (record.login, record.serial)

    def _give_back(self, lease: _Lease) -> None:
        with self._lock:
            if self._lease is lease:
                self._lease = None


class _Lease(TokenLease):
    """Lasts until it is given back."""

    def __init__(self, give_back: Callable[[_Lease], None]) -> None:
        self._give_back = give_back

    async def release(self) -> None:
        self._give_back(self)
