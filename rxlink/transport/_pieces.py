"""An answer that comes in pieces: what is asked of its format, and how payloads become results."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, cast

import aiohttp

from rxlink.core.documents import OperationType
from rxlink.core.operation import Operation
from rxlink.core.result import FetchResult
from rxlink.errors import NetworkError, RxlinkError, ServerError
from rxlink.incremental.handlers import IncrementalHandler, IncrementalRequest
from rxlink.incremental.merging import BadIncrement
from rxlink.transport._response import JsonDecoder, parse_error, server_error

__all__ = ["Answer", "Payloads", "Pieces", "cut_off"]


class Pieces(Protocol):
    """Makes results of the bytes of an answer.

    Attributes:
        is_over: Whether it has said that nothing more will come.
    """

    @property
    def is_over(self) -> bool:
        """Whether the answer has said that nothing more will come."""
        ...

    def feed(self, chunk: Any) -> Iterator[FetchResult]:
        """Take bytes, or what else comes; give the results that it completes, the next when it is asked for.

        Raises:
            RxlinkError: The answer has ended with an error, or is none.
        """
        ...

    def finish(self) -> None:
        """Take the end of the answer.

        Raises:
            RxlinkError: It should have gone on.
        """
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of an answer, and whose it is.

    Attributes:
        response: The head.
        operation: What it answers.
        what: As text, which operation that is and where it was sent, for error messages.
        decode: Makes objects of JSON.
        limit: How many bytes may be kept of it, None for any.
        handler: Puts results together that come in pieces.
    """

    response: aiohttp.ClientResponse
    operation: Operation
    what: object
    decode: JsonDecoder
    limit: int | None
    handler: IncrementalHandler

    @property
    def media_type(self) -> str:
        """Its media type in small letters, without parameters."""
        return self.response.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def has_no_end(self) -> bool:
        """Whether it may go on for ever, so that only its pieces can be measured."""
        return self.operation.operation_type is OperationType.SUBSCRIPTION

    def decoded(self, body: bytes) -> dict[str, Any]:
        """Return the JSON object that a piece is.

        Raises:
            ServerParseError: It is no JSON.
            ServerError: It is no object.
        """
        try:
            value = self.decode(body)
        except Exception as error:  # noqa: BLE001 - a user's decoder may raise anything
            failure = parse_error(self.response, body, self.operation, error, "a piece of the answer")
            raise failure from failure.__cause__
        if not isinstance(value, dict):
            raise self.malformed(body)
        return cast("dict[str, Any]", value)

    def malformed(self, body: bytes, result: object = None) -> ServerError:
        """Return the error for a piece that is no GraphQL response."""
        name = self.operation.operation_name or "(anonymous)"
        message = f"Server response was malformed for query '{name}'."
        return server_error(self.response, body, self.operation, message, result)

    def wrong(self, reason: str, body: bytes = b"") -> ServerError:
        """Return the error for what the format does not allow."""
        return server_error(self.response, body, self.operation, f"{self.what} was answered in pieces, but {reason}")


class Payloads:
    """Makes results of the payloads of one answer: puts those together that are pieces of one result."""

    __slots__ = ("_answer", "_request")

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._request: IncrementalRequest | None = None

    @property
    def has_all(self) -> bool:
        """Whether the result came in pieces, and the last of them is there; a subscription never has all."""
        return self._is_complete and not self._answer.has_no_end

    @property
    def is_under_way(self) -> bool:
        """Whether a result has come in part."""
        return self._request is not None and self._request.has_next

    @property
    def _is_complete(self) -> bool:
        return self._request is not None and not self._request.has_next

    def take(self, payload: dict[str, Any], body: bytes) -> FetchResult:
        """Return the result that a payload is, or that it completes.

        Raises:
            ServerError: It is none, or does not fit what has come before.
        """
        handler = self._answer.handler
        if self._request is not None and self._is_complete and self._answer.has_no_end:
            self._request = None  # the next event is a result of its own
        is_first = self._request is None and handler.is_incremental_result(payload)
        if is_first:
            self._request = handler.start_request()
        if self._request is not None:
            try:
                return self._request.handle(payload)
            except (BadIncrement, RecursionError) as error:
                self._request = None if is_first else self._request
                reason = str(error) if isinstance(error, BadIncrement) else "a piece is nested too deeply"
                raise self._answer.wrong(f"a piece does not fit: {reason}", body) from None
        if "data" not in payload and "errors" not in payload:
            raise self._answer.malformed(body, payload)
        return payload

    def check_end(self) -> None:
        """Take the end of the answer.

        Raises:
            ServerError: More was announced.
        """
        if self._request is not None and self._request.has_next:
            raise self._answer.wrong("it ended although the server had announced more")


def cut_off(answer: Answer) -> RxlinkError:
    """Return the error of an answer that ended before it said so."""
    return NetworkError(f"{answer.what}: the answer ended in the middle; what has come of it was delivered")
