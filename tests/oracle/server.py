"""The scripted server of the scenarios: a real aiohttp session, whose connections end inside the process.

What goes over the wire is parsed from its bytes. Answers come at their virtual times, and a connection that is closed
before its answer has been sent is noted as an abort.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest

from tests.oracle.scenario import Scenario
from tests.oracle.sockets import Sockets
from tests.oracle.world import Owner, World

__all__ = ["Server"]

BLANK_LINE = b"\r\n\r\n"
WITHOUT_BODY = {204, 205, 304}
JSON = {"content-type": "application/json"}


class Server:
    """The answers of a scenario.

    Args:
        scenario: Its `server` maps an operation (those of a batch joined with `+`), or `*`, to a list of answers.
        world: Where events are noted.
    """

    def __init__(self, scenario: Scenario, world: World) -> None:
        self.sockets = Sockets(scenario, world)
        self._answers: Mapping[str, Any] = scenario.get("server") or {}
        self._asked: Counter[str] = Counter()
        self._world = world

    def session(self) -> aiohttp.ClientSession:
        """Open a session whose requests come here."""
        # Each request has a connection of its own: with aiohttp's pool an abort could not be told from its tidying.
        session = aiohttp.ClientSession(connector=_Connector(self), cookie_jar=aiohttp.DummyCookieJar())
        session._retry_connection = False  # as aiohttp's own TestClient does: one request here is one request there
        return session

    def take(self, request: Mapping[str, Any], send: Callable[[Mapping[str, Any], str], None]) -> list[Owner]:
        """Note a request, and let its answer and the answer's text be sent; return whose it is."""
        owners = self._owners(request["body"])
        for owner in owners:
            self._world.note_for(owner, "request", **request)
        key = "+".join(owner.operation for owner in owners)
        answers = self._answers.get(key) or self._answers.get("*") or [{}]
        answer = answers[min(self._asked[key], len(answers) - 1)]
        self._asked[key] += 1
        send(answer, _text(answer, owners, is_batch=isinstance(request["body"], list)))
        return owners

    def note(self, owners: list[Owner], event: str) -> None:
        """Note something about a request."""
        for owner in owners:
            self._world.note_for(owner, event)

    def _owners(self, body: Any) -> list[Owner]:
        if isinstance(body, list):
            return [self._world.owner(part.get("operationName")) for part in body]
        return [self._world.owner(body.get("operationName") if isinstance(body, dict) else None)]


class _Connector(aiohttp.BaseConnector):
    def __init__(self, server: Server) -> None:
        super().__init__(limit=0, force_close=True)
        self._server = server

    async def _create_connection(self, req: ClientRequest, *_: Any) -> ResponseHandler:
        protocol, scheme = ResponseHandler(self._loop), req.url.scheme
        is_socket = scheme in ("ws", "wss")
        protocol.connection_made(
            self._server.sockets.connect(self._loop, protocol, scheme)
            if is_socket
            else _Connection(self._loop, protocol, self._server, scheme)
        )
        return protocol


class _Connection(asyncio.Transport):
    """One request and its answer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: ResponseHandler, server: Server, scheme: str) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._server = server
        self._scheme = scheme
        self._received = b""
        self._is_closing = False
        self._timer: asyncio.TimerHandle | None = None
        self._owners: list[Owner] | None = None
        self._is_answered = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._received += data
        request = None if self._owners is not None else _parsed(self._received, self._scheme)
        if request is not None:
            self._owners = []
            self._owners = self._server.take(request, self._plan)

    def _plan(self, answer: Mapping[str, Any], text: str) -> None:
        if not answer.get("never"):
            self._timer = self._loop.call_later(answer.get("after", 0) / 1000, self._send_head, answer, text)

    def _send_head(self, answer: Mapping[str, Any], text: str) -> None:
        if answer.get("fail"):
            self._hang_up()
            return
        status = answer.get("status", 200)
        body = b"" if status in WITHOUT_BODY else text.encode()
        headers = {**answer.get("headers", JSON), "content-length": str(len(body))}
        lines = [
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        head = "\r\n".join(lines).encode() + BLANK_LINE
        delay = answer.get("bodyAfter")
        if delay and status not in WITHOUT_BODY:
            self._protocol.data_received(head)
            send = self._hang_up if answer.get("cut") else lambda: self._finish(body)
            self._timer = self._loop.call_later(delay / 1000, send)
        else:
            self._finish(head + body)

    def _finish(self, data: bytes) -> None:
        self._is_answered = True
        self._protocol.data_received(data)

    def _hang_up(self) -> None:
        self._is_answered = self._is_closing = True
        self._protocol.connection_lost(None)

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        if self._timer is not None:
            self._timer.cancel()
        if self._owners is not None and not self._is_answered:
            self._server.note(self._owners, "abort")
        self._loop.call_soon(self._protocol.connection_lost, None)

    abort = close

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


def _parsed(data: bytes, scheme: str) -> dict[str, Any] | None:
    """Return the request that stands in bytes, None where it is not whole yet."""
    head, end, rest = data.partition(BLANK_LINE)
    if not end:
        return None
    first, *lines = head.decode().split("\r\n")
    method, path, _ = first.split(" ")
    headers = dict(line.split(": ", 1) for line in lines)
    sizes = [int(value) for name, value in headers.items() if name.lower() == "content-length"]
    assert not any(name.lower() == "transfer-encoding" for name in headers), "the server reads no chunks"
    if len(rest) < (sizes[0] if sizes else 0):
        return None
    host = next(value for name, value in headers.items() if name.lower() == "host")
    return {
        "method": method,
        "url": f"{scheme}://{host}{path}",
        "headers": headers,
        "body": _json(rest.decode()) if rest else None,
    }


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _text(answer: Mapping[str, Any], owners: list[Owner], *, is_batch: bool) -> str:
    if "text" in answer:
        return answer["text"]
    if "body" in answer:
        return json.dumps(answer["body"], separators=(",", ":"), ensure_ascii=False)
    echoes = [{"data": {"echo": owner.operation}} for owner in owners]
    return json.dumps(echoes if is_batch else echoes[0], separators=(",", ":"))
