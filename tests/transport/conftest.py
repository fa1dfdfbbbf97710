from collections.abc import AsyncIterator

import pytest

from tests.transport.scripted_server import ScriptedServer, scripted_server
from tests.transport.sse_server import SharedSseServer, shared_sse_server


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as server:
        yield server


@pytest.fixture
async def shared() -> AsyncIterator[SharedSseServer]:
    async with shared_sse_server() as server:
        yield server
