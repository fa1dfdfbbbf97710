"""GraphQL servers that other people wrote, in processes of their own on loopback, and what is asked of them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp

from rxlink import AuthSession, GraphQLRequest, HttpLink, TokenSet, execute
from tests.oracle.node import CannotInstall, one_at_a_time

__all__ = [
    "FOLDER",
    "PEERS",
    "Exchange",
    "Peer",
    "Wire",
    "asked",
    "python_of_servers",
    "running",
    "session_of",
    "until",
    "watched",
]

FOLDER = Path(__file__).parent
PEERS = ("yoga", "apollo", "strawberry")
INSTALLATION_LIMIT = 300  # seconds
PATIENCE = 10  # seconds
REFRESH = "mutation Refresh($account: String!) { refresh(account: $account) }"
REFRESHES = "query Refreshes($account: String!) { refreshes(account: $account) }"


@dataclass(frozen=True)
class Peer:
    """A server that runs: `url` is its GraphQL, and `gated` the same behind a gate that wants a token."""

    name: str
    address: str

    @property
    def url(self) -> str:
        return f"{self.address}/graphql"

    @property
    def gated(self) -> str:
        return f"{self.address}/gated"

    async def refreshes(self, account: str) -> int:
        """Return how often the tokens of an account were refreshed."""
        async with HttpLink(self.url) as link:
            result = await execute(link, GraphQLRequest(REFRESHES, {"account": account}))
        return result["data"]["refreshes"]


@contextmanager
def running(command: Sequence[str | Path]) -> Iterator[dict[str, Peer]]:
    """Run a program of servers, which end with the block; it prints their addresses by name as a line of JSON."""
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(
            command, cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                complaints.seek(0)
                raise RuntimeError(f"{command[1]} did not start: {complaints.read().decode()}")
            yield {name: Peer(name, address) for name, address in json.loads(line).items()}
        finally:
            process.stdin.close()  # at the end of its input it ends
            process.wait()


async def asked(peers: Mapping[str, Peer], what: str, **parameters: str) -> Any:
    """Ask the control of a process of servers."""
    url = f"{peers['control'].address}/{what}"
    async with aiohttp.ClientSession() as session, session.get(url, params=parameters) as response:
        return json.loads(await response.read())


async def until(is_so: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait for what no event tells."""
    async with asyncio.timeout(PATIENCE):
        while not (answer if isinstance(answer := is_so(), bool) else await answer):  # noqa: ASYNC110 - a server's
            await asyncio.sleep(0.002)


def python_of_servers() -> Path:
    """Return a Python that has Strawberry, Ariadne and gql; its environment is made if `requirements.txt` has changed.

    Raises:
        CannotInstall: There is no way to the packages.
    """
    environment = FOLDER / ".venv"
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    requirements = FOLDER / "requirements.txt"
    stamp = environment / "installed-from"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    with one_at_a_time(FOLDER):
        if not stamp.exists() or stamp.read_text() != wanted:
            _run([sys.executable, "-m", "venv", "--clear", environment])
            _run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements])
            stamp.write_text(wanted)
    return python


def _run(command: Sequence[str | Path]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALLATION_LIMIT, check=False)
    except subprocess.TimeoutExpired:
        raise CannotInstall(f"installing Strawberry, Ariadne and gql took more than {INSTALLATION_LIMIT} s") from None
    if done.returncode:
        raise CannotInstall(
            f"Strawberry, Ariadne and gql cannot be installed: {(done.stdout + done.stderr).strip()[-500:]}"
        )


def session_of(peer: Peer, account: str, token: str = "stale") -> AuthSession:
    """Make a session whose refresh is a mutation of the server; the token to begin with is one it refuses."""

    async def refresh(tokens: TokenSet | None, reason: Any) -> TokenSet:
        async with HttpLink(peer.url) as link:
            result = await execute(link, GraphQLRequest(REFRESH, {"account": account}))
        return TokenSet(result["data"]["refresh"])

    return AuthSession(refresh=refresh, tokens=TokenSet(token))


@dataclass
class Exchange:
    """A request and the head of its answer."""

    method: str
    target: str
    body: bytes
    status: int
    content_type: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Wire:
    """An aiohttp session, and what went over it."""

    session: aiohttp.ClientSession
    exchanges: list[Exchange]


@asynccontextmanager
async def watched() -> AsyncIterator[Wire]:
    """Open a session for the links of a test, and watch it."""
    exchanges: list[Exchange] = []

    async def note_chunk(_: Any, request: Any, sent: aiohttp.TraceRequestChunkSentParams) -> None:
        request.body += sent.chunk

    async def note_end(_: Any, request: Any, end: aiohttp.TraceRequestEndParams) -> None:
        content_type = end.response.headers.get("content-type", "")
        target = str(end.url.relative())
        exchanges.append(Exchange(end.method, target, request.body, end.response.status, content_type))

    trace = aiohttp.TraceConfig(lambda trace_request_ctx: SimpleNamespace(body=b""))
    trace.on_request_chunk_sent.append(note_chunk)
    trace.on_request_end.append(note_end)
    async with aiohttp.ClientSession(trace_configs=[trace], cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield Wire(session, exchanges)
