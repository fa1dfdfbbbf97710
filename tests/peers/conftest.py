"""Each server, installed once and started once for all tests of a process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.oracle.apollo import FOLDER as ORACLE
from tests.oracle.apollo import Apollo, running_apollo
from tests.oracle.node import CannotInstall, node_in, skip_or_fail
from tests.peers.peer import FOLDER, INSTALLATION_LIMIT, PEERS, Peer, Wire, python_of_servers, running, watched
from tests.peers.sockets import NODE, PYTHON, Pair, Servers, ports_for
from tests.peers.streams import StreamServers, Way


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the test that comes first the time that installing takes."""
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.timeout(INSTALLATION_LIMIT))


@pytest.fixture(scope="session")
def node_peers() -> Iterator[dict[str, Peer]]:
    """GraphQL Yoga and Apollo Server; skips without Node, or fails in CI."""
    with running([node_in(FOLDER), "servers.mjs"]) as peers:
        yield peers


@pytest.fixture(scope="session")
def python() -> Path:
    """A Python with Strawberry, Ariadne and gql; skips where they cannot be installed, or fails in CI."""
    try:
        return python_of_servers()
    except CannotInstall as reason:
        skip_or_fail(str(reason))


@pytest.fixture(scope="session")
def python_peers(python: Path) -> Iterator[dict[str, Peer]]:
    """Strawberry."""
    with running([python, "strawberry_server.py"]) as peers:
        yield peers


@pytest.fixture(params=PEERS)
def peer(request: pytest.FixtureRequest) -> Peer:
    """Each server in turn; `@pytest.mark.parametrize("peer", [...], indirect=True)` chooses some."""
    servers = "python_peers" if request.param == "strawberry" else "node_peers"
    return request.getfixturevalue(servers)[request.param]


@pytest.fixture(scope="session")
def node_sockets() -> Iterator[Servers]:
    """graphql-ws, subscriptions-transport-ws and Mercurius; skips without Node, or fails in CI."""
    with running([node_in(FOLDER), "websocket_servers.cjs", ports_for(NODE)]) as peers:
        yield Servers(peers)


@pytest.fixture(scope="session")
def python_sockets(python: Path) -> Iterator[Servers]:
    """Strawberry and Ariadne over WebSocket."""
    with running([python, "websocket_servers.py", ports_for(PYTHON)]) as peers:
        yield Servers(peers)


@pytest.fixture
def servers(request: pytest.FixtureRequest, pair: Pair) -> Servers:
    """The servers that the one of `pair` is among."""
    return request.getfixturevalue("python_sockets" if pair.name in PYTHON else "node_sockets")


@pytest.fixture(scope="session")
def node_streams() -> Iterator[StreamServers]:
    """GraphQL Yoga and graphql-sse; skips without Node, or fails in CI."""
    with running([node_in(FOLDER), "stream_servers.mjs"]) as peers:
        yield StreamServers(peers)


@pytest.fixture(scope="session")
def apollo_streams() -> Iterator[StreamServers]:
    """Apollo Server on a newer `graphql`; skips without Node, or fails in CI."""
    with running([node_in(FOLDER / "graphql17"), "graphql17/stream_servers.mjs"]) as peers:
        yield StreamServers(peers)


@pytest.fixture(scope="session")
def python_streams(python: Path) -> Iterator[StreamServers]:
    """Strawberry, answering in pieces."""
    with running([python, "stream_servers.py"]) as peers:
        yield StreamServers(peers)


@pytest.fixture(scope="session")
def handlers() -> Iterator[Apollo]:
    """Apollo Client's handlers of incremental delivery, in a Node process; skips without Node, or fails in CI."""
    with running_apollo(node_in(ORACLE)) as apollo:
        yield apollo


@pytest.fixture
def streams(request: pytest.FixtureRequest, way: Way) -> StreamServers:
    """The servers that the one of `way` is among."""
    where = {"apollo": "apollo_streams", "strawberry": "python_streams"}
    return request.getfixturevalue(where.get(way.name, "node_streams"))


@pytest.fixture
async def wire(guarded_loop: None) -> AsyncIterator[Wire]:
    """A session that notes what goes over it, for links to send with."""
    async with watched() as wire:
        yield wire


@pytest.fixture
def account(request: pytest.FixtureRequest) -> str:
    """An account of this test's own: its tokens are refreshed by nobody else."""
    return "".join(character for character in request.node.name if character.isalnum())
