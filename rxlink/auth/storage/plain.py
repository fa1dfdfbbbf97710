"""The protocol of storages that one process has for itself."""

from __future__ import annotations

from typing import Protocol

from rxlink.auth.tokens import TokenSet

__all__ = ["TokenStorage"]


class TokenStorage(Protocol):
    """Keeps one session's tokens. Calls never overlap; whatever they raise leaves the session usable.

    For a process that has its tokens to itself. Processes that share theirs need a
    :class:`~rxlink.auth.storage.SharedTokenStorage`, or each other's refresh tokens are used twice.
    """

    async def load(self) -> TokenSet | None:
        """Return what was saved last; None where nothing is, or it was cleared."""
        ...

    async def save(self, tokens: TokenSet, /) -> None:
        """Keep these tokens instead of those before; return when they are safe."""
        ...

    async def clear(self) -> None:
        """Forget the tokens."""
        ...
