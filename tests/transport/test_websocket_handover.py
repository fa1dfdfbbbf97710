"""GraphQLWsLink going over to a socket with a newer token: make before break."""

import asyncio
from unittest.mock import patch

import pytest

from rxlink import CombinedGraphQLErrors, WebSocketLink
from rxlink.testing.virtual_time import VirtualTime, virtual
from rxlink.transport.websocket import WebSocketClosed
from tests.auth.scripted import Issuer
from tests.recording import END
from tests.transport.websocket_bench import began, bench, served, session_with, settle, ticks, token_of
from tests.transport.websocket_overlap import by_tick, overlap


@virtual
async def test_the_newer_socket_has_all_subscriptions_before_the_older_one_closes(time: VirtualTime) -> None:
    async with overlap(time, "B", "C") as both:
        assert ["A0", "A1"] == [token_of(both.old), token_of(both.new)]
        assert not both.old.is_closed

        await both.finish()

        assert ["connection_init", *["subscribe"] * 3, "ping", *["complete"] * 3] == both.old.kinds
        assert ["connection_init", *["subscribe"] * 3, "ping", "ping"] == both.new.kinds
        assert [("ABC", False, True)] == both.resubscribed()
        assert ["idle", "connecting", "connected"] == both.bench.states


@virtual
async def test_what_comes_on_the_newer_socket_is_held_back_until_the_older_one_has_said_all(time: VirtualTime) -> None:
    async with overlap(time) as both:
        await both.tell(both.new, 2, 3)
        await both.tell(both.old, 1)
        await both.answer(both.new)
        await both.tell(both.new, 4)
        assert ticks(1) == both.seen

        await both.answer(both.old)
        await both.tell(both.new, 5)

        assert ticks(1, 2, 3, 4, 5) == both.seen


@virtual
async def test_without_a_key_what_comes_on_both_comes_twice(time: VirtualTime) -> None:
    async with overlap(time) as both:
        await both.tell(both.old, 1, 2)
        await both.tell(both.new, 2, 3)
        await both.finish()

        assert ticks(1, 2, 2, 3) == both.seen


@virtual
async def test_with_a_key_what_comes_on_both_comes_once_and_in_order(time: VirtualTime) -> None:
    async with overlap(time, dedup_key=by_tick) as both:
        await both.tell(both.new, 1, 2, 3)
        await both.tell(both.old, 1, 2)
        await both.finish()
        await both.tell(both.new, 4)

        assert ticks(1, 2, 3, 4) == both.seen
        assert [("A", False, False)] == both.resubscribed()


@virtual
async def test_with_a_key_what_the_newer_socket_brings_late_does_not_come_again(time: VirtualTime) -> None:
    async with overlap(time, dedup_key=by_tick) as both:
        await both.answer(both.new)
        await both.tell(both.old, 1, 2)
        await both.answer(both.old)

        await both.tell(both.new, 1, 2, 3)

        assert ticks(1, 2, 3) == both.seen


@virtual
async def test_keys_are_forgotten_when_the_newer_socket_has_answered_once_more(time: VirtualTime) -> None:
    async with overlap(time, dedup_key=by_tick) as both:
        await both.tell(both.old, 1)
        await both.finish()

        await both.tell(both.new, 1)

        assert ticks(1, 1) == both.seen


@virtual
async def test_a_result_whose_key_cannot_be_made_passes_and_that_is_reported(time: VirtualTime) -> None:
    complaints: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(str(told["exception"])))
    async with overlap(time, "B", dedup_key=by_tick) as both:
        await both.old.deliver(both.ids["A"], other=1)
        await settle()

        assert [{"data": {"other": 1}}] == both.seen
        [complaint] = complaints
        assert "`dedup_key` failed with KeyError" in complaint
        await both.finish()
        assert [("AB", False, False)] == both.resubscribed()


@virtual
async def test_results_without_a_key_pass(time: VirtualTime) -> None:
    async with overlap(time, "B", dedup_key=lambda _: None) as both:
        for connection in (both.old, both.new):
            await connection.deliver(both.ids["A"], tick=1)
        await both.finish()

        assert ticks(1, 1) == both.seen


@virtual
async def test_the_older_socket_ends_the_operation_on_both(time: VirtualTime) -> None:
    async with overlap(time) as both:
        await both.tell(both.new, 2)
        await both.tell(both.old, 1)

        await both.old.complete(both.ids["A"])
        await settle()

        assert [*ticks(1), END] == both.seen
        assert [(1000, "Normal Closure")] * 2 == [await both.old.closed(), await both.new.closed()]
        assert "complete" == both.new.kinds[-1]


@virtual
async def test_an_error_on_the_older_socket_ends_the_operation_on_both(time: VirtualTime) -> None:
    async with overlap(time, "B") as both:
        await both.old.send({"id": both.ids["A"], "type": "error", "payload": [{"message": "no"}]})
        await settle()

        assert [CombinedGraphQLErrors] == [type(error) for error in both.seen]
        assert ["complete"] == [message["type"] for message in both.new.received[-1:]]
        assert not both.new.is_closed


@pytest.mark.parametrize("end", ["complete", "error"])
@virtual
async def test_an_end_on_the_newer_socket_comes_after_all_that_the_older_one_says(end: str, time: VirtualTime) -> None:
    async with overlap(time) as both:
        await both.tell(both.new, 2)
        await both.new.send({"id": both.ids["A"], "type": end, "payload": [{"message": "no"}]})
        await both.tell(both.old, 1)
        assert ticks(1) == both.seen

        await both.answer(both.new)
        await both.answer(both.old)

        assert ticks(1, 2) == both.seen[:2]
        assert [END if end == "complete" else "no"] == [str(last) for last in both.seen[2:]]


@virtual
async def test_queries_end_on_the_older_socket_which_closes_after_the_last(time: VirtualTime) -> None:
    async with overlap(time, "q", "r") as both:
        for connection in (both.new, both.old, both.new):
            await both.answer(connection)
        await both.tell(both.new, 1)
        assert not both.old.is_closed

        await both.old.complete(both.ids["q"])
        await settle()
        assert not both.old.is_closed
        await both.old.complete(both.ids["r"])

        assert (1000, "Normal Closure") == await both.old.closed()
        assert ticks(1) == both.seen
        assert ["connection_init", "subscribe", "ping", "ping"] == both.new.kinds


@virtual
async def test_a_query_whose_older_socket_is_lost_goes_on_with_the_newer_one(time: VirtualTime) -> None:
    async with overlap(time, "q") as both:
        for connection in (both.new, both.old, both.new):
            await both.answer(connection)

        both.old.abort()
        ids = await began(both.new, "q")

        assert both.ids["q"] == ids["q"]
        assert 2 == len(both.bench.server.handshakes)


@virtual
async def test_new_operations_begin_on_the_newer_socket_alone(time: VirtualTime) -> None:
    async with overlap(time) as both:
        others = [both.bench.start("B"), both.bench.start("q", "query")]
        await both.new.expect("ping")
        ids = await began(both.new, "B", "q")

        await both.new.deliver(ids["B"], tick=1)
        await both.new.deliver(ids["q"], tick=2)
        await settle()

        assert [ticks(1), ticks(2)] == [other.seen for other in others]
        assert ["connection_init", "subscribe"] == both.old.kinds


@virtual
async def test_who_leaves_meanwhile_leaves_both(time: VirtualTime) -> None:
    async with overlap(time, "B") as both:
        both.recorder.subscription.dispose()
        await settle()

        assert ["complete", "complete"] == [both.old.kinds[-1], both.new.kinds[-1]]
        await both.finish()
        assert [("B", False, True)] == both.resubscribed()


@virtual
async def test_when_all_leave_meanwhile_both_close(time: VirtualTime) -> None:
    async with overlap(time) as both:
        both.recorder.subscription.dispose()

        assert [(1000, "Normal Closure")] * 2 == [await both.old.closed(), await both.new.closed()]
        assert "idle" == both.bench.states[-1]
        assert [1000, 1000] == [event.code for event in both.bench.events if isinstance(event, WebSocketClosed)]


@virtual
async def test_both_are_heard_for_as_long_as_is_wished(time: VirtualTime) -> None:
    async with overlap(time, overlap=5.0) as both:
        await both.answer(both.new)
        answered = time.monotonic()
        await both.answer(both.old)
        await both.answer(both.new)

        assert 5.0 == pytest.approx(time.monotonic() - answered, abs=0.01)
        assert (1000, "Normal Closure") == await both.old.closed()


@virtual
async def test_with_reconnect_the_older_socket_closes_first(time: VirtualTime) -> None:
    async with session_with(Issuer(), time) as session, bench(auth=session, on_new_token="reconnect") as link:
        recorders = [link.start("A"), link.start("q", "query")]
        old, _ = await link.accept("A", "q")

        await session.refresh(force=True)
        assert (4205, "Client Restart") == await old.closed()
        new, ids = await served(link, "A", "q")
        await new.deliver(ids["A"], tick=1)
        await settle()

        assert "A1" == token_of(new)
        assert ticks(1) == recorders[0].seen
        assert ["Connecting", "Connected", "Closed", "Connecting", "Connected", "Resubscribed"] == link.kinds()
        assert ["idle", "connecting", "connected", "connecting", "connected"] == link.states


@virtual
async def test_with_keep_the_older_socket_stays(time: VirtualTime) -> None:
    async with session_with(Issuer(), time, life=100) as session, bench(auth=session, on_new_token="keep") as link:
        link.start("A")
        old, _ = await link.accept("A")
        old.answers_pings = True

        await session.refresh(force=True)
        await asyncio.sleep(1000)

        assert not old.is_closed
        assert 1 == len(link.server.handshakes)
        assert 1 == session.wallet.generation - 1


@virtual
async def test_the_older_protocol_hears_both_for_a_second_and_closes_one_after_another(time: VirtualTime) -> None:
    options = {"link": WebSocketLink, "subprotocol": "graphql-ws", "dedup_key": by_tick}
    async with overlap(time, **options) as both:
        began_at = time.monotonic()
        await both.tell(both.new, 2, 3)
        await both.tell(both.old, 1, 2)

        assert ticks(1, 2) == both.seen
        await asyncio.sleep(1.0)
        await both.tell(both.new, 2, 4)
        assert (1000, "Normal Closure") == await both.old.closed()

        assert 2.0 == pytest.approx(time.monotonic() - began_at, abs=0.01)
        assert ["stop", "connection_terminate"] == both.old.kinds[-2:]
        assert [("A", True, False)] == both.resubscribed()  # nothing has proved the contrary
        assert ticks(1, 2, 3, 4) == both.seen


@virtual
async def test_one_of_which_too_much_would_be_held_back_goes_over_at_once(time: VirtualTime) -> None:
    with patch("rxlink.transport._ws_operation.MOST_HELD", 3):
        async with overlap(time, "B") as both:
            await both.tell(both.old, 1)
            await both.tell(both.new, 2, 3, 4)
            assert ticks(1) == both.seen

            await both.tell(both.new, 5, 6)
            await both.tell(both.old, 7)

            assert ticks(1, 2, 3, 4, 5, 6) == both.seen
            assert "complete" == both.old.kinds[-1]
            await both.finish()
            assert [("AB", True, True)] == both.resubscribed()
