"""The files in docs/examples run by themselves and print what the page about them says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
SECTION = re.compile(r"^## (\w+)$.*?^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OUTPUTS = dict(SECTION.findall((DOCS / "examples.md").read_text(encoding="utf-8")))
FILES = sorted((DOCS / "examples").glob("*.py"))


def test_the_page_shows_every_example_and_no_other() -> None:
    assert {file.stem for file in FILES} == set(OUTPUTS)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_example_runs_by_itself_and_prints_what_its_page_says(file: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-W", "error", file], capture_output=True, text=True, timeout=60, check=False
    )

    assert (0, "") == (finished.returncode, finished.stderr)
    assert OUTPUTS[file.stem].splitlines() == finished.stdout.splitlines()
