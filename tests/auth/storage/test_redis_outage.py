"""The server is killed, stands still, comes back empty or with its data: errors, no hangs, and then it works again."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from rxlink.auth.storage.redis import RedisTokenStorage
from rxlink.auth.storage.shared import StoredTokens
from rxlink.auth.tokens import TokenSet
from tests.auth.storage.valkey_server import ValkeyServer, running_server

KEY = "rxlink:ada"
A0, A1 = TokenSet("A0"), TokenSet("A1")
IMPATIENT = "?socket_timeout=0.3&socket_connect_timeout=0.3"
CALLS = ("read", "save", "clear", "try_acquire")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ValkeyServer]:
    """Every connection is closed afterwards."""
    with running_server(tmp_path, keeps=True) as server:
        yield server
        if server.answers():
            assert server.wait_for_connections(0)


async def failures(storage: RedisTokenStorage) -> list[type | None]:
    """How each call ends."""
    calls = [storage.read(), storage.save(A1), storage.clear(), storage.try_acquire()]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    return [type(outcome) if isinstance(outcome, Exception) else None for outcome in outcomes]


async def test_a_server_that_is_gone_is_an_error_and_back_again_it_works(server: ValkeyServer) -> None:
    """P10: connections of before are not used again."""
    async with RedisTokenStorage(server.url, KEY) as storage:
        await storage.save(A0)
        await asyncio.to_thread(server.kill)

        gone = await failures(storage)
        await asyncio.to_thread(server.start)

        assert [redis.ConnectionError] * 4 == gone
        assert A0 == await storage.load()
        assert await storage.try_acquire() is not None


async def test_connections_that_were_open_over_a_restart_do_no_harm(server: ValkeyServer) -> None:
    async with RedisTokenStorage(server.url, KEY) as storage:
        await asyncio.gather(*[storage.save(A0) for _ in range(3)])

        await asyncio.to_thread(server.restart)

        assert [A0] * 5 == await asyncio.gather(*[storage.load() for _ in range(5)])


async def test_a_lease_and_a_key_that_went_with_the_server_are_lost(tmp_path: Path) -> None:
    """A server that keeps nothing comes back empty: the next read finds nothing, and whoever had the lease is told."""
    with running_server(tmp_path) as server:
        async with RedisTokenStorage(server.url, KEY) as storage:
            await storage.save(A0)
            record = await storage.read()
            lease = await storage.try_acquire()
            assert lease is not None
            assert record is not None

            await asyncio.to_thread(server.restart)

            assert None is await storage.read()
            assert False is await lease.renew()
            assert False is await storage.replace(record, StoredTokens(A1, record.login, 2))
            await storage.save(A1)
            assert A1 == await storage.load()


async def test_a_lease_that_its_server_kept_goes_on(server: ValkeyServer) -> None:
    async with RedisTokenStorage(server.url, KEY, lease=30) as storage:
        lease = await storage.try_acquire()
        assert lease is not None

        await asyncio.to_thread(server.restart)

        assert (None, True) == (await storage.try_acquire(), await lease.renew())


async def test_renewing_says_that_the_server_is_gone_and_releasing_does_not(server: ValkeyServer) -> None:
    """A refresh whose tokens are saved has not failed; the lease ends by itself."""
    async with RedisTokenStorage(server.url, KEY) as storage:
        lease = await storage.try_acquire()
        assert lease is not None
        await asyncio.to_thread(server.kill)

        with pytest.raises(redis.ConnectionError):
            await lease.renew()

        assert None is await lease.release()


async def test_a_server_that_stands_still_is_an_error_within_the_time_limit(server: ValkeyServer) -> None:
    """P10: over connections that are open, and over new ones."""
    async with RedisTokenStorage(server.url + IMPATIENT, KEY) as storage:
        await storage.save(A0)
        began = time.monotonic()
        with server.paused():
            old = await failures(storage)
            new = await failures(storage)
        took = time.monotonic() - began

        assert [redis.TimeoutError] * 8 == old + new
        assert took < 3
        assert (await storage.load()) in (A0, A1, None)  # what was sent may have been carried out


async def test_without_options_it_has_a_time_limit_too(server: ValkeyServer) -> None:
    async with RedisTokenStorage(server.url, KEY) as storage:
        began = time.monotonic()
        with server.paused():
            outcomes = await failures(storage)
        took = time.monotonic() - began

        assert redis.TimeoutError in outcomes
        assert None not in outcomes
        assert took < 10


async def test_a_caller_who_is_cancelled_then_is_not_held_up(server: ValkeyServer) -> None:
    """A cancellation waits half a second at most for the lock to be given back; then it ends by itself."""
    async with RedisTokenStorage(server.url, KEY, lease=0.2) as storage:
        await storage.read()
        with server.paused():
            task = asyncio.create_task(storage.try_acquire())
            await asyncio.sleep(0.1)
            began = time.monotonic()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            took = time.monotonic() - began
        await asyncio.sleep(0.4)  # two leases

        assert await storage.try_acquire() is not None
        assert took < 1.5


async def test_killed_in_the_midst_every_call_ends(server: ValkeyServer) -> None:
    """P2: with its outcome, or an error of the connection; and what was said to be kept is kept."""
    kept: list[int] = []
    errors: list[Exception] = []

    async def save_on(number: int, storage: RedisTokenStorage) -> None:
        while True:
            try:
                record = await storage.read()
                serial = 1 if record is None else record.serial + 1
                if await storage.replace(record, StoredTokens(A0, f"login {number}", serial)):
                    kept.append(serial)
            except redis.ConnectionError as error:
                errors.append(error)
                return

    async with RedisTokenStorage(server.url, KEY) as storage:
        tasks = [asyncio.create_task(save_on(number, storage)) for number in range(4)]
        await asyncio.sleep(0.1)
        await asyncio.to_thread(server.kill)
        async with asyncio.timeout(10):
            await asyncio.gather(*tasks)
        await asyncio.to_thread(server.start)
        record = await storage.read()

    assert 4 == len(errors)
    assert record is not None
    assert len(kept) == len(set(kept))
    assert max(kept) <= record.serial <= max(kept) + len(tasks)


@pytest.mark.parametrize("call", CALLS)
async def test_cancelled_at_any_moment_the_storage_goes_on(server: ValkeyServer, call: str) -> None:
    """What was written is all there or not at all, and answers do not get into each other's hands."""
    async with RedisTokenStorage(server.url, KEY) as storage:
        await storage.save(A0)
        for turns in range(25):
            task = asyncio.ensure_future(getattr(storage, call)(*([A1] if call == "save" else [])))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

            assert (await storage.load()) in (A0, A1, None)


async def test_a_cancellation_is_never_forgotten(server: ValkeyServer) -> None:
    """Which Python 3.11 does in `wait_for`, with which redis-py sends: whoever is to stop would go on for ever."""
    async with RedisTokenStorage(server.url, KEY) as storage:
        await storage.save(A0)

        async def go_on() -> None:
            while True:
                lease = await storage.try_acquire()
                await storage.clear()
                if lease is not None:
                    await lease.renew()
                    await lease.release()

        for moment in range(100):
            task = asyncio.create_task(go_on())
            await asyncio.sleep(moment / 50_000)
            task.cancel()
            done, _ = await asyncio.wait([task], timeout=5)

            assert {task} == done
            assert task.cancelled()
