"""A server of GraphQL over server-sent events in single connection mode, which sends what a test tells it to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from aiohttp import web

from rxlink import GraphQLRequest, SseLink, execute
from tests.transport.pieces import ResultSignal

__all__ = ["TOKEN", "Reserved", "SharedSseServer", "event", "heard", "link_to", "shared_sse_server", "ticks"]

TOKEN = "x-graphql-event-stream-token"


def event(payload: Any = None, *, kind: str = "next", **fields: Any) -> bytes:
    """Return an event."""
    lines = [f"event: {kind}", *(f"{name}: {value}" for name, value in fields.items())]
    lines.append("data:" if payload is None else f"data: {json.dumps(payload)}")
    return "\n".join([*lines, "", ""]).encode()


class Reserved:
    """A reservation: its stream, and the operations that were sent to it, by their ids.

    Attributes:
        headers: Of the request that opened the stream.
        operations: What was sent, by its id.
        left: The ids of those who said that they leave.
    """

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.operations: dict[str, dict[str, Any]] = {}
        self.left: list[str] = []
        self.outbox = asyncio.Queue[bytes | None]()
        self.is_open = asyncio.Event()
        self.is_closed = asyncio.Event()

    def send(self, identity: str, payload: Any) -> None:
        self.outbox.put_nowait(event({"id": identity, "payload": payload}))

    def complete(self, identity: str) -> None:
        self.outbox.put_nowait(event({"id": identity}, kind="complete"))

    def drop(self) -> None:
        """End the stream without a word."""
        self.outbox.put_nowait(None)


class SharedSseServer:
    """Attributes:
    reserved: What was reserved, by its token, in order.
    refusal: What each request is answered with instead, by its method.
    changed: Set at each request.
    """

    def __init__(self) -> None:
        self.uri = ""
        self.reserved: dict[str, Reserved] = {}
        self.refusal: dict[str, Any] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self._changed = asyncio.Condition()

    @property
    def only(self) -> Reserved:
        (reserved,) = self.reserved.values()
        return reserved

    async def until(self, is_so: Any) -> None:
        """Wait until something holds, which requests change."""
        async with self._changed:
            await self._changed.wait_for(is_so)

    async def operation(self, name: str, count: int = 1) -> tuple[Reserved, str]:
        """Wait for an operation, sent so many times; return the reservation of the last, and its id."""

        def found() -> list[tuple[Reserved, str]]:
            return [
                (reserved, identity)
                for reserved in self.reserved.values()
                for identity, body in reserved.operations.items()
                if body["operationName"] == name
            ]

        await self.until(lambda: len(found()) >= count)
        return found()[count - 1]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, {name.lower(): value for name, value in request.headers.items()}))
        try:
            refusal = self.refusal.get(request.method)
            if refusal is not None:
                return await refusal(request) if callable(refusal) else web.json_response(refusal[1], status=refusal[0])
            return await getattr(self, request.method.lower())(request)
        finally:
            async with self._changed:
                self._changed.notify_all()

    async def put(self, request: web.Request) -> web.StreamResponse:
        token = str(uuid4())
        self.reserved[token] = Reserved()
        return web.Response(text=token, status=201)

    async def get(self, request: web.Request) -> web.StreamResponse:
        assert request.headers["accept"] == "text/event-stream"
        reserved = self.reserved[request.headers[TOKEN]]
        reserved.headers = {name.lower(): value for name, value in request.headers.items()}
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b":\n\n")
        reserved.is_open.set()
        try:
            while (sent := await reserved.outbox.get()) is not None:
                await response.write(sent)
        finally:
            reserved.is_closed.set()
        return response

    async def post(self, request: web.Request) -> web.StreamResponse:
        reserved = self.reserved.get(request.headers.get(TOKEN, ""))
        if reserved is None or reserved.is_closed.is_set():
            return web.json_response({"errors": [{"message": "Stream not found"}]}, status=404)
        body = await request.json()
        reserved.operations[body["extensions"]["operationId"]] = body
        return web.Response(status=202)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        self.reserved[request.headers[TOKEN]].left.append(request.query["operationId"])
        return web.Response()


@asynccontextmanager
async def shared_sse_server() -> AsyncIterator[SharedSseServer]:
    server = SharedSseServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.uri = f"http://127.0.0.1:{runner.addresses[0][1]}/graphql/stream"
        yield server
    finally:
        await runner.cleanup()


def ticks(name: str = "Ticks", **context: Any) -> GraphQLRequest:
    return GraphQLRequest(f"subscription {name} {{ tick }}", context=context)


def link_to(server: SharedSseServer, **options: Any) -> SseLink:
    return SseLink(server.uri, **{"single_connection": True, "retry_wait": lambda _: 0, **options})


def heard(link: SseLink, request: GraphQLRequest) -> ResultSignal:
    signal = ResultSignal()
    signal.subscription = execute(link, request).subscribe(signal)
    return signal
