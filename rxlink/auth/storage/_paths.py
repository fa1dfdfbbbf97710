"""Files and folders that are their owner's alone, and whose dates tell one change from the next."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Generator, Hashable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, cast

from rxlink.core.options import kind_of
from rxlink.errors import InvariantError, InvariantTypeError

__all__ = [
    "FILE_MODE",
    "checked_path",
    "date_after",
    "make_file",
    "make_folder",
    "stamp_of",
    "sync_folder",
    "telling_of",
]

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700
CANNOT_BE_SYNCED: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM, errno.EBADF})
"""What systems say that write no folder to the disk by itself, or not without the right to list it."""


def checked_path(name: str, value: object, *, may_be_folder: bool = False) -> Path:
    """Return an option that is a path, as an absolute one: a later change of the working directory is of no matter.

    A leading ``~`` or ``~name`` is that user's folder, as in a shell.

    Raises:
        InvariantTypeError: It is neither text nor a ``Path``.
        InvariantError: No file can have that path, or there is no such user.
    """
    kind = kind_of(value)
    text: object = os.fspath(cast("os.PathLike[str]", value)) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str):
        raise InvariantTypeError(f"`{name}` is {kind}; give a path, as text or as a Path")
    if not text or "\0" in text:
        raise InvariantError(f"`{name}` is {text!r}, which is no path")
    whole = os.path.expanduser(text)  # noqa: PTH111 - a Path raises a RuntimeError without saying of what
    if whole == text and text.startswith("~"):
        raise InvariantError(
            f"`{name}` is {text!r}, and no user of that name is known; give {f'./{text}'!r} if a file is called so"
        )
    folder, file = os.path.split(text)
    if not may_be_folder and (file in {"", ".", ".."} or (not folder and whole != text)):
        raise InvariantError(f"`{name}` is {text!r}, which is a folder; give the path of a file")
    return Path(whole).absolute()


@contextmanager
def telling_of(where: str) -> Generator[None]:
    """Add to errors of the system where the tokens are: locks and unfinished files have names of their own."""
    try:
        yield
    except OSError as error:
        error.add_note(f"the tokens are in {where}")
        raise


def make_folder(folder: Path) -> None:
    """Make a folder and those above it where they are missing, for their owner alone; others stay as they are."""
    if folder.is_dir() or folder == folder.parent:
        return
    make_folder(folder.parent)
    try:
        folder.mkdir(FOLDER_MODE)
    except FileExistsError:  # made by another process; if it is something else, whoever uses it will say so
        return
    folder.chmod(FOLDER_MODE)  # a umask may have taken away the owner's own rights
    sync_folder(folder.parent)


def make_file(path: Path) -> None:
    """Make a file where it is missing, for its owner alone; the folder is there."""
    if path.exists():
        return
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, FILE_MODE))
    path.chmod(FILE_MODE)


def sync_folder(folder: Path) -> None:
    """Wait until the disk knows which names a folder holds, where that can be had."""
    if os.name == "nt":  # which opens no folder
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in CANNOT_BE_SYNCED:
            raise


def date_after(path: Path, earlier: Path) -> None:
    """Date a file to now, and in any case later than another.

    A system counts files' dates in its clock's ticks, of some milliseconds, and gives a file the number of one that it
    has just removed. So two changes within a tick could not be told apart, nor could any after a clock was set back.
    """
    date = time.time_ns()
    with suppress(FileNotFoundError):
        date = max(date, earlier.stat().st_mtime_ns + 1)
    os.utime(path, ns=(date, date))


def stamp_of(path: Path) -> Hashable:
    """Return what differs with each change of a file; None where there is none, or it cannot be told."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
