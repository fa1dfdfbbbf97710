"""What a server answers to an operation, and the questions links ask of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

__all__ = ["FetchResult", "IncrementalResult", "graphql_errors", "has_data"]

FetchResult: TypeAlias = dict[str, Any]
"""A GraphQL response as it came off the wire: ``data``, ``errors``, ``extensions`` (spec section 7.1)."""


class IncrementalResult(dict[str, Any]):
    """A result that arrives in pieces (``@defer``, ``@stream``): all that has come so far, merged.

    It equals the dict of ``data``, ``errors`` and ``extensions`` that Apollo's client has at this point. Each piece
    gives a new one, which shares with the one before what has not changed: do not write into it.

    Attributes:
        increment: The piece that has come last, as the server sent it.
        has_next: Whether another one is to come.
        new_errors: Those of ``errors`` that came with this piece.
    """

    __slots__ = ("has_next", "increment", "new_errors")

    def __init__(
        self,
        merged: FetchResult,
        *,
        increment: Mapping[str, Any],
        has_next: bool,
        new_errors: Sequence[Any] = (),
    ) -> None:
        super().__init__(merged)
        self.increment = increment
        self.has_next = has_next
        self.new_errors = tuple(new_errors)


def graphql_errors(result: FetchResult) -> list[Any] | None:
    """Return the ``errors`` of a result, None where it has none; of a piece, those that came with it.

    An empty list is returned as it is: in JavaScript, whose conditions links port, it is truthy.
    """
    if isinstance(result, IncrementalResult):
        return list(result.new_errors) or None
    errors = result.get("errors")
    return cast("list[Any]", errors) if isinstance(errors, list) else None


def has_data(result: FetchResult) -> bool:
    """Tell whether any root field of a result has a value.

    ``{"data": {"viewer": null}}`` has none: that is how a failed nullable field looks.
    """
    data = result.get("data")
    if not isinstance(data, dict):
        return data is not None
    return any(value is not None for value in cast("dict[str, Any]", data).values())
