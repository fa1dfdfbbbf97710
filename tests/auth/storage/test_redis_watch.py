"""Other processes' changes are told at once, over a channel of Redis or Valkey."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from rxlink.auth.storage import redis_watch
from rxlink.auth.storage.redis import RedisTokenStorage
from rxlink.auth.tokens import TokenSet
from tests.auth.storage.valkey_server import ValkeyServer, running_server, soon

KEY = "rxlink:ada"
A0 = TokenSet("A0")
LIMIT = 10.0
"""Seconds for what takes a moment, on a busy machine."""


class Notices:
    """Counts them, and waits for the next."""

    def __init__(self) -> None:
        self.count = 0
        self._came = asyncio.Event()

    def __call__(self) -> None:
        self.count += 1
        self._came.set()

    async def next(self) -> int:
        await asyncio.wait_for(self._came.wait(), LIMIT)
        self._came.clear()
        return self.count


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    with running_server(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def server(program: ValkeyServer) -> Iterator[ValkeyServer]:
    """Runs; and every connection is closed afterwards."""
    if not program.answers():
        program.restart()
    yield program
    assert program.wait_for_connections(0)


@pytest.fixture
async def storage(server: ValkeyServer) -> AsyncIterator[RedisTokenStorage]:
    async with RedisTokenStorage(server.url, KEY) as storage:
        yield storage


@pytest.fixture
def short_pulse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_watch, "PULSE", 0.1)
    monkeypatch.setattr(redis_watch, "CALL_LIMIT", 0.3)


async def watching(storage: RedisTokenStorage) -> tuple[Notices, Callable[[], None]]:
    """Begin to watch, and wait until the channel stands."""
    notices = Notices()
    stop = storage.watch(notices)
    assert 1 == await notices.next()
    return notices, stop


async def test_each_change_is_told_with_what_was_changed_in_place(
    server: ValkeyServer, storage: RedisTokenStorage
) -> None:
    """E72: a sign-in or sign-out elsewhere is noticed at once; who looks then finds it."""
    async with RedisTokenStorage(server.url, KEY) as other:
        notices, stop = await watching(storage)
        await other.save(A0)
        told = await notices.next(), await storage.load()
        await other.clear()
        told += await notices.next(), await storage.load()
        stop()

        assert (2, A0, 3, None) == told


async def test_one_that_was_lost_is_not_told(server: ValkeyServer, storage: RedisTokenStorage) -> None:
    await storage.save(A0)
    record = await storage.read()
    assert record is not None
    notices, stop = await watching(storage)

    await storage.replace(None, record)
    await storage.save(A0)

    assert 2 == await notices.next()
    stop()


async def test_the_stamp_differs_after_each_notice(storage: RedisTokenStorage) -> None:
    before = storage.stamp()
    notices, stop = await watching(storage)
    stamps = [before, storage.stamp()]
    for _ in range(3):
        await storage.save(A0)
        await notices.next()
        stamps.append(storage.stamp())
    stop()

    assert [0, 1, 2, 3, 4] == stamps


async def test_another_loop_is_heard(storage: RedisTokenStorage) -> None:
    notices, stop = await watching(storage)

    await asyncio.to_thread(lambda: asyncio.run(storage.save(A0)))

    assert 2 == await notices.next()
    stop()


async def test_after_the_server_was_away_it_is_told_once_more_and_goes_on(
    server: ValkeyServer, storage: RedisTokenStorage, caplog: pytest.LogCaptureFixture
) -> None:
    """A message may have been missed; the outage is in the log, once."""
    caplog.set_level(logging.WARNING)
    notices, stop = await watching(storage)
    await asyncio.to_thread(server.kill)
    await asyncio.sleep(0.5)  # some tries
    silent = notices.count

    await asyncio.to_thread(server.start)
    again = await notices.next()
    await storage.save(A0)
    last = await notices.next()
    stop()

    assert (1, 2, 3) == (silent, again, last)
    assert [f"not told of changes by 127.0.0.1:{server.port}/0: ConnectionError"] == caplog.messages


async def test_it_may_begin_while_the_server_is_away(server: ValkeyServer, storage: RedisTokenStorage) -> None:
    await asyncio.to_thread(server.kill)
    notices = Notices()
    stop = storage.watch(notices)
    await asyncio.sleep(0.1)

    await asyncio.to_thread(server.start)

    assert 1 == await notices.next()
    stop()


async def test_a_connection_that_the_server_ends_is_opened_again(
    server: ValkeyServer, storage: RedisTokenStorage
) -> None:
    notices, stop = await watching(storage)

    with server.client() as client:
        client.client_kill_filter(_type="pubsub")

    assert 2 == await notices.next()
    stop()


async def test_a_channel_that_is_quiet_is_asked_and_looked_past(storage: RedisTokenStorage, short_pulse: None) -> None:
    notices, stop = await watching(storage)

    told = [await notices.next(), await notices.next()]
    stop()

    assert [2, 3] == told


async def test_a_channel_that_does_not_answer_is_opened_again(
    server: ValkeyServer, storage: RedisTokenStorage, short_pulse: None, caplog: pytest.LogCaptureFixture
) -> None:
    """A connection may be dead without an end, behind a firewall: nothing would ever be told."""
    notices, stop = await watching(storage)
    with server.paused():
        await soon(lambda: bool(caplog.messages))
    before = notices.count

    after = await notices.next() + await notices.next()
    stop()

    assert [f"not told of changes by 127.0.0.1:{server.port}/0: TimeoutError"] == caplog.messages[:1]
    assert after > 2 * before


async def test_once_stopped_it_tells_no_more_and_leaves_nothing(
    server: ValkeyServer, storage: RedisTokenStorage
) -> None:
    notices, stop = await watching(storage)
    others, stop_other = await watching(storage)
    before = asyncio.all_tasks()

    stop()
    stop()
    await storage.save(A0)
    told = await others.next()
    stop_other()
    await asyncio.sleep(0.05)

    assert (1, 2) == (notices.count, told)
    assert server.wait_for_connections(1)  # over which it was saved
    assert 2 == len(before - asyncio.all_tasks())


async def test_it_may_be_stopped_before_it_has_begun_and_from_another_thread(storage: RedisTokenStorage) -> None:
    notices = Notices()
    storage.watch(notices)()
    others, stop = await watching(storage)

    thread = threading.Thread(target=stop)
    thread.start()
    await asyncio.to_thread(thread.join)
    await storage.save(A0)
    await asyncio.sleep(0.05)

    assert (0, 1) == (notices.count, others.count)


async def test_closing_the_storage_stops_what_watches_on_this_loop(
    server: ValkeyServer, storage: RedisTokenStorage
) -> None:
    notices, stop = await watching(storage)

    await storage.aclose()

    assert server.wait_for_connections(0)
    assert 1 == notices.count
    stop()


def test_the_end_of_a_loop_ends_it_quietly(server: ValkeyServer, capfd: pytest.CaptureFixture[str]) -> None:
    """And stopping it afterwards does no harm."""
    storage = RedisTokenStorage(server.url, KEY)
    stops: list[Any] = []

    async def watch() -> None:
        stops.append((await watching(storage))[1])

    for _ in range(3):
        asyncio.run(watch())
    for stop in stops:
        stop()

    assert server.wait_for_connections(0)
    assert ("", "") == capfd.readouterr()


async def test_a_notice_that_raises_is_reported_and_the_next_is_told(storage: RedisTokenStorage) -> None:
    complaints: list[Any] = []
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, complaint: complaints.append(complaint["exception"]))
    wrong = ValueError("wrong")

    def raise_wrong() -> None:
        raise wrong

    stop = storage.watch(raise_wrong)
    notices, stop_other = await watching(storage)
    await storage.save(A0)
    await notices.next()
    await soon(lambda: len(complaints) >= 2)
    stop()
    stop_other()
    loop.set_exception_handler(before)

    assert [wrong, wrong] == complaints


async def test_notices_come_in_the_context_of_who_watches(storage: RedisTokenStorage) -> None:
    """P11."""
    tenant: ContextVar[str] = ContextVar("tenant", default="nobody's")
    seen: list[str] = []
    tenant.set("ada's")
    stop = storage.watch(lambda: seen.append(tenant.get()))
    tenant.set("bob's")
    notices, stop_other = await watching(storage)

    await storage.save(A0)
    await notices.next()
    await soon(lambda: len(seen) >= 2)
    stop()
    stop_other()

    assert {"ada's"} == set(seen)
