"""Functions of the application that raise what is no `Exception`: it harms those whom it concerns, and nobody else."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute
from rxlink.errors import OperationCancelled, SocketClosed
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.recording import Recorder, subscribed
from tests.transport.websocket_stories import TICKS, Make, begun, both, ids_of, serving, ticked

FAULTS: tuple[type[BaseException], ...] = (asyncio.CancelledError, GeneratorExit)

faults = pytest.mark.parametrize("fault", FAULTS)


def raising(fault: type[BaseException]) -> Callable[[Any], Any]:
    def function(_: Any) -> Any:
        raise fault("of the application")

    return function


def complaints() -> list[Any]:
    """Return what the running loop will be told, from now on."""
    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, complaint: told.append(complaint["exception"]))
    return told


@both
@faults
@pytest.mark.parametrize("name", ["should_retry", "is_fatal_connection_problem"])
def test_who_decides_about_another_try_ends_the_operations(make: Make, fault: type[BaseException], name: str) -> None:
    @virtual
    async def test() -> None:
        async with serving(make) as server, make(server.url, **{name: raising(fault)}) as link:
            connection, recorders = await begun(server, link, TICKS, TICKS)
            connection.abort()
            await asyncio.sleep(1)

            for recorder in recorders:
                (error,) = recorder.seen
                assert isinstance(error, OperationCancelled)
                assert isinstance(error.__cause__, fault)

    test()


@both
@faults
def test_who_hears_of_a_lost_connection_is_reported(make: Make, fault: type[BaseException]) -> None:
    @virtual
    async def test() -> None:
        told = complaints()
        options = {"lazy": False, "retry_attempts": 0, "on_non_lazy_error": raising(fault)}
        async with serving(make) as server, make(server.url, **options) as link:
            connection, recorders = await begun(server, link, TICKS, TICKS)
            connection.abort()
            await asyncio.sleep(1)

            assert [[SocketClosed]] * 2 == [list(map(type, recorder.seen)) for recorder in recorders]
            assert [fault] == list(map(type, told))

    test()


@both
@faults
def test_who_judges_errors_sees_none(make: Make, fault: type[BaseException]) -> None:
    @virtual
    async def test() -> None:
        told = complaints()
        session = AuthSession(refresh=lambda tokens, reason: None, tokens=TokenSet("of-ada"))
        async with serving(make) as server, make(server.url, auth=session, is_auth_error=raising(fault)) as link:
            connection, (one, other) = await begun(server, link, TICKS, TICKS)
            first, second = ids_of(connection)
            await connection.send({"type": "error", "id": first, "payload": [{"message": "no"}]})
            await connection.deliver(second, ticks=1)
            await asyncio.sleep(0.01)

            assert ["no"] == list(map(str, one.seen))
            assert ticked(1) == other.seen
            assert [fault] == list(map(type, told))
        await session.aclose()

    test()


@both
@faults
def test_who_gets_a_result_ends_its_own_stream(make: Make, fault: type[BaseException]) -> None:
    class Raising(Recorder):
        def on_next(self, value: Any) -> None:
            raise fault("of the subscriber")

    @virtual
    async def test() -> None:
        async with serving(make) as server, make(server.url) as link:
            one = Raising()
            execute(link, TICKS).subscribe(one)
            connection, (other,) = await begun(server, link)
            await connection.begin()
            for identity in ids_of(connection):
                await connection.deliver(identity, ticks=1)
            await asyncio.sleep(0.01)

            assert [OperationCancelled] == list(map(type, one.seen))
            assert ticked(1) == other.seen

    test()


@both
@faults
def test_who_hears_of_the_end_is_reported(make: Make, fault: type[BaseException]) -> None:
    class Raising(Recorder):
        def on_completed(self) -> None:
            raise fault("of the subscriber")

    @virtual
    async def test() -> None:
        told = complaints()
        async with serving(make) as server, make(server.url) as link:
            execute(link, TICKS).subscribe(Raising())
            connection, (other,) = await begun(server, link)
            await connection.begin()
            for identity in ids_of(connection):
                await connection.complete(identity)
            await asyncio.sleep(0.01)

            assert ["completed"] == other.seen
            assert [fault] == list(map(type, told))

    test()


@both
@faults
def test_who_decodes_has_found_no_json(make: Make, fault: type[BaseException]) -> None:
    @virtual
    async def test() -> None:
        async with serving(make) as server, make(server.url, decode=raising(fault)) as link:
            recorder = subscribed(execute(link, TICKS))
            connection = await server.connection()
            await connection.acknowledge()
            await connection.closed()

            (error,) = recorder.seen
            assert (4400, "a message is no JSON") == (error.code, error.reason)

    test()


@both
@faults
@pytest.mark.parametrize("name", ["connection_params", "url"])
def test_who_tells_how_to_connect_ends_those_who_wait(make: Make, fault: type[BaseException], name: str) -> None:
    def ask() -> Any:
        raise fault("of the application")

    @virtual
    async def test(time: VirtualTime) -> None:
        told = complaints()
        async with make(**{"url": "ws://localhost/", name: ask}) as link:
            recorders = [subscribed(execute(link, TICKS)) for _ in range(2)]
            await asyncio.sleep(1)

            assert [[OperationCancelled]] * 2 == [list(map(type, recorder.seen)) for recorder in recorders]
            assert fault is asyncio.CancelledError or isinstance(recorders[0].seen[0].__cause__, fault)
        assert [] == time.leftovers()
        assert {fault} >= set(map(type, told))

    test()
