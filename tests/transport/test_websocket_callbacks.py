"""GraphQLWsLink when callbacks start operations, and operations come while it connects anew."""

import asyncio
from typing import Any

import aiohttp
import pytest

from rxlink import OperationCancelled, SocketClosed
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.recording import END, Recorder
from tests.transport.websocket_bench import Bench, Reacting, began, bench, settle, ticks, unused_url

WAIT = 2.0
"""Seconds before the next try."""
EVENTS = ("Connecting", "Connected", "Closed", "Retrying", "Resubscribed")
STATES = ("connecting", "connected", "retrying")


def waiting(retries: int) -> float:
    return WAIT


class Starter:
    """Starts one operation when it is told a word."""

    def __init__(self, link: Bench, word: str) -> None:
        self._link = link
        self._word = word
        self.seen: list[Any] | None = None

    def hear(self, said: str) -> None:
        if said == self._word and self.seen is None:
            self.seen = []
            self.seen = self._link.start("B").seen


async def _run_through_a_cut(link: Bench, time: VirtualTime) -> float:
    """Start A, cut its socket, and serve all after that; return when the second socket came."""
    link.start("A")
    connection = await link.server.connection()
    await connection.acknowledge()
    await settle()
    connection.abort()
    connection = await link.server.connection()
    came = time.monotonic()
    await connection.acknowledge()
    await settle()
    await connection.send({"type": "pong"})  # to what was asked behind those that were sent again
    await settle()
    for message in list(connection.received[1:]):
        if message["type"] == "subscribe":
            await connection.deliver(message["id"], tick=1)
    await settle()
    return came


@pytest.mark.parametrize("word", EVENTS)
@virtual
async def test_an_operation_begun_by_an_observer_of_events_runs_once_and_cuts_no_wait_short(
    word: str, time: VirtualTime
) -> None:
    async with bench(retry_wait=waiting) as link:
        starter = Starter(link, word)
        link.link.events.subscribe(lambda event: starter.hear(type(event).__name__.removeprefix("WebSocket")))

        came = await _run_through_a_cut(link, time)

        assert ticks(1) == starter.seen
        assert 2 == len(link.server.handshakes)
        assert came >= WAIT


@pytest.mark.parametrize("word", STATES)
@virtual
async def test_an_operation_begun_by_an_observer_of_states_runs_once_and_cuts_no_wait_short(
    word: str, time: VirtualTime
) -> None:
    async with bench(retry_wait=waiting) as link:
        starter = Starter(link, word)
        link.link.states.subscribe(lambda state: starter.hear(state.value))

        came = await _run_through_a_cut(link, time)

        assert ticks(1) == starter.seen
        assert 2 == len(link.server.handshakes)
        assert came >= WAIT


@virtual
async def test_a_mutation_that_is_begun_again_by_its_own_error_waits_like_the_others(time: VirtualTime) -> None:
    async with bench(retry_wait=waiting, retry_mutations=False) as link:
        again: list[Recorder] = []
        link.start("M", "mutation", recorder=Reacting(lambda: again.append(link.start("M", "mutation"))))
        connection, _ = await link.accept("M")

        connection.abort()
        connection, ids = await link.accept("M")
        await connection.deliver(ids["M"], tick=1)
        await settle()

        assert [ticks(1)] == [recorder.seen for recorder in again]
        assert time.monotonic() >= WAIT


@virtual
async def test_an_operation_that_is_begun_again_by_its_own_error_has_all_tries_of_its_own() -> None:
    async with bench(url=unused_url(), retry_attempts=1, retry_wait=waiting) as link:
        started: list[int] = []

        def start() -> None:
            if len(started) < 3:
                started.append(1)
                link.start("A", recorder=Reacting(start))

        start()
        await asyncio.sleep(60)

        assert 6 == link.kinds().count("Connecting")


@virtual
async def test_an_operation_begun_in_on_next_runs_on_the_same_socket() -> None:
    async with bench() as link:
        others: list[Recorder] = []
        link.start("A", recorder=Reacting(lambda: others.append(link.start("B"))))
        connection, ids = await link.accept("A")

        await connection.deliver(ids["A"], tick=1)
        ids = await began(connection, "B")
        await connection.deliver(ids["B"], tick=2)
        await settle()

        assert [ticks(2)] == [recorder.seen for recorder in others]
        assert 1 == len(link.server.handshakes)


@virtual
async def test_an_operation_begun_in_on_completed_keeps_the_socket() -> None:
    async with bench() as link:
        others: list[Recorder] = []
        link.start("A", "query", recorder=Reacting(lambda: others.append(link.start("B", "query"))))
        connection, ids = await link.accept("A")

        await connection.complete(ids["A"])
        ids = await began(connection, "B")
        await connection.complete(ids["B"])
        await settle()

        assert [[END]] == [recorder.seen for recorder in others]
        assert 1 == len(link.server.handshakes)


@pytest.mark.parametrize("moment", ["retrying", "connecting", "not acknowledged"])
@virtual
async def test_an_operation_that_comes_while_the_link_connects_anew_is_sent_behind_those_that_ran(moment: str) -> None:
    async with bench(retry_wait=waiting) as link:
        link.start("A")
        connection, _ = await link.accept("A")
        connection.abort()
        await _until(link, moment)

        seen = link.start("B").seen
        connection, ids = await link.accept("A", "B") if moment != "not acknowledged" else await _acknowledged(link)
        await connection.deliver(ids["B"], tick=1)
        await settle()

        assert ticks(1) == seen
        assert 2 == len(link.server.handshakes)


async def _until(link: Bench, moment: str) -> None:
    if moment == "not acknowledged":
        await link.server.connection()
        return
    await link.until("retrying")
    await link.until(moment)


async def _acknowledged(link: Bench) -> Any:
    connection = link.server.connections[-1]
    await connection.acknowledge()
    return connection, await began(connection, "A", "B")


@virtual
async def test_an_observer_that_leaves_when_the_link_is_connected_is_not_sent() -> None:
    async with bench() as link:
        recorders: list[Recorder] = []
        link.link.states.subscribe(
            lambda state: [recorder.subscription.dispose() for recorder in recorders] if state == "connected" else None
        )
        recorders.append(link.start("A"))
        connection = await link.server.connection()

        await connection.acknowledge()
        code, _ = await connection.closed()

        assert 1000 == code
        assert ["connection_init"] == connection.kinds
        assert "idle" == link.states[-1]


@virtual
async def test_closing_the_link_during_the_wait_ends_operations_and_leaves_nothing() -> None:
    async with bench(retry_wait=waiting) as link:
        recorder = link.start("A")
        connection, _ = await link.accept("A")
        connection.abort()
        await link.until("retrying")

        await link.link.aclose()
        await asyncio.sleep(60)

        assert ["ClientClosed"] == [type(error).__name__ for error in recorder.seen]
        assert 1 == len(link.server.handshakes)
        assert ["closed", END] == link.states[-2:]


@virtual
async def test_whoever_cancels_the_task_of_a_socket_ends_its_operations() -> None:
    async with bench(should_retry=lambda error: True) as link:
        seen = link.start("A").seen
        await link.accept("A")

        # As `asyncio.run` does with all tasks at its end: nothing new may begin then.
        for task in asyncio.all_tasks():
            if getattr(task.get_coro(), "__qualname__", "") == "Socket._run":
                task.cancel()
        await asyncio.sleep(60)

        assert [OperationCancelled] == [type(error) for error in seen]
        assert 1 == len(link.server.handshakes)


@virtual
async def test_closing_the_link_waits_for_a_socket_that_has_just_been_given_up() -> None:
    async with aiohttp.ClientSession() as session, bench(retry_attempts=0, session=session) as link:
        seen = link.start("A").seen
        connection, _ = await link.accept("A")
        connection.stall()
        await connection.send({"type": "nonsense"})
        await settle()
        assert [4400] == [error.code for error in seen]

        await link.link.aclose()

        tasks = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
        assert [] == [name for name in tasks if name.startswith("Socket.")]


@virtual
async def test_a_raising_on_error_does_not_keep_the_others_from_their_errors() -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))

    def raises() -> None:
        raise ValueError("of the application")

    async with bench(retry_attempts=0) as link:
        link.start("A", recorder=Reacting(raises))
        other = link.start("B")
        connection, _ = await link.accept("A", "B")

        await connection.close(1001)
        await settle()

        assert [1001] == [error.code for error in other.seen if isinstance(error, SocketClosed)]
        assert ["ValueError"] == [type(complaint["exception"]).__name__ for complaint in complaints]
