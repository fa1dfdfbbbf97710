"""Send operations to a GraphQL server over HTTP, as POST requests with JSON.

Ports: ``@apollo/client`` 4.3.8 ``src/link/http/BaseHttpLink.ts`` and what it is made of, which
here are the private modules beside this one.
Differs: ``uri`` has no default, because there is no page whose server it could be on. There is a
timeout, and a largest response. JSON that is no object is a ``ServerError`` (Apollo passes lists
on and fails on ``null``). A declared charset is honoured, and text that is not valid in UTF-8 is
no JSON (fetch reads UTF-8 always and puts in replacement characters). Variables that JSON would
change, such as ``nan``, are an error. Options and headers in the context are checked. Cookies are
kept only where ``credentials`` asks for them: many users of a service share one link, while a
browser has one user (fetch in Node keeps none either). Not here yet, and errors: GET,
``fetch_options``, multipart answers, subscriptions. Not here yet, and left out: the client's name
in ``extensions.clientLibrary``.
"""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from rxlink.core.documents import OperationType
from rxlink.core.link import ApolloLink, Forward
from rxlink.core.operation import Operation
from rxlink.core.result import FetchResult
from rxlink.core.subscription import Connect, ResultObserver, Subscription
from rxlink.core.timing import Duration, to_seconds
from rxlink.errors import ClientClosed, InvariantError, NetworkTimeout
from rxlink.transport._body import BodyWriter, JsonEncoder, Printer, checked_function
from rxlink.transport._failures import network_error
from rxlink.transport._headers import described
from rxlink.transport._request import HttpOptions, HttpRequest, RequestBuilder, UriFunction
from rxlink.transport._response import JsonDecoder, checked_size, read_body, result_of
from rxlink.transport._running import Ended, Running
from rxlink.transport._sessions import Credentials, GivenSession, OwnSessions, Sessions

__all__ = [
    "Credentials",
    "HttpLink",
    "HttpResponse",
    "JsonDecoder",
    "JsonEncoder",
    "Printer",
    "UriFunction",
]

DEFAULT_TIMEOUT: Final = 30.0  # seconds
DEFAULT_MAX_RESPONSE_SIZE: Final = 32 * 1024 * 1024  # bytes
LARGE_BODY: Final = 2**20  # bytes; above, aiohttp wants a file, so that writing gives way to others
NO_TIMEOUTS: Final = aiohttp.ClientTimeout()

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class HttpResponse:
    """The head of an answer, as it stands in the operation's context under ``response``.

    Attributes:
        status: The HTTP status.
        headers: The headers; the case of a name does not matter.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)


class HttpLink(ApolloLink):
    """Send each operation as one HTTP request, and answer it with the server's response.

    The link stands at the end of a chain. Each subscription is a new request; leaving aborts it and
    closes its connection. GraphQL errors stay in the result. Redirects are followed as fetch
    follows them: 307 and 308 send the request again, others turn it into a GET, and another origin
    gets no ``authorization`` and no ``cookie``.

    The operation's context may hold, for this operation only: ``uri``, ``headers`` (merged over the
    link's; of names that differ in case the last counts), ``credentials``, and ``http``, a mapping
    of ``include_extensions``, ``include_query``, ``preserve_header_case`` and ``accept`` (a list of
    media types to put before the usual ones). The link puts a :class:`HttpResponse` into it under
    ``response``.

    Errors:
        :class:`~rxlink.errors.NetworkError`, :class:`~rxlink.errors.NetworkTimeout`: no answer.
        :class:`~rxlink.errors.ServerError`, :class:`~rxlink.errors.ServerParseError`,
        :class:`~rxlink.errors.ResponseTooLarge`: an answer that is of no use.
        :class:`~rxlink.errors.SerializationError`: variables that JSON cannot carry; nothing was
        sent.
        :class:`~rxlink.errors.InvariantError`: the context, or what a function of the link
        returned, asks for what cannot work; nothing was sent.
        :class:`~rxlink.errors.ClientClosed`: the link was closed before the answer came.

    Example:
        >>> from rxlink import GraphQLRequest, execute
        >>> from rxlink.testing import AuthServer
        >>> async def main():
        ...     async with AuthServer() as server, HttpLink(server.url) as link:
        ...         return await execute(link, GraphQLRequest("{ public }"))
        >>> "public" in asyncio.run(main())["data"]
        True
    """

    is_terminating = True

    def __init__(
        self,
        uri: str | UriFunction,
        *,
        headers: Mapping[str, str] | None = None,
        credentials: Credentials | None = None,
        timeout: Duration | None = DEFAULT_TIMEOUT,
        include_extensions: bool | None = None,
        include_unused_variables: bool = False,
        preserve_header_case: bool = False,
        print: Printer | None = None,
        encode: JsonEncoder | None = None,
        decode: JsonDecoder | None = None,
        session: aiohttp.ClientSession | None = None,
        max_response_size: int | None = DEFAULT_MAX_RESPONSE_SIZE,
    ) -> None:
        """Make the link; it connects to nothing yet.

        Args:
            uri: Where to send: an http(s) address, or a function that gets the operation and
                returns one. User name and password in it become an ``authorization`` header,
                unless there is one.
            headers: Sent with every operation.
            credentials: What happens to cookies. ``"include"`` and ``"same-origin"``: they are
                kept, by host, and sent back. ``"omit"``: neither. None: as the given session does,
                and ``"omit"`` without one. All who use the link share its cookies.
            timeout: Seconds, or a timedelta, until the whole answer has arrived, with redirects and
                the wait for a free connection; default 30. None waits for ever.
            include_extensions: Whether an operation's extensions are sent, if it has any; None is
                True.
            include_unused_variables: Whether variables are sent that the document does not use.
            preserve_header_case: Whether names of headers are sent as given; else in lower case.
            print: Gets a document and the default printer, and returns GraphQL text. None prints
                each document once.
            encode: Makes JSON, as bytes or text, of a request's body, such as ``orjson.dumps``.
                None: compact JSON.
            decode: Makes objects of JSON in UTF-8, such as ``orjson.loads``. None: a strict
                ``json.loads``.
            session: Used instead of sessions of the link's own, and never closed; its timeouts do
                not count.
            max_response_size: The largest body of a response in bytes, after decompression;
                default 32 MiB. None: any.

        Raises:
            InvariantError: The uri is no http(s) address; an option is out of its range;
                ``credentials="omit"`` with a session that keeps cookies.
            InvariantTypeError: An option has the wrong type.
        """
        super().__init__()
        for name, function in (("print", print), ("encode", encode), ("decode", decode)):
            checked_function(name, function)
        self._requests = RequestBuilder(
            uri,
            headers=headers,
            credentials=credentials,
            http=HttpOptions(
                include_extensions=include_extensions is not False,
                preserve_header_case=preserve_header_case,
            ),
            body=BodyWriter(print, encode, include_unused_variables),
        )
        self._timeout = None if timeout is None else to_seconds("timeout", timeout, may_be_zero=False)
        self._decode = decode
        self._max_response_size = checked_size(max_response_size)
        self._sessions: Sessions = OwnSessions() if session is None else GivenSession(session)
        if credentials is not None:
            self._sessions.check(credentials)
        self._running: dict[asyncio.AbstractEventLoop, Running] = {}
        self._is_closed = False

    def connect(self, forward: Forward) -> Connect:
        """Prepare to run operations; see :meth:`ApolloLink.connect`."""
        return self._start

    async def aclose(self) -> None:
        """Close the link's sessions; operations that run, or come later, get ``ClientClosed``.

        A given session stays open.
        """
        self._is_closed = True
        running = self._running.get(asyncio.get_running_loop())
        if running is not None:
            await running.close()
        await self._sessions.aclose()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._requests.shown_uri}>"

    def _start(self, operation: Operation, observer: ResultObserver, root: Subscription) -> None:
        try:
            if self._is_closed:
                raise ClientClosed(repr(self))
            if operation.operation_type is OperationType.SUBSCRIPTION:
                raise InvariantError(
                    f"{operation!r} came to {self!r}, which cannot carry subscriptions; "
                    "send them to another transport with `split`"
                )
            request = self._requests.build(operation)
            if request.credentials is not None:
                self._sessions.check(request.credentials)
            root.spawn(self._run, observer, operation, request, root)
        except Exception as error:  # noqa: BLE001 - users' functions run here
            observer.on_error(error)

    async def _run(
        self,
        observer: ResultObserver,
        operation: Operation,
        request: HttpRequest,
        root: Subscription,
    ) -> None:
        task = asyncio.current_task()
        assert task is not None, "this runs in a task of its own"
        running = self._running_on(task.get_loop())
        running.enter(task)
        outcome: FetchResult | Exception
        try:
            outcome = await self._fetch(operation, request)
        except BaseException as error:  # noqa: BLE001 - middleware of a given session may raise anything
            if task.get_loop().is_closed():  # it is being collected: nobody is called from there
                return
            outcome = self._failure(error, request, task)
        finally:
            running.leave(task)
        root.release()
        if isinstance(outcome, Exception):
            try:
                observer.on_error(outcome)
            finally:
                del outcome  # its traceback holds this frame: no cycles
            return
        try:
            observer.on_next(outcome)
        finally:
            observer.on_completed()

    def _failure(self, error: BaseException, request: HttpRequest, task: asyncio.Task[None]) -> Exception:
        """Return what the operation gets for what has just been caught; raise it again if that is no answer."""
        if isinstance(error, (aiohttp.ClientError, OSError)):
            return network_error(error, request)
        if isinstance(error, Exception):
            return error
        if not isinstance(error, asyncio.CancelledError):
            raise error
        ended = self._running_on(task.get_loop()).why_cancelled(task)
        if ended is Ended.BY_TIMEOUT and self._timeout is not None:
            return NetworkTimeout(str(request), seconds=self._timeout)
        if ended is Ended.BY_CLOSING:
            return ClientClosed(repr(self))
        raise error

    async def _fetch(self, operation: Operation, request: HttpRequest) -> FetchResult:
        if self._is_closed:  # meanwhile
            raise ClientClosed(repr(self))
        session = self._sessions.opened(request.credentials) or await self._sessions.open(request.credentials)
        body = request.body
        is_logged = logger.isEnabledFor(logging.DEBUG)
        if is_logged:
            logger.debug(">>> %s: POST, %d bytes; %s", request, len(body), described(request.headers))
        response = await session.post(
            request.target.url,
            data=body if len(body) <= LARGE_BODY else io.BytesIO(body),
            headers=request.headers,
            timeout=NO_TIMEOUTS,
            raise_for_status=False,
            auto_decompress=True,
        )
        operation.set_context({"response": HttpResponse(response.status, response.headers)})
        limit, content = self._max_response_size, response.content
        is_single = response.headers.get("content-type", "")[:12] == "application/"  # and not in parts
        if is_single and content.is_eof() and (limit is None or content.total_bytes <= limit):
            answer = await response.read()  # which has come with its head, as most do
        else:
            answer = await read_body(response, operation, limit=limit, what=request)
        if is_logged:
            size, headers = len(answer), described(response.headers)
            logger.debug("<<< %s: %d, %d bytes; %s", request, response.status, size, headers)
        return result_of(response, answer, operation, self._decode)

    def _running_on(self, loop: asyncio.AbstractEventLoop) -> Running:
        running = self._running.get(loop)
        if running is None:
            self._running = {known: running for known, running in self._running.items() if not known.is_closed()}
            running = self._running[loop] = Running(loop, self._timeout)
        return running
