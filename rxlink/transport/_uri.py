"""Where a request goes: checks an address, and shows it without its secrets."""

from __future__ import annotations

from typing import NamedTuple

from aiohttp import encode_basic_auth
from yarl import URL

from rxlink.errors import InvariantError, InvariantTypeError

__all__ = ["Target", "parse_uri"]


class Target(NamedTuple):
    """A checked address; what it shows of itself has neither user name, password nor query.

    Attributes:
        url: Where to send, without user name and password.
        authorization: What user name and password amount to as a header, None without them.
    """

    url: URL
    authorization: str | None

    def __str__(self) -> str:
        return f"{self.url.origin()}{self.url.raw_path}"

    def __repr__(self) -> str:
        return f"<Target {self}>"


def parse_uri(text: object, where: str) -> Target:
    """Check an address.

    Args:
        text: An absolute http or https address.
        where: Who gave it, for the error message.

    Raises:
        InvariantTypeError: It is no text.
        InvariantError: It is no address, or not of http or https.
    """
    if not isinstance(text, str):
        raise InvariantTypeError(f"{where} is a {type(text).__name__}; give an http(s) address as text")
    url = _parsed(text)
    if url is None or url.scheme not in ("http", "https") or not url.host:
        raise InvariantError(
            f"{where} is {_without_secrets(text)!r}; give an absolute address that starts with http:// or https://"
        )
    if url.user is None and url.password is None:
        return Target(url, None)
    if ":" in (url.user or ""):
        raise InvariantError(f"{where} has a user name with a colon in it, which HTTP cannot carry")
    return Target(url.with_user(None), encode_basic_auth(url.user or "", url.password or ""))


def _parsed(text: str) -> URL | None:
    try:
        return URL(text)
    except ValueError:
        return None


def _without_secrets(text: str) -> str:
    """Cut an address that may not even be one, before it is shown."""
    shown = text.partition("?")[0].partition("#")[0]
    before, at, after = shown.rpartition("@")
    if not at:
        return shown
    scheme, slashes, _ = before.partition("//")
    return f"{scheme}//***@{after}" if slashes else f"***@{after}"
