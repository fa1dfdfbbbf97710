"""The storage in a file, for the processes of one machine."""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Hashable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from time import sleep
from typing import Final

from rxlink.auth.storage._locks import POLL_INTERVAL, FileLease, held, take_lease
from rxlink.auth.storage._off_loop import off_loop
from rxlink.auth.storage._paths import FILE_MODE, checked_path, date_after, stamp_of, sync_folder, telling_of
from rxlink.auth.storage.record_text import from_text, to_text
from rxlink.auth.storage.shared import LEASE, SharedTokenStorage, StoredTokens, TokenLease, is_first_serial
from rxlink.core.options import require_extra
from rxlink.core.timing import Duration
from rxlink.errors import InvalidStoredTokens

__all__ = ["FileTokenStorage"]

logger = logging.getLogger(__name__)

OPEN_TO_OTHERS: Final = 0o077
"""The bits of a file's mode that are of any use to others than its owner."""

NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)

LEFTOVER: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Follows no link, and waits for nobody to write into a pipe."""

NO_FILE_OF_OURS: Final = frozenset(
    {errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.EOPNOTSUPP, errno.EACCES, errno.EPERM}
)
"""What opening it says where there is nothing, a link, a socket, or what its owner could read."""

FINISHING_TURNS: Final = 10
"""Looks, of some milliseconds each, in which another reader has finished the save of somebody who was killed."""


class FileTokenStorage(SharedTokenStorage):
    """Keeps tokens in a file of their owner's alone. Processes and threads that name the same path share a session.

    Whoever reads finds the tokens of before or those of after a save, whole, whenever the saver or the machine stops.
    A save that was killed when all of it was written is finished by whoever comes next: the tokens of before are used
    up, and the session would be lost. What is in its place and is not the user's own, or open to others, is removed.
    Who reads does not wait for a save.
    The right to refresh is a lock of the operating system on ``<path>.lock``. It is free as soon as its holder has
    ended, however it did; a process that is merely stopped keeps it. The moment of a save is guarded by
    ``<path>.write.lock``. Both files stay; do not remove them while anybody uses the tokens.

    The folder must be on a local disk: on network file systems, neither locks nor dates of files can be relied upon.
    Files are made with mode 0600, and folders that are missing with 0700; on Windows, who may read them is the
    folder's business. Where the path is a symbolic link, what it points to is replaced.

    Needs the extra ``filelock``.

    Example:
        >>> import asyncio
        >>> import tempfile
        >>> from rxlink import TokenSet
        >>> from rxlink.auth.storage.file import FileTokenStorage
        >>> async def main(folder):
        ...     await FileTokenStorage(f"{folder}/tokens.json").save(TokenSet("A0"))
        ...     tokens = await FileTokenStorage(f"{folder}/tokens.json").load()
        ...     return tokens.access_token
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     asyncio.run(main(folder))
        'A0'
    """

    def __init__(self, path: str | os.PathLike[str], *, lease: Duration = LEASE) -> None:
        """Name the file; it need not be there, nor its folder.

        Args:
            path: The file. A leading ``~`` is the user's folder; a path that is relative is so to the working
                directory of this moment, whatever it is later.
            lease: Seconds; of no consequence here, where the lock of a process that has died is free at once.

        Raises:
            InvariantError: The path is none, or a folder's; or the extra ``filelock`` is not installed.
            InvariantTypeError: It is neither text nor a ``Path``.
        """
        super().__init__(lease=lease)
        self._path = checked_path("path", path)
        self._where = f"the file {self._path}"
        self._warned = Lock()  # taken by the first who warns, and never given back
        require_extra("FileTokenStorage", "filelock", "filelock")

    def __repr__(self) -> str:
        """Name the file."""
        return f"FileTokenStorage({str(self._path)!r})"

    async def read(self) -> StoredTokens | None:
        """Return what the file holds; None where there is no file.

        Raises:
            InvalidStoredTokens: It holds something else.
            OSError: It cannot be read.
        """
        with telling_of(self._where):
            return await off_loop(self._read_finished)

    async def replace(self, old: StoredTokens | None, new: StoredTokens, /) -> bool:
        """Keep ``new`` if ``old`` is what is kept; return when the disk has it.

        Whoever leaves meanwhile may find it done later, and only if ``old`` was still kept then.

        Raises:
            InvalidStoredTokens: The file holds something else, and is left as it is.
            OSError: It could not be written; it is left as it is.
        """
        with telling_of(self._where):
            return await off_loop(lambda: self._replace(old, new))

    async def try_acquire(self) -> TokenLease | None:
        """Return the right to refresh, or None where another process or session has it.

        Raises:
            OSError: The lock file cannot be made or locked.
        """
        with telling_of(self._where):
            return await off_loop(lambda: take_lease(_beside(self._target(), ".lock")), unwanted=_give_back)

    def stamp(self) -> Hashable:
        """Return date, number and size of the file."""
        return stamp_of(self._path)

    def _target(self) -> Path:
        """Return the file that a link points to; who comes by the link and who does not must use the same locks."""
        return self._path.resolve()

    def _read_finished(self) -> StoredTokens | None:
        """Read; where a save was killed when all of it was written, finish it first."""
        target = self._target()
        if os.path.lexists(_unfinished(target)):
            self._finish_unless_saving(target)
        return self._read(target)

    def _finish_unless_saving(self, target: Path) -> None:
        """Finish a save, if nobody lives who does.

        A saver who lives is not done yet, so that what is there is right, and may have been stopped. But it may be
        another reader who has the lock, and finishes; what is there is used up then, so that one is given a moment.
        """
        for _ in range(FINISHING_TURNS):
            lock = take_lease(_beside(target, ".write.lock"))
            if lock is not None:
                try:
                    return self._finish(target)
                finally:
                    lock.give_back()
            if not self._is_next(_left_by_a_save(_unfinished(target)), target):
                return None
            sleep(POLL_INTERVAL)
        return None

    def _finish(self, target: Path) -> None:
        """Under the lock: whoever has it knows that no save is under way, and that nothing was saved since."""
        leftover = _unfinished(target)
        if self._is_next(_left_by_a_save(leftover), target):
            leftover.replace(target)
            sync_folder(target.parent)
            return
        with suppress(OSError):  # it stops nobody who reads; a save will say that it cannot make its own there
            leftover.unlink()

    def _is_next(self, written: StoredTokens | None, target: Path) -> bool:
        kept = self._read(target)
        if written is None:
            return False
        return is_first_serial(written.serial) if kept is None else written.serial == kept.serial + 1

    def _read(self, target: Path) -> StoredTokens | None:
        try:
            with target.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                text = file.read()
        except FileNotFoundError:
            return None
        if os.name == "posix" and mode & OPEN_TO_OTHERS and self._warned.acquire(blocking=False):
            logger.warning(
                "the file %s is open to others than its owner (mode %04o); the next save gives it mode 0600",
                target,
                mode & 0o7777,
            )
        if not text.strip():
            raise InvalidStoredTokens(self._where, "it is empty")
        return from_text(text, self._where)

    def _replace(self, old: StoredTokens | None, new: StoredTokens) -> bool:
        target = self._target()
        with held(_beside(target, ".write.lock")):
            self._finish(target)
            kept = self._read(target)
            if kept is not old and (kept is None or not kept.is_same_as(old)):
                return False
            _write_whole(target, to_text(new).encode())
        return True


def _give_back(lease: FileLease | None) -> None:
    if lease is not None:
        lease.give_back()


def _beside(target: Path, suffix: str) -> Path:
    return target.with_name(target.name + suffix)


def _write_whole(target: Path, data: bytes) -> None:
    """Put a file in the place of another, under the lock; there is never a moment with a part of it there."""
    temporary = _unfinished(target)
    descriptor = os.open(temporary, NEW_FILE, FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            temporary.chmod(FILE_MODE)  # a umask may have taken away the owner's own rights
            file.write(data)
            file.flush()
            date_after(temporary, target)
            os.fsync(file.fileno())  # else the new name may reach the disk before what it names
        temporary.replace(target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(target.parent)


def _left_by_a_save(leftover: Path) -> StoredTokens | None:
    """Return what a save of this user's has written there; None where something else is, or only a part of it.

    Whoever may write into the folder can put something there. In the place of the tokens it would be believed, and be
    open to whomever it is open to.
    """
    try:
        descriptor = os.open(leftover, LEFTOVER)
    except OSError as error:
        if error.errno in NO_FILE_OF_OURS:
            return None
        raise
    try:
        if not _is_of_this_user_alone(os.fstat(descriptor)):
            return None
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            text = file.read()
    finally:
        os.close(descriptor)
    with suppress(InvalidStoredTokens):
        return from_text(text, f"the file {leftover}")
    return None


def _is_of_this_user_alone(found: os.stat_result) -> bool:
    if os.name != "posix":
        return stat.S_ISREG(found.st_mode)
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & OPEN_TO_OTHERS


def _unfinished(target: Path) -> Path:
    """Return the file that a save writes before it takes its place: the same one each time, so that others find it."""
    return target.with_name(f".{target.name}.rxlink.tmp")
