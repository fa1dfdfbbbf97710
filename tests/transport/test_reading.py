"""Who else is asked where an answer has come as a whole, with its head: those whom a given session has told of it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from rxlink.core.chain import execute
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import ServerError
from rxlink.transport.http import HttpLink
from rxlink.transport.upload import Upload
from tests.transport.scripted_server import VIEWER, ScriptedServer

QUERY = GraphQLRequest("{ viewer }")


async def run_with(server: ScriptedServer, **options: Any) -> Any:
    async with aiohttp.ClientSession(**options) as session:
        return await execute(HttpLink(server.uri, session=session), QUERY)


def trace_into(seen: list[bytes]) -> aiohttp.TraceConfig:
    trace = aiohttp.TraceConfig()

    async def note(_session: object, _context: object, params: aiohttp.TraceResponseChunkReceivedParams) -> None:
        seen.append(params.chunk)

    trace.on_response_chunk_received.append(note)
    trace.freeze()
    return trace


async def test_a_trace_of_the_session_sees_what_is_read(server: ScriptedServer):
    seen: list[bytes] = []
    trace = trace_into(seen)

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


async def test_a_trace_that_the_session_gets_later_sees_it_too(server: ScriptedServer):
    seen: list[bytes] = []
    async with aiohttp.ClientSession(trace_configs=[trace_into([])]) as session:
        link = HttpLink(server.uri, session=session)
        session.trace_configs.append(trace_into(seen))
        await execute(link, QUERY)

    assert 1 == len(seen)


async def test_a_middleware_may_read_in_the_place_of_the_response(server: ScriptedServer):
    async def unseal(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        response = await handler(request)
        read = response.read

        async def changed() -> bytes:
            return (await read()).replace(b"Ada", b"ADA")

        response.read = changed
        return response

    assert "ADA" in str(await run_with(server, middlewares=(unseal,)))


async def test_a_middleware_may_read_it_later(server: ScriptedServer):
    kept: list[aiohttp.ClientResponse] = []

    async def keep(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        kept.append(await handler(request))
        return kept[0]

    assert VIEWER == await run_with(server, middlewares=(keep,))
    assert b"viewer" in await kept[0].read()


async def test_a_file_is_let_go_before_the_operation_ends_that_was_answered_early():
    log: list[str] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.read(100)
        body = b'{"errors":[{"message":"too large"}]}'
        head = f"HTTP/1.1 413 Too Large\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        try:
            await writer.drain()
            await asyncio.sleep(0)
        finally:
            writer.close()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 1000
                await asyncio.sleep(0)
        finally:
            for _ in range(10):
                await asyncio.sleep(0)
            log.append("let go")

    async with (
        await asyncio.start_server(refuse, "127.0.0.1", 0) as refusing,
        HttpLink(f"http://127.0.0.1:{refusing.sockets[0].getsockname()[1]}/graphql") as link,
    ):
        with pytest.raises(ServerError, match="413"):
            await execute(
                link, GraphQLRequest("mutation ($f: Upload) { up(f: $f) }", {"f": Upload(endless(), filename="a")})
            )
        assert ["let go"] == log
