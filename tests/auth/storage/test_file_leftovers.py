"""E74: what a save has left is finished by others if it is a save's, and stops nobody while the saver lives."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rxlink.auth.storage import _locks, file
from rxlink.auth.storage._paths import make_folder
from rxlink.auth.storage.file import FileTokenStorage
from rxlink.auth.storage.record_text import to_text
from tests.auth.storage.programs import PATIENCE, names_in, record, run, start

ENOUGH = 5.0
"""Seconds for what takes milliseconds, and half of those for which a save waits for another."""
WHOLE = to_text(record(2)).encode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


@pytest.fixture
def left(path: Path) -> Path:
    return path.with_name(".tokens.json.rxlink.tmp")


def put(left: Path, content: bytes, mode: int = 0o600) -> None:
    left.write_bytes(content)
    left.chmod(mode)


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o7777


STOPPING = """
synced = os.fsync

def stop(descriptor):
    os.fsync = synced
    os.kill(os.getpid(), signal.SIGSTOP)  # while it waits for the disk
    sys.stdin.readline()  # the signal may go to the main thread, and this one a little further
    synced(descriptor)

os.fsync = stop
print(asyncio.run(storage.replace(record(1), record(2))), flush=True)
"""


@contextmanager
def stopped_saver(path: Path, left: Path) -> "Generator[subprocess.Popen[str]]":
    with start(STOPPING, path) as child:
        try:
            while not (left.exists() and left.stat().st_size):
                assert child.poll() is None
                time.sleep(0.01)
            stopped = os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            assert stopped is not None
            assert signal.SIGSTOP == stopped.si_status
            yield child
        finally:
            child.kill()


async def test_a_saver_that_is_stopped_stops_no_reader(path: Path, left: Path) -> None:
    """Its save is not done yet: what is there is right."""
    await FileTokenStorage(path).replace(None, record(1))

    with stopped_saver(path, left) as child:
        began = time.monotonic()
        found = [await FileTokenStorage(path).read() for _ in range(3)]
        waited = time.monotonic() - began
        child.send_signal(signal.SIGCONT)
        said = child.communicate("\n", timeout=PATIENCE)[0]

    assert ([record(1)] * 3, "True\n", record(2)) == (found, said, await FileTokenStorage(path).read())
    assert waited < ENOUGH


async def test_a_saver_that_is_stopped_and_killed_has_saved(path: Path, left: Path) -> None:
    await FileTokenStorage(path).replace(None, record(1))

    with stopped_saver(path, left) as child:
        child.kill()
        child.wait()
        found = await FileTokenStorage(path).read()

    assert (record(2), 0o600, False) == (found, mode_of(path), left.name in names_in(path.parent))


async def test_who_reads_while_another_reader_finishes_a_save_does_not_read_what_is_used_up(
    path: Path, left: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That one has the lock for a moment, and no saver lives."""
    storage = FileTokenStorage(path)
    await storage.replace(None, record(1))
    put(left, WHOLE)
    lock = _locks.take_lease(path.with_name("tokens.json.write.lock"))
    assert lock is not None

    def finish(_: float) -> None:
        left.rename(path)
        lock.give_back()

    monkeypatch.setattr(file, "sleep", finish)

    assert record(2) == await storage.read()


async def test_who_has_finished_a_save_has_no_lock_any_more(
    path: Path, left: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, taken = FileTokenStorage(path), list[_locks.FileLease | None]()
    await storage.replace(None, record(1))
    put(left, WHOLE)

    def take(path: Path) -> _locks.FileLease | None:
        taken.append(_locks.take_lease(path))
        return taken[-1]

    monkeypatch.setattr(file, "take_lease", take)
    found = await storage.read()

    assert (record(2), [False]) == (found, [lease is None or await lease.renew() for lease in taken])


@pytest.mark.parametrize("content", [b"", WHOLE[:-9], to_text(record(3)).encode()])
async def test_nobody_waits_for_a_save_that_has_not_written_all(
    path: Path, left: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    storage = FileTokenStorage(path)
    await storage.replace(None, record(1))
    put(left, content)
    waits: list[float] = []
    monkeypatch.setattr(file, "sleep", waits.append)

    with _locks.held(path.with_name("tokens.json.write.lock")):
        found = await storage.read()

    assert (record(1), [], True) == (found, waits, left.name in names_in(path.parent))


def a_fifo(left: Path) -> None:
    os.mkfifo(left, 0o600)


def a_link(left: Path) -> None:
    put(left.with_name("victim"), WHOLE)
    left.symlink_to("victim")


def a_link_to_nothing(left: Path) -> None:
    left.symlink_to("nowhere")


def a_socket(left: Path) -> None:
    here = Path.cwd()
    os.chdir(left.parent)  # the path of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(left.name)
    finally:
        os.chdir(here)
    left.chmod(0o600)


def open_to_its_group(left: Path) -> None:
    put(left, WHOLE, 0o640)


def open_to_all(left: Path) -> None:
    put(left, WHOLE, 0o604)


@pytest.mark.parametrize("make", [a_fifo, a_link, a_link_to_nothing, a_socket, open_to_its_group, open_to_all])
@pytest.mark.parametrize("call", ["read", "replace"])
async def test_what_no_save_has_left_is_not_believed(
    path: Path, left: Path, make: Callable[[Path], None], call: str
) -> None:
    """Whoever may write into the folder may put it there; it is removed, and what it leads to is not."""
    storage = FileTokenStorage(path)
    await storage.replace(None, record(1))
    make(left)

    done = await (storage.read() if call == "read" else storage.replace(record(1), record(2)))

    assert (record(1) if call == "read" else True) == done
    victim = {"victim"} if make is a_link else set[str]()
    assert sorted({"tokens.json", "tokens.json.write.lock"} | victim) == names_in(path.parent)
    assert 0o600 == mode_of(path)


async def test_what_another_user_has_left_is_not_believed(
    path: Path, left: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = FileTokenStorage(path)
    await storage.replace(None, record(1))
    put(left, WHOLE)
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)

    assert (record(1), False) == (await storage.read(), left.name in names_in(path.parent))


async def test_a_folder_in_the_place_of_a_save_stops_saves_alone_and_is_named(path: Path, left: Path) -> None:
    storage = FileTokenStorage(path)
    await storage.replace(None, record(1))
    make_folder(left / "something")

    found = await storage.read()
    with pytest.raises(OSError, match=r"\.tokens\.json\.rxlink\.tmp") as caught:
        await storage.replace(record(1), record(2))

    assert (record(1), record(1)) == (found, await storage.read())
    assert [f"the tokens are in the file {path}"] == caught.value.__notes__


FULL = """
opened = os.open
def out_of_files(path, *options):
    if str(path).endswith(".tmp"):
        raise OSError(24, "too many open files")
    return opened(path, *options)
os.open = out_of_files
try:
    asyncio.run(storage.read())
except OSError as error:
    print(error.strerror)
"""


async def test_what_cannot_be_opened_now_is_left_for_later(path: Path, left: Path) -> None:
    """It may be a whole save."""
    await FileTokenStorage(path).replace(None, record(1))
    put(left, WHOLE)

    said = run(FULL, path)

    assert (["too many open files"], record(2)) == (said, await FileTokenStorage(path).read())
