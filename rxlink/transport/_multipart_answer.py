"""An answer of type ``multipart/mixed``: a subscription over HTTP, or a result that arrives in pieces.

Ports: ``@apollo/client`` 4.3.8 ``src/link/http/parseAndCheckHttpResponse.ts``, ``readMultipartBody``.
Differs: fatal errors end the operation with ``CombinedProtocolErrors``, after what came beside them (there they stand
in the extensions of a result, and the stream completes); an empty list of them, or null, is none (there null is
fatal). A null payload ends the stream, whatever stands beside it (there only by itself). An answer may end without its
last delimiter where its last piece has said that it is the last. It is an error where the last delimiter comes although
more was announced, and where a piece is no GraphQL response. A part may have any media type of JSON (there
application/json alone). A part of another type is a ``ServerError`` and an early end a ``NetworkError`` (there plain
errors), and ``body_text`` begins with the JSON (there with an empty line).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any, Final, Literal, TypeAlias, cast

from rxlink.core.result import FetchResult
from rxlink.errors import CombinedProtocolErrors, ResponseTooLarge, ServerError, ServerParseError
from rxlink.transport._multipart_parts import BadMultipart, MultipartParser, Part, PartTooLarge, boundary_of
from rxlink.transport._pieces import Answer, Payloads, cut_off
from rxlink.transport._response import FIRST_UNSUCCESSFUL_STATUS, server_error

__all__ = ["MULTIPART", "DamagedParts", "MultipartPieces"]

MULTIPART = "multipart/mixed"
MEDIA_TYPE: Final = re.compile(r"[\w.+-]{1,40}/[\w.+-]{1,40}", re.ASCII)
"""What is shown of a content-type: nothing that may be a secret."""
DamagedParts: TypeAlias = Literal["error", "skip"]

logger = logging.getLogger("rxlink.transport.http")  # the public module that this is a part of


class MultipartPieces:
    """Makes results of the parts of one answer.

    Args:
        answer: Its head.
        damaged: What becomes of a part of a subscription that is no result.
    """

    __slots__ = ("_answer", "_errors", "_has_ended", "_parser", "_payloads", "_size", "_skips_damaged")

    def __init__(self, answer: Answer, damaged: DamagedParts = "error") -> None:
        self._answer = answer
        self._skips_damaged = damaged == "skip" and answer.has_no_end
        boundary = boundary_of(answer.response.headers.get("content-type", ""))
        self._parser = MultipartParser(boundary, limit=answer.limit)
        self._payloads = Payloads(answer)
        self._errors: list[Any] | None = None
        self._has_ended = False
        self._size = 0

    @property
    def is_over(self) -> bool:
        """Whether the answer has said that nothing more will come."""
        return self._has_ended or self._parser.is_over

    def feed(self, chunk: bytes) -> Iterator[FetchResult]:
        """Take bytes; give the results that they complete.

        Raises:
            CombinedProtocolErrors: The server has ended the subscription with errors.
            ResponseTooLarge: A part is too large, or all parts together of what is no subscription.
            ServerError: A part is no GraphQL response, or nothing that multipart/mixed allows.
            ServerParseError: A part is no JSON.
        """
        answer, self._size = self._answer, self._size + len(chunk)
        if answer.limit is not None and self._size > answer.limit and not answer.has_no_end:
            raise ResponseTooLarge(str(answer.what), limit=answer.limit)
        try:
            for part in self._parser.feed(chunk):
                result = self._result_of(part)
                if result is not None:
                    yield result
                if self._has_ended:
                    self._check_errors()
                    return
        except BadMultipart as error:
            self._check_status()
            raise answer.wrong(f"the parts are damaged: {error}") from None
        except PartTooLarge as error:
            raise ResponseTooLarge(str(answer.what), limit=error.limit) from None
        if self._parser.is_over:
            self._payloads.check_end()

    def finish(self) -> None:
        """Take the end of the answer.

        Raises:
            NetworkError: It ended in the middle.
        """
        if not self.is_over and not self._payloads.has_all:
            self._check_status()
            raise cut_off(self._answer)

    def _check_errors(self) -> None:
        if self._errors is not None:
            raise CombinedProtocolErrors(self._errors)

    def _result_of(self, part: Part) -> FetchResult | None:
        """Return the result that a part is, None where it is none."""
        answer, body = self._answer, part.body
        media_type = part.headers.get("content-type", "application/json").lower()
        if "json" not in media_type:
            found = MEDIA_TYPE.match(media_type)
            shown = "none" if found is None else found.group()
            raise answer.wrong(f"a part is no JSON by its content-type. Unexpected part content-type: {shown}", body)
        self._check_status(body)
        try:
            value = answer.decoded(body)
            if "payload" in value:
                return self._unpacked(value, body)
            return self._payloads.take(value, body) if value else None  # an empty object is a heartbeat
        except (ServerError, ServerParseError) as error:
            if not self._skips_damaged or self._payloads.is_under_way:
                raise
            logger.warning("a part was left out, which may have been a result: %s", error)
            return None

    def _check_status(self, body: bytes = b"") -> None:
        answer = self._answer
        status = answer.response.status
        if status >= FIRST_UNSUCCESSFUL_STATUS:
            name = answer.operation.operation_name or "(anonymous)"
            message = f"Response not successful: Received status code {status} (operation {name})"
            raise server_error(answer.response, body, answer.operation, message)

    def _unpacked(self, envelope: dict[str, Any], body: bytes) -> FetchResult | None:
        """Return the result in an envelope; the errors beside it are fatal, and come after it."""
        payload, errors = envelope["payload"], envelope.get("errors")
        if errors:
            self._errors = cast("list[Any]", errors) if isinstance(errors, list) else [errors]
        self._has_ended = payload is None or self._errors is not None
        if payload is None:
            return None
        if not isinstance(payload, dict):
            raise self._answer.malformed(body, envelope)
        return self._payloads.take(cast("dict[str, Any]", payload), body)
