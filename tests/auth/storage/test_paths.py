"""Files and folders of their owner's alone."""

from pathlib import Path

import pytest

from rxlink.auth.storage._paths import checked_path, make_file, make_folder, stamp_of
from rxlink.auth.storage.file import FileTokenStorage
from rxlink.auth.storage.keyring import KeyringTokenStorage
from rxlink.errors import InvariantError
from tests.auth.storage.keychains import MemoryKeychain, in_use
from tests.auth.storage.programs import names_in, record


def test_a_folder_that_another_process_makes_in_the_same_moment_is_left_as_it_made_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_by_another = Path.mkdir

    def make_first(folder: Path, mode: int) -> None:
        made_by_another(folder, 0o750)
        made_by_another(folder, mode)

    monkeypatch.setattr(Path, "mkdir", make_first)

    make_folder(tmp_path / "new")

    assert 0o750 == (tmp_path / "new").stat().st_mode & 0o7777


def test_a_file_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("full")
    path.chmod(0o640)
    before = stamp_of(path)

    make_file(path)

    assert (0o640, before) == (path.stat().st_mode & 0o7777, stamp_of(path))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """And the working directory is another."""
    folder, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(folder))
    monkeypatch.chdir(elsewhere)
    return folder


@pytest.mark.parametrize("given", ["~/new/tokens.json", Path("~/new/tokens.json"), Path("~") / "new" / "tokens.json"])
async def test_a_tilde_is_the_users_folder(home: Path, given: str | Path) -> None:
    storage = FileTokenStorage(given)

    await storage.replace(None, record(1))

    assert f"FileTokenStorage('{home}/new/tokens.json')" == repr(storage)
    assert (["tokens.json", "tokens.json.write.lock"], []) == (names_in(home / "new"), names_in(Path.cwd()))


async def test_a_tilde_is_the_users_folder_for_locks_too(home: Path) -> None:
    with in_use(MemoryKeychain()):
        await KeyringTokenStorage("api", "ada", lock_folder="~/locks").replace(None, record(1))
        await KeyringTokenStorage("api", "ada", lock_folder="~").replace(record(1), record(2))

    assert (3, []) == (len(names_in(home)), names_in(Path.cwd()))
    assert 2 == len(names_in(home / "locks"))


async def test_a_relative_folder_of_locks_is_that_of_the_moment_it_was_given(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with in_use(MemoryKeychain()):
        storage = KeyringTokenStorage("api", "ada", lock_folder="locks")
        here = Path.cwd()
        monkeypatch.chdir(home)

        await storage.replace(None, record(1))

    assert (["locks"], []) == (names_in(here), names_in(home))


def test_a_tilde_elsewhere_is_a_name(home: Path) -> None:
    expected = [Path.cwd() / "~" / "tokens.json", Path.cwd() / "a~", Path("/x/~/y")]

    assert expected == [checked_path("path", given) for given in ("./~/tokens.json", "a~", "/x/~/y")]


@pytest.mark.parametrize("given", ["~nobody-has-this-name/tokens.json", "~nobody-has-this-name"])
def test_the_folder_of_a_user_who_is_not_known_is_refused(home: Path, given: str) -> None:
    """Else there would soon be a folder of that name in the working directory."""
    with pytest.raises(InvariantError) as caught:
        checked_path("path", given)

    said = f"`path` is {given!r}, and no user of that name is known; give './{given}' if a file is called so"
    assert said == str(caught.value)


@pytest.mark.parametrize("given", ["~", "~/", "~root"])
def test_a_users_folder_is_no_file(home: Path, given: str) -> None:
    with pytest.raises(InvariantError, match="which is a folder; give the path of a file"):
        checked_path("path", given)
