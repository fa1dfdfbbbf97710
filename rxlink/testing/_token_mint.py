"""Makes the texts of tokens: JWTs and opaque random ones, the same again for the same seed."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random

import jwt

__all__ = ["TokenMint"]


class TokenMint:
    """A source of token texts with a signing key of its own."""

    def __init__(self, *, now: Callable[[], datetime], token_life: float, seed: int) -> None:
        """Make a source; `exp` is `token_life` seconds after `now()`, which is aware."""
        self._now = now
        self._life = timedelta(seconds=token_life)
        self._random = Random(seed)  # noqa: S311 - reproducible on purpose: these tokens guard nothing
        self._signing_key = self._random.randbytes(32)

    def access_token(self, user: str, *, is_stale: bool = False) -> str:
        """Return a JWT for `user`; a stale one was issued so long ago that it has just ended."""
        issued = self._now() - self._life if is_stale else self._now()
        claims = {"sub": user, "iat": issued, "exp": issued + self._life, "jti": self._text(12)}
        return jwt.encode(  # pyright: ignore[reportUnknownMemberType] - PyJWT is partly untyped
            claims, self._signing_key, algorithm="HS256"
        )

    def refresh_token(self) -> str:
        """Return an opaque text of 256 random bits."""
        return self._text(32)

    def _text(self, size: int) -> str:
        return base64.urlsafe_b64encode(self._random.randbytes(size)).rstrip(b"=").decode()
