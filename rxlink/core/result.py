"""What a server answers to an operation, and the questions links ask of it."""

from __future__ import annotations

from typing import Any, TypeAlias, cast

__all__ = ["FetchResult", "graphql_errors", "has_data"]

FetchResult: TypeAlias = dict[str, Any]
"""A GraphQL response as it came off the wire: ``data``, ``errors``, ``extensions`` (spec section 7.1)."""


def graphql_errors(result: FetchResult) -> list[Any] | None:
    """Return the ``errors`` of a result, None where it has none.

    An empty list is returned as it is: in JavaScript, whose conditions links port, it is truthy.
    """
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
