"""One event stream that several operations share: how it is opened, what comes over it, and when it is closed.

Ports: the protocol "GraphQL over Server-Sent Events" (``PROTOCOL.md`` of graphql-sse), single connection mode.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextvars import Context
from typing import Any, Final, TypeVar

import aiohttp

from rxlink.errors import ClientClosed, NetworkTimeout, OperationCancelled, ResponseTooLarge
from rxlink.transport._failures import network_error
from rxlink.transport._http_request import HttpRequest
from rxlink.transport._pieces import Answer, cut_off
from rxlink.transport._response import read_body, server_error
from rxlink.transport._sending import NO_TIMEOUTS
from rxlink.transport._sessions import NOT_FOLLOWED, Sessions
from rxlink.transport._sse_answer import COMPLETE, EVENT_STREAM, NAMELESS, NEXT
from rxlink.transport._sse_parser import DEFAULT_TYPE, EventTooLarge, ServerSentEvent, SseParser

__all__ = ["TOKEN_HEADER", "Mailbox", "SharedStream"]

TOKEN_HEADER: Final = "x-graphql-event-stream-token"  # noqa: S105 - its name
T = TypeVar("T")

CREATED: Final = 201
OK: Final = 200

logger = logging.getLogger("rxlink.transport.sse")  # the public module that this is a part of


class Mailbox:
    """What has come for one operation, in its order.

    Attributes:
        is_over: Whether its end has come.
    """

    __slots__ = ("_queue", "is_over")

    def __init__(self) -> None:
        self._queue = asyncio.Queue[Any]()
        self.is_over = False

    def put(self, payload: object) -> None:
        """Put in a payload."""
        self._queue.put_nowait(payload)

    def end(self, how: Exception | bytes = b"") -> None:
        """Put in the end: an exception, or ``b""``."""
        self.is_over = True
        self._queue.put_nowait(how)

    async def read(self) -> Any:
        """Wait for the next payload; ``b""`` is the end."""
        payload = await self._queue.get()
        if isinstance(payload, Exception):
            raise payload
        return payload


class SharedStream:
    """One reservation and its event stream, from the first operation to the last.

    Args:
        answer: Makes what is known of an answer, given its head.
        request: That of the first operation.
        headers: What goes along with each request.
        sessions: What to send with.
        timeout: How many seconds each head may take; None for ever.
        idle_timeout: How many seconds may pass without a byte; None for any time.
        forget: Called when it is of no more use.
        farewells: Where the tasks are kept that tell the server who has left.

    Attributes:
        retry: The pause in milliseconds that the server wishes before the next connection, None for none.
    """

    __slots__ = ("_answer", "_farewells", "_forget", "_headers", "_idle_timeout", "_mailboxes", "_opened", "_parser",
                 "_request", "_sessions", "_task", "_timeout")  # fmt: skip

    def __init__(
        self,
        answer: Callable[[aiohttp.ClientResponse], Answer],
        request: HttpRequest,
        headers: Mapping[str, str],
        *,
        sessions: Sessions,
        timeout: float | None,
        idle_timeout: float | None,
        limit: int | None,
        forget: Callable[[SharedStream], None],
        farewells: set[asyncio.Task[None]],
    ) -> None:
        loop = asyncio.get_running_loop()
        self._answer = answer
        self._request = request
        self._headers = headers
        self._sessions = sessions
        self._timeout = timeout
        self._idle_timeout = idle_timeout
        self._forget = forget
        self._parser = SseParser(limit=limit)
        self._mailboxes: dict[str, Mailbox] = {}
        self._farewells = farewells
        self._opened: asyncio.Future[str] = loop.create_future()
        self._task = loop.create_task(self._serve(), context=Context())  # it is nobody's in particular (P11)

    @property
    def retry(self) -> int | None:
        """The pause in milliseconds that the server wishes before the next connection, None for none."""
        return self._parser.retry

    def enter(self, identity: str) -> Mailbox:
        """Keep what comes for an operation."""
        mailbox = self._mailboxes[identity] = Mailbox()
        return mailbox

    async def token(self) -> str:
        """Wait until the stream is open; return the token with which operations are sent to it.

        Raises:
            Exception: It could not be opened.
        """
        return await asyncio.shield(self._opened)

    def leave(self, identity: str, *, was_sent: bool) -> None:
        """Forget an operation, and tell the server if it does not know; with the last one the stream closes."""
        mailbox = self._mailboxes.pop(identity)
        if not self._mailboxes:
            self._forget(self)
            self._task.cancel()
        elif was_sent and not mailbox.is_over:
            farewell = asyncio.get_running_loop().create_task(self._say_farewell(identity), context=Context())
            self._farewells.add(farewell)
            farewell.add_done_callback(self._farewells.discard)

    def lose(self, failure: Exception) -> None:
        """End it, because the server does not know it any more."""
        self._fail(failure)
        self._task.cancel()

    async def close(self, link: str) -> None:
        """End all of it, because the link closes."""
        self._fail(ClientClosed(link))
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _serve(self) -> None:
        failure: Exception = OperationCancelled(f"the event stream of {self._request}")
        response: aiohttp.ClientResponse | None = None
        try:
            token = await self._in_time(self._reserve())
            response = await self._in_time(self._listen(token))
            if not self._opened.done():
                self._opened.set_result(token)
            failure = await self._read(response)
        except Exception as error:  # noqa: BLE001 - whatever it is, the operations end with it
            failure = error
        finally:
            if response is not None:
                response.release()
            self._fail(failure)
            del failure  # its traceback holds this frame: no cycles

    def _fail(self, failure: Exception) -> None:
        """End the operations, each of which takes an error of its own."""
        failure = failure.with_traceback(None)  # which holds the frame that holds this: no cycles
        self._forget(self)
        if not self._opened.done():
            self._opened.set_exception(failure)
            self._opened.exception()  # nobody need be waiting
        for mailbox in self._mailboxes.values():
            if not mailbox.is_over:
                mailbox.end(failure)

    async def _reserve(self) -> str:
        response = await self._ask("PUT", {**self._headers})
        body = await self._whole(response)
        if response.status != CREATED:
            raise self._refusal(response, body, "does not take reservations: it may not know single connection mode")
        token = body.decode(errors="replace").strip()
        if not token or not token.isprintable():
            raise self._refusal(response, b"", "has made a reservation with a token that no header can hold")
        return token

    async def _listen(self, token: str) -> aiohttp.ClientResponse:
        response = await self._ask("GET", {**self._headers, TOKEN_HEADER: token, "accept": EVENT_STREAM})
        answer = self._answer(response)
        if response.status != OK or answer.media_type != EVENT_STREAM:
            body = await self._whole(response)
            raise self._refusal(response, body, "did not open the event stream")
        return response

    async def _whole(self, response: aiohttp.ClientResponse) -> bytes:
        answer = self._answer(response)
        return await read_body(response, answer.operation, limit=answer.limit, what=self._request)

    def _refusal(self, response: aiohttp.ClientResponse, body: bytes, what: str) -> Exception:
        answer = self._answer(response)
        message = f"the server of {self._request} {what} (status {response.status})"
        try:
            result: object = answer.decode(body)
        except Exception:  # noqa: BLE001 - a page of a proxy, for one
            result = None
        return server_error(response, body, answer.operation, message, result)

    async def _ask(self, method: str, headers: Mapping[str, str], **parameters: str) -> aiohttp.ClientResponse:
        request, sessions = self._request, self._sessions
        kind = request.credentials, method == "GET"
        session = sessions.opened(*kind) or await sessions.open(*kind)
        logger.debug(">>> %s of %s", method, request)
        url = request.target.url.update_query(parameters)
        response = await session.request(
            method,
            url,
            headers=headers,
            timeout=NO_TIMEOUTS,
            raise_for_status=False,
            auto_decompress=True,
            **NOT_FOLLOWED,
        )
        logger.debug("<<< %s of %s: %d", method, request, response.status)
        return response

    async def _in_time(self, asking: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._timeout):
                return await asking
        except (aiohttp.ClientError, OSError) as error:
            if _is_timeout(error) and self._timeout is not None:
                raise NetworkTimeout(str(self._request), seconds=self._timeout) from None
            failure = network_error(error, self._request)
            raise failure from failure.__cause__

    async def _read(self, response: aiohttp.ClientResponse) -> Exception:
        """Hand out what comes; return why nothing more does."""
        answer = self._answer(response)
        while True:
            try:
                async with asyncio.timeout(self._idle_timeout):
                    chunk = await response.content.readany()
            except (aiohttp.ClientError, OSError) as error:
                if _is_timeout(error) and self._idle_timeout is not None:
                    silence = f"{answer.what}, on its event stream"
                    return NetworkTimeout(silence, seconds=self._idle_timeout, option="idle_timeout")
                return network_error(error, answer.what, "lost its event stream")
            if not chunk:
                return cut_off(answer)
            try:
                for event in self._parser.feed(chunk):
                    self._hand_out(event, answer)
            except EventTooLarge as error:
                return ResponseTooLarge(str(answer.what), limit=error.limit)

    def _hand_out(self, event: ServerSentEvent, answer: Answer) -> None:
        body = event.data.encode()
        if event.type == DEFAULT_TYPE:
            raise answer.wrong(NAMELESS, body)
        if event.type not in {NEXT, COMPLETE}:
            return
        value = answer.decoded(body)
        identity = value.get("id")
        if not isinstance(identity, str):
            raise answer.malformed(body, value)
        mailbox = self._mailboxes.get(identity)
        if mailbox is None or mailbox.is_over:  # it has left
            return
        if event.type == COMPLETE:
            mailbox.end()
        elif "payload" in value:
            mailbox.put(value["payload"])
        else:
            raise answer.malformed(body, value)

    async def _say_farewell(self, identity: str) -> None:
        try:
            headers = {**self._headers, TOKEN_HEADER: await self.token()}
            response = await self._in_time(self._ask("DELETE", headers, operationId=identity))
            response.release()
        except Exception as error:  # noqa: BLE001 - the subscriber has gone, and nobody is left to be told
            logger.debug("%s: the server was not told who left (%s)", self._request, type(error).__name__)


def _is_timeout(error: Exception) -> bool:
    """Tell whether it was this module's own time limit, and not aiohttp's or the system's."""
    return type(error) is TimeoutError and getattr(error, "errno", None) is None
