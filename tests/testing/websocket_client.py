"""A client of WebSockets without any cleverness: it says what the test says, and hears one frame at a time."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from rxlink.testing.auth_server import AuthServer, TokenPair

TRANSPORT = "graphql-transport-ws"
LEGACY = "graphql-ws"
TICKS = "subscription Ticks($every: Float!, $key: String) { ticks(every: $every, key: $key) }"
COUNTDOWN = "subscription Countdown($start: Int!) { left: countdown(start: $start) }"


class PlainSocket:
    """One socket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def say(self, type: str, **members: Any) -> None:
        await self.socket.send_str(json.dumps({"type": type, **members}))

    async def hear(self) -> Any:
        """Return the next message, or the code and the reason of the end."""
        frame = await self.socket.receive()
        if frame.type is aiohttp.WSMsgType.TEXT:
            return json.loads(frame.data)
        assert frame.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR), frame
        return self.socket.close_code, frame.extra or ""

    async def init(self, pair: TokenPair | str | None = None) -> Any:
        token = pair.access_token if isinstance(pair, TokenPair) else pair
        payload = {} if token is None else {"payload": {"authorization": f"Bearer {token}"}}
        await self.say("connection_init", **payload)
        return await self.hear()

    async def subscribe(self, id: str, query: str, **variables: Any) -> None:
        await self.say("subscribe", id=id, payload={"query": query, "variables": variables})

    async def pong(self) -> list[Any]:
        """Ping, and return what is heard before the pong."""
        await self.say("ping")
        heard = []
        while (message := await self.hear()) != {"type": "pong"}:
            heard.append(message)
        return heard


@asynccontextmanager
async def opened(server: AuthServer, *protocols: str) -> AsyncIterator[PlainSocket]:
    """Give an open socket of these protocols: of the newer one, unless told otherwise."""
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(server.ws_url, protocols=protocols or (TRANSPORT,), autoping=True) as socket:
            yield PlainSocket(socket)


async def until(condition: Callable[[], object]) -> None:
    """Wait for what nobody tells."""
    while not condition():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.001)


def next_of(id: str, **data: Any) -> dict[str, Any]:
    return {"id": id, "type": "next", "payload": {"data": data}}


def codes_of(message: Any) -> list[str]:
    """Return the codes of the errors that end an operation."""
    return [error["extensions"]["code"] for error in message["payload"]]
