"""What there is of fetch's options over aiohttp: the method, redirects, and a signal that aborts.

Ports: the part of ``RequestInit`` that makes sense outside a browser.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeAlias, cast, get_args

from reactivex import Observable

from rxlink.core.options import kind_of
from rxlink.errors import InvariantError, InvariantTypeError

__all__ = ["FetchOptions", "Method", "Redirect", "fetch_options_over"]

Method: TypeAlias = Literal["GET", "POST"]
Redirect: TypeAlias = Literal["follow", "error"]

CHOICES: Mapping[str, Any] = {"method": Method, "redirect": Redirect}

ELSEWHERE = {"credentials": "`credentials`", "headers": "`headers`", "body": "`encode`"}
"""Where else the link or the context says what fetch has among its options."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchOptions:
    """How a request is sent.

    Attributes:
        method: In capitals.
        redirect: Whether a redirect is followed, or is an error.
        signal: Its first value aborts; None where nothing does.
    """

    method: Method = "POST"
    redirect: Redirect = "follow"
    signal: Observable[Any] | None = None


def fetch_options_over(options: FetchOptions, changes: object, where: str) -> FetchOptions:
    """Return options with what others say over them; None in those says nothing.

    Args:
        options: Valid ones.
        changes: Values by name, or None.
        where: Whose these are, for the error message.

    Raises:
        InvariantTypeError: They are no mapping, or the signal is no Observable.
        InvariantError: An option is not there, or its value is no choice.
    """
    if changes is None:
        return options
    if not isinstance(changes, Mapping):
        raise InvariantTypeError(f"`fetch_options` of {where} is {kind_of(changes)}; give a mapping of options")
    said = {name: value for name, value in cast("Mapping[Any, Any]", changes).items() if value is not None}
    known = [option.name for option in fields(FetchOptions)]
    for name in said:
        if name not in known:
            cure = f"use {ELSEWHERE[name]}" if name in ELSEWHERE else f"there are {', '.join(known)}"
            raise InvariantError(f"`fetch_options` of {where} has no option {name!r}; {cure}")
    for name in CHOICES.keys() & said.keys():
        words = get_args(CHOICES[name])
        if said[name] not in words:
            cure = " or ".join(map(repr, words))
            raise InvariantError(f"`{name}` in `fetch_options` of {where} is {said[name]!r}; give {cure}")
    signal = said.get("signal")
    if signal is not None and not isinstance(signal, Observable):
        raise InvariantTypeError(
            f"`signal` in `fetch_options` of {where} is {kind_of(signal)}; give an Observable whose first "
            "value aborts, such as from_future(event.wait) of an asyncio.Event"
        )
    return replace(options, **said)
