"""The application's function that gets new tokens: what it takes, and what it may return."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from reactivex import Observable

from rxlink.auth.events import RefreshReason
from rxlink.auth.tokens import TokenSet
from rxlink.core.options import kind_of
from rxlink.errors import InvariantError, TokenRefreshError

__all__ = ["NewTokens", "RefreshCallback", "RefreshReturn", "checked_return"]

NewTokens: TypeAlias = TokenSet | str | None
RefreshReturn: TypeAlias = NewTokens | Awaitable[NewTokens] | Observable[NewTokens]
RefreshCallback: TypeAlias = Callable[[TokenSet | None, RefreshReason], RefreshReturn]


def checked_return(returned: object, callback: str = "the refresh callback") -> TokenSet | None:
    """Return what the function has returned as tokens, None for none.

    Raises:
        TokenRefreshError: It is something else.
    """
    if returned is None or isinstance(returned, TokenSet):
        return returned
    if not isinstance(returned, str):
        raise _unusable(callback, f"it is {kind_of(returned)}; return a TokenSet, or an access token as text")
    try:
        return TokenSet(returned) if returned else None
    except InvariantError as error:
        raise _unusable(callback, str(error)) from error


def _unusable(callback: str, reason: str) -> TokenRefreshError:
    return TokenRefreshError(f"what {callback} returned cannot be used: {reason}", retryable=False)
