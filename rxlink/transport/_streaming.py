"""One answer in pieces, read to its end: each result is told before the bytes of the next are waited for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

import aiohttp

from rxlink.core.options import kind_of
from rxlink.core.result import FetchResult
from rxlink.core.subscription import ResultObserver, Subscription
from rxlink.errors import ClientClosed, InvariantTypeError, NetworkTimeout, RxlinkError
from rxlink.incremental.detecting import DetectingHandler
from rxlink.incremental.handlers import IncrementalHandler
from rxlink.transport._failures import final, network_error
from rxlink.transport._pieces import Answer, Pieces
from rxlink.transport._running import Ended, IdleTimer, Running

__all__ = ["MediaTypeStreaming", "StreamReader", "Streaming", "checked_handler"]

OK: Final = 200

logger = logging.getLogger("rxlink.transport.http")  # the public module that this is a part of


class Streaming(Protocol):
    """Knows which answers come in pieces.

    Attributes:
        handler: Puts results together that come in pieces.
    """

    @property
    def handler(self) -> IncrementalHandler:
        """Puts results together that come in pieces."""
        ...

    def reader_of(self, answer: Answer, running: Running, link: str) -> StreamReader | None:
        """Return who reads an answer, None where it comes as a whole."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaTypeStreaming:
    """Answers of a media type come in pieces.

    Attributes:
        media_type: In small letters.
        make: Makes results of them.
        handler: Puts results together that come in pieces.
        idle_timeout: How many seconds may pass without a byte; None for any time.
        is_only_ok: Whether an answer with any other status than 200 is read as a whole.
    """

    media_type: str
    make: Callable[[Answer], Pieces]
    handler: IncrementalHandler
    idle_timeout: float | None
    is_only_ok: bool = False

    def reader_of(self, answer: Answer, running: Running, link: str) -> StreamReader | None:
        """Return who reads an answer, None where it comes as a whole."""
        if answer.media_type != self.media_type or (self.is_only_ok and answer.response.status != OK):
            return None
        return StreamReader(answer, self.make(answer), running, idle_timeout=self.idle_timeout, link=link)


class StreamReader:
    """Reads an answer, and tells an observer its results.

    Args:
        answer: Its head.
        pieces: Its format.
        running: What runs on this loop.
        idle_timeout: How many seconds may pass without a byte; None for any time.
        link: What the link is called in error messages.
        read: Waits for what comes next, and returns ``b""`` at the end; None where that are the bytes of the answer.
    """

    __slots__ = ("_answer", "_idle_timeout", "_link", "_pieces", "_read_next", "_running")

    def __init__(
        self,
        answer: Answer,
        pieces: Pieces,
        running: Running,
        *,
        idle_timeout: float | None,
        link: str,
        read: Callable[[], Awaitable[Any]] | None = None,
    ) -> None:
        self._answer = answer
        self._pieces = pieces
        self._running = running
        self._idle_timeout = idle_timeout
        self._link = link
        self._read_next = read or answer.response.content.readany

    async def relay(self, task: asyncio.Task[None], observer: ResultObserver, root: Subscription) -> None:
        """Tell the observer each result, and then the end; what it raises ends the stream.

        Whoever turns to another stream while taking a result hears nothing more of this one.
        """
        response = self._answer.response
        idle = self._running.enter_stream(task, self._idle_timeout)
        try:
            failure = await self._read(task, idle, observer, root)
        finally:
            self._running.leave_stream(task)
            response.release()
        if root.holds(task):
            root.release()
            self._end(failure, observer)

    async def _read(
        self, task: asyncio.Task[None], idle: IdleTimer, observer: ResultObserver, root: Subscription
    ) -> Exception | None:
        """Tell the observer each result; return the error that the answer has ended with, None if it is complete."""
        read_next, pieces = self._read_next, self._pieces
        while not pieces.is_over and root.holds(task):
            try:
                chunk = await read_next()
            except BaseException as error:  # middleware of a given session may raise anything
                failure = self._failure(error, task)
                if failure is None:
                    raise
                return failure
            is_over = chunk == b""
            failure = _outcome_of(pieces) if is_over else self._tell(chunk, task, observer, root)
            if failure is not None or is_over:
                return failure
            self._heard(idle, chunk)
        return None

    def _end(self, failure: Exception | None, observer: ResultObserver) -> None:
        try:
            if failure is None:
                observer.on_completed()
            else:
                observer.on_error(final(failure, self._answer.operation))
        finally:
            del failure  # its traceback holds this frame: no cycles

    def _tell(
        self, chunk: Any, task: asyncio.Task[None], observer: ResultObserver, root: Subscription
    ) -> Exception | None:
        results = self._pieces.feed(chunk)
        while True:
            result = _next(results)
            if result is None or isinstance(result, Exception):
                return result
            observer.on_next(result)
            if not root.holds(task):
                return None

    def _heard(self, idle: IdleTimer, chunk: Any) -> None:
        idle.heard()
        if isinstance(chunk, bytes) and logger.isEnabledFor(logging.DEBUG):
            logger.debug("<<< %s: a piece, %d bytes", self._answer.what, len(chunk))

    def _failure(self, error: BaseException, task: asyncio.Task[None]) -> Exception | None:
        """Return what the operation gets for what has just been caught, None if that is no answer."""
        what = self._answer.what
        if isinstance(error, (aiohttp.ClientError, OSError)) and not isinstance(error, RxlinkError):
            return network_error(error, what, "got an answer that broke off; what has come of it was delivered")
        if isinstance(error, Exception):
            return error
        if not isinstance(error, asyncio.CancelledError):
            return None
        ended = self._running.why_cancelled(task)
        if ended is Ended.BY_SILENCE and self._idle_timeout is not None:
            silence = f"{what}, in the midst of the answer"
            return NetworkTimeout(silence, seconds=self._idle_timeout, option="idle_timeout")
        if ended is Ended.BY_CLOSING:
            return ClientClosed(self._link)
        return None


def checked_handler(handler: IncrementalHandler | None, link: str) -> IncrementalHandler:
    """Return the handler given to a link, or the one that takes every format.

    Raises:
        InvariantTypeError: It is no handler.
    """
    if handler is None:
        return DetectingHandler()
    is_handler = all(hasattr(handler, name) for name in ("accept", "is_incremental_result", "start_request"))
    if isinstance(handler, type) or not is_handler:
        raise InvariantTypeError(
            f"`incremental_handler` of {link} is {kind_of(handler)}; give GraphQL17Alpha9Handler(), "
            "Defer20220824Handler(), or None for whichever format comes"
        )
    return handler


def _next(results: Iterator[FetchResult]) -> FetchResult | Exception | None:
    try:
        return next(results, None)
    except Exception as error:  # noqa: BLE001 - a user's decoder may raise anything
        return error


def _outcome_of(pieces: Pieces) -> Exception | None:
    try:
        pieces.finish()
    except Exception as error:  # noqa: BLE001 - as above
        return error
    return None
