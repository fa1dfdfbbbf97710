"""The WebSocket server of a scenario, below a real aiohttp session; `js/sockets.mjs` is the same for Apollo.

A connection speaks the bytes of RFC 6455 with aiohttp's own client. What is scripted stands in the scenario's
`sockets`, one script a connection. All that the client sends is noted, under the operation "socket" and the number of
the connection.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from aiohttp.client_proto import ResponseHandler

from rxlink.transport._ws_pings import NUMBER
from tests.oracle import frames
from tests.oracle.scenario import Scenario
from tests.oracle.world import Owner, World

__all__ = ["Sockets"]

SOCKET = "socket"
PROTOCOL = "graphql-transport-ws"
BLANK_LINE = b"\r\n\r\n"
REACTIONS: Mapping[str, Sequence[Any]] = {
    "connection_init": [{"send": {"type": "connection_ack"}}],
    "ping": [{"send": {"type": "pong"}}],
}
"""What the server does where a script says nothing."""


class Sockets:
    """The connections of a scenario.

    Args:
        scenario: Its `sockets` is a list of scripts; the last one stays.
        world: Where events are noted.
    """

    def __init__(self, scenario: Scenario, world: World) -> None:
        self._scripts: Sequence[Any] = scenario.get("sockets") or [{}]
        self._world = world
        self._ids = _Ids()
        self._count = 0

    def connect(self, loop: asyncio.AbstractEventLoop, protocol: ResponseHandler, scheme: str) -> asyncio.Transport:
        """Open a connection."""
        return _Socket(loop, protocol, self, scheme)

    def next_script(self) -> tuple[Owner, Any]:
        """Count a connection; return the owner of its events, and its script."""
        self._count += 1
        return self.latest(), self._scripts[min(self._count, len(self._scripts)) - 1]

    def note(self, owner: Owner, event: str, **fields: Any) -> None:
        """Note something about a connection."""
        self._world.note_for(owner, event, **fields)

    def latest(self) -> Owner:
        """Return the owner of the latest connection's events."""
        return Owner(SOCKET, self._count)

    def shown(self, message: Any) -> Any:
        """Return a message of the client as it stands in a trace."""
        if not isinstance(message, dict):
            return message
        if message.get("type") == "subscribe":
            self._ids.learn(message["id"], _operation_of(message))
        return {**message, "id": self._ids.shown(message["id"])} if "id" in message else message

    def named(self, message: Any) -> Any:
        """Return a scripted message with the client's own identifier."""
        return self._ids.named(message)


def _operation_of(message: Mapping[str, Any]) -> str:
    return message["payload"].get("operationName")


class _Ids:
    """Names for identifiers, which are drawn at random: "A#1" is the first of operation A.

    A server that says "A" means the latest of that operation. What begins with "own" stays as it is.
    """

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._raw: dict[str, str] = {}
        self._counts: Counter[str] = Counter()

    def learn(self, id: str, operation: str) -> None:
        if id not in self._names:
            self._counts[operation] += 1
            name = id if id.startswith("own") else f"{operation}#{self._counts[operation]}"
            self._names[id] = name
            self._raw[name] = id
        self._raw[operation] = id

    def shown(self, id: str) -> str:
        return self._names.get(id, id)

    def named(self, message: Any) -> Any:
        known = isinstance(message, dict) and message.get("id") in self._raw
        return {**message, "id": self._raw[message["id"]]} if known else message


class _Socket(asyncio.Transport):
    """One connection, from its handshake to its end."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, protocol: ResponseHandler, sockets: Sockets, scheme: str
    ) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._sockets = sockets
        self._scheme = scheme
        self._received = bytearray()
        self._timers: list[asyncio.TimerHandle] = []
        self._owner = Owner(SOCKET, 0)
        self._script: Any = None
        self._is_open = False
        self._is_asked = False  # to answer a close of the client
        self._has_ended = False

    # ---------------------------------------------------------------------------------------- what the client does

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._received += data
        if self._script is None and BLANK_LINE in self._received:
            self._connect()
        if self._script is not None:
            for opcode, payload in frames.frames(self._received):
                self._hear(opcode, payload)

    def _connect(self) -> None:
        head, _, rest = bytes(self._received).partition(BLANK_LINE)
        self._received = bytearray(rest)
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        self._owner, self._script = self._sockets.next_script()
        url = urlsplit(f"{self._scheme}://{headers['host']}{first.split(' ')[1]}").geturl()
        offered = headers.get("sec-websocket-protocol", "").split(",")
        self._sockets.note(self._owner, "ws-connect", url=url, protocols=offered)
        if not self._script.get("never"):
            self._later(self._script.get("after", 1), self._answer, headers["sec-websocket-key"])

    def _answer(self, key: str) -> None:
        script = self._script
        if script.get("fail"):
            self._lose()
        elif "status" in script:
            self._protocol.data_received(f"HTTP/1.1 {script['status']} No\r\ncontent-length: 0\r\n\r\n".encode())
        else:
            self._is_open = True
            self._protocol.data_received(frames.handshake(key, script.get("protocol", PROTOCOL)))
            self._react("open")

    def _hear(self, opcode: int, payload: bytes) -> None:
        if opcode == frames.CLOSE:
            self._hear_close(*frames.close_of(payload))
        elif self._is_open and opcode == frames.TEXT:
            self._hear_message(json.loads(payload))

    def _hear_close(self, code: int, reason: str) -> None:
        if not self._is_open:
            return  # the answer to ours
        self._is_open = False
        self._sockets.note(self._owner, "ws-close", code=code, reason=reason)
        after = self._script.get("closes", 1)
        if after is not None:
            self._is_asked = True
            self._later(after, self._finish, frames.close_frame(code, reason))

    def _hear_message(self, message: Any) -> None:
        if message["type"] == "ping" and NUMBER in message.get("payload", {}):
            return  # behind what is sent again: graphql-ws, which tells of no gap, asks nothing
        self._sockets.note(self._owner, "ws-send", message=self._sockets.shown(message))
        named = f"subscribe {_operation_of(message)}" if message["type"] == "subscribe" else message["type"]
        self._react(named if named in self._script.get("on", {}) else message["type"])

    def close(self) -> None:
        if self._has_ended:
            return
        if self._is_open or self._is_asked:
            self._sockets.note(self._owner, "ws-cut")
        self._end()
        self._loop.call_soon(self._protocol.connection_lost, None)

    abort = close

    # ---------------------------------------------------------------------------------------- what the server does

    def _react(self, trigger: str) -> None:
        """Take the steps of a script, each later than the one before it."""
        later = 0
        for step in self._script.get("on", {}).get(trigger, REACTIONS.get(trigger, ())):
            later += step.get("after", 1)
            self._later(later, self._take, step)

    def _take(self, step: Mapping[str, Any]) -> None:
        if not self._is_open:
            return
        if "close" in step:
            self._is_open = False
            code, reason = [*step["close"], *(None, "")[len(step["close"]) :]]
            self._protocol.data_received(frames.close_frame(code, reason))
        elif step.get("cut"):
            self._lose()
        else:
            self._protocol.data_received(self._message(step))

    def _message(self, step: Mapping[str, Any]) -> bytes:
        if "binary" in step:
            return frames.frame(frames.BINARY, step["binary"].encode())
        text = step["text"] if "text" in step else json.dumps(self._sockets.named(step["send"]))
        return frames.frame(frames.TEXT, text.encode())

    def _finish(self, data: bytes) -> None:
        self._is_asked = False
        self._protocol.data_received(data)

    def _lose(self) -> None:
        self._end()
        self._protocol.connection_lost(None)

    def _end(self) -> None:
        self._is_open = False
        self._has_ended = True
        for timer in self._timers:
            timer.cancel()

    def _later(self, milliseconds: float, action: Any, *arguments: Any) -> None:
        self._timers.append(self._loop.call_later(milliseconds / 1000, action, *arguments))

    # ------------------------------------------------------------------------------------------ what asyncio asks

    def is_closing(self) -> bool:
        return self._has_ended

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass
