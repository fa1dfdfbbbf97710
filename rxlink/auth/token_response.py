"""What was answered to a request for an access token, and where in it the token is."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Protocol, TypeGuard, cast

from rxlink.core.operation import Operation
from rxlink.core.options import kind_of
from rxlink.core.result import graphql_errors
from rxlink.errors import CombinedGraphQLErrors, ServerError, ServerParseError, TokenRefreshError

__all__ = ["parse_and_check_response", "token_in"]


class Response(Protocol):
    """What is asked of a HTTP response; aiohttp's ``ClientResponse`` is one."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers."""
        ...

    async def text(self) -> str:
        """Read the body."""
        ...


def parse_and_check_response(operation: Operation, access_token_field: str) -> Callable[[object], Awaitable[object]]:
    """Return the function that reads a response: its body as JSON; anything else is the body already.

    Args:
        operation: The operation that set off the refresh.
        access_token_field: The name of the field of the token.

    Raises:
        ServerError: From the function: the status is 300 or more.
        ServerParseError: From the function: the body is no JSON.
    """

    async def read(answer: object) -> object:
        return await _body_of(answer) if _is_response(answer) else answer

    return read


def token_in(body: object, field: str) -> Any:
    """Return the access token: a field of the body, or of its ``data``; a bare text is the token itself.

    Raises:
        TokenRefreshError: It is not there; the errors of a GraphQL result are the cause.
    """
    fields: Mapping[str, Any] = cast("Mapping[str, Any]", body) if isinstance(body, Mapping) else {}
    data: Any = fields.get("data")
    inner = cast("Mapping[str, Any]", data) if isinstance(data, Mapping) else fields
    token: Any = body if isinstance(body, str) else inner.get(field, fields.get(field))
    if token is not None and token is not False and token != "":
        return token
    if errors := graphql_errors(dict(fields)):
        refused = CombinedGraphQLErrors(dict(fields), errors)
        raise TokenRefreshError(f"the token refresh was answered with errors: {refused}", retryable=False) from refused
    kind = "" if isinstance(body, Mapping) else f" ({kind_of(body)})"
    raise TokenRefreshError(
        f"the answer to the token refresh{kind} holds no {field!r}; name the field with `access_token_field`, or make "
        "a mapping with it in `handle_response`",
        retryable=False,
    )


def _is_response(answer: object) -> TypeGuard[Response]:
    return isinstance(getattr(answer, "status", None), int) and callable(getattr(answer, "text", None))


async def _body_of(response: Response) -> object:
    text, status = await response.text(), response.status
    headers = {name.lower(): value for name, value in response.headers.items()}
    failure: ValueError | None = None
    body: object = {}
    try:
        body = json.loads(text) if text else {}
    except ValueError as error:
        failure = error
    if status >= HTTPStatus.MULTIPLE_CHOICES:
        result = cast("dict[str, Any]", body) if isinstance(body, dict) and failure is None else None
        message = f"the token refresh was answered with status {status}"
        raise ServerError(message, status_code=status, headers=headers, body_text=text, result=result) from failure
    if failure is not None:
        message = "the answer to the token refresh is no JSON"
        raise ServerParseError(message, status_code=status, headers=headers, body_text=text) from failure
    return body
