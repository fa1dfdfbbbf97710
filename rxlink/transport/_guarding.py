"""Keeps the headers that AuthLink wrote with the origins that they are meant for, redirects included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

import aiohttp
from yarl import URL

from rxlink.auth.origins import PROTECTED, Audience, origin_of
from rxlink.core.operation import Operation
from rxlink.core.options import kind_of
from rxlink.errors import InvariantError, InvariantTypeError
from rxlink.transport._uri import Target

__all__ = ["REDIRECTS", "HeaderKeeper", "OriginGuard"]

KEPT_BY_AIOHTTP: Final = frozenset({"authorization", "cookie"})
"""What aiohttp itself does not take along to another origin."""

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
"""The statuses that aiohttp follows."""


class OriginGuard:
    """Refuses to send a protected header where it must not go.

    Args:
        own: The address of the link, None where a function tells it.
    """

    __slots__ = ("_own", "_own_origin", "cleared")

    def __init__(self, own: Target | None) -> None:
        self._own = own
        self._own_origin = None if own is None else _origin(own.url)
        self.cleared: object = None
        """The protection with which everything may go to the link's own address, and need not be looked at again."""

    def check(self, operation: Operation, target: Target, given: Mapping[str, str]) -> tuple[str, ...]:
        """Return the names of protected headers that are there and that aiohttp would take along to another origin.

        Args:
            operation: The operation; its context says what is protected.
            target: Where it goes.
            given: The headers of its context; those of the link are the business of whoever made the link.

        Raises:
            InvariantError: A protected header is there that must not go to the target.
            InvariantTypeError: What the context says of protection is none.
        """
        context = operation.get_context()
        protected = _checked(context[PROTECTED])
        url = target.url
        is_own = _origin(url) == self._own_origin if self._own is not None else not context.get("uri")
        refusals = {
            name: audience.refusal(url.scheme, url.raw_host or "", url.port, is_own=is_own)
            for name, audience in protected.items()
        }
        if target is self._own and not any(refusals.values()) and protected.keys() <= KEPT_BY_AIOHTTP:
            self.cleared = protected
        present = sorted(protected.keys() & {name.lower() for name in given})
        for name in present:
            if refusals[name] is not None:
                raise InvariantError(
                    f"{operation!r} was not sent: the header {name!r} must not go to {_origin(url)}: {refusals[name]}. "
                    'An operation that needs no token goes without one with "auth": "none" in its context'
                )
        return tuple(name for name in present if name not in KEPT_BY_AIOHTTP)


class HeaderKeeper:
    """A middleware of one request: after a redirect to another origin it goes on without the headers.

    They stay off where that origin leads back to the first one, to a path of its choice: so does aiohttp with
    ``authorization``.

    Args:
        url: Where the request goes first.
        names: The headers.
    """

    __slots__ = ("_has_left", "_names", "_origin")

    def __init__(self, url: URL, names: tuple[str, ...]) -> None:
        self._origin = _origin(url)
        self._names = names
        self._has_left = False

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send a request, the first one or one that a redirect asked for."""
        self._has_left = self._has_left or _origin(request.url) != self._origin
        if self._has_left:
            for name in self._names:
                request.headers.popall(name, None)
        return await handler(request)


def _origin(url: URL) -> str:
    return origin_of(url.scheme, url.raw_host or "", url.port)


def _checked(protected: object) -> Mapping[str, Audience]:
    if not isinstance(protected, Mapping):
        raise InvariantTypeError(f"`{PROTECTED}` of the context is {kind_of(protected)}; leave it to AuthLink")
    for audience in cast("Mapping[Any, object]", protected).values():
        if not isinstance(audience, Audience):
            raise InvariantTypeError(f"`{PROTECTED}` of the context holds {kind_of(audience)}; leave it to AuthLink")
    return cast("Mapping[str, Audience]", protected)
