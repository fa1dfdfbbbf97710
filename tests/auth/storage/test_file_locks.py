"""Locks of a file: one refreshes at a time, no update is lost, and no lock outlives its holder."""

import asyncio
import errno
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rxlink.auth.storage import _locks, file
from rxlink.auth.storage.file import FileTokenStorage
from rxlink.auth.storage.shared import TokenLease
from tests.auth.storage.programs import PATIENCE, record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


async def test_two_storages_of_one_process_exclude_one_another(path: Path) -> None:
    """E72."""
    one, other = FileTokenStorage(path), FileTokenStorage(path)

    held = await one.try_acquire()
    refused = [await other.try_acquire(), await one.try_acquire()]
    assert held is not None
    still = await held.renew()
    await held.release()
    free = await other.try_acquire()

    assert ([None, None], True, None) == (refused, still, held.duration)
    assert free is not None
    await held.release()  # which is no longer its own
    assert (False, True, None) == (await held.renew(), await free.renew(), await one.try_acquire())
    await free.release()


async def test_who_holds_the_right_to_refresh_does_not_keep_others_from_saving(path: Path) -> None:
    """S53: a sign-in waits for no refresh."""
    lease = await FileTokenStorage(path).try_acquire()

    assert await FileTokenStorage(path).replace(None, record(1))

    assert lease is not None
    await lease.release()


def test_it_is_taken_on_one_thread_and_given_back_on_another(path: Path) -> None:
    async def give_back(lease: TokenLease | None) -> None:
        assert lease is not None
        await lease.release()

    with ThreadPoolExecutor(1) as others:
        lease = others.submit(lambda: asyncio.run(FileTokenStorage(path).try_acquire())).result(5)

    asyncio.run(give_back(lease))

    asyncio.run(give_back(asyncio.run(FileTokenStorage(path).try_acquire())))


def test_of_many_threads_one_has_it_at_a_time(path: Path) -> None:
    storage = FileTokenStorage(path)
    holders, most, times = 0, 0, 0

    async def compete() -> None:
        nonlocal holders, most, times
        for _ in range(20):
            lease = await storage.try_acquire()
            if lease is not None:
                holders, times = holders + 1, times + 1
                most = max(most, holders)
                await asyncio.sleep(0.001)
                holders -= 1
                await lease.release()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: asyncio.run(compete()), range(4)))

    assert (1, 0, True) == (most, holders, times > 0)


class Gate:
    """Keeps a thread from taking the lock until it may, or from telling that it has."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.open, self.threads = threading.Event(), threading.Event(), list[threading.Thread]()
        self.taken: list[object] = []
        monkeypatch.setattr(file, "take_lease", self.take)

    def take(self, path: Path) -> object:
        self.threads.append(threading.current_thread())
        self.reached.set()
        assert self.open.wait(PATIENCE)
        self.taken.append(_locks.take_lease(path))
        return self.taken[-1]


async def leave(task: "asyncio.Task[TokenLease | None]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_who_leaves_while_the_lock_is_being_taken_leaves_no_lock(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    task = asyncio.create_task(FileTokenStorage(path).try_acquire())
    await asyncio.to_thread(gate.reached.wait, PATIENCE)

    await leave(task)
    gate.open.set()
    gate.threads[0].join()

    assert [True] == [taken is not None for taken in gate.taken]
    lease = await FileTokenStorage(path).try_acquire()
    assert lease is not None
    await lease.release()


@pytest.mark.parametrize("turns", [0, 1])
async def test_who_leaves_when_the_lock_has_just_been_taken_leaves_no_lock(
    path: Path, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    gate = Gate(monkeypatch)
    gate.open.set()
    task = asyncio.create_task(FileTokenStorage(path).try_acquire())
    await asyncio.sleep(0)
    gate.reached.wait(PATIENCE)
    gate.threads[0].join()  # with the loop standing still: the task has not heard of it

    for _ in range(turns):
        await asyncio.sleep(0)
    await leave(task)

    lease = await FileTokenStorage(path).try_acquire()
    assert lease is not None
    await lease.release()


async def test_a_lease_that_is_dropped_is_given_back(path: Path) -> None:
    lease = await FileTokenStorage(path).try_acquire()
    for thread in threading.enumerate():
        if thread.name == "rxlink-token-storage":
            thread.join(PATIENCE)  # else it may be what keeps the lease
    del lease

    again = await FileTokenStorage(path).try_acquire()

    assert again is not None
    await again.release()


async def test_where_the_system_locks_no_files_there_is_an_error_and_no_lock_that_outlives_its_process(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> None:
        raise OSError(errno.ENOSYS, "function not implemented")

    monkeypatch.setattr("fcntl.flock", missing)
    storage = FileTokenStorage(path)

    with pytest.raises(OSError, match="not implemented"):
        await storage.try_acquire()
    with pytest.raises(OSError, match="not implemented"):
        await storage.replace(None, record(1))


async def test_who_leaves_while_it_replaces_may_find_it_done(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And compare-and-swap makes that harmless."""
    storage, held = FileTokenStorage(path), threading.Event()
    synced: Callable[[int], None] = os.fsync
    reached = threading.Event()

    def slow(descriptor: int) -> None:
        reached.set()
        assert held.wait(PATIENCE)
        synced(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    task = asyncio.create_task(storage.replace(None, record(1)))
    await asyncio.to_thread(reached.wait, PATIENCE)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    held.set()

    assert (False, record(1)) == (await storage.replace(None, record(2)), await storage.read())


async def test_a_save_waits_for_another_but_not_for_ever(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_locks, "LONGEST_WAIT", 0.05)
    storage = FileTokenStorage(path)

    with _locks.held(path.with_name("tokens.json.write.lock")):
        with pytest.raises(TimeoutError) as caught:
            await storage.replace(None, record(1))

    assert f"{path}.write.lock was locked by somebody else for 0.05 s" == str(caught.value)
    assert await storage.replace(None, record(1))
