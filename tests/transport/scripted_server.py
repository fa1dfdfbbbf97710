"""A real server on loopback that answers as a test tells it to, and remembers what it was sent."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

Answer = Callable[["web.Request"], Awaitable[web.StreamResponse]]

VIEWER = {"data": {"viewer": {"name": "Ada"}}}


class ScriptedServer:
    """Answers POST (and GET, for redirects) on any path.

    Attributes:
        answer: What answers; change it at will. The default is `VIEWER`.
        requests: What was received.
        aborted: Set when a client left while its request was answered.
    """

    def __init__(self) -> None:
        self.answer: Answer = answer_json(VIEWER)
        self.requests: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.arrived = asyncio.Event()
        self.aborted = asyncio.Event()
        self.origin = ""

    @property
    def uri(self) -> str:
        return f"{self.origin}/graphql"

    @property
    def sent(self) -> dict[str, object]:
        """The last body."""
        return json.loads(self.bodies[-1])

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the last request, names as they were on the wire."""
        raw = self.requests[-1].raw_headers
        return {name.decode(): value.decode() for name, value in raw}

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        try:
            self.bodies.append(await request.read())
            self.arrived.set()
            return await self.answer(request)
        except asyncio.CancelledError:
            self.aborted.set()
            raise


def answer_json(value: object, status: int = 200, **headers: str) -> Answer:
    return answer_text(json.dumps(value), status, **headers)


def answer_text(text: str | bytes, status: int = 200, content_type: str = "application/json", **headers: str) -> Answer:
    body = text.encode() if isinstance(text, str) else text
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=status, headers={"content-type": content_type, **named})

    return answer


def answer_in_chunks(*chunks: bytes, then: asyncio.Event | None = None, status: int = 200, **headers: str) -> Answer:
    """Send chunks, then wait for the event before the end."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers={"content-type": "application/json", **named})
        response.enable_chunked_encoding()
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        if then is not None:
            await then.wait()
        return response

    return answer


async def answer_never(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError("nobody sets that event")


async def drop_connection(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@asynccontextmanager
async def scripted_server() -> AsyncIterator[ScriptedServer]:
    server = ScriptedServer()
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", server._handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield server
    finally:
        await runner.cleanup()
