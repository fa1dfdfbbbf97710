"""GraphQLWsLink when the server denies operations while they go over to another socket."""

from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.transport.websocket_bench import (
    UNAUTHENTICATED,
    began,
    settle,
    ticks,
    token_of,
)
from tests.transport.websocket_overlap import by_tick, overlap


@virtual
async def test_a_denial_on_the_newer_socket_counts_only_when_the_operation_has_gone_over(time: VirtualTime) -> None:
    async with overlap(time, "B") as both:
        await both.tell(both.new, 2)
        await both.new.send({"id": both.ids["A"], "type": "next", "payload": {"errors": [UNAUTHENTICATED]}})
        await both.new.complete(both.ids["A"])
        await both.tell(both.old, 1)
        assert 1 == both.issuer.issued

        await both.answer(both.new)
        await both.answer(both.old)
        third, _ = await both.bench.accept("B")
        await third.expect("ping")
        await began(third, "A")
        await both.tell(third, 3)

        assert ticks(1, 2, 3) == both.seen
        assert "A2" == token_of(third)


@virtual
async def test_a_socket_that_is_newer_still_takes_over_with_all_keys(time: VirtualTime) -> None:
    async with overlap(time, "B", dedup_key=by_tick) as both:
        await both.tell(both.old, 1)
        await both.tell(both.old, 1, name="B")
        await both.answer(both.new)
        await both.answer(both.old)

        await both.new.send({"id": both.ids["B"], "type": "error", "payload": [UNAUTHENTICATED]})
        third, _ = await both.bench.accept("A")
        await third.expect("ping")
        await began(third, "B")
        await both.tell(both.new, 1, 2)
        await both.tell(third, 2, 3)
        await third.send({"type": "pong"})
        for connection in (both.new, both.new, third, third):  # they were asked about the overlap before, and about B
            await both.answer(connection)
        await both.tell(third, 4)
        await both.tell(third, 1, name="B")

        assert ticks(1, 2, 3, 4) == both.seen
        assert ticks(1, 1) == both.recorders["B"].seen  # which has begun anew
        assert "A2" == token_of(third)
        assert (1000, "Normal Closure") == await both.old.closed()


@virtual
async def test_keys_are_kept_where_the_newer_socket_takes_too_long_to_answer(time: VirtualTime) -> None:
    async with overlap(time, dedup_key=by_tick, keep_alive=None, keep_alive_timeout=7.0) as both:
        await both.tell(both.old, 1)
        await both.answer(both.new)
        await both.answer(both.old)
        await both.old.closed()

        await both.tell(both.new, 1, 2)

        assert ticks(1, 2) == both.seen


@virtual
async def test_one_that_is_denied_on_the_older_socket_goes_over_at_once(time: VirtualTime) -> None:
    async with overlap(time, "B") as both:
        await both.tell(both.new, 1)

        await both.old.send({"id": both.ids["A"], "type": "error", "payload": [UNAUTHENTICATED]})
        await settle()

        assert ticks(1) == both.seen
        assert 1 == both.issuer.issued
        await both.finish()


@virtual
async def test_a_query_that_is_denied_on_the_older_socket_begins_anew_on_the_newer_one(time: VirtualTime) -> None:
    async with overlap(time, "q") as both:
        await both.old.send({"id": both.ids["q"], "type": "error", "payload": [UNAUTHENTICATED]})

        await both.new.expect("ping")
        await began(both.new, "q")

        assert 1 == both.issuer.issued


@virtual
async def test_a_query_that_ends_on_an_older_socket_does_not_need_a_newer_one(time: VirtualTime) -> None:
    async with overlap(time, "q") as both:
        for connection in (both.new, both.old, both.new):
            await both.answer(connection)
        both.recorder.subscription.dispose()
        both.new.abort()
        await settle()
        assert "connected" == both.bench.states[-1]

        await both.old.complete(both.ids["q"])

        assert (1000, "Normal Closure") == await both.old.closed()
        await both.bench.until("idle")
        assert 2 == len(both.bench.server.handshakes)


@virtual
async def test_the_last_one_that_is_denied_on_an_older_socket_closes_it(time: VirtualTime) -> None:
    async with overlap(time, "q") as both:
        for connection in (both.new, both.old, both.new):
            await both.answer(connection)
        assert not both.old.is_closed

        await both.old.send({"id": both.ids["q"], "type": "error", "payload": [UNAUTHENTICATED]})

        assert (1000, "Normal Closure") == await both.old.closed()
        await began(both.new, "q")
