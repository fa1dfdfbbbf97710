"""Send operations to a GraphQL server that answers with server-sent events, and keep subscriptions over lost streams.

Ports: the client of ``graphql-sse`` 2.6.1 (``src/client.ts``), which Apollo's documentation makes a link of, and the
protocol document beside it: distinct connections mode, and single connection mode.
Differs: the client's options are the link's, and HttpLink's. Only subscriptions are sent again after a loss, and only
where that makes sense; queries and mutations get the error (there all are sent again, so that a mutation runs twice).
The last event's id goes along, and the server's ``retry`` is kept (there neither). Results in pieces are merged.
Silence ends a stream, and a stream that ends without ``complete`` is lost (there its results end as if they were all).
Closing the link ends its operations with ``ClientClosed`` (there they complete). The ``accept`` header is the
protocol's word alone, which servers compare as text. In single connection mode operations share a connection only
where their address and the headers that say whose they are do (there all do, with the headers of the first); it is
open only while there are operations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import aiohttp
from reactivex import Observable

from rxlink.auth.link import AuthLink
from rxlink.auth.session import AuthSession
from rxlink.auth.sessions import AuthSessions
from rxlink.core.documents import OperationType
from rxlink.core.link import ApolloLink, Forward
from rxlink.core.operation import Operation
from rxlink.core.options import checked_flag
from rxlink.core.subscription import Connect, ResultObserver, Subscription
from rxlink.core.timing import Duration, to_seconds_or_none
from rxlink.errors import ClientClosed, InvariantError
from rxlink.incremental.handlers import IncrementalHandler
from rxlink.links.client_awareness import (
    Awareness,
    ClientAwarenessOptions,
    EnhancedClientAwarenessOptions,
)
from rxlink.transport._abort import Abortable
from rxlink.transport._body import BodyWriter, JsonEncoder, Printer, checked_functions
from rxlink.transport._fetch_options import FetchOptions, fetch_options_over
from rxlink.transport._headers import checked_headers
from rxlink.transport._http_request import HttpRequest
from rxlink.transport._pieces import Answer
from rxlink.transport._request import HttpOptions, RequestBuilder, UriFunction
from rxlink.transport._response import JsonDecoder, checked_size, decode_strictly
from rxlink.transport._retry_wait import DEFAULT_RETRY_ATTEMPTS
from rxlink.transport._sending import Sender
from rxlink.transport._sessions import Credentials, GivenSession, OwnSessions
from rxlink.transport._sse_answer import EVENT_STREAM, SsePieces
from rxlink.transport._sse_auth import auth_link_of, through
from rxlink.transport._sse_events import SseAnnouncer, SseEvent, SseResumed, SseRetrying
from rxlink.transport._sse_operation import ResumingSubscription, StreamedOperation, Waits, checked_retry_options
from rxlink.transport._sse_sharing import SharedStreams, StreamOptions
from rxlink.transport._streaming import MediaTypeStreaming, checked_handler
from rxlink.transport.http import DEFAULT_IDLE_TIMEOUT, DEFAULT_MAX_RESPONSE_SIZE, DEFAULT_TIMEOUT

__all__ = ["SseEvent", "SseLink", "SseResumed", "SseRetrying"]

ACCEPTED: Final = {False: EVENT_STREAM, True: "application/json"}
"""What is asked for, by whether the stream is a shared one; graphql-sse compares it as text."""


class SseLink(ApolloLink):
    """Send each operation to a server that answers with server-sent events.

    In distinct connections mode each operation is a POST whose answer is the event stream. In single connection mode
    the link reserves one stream, over which the results of all operations come, each of them sent by a POST of its own;
    it is for servers and proxies that allow few connections.

    A subscription outlives its stream: where that is lost, or cannot be opened, it is sent again after a while, with
    the id of the last event if the server gives ids (``Last-Event-ID``; not over a shared stream). Without ids what was
    sent between the two streams is lost, and ``events`` tells so. Queries and mutations are not sent again: they get
    the error. With a session as ``auth`` each stream is opened with its current token, which is refreshed once where
    the server refuses it; an AuthLink above the link writes the header once, and a later stream goes with that one.
    What the server refuses after a result is the subscription's result, or its error, and nothing is sent again for it.

    A query that defers or streams something gives an :class:`~rxlink.core.result.IncrementalResult` for each piece, as
    with HttpLink. An answer that is no event stream is read as HttpLink reads it. The operation's context may hold what
    it may hold for HttpLink, files excepted.

    Errors:
        Those of HttpLink; a subscription gets a ``retryable`` one only when the tries are used up.

    Example:
        >>> link = SseLink("https://api.example/graphql/stream", single_connection=True, retry_attempts=None)
        >>> link
        <SseLink https://api.example/graphql/stream>
    """

    is_terminating = True

    def __init__(
        self,
        uri: str | UriFunction,
        *,
        single_connection: bool = False,
        auth: AuthSession | AuthSessions[Any] | AuthLink | None = None,
        retry_attempts: int | None = DEFAULT_RETRY_ATTEMPTS,
        retry_wait: Callable[[int], Duration] | None = None,
        should_retry: Callable[[Exception], bool] | None = None,
        idle_timeout: Duration | None = DEFAULT_IDLE_TIMEOUT,
        incremental_handler: IncrementalHandler | None = None,
        headers: Mapping[str, str] | None = None,
        credentials: Credentials | None = None,
        fetch_options: Mapping[str, Any] | None = None,
        timeout: Duration | None = DEFAULT_TIMEOUT,
        include_extensions: bool | None = None,
        include_unused_variables: bool = False,
        preserve_header_case: bool = False,
        client_awareness: ClientAwarenessOptions | Mapping[str, Any] | None = None,
        enhanced_client_awareness: EnhancedClientAwarenessOptions | Mapping[str, Any] | None = None,
        print: Printer | None = None,
        encode: JsonEncoder | None = None,
        decode: JsonDecoder | None = None,
        session: aiohttp.ClientSession | None = None,
        max_response_size: int | None = DEFAULT_MAX_RESPONSE_SIZE,
    ) -> None:
        """Make the link; it connects to nothing yet.

        Args:
            uri: Where to send: an http(s) address, or a function that gets the operation and returns one.
            single_connection: Whether operations share an event stream. They do where their address and the headers
                that say whose they are (``authorization``, ``cookie``, AuthLink's, the link's own) are the same.
            auth: A session whose token goes with each stream, or an AuthLink of one, where its options are needed.
                None: none does.
            retry_attempts: How often in a row a subscription is sent again without a result in between, default 5; 0
                never, None without end.
            retry_wait: Gets the number of tries since the last result, from 0, and returns how long to wait: seconds,
                or a timedelta. None for 1, 2, 4 ... 64 s and 0.3 to 3 s by chance. The server's ``retry`` is kept
                where it is longer.
            should_retry: Gets the error, and returns whether the subscription is sent again. None: where the error is
                ``retryable``.
            idle_timeout: Seconds, or a timedelta, after which a silent stream counts as lost; comments are no silence.
                Default 60. None waits for ever.
            incremental_handler: Which format of ``@defer`` and ``@stream`` to take; None: any.
            headers: Sent with every request.
            credentials: What happens to cookies, as in HttpLink.
            fetch_options: As in HttpLink; in single connection mode ``method`` is POST, and what opens and closes
                the stream follows no redirect.
            timeout: Seconds, or a timedelta, until the head of an answer has arrived, or the whole of one that is no
                event stream; default 30. None waits for ever.
            include_extensions: Whether an operation's extensions are sent; None is True. In single connection mode
                they hold its id, and False is an error.
            include_unused_variables: Whether variables are sent that the document does not use.
            preserve_header_case: Whether names of headers are sent as given; else in lower case.
            client_awareness: The application's name and version, sent as headers.
            enhanced_client_awareness: How rxlink is named; None does it in the extensions.
            print: Gets a document and the default printer, and returns GraphQL text.
            encode: Makes JSON, as bytes or text, of a request's body.
            decode: Makes objects of JSON in UTF-8.
            session: Used instead of sessions of the link's own, and never closed; its timeouts do not count.
            max_response_size: The largest answer in bytes, after decompression; of a subscription, and of a shared
                stream, the largest event; default 32 MiB. None: any.

        Raises:
            InvariantError: The uri is no http(s) address; an option is out of its range, or goes with another only.
            InvariantTypeError: An option has the wrong type; a function takes other arguments than these.
        """
        super().__init__()
        link = type(self).__name__
        checked_functions(link, print=print, encode=encode, decode=decode)
        self._is_shared = checked_flag("single_connection", single_connection)
        if self._is_shared and include_extensions is False:
            raise InvariantError(
                f"`include_extensions` is False, but with `single_connection` of {link} the extensions hold the id of "
                "an operation; leave it out"
            )
        self._retry = checked_retry_options(link, retry_attempts, retry_wait, should_retry)
        self._handler = checked_handler(incremental_handler, link)
        self._idle_timeout = to_seconds_or_none("idle_timeout", idle_timeout)
        self._requests = RequestBuilder(
            uri,
            headers={"accept": ACCEPTED[self._is_shared], **checked_headers(headers or {}, link)},
            credentials=credentials,
            http=HttpOptions(
                include_extensions=include_extensions is None or checked_flag("include_extensions", include_extensions),
                preserve_header_case=checked_flag("preserve_header_case", preserve_header_case),
            ),
            body=BodyWriter(print, encode, checked_flag("include_unused_variables", include_unused_variables), link),
            fetch=fetch_options_over(FetchOptions(), fetch_options, link),
        )
        self._awareness = Awareness(client_awareness, enhanced_client_awareness)
        seconds, size = to_seconds_or_none("timeout", timeout), checked_size(max_response_size)
        self._sender = Sender(
            repr(self),
            sessions=OwnSessions() if session is None else GivenSession(session, link),
            timeout=seconds,
            decode=decode,
            max_response_size=size,
        )
        if credentials is not None:
            self._sender.sessions.check(credentials)
        options = StreamOptions(
            headers={name.lower() for name in headers or {}},
            handler=self._handler,
            decode=decode or decode_strictly,
            timeout=seconds,
            idle_timeout=self._idle_timeout,
            limit=size,
        )
        self._streams = SharedStreams(self._sender, options, repr(self))
        self._announcer = SseAnnouncer(repr(self))
        self._waits = Waits()
        self._auth = auth_link_of(auth, link)
        self._proceed = self._send if self._auth is None else through(self._auth, self._send)

    def check_place(self, above: Sequence[ApolloLink]) -> None:
        """Refuse a place behind an AuthLink for the same tokens: each would send again what the other has.

        Raises:
            InvariantError: There is one above.
        """
        if self._auth is not None:
            self._auth.check_place(above)

    @property
    def events(self) -> Observable[SseEvent]:
        """What happens to subscriptions, as it happens; it completes when the link is closed."""
        return self._announcer.events.as_observable()

    def connect(self, forward: Forward) -> Connect:
        """Prepare to run operations; see :meth:`ApolloLink.connect`."""
        return self._start

    async def aclose(self) -> None:
        """Close the streams and the link's sessions; operations that run, or come later, get ``ClientClosed``.

        A given session stays open.
        """
        self._sender.is_closed = True
        self._waits.close(lambda: ClientClosed(repr(self)))
        await self._streams.aclose()
        await self._sender.aclose()
        self._announcer.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._requests.shown_uri}>"

    def _start(self, operation: Operation, observer: ResultObserver, root: Subscription) -> None:
        try:
            signal = self._requests.signal_of(operation)
        except Exception as error:  # noqa: BLE001 - the context may hold anything
            observer.on_error(error)
            return
        if signal is None:
            self._begin(operation, observer, root)
        else:
            what = f"operation {operation.operation_name or '(anonymous)'} to {self._requests.shown_uri}"
            Abortable(what, observer, root).start(signal, partial(self._begin, operation))

    def _begin(self, operation: Operation, observer: ResultObserver, root: Subscription) -> None:
        streamed = StreamedOperation(operation)
        if operation.operation_type is not OperationType.SUBSCRIPTION:
            self._proceed(streamed, observer, root)
            return
        ResumingSubscription(
            streamed,
            observer,
            root,
            proceed=self._proceed,
            options=self._retry,
            announcer=self._announcer,
            waits=self._waits,
        ).open_stream()

    def _send(self, operation: Operation, observer: ResultObserver, root: Subscription) -> None:
        """Send an operation once."""
        assert isinstance(operation, StreamedOperation), "the link makes one for each subscription"
        try:
            if self._sender.is_closed:
                raise ClientClosed(repr(self))
            if self._is_shared:
                operation.renew_identity()
            request = self._requests.build(operation, self._awareness.add_to(operation))
            if self._is_shared:
                _check_shared(operation, request)
            if request.credentials is not None:
                self._sender.sessions.check(request.credentials)
        except Exception as error:  # noqa: BLE001 - users' functions run here
            observer.on_error(error)
            return
        opened = partial(self._opened, operation)
        if self._is_shared:
            root.spawn(self._streams.run(observer, operation, request, root, opened), observer)
            return
        if operation.resumes_after is not None:
            request.headers = {**request.headers, "last-event-id": operation.resumes_after}
        streaming = MediaTypeStreaming(
            media_type=EVENT_STREAM,
            make=partial(_pieces_of, operation, opened),
            handler=self._handler,
            idle_timeout=self._idle_timeout,
            is_only_ok=True,
        )
        root.spawn(self._sender.run(observer, operation, request, root, streaming), observer)

    def _opened(self, operation: StreamedOperation) -> None:
        """Tell that a subscription goes on, if it does."""
        if operation.was_lost:
            last_id = operation.resumes_after
            self._announcer.tell(SseResumed(operation.original, last_id is None, last_id))


def _pieces_of(operation: StreamedOperation, opened: Callable[[], None], answer: Answer) -> SsePieces:
    opened()
    return SsePieces(answer, operation)


def _check_shared(operation: Operation, request: HttpRequest) -> None:
    """Refuse what a shared stream cannot do.

    Raises:
        InvariantError: The request has no place for the operation's id.
    """
    if request.method != "POST":
        raise InvariantError(f"`method` in `fetch_options` is {request.method!r}; a shared stream is sent to with POST")
    http: Any = operation.get_context().get("http") or {}
    if http.get("include_extensions") is False:
        raise InvariantError(f"{operation!r} leaves out its extensions, where a shared stream has its id")
