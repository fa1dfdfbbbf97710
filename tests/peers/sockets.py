"""Servers of WebSockets that other people wrote, and a link to each of them with each protocol that it speaks."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import aiohttp

from rxlink import GraphQLRequest, GraphQLWsLink, WebSocketClosed, WebSocketConnected, WebSocketLink, execute
from tests.peers.peer import Peer, asked
from tests.recording import Recorder, subscribed

__all__ = ["LEGACY", "NEW", "NODE", "PAIRS", "PYTHON", "Line", "Pair", "Servers", "line_to", "ports_for"]

NEW, LEGACY = "graphql-transport-ws", "graphql-ws"
NODE = ("graphql-ws", "subscriptions-transport-ws", "mercurius")
PYTHON = ("strawberry", "ariadne")
UNUSED = range(20_000, 32_000)  # ports that no system hands out by itself


@dataclass(frozen=True)
class Pair:
    """A server and a protocol that it is asked to speak."""

    name: str
    protocol: str
    path: str = "/graphql"

    def __str__(self) -> str:
        return self.name if self.protocol == NEW else f"{self.name}, legacy"


PAIRS = (
    Pair("graphql-ws", NEW),
    Pair("subscriptions-transport-ws", LEGACY),
    *(Pair(name, protocol) for name in ("mercurius", "strawberry", "ariadne") for protocol in (NEW, LEGACY)),
)


@dataclass(frozen=True)
class Servers:
    """Servers by name, of one process or of both."""

    peers: Mapping[str, Peer]

    def url(self, pair: Pair) -> str:
        return f"{self.peers[pair.name].address.replace('http:', 'ws:')}{pair.path}"

    async def listeners(self, key: str) -> int:
        """Return how many subscriptions to `ticks` with a key the servers know."""
        return await asked(self.peers, "listeners", key=key)

    async def restart(self, name: str, down: float) -> None:
        """Stop a server, and start it again on its port after so many seconds."""
        await asked(self.peers, "restart", name=name, down=str(down * 1000))

    async def die(self) -> None:
        """Let the process end as by a crash."""
        try:
            await asked(self.peers, "die")
        except aiohttp.ClientError:
            return
        raise AssertionError("it lives")


def ports_for(names: Iterable[str]) -> str:
    """Choose ports for servers that must be able to come back to them: nobody else gets them meanwhile."""
    ports: dict[str, int] = {}
    for name in (*names, "control"):
        while name not in ports:
            port = random.choice(UNUSED)  # noqa: S311 - no secret
            with suppress(OSError), socket.socket() as probe:
                if port not in ports.values():
                    probe.bind(("127.0.0.1", port))
                    ports[name] = port
    return json.dumps(ports)


@dataclass(frozen=True)
class Line:
    """A link, and what became of its sockets."""

    link: GraphQLWsLink | WebSocketLink
    events: Recorder

    @property
    def sockets(self) -> int:
        """How many were opened."""
        return sum(isinstance(event, WebSocketConnected) for event in self.events.seen)

    @property
    def closes(self) -> list[int]:
        """The codes that they were closed with."""
        codes = [event.code for event in self.events.seen if isinstance(event, WebSocketClosed)]
        return [code for code in codes if code is not None]  # None is one that could not be opened

    def hear(self, document: str, **variables: Any) -> Recorder:
        return subscribed(execute(self.link, GraphQLRequest(document, variables)))


@asynccontextmanager
async def line_to(servers: Servers, pair: Pair, **options: Any) -> AsyncIterator[Line]:
    """Open a link that tries again soon, as often as it takes."""
    kind = GraphQLWsLink if pair.protocol == NEW else WebSocketLink
    async with kind(servers.url(pair), retry_attempts=None, retry_wait=lambda _: 0.02, **options) as link:
        events = subscribed(link.events)
        yield Line(link, events)
        events.subscription.dispose()
