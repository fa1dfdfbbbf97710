"""What an answer says of persisted queries, in its errors or in the body of a failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from rxlink.core.operation import Operation
from rxlink.core.result import FetchResult, graphql_errors
from rxlink.errors import CombinedGraphQLErrors, ServerError

__all__ = ["ErrorMeta", "RetryFunctionOptions", "describe_error", "describe_result"]

RESULT_KEYS: Final = frozenset({"data", "errors", "extensions"})
"""What a result is made of; one with other keys is a part of a result, and says nothing of the whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorMeta:
    """What an answer says of persisted queries, by the codes or the messages of its errors.

    Attributes:
        persisted_query_not_supported: The server has none, for this client or at all.
        persisted_query_not_found: The server does not know this hash.
    """

    persisted_query_not_supported: bool = False
    persisted_query_not_found: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryFunctionOptions:
    """What went wrong, for ``retry`` and ``disable``.

    Attributes:
        error: The error; ``CombinedGraphQLErrors`` where there is a result.
        operation: The operation.
        meta: What the answer says of persisted queries.
        result: The result with errors, also where it came as the body of a ``ServerError``; None for other errors.
    """

    error: Exception
    operation: Operation
    meta: ErrorMeta
    result: FetchResult | None = field(default=None, repr=False)


def describe_result(result: FetchResult, operation: Operation) -> RetryFunctionOptions | None:
    """Describe a result with errors; None where it has none, or is only a part of a result."""
    errors = graphql_errors(result)
    return None if errors is None or not _is_whole(result) else _of_errors(result, errors, operation)


def describe_error(error: Exception, operation: Operation) -> RetryFunctionOptions:
    """Describe an exception; what servers say of persisted queries comes with a status of failure too."""
    result = error.result if isinstance(error, ServerError) else None
    if result is None or not _is_whole(result):
        return RetryFunctionOptions(error=error, operation=operation, meta=ErrorMeta())
    return _of_errors(result, graphql_errors(result) or [], operation)


def _is_whole(result: FetchResult) -> bool:
    return result.keys() <= RESULT_KEYS and ("errors" in result or "data" in result)


def _of_errors(result: FetchResult, errors: list[Any], operation: Operation) -> RetryFunctionOptions:
    meta = ErrorMeta(
        persisted_query_not_supported=_says(errors, "PersistedQueryNotSupported", "PERSISTED_QUERY_NOT_SUPPORTED"),
        persisted_query_not_found=_says(errors, "PersistedQueryNotFound", "PERSISTED_QUERY_NOT_FOUND"),
    )
    error = CombinedGraphQLErrors(result, errors)
    return RetryFunctionOptions(error=error, operation=operation, meta=meta, result=result)


def _says(errors: list[Any], message: str, code: str) -> bool:
    return any(_part_of(error, "message") == message or _code_of(error) == code for error in errors)


def _code_of(error: object) -> object:
    return _part_of(_part_of(error, "extensions"), "code")


def _part_of(value: object, name: str) -> object:
    """Return a member of an object; None of anything else, as servers put all sorts of things among errors."""
    return cast("Mapping[str, object]", value).get(name) if isinstance(value, Mapping) else None
