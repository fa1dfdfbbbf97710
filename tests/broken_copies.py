"""Copies of the tree to break on purpose, and tests that are run in them: what `breaks.py` and `mutants.py` share."""

from __future__ import annotations

import compileall
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from py_compile import PycInvalidationMode
from queue import SimpleQueue

__all__ = [
    "AT_A_TIME",
    "ROOT",
    "Copies",
    "check_unbroken",
    "copies_of_the_tree",
    "exchange",
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


class Copies:
    """Copies of the tree, as many as are used at a time; in each, one file at a time has another text.

    What was compiled stays from run to run, which is most of the time of one. A module of the package is recognised by
    its content: one that was changed is compiled anew, and once more when it has been put back.

    Args:
        folders: Where they are.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._free: SimpleQueue[Path] = SimpleQueue()
        for folder in folders:
            self._free.put(folder)

    @contextmanager
    def unbroken(self) -> Iterator[Path]:
        """Take one for a while."""
        copy = self._free.get()
        try:
            yield copy
        finally:
            self._free.put(copy)

    @contextmanager
    def broken(self, file: str, change: Callable[[str], str]) -> Iterator[Path]:
        """Take one in which a file, named below `rxlink`, has a changed text."""
        with self.unbroken() as copy:
            broken = copy / "rxlink" / file
            before = broken.read_text(encoding="utf-8")
            try:
                broken.write_text(change(before), encoding="utf-8")
                yield copy
            finally:
                broken.write_text(before, encoding="utf-8")


def exchange(file: str, old: str, new: str) -> Callable[[str], str]:
    """Return what changes one text of a file into another; it raises a LookupError if that is not there just once."""

    def change(text: str) -> str:
        if text.count(old) != 1:
            raise LookupError(f"the old text is found {text.count(old)} times in rxlink/{file}")
        return text.replace(old, new)

    return change


@contextmanager
def copies_of_the_tree(number: int = AT_A_TIME) -> Iterator[Copies]:
    """Make copies, of the tree as it is now: who works on it meanwhile changes nothing."""
    with tempfile.TemporaryDirectory(prefix="rxlink-break-") as folder:
        first, *others = [Path(folder, str(place)) for place in range(number)]
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, first / name, ignore=shutil.ignore_patterns(*LEFT_OUT))
            else:
                shutil.copy(source, first / name)
        compileall.compile_dir(
            first / "rxlink", quiet=2, workers=number, invalidation_mode=PycInvalidationMode.CHECKED_HASH
        )
        for other in others:
            shutil.copytree(first, other)
        yield Copies([first, *others])


def run_python(copy: Path, *arguments: str, time_limit: float = TIME_LIMIT) -> subprocess.CompletedProcess[str]:
    """Run Python against the package in the copy; hypothesis draws the same examples in each run.

    Raises:
        subprocess.TimeoutExpired: It took too long.
    """
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "", "CI": "true"}
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


def check_unbroken(copies: Copies, tests: Sequence[str]) -> str | None:
    """Return what is wrong before anything is broken."""
    with copies.unbroken() as copy:
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
