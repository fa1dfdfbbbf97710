"""What becomes of the operations of GraphQLWsLink while it has no socket."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from rxlink import GraphQLRequest, GraphQLWsLink, SocketClosed, execute
from rxlink.testing.virtual_time import VirtualTime, virtual
from rxlink.transport.websocket import Resubscribed, WebSocketConnecting
from tests.recording import END, subscribed
from tests.transport.websocket_bench import Bench, began, bench, settle, ticks
from tests.transport.websocket_overlap import by_tick, overlap
from tests.transport.websocket_server import ScriptedWebSocketServer

WAIT = 2.0
"""Seconds before the next try."""


def waiting(retries: int) -> float:
    return WAIT


@virtual
async def test_e87_after_a_reconnect_all_subscriptions_go_on_in_their_order_on_the_same_observables() -> None:
    async with bench() as link:
        recorders = [link.start(name) for name in "CAB"]
        first, ids = await link.accept("C", "A", "B")
        for number, name in enumerate("CAB"):
            await first.deliver(ids[name], tick=number)

        first.abort()
        second, ids = await link.accept("C", "A", "B")
        for number, name in enumerate("CAB"):
            await second.deliver(ids[name], tick=10 + number)
        await settle()

        assert [ticks(0, 10), ticks(1, 11), ticks(2, 12)] == [recorder.seen for recorder in recorders]
        assert ["connection_init", "subscribe", "subscribe", "subscribe", "ping"] == second.kinds


@virtual
async def test_e92_an_event_tells_which_operations_may_have_a_gap() -> None:
    async with bench() as link:
        link.start("A")
        connection, _ = await link.accept("A")
        connection.abort()
        await link.server.connection()
        link.start("B")
        await link.server.connections[1].acknowledge()
        await began(link.server.connections[1], "A", "B")
        assert "Resubscribed" not in link.kinds()
        await link.server.connections[1].send({"type": "pong"})
        await settle()

        (event,) = [event for event in link.events if isinstance(event, Resubscribed)]

        assert ["A"] == [operation.operation_name for operation in event.operations]
        assert (True, False) == (event.may_have_gap, event.may_have_duplicates)
        assert [
            "Connecting",
            "Connected",
            "Closed",
            "Retrying",
            "Connecting",
            "Connected",
            "Resubscribed",
        ] == link.kinds()
        assert [False, True] == [event.is_retry for event in link.events if isinstance(event, WebSocketConnecting)]
        assert ["idle", "connecting", "connected", "retrying", "connecting", "connected"] == link.states


@virtual
async def test_the_first_connection_tells_of_no_gap_however_long_it_took() -> None:
    async with bench(retry_wait=waiting) as link:
        link.server.refusal = 503
        link.start("A")
        await link.server.handshake()
        link.server.refusal = None

        await link.accept("A")

        assert "Resubscribed" not in link.kinds()


@virtual
async def test_mutations_that_may_have_run_are_not_sent_again_where_that_is_asked_for() -> None:
    async with bench(retry_mutations=False) as link:
        mutation, query, subscription = link.start("M", "mutation"), link.start("Q", "query"), link.start("S")
        connection, _ = await link.accept("M", "Q", "S")

        connection.abort()
        await link.accept("Q", "S")

        assert [1006] == [error.code for error in mutation.seen if isinstance(error, SocketClosed)]
        assert [[], []] == [query.seen, subscription.seen]


@virtual
async def test_mutations_are_sent_again_by_default() -> None:
    async with bench() as link:
        seen = link.start("M", "mutation").seen
        connection, _ = await link.accept("M")

        connection.abort()
        connection, ids = await link.accept("M")
        await connection.deliver(ids["M"], tick=1)
        await connection.complete(ids["M"])
        await settle()

        assert [*ticks(1), END] == seen


@virtual
async def test_mutations_that_were_never_sent_wait_for_the_next_try_all_the_same() -> None:
    async with bench(retry_mutations=False, retry_wait=waiting) as link:
        link.server.refusal = 503
        seen = link.start("M", "mutation").seen
        await link.server.handshake()
        link.server.refusal = None

        connection, ids = await link.accept("M")
        await connection.deliver(ids["M"], tick=1)
        await settle()

        assert ticks(1) == seen


@virtual
async def test_what_a_server_sends_again_after_a_loss_comes_again_whatever_its_key(time: VirtualTime) -> None:
    async with overlap(time, dedup_key=by_tick) as both:
        await both.tell(both.old, 1)
        await both.answer(both.new)
        await both.answer(both.old)

        both.old.abort()
        both.new.abort()
        third, _ = await both.bench.accept("A")
        await both.tell(third, 1)

        assert ticks(1, 1) == both.seen


@virtual
async def test_who_leaves_during_the_wait_is_not_sent_again() -> None:
    async with bench() as link:
        recorders = {name: link.start(name) for name in "ABC"}
        connection, _ = await link.accept("A", "B", "C")
        connection.abort()
        await link.until("retrying")

        recorders["B"].subscription.dispose()
        connection, _ = await link.accept("A", "C")
        await settle()

        assert ["connection_init", "subscribe", "subscribe", "ping"] == connection.kinds


@pytest.mark.parametrize("timeout", [0.0, 30.0])
@virtual
async def test_when_all_have_left_during_the_wait_it_does_not_connect(timeout: float) -> None:
    async with bench(lazy_close_timeout=timeout) as link:
        recorder = link.start("A")
        connection, _ = await link.accept("A")
        connection.abort()
        await link.until("retrying")

        recorder.subscription.dispose()
        await asyncio.sleep(60)

        assert 1 == len(link.server.handshakes)
        assert "idle" == link.states[-1]


@virtual
async def test_after_that_the_next_operation_connects_at_once(time: VirtualTime) -> None:
    async with bench() as link:
        recorder = link.start("A")
        connection, _ = await link.accept("A")
        connection.abort()
        await link.until("retrying")
        recorder.subscription.dispose()
        await settle()
        left = time.monotonic()

        link.start("B")
        await link.accept("B")

        assert 0.5 > time.monotonic() - left


@virtual
async def test_a_server_that_is_started_again_gets_all_operations() -> None:
    async with ScriptedWebSocketServer() as after:
        async with ScriptedWebSocketServer() as before:
            servers = [before]
            link = GraphQLWsLink(lambda: servers[0].url, retry_wait=waiting)
            seen = subscribed(execute(link, GraphQLRequest("subscription A { tick }"))).seen
            connection = await before.connection()
            await connection.acknowledge()
            await began(connection, "A")
        await asyncio.sleep(2.5 * WAIT)  # nobody is there for two tries
        servers[0] = after

        connection = await after.connection()
        await connection.acknowledge()
        await connection.deliver((await began(connection, "A"))["A"], tick=1)
        await settle()

        assert ticks(1) == seen
        await link.aclose()


async def _before_it_is_answered(link: Bench) -> None:
    link.server.is_silent = True
    request = await link.server.handshake()
    link.server.is_silent = False
    assert request.transport is not None
    request.transport.abort()


async def _before_the_acknowledgement(link: Bench) -> None:
    connection = await link.server.connection()
    await connection.expect("connection_init")
    connection.abort()


async def _with_the_acknowledgement(link: Bench) -> None:
    connection = await link.server.connection()
    await connection.acknowledge()
    connection.hang_up()


async def _within_a_frame(link: Bench) -> None:
    connection, _ = await link.accept("A")
    connection.send_raw(b"\x81\x7e\x01\x00half a frame")
    connection.hang_up()


async def _between_two_parts_of_a_message(link: Bench) -> None:
    connection, _ = await link.accept("A")
    connection.send_raw(b'\x01\x04{"id')
    connection.hang_up()


async def _in_silence(link: Bench) -> None:
    connection, _ = await link.accept("A")
    connection.stall()


@pytest.mark.parametrize(
    "cut",
    [
        _before_it_is_answered,
        _before_the_acknowledgement,
        _with_the_acknowledgement,
        _within_a_frame,
        _between_two_parts_of_a_message,
        _in_silence,
    ],
)
@virtual
async def test_wherever_the_network_is_cut_the_subscription_goes_on(cut: Callable[[Bench], Awaitable[None]]) -> None:
    async with bench() as link:
        seen = link.start("A").seen

        await cut(link)
        connection, ids = await link.accept("A")
        await connection.deliver(ids["A"], tick=1)
        await settle()

        assert ticks(1) == seen
