"""Who else is asked where an answer has come as a whole, with its head: those whom a given session has told of it."""

from typing import Any

import aiohttp
import pytest

from rxlink.core.chain import execute
from rxlink.core.operation import GraphQLRequest
from rxlink.transport.http import HttpLink
from tests.transport.scripted_server import VIEWER, ScriptedServer

QUERY = GraphQLRequest("{ viewer }")


async def run_with(server: ScriptedServer, **options: Any) -> Any:
    async with aiohttp.ClientSession(**options) as session:
        return await execute(HttpLink(server.uri, session=session), QUERY)


async def test_a_trace_of_the_session_sees_what_is_read(server: ScriptedServer):
    seen: list[bytes] = []
    trace = aiohttp.TraceConfig()

    async def note(_session: object, _context: object, params: aiohttp.TraceResponseChunkReceivedParams) -> None:
        seen.append(params.chunk)

    trace.on_response_chunk_received.append(note)

    assert VIEWER == await run_with(server, trace_configs=[trace])

    assert 1 == len(seen)
    assert b"viewer" in seen[0]


@pytest.mark.parametrize("takes", ["all", "its end", "nothing"])
async def test_a_middleware_of_the_session_may_have_taken_it(server: ScriptedServer, takes: str):
    parts: list[bytes] = []

    async def look(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        response = await handler(request)
        if takes == "all":
            parts.append(await response.read())
        elif takes == "its end":
            await response.content.wait_eof()
        return response

    assert VIEWER == await run_with(server, middlewares=(look,))
    assert ([] if takes != "all" else [True]) == [b"viewer" in part for part in parts]


async def test_a_response_of_the_sessions_own_class_reads_itself(server: ScriptedServer):
    class Upper(aiohttp.ClientResponse):
        async def read(self) -> bytes:
            return (await super().read()).replace(b"Ada", b"ADA")

    result = await run_with(server, response_class=Upper)

    assert result != VIEWER
    assert "ADA" in str(result)
