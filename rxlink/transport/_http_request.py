"""One HTTP request: everything about it that is decided before it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from reactivex import Observable

from rxlink.transport._fetch_options import Method
from rxlink.transport._multipart import MultipartBody
from rxlink.transport._sessions import Credentials
from rxlink.transport._uri import Target

__all__ = ["IDENTITY", "OF_REFRESH", "UNWANTED", "HttpRequest"]

IDENTITY = frozenset({"authorization", "cookie", "proxy-authorization"})
"""Headers that say whose request it is, beside those of AuthLink."""
OF_REFRESH: Final = (
    "the body of what a token refresh sends may hold a refresh token. Give the link the address it leads to"
)
UNWANTED: Final = "`redirect` in `fetch_options` is 'error'"


@dataclass(slots=True)
class HttpRequest:
    """One request; as text it says what was sent where, without what may be secret.

    Attributes:
        operation_name: The operation that it sends, None if it is anonymous.
        target: Where it goes; with GET, the query's parts are in its address.
        headers: Its headers.
        body: Its body; with GET or with files, empty.
        credentials: What is to happen with cookies, None where nobody said.
        method: How it is sent.
        signal: What may abort it.
        guarded: Names of headers that a redirect to another origin must not take along, beside those that aiohttp
            leaves behind by itself.
        is_endless: Whether its answer may go on without end.
        no_redirects: Why it follows no redirect, for the error; empty where it does.
        files: Its body where it has files.
    """

    operation_name: str | None
    target: Target
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    credentials: Credentials | None
    method: Method
    signal: Observable[Any] | None = None
    guarded: tuple[str, ...] = ()
    is_endless: bool = False
    no_redirects: str = ""
    files: MultipartBody | None = None

    @property
    def identity(self) -> Mapping[str, str]:
        """Its headers that say whose request it is, names in lower case."""
        names = IDENTITY.union(self.guarded)
        return {name.lower(): value for name, value in self.headers.items() if name.lower() in names}

    def __str__(self) -> str:
        return f"operation {self.operation_name or '(anonymous)'} to {self.target}"
