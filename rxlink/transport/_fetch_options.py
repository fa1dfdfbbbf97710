"""What there is of fetch's options over aiohttp: the method, and a signal that aborts.

Ports: the part of ``RequestInit`` that makes sense outside a browser.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeAlias, cast, get_args

from reactivex import Observable

from rxlink.core.options import kind_of
from rxlink.errors import InvariantError, InvariantTypeError

__all__ = ["FetchOptions", "Method", "fetch_options_over"]

Method: TypeAlias = Literal["GET", "POST"]

ELSEWHERE = {"credentials": "`credentials`", "headers": "`headers`", "body": "`encode`"}
"""Where else the link or the context says what fetch has among its options."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchOptions:
    """How a request is sent.

    Attributes:
        method: In capitals.
        signal: Its first value aborts; None where nothing does.
    """

    method: Method = "POST"
    signal: Observable[Any] | None = None


def fetch_options_over(options: FetchOptions, changes: object, where: str) -> FetchOptions:
    """Return options with what others say over them; None in those says nothing.

    Args:
        options: Valid ones.
        changes: Values by name, or None.
        where: Whose these are, for the error message.

    Raises:
        InvariantTypeError: They are no mapping, or the signal is no Observable.
        InvariantError: An option is not there, or the method is neither GET nor POST.
    """
    if not changes:
        return options
    if not isinstance(changes, Mapping):
        raise InvariantTypeError(f"`fetch_options` of {where} is {kind_of(changes)}; give a mapping of options")
    said = {name: value for name, value in cast("Mapping[Any, Any]", changes).items() if value is not None}
    known = [option.name for option in fields(FetchOptions)]
    for name in said:
        if name not in known:
            cure = f"use {ELSEWHERE[name]}" if name in ELSEWHERE else f"there are {' and '.join(known)}"
            raise InvariantError(f"`fetch_options` of {where} has no option {name!r}; {cure}")
    method, signal = said.get("method", "POST"), said.get("signal")
    if method not in get_args(Method):
        raise InvariantError(f"`method` in `fetch_options` of {where} is {method!r}; give 'GET' or 'POST'")
    if signal is not None and not isinstance(signal, Observable):
        raise InvariantTypeError(
            f"`signal` in `fetch_options` of {where} is {kind_of(signal)}; give an Observable whose first "
            "value aborts, such as from_future(event.wait) of an asyncio.Event"
        )
    return replace(options, **said)
