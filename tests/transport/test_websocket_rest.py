"""GraphQLWsLink when its last operation has left: who begins one in that moment, and ids that are free again."""

import asyncio

import pytest

from rxlink import GraphQLRequest, SessionEnded, execute
from rxlink.testing.virtual_time import VirtualTime, virtual
from rxlink.transport.websocket import WebSocketClosed, WebSocketEvent
from tests.auth.scripted import Issuer
from tests.recording import Recorder, subscribed
from tests.transport.websocket_bench import Bench, bench, session_with, settle, ticks, token_of


def begin_at_the_close(link: Bench, name: str) -> list[Recorder]:
    """Begin an operation when a socket has closed; return a list that it comes into."""
    begun: list[Recorder] = []

    def begin(event: WebSocketEvent) -> None:
        if isinstance(event, WebSocketClosed) and not begun:
            begun.append(subscribed(execute(link.link, GraphQLRequest(f"subscription {name} {{ tick }}"))))

    link.link.events.subscribe(begin)
    return begun


@virtual
async def test_what_begins_when_the_last_socket_closes_gets_newer_tokens_and_ends_with_the_login(
    time: VirtualTime,
) -> None:
    async with session_with(Issuer(), time) as session, bench(auth=session) as link:
        link.server.answers_pings = True
        begun = begin_at_the_close(link, "B")
        recorder = link.start("A")
        await link.accept("A")
        recorder.subscription.dispose()
        second, _ = await link.accept("B")

        await session.refresh(force=True)
        async with asyncio.timeout(60):
            third, _ = await link.accept("B")
            await second.closed()
            await session.clear()
            await third.closed()

        assert ["A0", "A1"] == [token_of(second), token_of(third)]
        assert [SessionEnded] == [type(error) for error in begun[0].seen]


@virtual
async def test_what_begins_then_is_not_told_to_be_idle() -> None:
    async with bench() as link:
        begun = begin_at_the_close(link, "B")
        recorder = link.start("A")
        await link.accept("A")
        recorder.subscription.dispose()
        connection, ids = await link.accept("B")
        await connection.deliver(ids["B"], tick=1)
        await settle()

        assert ticks(1) == begun[0].seen
        assert ["idle", "connecting", "connected", "connecting", "connected"] == link.states


@pytest.mark.parametrize("is_open", [True, False])
@virtual
async def test_what_begins_while_one_more_socket_is_opening_gets_a_socket(time: VirtualTime, *, is_open: bool) -> None:
    async with session_with(Issuer(), time) as session, bench(auth=session) as link:
        begun = begin_at_the_close(link, "B")
        recorder = link.start("A")
        await link.accept("A")
        await session.refresh(force=True)
        if is_open:
            await (await link.server.connection()).expect("connection_init")

        recorder.subscription.dispose()
        await settle()
        if not is_open:
            await asyncio.sleep(0.1)
        connection = await link.server.connection()
        while connection.is_closed:
            connection = await link.server.connection()
        await connection.acknowledge()
        await connection.deliver((await connection.hear())["id"], tick=1)
        await settle()

        assert ticks(1) == begun[0].seen


class Counted(str):
    """An id that counts how often it is compared."""

    __slots__ = ()
    __hash__ = str.__hash__
    count = 0

    def __eq__(self, other: object) -> bool:
        Counted.count += 1
        return str.__eq__(self, other)


@virtual
async def test_an_id_is_looked_up_and_is_free_again_when_its_operation_has_ended() -> None:
    names = [Counted(number) for number in range(100)]
    given = iter([*names, Counted(7), Counted(7)])
    async with bench(generate_id=lambda body: next(given)) as link:
        recorders = [link.start("A") for _ in names]
        assert 10 > Counted.count

        refused = link.start("A").seen
        recorders[7].subscription.dispose()
        again = link.start("A").seen

        assert ["`generate_id` returned" in str(error) for error in refused] == [True]
        assert [] == again
