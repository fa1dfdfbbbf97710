"""An answer of type ``text/event-stream``: the results of one operation, as events.

Ports: the protocol "GraphQL over Server-Sent Events" (``PROTOCOL.md`` of graphql-sse), distinct connections mode.
Differs: an answer may end without ``complete`` where its last piece has said that it is the last; events with a name
that the protocol does not know are overlooked, as in a browser (in graphql-sse they are an error, as those without a
name are here too).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rxlink.core.result import FetchResult
from rxlink.errors import ResponseTooLarge
from rxlink.transport._pieces import Answer, Payloads, cut_off
from rxlink.transport._sse_operation import StreamedOperation
from rxlink.transport._sse_parser import DEFAULT_TYPE, EventTooLarge, ServerSentEvent, SseParser

__all__ = ["COMPLETE", "EVENT_STREAM", "NAMELESS", "NEXT", "SsePieces"]

EVENT_STREAM: Final = "text/event-stream"
NEXT: Final = "next"
COMPLETE: Final = "complete"
NAMELESS: Final = "an event has no name, as it has in the protocol (of Yoga: turn `legacySse` off)"


class SsePieces:
    """Makes results of the events of one answer.

    Args:
        answer: Its head.
        operation: Whose it is; it keeps what the server says of the next connection.
    """

    __slots__ = ("_answer", "_operation", "_parser", "_payloads", "_size", "is_over")

    def __init__(self, answer: Answer, operation: StreamedOperation) -> None:
        self._answer = answer
        self._operation = operation
        self._parser = SseParser(limit=answer.limit, last_id=operation.last_id)
        self._payloads = Payloads(answer)
        self._size = 0
        self.is_over = False

    def feed(self, chunk: bytes) -> Iterator[FetchResult]:
        """Take bytes; give the results that they complete.

        Raises:
            ResponseTooLarge: An event is too large, or all events together of what is no subscription.
            ServerError: An event is no GraphQL response, or more was announced than came.
            ServerParseError: An event is no JSON.
        """
        answer, self._size = self._answer, self._size + len(chunk)
        if answer.limit is not None and self._size > answer.limit and not answer.has_no_end:
            raise ResponseTooLarge(str(answer.what), limit=answer.limit)
        try:
            for event in self._parser.feed(chunk):
                result = self._result_of(event)
                if result is not None:
                    yield result
                if self.is_over:
                    return
        except EventTooLarge as error:
            raise ResponseTooLarge(str(answer.what), limit=error.limit) from None
        finally:
            if self._parser.retry is not None:  # else what an earlier stream has named holds
                self._operation.retry = self._parser.retry

    def finish(self) -> None:
        """Take the end of the answer.

        Raises:
            NetworkError: It ended in the middle.
        """
        if not self._payloads.has_all:
            raise cut_off(self._answer)

    def _result_of(self, event: ServerSentEvent) -> FetchResult | None:
        """Return the result that an event brings, None where it brings none."""
        if event.type == NEXT:
            body = event.data.encode()
            result = self._payloads.take(self._answer.decoded(body), body)
            self._operation.coming_id = event.last_id
            return result
        if event.type == COMPLETE:
            self.is_over = True
            self._payloads.check_end()
        elif event.type == DEFAULT_TYPE:
            raise self._answer.wrong(NAMELESS, event.data.encode())
        return None
