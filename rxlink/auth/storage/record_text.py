"""How stored tokens are written down, in files, keychains and databases: as JSON that says what it is."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, cast

from rxlink.auth.storage.shared import StoredTokens
from rxlink.auth.tokens import TokenSet
from rxlink.errors import InvalidStoredTokens, InvariantError

__all__ = ["from_text", "to_text"]

FORMAT: Final = "rxlink-tokens"
VERSION: Final = 1
"""Of the format; to be counted up with each change that older versions would misread."""


def to_text(record: StoredTokens) -> str:
    """Return what is to be kept, as text."""
    tokens = record.tokens
    kept: dict[str, object] | None = None
    if tokens is not None:
        kept = {
            "access_token": tokens.access_token,
            "refresh_token": tokens.refresh_token,
            "expires_in": tokens.expires_in,
            "expires_at": None if tokens.expires_at is None else tokens.expires_at.isoformat(),
        }
    said = {"format": FORMAT, "version": VERSION, "login": record.login, "serial": record.serial, "tokens": kept}
    return json.dumps(said if record.reason is None else said | {"reason": record.reason}, indent=1)


def from_text(text: str | bytes, where: str) -> StoredTokens:
    """Return what was kept.

    Args:
        text: What was found.
        where: In words, where it was found, for the error.

    Raises:
        InvalidStoredTokens: It is something else, or of another version; none of it is quoted.
    """
    found: Any = None
    with suppress(ValueError, RecursionError):  # which hold the text, so nothing is raised from them
        found = json.loads(text)
    if found is None:
        raise InvalidStoredTokens(where, "it is no JSON, or only a part of it")
    if not isinstance(found, dict) or cast("dict[str, Any]", found).get("format") != FORMAT:
        raise InvalidStoredTokens(where, f'it is JSON, but no {{"format": "{FORMAT}"}}')
    said = cast("dict[str, Any]", found)
    if (version := said.get("version")) != VERSION:
        of = f"version {version}" if isinstance(version, int) else "another version"
        raise InvalidStoredTokens(where, f"it is of {of} of the format, and this rxlink reads version {VERSION}")
    return _record_of(said, where)


def _record_of(found: dict[str, Any], where: str) -> StoredTokens:
    login, serial, kept = found.get("login"), found.get("serial"), found.get("tokens")
    if not isinstance(login, str) or not login:
        raise InvalidStoredTokens(where, "its `login` is no text")
    if not isinstance(serial, int) or isinstance(serial, bool) or serial < 1:
        raise InvalidStoredTokens(where, "its `serial` is no number from 1")
    if kept is not None and not isinstance(kept, dict):
        raise InvalidStoredTokens(where, "its `tokens` are neither an object nor null")
    tokens = None if kept is None else _tokens_of(cast("dict[str, Any]", kept), where)
    reason = found.get("reason")
    if reason is not None and not isinstance(reason, str):
        raise InvalidStoredTokens(where, "its `reason` is no text")
    return StoredTokens(tokens, login, serial, reason)


def _tokens_of(kept: dict[str, Any], where: str) -> TokenSet:
    if "access_token" not in kept:
        raise InvalidStoredTokens(where, "its `tokens` have no `access_token`")
    ends = _date_of(kept.get("expires_at"), where)
    try:
        return TokenSet(kept["access_token"], kept.get("refresh_token"), kept.get("expires_in"), ends)
    except InvariantError as error:
        raise InvalidStoredTokens(where, f"of its tokens, {error}") from error


def _date_of(text: object, where: str) -> datetime | None:
    if text is None:
        return None
    date = None
    with suppress(TypeError, ValueError):
        date = datetime.fromisoformat(cast("str", text))
    if date is None:
        raise InvalidStoredTokens(where, "its `expires_at` is no date")
    return date
