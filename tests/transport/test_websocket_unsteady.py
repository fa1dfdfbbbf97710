"""GraphQLWsLink and servers that take everybody in and close then: it gives them up, as those that take nobody in."""

import asyncio

import pytest

from rxlink import SocketClosed
from rxlink.testing.virtual_time import VirtualTime, virtual
from rxlink.transport.websocket import WebSocketRetrying
from tests.recording import Recorder
from tests.transport.websocket_bench import Bench, bench, settle, tick, ticks

PROBATION = 10.0
"""Seconds after which a connection was good for something."""


async def poison(link: Bench, name: str, times: int) -> list[str]:
    """Take an operation in so many times, and close; return what ran."""
    ran: list[str] = []
    for _ in range(times):
        connection, ids = await link.accept(name)
        ran.extend(ids)
        await connection.close(1001, "dead")
        await settle()
    return ran


@pytest.mark.parametrize("code", [1000, 1001, 4403, 4408])
@virtual
async def test_a_server_that_acknowledges_and_closes_is_given_up(code: int) -> None:
    async with bench(retry_attempts=3, retry_wait=lambda retries: 1.0) as link:
        seen = link.start("A").seen

        for _ in range(4):
            connection, _ = await link.accept("A")
            await connection.close(code, "no")
        await asyncio.sleep(60)

        assert [code] == [error.code for error in seen]
        assert 4 == len(link.server.handshakes)
        assert [0, 0, 0] == [event.retries for event in link.events if isinstance(event, WebSocketRetrying)]


@virtual
async def test_after_that_the_next_operation_has_all_the_tries_again() -> None:
    async with bench(retry_attempts=1, retry_wait=lambda retries: 1.0) as link:
        link.start("A")
        await poison(link, "A", 2)

        seen = link.start("B").seen
        await poison(link, "B", 1)
        connection, ids = await link.accept("B")
        await connection.deliver(ids["B"], tick=1)
        await settle()

        assert ticks(1) == seen


@pytest.mark.parametrize(("seconds", "times"), [(PROBATION - 1, 3), (PROBATION + 1, 10)])
@virtual
async def test_attempts_count_anew_after_a_connection_that_has_stood(
    seconds: float, times: int, time: VirtualTime
) -> None:
    async with bench(retry_attempts=2, retry_wait=lambda retries: 1.0) as link:
        seen = link.start("A").seen

        for _ in range(times):
            connection, _ = await link.accept("A")
            await asyncio.sleep(seconds)
            connection.abort()
        await asyncio.sleep(10)

        assert (seconds < PROBATION) == bool(seen)


@virtual
async def test_a_mutation_of_which_the_server_dies_is_sent_again_once() -> None:
    """Also where others have results meanwhile, so that the tries begin anew."""
    async with bench(retry_attempts=None, retry_wait=lambda retries: 1.0) as link:
        others, seen = link.start("A").seen, link.start("M", "mutation").seen
        for number in range(2):
            connection, ids = await link.accept("A", "M")
            await connection.deliver(ids["A"], tick=number)
            await settle()
            connection.abort()
        connection, ids = await link.accept("A")
        await connection.deliver(ids["A"], tick=2)
        await settle()

        assert [SocketClosed] == [type(error) for error in seen]
        assert ticks(0, 1, 2) == others


@pytest.mark.parametrize("kind", ["subscription", "query"])
@virtual
async def test_others_go_again_as_often_as_sockets_are_lost(kind: str) -> None:
    async with bench(retry_wait=lambda retries: 0.1) as link:
        recorder: Recorder = link.start("A", kind)

        ran = await poison(link, "A", 4)
        connection, ids = await link.accept("A")
        await connection.deliver(ids["A"], tick=1)
        await settle()

        assert ["A"] * 4 == ran
        assert [tick(1)] == recorder.seen
