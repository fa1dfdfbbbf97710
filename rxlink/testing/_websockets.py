"""The WebSocket endpoint of an auth server: takes sockets in, and keeps those that are open."""

from __future__ import annotations

import asyncio
from typing import NoReturn

from aiohttp import WebSocketError, WSMessage, WSMsgType, web

from rxlink.testing._answers import fault_answer
from rxlink.testing._faults import Fault
from rxlink.testing._ledger_records import Arrival
from rxlink.testing._websocket_connection import Connection, House
from rxlink.testing._websocket_messages import DIALECTS, BadMessage
from rxlink.testing._websocket_outbox import Outbox
from rxlink.testing._websocket_rules import SocketRecord

__all__ = ["WebSockets"]

_SECONDS_TO_CLOSE = 1.0
"""What a client gets to answer a close."""
_NORMAL, _GOING_AWAY, _PROTOCOL_ERROR, _NO_CODE = 1000, 1001, 1002, 1005


class WebSockets:
    """The sockets of one server."""

    def __init__(self, house: House) -> None:
        """Have none yet."""
        self._house = house
        self._open: dict[Connection, None] = {}
        self._is_closing = False

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Take a socket in, and speak until its end."""
        socket = web.WebSocketResponse(
            protocols=tuple(DIALECTS), timeout=_SECONDS_TO_CLOSE, autoclose=False, autoping=False
        )
        if self._is_closing or not socket.can_prepare(request):
            return web.Response(status=400, text="Only WebSocket is spoken here with GET.")
        refused = await self._meet_fault(request)
        if refused is not None:
            return refused
        await socket.prepare(request)
        record = SocketRecord(opened=self._house.clock(), protocol=socket.ws_protocol)
        self._house.desk.injector.ledger.sockets.append(record)
        outbox = Outbox(socket, request.transport)
        if socket.ws_protocol is None:
            record.close(self._house.clock(), "server", code=4406, why="Subprotocol not acceptable")
            await socket.close(code=4406, message=b"Subprotocol not acceptable")
            return socket
        dialect = DIALECTS[socket.ws_protocol]
        connection = Connection(house=self._house, dialect=dialect, outbox=outbox, record=record)
        self._open[connection] = None
        try:
            await self._speak(socket, connection, outbox)
        finally:
            connection.end(None)
            del self._open[connection]
        return socket

    def recheck(self) -> None:
        """Look whether the tokens of open sockets are still good."""
        for connection in self._all():
            connection.recheck()

    def strike(self, fault: Fault) -> int:
        """Let a fault have its way with every open socket; return how many there are."""
        connections = self._all()
        for connection in connections:
            connection.strike(fault)
        return len(connections)

    def close(self) -> None:
        """Close every socket, cut those that are stalled, and take no more in."""
        self._is_closing = True
        for connection in self._all():
            if connection.is_stalled:
                connection.cut("hang")
            else:
                connection.close(_GOING_AWAY, "Going away")

    def _all(self) -> list[Connection]:
        return list(self._open)

    async def _meet_fault(self, request: web.Request) -> web.Response | None:
        arrival = Arrival(at=self._house.clock(), endpoint="handshake", is_refresh=False)
        fault = self._house.desk.injector.script.take(arrival)
        if fault is None:
            return None
        await asyncio.sleep(fault.seconds)
        return fault_answer(fault, arrival)

    async def _speak(self, socket: web.WebSocketResponse, connection: Connection, outbox: Outbox) -> None:
        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(outbox.run())
            await _read(socket, connection)
            if not outbox.is_closing:
                writer.cancel()


async def _read(socket: web.WebSocketResponse, connection: Connection) -> None:
    is_open = True
    while is_open:
        frame = await socket.receive()
        if connection.is_stalled:
            await _hear_nothing()
        is_open = await _hear(frame, socket, connection)


async def _hear(frame: WSMessage, socket: web.WebSocketResponse, connection: Connection) -> bool:
    """Do what a frame asks for, and return whether more may come."""
    match frame.type:
        case WSMsgType.TEXT:
            connection.hear(frame.data)
        case WSMsgType.BINARY:
            connection.hear_nonsense(BadMessage("The frame is binary."))
        case WSMsgType.PING:
            await socket.pong(frame.data)
        case WSMsgType.CLOSE:
            connection.end(frame.data or _NO_CODE)
            await socket.close(code=frame.data or _NORMAL, drain=False)
        case WSMsgType.ERROR:
            code = frame.data.code if isinstance(frame.data, WebSocketError) else _PROTOCOL_ERROR
            connection.close(code, "No frame of WebSocket")
        case _:
            return frame.type is WSMsgType.PONG
    return not socket.closed


async def _hear_nothing() -> NoReturn:
    """Wait until the connection is lost, which cancels whoever reads it."""
    await asyncio.Event().wait()
    raise AssertionError
