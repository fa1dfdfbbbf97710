"""Finds Node and npm, and installs what a folder's `package-lock.json` asks for, once.

On a user's machine a missing Node (or no way to the registry) is a reason to skip; with `CI=true` it is a failure.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

__all__ = ["CannotInstall", "installed", "node_in", "one_at_a_time", "skip_or_fail"]

OLDEST_NODE = 20
INSTALLATION_LIMIT = 300  # seconds
STAMP = ".installed-from"  # in node_modules, so that it goes when they go


class CannotInstall(Exception):
    """Node, npm or a package is missing; the message says which."""


def node_in(folder: Path) -> str:
    """Return the path of `node` for tests, when the packages of a folder are there; skip or fail if they cannot be."""
    try:
        return installed(folder)
    except CannotInstall as reason:
        skip_or_fail(str(reason))


def installed(folder: Path) -> str:
    """Install a folder's packages if its lock file has changed, and return the path of `node`.

    Raises:
        CannotInstall: Node or npm is missing or too old, or npm cannot install.
    """
    node, npm = _program("node"), _program("npm")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < OLDEST_NODE:
        raise CannotInstall(f"Node is {version}; {OLDEST_NODE} or later is needed")
    lock_file = (folder / "package-lock.json").read_bytes()
    wanted = hashlib.sha256(lock_file).hexdigest()
    stamp = folder / "node_modules" / STAMP
    with one_at_a_time(folder):
        if not stamp.exists() or stamp.read_text() != wanted:
            _install(npm, folder)
            stamp.write_text(wanted)
    return node


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise CannotInstall(f"`{name}` is not on the PATH; install Node {OLDEST_NODE} or later")
    return path


def _install(npm: str, folder: Path) -> None:
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=INSTALLATION_LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        raise CannotInstall(f"`npm ci` in {folder.name} took more than {INSTALLATION_LIMIT} s") from None
    if done.returncode:
        raise CannotInstall(f"`npm ci` in {folder.name} failed: {done.stderr.strip()[-500:]}")


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Let other processes wait, such as those of pytest-xdist."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    with (Path(tempfile.gettempdir()) / f"rxlink-npm-{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # until the file closes
        yield


def skip_or_fail(reason: str) -> NoReturn:
    import pytest  # not above: the benchmarks install with this module too, where pytest need not be

    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
