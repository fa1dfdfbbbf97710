"""What errors of files tell: which tokens they are about, whichever file it was that failed."""

import errno
import os
from pathlib import Path

import pytest

from rxlink.auth.storage import _locks
from rxlink.auth.storage.file import FileTokenStorage
from rxlink.auth.storage.keyring import KeyringTokenStorage
from rxlink.errors import InvalidStoredTokens
from tests.auth.storage.keychains import MemoryKeychain, in_use
from tests.auth.storage.programs import record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


def put(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def kept_in(path: Path) -> bytes:
    return path.read_bytes()


@pytest.mark.parametrize("step", ["fsync", "replace", "utime"])
async def test_a_save_that_fails_names_the_path_that_was_given(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Also where the system names no file, or only the one that takes its place."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device", f"{path.parent}/.tokens.json.rxlink.tmp")

    link = path.with_name("link.json")
    link.symlink_to(path)
    monkeypatch.setattr(os, step, full)

    with pytest.raises(OSError, match="no space left on device") as caught:
        await FileTokenStorage(link).replace(None, record(1))

    assert (errno.ENOSPC, [f"the tokens are in the file {link}"]) == (caught.value.errno, caught.value.__notes__)


async def test_a_lock_that_cannot_be_had_names_the_path_that_was_given(path: Path) -> None:
    path.with_name("tokens.json.lock").mkdir()
    path.with_name("tokens.json.write.lock").mkdir()
    storage = FileTokenStorage(path)

    for call in (storage.try_acquire(), storage.replace(None, record(1))):
        with pytest.raises(OSError, match="lock") as caught:
            await call
        assert [f"the tokens are in the file {path}"] == caught.value.__notes__


async def test_who_reads_in_vain_is_told_the_path_that_was_given(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError) as caught:
        await FileTokenStorage(tmp_path).read()

    assert [f"the tokens are in the file {tmp_path}"] == caught.value.__notes__


async def test_a_lock_of_a_keychain_that_cannot_be_had_names_the_entry(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_locks, "LONGEST_WAIT", 0.01)
    put(path, b"no folder")

    with in_use(MemoryKeychain()) as keychain:
        storage = KeyringTokenStorage("api.example.com", "ada", lock_folder=path)
        for call in (storage.try_acquire(), storage.replace(None, record(1))):
            with pytest.raises(OSError, match="tokens") as caught:
                await call
            assert ["the tokens are in the keychain's entry of 'api.example.com' for 'ada'"] == caught.value.__notes__
        keychain.error = OSError("no bus")
        with pytest.raises(OSError, match="no bus") as caught:
            await storage.read()

    assert ["the tokens are in the keychain's entry of 'api.example.com' for 'ada'"] == caught.value.__notes__


@pytest.mark.parametrize("found", [b"", b"\n"])
async def test_a_file_with_nothing_in_it_is_said_to_be_empty(path: Path, found: bytes) -> None:
    """As ``touch`` makes it; it is not one that was torn."""
    put(path, found)

    with pytest.raises(InvalidStoredTokens) as caught:
        await FileTokenStorage(path).read()

    assert ("it is empty", found) == (caught.value.reason, kept_in(path))
