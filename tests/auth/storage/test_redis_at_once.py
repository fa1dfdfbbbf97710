"""One key of Redis or Valkey for many: loops, threads, processes, forked children."""

import asyncio
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from rxlink.auth.storage.redis import RedisTokenStorage
from rxlink.auth.storage.shared import StoredTokens
from rxlink.auth.tokens import TokenSet
from tests.auth.storage.valkey_server import ValkeyServer, running_server

KEY = "rxlink:ada"
TOKENS = TokenSet("A0", refresh_token="R0")
TURNS = 50
PATIENCE = 30
"""Real seconds for a child that should take a moment."""

BEGINNING = """
import asyncio, os, signal, sys, traceback
from rxlink.auth.storage.redis import RedisTokenStorage
from rxlink.auth.storage.shared import StoredTokens
from rxlink.auth.tokens import TokenSet

url, key = sys.argv[1:]
TOKENS = TokenSet("A0", refresh_token="R0")

async def count_on(storage, turns):
    while turns:
        record = await storage.read()
        new = StoredTokens(TOKENS, "login", 1 if record is None else record.serial + 1)
        turns -= await storage.replace(record, new)
"""


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


async def count_on(storage: RedisTokenStorage, turns: int = TURNS) -> None:
    """Count the serial number up so many times, whoever else does."""
    while turns:
        record = await storage.read()
        new = StoredTokens(TOKENS, "login", 1 if record is None else record.serial + 1)
        turns -= await storage.replace(record, new)


async def twice(storage: RedisTokenStorage) -> None:
    await asyncio.gather(count_on(storage), count_on(storage))


def serial_of(storage: RedisTokenStorage) -> int:
    record = asyncio.run(storage.read())
    return 0 if record is None else record.serial


def said_by(*children: "subprocess.Popen[str]") -> list[tuple[str, str]]:
    """What they print, and of what they complain; none goes on."""
    try:
        return [child.communicate(timeout=PATIENCE) for child in children]
    finally:
        for child in children:
            child.kill()
            child.communicate()


def started(server: ValkeyServer, program: str) -> "subprocess.Popen[str]":
    # From Python 3.12 on a fork beside threads is warned of; here are none.
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", BEGINNING + textwrap.dedent(program), server.url, KEY],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_no_change_is_lost_among_loops_in_threads(server: ValkeyServer) -> None:
    """E72: each is the successor of the one that was read."""
    storage = RedisTokenStorage(server.url, KEY)
    together = Barrier(4)

    def run(_: int) -> None:
        together.wait(PATIENCE)
        asyncio.run(twice(storage))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(run, range(4)))

    assert 8 * TURNS == serial_of(storage)


def test_one_has_the_lease_at_a_time_among_loops_in_threads(server: ValkeyServer) -> None:
    """P1."""
    storage = RedisTokenStorage(server.url, KEY)
    together = Barrier(4)
    inside: list[int] = []
    seen: list[int] = []

    async def take_turns(number: int) -> None:
        turns = 10
        while turns:
            lease = await storage.try_acquire()
            if lease is None:
                await asyncio.sleep(0.001)
                continue
            inside.append(number)
            await asyncio.sleep(0.001)
            seen.append(len(inside))
            inside.remove(number)
            await lease.release()
            turns -= 1

    def run(number: int) -> None:
        together.wait(PATIENCE)
        asyncio.run(take_turns(number))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(run, range(4)))

    assert [1] * 40 == seen


def test_no_change_is_lost_among_processes(server: ValkeyServer) -> None:
    """E72."""
    children = [started(server, f"asyncio.run(count_on(RedisTokenStorage(url, key), {TURNS}))") for _ in range(2)]

    assert [("", "")] * 2 == said_by(*children)
    assert 2 * TURNS == serial_of(RedisTokenStorage(server.url, KEY))


async def test_a_change_of_another_process_is_told(server: ValkeyServer) -> None:
    """E72: at once, and the new tokens are there."""
    told = asyncio.Queue[None]()
    async with RedisTokenStorage(server.url, KEY) as storage:
        storage.watch(lambda: told.put_nowait(None))
        await asyncio.wait_for(told.get(), PATIENCE)  # the channel stands

        child = started(server, "asyncio.run(RedisTokenStorage(url, key).save(TOKENS))")
        await asyncio.wait_for(told.get(), PATIENCE)

        assert TOKENS == await storage.load()
        assert [("", "")] == await asyncio.to_thread(said_by, child)


def test_one_storage_serves_loops_one_after_another(server: ValkeyServer) -> None:
    """E54: the connections of each close with it."""
    storage = RedisTokenStorage(server.url, KEY)
    for _ in range(5):
        asyncio.run(count_on(storage, 2))
        assert server.wait_for_connections(0)

    assert 10 == serial_of(storage)
    assert len(storage._clients._open) <= 1


async def test_closing_on_one_loop_leaves_the_others_open(server: ValkeyServer) -> None:
    storage = RedisTokenStorage(server.url, KEY)
    await storage.save(TOKENS)

    async def use_and_close() -> None:
        async with storage:
            await storage.load()

    await asyncio.to_thread(lambda: asyncio.run(use_and_close()))

    open_still = server.connections()
    await storage.aclose()
    again = await storage.load()
    await storage.aclose()
    await storage.aclose()
    assert (1, TOKENS) == (open_still, again)


def test_a_whole_program_ends_without_a_word(server: ValkeyServer) -> None:
    """It closes nothing, watches, holds a lease, and is cancelled; warnings are errors there."""
    program = """
        storage = RedisTokenStorage(url, key)

        async def main():
            storage.watch(lambda: None)
            await storage.try_acquire()
            task = asyncio.create_task(count_on(storage, 10**9))
            await asyncio.sleep(0.1)
            return "ended"

        print(asyncio.run(main()))
        print(asyncio.run(main()))
    """

    child = started(server, program)

    assert ("ended\nended\n", "") == said_by(child)[0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no process is forked on this system")
def test_a_forked_child_has_connections_of_its_own(server: ValkeyServer) -> None:
    """E72: over the parent's it would read the parent's answers, and closing them would end the parent's."""
    program = """
        storage = RedisTokenStorage(url, key)

        async def main(turns):
            await count_on(storage, turns)
            pid = os.fork()
            if pid == 0:
                asyncio.events._set_running_loop(None)
                signal.alarm(20)
                try:
                    asyncio.run(count_on(storage, 20))
                    asyncio.run(storage.aclose())
                except BaseException:
                    traceback.print_exc()
                    os._exit(1)
                os._exit(0)
            await count_on(storage, turns)
            return await asyncio.to_thread(os.waitpid, pid, 0)

        _, status = asyncio.run(main(20))
        print(os.waitstatus_to_exitcode(status))
    """

    child = started(server, program)

    assert ("0\n", "") == said_by(child)[0]
    assert 60 == serial_of(RedisTokenStorage(server.url, KEY))
