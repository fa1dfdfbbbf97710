"""When an event of a subscription arrives: here at once, and with gql's transport not always.

The server makes an event when it is told that the one before has arrived. `docs/stream-peers.md` says what follows.
"""

import asyncio
import json
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from rxlink import GraphQLRequest, HttpLink, NetworkTimeout, execute
from tests.peers.peer import FOLDER, until
from tests.peers.stream_hearing import is_over, told
from tests.peers.stream_rows import SIGNALS
from tests.peers.streams import StreamServers
from tests.recording import subscribed

MULTIPART, BARE, LIVELY = "/graphql", "/bare", "/lively"
"""Strawberry as it is, with parts that do not say their length, and with many heartbeats."""
LATE = 0.5  # seconds in which an event that has been sent would have come
PATIENCE = 1  # seconds without a byte, after which a subscription is given up


def url_of(servers: StreamServers, path: str) -> str:
    return servers.peers["strawberry"].address + path


async def is_waiting(servers: StreamServers, key: str) -> bool:
    """Tell whether the server has sent an event, and wants to make the next."""
    return await servers.waiting(key) > 0


@pytest.mark.parametrize("path", [MULTIPART, BARE])
async def test_an_event_arrives_before_the_server_makes_the_next(
    path: str, python_streams: StreamServers, account: str
):
    async with HttpLink(url_of(python_streams, path)) as link:
        operation = subscribed(execute(link, GraphQLRequest(SIGNALS, {"key": account})))

        for number in (1, 2):
            await until(lambda number=number: len(operation.seen) >= number)
            assert [{"data": {"signals": seen}} for seen in range(1, number + 1)] == operation.seen
            await python_streams.release(account)
        await until(lambda: is_over(operation))

    assert "1, 2, 3, the end" == told(operation)


@asynccontextmanager
async def gql_hears(python: Path, url: str, key: str) -> AsyncIterator[Process]:
    """Subscribe with gql in a process of its own, which prints what it hears."""
    process = await asyncio.create_subprocess_exec(python, FOLDER / "gql_client.py", url, SIGNALS, key, stdout=PIPE)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_with_gql_it_arrives_when_the_server_sends_the_next(
    python: Path, python_streams: StreamServers, account: str
):
    async with gql_hears(python, url_of(python_streams, BARE), account) as process:
        assert process.stdout is not None

        for number in (1, 2):
            await until(lambda: is_waiting(python_streams, account))
            event = asyncio.create_task(process.stdout.readline())
            await asyncio.wait([event], timeout=LATE)
            assert not event.done()
            await python_streams.release(account)
            assert {"signals": number} == json.loads(await event)

        assert {"signals": 3} == json.loads(await process.stdout.readline())


async def test_with_gql_it_arrives_at_once_where_a_part_says_its_length(
    python: Path, python_streams: StreamServers, account: str
):
    async with gql_hears(python, url_of(python_streams, MULTIPART), account) as process:
        assert process.stdout is not None

        for number in (1, 2):
            assert {"signals": number} == json.loads(await process.stdout.readline())
            await python_streams.release(account)

        assert {"signals": 3} == json.loads(await process.stdout.readline())


async def test_heartbeats_keep_a_silent_subscription(python_streams: StreamServers, account: str):
    async with HttpLink(url_of(python_streams, LIVELY), idle_timeout=PATIENCE) as link:
        operation = subscribed(execute(link, GraphQLRequest(SIGNALS, {"key": account})))
        await until(lambda: bool(operation.seen))
        await asyncio.sleep(1.5 * PATIENCE)
        for _ in range(2):
            await python_streams.release(account)
        await until(lambda: is_over(operation))

    assert "1, 2, 3, the end" == told(operation)


async def test_without_heartbeats_a_silent_subscription_ends_with_an_error(python_streams: StreamServers, account: str):
    async with HttpLink(url_of(python_streams, MULTIPART), idle_timeout=PATIENCE / 10) as link:
        operation = subscribed(execute(link, GraphQLRequest(SIGNALS, {"key": account})))
        await until(lambda: is_over(operation))

    first, error = operation.seen
    assert ({"data": {"signals": 1}}, NetworkTimeout) == (first, type(error))
