"""What is said where the keychain is missing, locked, too small, or holds something else."""

import sys
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backends import fail, null
from keyring.errors import KeyringLocked, PasswordSetError

from rxlink.auth.storage.keyring import KeyringTokenStorage
from rxlink.auth.tokens import TokenSet
from rxlink.errors import InvalidStoredTokens, InvariantError, InvariantTypeError
from tests.auth.storage.keychains import MemoryKeychain, in_use, start
from tests.auth.storage.programs import PATIENCE

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


async def refusal(storage: KeyringTokenStorage, tokens: TokenSet = A0) -> str:
    with pytest.raises(InvariantError) as caught:
        await storage.save(tokens)
    assert "planted" not in str(caught.value)
    return str(caught.value)


async def test_what_is_none_of_ours_is_left_as_it_is(storage: KeyringTokenStorage, keychain: MemoryKeychain) -> None:
    """P7."""
    keychain.entries["api.example.com", "ada"] = "planted"

    for call in [storage.read(), storage.save(A0), storage.clear()]:
        with pytest.raises(InvalidStoredTokens) as caught:
            await call
        where = "the keychain's entry of 'api.example.com' for 'ada'"
        assert (where, False) == (caught.value.where, "planted" in str(caught.value))

    assert "planted" == keychain.entries["api.example.com", "ada"]


async def test_what_is_no_text_is_none_of_ours(storage: KeyringTokenStorage, keychain: MemoryKeychain) -> None:
    keychain.error = UnicodeDecodeError("utf-8", b"planted", 0, 1, "invalid")

    with pytest.raises(InvalidStoredTokens):
        await storage.read()


@pytest.mark.parametrize("error", [KeyringLocked("locked"), OSError("no bus"), ConnectionError("no daemon")])
async def test_a_keychain_that_is_locked_is_an_outage(
    storage: KeyringTokenStorage, keychain: MemoryKeychain, error: Exception
) -> None:
    await storage.save(A0)

    keychain.error = error
    with pytest.raises(type(error)):
        await storage.read()
    with pytest.raises(type(error)):
        await storage.save(A1)
    keychain.error = None

    assert A0 == await storage.load()


@pytest.mark.parametrize("length", [10, 3000])
async def test_a_keychain_that_refuses_is_an_outage(
    storage: KeyringTokenStorage, keychain: MemoryKeychain, length: int
) -> None:
    keychain.error_of_set = PasswordSetError("the user said no")

    with pytest.raises(PasswordSetError):
        await storage.save(TokenSet("a" * length))


async def test_tokens_that_are_too_long_for_windows_are_told_of(
    storage: KeyringTokenStorage, keychain: MemoryKeychain
) -> None:
    keychain.error_of_set = RuntimeError(1783, "CredWrite", "The stub received bad data.")  # as pywin32 does

    said = await refusal(storage, TokenSet("planted-" + "a" * 1300))

    assert said.startswith("the keychain (tests.auth.storage.keychains.MemoryKeychain) did not take ")
    assert said.endswith(" bytes; Windows' takes 2560. Keep such long tokens with FileTokenStorage")
    with pytest.raises(RuntimeError):
        await storage.save(A0)


async def test_a_keychain_that_keeps_a_part_is_told_of(storage: KeyringTokenStorage, keychain: MemoryKeychain) -> None:
    keychain.longest = 20

    assert "MemoryKeychain) keeps nothing, or not all; " in await refusal(storage)


async def test_a_keychain_that_is_disabled_is_told_of(storage: KeyringTokenStorage) -> None:
    """It takes everything and keeps nothing: the next program would find nobody signed in."""
    keyring.set_keyring(null.Keyring())

    assert "the keychain (keyring.backends.null.Keyring) keeps nothing, or not all; " in await refusal(storage)


async def test_where_there_is_no_keychain_it_says_what_to_do(storage: KeyringTokenStorage) -> None:
    keyring.set_keyring(fail.Keyring())

    said = await refusal(storage)

    assert said == (
        "there is no keychain on this machine; install one that `keyring` knows and name it in PYTHON_KEYRING_BACKEND, "
        "or keep the tokens with FileTokenStorage"
    )


LOADING = """
import asyncio, sys
from rxlink.auth.storage.keyring import KeyringTokenStorage
from rxlink.errors import InvariantError

async def main():
    try:
        await KeyringTokenStorage("api.example.com", "ada", lock_folder=sys.argv[1]).load()
    except InvariantError as error:
        print(str(error).partition(";")[0])

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "there is no keychain on this machine"),
        ({"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}, "there is no keychain on this machine"),
        (
            {"PYTHON_KEYRING_BACKEND": "no.such.Backend"},
            "the backend that PYTHON_KEYRING_BACKEND or keyringrc.cfg names cannot be loaded (ModuleNotFoundError)",
        ),
    ],
)
def test_a_machine_without_a_desktop_is_told_what_to_do(
    tmp_path: Path, variables: dict[str, str], expected: str
) -> None:
    with start(LOADING, tmp_path, **variables) as child:
        outcome = child.communicate(timeout=PATIENCE)

    assert (f"{expected}\n", "") == outcome


@pytest.mark.parametrize(
    ("service", "username", "error", "said"),
    [
        ("", "ada", InvariantError, "`service` is empty; give text"),
        ("api", "", InvariantError, "`username` is empty"),
        (None, "ada", InvariantTypeError, "`service` is None; give text"),
        ("api", 3, InvariantTypeError, "`username` is an int"),
    ],
)
def test_a_bad_name_is_refused_at_once(
    service: object, username: object, error: type[InvariantError], said: str
) -> None:
    with pytest.raises(error) as caught:
        KeyringTokenStorage(service, username)  # pyright: ignore[reportArgumentType]

    assert said in str(caught.value)


def test_a_bad_folder_is_refused_at_once() -> None:
    with pytest.raises(InvariantError, match="`lock_folder` is ''"):
        KeyringTokenStorage("api", "ada", lock_folder="")


@pytest.mark.parametrize("package", ["keyring", "filelock", "platformdirs"])
def test_without_its_packages_it_says_which_extra_is_missing(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(InvariantError) as caught:
        KeyringTokenStorage("api", "ada")

    assert (
        "KeyringTokenStorage needs the extra `keyring`, which is not installed: pip install 'rxlink[keyring]'"
    ) == str(caught.value)
