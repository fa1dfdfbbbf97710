"""The event streams of a link in single connection mode: who shares one, and how an operation runs over it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

from rxlink.core.fan_out import own_error
from rxlink.core.result import FetchResult
from rxlink.core.subscription import ResultObserver, Subscription
from rxlink.errors import ClientClosed, NetworkError, RxlinkError, ServerError
from rxlink.incremental.handlers import IncrementalHandler
from rxlink.transport._http_request import IDENTITY, HttpRequest
from rxlink.transport._pieces import Answer, Payloads
from rxlink.transport._response import JsonDecoder
from rxlink.transport._running import Running
from rxlink.transport._sending import ACCEPTED, Sender
from rxlink.transport._sse_connection import TOKEN_HEADER, Mailbox, SharedStream
from rxlink.transport._sse_operation import StreamedOperation
from rxlink.transport._streaming import StreamReader

__all__ = ["SharedStreams", "StreamOptions"]

NOT_FOUND: Final = 404

Key: TypeAlias = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """How event streams are opened and read.

    Attributes:
        headers: The names of the link's own headers, in lower case.
        handler: Puts results together that come in pieces.
        decode: Makes objects of JSON.
        timeout: How many seconds a head may take; None for ever.
        idle_timeout: How many seconds may pass without a byte; None for any time.
        limit: How many bytes an event may have; None for any.
    """

    headers: Collection[str]
    handler: IncrementalHandler
    decode: JsonDecoder
    timeout: float | None
    idle_timeout: float | None
    limit: int | None


class SharedStreams:
    """Event streams by loop, address, and whose they are.

    Args:
        sender: Sends the operations.
        options: How streams are opened.
        link: What the link is called in error messages.
    """

    def __init__(self, sender: Sender, options: StreamOptions, link: str) -> None:
        self._sender = sender
        self._options = options
        self._link = link
        self._open: dict[Key, SharedStream] = {}
        self._farewells: set[asyncio.Task[None]] = set()

    async def run(
        self,
        observer: ResultObserver,
        operation: StreamedOperation,
        request: HttpRequest,
        root: Subscription,
        opened: Callable[[], None],
    ) -> None:
        """Send an operation, and tell the observer its results or its error; the function, when it was accepted."""
        if self._sender.is_closed:
            root.release()
            observer.on_error(ClientClosed(self._link))
            return
        stream = self._stream_for(operation, request)
        identity = operation.identity  # a second attempt, which may begin before this one ends, takes another
        mailbox, was_sent = stream.enter(identity), False
        try:
            try:
                token = await stream.token()
            except Exception as error:  # noqa: BLE001 - whatever has kept the stream from opening
                root.release()
                observer.on_error(_own(error, operation))
                return
            request.headers = {**request.headers, TOKEN_HEADER: token}
            request.guarded = (*request.guarded, TOKEN_HEADER)
            was_sent = True
            shared = _Shared(mailbox, self._options.handler, opened)
            await self._sender.run(_Attempt(observer, stream), operation, request, root, shared)
        finally:
            operation.retry = operation.retry if stream.retry is None else stream.retry
            stream.leave(identity, was_sent=was_sent)

    async def aclose(self) -> None:
        """Close the streams of the running loop."""
        here = asyncio.get_running_loop()
        for stream in [stream for key, stream in self._open.items() if key[0] is here]:
            await stream.close(self._link)
        farewells = [task for task in self._farewells if task.get_loop() is here]
        for farewell in farewells:  # the end of its stream says it
            farewell.cancel()
        if farewells:
            await asyncio.wait(farewells)

    def _stream_for(self, operation: StreamedOperation, request: HttpRequest) -> SharedStream:
        options = self._options
        names = {*options.headers, *IDENTITY, *request.guarded}
        headers = {name: value for name, value in request.headers.items() if name.lower() in names}
        shown = tuple(sorted(headers.items()))
        key: Key = (asyncio.get_running_loop(), request.target.url, request.credentials, shown)
        stream = self._open.get(key)
        if stream is None:
            self._open = {known: stream for known, stream in self._open.items() if not _is_closed(known)}
            stream = self._open[key] = self._opened(operation, request, headers)
        return stream

    def _opened(self, operation: StreamedOperation, request: HttpRequest, headers: Mapping[str, str]) -> SharedStream:
        options = self._options

        def answer(response: Any) -> Answer:
            return Answer(response, operation, request, options.decode, options.limit, options.handler)

        return SharedStream(
            answer,
            request,
            headers,
            sessions=self._sender.sessions,
            timeout=options.timeout,
            idle_timeout=options.idle_timeout,
            limit=options.limit,
            forget=self._forget,
            farewells=self._farewells,
        )

    def _forget(self, stream: SharedStream) -> None:
        self._open = {key: known for key, known in self._open.items() if known is not stream}


class _Attempt:
    """An operation over a shared stream; where the server does not know that, all on it are lost."""

    __slots__ = ("_observer", "_stream", "on_completed", "on_next")

    def __init__(self, observer: ResultObserver, stream: SharedStream) -> None:
        self._observer = observer
        self._stream = stream
        self.on_next = observer.on_next
        self.on_completed = observer.on_completed

    def on_error(self, error: Exception) -> None:
        if isinstance(error, ServerError) and error.status_code == NOT_FOUND:
            self._stream.lose(NetworkError("the server has lost the event stream (status 404)"))
            lost = NetworkError(f"{error} The server has lost the event stream")
            lost.may_have_arrived = False
            error, lost.__cause__ = lost, error
        self._observer.on_error(error)


@dataclass(frozen=True, slots=True)
class _Shared:
    """The answer to an operation that was accepted comes into its mailbox."""

    mailbox: Mailbox
    handler: IncrementalHandler
    opened: Callable[[], None]

    def reader_of(self, answer: Answer, running: Running, link: str) -> StreamReader | None:
        if answer.response.status != ACCEPTED:
            return None
        answer.response.release()
        self.opened()
        pieces = _Delivered(answer)
        return StreamReader(answer, pieces, running, idle_timeout=None, link=link, read=self._read(answer))

    def _read(self, answer: Answer) -> Any:
        async def read() -> Any:
            try:
                return await self.mailbox.read()
            except RxlinkError as error:
                raise _own(error, answer.operation) from None

        return read


class _Delivered:
    """Makes results of the payloads in a mailbox."""

    __slots__ = ("_answer", "_payloads")

    is_over = False

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._payloads = Payloads(answer)

    def feed(self, chunk: object) -> Iterator[FetchResult]:
        if not isinstance(chunk, dict):
            raise self._answer.malformed(b"")
        yield self._payloads.take(cast("FetchResult", chunk), b"")

    def finish(self) -> None:
        self._payloads.check_end()


def _is_closed(key: Key) -> bool:
    return cast("asyncio.AbstractEventLoop", key[0]).is_closed()


def _own(error: Exception, operation: Any) -> Exception:
    """Return an error of the stream as one of an operation's own."""
    own = own_error(error)
    if isinstance(own, ServerError):
        own.operation_name = operation.operation_name
    return own
