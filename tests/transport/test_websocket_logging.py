"""What an application's log does to a WebSocket: nothing, whatever its filters raise."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from rxlink.core.chain import execute
from rxlink.testing.virtual_time import virtual
from tests.recording import subscribed
from tests.transport.websocket_stories import TICKS, Make, begun, both, ids_of, serving, ticked

FAULTS: list[BaseException] = [RuntimeError("of a filter"), asyncio.CancelledError(), GeneratorExit()]


class Raising(logging.Filter):
    def __init__(self, fault: BaseException) -> None:
        super().__init__()
        self.fault = fault

    def filter(self, record: logging.LogRecord) -> bool:
        raise self.fault


@pytest.fixture(params=FAULTS, ids=lambda fault: type(fault).__name__)
def fault(request: pytest.FixtureRequest) -> Iterator[BaseException]:
    logger = logging.getLogger("rxlink.transport.websocket")
    level, raising = logger.level, Raising(request.param)
    logger.setLevel(logging.DEBUG)
    logger.addFilter(raising)
    yield request.param
    logger.removeFilter(raising)
    logger.setLevel(level)


@both
def test_a_filter_that_raises_stops_neither_what_is_sent_nor_what_is_heard(make: Make, fault: BaseException) -> None:
    complaints: list[Any] = []

    @virtual
    async def test() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint["exception"]))
        async with serving(make) as server, make(server.url, retry_attempts=0) as link:
            connection, (recorder,) = await begun(server, link)
            await connection.deliver(ids_of(connection)[0], ticks=1)
            await connection.complete(ids_of(connection)[0])
            await connection.closed()

        assert [*ticked(1), "completed"] == recorder.seen

    test()

    assert {id(fault)} == set(map(id, complaints))


@both
def test_what_cannot_be_sent_for_whatever_reason_ends_the_socket(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    bug = RuntimeError("of whoever sends")

    async def send(*_: object, **__: object) -> None:
        raise bug

    @virtual
    async def test() -> None:
        async with serving(make) as server, make(server.url) as link:
            monkeypatch.setattr(aiohttp.ClientWebSocketResponse, "send_str", send)
            recorder = subscribed(execute(link, TICKS))
            connection = await server.connection()

            assert (4005, "Internal client error") == await connection.closed()
            assert [bug] == recorder.seen

    test()
