"""A real WebSocket server on loopback that says what a test tells it to, and remembers what it has heard.

For tests on virtual time: nothing here waits for a clock. ::

    async with ScriptedWebSocketServer() as server:
        recorder = subscribed(execute(GraphQLWsLink(server.url), REQUEST))
        connection = await server.connection()
        await connection.acknowledge()
        message = await connection.expect("subscribe")
        await connection.deliver(message["id"], ticks=1)
"""

import asyncio
import json
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from aiohttp import WSMessage, WSMsgType, web

TRANSPORT = "graphql-transport-ws"
LEGACY = "graphql-ws"


class Connection:
    """One socket, as its server has it.

    Attributes:
        request: The handshake.
        received: All messages that the client has sent, in order.
        answers_pings: Whether pings of the protocol are answered by themselves; they are not `expect`ed then.
        pings: What came with the pings of the WebSocket, which are answered.
        pongs: What came with its pongs.
    """

    def __init__(self, request: web.Request, socket: web.WebSocketResponse, *, answers_pings: bool) -> None:
        self.request = request
        self.received: list[Any] = []
        self.answers_pings = answers_pings
        self.pings: list[bytes] = []
        self.pongs: list[bytes] = []
        self._socket = socket
        self._unread: asyncio.Queue[Any] = asyncio.Queue()
        self._end: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

    @property
    def transport(self) -> asyncio.Transport:
        transport = self.request.transport
        assert isinstance(transport, asyncio.Transport), "the client has gone"
        return transport

    @property
    def is_closed(self) -> bool:
        return self._end.done()

    @property
    def is_newer(self) -> bool:
        """Whether it speaks the newer protocol, or none by name."""
        return self._socket.ws_protocol != LEGACY

    @property
    def kinds(self) -> list[str]:
        """The types of what was received."""
        return [message["type"] for message in self.received]

    # -- what the client says -----------------------------------------------------------------------------------------

    async def hear(self) -> Any:
        """Return the next message."""
        message = await self._unread.get()
        assert message is not None, f"closed with {self._end.result()} instead of a message"
        return message

    async def expect(self, kind: str) -> dict[str, Any]:
        """Return the next message, which has to be of this type."""
        message = await self.hear()
        assert kind == message["type"], f"{message} instead of {kind}"
        return message

    async def closed(self) -> tuple[int, str]:
        """Return with which code and reason the client has closed: 1006 without a close frame, 1005 without a code."""
        return await asyncio.shield(self._end)

    # -- what the server says -----------------------------------------------------------------------------------------

    async def send(self, message: dict[str, Any] | list[Any] | str | bytes) -> None:
        """Send an object as JSON, text as it is, bytes as a binary frame."""
        if isinstance(message, bytes):
            await self._socket.send_bytes(message)
        else:
            await self._socket.send_str(message if isinstance(message, str) else json.dumps(message))

    async def acknowledge(self, payload: dict[str, Any] | None = None) -> dict[str, Any]:
        """Wait for `connection_init`, acknowledge it, and return it."""
        message = await self.expect("connection_init")
        await self.send({"type": "connection_ack"} | ({} if payload is None else {"payload": payload}))
        return message

    async def begin(self) -> str:
        """Wait for the beginning of an operation, and return its id."""
        message = await self.hear()
        assert message["type"] in ("subscribe", "start"), message
        return message["id"]

    async def deliver(self, identity: str, **data: Any) -> None:
        """Send a result, in the words of the socket's protocol."""
        kind = "next" if self.is_newer else "data"
        await self.send({"id": identity, "type": kind, "payload": {"data": data}})

    async def complete(self, identity: str) -> None:
        await self.send({"id": identity, "type": "complete"})

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame, and wait until the client has answered it."""
        await self._socket._writer.close(code, reason.encode())
        await self.closed()

    def send_raw(self, frame: bytes) -> None:
        """Put bytes on the wire as they are."""
        self.transport.write(frame)

    def abort(self) -> None:
        """Be gone without a close frame: the client sees a reset."""
        self.transport.abort()

    def hang_up(self) -> None:
        """End the connection in order, but without a close frame."""
        self.transport.close()

    def stall(self) -> None:
        """Read nothing more, so that nothing is answered, pings of the WebSocket neither."""
        self.transport.pause_reading()

    # -- inner parts --------------------------------------------------------------------------------------------------

    async def listen(self) -> None:
        """Hear the client until its end."""
        try:
            while (frame := await self._socket.receive()).type in (WSMsgType.TEXT, WSMsgType.PING, WSMsgType.PONG):
                await self._take_frame(frame)
            is_close = frame.type is WSMsgType.CLOSE
            self._finish((frame.data or 1005, frame.extra or "") if is_close else (1006, ""))
            if is_close:  # the answer to it
                with suppress(ConnectionError):
                    await self._socket._writer.close(frame.data or 1000)
        finally:
            self._finish((1006, ""))

    async def _take_frame(self, frame: WSMessage) -> None:
        if frame.type is WSMsgType.TEXT:
            await self._take(json.loads(frame.data))
        elif frame.type is WSMsgType.PING:
            self.pings.append(frame.data)
            await self._socket.pong(frame.data)
        else:
            self.pongs.append(frame.data)

    async def _take(self, message: Any) -> None:
        self.received.append(message)
        if self.answers_pings and message["type"] == "ping":
            await self.send({"type": "pong"})
        else:
            self._unread.put_nowait(message)

    def _finish(self, end: tuple[int, str]) -> None:
        if not self._end.done():
            self._end.set_result(end)
            self._unread.put_nowait(None)


class ScriptedWebSocketServer:
    """Takes WebSockets on any path. Its attributes may be changed at any time, for the connections to come.

    Args:
        subprotocol: What it says that it speaks; None for nothing.

    Attributes:
        refusal: The HTTP status with which handshakes are refused; None to take them.
        redirection: Where handshakes are sent on to; None for nowhere.
        headers: Of the answer to the handshake, whatever that is.
        is_silent: Whether handshakes are never answered.
        answers_pings: See `Connection`.
        handshakes: The requests that came, also those that were refused.
        connections: All that were made.
    """

    def __init__(self, *, subprotocol: str | None = TRANSPORT, answers_pings: bool = False) -> None:
        self.subprotocol = subprotocol
        self.answers_pings = answers_pings
        self.refusal: int | None = None
        self.redirection: str | None = None
        self.headers: dict[str, str] = {}
        self.is_silent = False
        self.handshakes: list[web.Request] = []
        self.connections: list[Connection] = []
        self.port = 0
        self._new: asyncio.Queue[Connection] = asyncio.Queue()
        self._knocked: asyncio.Queue[web.Request] = asyncio.Queue()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/graphql"

    async def connection(self) -> Connection:
        """Return the next connection that a client makes."""
        return await self._new.get()

    async def handshake(self) -> web.Request:
        """Return the next handshake, whatever becomes of it."""
        return await self._knocked.get()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in self.connections:
            if connection.request.transport is not None:
                connection.abort()
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.handshakes.append(request)
        self._knocked.put_nowait(request)
        if self.is_silent:
            await asyncio.Event().wait()
        if self.redirection is not None:
            return web.Response(status=302, headers={**self.headers, "location": self.redirection})
        if self.refusal is not None:
            return web.Response(status=self.refusal, headers=self.headers)
        protocols = () if self.subprotocol is None else (self.subprotocol,)
        socket = web.WebSocketResponse(protocols=protocols, autoclose=False, autoping=False, max_msg_size=0)
        socket.headers.update(self.headers)
        await socket.prepare(request)
        connection = Connection(request, socket, answers_pings=self.answers_pings)
        self.connections.append(connection)
        self._new.put_nowait(connection)
        await connection.listen()
        return socket
