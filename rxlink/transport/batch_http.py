"""Send the operations of a moment to a GraphQL server in one HTTP request, a POST with a JSON list.

Ports: ``@apollo/client`` 4.3.8 ``src/link/batch-http/batchHttpLink.ts`` and ``BaseBatchHttpLink.ts``, of which this
is one link, as HttpLink is of its two.
Differs: in what :mod:`rxlink.transport.http` and :mod:`rxlink.links.batch` say of themselves. An operation that cannot
be sent, because of its variables or its context, ends alone and at once (there it ends the whole batch), and so does
one whose place in the answer holds no result (there that is passed on). A ``signal`` ends its own operation (there the
first one's ends all, and the others' are ignored). Operations to different addresses, or with different
``authorization`` or ``cookie`` headers, different tokens of AuthLink in any header, or different ``credentials``, never
share a request, whatever ``batch_key`` says (there the first one's go with all). Without ``batch_key`` the requests
themselves are compared (there the text of the context). GET is refused when the link is made. An answer in parts is
an error at its head (there at its end, as no JSON). An answer that is no list of the right length is a ``ServerError``
(there a plain error). A ``batch_interval`` of 0 is one turn of the loop, and a ``batch_max`` of 0 no limit (there 0 is
the default). ``encode`` gets the body of one operation at a time. Files do not go in batches: `split` sends them to
HttpLink. It gathers with the ``OperationBatcher`` of BatchLink (there with a BatchLink).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

import aiohttp
from reactivex import Observable

from rxlink.core.chain_observable import ChainObservable
from rxlink.core.documents import SUBSCRIPTION
from rxlink.core.link import ApolloLink, Forward
from rxlink.core.operation import Operation
from rxlink.core.options import checked_flag
from rxlink.core.subscription import Connect, Observer, ResultObserver, Subscription
from rxlink.core.timing import Duration, to_seconds_or_none
from rxlink.errors import InvariantError
from rxlink.links._batching import BatchOptions, OperationBatcher
from rxlink.links.batch import DEFAULT_INTERVAL, BatchKey, batch_options, checked_batch_key
from rxlink.links.client_awareness import (
    Awareness,
    ClientAwarenessOptions,
    EnhancedClientAwarenessOptions,
)
from rxlink.transport._abort import Abortable
from rxlink.transport._batch_sharing import BatchedOperations, RequestKey
from rxlink.transport._batched import AnswerReader, AtTheEnd, BatchedOperation, BatchedRequest, batch_decoder
from rxlink.transport._body import BodyWriter, JsonEncoder, Printer, checked_functions
from rxlink.transport._fetch_options import FetchOptions, fetch_options_over
from rxlink.transport._http_request import HttpRequest
from rxlink.transport._request import HttpOptions, RequestBuilder, UriFunction
from rxlink.transport._response import JsonDecoder, checked_size
from rxlink.transport._sending import Sender
from rxlink.transport._sessions import Credentials, GivenSession, OwnSessions
from rxlink.transport.http import DEFAULT_MAX_RESPONSE_SIZE, DEFAULT_TIMEOUT

__all__ = ["BatchHttpLink"]

DEFAULT_BATCH_MAX: Final = 10


class BatchHttpLink(ApolloLink):
    """Send the operations of a moment as one HTTP request, and answer each with its own part of the response.

    The link stands at the end of a chain, as :class:`~rxlink.HttpLink` does, and reads the same from the context.
    Operations share a request if they go to the same address with the same headers and ``credentials``. One that leaves
    before the request goes out is not sent; the last one to leave aborts it.

    Errors:
        Those of :class:`~rxlink.HttpLink`: one of the whole request for each of its operations, and one of its own
        variables, context or result for an operation alone. :class:`~rxlink.errors.ServerError` also where the server
        did not answer with a list of results, one for each. What ``batch_key`` raises.

    Example:
        >>> import asyncio
        >>> from aiohttp import web
        >>> from rxlink import GraphQLRequest, execute
        >>> async def serve(request):
        ...     return web.json_response([{"data": sent["variables"]} for sent in await request.json()])
        >>> async def main():
        ...     app = web.Application()
        ...     app.router.add_post("/graphql", serve)
        ...     runner = web.AppRunner(app)
        ...     await runner.setup()
        ...     await web.TCPSite(runner, "127.0.0.1", 0).start()
        ...     async with BatchHttpLink(f"http://127.0.0.1:{runner.addresses[0][1]}/graphql") as link:
        ...
        ...         async def double(n):
        ...             return await execute(link, GraphQLRequest("query Q($n: Int) { double(n: $n) }", {"n": n}))
        ...
        ...         answers = await asyncio.gather(double(1), double(2))
        ...     await runner.cleanup()
        ...     return answers
        >>> asyncio.run(main())
        [{'data': {'n': 1}}, {'data': {'n': 2}}]
    """

    is_terminating = True

    def __init__(
        self,
        uri: str | UriFunction,
        *,
        batch_interval: Duration = DEFAULT_INTERVAL,
        batch_max: int = DEFAULT_BATCH_MAX,
        batch_debounce: bool = False,
        batch_key: BatchKey | None = None,
        batch_hybrid_requests: bool = False,
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
        """Make the link; it connects to nothing yet. What is not explained here is as in :class:`~rxlink.HttpLink`.

        Args:
            uri: Where to send; a function is asked as each operation arrives.
            batch_interval: Seconds, or a timedelta, from the first operation of a batch until it is sent; default 0.01.
            batch_max: With how many operations a batch is sent at once; default 10, 0 for any number.
            batch_debounce: Whether each further operation starts the interval anew.
            batch_key: Gets an operation and returns text; only operations with the same text share a request, and the
                first one's headers go with all. A token in a header other than ``authorization`` or ``cookie`` belongs
                into this text, unless AuthLink wrote it. None: the headers have to be the same.
            batch_hybrid_requests: Whether operations share a request that differ in ``include_query`` or
                ``include_extensions`` of the context's ``http``, as persisted and other queries do. Has no effect
                beside ``batch_key``.
            headers: Sent with every request.
            credentials: What happens to cookies.
            fetch_options: ``signal``: an Observable whose first value ends an operation; ``method``: ``"POST"``;
                ``redirect``: as of HttpLink.
            timeout: Seconds, or a timedelta, for a request, from the moment that it is sent; default 30.
            include_extensions: Whether extensions are sent.
            include_unused_variables: Whether variables are sent that the document does not use.
            preserve_header_case: Whether names of headers are sent as given.
            client_awareness: The application's name and version.
            enhanced_client_awareness: How rxlink is named.
            print: Prints a document.
            encode: Makes JSON of the body of one operation; the list is put together here.
            decode: Makes objects of the JSON of a whole answer.
            session: Used instead of sessions of the link's own.
            max_response_size: The largest answer to a batch in bytes, after decompression; default 32 MiB.

        Raises:
            InvariantError: As of HttpLink; ``batch_interval`` or ``batch_max`` is out of its range; the method is GET.
            InvariantTypeError: As of HttpLink.
        """
        super().__init__()
        link = type(self).__name__
        checked_functions(link, print=print, encode=encode, decode=decode)
        http = HttpOptions(
            include_extensions=include_extensions is None or checked_flag("include_extensions", include_extensions),
            preserve_header_case=checked_flag("preserve_header_case", preserve_header_case),
        )
        fetch = fetch_options_over(FetchOptions(), fetch_options, link)
        _check_method(fetch.method)
        body = BodyWriter(print, encode, checked_flag("include_unused_variables", include_unused_variables), link)
        self._requests = RequestBuilder(
            uri, headers=headers, credentials=credentials, http=http, body=body, fetch=fetch
        )
        key = RequestKey(
            checked_batch_key(batch_key), is_hybrid=checked_flag("batch_hybrid_requests", batch_hybrid_requests)
        )
        awareness = Awareness(client_awareness, enhanced_client_awareness)
        self._operations = BatchedOperations(
            self._request_of, key, awareness, body, http, has_own_uri=not callable(uri)
        )
        options: BatchOptions[BatchedOperation] = batch_options(
            self,
            handler=self._send,
            batch_interval=batch_interval,
            batch_max=batch_max,
            batch_debounce=batch_debounce,
        )
        self._batcher = OperationBatcher(options)
        self._sender = Sender(
            repr(self),
            sessions=OwnSessions() if session is None else GivenSession(session, link),
            timeout=to_seconds_or_none("timeout", timeout),
            decode=batch_decoder(decode),
            max_response_size=checked_size(max_response_size),
        )
        if credentials is not None:
            self._sender.sessions.check(credentials)

    def connect(self, forward: Forward) -> Connect:
        """Prepare to run operations; see :meth:`ApolloLink.connect`."""
        batched, enqueue = self._operations.make, self._batcher.enqueue

        def start(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
            try:
                if operation.operation_type is SUBSCRIPTION:
                    raise self._refusal_of(operation)
                member = batched(operation, observer, root)
            except Exception as error:  # noqa: BLE001 - users' functions run here
                observer.on_error(error)
                return
            request = member.request
            if request.signal is None:
                enqueue(member)
            else:
                Abortable(request, observer, root).start(
                    request.signal, lambda observer, scope: enqueue(member.inside(AtTheEnd(observer), scope))
                )

        return start

    async def aclose(self) -> None:
        """Close the link's sessions; operations that wait or run, or come later, get ``ClientClosed``.

        A given session stays open.
        """
        self._batcher.close()
        await self._sender.aclose()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._requests.shown_uri}>"

    def _refusal_of(self, operation: Operation) -> InvariantError:
        return InvariantError(
            f"{operation!r} came to {self!r}, which cannot carry subscriptions; "
            "send them to another transport with `split`"
        )

    def _request_of(self, operation: Operation, has_usual_extensions: bool) -> HttpRequest:  # noqa: FBT001 - as it is passed on
        request = self._requests.build(operation, has_usual_extensions)
        _check_method(request.method)
        if request.credentials is not None:
            self._sender.sessions.check(request.credentials)
        return request

    def _send(self, members: tuple[BatchedOperation, ...]) -> Observable[Any]:
        return ChainObservable(self._post, BatchedRequest(members))

    def _post(self, batch: BatchedRequest, observer: Observer[Any], root: Subscription) -> None:
        # To the sender they are one operation.
        reader = AnswerReader(batch, observer)
        root.spawn(self._sender.run(reader, cast("Operation", batch.together), batch, root), reader)


def _check_method(method: str) -> None:
    if method != "POST":
        raise InvariantError(f"`method` in `fetch_options` is {method!r}; BatchHttpLink sends with POST only")
