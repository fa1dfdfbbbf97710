"""A real server on loopback that takes uploads apart with aiohttp's own reader, and answers as a test tells it to."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

UPLOADED = {"data": {"upload": True}}
REFUSED = {"data": None, "errors": [{"message": "no", "extensions": {"code": "UNAUTHENTICATED"}}]}


@dataclass
class Received:
    """One request.

    Attributes:
        headers: Its headers.
        parts: Name, file name, media type and content of each part, in order.
    """

    headers: Any
    path: str
    parts: list[tuple[str, str | None, str | None, bytes]] = field(default_factory=list)

    @property
    def operations(self) -> dict[str, Any]:
        return json.loads(self.parts[0][3])

    @property
    def map(self) -> dict[str, list[str]]:
        return json.loads(self.parts[1][3])

    @property
    def files(self) -> list[bytes]:
        return [part[3] for part in self.parts[2:]]


class UploadServer:
    """Reads each request to its end, or not at all, and answers.

    Attributes:
        answer: What answers, given the number of the request; change it at will.
        received: The requests.
        reads: Whether bodies are read before the answer.
    """

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answer: Callable[[int], Awaitable[web.StreamResponse]] = answer_with(UPLOADED)
        self.reads = True
        self.uri = ""

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        received = Received(request.headers, request.path)
        self.received.append(received)
        if self.reads:
            async for part in await request.multipart():
                content = bytes(await part.read())
                received.parts.append((part.name, part.filename, part.headers.get("content-type"), content))
        return await self.answer(len(self.received))


def answer_with(*answers: object) -> Callable[[int], Awaitable[web.StreamResponse]]:
    """One after another; the last one again and again."""

    async def answer(number: int) -> web.StreamResponse:
        return web.json_response(answers[min(number, len(answers)) - 1])

    return answer


@asynccontextmanager
async def upload_server() -> AsyncIterator[UploadServer]:
    server = UploadServer()
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/{path:.*}", server._handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.uri = f"http://127.0.0.1:{runner.addresses[0][1]}/graphql"
        yield server
    finally:
        await runner.cleanup()
