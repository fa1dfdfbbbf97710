"""A file that processes and threads share: no update is lost, and no lock outlives its holder, nor is it forked."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rxlink.auth.storage.file import FileTokenStorage
from tests.auth.storage.programs import PATIENCE, record, run, start


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


async def count_up(path: Path, times: int) -> None:
    storage = FileTokenStorage(path)
    for _ in range(times):
        while True:
            kept = await storage.read()
            assert kept is not None
            if await storage.replace(kept, record(kept.serial + 1)):
                break


def test_no_update_of_many_threads_is_lost(path: Path) -> None:
    """E72: each counts up from what it found."""
    storage = FileTokenStorage(path)
    asyncio.run(storage.replace(None, record(1)))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: asyncio.run(count_up(path, 50)), range(8)))

    assert record(401) == asyncio.run(storage.read())


COUNTING = """
async def count_up():
    for _ in range(20):
        while True:
            kept = await storage.read()
            if await storage.replace(kept, record(kept.serial + 1)):
                break

asyncio.run(count_up())
"""


def test_no_update_of_many_processes_is_lost(path: Path) -> None:
    """E72."""
    storage = FileTokenStorage(path)
    asyncio.run(storage.replace(None, record(1)))

    children = [start(COUNTING, path) for _ in range(3)]
    outcomes = [(*child.communicate(timeout=PATIENCE), child.returncode) for child in children]

    assert [("", "", 0)] * 3 == outcomes
    assert record(61) == asyncio.run(storage.read())


HOLDING = """
lease = asyncio.run(storage.try_acquire())
print(lease is not None, flush=True)
sys.stdin.read()
"""


def test_the_lock_of_a_process_that_was_killed_is_free(path: Path) -> None:
    """E74; while it lives, nobody else has it."""
    storage = FileTokenStorage(path)
    with start(HOLDING, path) as child:
        assert child.stdout is not None
        said = child.stdout.readline()

        refused = asyncio.run(storage.try_acquire())
        child.kill()
        child.wait(PATIENCE)

    assert ("True\n", None) == (said, refused)
    assert asyncio.run(storage.try_acquire()) is not None


def test_a_stopped_process_keeps_its_lock(path: Path) -> None:
    """What the docs warn of."""
    storage = FileTokenStorage(path)
    with start(HOLDING.replace("sys.stdin.read()", "os.kill(os.getpid(), signal.SIGSTOP)"), path) as child:
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)

        refused = asyncio.run(storage.try_acquire())
        child.kill()

    assert refused is None


def test_a_forked_child_that_does_nothing_leaves_the_parents_lock_alone(path: Path) -> None:
    lines = run(
        """
        lease = asyncio.run(storage.try_acquire())
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        other = FileTokenStorage(path)
        print(asyncio.run(lease.renew()), asyncio.run(other.try_acquire()))
        """,
        path,
    )

    assert ["True None"] == lines


def test_a_forked_child_neither_has_the_parents_lock_nor_gives_it_back(path: Path) -> None:
    """E72."""
    lines = run(
        """
        async def take_part():
            global lease
            print("child", await storage.try_acquire(), await FileTokenStorage(path).try_acquire(), await lease.renew())
            await lease.release()
            lease = None
            gc.collect()
            print("child", await storage.try_acquire(), await storage.replace(None, record(1)), flush=True)

        lease = asyncio.run(storage.try_acquire())
        child = os.fork()
        if child == 0:
            signal.alarm(10)
            asyncio.run(take_part())
            os._exit(0)
        print("parent", os.waitpid(child, 0)[1], asyncio.run(lease.renew()), flush=True)
        print("parent", asyncio.run(FileTokenStorage(path).try_acquire()))
        asyncio.run(lease.release())
        print("parent", asyncio.run(FileTokenStorage(path).try_acquire()) is not None)
        """,
        path,
    )

    assert [
        "child None None False",
        "child None True",
        "parent 0 True",
        "parent None",
        "parent True",
    ] == lines


def test_a_forked_child_does_not_keep_the_lock_of_a_parent_that_has_died(path: Path) -> None:
    """E74."""
    lines = run(
        """
        lease = asyncio.run(storage.try_acquire())
        parent = os.getpid()
        if os.fork() == 0:
            signal.alarm(10)
            while os.getppid() == parent:
                time.sleep(0.01)
            print(asyncio.run(FileTokenStorage(path).try_acquire()) is not None, flush=True)
            os._exit(0)
        os._exit(0)
        """,
        path,
    )

    assert ["True"] == lines


def test_a_program_started_by_the_holder_does_not_inherit_the_lock(path: Path) -> None:
    lines = run(
        """
        import subprocess
        lease = asyncio.run(storage.try_acquire())
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
        asyncio.run(lease.release())
        print(asyncio.run(storage.try_acquire()) is not None)
        child.communicate(b"\\n")
        """,
        path,
    )

    assert ["True"] == lines
