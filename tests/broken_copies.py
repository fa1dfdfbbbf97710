"""Copies of the tree to break on purpose, and tests that are run in them: what `breaks.py` and `mutants.py` share."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "AT_A_TIME",
    "ROOT",
    "broken_copy",
    "check_unbroken",
    "copy_of_the_tree",
    "replaced",
    "run_python",
    "run_tests",
    "why_not_red",
]

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("rxlink", "tests", "pyproject.toml")
LEFT_OUT = ("__pycache__", ".*", "node_modules", "peers", "oracle")
"""What takes long to copy, and is nothing that breaks or mutants run."""
AT_A_TIME = 2
TIME_LIMIT = 120  # seconds for one run
MEMORY_LIMIT = 4 << 30  # bytes of address space: code made wrong may fill a list for ever
RED = 1  # pytest's exit code for failed tests; others mean that it did not get that far
LIMITED_PYTEST = f"""
import sys, pytest
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, ({MEMORY_LIMIT}, {MEMORY_LIMIT}))
except ImportError:  # not on Windows
    pass
sys.exit(pytest.main(sys.argv[1:]))
"""


@dataclass(frozen=True)
class Break:
    """One line of the code, made wrong.

    Attributes:
        promise: Which promise or demand it breaks.
        name: What the code does then.
        file: Where, below `rxlink`.
        old: The text as it is; with a neighbouring line where it is not unique.
        new: The text that takes its place.
        test: The test that must turn red: of the stories of the promises, or with its path below `tests`.
    """

    promise: str
    name: str
    file: str
    old: str
    new: str
    test: str


@contextmanager
def copy_of_the_tree(tree: Path = ROOT) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="rxlink-break-") as folder:
        copy = Path(folder)
        for name in COPIED:
            source = tree / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns(*LEFT_OUT))
            else:
                shutil.copy(source, copy / name)
        yield copy


@contextmanager
def broken_copy(file: str, old: str, new: str) -> Iterator[Path]:
    """Make a copy in which one text of a file, named below `rxlink`, is another.

    Raises:
        LookupError: The text is not there exactly once.
    """
    with copy_of_the_tree() as copy:
        broken = copy / "rxlink" / file
        text = broken.read_text()
        if text.count(old) != 1:
            raise LookupError(f"the old text is found {text.count(old)} times in rxlink/{file}")
        broken.write_text(text.replace(old, new))
        yield copy


@contextmanager
def replaced(file: Path, text: str) -> Iterator[None]:
    """Give a file another text, for a while."""
    before = file.read_bytes()
    file.write_bytes(text.encode())
    try:
        yield
    finally:
        file.write_bytes(before)


def run_python(copy: Path, *arguments: str, time_limit: float = TIME_LIMIT) -> subprocess.CompletedProcess[str]:
    """Run Python against the package in the copy; hypothesis draws the same examples in each run.

    Raises:
        subprocess.TimeoutExpired: It took too long.
    """
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "CI": "true"}
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=copy, env=environment, capture_output=True, text=True, timeout=time_limit, check=False
    )


def run_tests(copy: Path, tests: Sequence[str], *, time_limit: float = TIME_LIMIT) -> subprocess.CompletedProcess[str]:
    """Run tests in the copy until one fails.

    Raises:
        subprocess.TimeoutExpired: They took too long.
    """
    quietly = ["-x", "-q", "-p", "no:cacheprovider", "--no-header"]
    return run_python(copy, "-c", LIMITED_PYTEST, *quietly, *tests, time_limit=time_limit)


def check_unbroken(tests: Sequence[str]) -> str | None:
    """Return what is wrong before anything is broken."""
    with copy_of_the_tree() as copy:
        found = run_python(copy, "-c", "import rxlink; print(rxlink.__file__)").stdout
        if not found.startswith(str(copy)):
            return f"the tests would run against {found.strip()}, not against the copy"
        run = run_tests(copy, tests)
        return None if run.returncode == 0 else f"the unbroken copy is not green:\n{run.stdout}{run.stderr}"


def why_not_red(run: subprocess.CompletedProcess[str]) -> str | None:
    """Return what is wrong with a run in which a test had to fail; None where one did."""
    if run.returncode == RED:
        return None
    return "survived" if run.returncode == 0 else f"pytest did not run:\n{run.stdout}{run.stderr}"
