"""A real aiohttp session whose connections answer inside the process.

Nothing of aiohttp is replaced above the transport, so what is left to measure is what the client
costs: no kernel, no server, the least noise.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

from benchmarks.canned_server import RESPONSE, length_of_request

__all__ = ["InProcessConnector", "InProcessTransport"]


class InProcessConnector(aiohttp.TCPConnector):
    """A pool of connections that lead nowhere and answer everything.

    Args:
        response: What each request is answered with, head and body; None never answers.
        answer_to: Returns the pieces in which a request is answered instead; each comes by itself, in a turn of the
            loop of its own.
        limit: How many connections there are at most; 0 for as many as are needed.
    """

    def __init__(
        self,
        response: bytes | None = RESPONSE,
        *,
        answer_to: Callable[[bytes], Iterable[bytes]] | None = None,
        limit: int = 0,
    ) -> None:
        super().__init__(limit=limit)
        self._response = response
        self._answer_to = answer_to

    async def _create_connection(self, *_: Any) -> ResponseHandler:
        protocol = ResponseHandler(self._loop)
        if self._answer_to is None:
            protocol.connection_made(_AnsweringTransport(self._loop, protocol, self._response))
        else:
            protocol.connection_made(_StreamingTransport(self._loop, protocol, self._answer_to))
        return protocol


class InProcessTransport(asyncio.Transport):
    """A connection that leads nowhere; what writes to it makes it answer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: ResponseHandler) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._is_closing = False

    def answer(self, data: bytes) -> None:
        """Let the client receive something in the loop's next turn."""
        self._loop.call_soon(self._deliver, data)

    def _deliver(self, data: bytes) -> None:
        if not self._is_closing:
            self._protocol.data_received(data)

    def is_closing(self) -> bool:
        """See `asyncio.Transport`."""
        return self._is_closing

    def close(self) -> None:
        """See `asyncio.Transport`."""
        if not self._is_closing:
            self._is_closing = True
            self._loop.call_soon(self._protocol.connection_lost, None)

    abort = close

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """See `asyncio.Transport`."""
        return default

    def pause_reading(self) -> None:
        """Do nothing: what is received is small."""

    def resume_reading(self) -> None:
        """Do nothing."""


class _AnsweringTransport(InProcessTransport):
    """Takes each request whole, and answers it in the loop's next turn.

    A head and its body may come in two writes: what ends a request is the loop's turn.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: ResponseHandler, response: bytes | None) -> None:
        super().__init__(loop, protocol)
        self._response = response
        self._handle: asyncio.Handle | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._handle is None and self._response is not None:
            self._handle = self._loop.call_soon(self._send, self._response)

    def _send(self, response: bytes) -> None:
        self._handle = None
        self._deliver(response)


class _StreamingTransport(InProcessTransport):
    """Answers each request with a piece in each turn of the loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        protocol: ResponseHandler,
        answer_to: Callable[[bytes], Iterable[bytes]],
    ) -> None:
        super().__init__(loop, protocol)
        self._answer_to = answer_to
        self._received = b""
        self._pieces: Iterator[bytes] = iter(())

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._received += data
        if length_of_request(self._received) is not None:
            self._pieces = iter(self._answer_to(self._received))
            self._received = b""
            self._loop.call_soon(self._send_piece)

    def _send_piece(self) -> None:
        piece = next(self._pieces, None)
        if piece is not None and not self._is_closing:
            # In this order: whoever reads gets its turn before the next piece.
            self._deliver(piece)
            self._loop.call_soon(self._send_piece)
