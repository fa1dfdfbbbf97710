"""E74: whatever ends a save, and whenever, whoever reads finds the tokens of before or of after it, whole."""

import asyncio
import errno
import os
import signal
from pathlib import Path

import pytest

from rxlink.auth.storage.file import FileTokenStorage
from rxlink.auth.storage.record_text import to_text
from tests.auth.storage.programs import PATIENCE, names_in, record, run, start


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


SAVING = """
async def save_often():
    for serial in range(1, 1001):
        assert await storage.replace(record(serial), record(serial + 1))

asyncio.run(save_often())
"""


async def test_who_reads_while_another_process_saves_never_sees_anything_else(path: Path) -> None:
    storage = FileTokenStorage(path)
    await storage.replace(None, record(1))
    seen: list[int] = []

    with start(SAVING, path) as child:
        while child.poll() is None:
            kept = await storage.read()
            assert kept == record(kept.serial if kept else 0)
            seen += [kept.serial]
        child.communicate(timeout=PATIENCE)

    assert (0, record(1001)) == (child.returncode, await storage.read())
    assert seen == sorted(seen)
    assert len(set(seen)) > 10, "the reader hardly ran beside the writer"


DYING = """
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def die_at_temporary(path, *options, opened=os.open):
    return die() if str(path).endswith(".tmp") else opened(path, *options)

def once_synced(descriptor):
    os.fsync = die

def after_a_half(descriptor):
    os.truncate(descriptor, os.fstat(descriptor).st_size // 2)
    die()
"""

STEPS = {
    "before the file is made": ("os.open = die_at_temporary", 1),
    "before it is written": ("os.fdopen = die", 1),
    "when a half is written": ("os.fsync = after_a_half", 1),
    "when it is written": ("os.fsync = die", 2),
    "before it is renamed": ("os.replace = die", 2),
    "before the folder is synced": ("os.fsync = once_synced", 2),
    "before the lock is given back": (
        "from rxlink.auth.storage import file\nfile.sync_folder = lambda folder: die()",
        2,
    ),
}


@pytest.mark.parametrize("step", STEPS)
async def test_a_save_that_is_killed_leaves_the_old_tokens_or_the_new(path: Path, step: str) -> None:
    """And the new ones as soon as all of them are written: the old ones may be used up."""
    patch, expected = STEPS[step]
    storage = FileTokenStorage(path)
    await storage.replace(None, record(1))

    run(f"{DYING}\n{patch}\nasyncio.run(storage.replace(record(1), record(2)))", path, ends_with=-signal.SIGKILL)

    found = await FileTokenStorage(path).read()
    assert record(expected) == found
    assert await storage.replace(found, record(3))
    assert record(3) == await storage.read()
    assert ["tokens.json", "tokens.json.write.lock"] == names_in(path.parent)


@pytest.mark.parametrize("left", [b"", b"no record", to_text(record(1)).encode(), to_text(record(3)).encode()])
@pytest.mark.parametrize("call", ["read", "replace"])
async def test_what_is_left_of_a_save_is_finished_only_if_it_follows_what_is_kept(
    path: Path, left: bytes, call: str
) -> None:
    storage = FileTokenStorage(path)
    await storage.replace(None, record(1))
    leftover = path.parent / ".tokens.json.rxlink.tmp"
    leftover.write_bytes(left)
    leftover.chmod(0o600)  # as a save's; others are not believed anyway

    done = await (storage.read() if call == "read" else storage.replace(record(1), record(2)))

    assert (record(1) if call == "read" else True) == done
    assert ["tokens.json", "tokens.json.write.lock"] == names_in(path.parent)


async def test_only_its_own_leftover_is_removed(path: Path) -> None:
    """Those of another file's save, which may be under way, are not; nor is what a person has put there."""
    others = [".other.json.rxlink.tmp", ".tokens.json.tmp", "tokens.json.tmp"]
    for name in [".tokens.json.rxlink.tmp", *others]:
        (path.parent / name).write_text("")

    await FileTokenStorage(path).replace(None, record(1))

    assert sorted([*others, "tokens.json", "tokens.json.write.lock"]) == names_in(path.parent)


@pytest.mark.parametrize("step", ["fsync", "replace", "utime"])
async def test_a_full_disk_leaves_the_old_tokens_and_nothing_else(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    storage = FileTokenStorage(path)
    await storage.replace(None, record(1))

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, step, full)
        with pytest.raises(OSError, match="no space left"):
            await storage.replace(record(1), record(2))

    assert record(1) == await storage.read()
    assert ["tokens.json", "tokens.json.write.lock"] == names_in(path.parent)
    assert await storage.replace(record(1), record(2))


def test_a_file_that_may_not_grow_leaves_the_old_tokens_and_nothing_else(path: Path) -> None:
    """The same from the system itself."""
    storage = FileTokenStorage(path)
    asyncio.run(storage.replace(None, record(1)))

    lines = run(
        """
        import resource
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
        try:
            asyncio.run(storage.replace(record(1), record(2)))
        except OSError as error:
            print(error.strerror, os.listdir(os.path.dirname(path)).count("tokens.json"))
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        """,
        path,
    )

    assert (["File too large 1"], record(1)) == (lines, asyncio.run(storage.read()))
    assert ["tokens.json", "tokens.json.write.lock"] == names_in(path.parent)


@pytest.mark.parametrize(("number", "is_told"), [(errno.EINVAL, False), (errno.EIO, True)])
async def test_a_system_that_syncs_no_folder_is_no_failure_but_a_disk_that_fails_is(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int, is_told: bool
) -> None:
    synced, storage = os.fsync, FileTokenStorage(path)
    calls: list[int] = []

    def fail_for_folder(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(number, "cannot")
        synced(descriptor)

    monkeypatch.setattr(os, "fsync", fail_for_folder)
    error = None
    try:
        await storage.replace(None, record(1))
    except OSError as raised:
        error = raised

    assert (is_told, 2, record(1)) == (error is not None, len(calls), await storage.read())
