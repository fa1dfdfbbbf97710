"""One WebSocket over aiohttp, from the wish for it to its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import Context
from typing import Any, Final, Protocol

import aiohttp

from rxlink.auth.loops import loop_here
from rxlink.errors import OperationCancelled, SocketClosed
from rxlink.transport._sessions import Sessions
from rxlink.transport._ws_alarm import Alarm
from rxlink.transport._ws_closes import ABNORMAL, FORBIDDEN, NORMAL, SERVER_GONE, closed, ending, shortened
from rxlink.transport._ws_events import log_frame
from rxlink.transport._ws_handshake import CLOSING_TIME, protocol_problem, transport_of
from rxlink.transport._ws_opening import Opening
from rxlink.transport._ws_options import WebSocketOptions
from rxlink.transport._ws_outbox import Outbox
from rxlink.transport._ws_pings import PongHabits, Questions
from rxlink.transport._ws_protocol import Conversation
from rxlink.transport._ws_silence import Silence
from rxlink.transport._ws_tokens import Pass, SessionTokens

__all__ = ["Socket", "SocketOwner"]

TEXT: Final = aiohttp.WSMsgType.TEXT
ACK_TIMEOUT: Final = 4504
UNCLEAN: Final = (None, ABNORMAL)
"""Codes of a socket of which the other side has not said that it is closed."""
SUBPROTOCOL: Final = 4406
INTERNAL_ERROR: Final = (4005, "Internal client error")
MESSAGES_IN_A_ROW: Final = 100  # after so many that were waiting, others on the loop get their turn

logger = logging.getLogger("rxlink.transport.websocket")  # the public module that this is a part of


class SocketOwner(Protocol):
    """Who is told what becomes of a socket.

    Attributes:
        pong_habits: What is known of the server's pongs.
    """

    pong_habits: PongHabits

    def on_opening(self, socket: Socket, /) -> None:
        """It begins to connect; a wait before is over."""

    def on_ready(self, socket: Socket, payload: Mapping[str, Any] | None, /) -> None:
        """The server has acknowledged the connection."""

    def on_closed(self, socket: Socket, error: Exception, /) -> None:
        """It has closed, or never opened; not told where its owner has closed it."""


class Socket:
    """One WebSocket and what is said on it.

    Args:
        options: Of the link.
        sessions: Who opens it.
        tokens: The session whose token it is opened with, None for none.
        owner: Who is told.
        retries: How many tries have failed before, of which the next waits; None to begin at once.
        loop: The event loop.

    Attributes:
        conversation: What is said on it.
        is_over: Whether it has ended, as far as its owner is concerned.
    """

    __slots__ = ("_ack_alarm", "_closing", "_farewell", "_is_stalled", "_loop", "_opening", "_options", "_outbox",
                 "_owner", "_questions", "_ready_at", "_retries", "_silence", "_socket", "_task", "_tokens",
                 "_transport", "conversation", "is_over")  # fmt: skip

    def __init__(
        self,
        options: WebSocketOptions,
        sessions: Sessions,
        tokens: SessionTokens | None,
        owner: SocketOwner,
        retries: int | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._options = options
        self._opening = Opening(options, sessions, tokens)
        self._tokens = tokens
        self._owner = owner
        self._retries = retries
        self._loop = loop
        self._outbox = Outbox()
        self._questions = Questions(owner.pong_habits)
        self._ack_alarm = Alarm(loop)
        self._silence = Silence(
            options.keep_alive,
            options.keep_alive_timeout,
            loop,
            ask=self._ask_for_life,
            standstill=self._standstill,
            give_up=self._give_up,
        )
        self._is_stalled = False
        self._socket: aiohttp.ClientWebSocketResponse[bool] | None = None
        self._transport: Any = None
        self._closing: asyncio.Task[None] | None = None
        self._ready_at: float | None = None
        self._farewell = (NORMAL, "Normal Closure")
        self.conversation = Conversation(options.dialect, self, options.decode)
        self.is_over = False
        # In a context of its own: it is nobody's in particular (P11).
        self._task = self._loop.create_task(self._run(), context=Context())

    @property
    def ticket(self) -> Pass:
        """With which token it was opened."""
        return self._opening.ticket

    @property
    def is_ready(self) -> bool:
        """Whether operations may be sent."""
        return self._ready_at is not None and not self.is_over

    @property
    def age(self) -> float:
        """For how many seconds operations could be sent."""
        return 0.0 if self._ready_at is None else self._loop.time() - self._ready_at

    def close(self, code: int = NORMAL, reason: str = "Normal Closure") -> asyncio.Task[None]:
        """Close it, or stop opening it; its owner is told nothing more. Returns what runs until it is closed."""
        if not self.is_over:
            self.is_over = self.conversation.is_over = True
            self._farewell = (code, reason)
            if self._options.dialect.farewell is not None and self._ready_at is not None:
                self._outbox.put(self._options.dialect.farewell)
            self._stop()
        return self._task

    def prove(self) -> None:
        """Take note that the server has accepted the token."""
        if self._tokens is not None:
            self._tokens.accept(self.ticket.credential)

    def ask(self, then: Callable[[], None]) -> None:
        """Ask whether the server has heard what was sent before; it answers after that."""
        self.conversation.ping(self._questions.add(then))

    # -- for the conversation -----------------------------------------------------------------------------------------

    def send(self, text: str) -> None:
        """Send a message, after those that wait already."""
        if not self.is_over:
            self._outbox.put(text)

    def respond(self, pong: str | bytes) -> None:
        """Answer a ping, of the protocol or of the WebSocket."""
        if not self.is_over:
            self._outbox.respond(pong)

    def violated(self, code: int, reason: str) -> None:
        """Close for what the server has sent."""
        self._fail(closed(code, self._opening.masked(reason)))

    def acknowledged(self, payload: Mapping[str, Any] | None) -> None:
        """Tell the owner that operations may be sent."""
        self._ack_alarm.stop()
        self._ready_at = self._loop.time()
        self._silence.watch()
        self._owner.on_ready(self, payload)

    def refused(self, reason: str) -> None:
        """Take note that the server does not want the connection."""
        self._fail(closed(FORBIDDEN, self._opening.masked(reason), meaning="connection_error"), NORMAL)

    def answered(self, payload: Mapping[str, Any] | None) -> None:
        """Take note that the server has answered a ping, or is there without being asked."""
        self._watch_for_silence()
        self._questions.answer(payload)

    # -- its task -----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            await self._live()
        except asyncio.CancelledError:
            if self.is_over:
                return
            self._end(OperationCancelled(f"the WebSocket of {self._options.link}"))
            raise
        except Exception as error:  # noqa: BLE001 - users' functions run here too
            self._end(error)
        except BaseException as error:
            if loop_here() is self._loop and asyncio.current_task() is self._task:  # else it is thrown away unfinished
                cancelled = OperationCancelled(f"the WebSocket of {self._options.link}")
                cancelled.__cause__ = error
                self._end(cancelled)
            raise

    async def _live(self) -> None:
        options = self._options
        await asyncio.sleep(0)  # where tasks are begun eagerly, its owner does not know it yet
        if self._retries is not None:
            await options.wait(self._retries)
        self._owner.on_opening(self)
        await self._opening.gather()
        await self._converse(await self._opening.connect())

    async def _converse(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        self._socket, self._transport = socket, transport_of(socket)
        writer = self._loop.create_task(self._write(socket))
        try:
            if (problem := protocol_problem(socket, self._options)) is not None:
                self._farewell = (SUBPROTOCOL, "Subprotocol not acceptable")
                raise closed(SUBPROTOCOL, problem)
            if self._options.ack_timeout is not None:
                self._ack_alarm.set(self._options.ack_timeout, self._give_up_waiting)
            self.conversation.initialise(self._opening.params)
            self._end(await self._read(socket))
        except Exception as error:  # noqa: BLE001 - told at once: to say goodbye takes time where nobody answers
            self._end(error)
        finally:
            self._stop_watching()
            writer.cancel()
            await (self._closing or self._say_goodbye(socket))

    async def _read(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> Exception:
        """Hear the server until the socket has closed; return how it has."""
        receive, conversation, silence, loop = socket.receive, self.conversation, self._silence, self._loop
        in_a_row = 0
        while not self.is_over:
            message: Any = await receive()
            silence.heard_at = loop.time()
            kind = message.type
            if kind is TEXT:
                if logger.isEnabledFor(logging.DEBUG):
                    log_frame("<<<", message.data)
                conversation.receive(message.data)
            elif kind is aiohttp.WSMsgType.BINARY:
                conversation.violate("a message is binary")
            elif kind is aiohttp.WSMsgType.PING:
                self.respond(bytes(message.data))
            elif kind is aiohttp.WSMsgType.PONG:
                self._watch_for_silence()
            else:
                return ending(message, self._options.max_msg_size, self._opening.masked)
            in_a_row += 1
            if in_a_row >= MESSAGES_IN_A_ROW:
                in_a_row = 0
                await asyncio.sleep(0)
        return closed(NORMAL)  # from this side; who does that hears the rest

    async def _write(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        try:
            while True:
                await self._outbox.wait()
                await self._outbox.send(socket)
        except (aiohttp.ClientError, OSError):
            pass  # whoever reads hears of it
        except Exception as error:  # noqa: BLE001 - nobody else hears of it
            self._farewell = INTERNAL_ERROR
            self._end(error)
            self._stop()

    async def _say_goodbye(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        code, reason = self._farewell
        # What waits is sent first, such as that an operation is over; a server that takes nothing gets nothing.
        with suppress(aiohttp.ClientError, OSError, RuntimeError):
            try:
                async with asyncio.timeout(CLOSING_TIME):
                    if not socket.closed and not self._is_stalled:
                        await self._outbox.send(socket)
                    await socket.close(code=code, message=shortened(reason).encode())
            finally:
                if socket.close_code in UNCLEAN:
                    self._transport.abort()  # else it would wait until all is sent: for ever, where nobody reads
                    await socket.close()

    # -- its end ------------------------------------------------------------------------------------------------------

    def _fail(self, error: SocketClosed, code: int | None = None) -> None:
        """End it from this side."""
        if not self.is_over:
            self._farewell = (error.code if code is None else code, error.reason if code is None else "")
            self._end(error)
            self._stop()

    def _end(self, error: Exception) -> None:
        if not self.is_over:
            self.is_over = self.conversation.is_over = True
            self._outbox.clear()
            self._stop_watching()
            self._owner.on_closed(self, error)

    def _stop(self) -> None:
        self._stop_watching()
        if self._socket is None:
            self._task.cancel()
        else:
            # Nobody is cancelled: whoever reads goes on until the server has said goodbye too.
            self._closing = self._loop.create_task(self._say_goodbye(self._socket), context=Context())

    # -- time ---------------------------------------------------------------------------------------------------------

    def _give_up_waiting(self) -> None:
        self._fail(closed(ACK_TIMEOUT, "Connection acknowledgement timeout"))

    def _watch_for_silence(self) -> None:
        if self._ready_at is not None:
            self._silence.watch()

    def _stop_watching(self) -> None:
        self._ack_alarm.stop()
        self._silence.stop()

    def _standstill(self) -> float:
        return self._outbox.standstill(self._transport.get_write_buffer_size(), self._loop.time())

    def _ask_for_life(self) -> None:
        if self._options.dialect.has_pings:
            self._questions.add_unnumbered()
            self.conversation.ping()
        else:
            self._outbox.ping()

    def _give_up(self, reason: str) -> None:
        self._is_stalled = True
        self._fail(closed(SERVER_GONE, reason))
