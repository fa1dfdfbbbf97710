"""Reads the answer to an operation, and tells whether it is a GraphQL response.

Ports: ``@apollo/client`` 4.3.8 ``src/link/http/parseAndCheckHttpResponse.ts``.
"""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

import aiohttp

from rxlink.auth.challenges import parse_challenges, required_scopes
from rxlink.core.operation import Operation
from rxlink.core.result import FetchResult
from rxlink.errors import (
    InvariantError,
    InvariantTypeError,
    ResponseTooLarge,
    ServerError,
    ServerParseError,
)

__all__ = [
    "FIRST_UNSUCCESSFUL_STATUS",
    "JsonDecoder",
    "checked_size",
    "decode_strictly",
    "headers_of",
    "parse_error",
    "read_body",
    "result_of",
    "server_error",
]

JsonDecoder: TypeAlias = Callable[[bytes], Any]

GRAPHQL_RESPONSE = "application/graphql-response+json"
OK = 200
FIRST_UNSUCCESSFUL_STATUS = 300
READ_ELSEWHERE = {
    "multipart/mixed": "in parts (multipart/mixed): send it to HttpLink, by itself and in no batch, with `split`",
    "text/event-stream": "with server-sent events (text/event-stream): send it to SseLink with `split`",
}
"""What is said of answers that are not read as a whole, by their media type."""
REFUSALS = (401, 403)
"""The statuses that may ask for scopes (RFC 6750 section 3.1)."""
IN_UTF8 = frozenset({
    "application/json", "application/json; charset=utf-8", "application/json;charset=utf-8",
    GRAPHQL_RESPONSE, f"{GRAPHQL_RESPONSE}; charset=utf-8", f"{GRAPHQL_RESPONSE};charset=utf-8",
})  # fmt: skip
"""The types that most answers have; others are looked at more closely."""


def checked_size(size: object) -> int | None:
    """Return a largest size of a response, in bytes; None is any.

    Raises:
        InvariantTypeError: It is no whole number.
        InvariantError: It is not above 0.
    """
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, int):
        raise InvariantTypeError(f"`max_response_size` is {size!r}; give bytes, or None for any")
    if size <= 0:
        raise InvariantError(f"`max_response_size` is {size}; give bytes above 0, or None for any")
    return size


async def read_body(
    response: aiohttp.ClientResponse, operation: Operation, *, limit: int | None, what: object
) -> bytes:
    """Read the body of a response, decompressed; whatever stops it closes the connection.

    Args:
        response: The response, of which the head was read.
        operation: What it answers.
        limit: The largest body, in bytes after decompression; None for any.
        what: As text, which operation this is and where it was sent, for error messages.

    Raises:
        ResponseTooLarge: The body is larger.
        ServerError: The body comes in pieces, which another link reads.
    """
    try:
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type in READ_ELSEWHERE and response.status == OK:
            raise server_error(response, b"", operation, f"{what} was answered {READ_ELSEWHERE[media_type]}")
        if limit is None:
            return await response.read()
        announced = None if "content-encoding" in response.headers else response.content_length
        if announced is not None:
            if announced > limit:
                raise ResponseTooLarge(str(what), limit=limit)
            return await response.read()  # not more than was announced: aiohttp holds the server to it
        chunks: list[bytes] = []
        size = 0
        while chunk := await response.content.readany():
            size += len(chunk)
            if size > limit:
                raise ResponseTooLarge(str(what), limit=limit)
            chunks.append(chunk)
        return b"".join(chunks)
    except BaseException:
        response.close()
        raise


def result_of(
    response: aiohttp.ClientResponse, content_type: str, body: bytes, operation: Operation, decode: JsonDecoder
) -> FetchResult:
    """Return a whole answer as a result.

    Of type ``application/graphql-response+json`` it is one at any status, else only below 300.

    Args:
        response: Its head.
        content_type: What that says of the body, as it stands there.
        body: Its body, decompressed.
        operation: The operation that it answers.
        decode: Makes an object of JSON in UTF-8.

    Raises:
        ServerError: The status or the content says that it is no GraphQL response.
        ServerParseError: It is no JSON.
    """
    result: Any = None
    failure: Exception | None = None
    try:
        result = decode(body.removeprefix(BOM_UTF8) if content_type in IN_UTF8 else _utf8(response, body))
    except Exception as error:  # noqa: BLE001 - a user's decoder may raise anything
        failure = error
    is_successful = response.status < FIRST_UNSUCCESSFUL_STATUS or GRAPHQL_RESPONSE in content_type
    if is_successful and isinstance(result, dict) and ("data" in result or "errors" in result):
        found: FetchResult = result  # pyright: ignore[reportUnknownVariableType] - `cast` would be one more call
        return found
    name = operation.operation_name or "(anonymous)"
    try:
        if not is_successful:
            message = f"Response not successful: Received status code {response.status} (operation {name})"
        elif failure is None:
            message = f"Server response was malformed for query '{name}'."
        else:
            raise parse_error(response, body, operation, failure)
        raise server_error(response, body, operation, message, cast("object", result))
    finally:
        del failure  # its traceback leads to this frame: no cycles


def server_error(
    response: aiohttp.ClientResponse, body: bytes, operation: Operation, message: str, result: object = None
) -> ServerError:
    """Return what an operation gets for an answer, or a part of one, that is no GraphQL response."""
    headers = headers_of(response.headers)
    challenges = parse_challenges(headers.get("www-authenticate")) if response.status in REFUSALS else ()
    return ServerError(
        message,
        status_code=response.status,
        headers=headers,
        body_text=_text(response, body),
        result=cast("dict[str, Any]", result) if isinstance(result, dict) else None,
        operation_name=operation.operation_name,
        required_scopes=required_scopes(challenges),
    )


def parse_error(
    response: aiohttp.ClientResponse, body: bytes, operation: Operation, failure: Exception, what: str = "the answer"
) -> ServerParseError:
    """Return what an operation gets for an answer, or a part of one, that is no JSON."""
    reason = str(failure) if isinstance(failure, json.JSONDecodeError) else type(failure).__name__
    error = ServerParseError(
        f"{what} to operation {operation.operation_name or '(anonymous)'} (status {response.status}) "
        f"is no JSON: {reason}",
        status_code=response.status,
        headers=headers_of(response.headers),
        body_text=_text(response, body),
        operation_name=operation.operation_name,
    )
    if not isinstance(failure, UnicodeError):  # whose `repr` shows the whole body
        error.__cause__ = failure
    return error


def _utf8(response: aiohttp.ClientResponse, body: bytes) -> bytes:
    """Return a body in UTF-8 without a byte order mark, from the charset that it declares."""
    declares = "charset" in response.headers.get("content-type", "").lower()
    charset = response.charset if declares else None
    if charset is not None and charset.lower() not in ("utf-8", "utf8"):
        try:
            return body.decode(charset).encode()
        except (LookupError, ValueError):
            pass  # an unknown charset, or a wrong one: read as what JSON is in
    return body.removeprefix(BOM_UTF8)


def _text(response: aiohttp.ClientResponse, body: bytes) -> str:
    return _utf8(response, body).decode(errors="replace")


def headers_of(answer: Mapping[str, str]) -> dict[str, str]:
    """Return headers by name, in lower case; those that come twice are joined."""
    headers: dict[str, str] = {}
    for name, value in answer.items():
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


JSON_BLANKS = " \t\n\r"
_json = json.JSONDecoder(parse_constant=_refuse_constant)
# What `raw_decode` calls, where it is there: a Python call less.
_scan: Callable[[str, int], tuple[object, int]] = getattr(_json, "scan_once", _json.raw_decode)


def decode_strictly(body: bytes) -> object:
    """Return what JSON in UTF-8 says; ``NaN`` and its like are none."""
    text = body.decode()
    try:
        value, end = _scan(text, 0)
    except (json.JSONDecodeError, StopIteration):
        value, end = None, -1
    if end == len(text):  # as in most answers, which begin with the first character
        return value
    # What may come behind it is white space.
    return value if end >= 0 and not text[end:].strip(JSON_BLANKS) else _json.decode(text)
