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

from tests.oracle.bodies import Answer, Pieces, body_at_once, headers_of, pieces_of
from tests.oracle.scenario import Scenario
from tests.oracle.sockets import Sockets
from tests.oracle.world import Owner, World

__all__ = ["Server"]

BLANK_LINE = b"\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
WITHOUT_BODY = {204, 205, 304}


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

    def take(self, request: Mapping[str, Any]) -> tuple[list[Owner], Answer]:
        """Note a request; return whose it is, and its answer."""
        owners = self._owners(request["body"])
        for owner in owners:
            self._world.note_for(owner, "request", **request)
        key = "+".join(owner.operation for owner in owners)
        answers = self._answers.get(key) or self._answers.get("*") or [{}]
        answer = answers[min(self._asked[key], len(answers) - 1)]
        self._asked[key] += 1
        return owners, answer

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
        self._is_batch = False
        self._is_answered = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._received += data
        request = None if self._owners is not None else _parsed(self._received, self._scheme)
        if request is None:
            return
        self._owners, answer = self._server.take(request)
        self._is_batch = isinstance(request["body"], list)
        if not answer.get("never"):
            self._later(answer.get("after", 0), lambda: self._answer(answer))

    def _answer(self, answer: Answer) -> None:
        if answer.get("fail"):
            self._hang_up()
            return
        owners, is_batch = self._owners or [], self._is_batch
        status = answer.get("status", 200)
        headers = headers_of(answer, owners, is_batch=is_batch)
        if status in WITHOUT_BODY:
            self._finish(_head(status, {**headers, "content-length": "0"}))
            return
        head = _head(status, headers)
        pieces = pieces_of(answer, owners, is_batch=is_batch)
        if pieces is None:
            self._finish(head + body_at_once(answer, owners, is_batch=is_batch))
            return
        self._protocol.data_received(head)
        self._send(pieces, is_cut=answer.get("cut", False), is_chunked="transfer-encoding" in headers)

    def _send(self, pieces: Pieces, *, is_cut: bool, is_chunked: bool) -> None:
        (after, piece), *rest = pieces

        def send() -> None:
            data = _chunk(piece) if is_chunked and piece else piece
            if not rest and not is_cut:
                self._finish(data + (LAST_CHUNK if is_chunked else b""))
                return
            if data:
                self._protocol.data_received(data)
            if rest:
                self._send(rest, is_cut=is_cut, is_chunked=is_chunked)
            else:
                self._later(0, self._hang_up)  # a body that breaks forgets what nobody has read yet

        self._later(after, send)

    def _later(self, delay: float, action: Callable[[], None]) -> None:
        if not self._is_closing:
            self._timer = self._loop.call_later(delay / 1000, action)

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


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + BLANK_LINE


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
