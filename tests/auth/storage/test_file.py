"""Tokens in a file: what is kept, who may read it, and what is said when it cannot be."""

import asyncio
import errno
import logging
import os
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from rxlink.auth.storage.file import FileTokenStorage
from rxlink.auth.storage.record_text import to_text
from rxlink.auth.storage.shared import StoredTokens
from rxlink.auth.tokens import TokenSet
from rxlink.errors import InvalidStoredTokens, InvariantError, InvariantTypeError
from tests.auth.storage.programs import names_in, record

A0 = TokenSet("A0", "planted-refresh")
A1 = TokenSet("A1", "R1")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


def modes(*paths: Path) -> list[str]:
    return [oct(path.stat().st_mode & 0o7777) for path in paths]


def set_mode(path: Path, mode: int) -> None:
    path.chmod(mode)


def put(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def kept_in(path: Path) -> bytes:
    return path.read_bytes()


async def test_what_was_saved_last_is_loaded_by_another_storage(path: Path) -> None:
    """E68: a restart works with the tokens of before."""
    storage = FileTokenStorage(path)
    nothing = await storage.load()

    await storage.save(A0)
    await storage.save(A1)

    assert (None, A1) == (nothing, await FileTokenStorage(str(path)).load())


async def test_what_was_cleared_is_kept_as_a_sign_out(path: Path) -> None:
    storage = FileTokenStorage(path)
    await storage.save(A0)
    kept = await storage.read()

    await storage.clear()

    assert kept is not None
    assert StoredTokens(None, kept.login, kept.serial + 1) == await FileTokenStorage(path).read()


async def test_only_what_is_still_kept_is_replaced(path: Path) -> None:
    """E72."""
    storage = FileTokenStorage(path)

    done = [
        await storage.replace(record(5), record(6)),
        await storage.replace(None, record(1)),
        await storage.replace(None, record(2)),
        await storage.replace(record(3), record(4)),
        await storage.replace(StoredTokens(None, "another login", 1), record(2)),
        await storage.replace(record(1), record(2)),
    ]

    assert [False, True, False, False, False, True] == done
    assert record(2) == await storage.read()


@pytest.mark.parametrize("umask", [0, 0o022, 0o777])
async def test_files_and_new_folders_are_their_owners_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    """E74."""
    path = tmp_path / "new" / "newer" / "tokens.json"
    before = os.umask(umask)
    try:
        storage = FileTokenStorage(path)
        lease = await storage.try_acquire()
        await storage.save(A0)
    finally:
        os.umask(before)

    assert lease is not None
    await lease.release()
    assert ["0o700", "0o700"] == modes(path.parent, path.parent.parent)
    assert ["tokens.json", "tokens.json.lock", "tokens.json.write.lock"] == names_in(path.parent)
    assert ["0o600"] * 3 == modes(*path.parent.iterdir())


async def test_the_mode_of_a_folder_that_is_there_is_left_alone(path: Path) -> None:
    set_mode(path.parent, 0o755)

    await FileTokenStorage(path).save(A0)

    assert ["0o755"] == modes(path.parent)


async def test_a_file_that_is_open_to_others_is_told_of_once_and_closed_by_the_next_save(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """P7: with path and mode, and nothing of what is in it."""
    storage = FileTokenStorage(path)
    await storage.save(A0)
    set_mode(path, 0o640)

    await storage.read()
    await storage.read()
    await storage.clear()
    await storage.read()

    told = [(told.name, told.levelno, told.getMessage()) for told in caplog.records if told.name != "filelock"]
    message = f"the file {path} is open to others than its owner (mode 0640); the next save gives it mode 0600"
    assert [("rxlink.auth.storage.file", logging.WARNING, message)] == told
    assert ["0o600"] == modes(path)


async def test_a_link_stays_and_its_file_is_replaced_under_the_same_locks(tmp_path: Path) -> None:
    link, target = tmp_path / "link.json", tmp_path / "real" / "tokens.json"
    target.parent.mkdir()
    link.symlink_to(target)
    storage = FileTokenStorage(link)

    await storage.save(A0)
    before = storage.stamp()
    await FileTokenStorage(target).save(A1)
    lease = await storage.try_acquire()

    assert lease is not None
    assert await FileTokenStorage(target).try_acquire() is None
    assert (True, A1, True) == (link.is_symlink(), await storage.load(), before != storage.stamp())
    assert ["link.json", "real"] == names_in(tmp_path)
    await lease.release()


async def test_a_relative_path_is_that_of_the_moment_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    storage = FileTokenStorage("tokens.json")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    await storage.save(A0)

    assert (tmp_path / "tokens.json").exists()


@pytest.mark.parametrize(
    "found", [b"", b"planted", b"\xff\xfe\x00planted", b"[]", to_text(record(1)).encode()[:-9], b'{"version": 7}']
)
async def test_what_is_none_of_ours_is_said_with_the_path_and_left_as_it_is(path: Path, found: bytes) -> None:
    """E74, P7."""
    put(path, found)
    storage = FileTokenStorage(path)
    calls = [storage.read(), storage.load(), storage.save(A0), storage.clear(), storage.replace(None, record(1))]

    for call in calls:
        with pytest.raises(InvalidStoredTokens) as caught:
            await call
        assert (f"the file {path}", False) == (caught.value.where, "planted" in str(caught.value))

    assert found == kept_in(path)


async def test_what_cannot_be_read_is_an_outage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = FileTokenStorage(tmp_path)

    with pytest.raises(IsADirectoryError):
        await storage.read()
    with pytest.raises(IsADirectoryError):
        await storage.save(A0)

    def forbid(*_: object) -> None:
        raise PermissionError(errno.EACCES, "not yours")

    monkeypatch.setattr(Path, "open", forbid)
    with pytest.raises(PermissionError):
        await storage.read()


async def test_a_folder_that_cannot_be_made_is_an_outage(path: Path) -> None:
    put(path, b"no folder")

    with pytest.raises(NotADirectoryError):
        await FileTokenStorage(path / "tokens.json").save(A0)


async def test_the_stamp_differs_after_each_change_also_where_the_clock_stands_still(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """E70: a file of the same size, and with the number of the one before the last."""
    storage, other = FileTokenStorage(path), FileTokenStorage(path)
    monkeypatch.setattr(time, "time_ns", lambda: 10**18)
    stamps = [storage.stamp()]

    for serial in range(1, 10):
        await other.replace(record(serial - 1) if serial > 1 else None, record(serial))
        stamps += [storage.stamp()]
        assert storage.stamp() == stamps[-1]

    dates = [stamp[0] for stamp in stamps if isinstance(stamp, tuple)]
    assert [None, *(10**18 + n for n in range(9))] == [stamps[0], *dates]


def test_a_stamp_takes_no_time_and_is_none_where_nothing_can_be_told(path: Path) -> None:
    nowhere = FileTokenStorage(path / "tokens.json")
    path.write_text("no folder")
    storage = FileTokenStorage(path)

    begin = time.perf_counter()
    stamps = {storage.stamp() for _ in range(1000)}

    assert time.perf_counter() - begin < 0.5
    assert (1, None) == (len(stamps), nowhere.stamp())


async def test_other_tasks_go_on_while_the_disk_is_slow(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, going_on, loop = os.fsync, asyncio.Event(), asyncio.get_running_loop()

    def slow(descriptor: int) -> None:
        assert asyncio.run_coroutine_threadsafe(going_on.wait(), loop).result(5)
        synced(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    saving = asyncio.create_task(FileTokenStorage(path).save(A0))

    await asyncio.sleep(0)
    going_on.set()
    await saving

    assert A0 == await FileTokenStorage(path).load()


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        ("", InvariantError, "`path` is '', which is no path"),
        ("a\0b", InvariantError, "which is no path"),
        ("folder/", InvariantError, "`path` is 'folder/', which is a folder; give the path of a file"),
        ("folder/..", InvariantError, "which is a folder"),
        (".", InvariantError, "which is a folder"),
        (b"tokens.json", InvariantTypeError, "`path` is bytes; give a path, as text or as a Path"),
        (None, InvariantTypeError, "`path` is None"),
        (3, InvariantTypeError, "`path` is an int"),
    ],
)
def test_a_bad_path_is_refused_at_once(wrong: object, error: type[InvariantError], said: str) -> None:
    with pytest.raises(error) as caught:
        FileTokenStorage(wrong)  # pyright: ignore[reportArgumentType]

    assert said in str(caught.value)


def test_a_bad_lease_is_refused_at_once(path: Path) -> None:
    with pytest.raises(InvariantError, match="`lease` is 0"):
        FileTokenStorage(path, lease=0)


def test_nothing_is_made_before_it_is_used_and_no_secret_is_shown(path: Path) -> None:
    """P7."""
    storage = FileTokenStorage(path, lease=timedelta(seconds=2))

    assert (f"FileTokenStorage('{path}')", 2.0, []) == (repr(storage), storage.lease, names_in(path.parent))


def test_without_its_package_it_says_which_extra_is_missing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "filelock", None)

    with pytest.raises(InvariantError) as caught:
        FileTokenStorage(path)

    assert (
        "FileTokenStorage needs the extra `filelock`, which is not installed: pip install 'rxlink[filelock]'"
    ) == str(caught.value)
