"""What several operations become as one request, and what becomes of its answer.

Ports: ``@apollo/client`` 4.3.8 ``src/link/batch-http/BaseBatchHttpLink.ts``, its ``batchHandler``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import copy_context
from functools import partial
from typing import Any, Final, cast

from rxlink.core.operation import Operation
from rxlink.core.result import FetchResult
from rxlink.core.subscription import Observer, ResultObserver, Subscription
from rxlink.errors import ServerError
from rxlink.links._batching import LastResults, Member
from rxlink.transport._http_request import HttpRequest
from rxlink.transport._response import JsonDecoder, decode_strictly, headers_of
from rxlink.transport._sending import HttpResponse

__all__ = ["AnswerReader", "AtTheEnd", "BatchedOperation", "BatchedRequest", "batch_decoder"]

SHOWN_NAMES: Final = 10
"""How many operations of a batch an error message names."""


class BatchedOperation(Member):
    """An operation in a batch, and the request that it would be by itself.

    Attributes:
        request: Its request, or that of another operation, which differs in body and name alone.
        body: The body of its request.
    """

    __slots__ = ("body", "request")

    def __init__(
        self,
        operation: Operation,
        observer: ResultObserver,
        root: Subscription,
        request: HttpRequest,
        body: bytes,
        key: str,
    ) -> None:
        # Written out: this is made for every operation.
        self.batch = None
        self.context = copy_context()
        self.key = key
        self.observer = observer
        self.operation = operation
        self.root = root
        self.request = request
        self.body = body

    def inside(self, observer: ResultObserver, scope: Subscription) -> BatchedOperation:
        """Return it with another observer, in another slot."""
        self.observer = observer
        self.root = scope
        return self


class BatchedRequest(HttpRequest):
    """The request of a batch: address, headers and cookies are the first one's, the body is a list of all bodies.

    Attributes:
        together: Its operations.
    """

    __slots__ = ("together",)

    def __init__(self, members: Sequence[BatchedOperation]) -> None:
        first = members[0].request
        body = b"[" + b",".join([member.body for member in members]) + b"]"
        super().__init__(None, first.target, first.headers, body, first.credentials, "POST")
        self.guarded = first.guarded
        self.no_redirects = first.no_redirects
        self.together = Together(members)

    def __str__(self) -> str:
        return f"batch of {self.together.operation_name} to {self.target}"


class Together:
    """The operations of a request, with what the sender asks of a single one.

    Attributes:
        members: The operations.
        response: The head of the answer, once it is there.
    """

    __slots__ = ("members", "response")

    is_spent = False  # files do not go in batches

    def __init__(self, members: Sequence[BatchedOperation]) -> None:
        self.members = members
        self.response: HttpResponse | None = None

    @property
    def operation_name(self) -> str:
        """The names of the operations, or of the first ones."""
        names = [member.operation.operation_name or "(anonymous)" for member in self.members[:SHOWN_NAMES]]
        more = len(self.members) - SHOWN_NAMES
        return ", ".join([*names, f"{more} more"] if more > 0 else names)

    def set_context(self, values: Mapping[str, Any]) -> None:
        """Put the head of the answer into the context of each operation."""
        self.response = values["response"]
        for member in self.members:
            member.operation.set_context(values)


class _Answer(dict[str, Any]):
    """What JSON says, in the shape of a result, so that it passes where a single one is expected.

    Attributes:
        value: What it says.
        body: The JSON.
    """

    def __init__(self, value: object, body: bytes) -> None:
        super().__init__(data=None)
        self.value = value
        self.body = body


def batch_decoder(decode: JsonDecoder | None) -> JsonDecoder:
    """Return a decoder of answers that :class:`AnswerReader` reads; None as in HttpLink."""
    return partial(_decode, decode or decode_strictly)


def _decode(decode: JsonDecoder, body: bytes) -> _Answer:
    return _Answer(decode(body), body)


class AnswerReader:
    """Makes a list of results of the answer to a batch."""

    __slots__ = ("_batch", "_observer")

    def __init__(self, batch: BatchedRequest, observer: Observer[Any]) -> None:
        self._batch = batch
        self._observer = observer

    def on_next(self, answer: FetchResult) -> None:
        assert isinstance(answer, _Answer), "the link decodes with `batch_decoder`"
        try:
            results = self._results_of(answer)
        except ServerError as error:
            self._observer.on_error(error)
        else:
            self._observer.on_next(results)

    def on_error(self, error: Exception) -> None:
        if isinstance(error, ServerError) and isinstance(error.result, _Answer):
            value = error.result.value
            error.result = cast("dict[str, Any]", value) if isinstance(value, dict) else None
        self._observer.on_error(error)

    def on_completed(self) -> None:
        self._observer.on_completed()

    def _results_of(self, answer: _Answer) -> LastResults:
        together, value = self._batch.together, answer.value
        count = len(together.members)
        if not isinstance(value, list) and not _is_result(value):
            names = together.operation_name
            raise self._error(answer, f"Server response was malformed for query '{names}'.", names)
        results = LastResults(cast("list[object]", value) if isinstance(value, list) else [value])
        if len(results) != count:
            message = f"server returned results with length {len(results)}, expected length of {count}"
            raise self._error(answer, f"{self._batch}: {message}; does it take batches?", together.operation_name)
        for place, result in enumerate(results):
            # What `_is_result` says, without a call for each.
            if not (isinstance(result, dict) and ("data" in result or "errors" in result)):
                results[place] = self._malformed(answer, together.members[place].operation)
        return results

    def _malformed(self, answer: _Answer, operation: Operation) -> ServerError:
        name = operation.operation_name
        return self._error(answer, f"Server response was malformed for query '{name or '(anonymous)'}'.", name)

    def _error(self, answer: _Answer, message: str, operation_name: str | None) -> ServerError:
        response, value = self._batch.together.response, answer.value
        assert response is not None, "an answer has a head"
        return ServerError(
            message,
            status_code=response.status,
            headers=headers_of(response.headers),
            body_text=answer.body.decode(errors="replace"),
            result=cast("dict[str, Any]", value) if isinstance(value, dict) else None,
            operation_name=operation_name,
        )


class AtTheEnd:
    """Keeps a result until its batch has ended: it ends the wait for a signal, and with that the place in the batch."""

    __slots__ = ("_observer", "_result")

    def __init__(self, observer: ResultObserver) -> None:
        self._observer = observer
        self._result: FetchResult | None = None

    def on_next(self, result: FetchResult) -> None:
        self._result = result

    def on_error(self, error: Exception) -> None:
        self._observer.on_error(error)

    def on_completed(self) -> None:
        assert self._result is not None, "an answer comes before the end"
        try:
            self._observer.on_next(self._result)
        finally:
            self._observer.on_completed()


def _is_result(value: object) -> bool:
    return isinstance(value, dict) and ("data" in value or "errors" in value)
