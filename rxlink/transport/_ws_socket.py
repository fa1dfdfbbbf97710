"""One WebSocket over aiohttp, from the wish for it to its end."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import Context
from enum import Enum
from typing import Any, Final, Protocol

import aiohttp

from rxlink.auth.loops import loop_here
from rxlink.core.timing import start_timer
from rxlink.errors import OperationCancelled, SocketClosed
from rxlink.transport._sessions import Sessions
from rxlink.transport._uri import Target
from rxlink.transport._ws_closes import ABNORMAL, FORBIDDEN, NORMAL, SERVER_GONE, closed, masked, shortened
from rxlink.transport._ws_events import log_frame
from rxlink.transport._ws_handshake import (
    CLOSING_TIME,
    named_protocol,
    secrets_of,
    shake_hands,
    transport_of,
    written_params,
)
from rxlink.transport._ws_options import WebSocketOptions
from rxlink.transport._ws_pings import Backlog, Pongs, Questions
from rxlink.transport._ws_protocol import Conversation
from rxlink.transport._ws_tokens import Pass, SessionTokens

__all__ = ["Socket", "SocketOwner"]

CLOCK_STEP: Final = 0.001  # seconds; a timer may be early by the resolution of the loop's clock
ACK_TIMEOUT: Final = 4504
UNCLEAN: Final = (None, ABNORMAL)
"""Codes of a socket of which the other side has not said that it is closed."""
NO_ANSWER: Final = "no answer to a ping"
NOT_READ: Final = "nothing is read that was sent"
SUBPROTOCOL: Final = 4406
INTERNAL_ERROR: Final = (4005, "Internal client error")
TOO_BIG: Final = 1009
MESSAGES_IN_A_ROW: Final = 100  # after so many that were waiting, others on the loop get their turn

logger = logging.getLogger("rxlink.transport.websocket")  # the public module that this is a part of


class _Place(Enum):
    """What waits to be sent, beside messages."""

    PING = "a ping of the WebSocket"
    PONG = "the next answer to one"


class SocketOwner(Protocol):
    """Who is told what becomes of a socket."""

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
        ticket: With what it was opened.
        is_over: Whether it has ended, as far as its owner is concerned.
    """

    __slots__ = ("_backlog", "_closing", "_farewell", "_heard_at", "_is_stalled", "_keep_alive", "_loop", "_options",
                 "_outgoing", "_owner", "_params", "_pongs", "_questions", "_ready_at", "_retries", "_sessions",
                 "_socket", "_target", "_task", "_tokens", "_transport", "_wake", "conversation", "is_over",
                 "ticket")  # fmt: skip

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
        self._sessions = sessions
        self._tokens = tokens
        self._owner = owner
        self._retries = retries
        self._loop = loop
        self._outgoing: deque[str | _Place] = deque()  # messages, and places of pongs, and of pings of the WebSocket
        self._pongs = Pongs()
        self._wake = asyncio.Event()
        self._questions = Questions()
        self._keep_alive: asyncio.TimerHandle | Any = None
        self._heard_at = 0.0
        self._is_stalled = False
        self._backlog = Backlog()
        self._socket: aiohttp.ClientWebSocketResponse[bool] | None = None
        self._transport: Any = None
        self._closing: asyncio.Task[None] | None = None
        self._ready_at: float | None = None
        self._farewell = (NORMAL, "Normal Closure")
        self._params: str | None = None
        self._target: Target | None = None
        self.conversation = Conversation(options.dialect, self, options.decode)
        self.ticket = Pass()
        self.is_over = False
        # In a context of its own: it is nobody's in particular (P11).
        self._task = self._loop.create_task(self._run(), context=Context())

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
                self._outgoing.append(self._options.dialect.farewell)
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
        self._put(text)

    def respond(self, pong: str | bytes) -> None:
        """Answer a ping, of the protocol or of the WebSocket; of too many, only the last."""
        if not self.is_over and self._pongs.add(pong):
            self._put(_Place.PONG)

    def _put(self, outgoing: str | _Place) -> None:
        if not self.is_over:
            self._outgoing.append(outgoing)
            self._wake.set()

    def violated(self, code: int, reason: str) -> None:
        """Close for what the server has sent."""
        self._fail(closed(code, self._masked(reason)))

    def acknowledged(self, payload: Mapping[str, Any] | None) -> None:
        """Tell the owner that operations may be sent."""
        self._stop_timer()
        self._ready_at = self._loop.time()
        self._watch_for_silence()
        self._owner.on_ready(self, payload)

    def refused(self, reason: str) -> None:
        """Take note that the server does not want the connection."""
        self._fail(SocketClosed(FORBIDDEN, self._masked(reason), meaning="connection_error"), NORMAL)

    def answered(self, payload: Mapping[str, Any] | None) -> None:
        """Take note that the server has answered a ping, or is there without being asked."""
        self._heard_at = self._loop.time()
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
        await self._prepare()
        target = self._target = await options.current_url()
        if self._tokens is not None and self.ticket.credential is not None:
            self._tokens.check_way(target)
        session = self._sessions.opened(None) or await self._sessions.open(None)
        await self._converse(await shake_hands(session, target, options, f"the WebSocket at {target}"))

    async def _converse(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        self._socket, self._transport = socket, transport_of(socket)
        writer = self._loop.create_task(self._write(socket))
        try:
            self._check(socket)
            self._start_timer(self._options.ack_timeout, self._give_up_waiting)
            self.conversation.initialise(self._params)
            self._end(await self._read(socket))
        except Exception as error:  # noqa: BLE001 - told at once: to say goodbye takes time where nobody answers
            self._end(error)
        finally:
            self._stop_timer()
            writer.cancel()
            await (self._closing or self._say_goodbye(socket))

    async def _prepare(self) -> None:
        """Gather what the server is told first; a refresh happens here, before it begins to wait for that (E93)."""
        options, tokens, token = self._options, self._tokens, {}
        if tokens is not None:
            self.ticket = await tokens.obtain()
        params = await options.current_params()
        if tokens is not None:
            while not tokens.is_current(self.ticket.credential):  # the user's function took its time
                self.ticket = await tokens.obtain()
            if self.ticket.credential is not None:
                token = tokens.params(self.ticket.credential)
        if params is not None or token:
            self._params = written_params({**(params or {}), **token}, options.link)

    def _check(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        """Refuse a server that speaks something else."""
        if socket.protocol is not None:
            return
        dialect, is_named = self._options.dialect.name, named_protocol(socket) is not None
        if is_named or not self._options.accepts_missing_subprotocol:
            self._farewell = (SUBPROTOCOL, "Subprotocol not acceptable")
            raise closed(
                SUBPROTOCOL,
                f"the server does not speak {dialect}"
                if is_named
                else f"the server does not say that it speaks {dialect}; if it does all the same, give the link "
                '`missing_subprotocol="accept"`',
            )

    async def _read(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> Exception:
        """Hear the server until the socket has closed; return how it has."""
        receive, conversation, loop = socket.receive, self.conversation, self._loop
        in_a_row = 0
        while not self.is_over:
            message: Any = await receive()
            self._heard_at = loop.time()
            kind = message.type
            if kind is aiohttp.WSMsgType.TEXT:
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
                return self._ending(message)
            in_a_row += 1
            if in_a_row >= MESSAGES_IN_A_ROW:
                in_a_row = 0
                await asyncio.sleep(0)
        return closed(NORMAL)  # from this side; who does that hears the rest

    def _ending(self, message: Any) -> SocketClosed:
        """Return what the last message of a socket amounts to."""
        if message.type is aiohttp.WSMsgType.CLOSE:
            return closed(message.data or 1005, self._masked(message.extra or ""))  # 1005: no status was given
        if isinstance(message.data, aiohttp.WebSocketError):  # with whose code aiohttp has closed
            if message.data.code == TOO_BIG:
                return closed(TOO_BIG, f"a message is larger than {self._options.max_msg_size} bytes")
            return closed(message.data.code, "the server has broken the rules of WebSockets")
        return closed(ABNORMAL)

    async def _write(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._send_waiting(socket)
        except (aiohttp.ClientError, OSError):
            pass  # whoever reads hears of it
        except Exception as error:  # noqa: BLE001 - nobody else hears of it
            self._farewell = INTERNAL_ERROR
            self._end(error)
            self._stop()

    async def _send_waiting(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        while self._outgoing:
            outgoing = self._outgoing.popleft()
            if outgoing is _Place.PING:
                await socket.ping()
                continue
            message = self._pongs.take() if outgoing is _Place.PONG else outgoing
            if isinstance(message, bytes):
                await socket.pong(message)
            elif message is not None:
                if logger.isEnabledFor(logging.DEBUG):
                    log_frame(">>>", message.encode())
                await socket.send_str(message)
            self._backlog.move()

    async def _say_goodbye(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        code, reason = self._farewell
        # What waits is sent first, such as that an operation is over; a server that takes nothing gets nothing.
        with suppress(aiohttp.ClientError, OSError, RuntimeError):
            try:
                async with asyncio.timeout(CLOSING_TIME):
                    if not socket.closed and not self._is_stalled:
                        await self._send_waiting(socket)
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
            self._outgoing.clear()
            self._stop_timer()
            self._owner.on_closed(self, error)

    def _stop(self) -> None:
        self._stop_timer()
        if self._socket is None:
            self._task.cancel()
        else:
            # Nobody is cancelled: whoever reads goes on until the server has said goodbye too.
            self._closing = self._loop.create_task(self._say_goodbye(self._socket), context=Context())

    def _masked(self, words: str) -> str:
        """Blot out of a server's words what was sent to it and may be secret."""
        secrets = None if self._target is None else secrets_of(self._target)
        return masked(words, json.loads(self._params or "null"), self._options.headers, secrets)

    # -- time ---------------------------------------------------------------------------------------------------------

    def _give_up_waiting(self) -> None:
        self._fail(closed(ACK_TIMEOUT, "Connection acknowledgement timeout"))

    def _watch_for_silence(self) -> None:
        """Ask whether the server is there when it was silent for long."""
        keep_alive = self._options.keep_alive
        if keep_alive is not None and self._ready_at is not None:
            if self._does_not_read(keep_alive + self._options.keep_alive_timeout):
                self._is_stalled = True
                self._fail(closed(SERVER_GONE, NOT_READ))
                return
            silent_at = max(self._heard_at, self._ready_at) + keep_alive
            self._start_timer(max(0.0, silent_at - self._loop.time()), self._ask_for_life)

    def _does_not_read(self, seconds: float) -> bool:
        """Tell whether it has taken nothing of what waits for so long: a server may talk, and not read."""
        standstill = self._backlog.standstill(self._transport.get_write_buffer_size(), self._loop.time())
        return standstill + CLOCK_STEP >= seconds

    def _ask_for_life(self) -> None:
        asked_at, keep_alive = self._loop.time(), self._options.keep_alive or 0.0
        if self._heard_at + keep_alive > asked_at + CLOCK_STEP:  # a message has come meanwhile
            self._watch_for_silence()
            return
        if self._options.dialect.has_pings:
            self._questions.add_unnumbered()
            self.conversation.ping()
        else:
            self._put(_Place.PING)

        def judge() -> None:
            if self._heard_at < asked_at:
                self._is_stalled = True
                self._fail(closed(SERVER_GONE, NO_ANSWER))
            else:
                self._watch_for_silence()

        self._start_timer(self._options.keep_alive_timeout, judge)

    def _start_timer(self, seconds: float | None, action: Callable[[], None]) -> None:
        self._stop_timer()
        if seconds is not None:
            self._keep_alive = start_timer(seconds, action)

    def _stop_timer(self) -> None:
        if self._keep_alive is not None:
            self._keep_alive.cancel()
            self._keep_alive = None
