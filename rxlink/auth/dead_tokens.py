"""Refresh tokens that were refused for good: a session never sends one again, whoever signs in with it."""

from __future__ import annotations

import hashlib
from collections import deque
from typing import Final

from rxlink.auth.tokens import TokenSet

__all__ = ["DeadTokens"]

REMEMBERED: Final = 64
"""How many are remembered; each login brings one at the most."""


class DeadTokens:
    """Remembers the refresh tokens of a session that are dead: not themselves, but their SHA-256."""

    def __init__(self) -> None:
        self._hashes: deque[bytes] = deque(maxlen=REMEMBERED)

    def note(self, tokens: TokenSet | None) -> None:
        """Remember that the refresh token of this set, if it has one, is dead."""
        # Once each: one that keeps coming does not push out the others.
        if tokens is not None and tokens.refresh_token is not None and not self.has(tokens):
            self._hashes.append(_hashed(tokens.refresh_token))

    def has(self, tokens: TokenSet | None) -> bool:
        """Tell whether the refresh token of this set is known to be dead."""
        return tokens is not None and tokens.refresh_token is not None and _hashed(tokens.refresh_token) in self._hashes


def _hashed(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
