"""Headers: checked, merged from several places, and shown without their secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from multidict import istr

from rxlink.core.options import kind_of
from rxlink.errors import InvariantError, InvariantTypeError

__all__ = ["FALLBACK_HEADERS", "checked_accept", "checked_headers", "described", "unique_headers", "with_headers"]

FALLBACK_HEADERS = {
    "accept": "application/graphql-response+json,application/json;q=0.9",
    "content-type": "application/json",
}
"""What every request starts from; the order of the two accepted types is Apollo's."""

HARMLESS = frozenset({
    "accept", "accept-encoding", "age", "cache-control", "connection", "content-encoding",
    "content-length", "content-type", "date", "retry-after", "server", "transfer-encoding",
    "user-agent", "vary",
})  # fmt: skip
"""Headers whose value may stand in a log; a secret can be in any other, so those are masked."""

KNOWN_NAMES = 1000
"""How many names of headers are remembered as good ones; a service uses a few."""
_known_names: dict[str, istr] = {}
"""The good ones, with their lower case, as aiohttp compares them."""

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def checked_headers(headers: object, where: str) -> Mapping[str, str]:
    """Return headers that can be sent as they are.

    Args:
        headers: Values by name.
        where: Whose headers these are, for the error message.

    Raises:
        InvariantTypeError: This is no mapping, or a name or value in it is no text.
        InvariantError: A name or value holds what HTTP forbids; the message has no value in it.
    """
    if not isinstance(headers, Mapping):
        raise InvariantTypeError(f"the headers of {where} are {kind_of(headers)}; give a mapping of names to text")
    for name, value in cast("Mapping[Any, Any]", headers).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise InvariantTypeError(
                f"the header {name!r} of {where} is {kind_of(value)}; "
                "names and values of headers are text: leave out a header that has no value"
            )
        if not TOKEN.fullmatch(name):
            raise InvariantError(f"{name!r} of {where} cannot be the name of a header")
        if CONTROL.search(value):
            raise InvariantError(
                f"the header {name!r} of {where} holds a line break or another control character; "
                "strip the value before using it"
            )
    return cast("Mapping[str, str]", headers)


def with_headers(headers: dict[str, str], added: Mapping[Any, Any], where: str) -> dict[str, str]:
    """Return headers with others over them, checked; all names are in lower case.

    Args:
        headers: In lower case already.
        added: Values by name, in any case; of names that differ in case the last counts.
        where: Whose headers these are, for the error message.

    Raises:
        InvariantTypeError: As :func:`checked_headers`.
        InvariantError: As :func:`checked_headers`.
    """
    merged = {**headers}
    # A dict is told much sooner than a Mapping.
    if added.__class__ is dict or isinstance(added, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - untyped
        for name, value in added.items():
            # Exactly text: a subclass may have a `lower` or an `__eq__` of its own.
            known = _known_names.get(name) if type(name) is str else None
            if known is None or type(value) is not str or not value.isprintable():
                break
            merged[known] = value
        else:
            return merged
    for name, value in checked_headers(added, where).items():
        merged[istr(name.lower())] = value
        if type(name) is str:
            _remember(name)
    return merged


def _remember(name: str) -> None:
    """Take note of a name that was checked, and is exactly text."""
    if len(_known_names) >= KNOWN_NAMES:
        _known_names.clear()
    _known_names[name] = istr(name.lower())


def checked_accept(accept: object) -> list[str]:
    """Return the media types of the context's ``http.accept``.

    Raises:
        InvariantTypeError: This is no list of texts.
        InvariantError: A text holds what HTTP forbids.
    """
    if not isinstance(accept, (list, tuple)):
        raise InvariantTypeError(f"`http.accept` of the context is {kind_of(accept)}; give a list of media types")
    types = list(cast("Sequence[Any]", accept))
    for media_type in types:
        checked_headers({"accept": media_type}, "`http.accept` of the context")
    return types


def unique_headers(headers: Mapping[str, str], *, preserve_case: bool) -> dict[str, str]:
    """Keep the last of the headers that differ only in the case of their names.

    Args:
        headers: In the order in which they were given.
        preserve_case: Whether names stay as they were given; else they are in lower case.
    """
    if not preserve_case:
        return {istr(name.lower()): value for name, value in headers.items()}
    last = {name.lower(): (name, value) for name, value in headers.items()}
    return dict(last.values())


def described(headers: Mapping[str, str]) -> str:
    """Return headers for a log record, with the values masked that may be secret."""
    return ", ".join(f"{name}: {value if name.lower() in HARMLESS else '***'}" for name, value in headers.items())
