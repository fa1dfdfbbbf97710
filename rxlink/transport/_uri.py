"""Where a request goes: checks an address, puts parameters into it, and shows it without its secrets.

Ports: ``@apollo/client`` 4.3.8 ``src/link/http/rewriteURIForGET.ts``, the part about the address.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote

from aiohttp import encode_basic_auth
from yarl import URL

from rxlink.core.options import kind_of
from rxlink.errors import InvariantError, InvariantTypeError

__all__ = ["Target", "parse_uri", "with_parameters"]

UNESCAPED = "-_.!~*'()"
"""What JavaScript's ``encodeURIComponent`` leaves as it is, beside letters and digits."""


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


def parse_uri(text: object, where: str, scheme: str = "http") -> Target:
    """Check an address.

    Args:
        text: An absolute address.
        where: Who gave it, for the error message.
        scheme: ``"http"`` or ``"ws"``; the same with an ``s`` is accepted too.

    Raises:
        InvariantTypeError: It is no text.
        InvariantError: It is no address, or not of these schemes.
    """
    if not isinstance(text, str):
        raise InvariantTypeError(
            f"{where} is {kind_of(text)}; give {'a' if scheme == 'ws' else 'an'} {scheme}(s) address as text"
        )
    url = _parsed(text)
    if url is None or url.scheme not in (scheme, f"{scheme}s") or not url.host:
        shown = _without_secrets(text)
        raise InvariantError(
            f"{where} is {shown!r}; give an absolute address that starts with {scheme}:// or {scheme}s://"
        )
    if url.user is None and url.password is None:
        return Target(url, None)
    if ":" in (url.user or ""):
        raise InvariantError(f"{where} has a user name with a colon in it, which HTTP cannot carry")
    return Target(url.with_user(None), encode_basic_auth(url.user or "", url.password or ""))


def with_parameters(target: Target, parameters: Iterable[tuple[str, str]]) -> Target:
    """Return an address with parameters behind those that it has; its fragment stays.

    Args:
        target: The address.
        parameters: Values by name; a half of a surrogate pair in one goes as JSON and GraphQL escape it.
    """
    # yarl would escape other characters than fetch does, and caches compare addresses letter by letter.
    added = "&".join(
        f"{name}={quote(value.encode(errors='backslashreplace'), safe=UNESCAPED)}" for name, value in parameters
    )
    before, mark, fragment = str(target.url).partition("#")
    separator = "&" if target.url.raw_query_string else "?"
    return Target(URL(f"{before}{separator}{added}{mark}{fragment}", encoded=True), target.authorization)


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
