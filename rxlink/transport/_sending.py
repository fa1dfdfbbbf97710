"""One request from its start to its end, and what its subscriber is told."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import aiohttp
from aiohttp import ClientResponse

from rxlink.core.operation import Operation
from rxlink.core.result import FetchResult
from rxlink.core.subscription import ResultObserver, Subscription
from rxlink.core.work import report_callback_error
from rxlink.errors import ClientClosed, NetworkTimeout, ServerError
from rxlink.transport._failures import final, network_error
from rxlink.transport._guarding import REDIRECTS, HeaderKeeper
from rxlink.transport._headers import described
from rxlink.transport._http_request import HttpRequest
from rxlink.transport._multipart import MultipartBody
from rxlink.transport._pieces import Answer
from rxlink.transport._response import JsonDecoder, decode_strictly, read_body, result_of, server_error
from rxlink.transport._running import Ended, Running
from rxlink.transport._sessions import NOT_FOLLOWED, Sessions
from rxlink.transport._streaming import Streaming, StreamReader

__all__ = ["HttpResponse", "Sender"]

ACCEPTED: Final = 202  # the answer comes elsewhere
LARGE_BODY: Final = 2**20  # bytes; above, aiohttp wants a file, so that writing gives way to others
NO_TIMEOUTS: Final = aiohttp.ClientTimeout()

logger = logging.getLogger("rxlink.transport.http")  # the public module that this is a part of


@dataclass(slots=True)
class HttpResponse:
    """The head of an answer, as it stands in the operation's context under ``response``.

    Attributes:
        status: The HTTP status.
        headers: The headers; the case of a name does not matter.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)


class Sender:
    """Sends the requests of a link, on whichever loop they are subscribed.

    Attributes:
        is_closed: Whether it was closed: nothing is sent any more.
        running: What runs, by loop.
        sessions: The aiohttp sessions that it sends with.
    """

    __slots__ = ("_decode", "_link", "_max_response_size", "_timeout", "is_closed", "running", "sessions")

    def __init__(
        self,
        link: str,
        *,
        sessions: Sessions,
        timeout: float | None,
        decode: JsonDecoder | None,
        max_response_size: int | None,
    ) -> None:
        self._link = link
        self._timeout = timeout
        self._decode = decode or decode_strictly
        self._max_response_size = max_response_size
        self.is_closed = False
        self.sessions = sessions
        self.running: dict[asyncio.AbstractEventLoop, Running] = {}

    async def run(  # noqa: C901, PLR0915 - a coroutine for a part of it costs a step at each turn
        self,
        observer: ResultObserver,
        operation: Operation,
        request: HttpRequest,
        root: Subscription,
        streaming: Streaming | None = None,
    ) -> None:
        """Send a request, and tell the observer its results or its error.

        Args:
            observer: Whom to tell.
            operation: What is sent.
            request: As what.
            root: What this runs in.
            streaming: Knows whether the answer comes in pieces; None: it comes as a whole.
        """
        task = root.running_task()
        loop = task.get_loop()
        running = self.running[loop] if loop in self.running else self._running_on(loop)
        running.enter(task)
        outcome: FetchResult | Exception | StreamReader
        answer, stream = b"", None
        try:
            if self.is_closed:  # meanwhile
                raise ClientClosed(self._link)
            body, sessions = request.body, self.sessions
            session = (
                sessions.given  # without a look whether it is closed, which takes four calls: it will say so itself
                or sessions.opened(request.credentials, request.is_endless)
                or await sessions.open(request.credentials, request.is_endless)
            )
            is_logged = logger.isEnabledFor(logging.DEBUG)
            if is_logged:
                _log_request(request)
            # Named one by one: it takes longer to put arguments together from a mapping.
            response = await (
                self._guarded(session, request) if request.no_redirects or request.guarded else session.request
            )(
                request.method,
                request.target.url,
                data=body if body and len(body) <= LARGE_BODY else _unusual_body(request),
                headers={**request.headers},  # a copy: who watches aiohttp may write into it, as tracers do
                timeout=NO_TIMEOUTS,
                raise_for_status=False,
                auto_decompress=True,
            )
            status, headers, content = response.status, response.headers, response.content
            operation.set_context({"response": HttpResponse(status, headers)})
            content_type = headers.get("content-type", "")
            limit = self._max_response_size
            if status in REDIRECTS and "location" in headers and (request.no_redirects or request.guarded):
                answer = await read_body(response, operation, limit=limit, what=request)
                _log_response(request, response, answer)
                raise _refused_redirect(response, answer, operation, request)
            is_single = content_type[:12] == "application/" and status != ACCEPTED  # and not in pieces
            if is_single and content.is_eof() and (limit is None or content.total_bytes <= limit):
                # It has come with its head, as most do: there is nothing to wait for, unless somebody else reads too.
                is_shared = sessions.watchers or type(response) is not ClientResponse
                # A body with files may still be written, and what reads them is to end before the operation does.
                answer = await response.read() if is_shared or request.files else content.read_nowait()
            elif is_single or (stream := self._stream_of(streaming, response, operation, request)) is None:
                answer = await read_body(response, operation, limit=limit, what=request)
            if is_logged:
                _log_response(request, response, None if stream is not None else answer)
            outcome = stream or result_of(response, content_type, answer, operation, self._decode)
            del answer, body, content, response  # the callbacks may take long, and these may be large
        except BaseException as error:  # noqa: BLE001 - middleware of a given session may raise anything
            if task.get_loop().is_closed():  # it is being collected: nobody is called from there
                return
            outcome = final(self._failure(error, request, running, task), operation)
        finally:
            del running.due[task]
        if isinstance(outcome, StreamReader):
            await outcome.relay(task, observer, root)
            return
        work = root.finish()
        try:
            _deliver(outcome, observer)
        finally:
            del outcome  # its traceback holds this frame: no cycles
        if work is not None:
            work.dismiss()

    async def aclose(self) -> None:
        """End what runs on this loop, and close the link's own sessions."""
        self.is_closed = True
        running = self.running.get(asyncio.get_running_loop())
        if running is not None:
            await running.close()
        await self.sessions.aclose()

    def _stream_of(
        self, streaming: Streaming | None, response: ClientResponse, operation: Operation, request: HttpRequest
    ) -> StreamReader | None:
        """Return who reads an answer in pieces, None where it is not one."""
        if streaming is None:
            return None
        answer = Answer(response, operation, request, self._decode, self._max_response_size, streaming.handler)
        return streaming.reader_of(answer, self.running[asyncio.get_running_loop()], self._link)

    def _failure(
        self, error: BaseException, request: HttpRequest, running: Running, task: asyncio.Task[None]
    ) -> Exception:
        """Return what the operation gets for what has just been caught; raise it again if that is no answer."""
        if isinstance(error, (aiohttp.ClientError, OSError)):
            unread = None if request.files is None else request.files.failure
            return network_error(error, request) if unread is None else unread
        if isinstance(error, Exception):
            closed = self.sessions.closed_error() if isinstance(error, RuntimeError) else None
            if closed is not None:
                closed.__cause__ = error  # in case it was not that
                return closed
            return error
        if not isinstance(error, asyncio.CancelledError):
            raise error
        ended = running.why_cancelled(task)
        if ended is Ended.BY_TIMEOUT and self._timeout is not None:
            return NetworkTimeout(str(request), seconds=self._timeout)
        if ended is Ended.BY_CLOSING:
            return ClientClosed(self._link)
        raise error

    def _guarded(
        self, session: aiohttp.ClientSession, request: HttpRequest
    ) -> Callable[..., Awaitable[ClientResponse]]:
        """Return what sends a request so that a redirect takes along no header that is guarded, or is not followed."""
        if request.no_redirects:
            return partial(session.request, **NOT_FOLLOWED)
        guarding = self.sessions.guarding(HeaderKeeper(request.target.url, request.guarded))
        return partial(session.request, **guarding)

    def _running_on(self, loop: asyncio.AbstractEventLoop) -> Running:
        self.running = {known: running for known, running in self.running.items() if not known.is_closed()}
        running = self.running[loop] = Running(loop, self._timeout)
        return running


def _deliver(outcome: FetchResult | Exception, observer: ResultObserver) -> None:
    try:
        if isinstance(outcome, Exception):
            observer.on_error(outcome)
            return
        try:
            observer.on_next(outcome)
        finally:
            observer.on_completed()
    except Exception as error:  # noqa: BLE001 - of the subscriber's callback; nobody looks at the end of the task
        report_callback_error(error)
    finally:
        del outcome  # as above


def _unusual_body(request: HttpRequest) -> MultipartBody | io.BytesIO | None:
    """Return the body of a request with files, a large one, or none."""
    return request.files or (io.BytesIO(request.body) if request.body else None)


def _refused_redirect(response: ClientResponse, body: bytes, operation: Operation, request: HttpRequest) -> ServerError:
    """Return the error for a redirect that was not followed; what came with it is no result, whatever it says."""
    why = request.no_redirects or (
        f"the session given to the link would take the header {request.guarded[0]!r} along to any other origin. "
        "Give the link the address that it leads to, or let it open its own session"
    )
    message = f"{request} was answered with a redirect (status {response.status}), which was not followed: {why}"
    return server_error(response, body, operation, message)


def _log_request(request: HttpRequest) -> None:
    size = len(request.body) if request.files is None else request.files.size or "streamed"
    logger.debug(">>> %s: %s, %s bytes; %s", request, request.method, size, described(request.headers))


def _log_response(request: HttpRequest, response: ClientResponse, answer: bytes | None) -> None:
    size = "in pieces" if answer is None else f"{len(answer)} bytes"
    logger.debug("<<< %s: %d, %s; %s", request, response.status, size, described(response.headers))
