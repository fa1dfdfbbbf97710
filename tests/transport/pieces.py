"""What servers of answers in pieces send, and a server that sends it piece by piece."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from reactivex import abc
from reactivex.disposable import Disposable

from rxlink import ApolloLink, GraphQLRequest, execute
from tests.recording import END as COMPLETED
from tests.transport.scripted_server import Answer

__all__ = [
    "DELIMITER",
    "END",
    "INCREMENTAL",
    "SUBSCRIPTION",
    "TICKS",
    "ResultSignal",
    "answer_in_pieces",
    "body_of",
    "outcome_of",
    "part",
    "tick",
]

TICKS = GraphQLRequest("subscription Ticks { tick }")
SUBSCRIPTION = "multipart/mixed;boundary=graphql;subscriptionSpec=1.0"
INCREMENTAL = 'multipart/mixed; boundary="graphql"; deferSpec=20220824'
DELIMITER = b"\r\n--graphql"
END = b"--\r\n"

Step = bytes | Callable[[], Awaitable[Any]]


def tick(number: int) -> dict[str, Any]:
    """Return an event of TICKS."""
    return {"data": {"tick": number}}


def part(payload: Any, *, content_type: str = "application/json") -> bytes:
    """Return a part up to the delimiter behind it."""
    text = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return b"\r\ncontent-type: " + content_type.encode() + b"\r\n\r\n" + text + DELIMITER


def body_of(*payloads: Any) -> bytes:
    """Return a whole body."""
    return DELIMITER + b"".join(map(part, payloads)) + END


def answer_in_pieces(
    *steps: Step, content_type: str = INCREMENTAL, status: int = 200, ends: bool = True, **headers: str
) -> Answer:
    """Send bytes, and wait for what is awaitable in between; then end the body, or break the connection off."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers={"content-type": content_type, **headers})
        response.enable_chunked_encoding()
        await response.prepare(request)
        for step in steps:
            if isinstance(step, bytes):
                await response.write(step)
            else:
                await step()
        if not ends:
            assert request.transport is not None
            request.transport.close()  # what was written goes out before
        return response

    return answer


class ResultSignal:
    """Takes results, and lets others wait until there are so many of them."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.subscription: abc.DisposableBase = Disposable()
        self.ended = asyncio.Event()
        self._count = asyncio.Queue[None]()

    def on_next(self, value: Any) -> None:
        self.seen.append(value)
        self._count.put_nowait(None)

    def on_error(self, error: Exception) -> None:
        self.seen.append(error)
        self.ended.set()

    def on_completed(self) -> None:
        self.seen.append(COMPLETED)
        self.ended.set()

    async def one_more(self) -> None:
        """Wait until one more has come than were waited for before."""
        await self._count.get()


async def outcome_of(link: ApolloLink, request: GraphQLRequest = TICKS) -> list[Any]:
    """Run an operation to its end; return what came."""
    received = ResultSignal()
    execute(link, request).subscribe(received)
    await received.ended.wait()
    return received.seen
