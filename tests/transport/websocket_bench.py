"""What the tests of WebSocket links share that are about reconnecting, going over to other sockets, and tokens."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from rxlink import AuthSession, GraphQLRequest, GraphQLWsLink, TokenSet, execute
from rxlink.testing.virtual_time import VirtualTime
from rxlink.transport.websocket import WebSocketEvent
from tests.auth.scripted import Issuer
from tests.recording import Recorder, subscribed
from tests.transport.websocket_server import Connection, ScriptedWebSocketServer

UNAUTHENTICATED = {"message": "who are you?", "extensions": {"code": "UNAUTHENTICATED"}}
DENIALS: dict[str, Any] = {
    "error": {"type": "error", "payload": [UNAUTHENTICATED]},
    "result": {"type": "next", "payload": {"errors": [UNAUTHENTICATED]}},
    "result with null": {"type": "next", "payload": {"data": None, "errors": [UNAUTHENTICATED]}},
}


@dataclass
class Bench:
    """A link, its server, and what it told.

    Attributes:
        events: What the link has told, without `WebSocketConnecting`, in order.
        states: The states of the link.
    """

    server: ScriptedWebSocketServer
    link: GraphQLWsLink
    events: list[WebSocketEvent]
    states: list[Any]

    def start(self, name: str = "A", kind: str = "subscription", *, recorder: Recorder | None = None) -> Recorder:
        recorder = recorder or Recorder()
        operation = execute(self.link, GraphQLRequest(f"{kind} {name} {{ tick }}"))
        recorder.subscription = operation.subscribe(recorder)
        return recorder

    async def accept(self, *names: str) -> tuple[Connection, dict[str, str]]:
        """Take the next socket in, and hear these operations begin, in this order; return also their ids."""
        connection = await self.server.connection()
        await connection.acknowledge()
        return connection, await began(connection, *names)

    async def until(self, state: str) -> None:
        """Wait for a state."""
        reached = asyncio.Event()
        subscription = self.link.states.subscribe(lambda now: reached.set() if now == state else None)
        await reached.wait()
        subscription.dispose()

    def kinds(self) -> list[str]:
        return [type(event).__name__.removeprefix("WebSocket") for event in self.events]


@asynccontextmanager
async def bench(
    *,
    link: type[GraphQLWsLink] = GraphQLWsLink,
    subprotocol: str = "graphql-transport-ws",
    url: str | Callable[[], str] = "",
    **options: Any,
) -> AsyncIterator[Bench]:
    async with ScriptedWebSocketServer(subprotocol=subprotocol) as server:
        made = link(url or server.url, **options)
        events: list[WebSocketEvent] = []
        made.events.subscribe(events.append)
        try:
            yield Bench(server, made, events, subscribed(made.states).seen)
        finally:
            await made.aclose()


class Reacting(Recorder):
    """A recorder that does something whenever it has heard something."""

    def __init__(self, react: Callable[[], object]) -> None:
        super().__init__()
        self._react = react

    def on_next(self, value: Any) -> None:
        super().on_next(value)
        self._react()

    def on_error(self, error: Exception) -> None:
        super().on_error(error)
        self._react()

    def on_completed(self) -> None:
        super().on_completed()
        self._react()


async def began(connection: Connection, *names: str) -> dict[str, str]:
    """Hear these operations begin on a socket, in this order; return their ids."""
    messages = [await connection.hear() for _ in names]
    assert list(names) == [message["payload"]["operationName"] for message in messages]
    assert all(message["type"] in {"subscribe", "start"} for message in messages)
    return {message["payload"]["operationName"]: message["id"] for message in messages}


async def settle() -> None:
    """Let everything happen that can happen now; no time to speak of passes."""
    await asyncio.sleep(1e-6)


def tick(number: int) -> dict[str, Any]:
    return {"data": {"tick": number}}


def ticks(*numbers: int) -> list[dict[str, Any]]:
    """Return results with these numbers, as a subscriber sees them."""
    return [tick(number) for number in numbers]


def unused_url() -> str:
    """Return an address at which nobody listens."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        return f"ws://127.0.0.1:{other.getsockname()[1]}/graphql"


def token_of(connection: Connection) -> str | None:
    """Return which token a client has shown on a socket."""
    said = connection.received[0].get("payload", {}).get("authorization")
    return None if said is None else said.removeprefix("Bearer ")


def session_with(
    issuer: Issuer, time: VirtualTime, *, life: float | None = None, token: str = "A0", **options: Any
) -> AuthSession:
    """Return a session that somebody has signed in to, with A0."""
    tokens = TokenSet(token, refresh_token="R0", expires_in=life)
    return AuthSession(refresh=issuer, tokens=tokens, clock=time.clock, jitter=0.0, **options)


async def deny(connection: Connection, identity: str, how: str = "error") -> None:
    await connection.send({"id": identity, **DENIALS[how]})
    await settle()


async def served(link: Bench, *names: str) -> tuple[Connection, dict[str, str]]:
    """As accept, with one who answers pings; what was denied begins behind the ping."""
    link.server.answers_pings = True
    return await link.accept(*names)


def timers(time: VirtualTime) -> list[Any]:
    """Return the timers that are set, without those of aiohttp's server."""
    timers = [item for item in time.leftovers() if isinstance(item, asyncio.TimerHandle)]
    return [timer for timer in timers if "TimeoutHandle" not in repr(timer)]
