"""Locks of the operating system, as files: each goes with the process that holds it, however that one ends.

What ``filelock`` (read: 3.30 to 4.2) does that matters here:

- It locks an open file (``flock``, or ``LockFileEx`` on Windows), so that two lock objects exclude one another also
  within a process. Hence each acquisition has an object of its own: one object taken twice only counts.
- In a forked child it closes the parent's descriptors and forgets the holds, so that the child neither gives the
  parent's lock back nor keeps it alive (``os.register_at_fork``; versions before 3.30 do not).
- On POSIX it leaves the lock file where it is. It must: whoever had it open would lock a file without a name, while
  the next one makes another. The same holds for whoever tidies up: never remove a lock file that may be in use. On
  Windows it removes it, which the system refuses while anybody else has it open.
- Where a file system cannot lock, it would fall back to a file that merely exists, and outlives its process; that is
  switched off here: an error is better.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rxlink.auth.storage._paths import FILE_MODE, make_folder
from rxlink.auth.storage.shared import TokenLease

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ["POLL_INTERVAL", "FileLease", "held", "take_lease"]

LONGEST_WAIT: Final = 10.0
"""Seconds for a lock that is held for milliseconds, unless its holder was stopped (SIGSTOP, a debugger)."""

POLL_INTERVAL: Final = 0.005
"""Seconds between two looks at such a lock."""


class FileLease(TokenLease):
    """The right to refresh, as a locked file; it lasts as long as the process, so it needs no renewal."""

    def __init__(self, lock: BaseFileLock) -> None:
        self._lock = lock

    async def renew(self) -> bool:
        """Tell whether it is still ours: not once it was given back, nor in a forked child."""
        return self._lock.is_locked

    async def release(self) -> None:
        """Give it back, from whichever thread."""
        self.give_back()

    def give_back(self) -> None:
        """Unlock and close the file; neither waits, so a task that was cancelled can do it too."""
        self._lock.release()


def take_lease(path: Path) -> FileLease | None:
    """Lock a file; None where somebody else has."""
    from filelock import Timeout

    lock = _lock_at(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    return FileLease(lock)


@contextmanager
def held(path: Path) -> Generator[None]:
    """Lock a file for a moment, and wait for those who have it for a moment too.

    Raises:
        TimeoutError: Somebody has it for too long.
    """
    from filelock import Timeout

    lock = _lock_at(path)
    try:
        lock.acquire(timeout=LONGEST_WAIT, poll_interval=POLL_INTERVAL)
    except Timeout:
        raise TimeoutError(f"{path} was locked by somebody else for {LONGEST_WAIT:g} s") from None
    try:
        yield
    finally:
        lock.release()


def _lock_at(path: Path) -> BaseFileLock:
    from filelock import FileLock

    make_folder(path.parent)  # filelock would make it for everybody
    return FileLock(path, mode=FILE_MODE, thread_local=False, fallback_to_soft=False)
