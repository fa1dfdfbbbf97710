"""The right to refresh, as a lock of Redis or Valkey that ends by itself."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import redis.asyncio.lock

from rxlink.auth.storage.redis import RedisTokenStorage
from tests.auth.storage.valkey_server import ValkeyServer, running_server

KEY = "rxlink:ada"
SHORT = 0.2
"""Seconds of a lease whose end is waited for."""
LIMIT = 5.0
"""Seconds for what takes a moment, on a busy machine."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    with running_server(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def server(program: ValkeyServer) -> Iterator[ValkeyServer]:
    """Empty; and every connection is closed afterwards."""
    with program.client() as client:
        client.flushall()
    yield program
    assert program.wait_for_connections(0)


async def acquired(storage: RedisTokenStorage) -> Any:
    """The lease, as soon as it is free."""
    for _ in range(1000):
        if (lease := await storage.try_acquire()) is not None:
            return lease
        await asyncio.sleep(0.01)
    raise AssertionError("it did not become free")


def rest_of(server: ValkeyServer, name: str = KEY + ":lock") -> float:
    """For how many seconds the lock lasts; negative where there is none."""
    with server.client() as client:
        return client.pttl(name) / 1000


async def test_one_has_it_at_a_time(server: ValkeyServer) -> None:
    """E72, P1."""
    async with RedisTokenStorage(server.url, KEY) as ours, RedisTokenStorage(server.url, KEY) as theirs:
        first = await ours.try_acquire()
        meanwhile = [await ours.try_acquire(), await theirs.try_acquire()]
        assert first is not None
        await first.release()
        second = await theirs.try_acquire()

        assert [None, None] == meanwhile
        assert second is not None
        assert 3.0 == first.duration


async def test_it_ends_by_itself_where_its_holder_never_renews(server: ValkeyServer) -> None:
    """E74: a dead holder costs one lease."""
    async with RedisTokenStorage(server.url, KEY, lease=SHORT) as storage:
        loop = asyncio.get_running_loop()
        first = await storage.try_acquire()
        began = loop.time()

        second = await acquired(storage)

        assert first is not None
        assert SHORT == first.duration
        assert SHORT - 0.05 < loop.time() - began  # its beginning was before the answer
        assert False is await first.renew()
        assert True is await second.renew()


async def test_renewing_keeps_it_for_its_full_duration_and_no_longer(server: ValkeyServer) -> None:
    async with RedisTokenStorage(server.url, KEY, lease=30) as storage:
        lease = await storage.try_acquire()
        assert lease is not None
        with server.client() as client:
            client.pexpire(KEY + ":lock", 5000)
        before = rest_of(server)

        kept = await lease.renew()

        assert True is kept
        assert before <= 5
        assert 25 < rest_of(server) <= 30


async def test_renewed_again_and_again_it_outlasts_its_duration(server: ValkeyServer) -> None:
    async with RedisTokenStorage(server.url, KEY, lease=1) as storage:
        lease = await storage.try_acquire()
        assert lease is not None
        taken = []
        for _ in range(6):
            await asyncio.sleep(0.25)
            taken += [await lease.renew(), await storage.try_acquire()]

        assert [True, None] * 6 == taken


async def test_a_lost_one_that_is_released_leaves_the_next_holders_alone(server: ValkeyServer) -> None:
    """E72: by its own mark, not by its name."""
    async with RedisTokenStorage(server.url, KEY, lease=SHORT) as storage:
        lost = await storage.try_acquire()
        with server.client() as client:
            client.delete(KEY + ":lock")
        next_holders = await acquired(storage)
        assert lost is not None

        renewed = await lost.renew()
        await lost.release()
        await lost.release()

        assert (False, True, False) == (renewed, await next_holders.renew(), await lost.renew())


async def test_one_that_lasts_for_ever_is_not_kept_by_renewing(server: ValkeyServer) -> None:
    """Somebody took the end from it by hand: that is no lease any more."""
    async with RedisTokenStorage(server.url, KEY) as storage:
        lease = await storage.try_acquire()
        assert lease is not None
        with server.client() as client:
            client.persist(KEY + ":lock")

        assert False is await lease.renew()
        await lease.release()


async def test_it_may_be_released_after_the_storage_was_closed(server: ValkeyServer) -> None:
    """The connection is opened for it, and closes like others."""
    storage = RedisTokenStorage(server.url, KEY)
    lease = await storage.try_acquire()
    assert lease is not None
    await storage.aclose()

    await lease.release()
    await storage.aclose()

    assert -0.002 == rest_of(server)


async def test_a_caller_who_is_cancelled_before_the_answer_leaves_no_lock(
    server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P1: the server may have given it, and nobody would know."""
    is_there = asyncio.Event()
    done = redis.asyncio.lock.Lock.do_acquire

    async def without_answer(lock: Any, token: bytes) -> Any:
        await done(lock, token)
        is_there.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(redis.asyncio.lock.Lock, "do_acquire", without_answer)
    async with RedisTokenStorage(server.url, KEY) as storage:
        task = asyncio.create_task(storage.try_acquire())
        await asyncio.wait_for(is_there.wait(), LIMIT)
        held = rest_of(server)

        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert held > 0
        assert -0.002 == rest_of(server)


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 13, 21])
async def test_a_caller_who_is_cancelled_at_any_moment_holds_nothing(server: ValkeyServer, turns: int) -> None:
    async with RedisTokenStorage(server.url, KEY) as storage:
        task = asyncio.create_task(storage.try_acquire())
        for _ in range(turns):
            await asyncio.sleep(0)

        task.cancel()
        outcome = (await asyncio.gather(task, return_exceptions=True))[0]
        if not isinstance(outcome, BaseException):
            assert outcome is not None
            await outcome.release()

        assert await storage.try_acquire() is not None


async def test_cancelling_somebody_who_did_not_get_it_leaves_the_holders_alone(server: ValkeyServer) -> None:
    async with RedisTokenStorage(server.url, KEY) as storage:
        lease = await storage.try_acquire()
        assert lease is not None
        for turns in range(20):
            task = asyncio.create_task(storage.try_acquire())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        assert True is await lease.renew()
