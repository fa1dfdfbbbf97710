"""When GraphQLWsLink tells that operations go on after a loss: once they have begun.

Who asks again at that moment loses nothing.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rxlink import WebSocketLink
from rxlink.testing.virtual_time import VirtualTime, virtual
from rxlink.transport.websocket import Resubscribed
from tests.auth.scripted import Issuer
from tests.transport.websocket_bench import (
    UNAUTHENTICATED,
    Bench,
    bench,
    session_with,
    settle,
    token_of,
)
from tests.transport.websocket_server import Connection

TIMEOUT = 7.0


def at_once(retries: int) -> float:
    return 0.0


def told(link: Bench) -> list[str]:
    """Return of which operations it was told that they go on, with a gap."""
    return [
        "".join(operation.operation_name or "" for operation in event.operations)
        for event in link.events
        if isinstance(event, Resubscribed) and event.may_have_gap
    ]


@asynccontextmanager
async def resubscribed(*names: str, **options: object) -> AsyncIterator[tuple[Bench, Connection, dict[str, str]]]:
    """Start subscriptions, cut their socket, and hear them begin on the next one."""
    async with bench(retry_wait=at_once, keep_alive=None, keep_alive_timeout=TIMEOUT, **options) as link:
        for name in names:
            link.start(name)
        first, _ = await link.accept(*names)
        first.abort()
        second, ids = await link.accept(*names)
        await settle()
        yield link, second, ids


@virtual
async def test_it_is_told_when_a_ping_behind_them_is_answered(time: VirtualTime) -> None:
    async with resubscribed("A", "B") as (link, connection, _):
        before = told(link)
        await connection.expect("ping")
        await connection.send({"type": "pong"})
        await settle()

        assert [[], ["AB"]] == [before, told(link)]
        await asyncio.sleep(100)
        assert ["AB"] == told(link)


@virtual
async def test_a_server_that_does_not_answer_has_keep_alive_timeout(time: VirtualTime) -> None:
    async with resubscribed("A") as (link, _, _):
        await asyncio.sleep(TIMEOUT - 0.1)
        before = told(link)
        await asyncio.sleep(0.2)

        assert [[], ["A"]] == [before, told(link)]


@virtual
async def test_an_overlap_is_waited_for_after_the_answer(time: VirtualTime) -> None:
    async with resubscribed("A", overlap=3.0) as (link, connection, _):
        await connection.send({"type": "pong"})
        await asyncio.sleep(2.9)
        before = told(link)
        await asyncio.sleep(0.2)

        assert [[], ["A"]] == [before, told(link)]


@virtual
async def test_the_older_protocol_which_has_no_pings_has_a_second(time: VirtualTime) -> None:
    async with resubscribed("A", link=WebSocketLink, subprotocol="graphql-ws") as (link, _, _):
        await asyncio.sleep(0.9)
        before = told(link)
        await asyncio.sleep(0.2)

        assert [[], ["A"]] == [before, told(link)]


@virtual
async def test_where_the_next_socket_is_lost_too_it_is_told_once() -> None:
    async with resubscribed("A", "B") as (link, second, ids):
        await second.complete(ids["B"])
        await settle()
        before = told(link)
        second.abort()
        third, _ = await link.accept("A")
        between = told(link)
        await third.send({"type": "pong"})
        await settle()

        assert [] == before
        assert ["B"] == between  # it has come to its end, and may have a gap
        assert ["B", "A"] == told(link)


@virtual
async def test_those_that_are_complete_before_the_answer_are_told_of_too() -> None:
    async with resubscribed("A") as (link, connection, ids):
        await connection.complete(ids["A"])
        await settle()

        assert (1000, "Normal Closure") == await connection.closed()
        assert ["A"] == told(link)


@virtual
async def test_those_that_were_left_or_have_failed_are_not() -> None:
    async with bench(retry_wait=at_once) as link:
        recorders = [link.start(name) for name in "ABC"]
        first, _ = await link.accept("A", "B", "C")
        first.abort()
        second, ids = await link.accept("A", "B", "C")
        recorders[0].subscription.dispose()
        await second.send({"id": ids["B"], "type": "error", "payload": [{"message": "no"}]})
        await second.send({"type": "pong"})
        await settle()

        assert ["C"] == told(link)


@virtual
async def test_a_late_answer_tells_it_once_more(time: VirtualTime) -> None:
    async with resubscribed("A") as (link, connection, _):
        await asyncio.sleep(TIMEOUT + 1)
        before = told(link)
        await connection.send({"type": "pong"})
        await settle()

        assert [["A"], ["A", "A"]] == [before, told(link)]


@virtual
async def test_another_socket_that_is_lost_meanwhile_changes_nothing(time: VirtualTime) -> None:
    async with (
        session_with(Issuer(), time) as session,
        bench(auth=session, retry_wait=lambda _: 1, keep_alive=None, keep_alive_timeout=60) as link,
    ):
        link.start("A")
        first, _ = await link.accept("A")
        first.abort()
        second, _ = await link.accept("A")
        await session.refresh(force=True)
        third, _ = await link.accept("A")
        third.abort()
        await settle()
        before = told(link)
        await second.send({"type": "pong"})
        await settle()

        assert [[], ["A"]] == [before, told(link)]


@virtual
async def test_sockets_that_cannot_be_opened_do_not_put_it_off(time: VirtualTime) -> None:
    async with (
        session_with(Issuer(), time) as session,
        bench(auth=session, retry_wait=lambda _: 0.5, overlap=3.0, retry_attempts=None, keep_alive=None) as link,
    ):
        link.start("A")
        first, _ = await link.accept("A")
        first.abort()
        second, _ = await link.accept("A")
        link.server.refusal = 503
        await session.refresh(force=True)
        await second.send({"type": "pong"})
        await asyncio.sleep(3.1)

        assert ["A"] == told(link)


@virtual
async def test_those_that_wait_for_a_token_are_told_of_when_they_have_begun(time: VirtualTime) -> None:
    async with session_with(Issuer(), time) as session, bench(auth=session, retry_wait=at_once) as link:
        link.start("A")
        first, ids = await link.accept("A")
        first.abort()
        second, _ = await link.accept("A")
        link.server.answers_pings = True
        await second.send({"id": ids["A"], "type": "error", "payload": [UNAUTHENTICATED]})
        await second.send({"type": "pong"})
        await settle()
        before = told(link)
        third, _ = await link.accept("A")
        await settle()

        assert [[], ["A"]] == [before, told(link)]
        assert "A1" == token_of(third)


@virtual
async def test_when_the_link_is_closed_nothing_is_told_of_what_ends_with_it() -> None:
    async with resubscribed("A") as (link, _, _):
        await link.link.aclose()

        assert [] == told(link)
