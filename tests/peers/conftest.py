"""Each server, installed once and started once for all tests of a process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.oracle.node import CannotInstall, node_in, skip_or_fail
from tests.peers.peer import FOLDER, INSTALLATION_LIMIT, PEERS, Peer, Wire, running, strawberry_python, watched


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
def python_peers() -> Iterator[dict[str, Peer]]:
    """Strawberry; skips where it cannot be installed, or fails in CI."""
    try:
        python = strawberry_python()
    except CannotInstall as reason:
        skip_or_fail(str(reason))
    with running([python, "strawberry_server.py"]) as peers:
        yield peers


@pytest.fixture(params=PEERS)
def peer(request: pytest.FixtureRequest) -> Peer:
    """Each server in turn; `@pytest.mark.parametrize("peer", [...], indirect=True)` chooses some."""
    servers = "python_peers" if request.param == "strawberry" else "node_peers"
    return request.getfixturevalue(servers)[request.param]


@pytest.fixture
async def wire(guarded_loop: None) -> AsyncIterator[Wire]:
    """A session that notes what goes over it, for links to send with."""
    async with watched() as wire:
        yield wire


@pytest.fixture
def account(request: pytest.FixtureRequest) -> str:
    """An account of this test's own: its tokens are refreshed by nobody else."""
    return "".join(character for character in request.node.name if character.isalnum())
