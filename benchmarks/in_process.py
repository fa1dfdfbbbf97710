"""A real aiohttp session whose connections answer inside the process.

Nothing of aiohttp is replaced above the transport, so what is left to measure is what the client
costs: no kernel, no server, the least noise.
"""

import asyncio
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

from benchmarks.canned_server import RESPONSE

__all__ = ["InProcessConnector"]


class InProcessConnector(aiohttp.TCPConnector):
    """A pool of connections that lead nowhere and answer everything.

    Args:
        response: What each request is answered with, head and body.
        limit: How many connections there are at most; 0 for as many as are needed.
    """

    def __init__(self, response: bytes = RESPONSE, *, limit: int = 0) -> None:
        super().__init__(limit=limit)
        self._response = response

    async def _create_connection(self, *_: Any) -> ResponseHandler:
        protocol = ResponseHandler(self._loop)
        protocol.connection_made(_AnsweringTransport(self._loop, protocol, self._response))
        return protocol


class _AnsweringTransport(asyncio.Transport):
    """Takes each request whole, and answers it in the loop's next turn.

    A head and its body may come in two writes: what ends a request is the loop's turn.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: ResponseHandler, response: bytes) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._response = response
        self._is_closing = False
        self._answer: asyncio.Handle | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._answer is None:
            self._answer = self._loop.call_soon(self._send_answer)

    def _send_answer(self) -> None:
        self._answer = None
        if not self._is_closing:
            self._protocol.data_received(self._response)

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self._loop.call_soon(self._protocol.connection_lost, None)

    abort = close

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass
