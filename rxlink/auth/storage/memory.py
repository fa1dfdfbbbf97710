"""The protocol of token storages, and the one that forgets at the end of the process."""

from __future__ import annotations

from typing import Protocol

from rxlink.auth.tokens import TokenSet

__all__ = ["MemoryTokenStorage", "TokenStorage"]


class TokenStorage(Protocol):
    """Keeps one session's tokens. Calls never overlap; whatever they raise leaves the session usable."""

    async def load(self) -> TokenSet | None:
        """Return what was saved last; None where nothing is, or it was cleared."""
        ...

    async def save(self, tokens: TokenSet, /) -> None:
        """Keep these tokens instead of those before; return when they are safe."""
        ...

    async def clear(self) -> None:
        """Forget the tokens."""
        ...


class MemoryTokenStorage:
    """Keeps tokens in memory. Several sessions, one after another, may share it."""

    def __init__(self, tokens: TokenSet | None = None) -> None:
        """Start with these tokens, or with none."""
        self._tokens = tokens

    async def load(self) -> TokenSet | None:
        """Return what was saved last."""
        return self._tokens

    async def save(self, tokens: TokenSet, /) -> None:
        """Keep these tokens."""
        self._tokens = tokens

    async def clear(self) -> None:
        """Forget the tokens."""
        self._tokens = None
