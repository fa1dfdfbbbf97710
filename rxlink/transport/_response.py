"""Reads the answer to an operation, and tells whether it is a GraphQL response.

Ports: ``@apollo/client`` 4.3.8 ``src/link/http/parseAndCheckHttpResponse.ts``.
"""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, cast

import aiohttp

from rxlink.core.operation import Operation
from rxlink.core.result import FetchResult
from rxlink.errors import (
    InvariantError,
    InvariantTypeError,
    ResponseTooLarge,
    ServerError,
    ServerParseError,
)

__all__ = ["Answer", "JsonDecoder", "checked_size", "read_answer"]

JsonDecoder: TypeAlias = Callable[[bytes], Any]

GRAPHQL_RESPONSE = "application/graphql-response+json"
FIRST_UNSUCCESSFUL_STATUS = 300


class Answer(NamedTuple):
    """A whole answer of a server.

    Attributes:
        response: Its head.
        body: Its body, decompressed.
        operation: The operation that it answers.
    """

    response: aiohttp.ClientResponse
    body: bytes
    operation: Operation

    def result(self, decode: JsonDecoder | None) -> FetchResult:
        """Return it as a result.

        Of type ``application/graphql-response+json`` it is one at any status, else only below 300.

        Args:
            decode: Makes an object of JSON in UTF-8; None for a strict ``json.loads``.

        Raises:
            ServerError: The status or the content says that it is no GraphQL response.
            ServerParseError: It is no JSON.
        """
        status = self.response.status
        is_graphql = GRAPHQL_RESPONSE in self.response.headers.get("content-type", "")
        result, failure = self._decoded(decode or _decode_strictly)
        if status >= FIRST_UNSUCCESSFUL_STATUS and not is_graphql:
            raise self.server_error(
                f"Response not successful: Received status code {status} (operation {self._name})",
                result,
            )
        if failure is not None:
            raise self._parse_error(failure)
        if isinstance(result, dict) and ("data" in result or "errors" in result):
            return cast("FetchResult", result)
        malformed = f"Server response was malformed for query '{self._name}'."
        raise self.server_error(malformed, cast("object", result))

    def server_error(self, message: str, result: object = None) -> ServerError:
        """Return the error that says with this message that it is no GraphQL response."""
        return ServerError(
            message,
            status_code=self.response.status,
            headers=self._headers(),
            body_text=self._text(),
            result=cast("dict[str, Any]", result) if isinstance(result, dict) else None,
            operation_name=self.operation.operation_name,
        )

    def _parse_error(self, failure: Exception) -> ServerParseError:
        is_json_error = isinstance(failure, json.JSONDecodeError)
        reason = str(failure) if is_json_error else type(failure).__name__
        error = ServerParseError(
            f"the answer to operation {self._name} (status {self.response.status}) is no JSON: {reason}",
            status_code=self.response.status,
            headers=self._headers(),
            body_text=self._text(),
            operation_name=self.operation.operation_name,
        )
        if not isinstance(failure, UnicodeError):  # whose `repr` shows the whole body
            error.__cause__ = failure
        return error

    def _decoded(self, decode: JsonDecoder) -> tuple[object, Exception | None]:
        """Return what the JSON says, or why it is none."""
        try:
            return decode(self._utf8()), None
        except Exception as error:  # noqa: BLE001 - a user's decoder may raise anything
            return None, error

    def _utf8(self) -> bytes:
        """Return the body in UTF-8 without a byte order mark, from the charset that it declares."""
        declares = "charset" in self.response.headers.get("content-type", "").lower()
        charset = self.response.charset if declares else None
        if charset is not None and charset.lower() not in ("utf-8", "utf8"):
            try:
                return self.body.decode(charset).encode()
            except (LookupError, ValueError):
                pass  # an unknown charset, or a wrong one: read as what JSON is in
        return self.body.removeprefix(BOM_UTF8)

    def _text(self) -> str:
        return self._utf8().decode(errors="replace")

    def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        for name, value in self.response.headers.items():
            key = name.lower()
            headers[key] = f"{headers[key]}, {value}" if key in headers else value
        return headers

    @property
    def _name(self) -> str:
        return self.operation.operation_name or "(anonymous)"


def checked_size(size: object) -> int | None:
    """Return a largest size of a response, in bytes; None is any.

    Raises:
        InvariantTypeError: It is no whole number.
        InvariantError: It is not above 0.
    """
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, int):
        raise InvariantTypeError(f"`max_response_size` is a {type(size).__name__}; give bytes, or None for any")
    if size <= 0:
        raise InvariantError(f"`max_response_size` is {size}; give bytes above 0, or None for any")
    return size


async def read_answer(
    response: aiohttp.ClientResponse, operation: Operation, *, limit: int | None, what: object
) -> Answer:
    """Read the body of a response; whatever stops it closes the connection.

    Args:
        response: The response, of which the head was read.
        operation: What it answers.
        limit: The largest body, in bytes after decompression; None for any.
        what: As text, which operation this is and where it was sent, for error messages.

    Raises:
        ResponseTooLarge: The body is larger.
        ServerError: The body comes in parts, which this cannot read.
    """
    try:
        if response.headers.get("content-type", "").lower().startswith("multipart/mixed"):
            raise Answer(response, b"", operation).server_error(
                f"{what} was answered in parts (multipart/mixed), which HttpLink does not read "
                "yet; leave out @defer and @stream"
            )
        return Answer(response, await _read_body(response, limit, what), operation)
    except BaseException:
        response.close()
        raise


async def _read_body(response: aiohttp.ClientResponse, limit: int | None, what: object) -> bytes:
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
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


_json = json.JSONDecoder(parse_constant=_refuse_constant)


def _decode_strictly(body: bytes) -> object:
    return _json.decode(body.decode())
