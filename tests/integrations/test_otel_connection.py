"""Connections that are lost and made again, as metrics and as events of the subscriptions that they carry."""

from __future__ import annotations

import asyncio

from rxlink import (
    AuthSession,
    GraphQLRequest,
    GraphQLWsLink,
    OpenTelemetryLink,
    SseLink,
    TokenSet,
    execute,
    from_,
    instrument_connection,
)
from rxlink.testing import AuthServer, Fault
from rxlink.testing.virtual_time import virtual
from tests.integrations.exported import Exported, attributes_of, events_of
from tests.recording import END, subscribed
from tests.transport.pieces import tick
from tests.transport.scripted_server import scripted_server
from tests.transport.sse_server import event
from tests.transport.test_sse_resuming import COMPLETE, answer_events, answer_in_turn, at_once
from tests.transport.websocket_bench import bench, settle, unused_url

TICKS = GraphQLRequest("subscription Ticks { tick }")
OVER_SOCKETS = {"rxlink.transport": "websocket"}
OVER_SSE = {"rxlink.transport": "sse"}


@virtual
async def test_a_socket_that_is_lost_and_made_again_is_counted_and_told_to_its_subscriptions(
    exported: Exported,
) -> None:
    async with bench() as built:
        instrument_connection(built.link, meter_provider=exported.meters)
        link = from_([OpenTelemetryLink(**exported.providers), built.link])
        running = [subscribed(execute(link, GraphQLRequest(f"subscription {name} {{ tick }}"))) for name in "AB"]
        connection, _ = await built.accept("A", "B")

        await connection.close(1012, "secret")
        connection, ids = await built.accept("A", "B")
        for name in "AB":
            await connection.deliver(ids[name], tick=1)
        await connection.send({"type": "pong"})
        await settle()
        for each in running:
            each.subscription.dispose()

    assert [(OVER_SOCKETS, 1)] == exported.points("rxlink.connection.retries")
    assert [(OVER_SOCKETS, 1)] == exported.points("rxlink.connection.reconnects")
    for span in exported.named("subscription"):
        assert ["rxlink.resubscribed"] == events_of(span)
        assert {"rxlink.may_have_gap": True, "rxlink.may_have_duplicates": False} == dict(
            span.events[0].attributes or {}
        )
    assert 2 == len(exported.spans)
    assert "secret" not in exported.everything()


@virtual
async def test_tries_that_lead_nowhere_are_retries_and_no_reconnects(exported: Exported) -> None:
    async with bench(url=unused_url(), retry_attempts=3) as built:
        instrument_connection(built.link, meter_provider=exported.meters)
        subscribed(execute(built.link, TICKS))
        await asyncio.sleep(100)

    assert [(OVER_SOCKETS, 3)] == exported.points("rxlink.connection.retries")
    assert [] == exported.points("rxlink.connection.reconnects")


@virtual
async def test_a_request_that_is_subscribed_twice_has_two_spans_that_hear_of_it(exported: Exported) -> None:
    async with bench() as built:
        instrument_connection(built.link, meter_provider=exported.meters)
        ticks = execute(from_([OpenTelemetryLink(**exported.providers), built.link]), TICKS)
        running = [subscribed(ticks) for _ in range(3)]
        running.pop().subscription.dispose()
        connection, _ = await built.accept("Ticks", "Ticks")

        await connection.close(1012)
        connection, _ = await built.accept("Ticks", "Ticks")
        await connection.send({"type": "pong"})
        await settle()
        for each in running:
            each.subscription.dispose()

    assert [[], ["rxlink.resubscribed"], ["rxlink.resubscribed"]] == [events_of(span) for span in exported.spans]


async def test_a_subscription_over_a_real_server_lives_through_a_cut(exported: Exported) -> None:
    async with AuthServer(token_life=60) as server:
        pair = server.sign_in("ada")
        session = AuthSession(refresh=lambda tokens, reason: None, tokens=TokenSet(pair.access_token))
        async with GraphQLWsLink(server.ws_url, auth=session, retry_wait=lambda retries: 0) as sockets:
            instrument_connection(sockets, meter_provider=exported.meters)
            again = asyncio.Event()
            sockets.events.subscribe(lambda told: again.set() if type(told).__name__ == "Resubscribed" else None)
            link = from_([OpenTelemetryLink(**exported.providers), sockets])
            first = asyncio.Event()
            ticking = GraphQLRequest("subscription Ticks { ticks(every: 0.01) }")
            running = execute(link, ticking).subscribe(lambda result: first.set())
            await first.wait()

            assert 1 == server.strike_sockets(Fault.drop())
            await again.wait()
            running.dispose()

    assert ["rxlink.resubscribed"] == events_of(exported.span)
    assert attributes_of(exported.span)["rxlink.results"] >= 1
    assert [(OVER_SOCKETS, 1)] == exported.points("rxlink.connection.reconnects")


async def test_a_stream_of_server_sent_events_is_counted_too(exported: Exported) -> None:
    async with scripted_server() as server:
        server.answer = answer_in_turn(answer_events(event(tick(1))), answer_events(event(tick(2)), COMPLETE))
        async with SseLink(server.uri, retry_wait=at_once) as streams:
            instrumentation = instrument_connection(streams, meter_provider=exported.meters)
            link = from_([OpenTelemetryLink(**exported.providers), streams])
            recorder = await ended(link)
            instrumentation.dispose()
            server.answer = answer_in_turn(answer_events(event(tick(1))), answer_events(event(tick(2)), COMPLETE))
            await ended(link)

    assert [tick(1), tick(2), END] == recorder
    assert [(OVER_SSE, 1)] == exported.points("rxlink.connection.retries")
    assert [(OVER_SSE, 1)] == exported.points("rxlink.connection.reconnects")
    assert [["rxlink.resubscribed"], []] == [events_of(span) for span in exported.spans]


async def ended(link: object) -> list[object]:
    """Run the subscription to its end, and return what came."""
    end = asyncio.Event()
    seen: list[object] = []
    execute(link, TICKS).subscribe(seen.append, seen.append, lambda: (seen.append(END), end.set()))  # type: ignore[arg-type]
    await end.wait()
    return seen
