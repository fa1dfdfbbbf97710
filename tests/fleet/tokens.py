"""What a server hands out at a sign-in, as a session keeps it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from rxlink import TokenSet

__all__ = ["ended", "tokens_of"]


def tokens_of(pair: dict[str, Any]) -> TokenSet:
    """Return tokens that were handed out just now."""
    return TokenSet(pair["access_token"], pair["refresh_token"], pair["expires_in"]).received(datetime.now(UTC))


def ended(pair: dict[str, Any]) -> TokenSet:
    """Return tokens whose access token is known to have ended, so that whoever loads them refreshes first."""
    return TokenSet(pair["access_token"], pair["refresh_token"], expires_at=datetime.now(UTC) - timedelta(minutes=1))
