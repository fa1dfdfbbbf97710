"""Files and folders of their owner's alone."""

from pathlib import Path

import pytest

from rxlink.auth.storage._paths import make_file, make_folder, stamp_of


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
