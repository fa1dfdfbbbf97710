"""Servers that answer in pieces, and a link to each of them for each way in which it does so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from rxlink import AuthSession, Defer20220824Handler, GraphQLRequest, HttpLink, SseLink, TokenSet, execute
from rxlink.core.link import ApolloLink
from tests.peers.peer import Peer, asked
from tests.recording import Recorder, subscribed

__all__ = ["WAYS", "Line", "StreamServers", "Way", "line_to", "session_of"]

SSE, SINGLE = "SSE", "single connection"
OLD, NEW = "2022", "v0.2"
SILENCE = 3  # seconds; no server is silent for so long where all is well


@dataclass(frozen=True)
class Way:
    """A server, and how it answers in pieces."""

    name: str
    form: str
    path: str = "/graphql"
    is_asked_for: bool = False
    """Whether the link takes this format only; else it takes what comes."""

    def __str__(self) -> str:
        return f"{self.name}, {self.form}"

    @property
    def is_sse(self) -> bool:
        return self.form in {SSE, SINGLE}


WAYS = (
    Way("yoga", OLD),
    Way("yoga", SSE),
    Way("yoga", SINGLE, "/graphql/stream"),
    Way("apollo", NEW),
    Way("apollo", OLD, is_asked_for=True),
    Way("graphql-sse", SSE),
    Way("graphql-sse", SINGLE),
    Way("strawberry", "multipart"),
    Way("strawberry", SSE),
)


@dataclass(frozen=True)
class StreamServers:
    """The servers of one process by their names; they share what they count and what they wait for."""

    peers: Mapping[str, Peer]

    def url(self, way: Way) -> str:
        return f"{self.peers[way.name].address}{way.path}"

    async def listeners(self, key: str) -> int:
        """Return how many listen to numbers under a key."""
        return await asked(self.peers, "listeners", key=key)

    async def ticks(self, key: str) -> int:
        """Return how many numbers were made under a key."""
        return await asked(self.peers, "ticks", key=key)

    async def waiting(self, key: str) -> int:
        """Return how many values have not been made yet, because they wait for a release of their key."""
        return await asked(self.peers, "waiting", key=key)

    async def release(self, key: str) -> None:
        """Let one value that waits go, or the next one that would wait."""
        await asked(self.peers, "release", key=key)

    async def answers(self, way: Way) -> int:
        """Return how many requests a server is answering."""
        return await asked(self.peers, "answers", name=way.name)

    async def cut(self, way: Way) -> None:
        """Close all connections of a server."""
        await asked(self.peers, "cut", name=way.name)

    async def refresh(self, account: str) -> str:
        """Return a new token; all earlier ones are refused from now on."""
        return await asked(self.peers, "refresh", account=account)

    async def refreshes(self, account: str) -> int:
        """Return how often the tokens of an account were refreshed."""
        return await asked(self.peers, "refreshes", account=account)


@dataclass(frozen=True)
class Line:
    """A link to a server."""

    link: ApolloLink

    def hear(self, document: str, **variables: Any) -> Recorder:
        return subscribed(execute(self.link, GraphQLRequest(document, variables)))


@asynccontextmanager
async def line_to(servers: StreamServers, way: Way, **options: Any) -> AsyncIterator[Line]:
    """Open a link that asks a server for the format, and takes more options of `SseLink` for those ways."""
    async with _link_to(servers.url(way), way, options) as link:
        yield Line(link)


def _link_to(url: str, way: Way, options: Mapping[str, Any]) -> HttpLink | SseLink:
    if way.is_sse:
        return SseLink(
            url, single_connection=way.form == SINGLE, idle_timeout=SILENCE, **{"retry_attempts": 0, **options}
        )
    handler = Defer20220824Handler() if way.is_asked_for else None
    return HttpLink(url, incremental_handler=handler, idle_timeout=SILENCE)


def session_of(servers: StreamServers, account: str) -> AuthSession:
    """Make a session whose first token is one that the servers refuse."""

    async def refresh(tokens: TokenSet | None, reason: Any) -> TokenSet:
        return TokenSet(await servers.refresh(account))

    return AuthSession(refresh=refresh, tokens=TokenSet("stale"))
