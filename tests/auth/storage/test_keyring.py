"""Tokens in the keychain."""

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rxlink.auth.storage.keyring import KeyringTokenStorage
from rxlink.auth.storage.shared import StoredTokens, TokenLease
from rxlink.auth.tokens import TokenSet
from tests.auth.storage.keychains import MemoryKeychain, in_use, start
from tests.auth.storage.programs import PATIENCE, names_in, record

A0 = TokenSet("A0", "planted-refresh")
A1 = TokenSet("A1", "R1")


@pytest.fixture
def keychain() -> Iterator[MemoryKeychain]:
    with in_use(MemoryKeychain()) as keychain:
        yield keychain


@pytest.fixture
def storage(keychain: MemoryKeychain, tmp_path: Path) -> KeyringTokenStorage:
    return storage_in(tmp_path)


def storage_in(folder: Path) -> KeyringTokenStorage:
    return KeyringTokenStorage("api.example.com", "ada", lock_folder=folder / "locks")


async def test_what_was_saved_last_is_loaded_by_another_storage(storage: KeyringTokenStorage, tmp_path: Path) -> None:
    """E68."""
    nothing = await storage.load()

    await storage.save(A0)
    await storage.save(A1)

    assert (None, A1) == (nothing, await storage_in(tmp_path).load())


async def test_what_was_cleared_is_kept_as_a_sign_out(storage: KeyringTokenStorage) -> None:
    await storage.replace(None, record(1))

    await storage.clear()

    assert StoredTokens(None, "login", 2) == await storage.read()


async def test_entries_are_kept_apart(storage: KeyringTokenStorage, tmp_path: Path) -> None:
    others = [
        KeyringTokenStorage("api.example.com", "bob", lock_folder=tmp_path / "locks"),
        KeyringTokenStorage("api.example.coma", "da", lock_folder=tmp_path / "locks"),
    ]
    await storage.save(A0)

    leases = [await each.try_acquire() for each in (storage, *others)]

    assert [None, None] == [await other.load() for other in others]
    assert {storage.stamp(), None} == {storage.stamp(), *(other.stamp() for other in others)}
    for lease in leases:
        assert lease is not None
        await lease.release()


async def test_only_what_is_still_kept_is_replaced(storage: KeyringTokenStorage) -> None:
    """E72."""
    done = [
        await storage.replace(record(5), record(6)),
        await storage.replace(None, record(1)),
        await storage.replace(None, record(2)),
        await storage.replace(record(3), record(4)),
        await storage.replace(record(1), record(2)),
    ]

    assert ([False, True, False, False, True], record(2)) == (done, await storage.read())


async def test_the_stamp_differs_after_each_change_of_others(storage: KeyringTokenStorage, tmp_path: Path) -> None:
    """E70."""
    other, stamps = storage_in(tmp_path), [storage.stamp()]

    for serial in range(1, 20):
        await other.replace(record(serial - 1) if serial > 1 else None, record(serial))
        stamps += [storage.stamp()]
    refused = await other.replace(record(1), record(2))

    assert (20, False, True) == (len(set(stamps)), refused, stamps[-1] == storage.stamp())


async def test_two_storages_exclude_one_another(storage: KeyringTokenStorage, tmp_path: Path) -> None:
    """E72."""
    other = storage_in(tmp_path)

    held = await storage.try_acquire()
    refused = await other.try_acquire()
    assert held is not None
    await held.release()
    free = await other.try_acquire()

    assert (None, True) == (refused, free is not None)
    assert free is not None
    await free.release()


async def test_who_leaves_while_the_lock_is_being_taken_leaves_no_lock(storage: KeyringTokenStorage) -> None:
    before = set(threading.enumerate())
    task: asyncio.Task[TokenLease | None] = asyncio.create_task(storage.try_acquire())
    await asyncio.sleep(0)
    started = set(threading.enumerate()) - before

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for thread in started:
        thread.join()

    lease = await storage.try_acquire()
    assert lease is not None
    await lease.release()


@pytest.mark.parametrize("umask", [0, 0o777])
async def test_its_files_are_the_users_alone_and_tell_nothing(
    keychain: MemoryKeychain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, umask: int
) -> None:
    """P7."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    before = os.umask(umask)
    try:
        storage = KeyringTokenStorage("api.example.com", "ada")
        lease = await storage.try_acquire()
        await storage.save(A0)
    finally:
        os.umask(before)

    assert lease is not None
    await lease.release()
    folder = tmp_path / "state" / "rxlink"
    found = sorted(folder.iterdir())
    assert {".lock", ".write.lock", ".stamp"} == {"".join(path.suffixes) for path in found}
    assert ["0o700", *["0o600"] * 3] == [oct(path.stat().st_mode & 0o7777) for path in (folder, *found)]
    assert not [path for path in found if "ada" in path.name or "example" in path.name or path.stat().st_size]


COUNTING = """
import asyncio, sys
from rxlink.auth.storage.keyring import KeyringTokenStorage
from tests.auth.storage.programs import record

async def count_up():
    storage = KeyringTokenStorage("api.example.com", "ada", lock_folder=sys.argv[1])
    for _ in range(20):
        while True:
            kept = await storage.read()
            if await storage.replace(kept, record(kept.serial + 1 if kept else 1)):
                break

asyncio.run(count_up())
"""


def test_no_update_of_many_processes_is_lost(tmp_path: Path) -> None:
    """E72: in a keychain that two could write at once."""
    shared = {
        "PYTHON_KEYRING_BACKEND": "tests.auth.storage.keychains.SharedKeychain",
        "TEST_KEYCHAIN": str(tmp_path / "keychain"),
    }

    children = [start(COUNTING, tmp_path / "locks", **shared) for _ in range(3)]
    outcomes = [(*child.communicate(timeout=PATIENCE), child.returncode) for child in children]

    assert [("", "", 0)] * 3 == outcomes
    assert '\\"serial\\": 60' in (tmp_path / "keychain").read_text()


async def test_other_tasks_go_on_while_the_keychain_asks_for_a_password(
    storage: KeyringTokenStorage, keychain: MemoryKeychain, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answered = threading.Event(), threading.Event()

    def ask(service: str, username: str) -> None:
        asked.set()
        assert answered.wait(PATIENCE)

    monkeypatch.setattr(keychain, "get_password", ask)
    loading = asyncio.create_task(storage.load())
    assert await asyncio.to_thread(asked.wait, PATIENCE)

    answered.set()

    assert await loading is None


def test_it_names_its_entry_and_makes_nothing_before_it_is_used(tmp_path: Path) -> None:
    assert "KeyringTokenStorage('api.example.com', 'ada')" == repr(storage_in(tmp_path))
    assert [] == names_in(tmp_path)
