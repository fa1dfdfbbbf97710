"""Which failure means that the access token is no longer accepted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

from rxlink.core.result import FetchResult, graphql_errors, has_data
from rxlink.errors import CombinedGraphQLErrors, ServerError

__all__ = ["AuthErrorPredicate", "is_auth_error"]

AUTH_CODE = "UNAUTHENTICATED"
"""The ``extensions.code`` of Apollo Server and those that follow it."""
UNAUTHORIZED = 401
"""RFC 9110 section 15.5.2."""

AuthErrorPredicate: TypeAlias = "Callable[[FetchResult | Exception], bool]"


def is_auth_error(answer: FetchResult | Exception) -> bool:
    """Tell whether an answer means that the access token is no longer accepted.

    It does if the HTTP status is 401, or any error of the result has the code ``UNAUTHENTICATED`` and no root field
    has a value: partial data is delivered as it is. 403 and ``FORBIDDEN`` mean that a new token would not help.

    Args:
        answer: What arrived: a result, or the exception that took its place, such as ``ErrorResponse.error``.
    """
    if isinstance(answer, dict):
        errors = graphql_errors(answer) if "errors" in answer else None
        return bool(errors) and not has_data(answer) and any(map(_has_auth_code, errors))
    if isinstance(answer, ServerError):
        return answer.status_code == UNAUTHORIZED or (answer.result is not None and is_auth_error(answer.result))
    if isinstance(answer, CombinedGraphQLErrors):
        return is_auth_error({"data": answer.data, "errors": list(answer.errors)})
    return False


def _has_auth_code(error: Any) -> bool:
    """Look for the code; servers send errors without extensions, and extensions that are null."""
    if not isinstance(error, Mapping):
        return False
    extensions = cast("Mapping[str, Any]", error).get("extensions")
    return isinstance(extensions, Mapping) and cast("Mapping[str, Any]", extensions).get("code") == AUTH_CODE
