"""Send operations to a GraphQL server over HTTP: as POST requests with JSON, or with GET.

Ports: ``@apollo/client`` 4.3.8 ``src/link/http/HttpLink.ts`` and ``BaseHttpLink.ts``, and what
they are made of, which here are the private modules beside this one. ``BaseHttpLink`` is this link
with ``transport`` False in both options about awareness.
Differs: ``uri`` has no default, because there is no page whose server it could be on. There is a
timeout, and a largest response. JSON that is no object is a ``ServerError`` (Apollo passes lists on
and fails on ``null``). A declared charset is honoured, and text that is not valid in UTF-8 is no
JSON (fetch reads UTF-8 always and puts in replacement characters). Variables that JSON would
change, such as ``nan``, are an error. Options and headers in the context are checked. Cookies are
kept only where ``credentials`` asks for them: many users of a service share one link, while a
browser has one user (fetch in Node keeps none either). Each subscription is a request of its own
and aborts no other (in Apollo one operation has one controller: leaving one subscription aborts
another, and each later one gets an ``AbortError``; with GET it has each parameter twice). Of
``fetch_options`` there are ``method``, in capitals, ``signal``, an Observable, and ``redirect``,
which knows ``"follow"`` and ``"error"`` (a ``ServerError`` with the status of the redirect); others are an
error, not ignored. A signal that has come before the request is obeyed (Apollo sends all the same).
A token of AuthLink goes to no other origin, whatever its header, and not over plain http (fetch
keeps back ``authorization`` alone, and only in redirects).
Files in variables are sent as forms, for which Apollo users take ``apollo-upload-client``.
Results that arrive in pieces are merged here, in whichever format they come (there by the client,
in the one format of its ``incrementalHandler``), and a subscription asks for its own media type
alone, also where it defers something. An answer in pieces may not fall silent, and is an error
where it ends too soon or makes no sense; its fatal errors are one too (there a result, and then
the stream completes).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import aiohttp

from rxlink.core.link import ApolloLink, Forward
from rxlink.core.operation import Operation
from rxlink.core.options import checked_flag, checked_word
from rxlink.core.subscription import Connect, ResultObserver, Subscription
from rxlink.core.timing import Duration, to_seconds_or_none
from rxlink.errors import ClientClosed
from rxlink.incremental.handlers import IncrementalHandler
from rxlink.links.client_awareness import (
    Awareness,
    ClientAwarenessOptions,
    EnhancedClientAwarenessOptions,
)
from rxlink.transport._abort import Abortable
from rxlink.transport._body import BodyWriter, JsonEncoder, Printer, checked_functions
from rxlink.transport._fetch_options import FetchOptions, fetch_options_over
from rxlink.transport._multipart_answer import MULTIPART, DamagedParts, MultipartPieces
from rxlink.transport._request import Accepts, HttpOptions, RequestBuilder, UriFunction
from rxlink.transport._response import JsonDecoder, checked_size
from rxlink.transport._sending import HttpResponse, Sender
from rxlink.transport._sessions import Credentials, GivenSession, OwnSessions
from rxlink.transport._streaming import MediaTypeStreaming, checked_handler

__all__ = [
    "Credentials",
    "DamagedParts",
    "HttpLink",
    "HttpResponse",
    "JsonDecoder",
    "JsonEncoder",
    "Printer",
    "UriFunction",
]

DEFAULT_TIMEOUT: Final = 30.0  # seconds
DEFAULT_IDLE_TIMEOUT: Final = 60.0  # seconds
DEFAULT_MAX_RESPONSE_SIZE: Final = 32 * 1024 * 1024  # bytes
SUBSCRIPTION_TYPES: Final = ("multipart/mixed;boundary=graphql;subscriptionSpec=1.0",)
"""What a subscription asks for (Apollo Router, "HTTP callback and multipart protocols")."""


class HttpLink(ApolloLink):
    """Send each operation as one HTTP request, and answer it with the server's response.

    The link stands at the end of a chain. Each subscription is a new request; leaving aborts it and
    closes its connection. GraphQL errors stay in the result. What
    :class:`~rxlink.links.client_awareness.ClientAwarenessLink` adds to an operation, this link adds
    too. Redirects are followed as fetch follows them: 307 and 308 send the request again, others
    turn it into a GET, and another origin gets no ``authorization`` and no ``cookie``. What a token
    refresh sends follows none: its body may hold the refresh token.

    The header that AuthLink writes goes to the link's own address only (what ``uri`` says, or a
    function of the link), or else to the origins that AuthLink names, and not over plain http except
    to this machine; where it must not go, the operation fails before anything is sent. A ``uri`` in
    the context counts as own where its origin is that of the address given to the link; of a link
    with a function none does. After a redirect to another origin, which https to http is too, the
    request goes on without that header, whatever its name, also where the origin is one that
    AuthLink names, and also if it leads back. A given session can be trusted with that for
    ``authorization`` and ``cookie`` only; with the token in another header it follows no redirect,
    which is then a ``ServerError``. Headers given to the link are sent wherever it sends.

    A subscription is asked for as parts of ``multipart/mixed``, and each result is handed on as soon as
    its part is complete. So is each piece of a result that a query defers or streams: it arrives as an
    :class:`~rxlink.core.result.IncrementalResult`, merged with what has come before. Nothing is sent
    again once a result was handed on: an answer that breaks off is an error, and what has come stays.

    Variables may hold files (:class:`~rxlink.transport.upload.Upload`): paths, bytes, open files and
    asynchronous generators. Such an operation is sent as a multipart form.

    The operation's context may hold, for this operation only: ``uri``, ``headers`` (merged over the
    link's; of names that differ in case the last counts), ``credentials``, ``fetch_options``
    (merged over the link's), ``client_awareness``, and ``http``, a mapping of
    ``include_extensions``, ``include_query``, ``preserve_header_case`` and ``accept`` (a list of
    media types to put before the usual ones). The link puts a :class:`HttpResponse` into it under
    ``response``.

    Errors:
        :class:`~rxlink.errors.NetworkError`, :class:`~rxlink.errors.NetworkTimeout`: no answer, or one
        in pieces that broke off or fell silent.
        :class:`~rxlink.errors.ServerError`, :class:`~rxlink.errors.ServerParseError`,
        :class:`~rxlink.errors.ResponseTooLarge`: an answer that is of no use.
        :class:`~rxlink.errors.CombinedProtocolErrors`: the server has ended a subscription.
        :class:`~rxlink.errors.SerializationError`: variables that JSON cannot carry; nothing was
        sent.
        :class:`~rxlink.errors.UploadError`: a file that could not be read, or not again.
        :class:`~rxlink.errors.AbortError`: the ``signal`` came before the answer.
        :class:`~rxlink.errors.InvariantError`: the context, or what a function of the link
        returned, asks for what cannot work, or a token would go where it must not; nothing was
        sent.
        :class:`~rxlink.errors.ClientClosed`: the link was closed before the answer came.

    Example:
        >>> import asyncio
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
        use_get_for_queries: bool = False,
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
        idle_timeout: Duration | None = DEFAULT_IDLE_TIMEOUT,
        damaged_parts: DamagedParts = "error",
        incremental_handler: IncrementalHandler | None = None,
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
            use_get_for_queries: Whether queries go with GET, whatever ``fetch_options`` say; their
                text and variables are then part of the address, which caches can use and logs show.
            fetch_options: ``method``: ``"POST"`` or ``"GET"``. ``signal``: an Observable whose
                first value ends the operation with an ``AbortError``, or with that value if it is
                an exception. ``redirect``: ``"follow"``, or ``"error"`` to end an operation that is
                answered with a redirect with a ``ServerError``.
            timeout: Seconds, or a timedelta, until the whole answer has arrived (of one in pieces: its
                head), with redirects and the wait for a free connection; default 30. None waits for
                ever.
            include_extensions: Whether an operation's extensions are sent, if it has any; None is
                True.
            include_unused_variables: Whether variables are sent that the document does not use.
            preserve_header_case: Whether names of headers are sent as given; else in lower case.
            client_awareness: The application's name and version, sent as headers.
            enhanced_client_awareness: How rxlink is named; None does it in the extensions.
            print: Gets a document and the default printer, and returns GraphQL text. None prints
                each document once.
            encode: Makes JSON, as bytes or text, of a request's body, such as ``orjson.dumps``.
                None: compact JSON.
            decode: Makes objects of JSON in UTF-8, such as ``orjson.loads``. None: a strict
                ``json.loads``.
            session: Used instead of sessions of the link's own, and never closed; its timeouts do
                not count.
            max_response_size: The largest body of a response in bytes, after decompression; of a
                subscription, the largest of its parts; default 32 MiB. None: any.
            idle_timeout: Seconds, or a timedelta, that may pass in the midst of an answer in pieces
                without anything arriving; a heartbeat counts. Default 60. None waits for ever, for
                servers that send no heartbeats.
            damaged_parts: What becomes of a part of a subscription that is no JSON, or no result: it ends the
                subscription with an ``"error"``, since a result may be lost, or is left out (``"skip"``) with a
                warning in the log, unless it is in the midst of a result in pieces. Default ``"error"``.
            incremental_handler: Which format of ``@defer`` and ``@stream`` to ask for and to take. None:
                both, and each piece shows which it is in.

        Raises:
            InvariantError: The uri is no http(s) address; an option is out of its range;
                ``credentials="omit"`` with a session that keeps cookies.
            InvariantTypeError: An option has the wrong type; a function takes other arguments than these, or is a
                coroutine function, which nobody would await.
        """
        super().__init__()
        link = type(self).__name__
        checked_functions(link, print=print, encode=encode, decode=decode)
        handler = checked_handler(incremental_handler, link)
        self._requests = RequestBuilder(
            uri,
            headers=headers,
            credentials=credentials,
            http=HttpOptions(
                include_extensions=include_extensions is None or checked_flag("include_extensions", include_extensions),
                preserve_header_case=checked_flag("preserve_header_case", preserve_header_case),
            ),
            body=BodyWriter(print, encode, checked_flag("include_unused_variables", include_unused_variables), link),
            fetch=fetch_options_over(FetchOptions(), fetch_options, link),
            uses_get_for_queries=checked_flag("use_get_for_queries", use_get_for_queries),
            takes_files=True,
            accepts=Accepts(subscription=SUBSCRIPTION_TYPES, incremental=handler.accept),
        )
        self._awareness = Awareness(client_awareness, enhanced_client_awareness)
        self._sender = Sender(
            repr(self),
            sessions=OwnSessions() if session is None else GivenSession(session, link),
            timeout=to_seconds_or_none("timeout", timeout),
            decode=decode,
            max_response_size=checked_size(max_response_size),
        )
        self._streaming = MediaTypeStreaming(
            media_type=MULTIPART,
            make=partial(MultipartPieces, damaged=checked_word("damaged_parts", damaged_parts, DamagedParts)),
            handler=handler,
            idle_timeout=to_seconds_or_none("idle_timeout", idle_timeout),
        )
        if credentials is not None:
            self._sender.sessions.check(credentials)

    def connect(self, forward: Forward) -> Connect:
        """Prepare to run operations; see :meth:`ApolloLink.connect`."""
        sender, streaming = self._sender, self._streaming
        run, build, add_awareness = sender.run, self._requests.build, self._awareness.add_to

        def start(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
            try:
                if sender.is_closed:
                    raise ClientClosed(repr(self))
                request = build(operation, add_awareness(operation))
                if request.credentials is not None:
                    sender.sessions.check(request.credentials)
                if request.signal is None:
                    root.spawn(run(observer, operation, request, root, streaming), observer)
                else:
                    Abortable(request, observer, root).start(
                        request.signal,
                        lambda observer, scope: scope.spawn(
                            run(observer, operation, request, scope, streaming), observer
                        ),
                    )
            except Exception as error:  # noqa: BLE001 - users' functions run here
                observer.on_error(error)

        return start

    async def aclose(self) -> None:
        """Close the link's sessions; operations that run, or come later, get ``ClientClosed``.

        A given session stays open.
        """
        await self._sender.aclose()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._requests.shown_uri}>"
