"""The storage in the user's keychain: that of macOS or Windows, or the Secret Service of a Linux desktop."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Generator, Hashable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rxlink.auth.storage._locks import FileLease, held, take_lease
from rxlink.auth.storage._off_loop import off_loop
from rxlink.auth.storage._paths import checked_path, date_after, make_file, stamp_of, telling_of
from rxlink.auth.storage.record_text import from_text, to_text
from rxlink.auth.storage.shared import LEASE, SharedTokenStorage, StoredTokens, TokenLease
from rxlink.core.options import kind_of, require_extra
from rxlink.core.timing import Duration
from rxlink.errors import InvalidStoredTokens, InvariantError, InvariantTypeError

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

__all__ = ["KeyringTokenStorage"]

WINDOWS_LIMIT: Final = 2560
"""Bytes of UTF-16 that an entry of Windows' Credential Manager holds (CRED_MAX_CREDENTIAL_BLOB_SIZE)."""

CURE: Final = (
    "install one that `keyring` knows and name it in PYTHON_KEYRING_BACKEND, or keep the tokens with FileTokenStorage"
)


class KeyringTokenStorage(SharedTokenStorage):
    """Keeps tokens in the keychain. Processes and threads that name the same entry, as the same user, share a session.

    The right to refresh, and the moment of a save, are locks of the operating system on files in a folder of the
    user's; the files hold nothing, and their names tell nothing. A save also dates a file there, by which the other
    processes notice it. A keychain may ask its user for a password; the event loop goes on meanwhile.

    A keychain that is locked, or does not answer, is an outage that passes. That there is none, that it keeps nothing
    (``keyring --disable``), or that tokens are too long for it, is not: Windows' keeps about 2,500 bytes an entry,
    1,250 characters; long tokens, such as JWTs with many claims, need a
    :class:`~rxlink.auth.storage.file.FileTokenStorage` there.

    Needs the extra ``keyring``.

    Example:
        >>> from rxlink.auth.storage.keyring import KeyringTokenStorage
        >>> KeyringTokenStorage("api.example.com", "ada")
        KeyringTokenStorage('api.example.com', 'ada')
    """

    def __init__(
        self,
        service: str,
        username: str,
        *,
        lease: Duration = LEASE,
        lock_folder: str | os.PathLike[str] | None = None,
    ) -> None:
        """Name the entry; the keychain is not opened before it is used.

        Args:
            service: What the tokens are for.
            username: Whose they are.
            lease: Seconds; of no consequence here, where the lock of a process that has died is free at once.
            lock_folder: Where the locks are, on a local disk; the same for all who share the entry. A leading ``~`` is
                the user's folder; a path that is relative is so to the working directory of this moment, whatever it
                is later. None for a folder ``rxlink`` among those where programs of the user keep their state.

        Raises:
            InvariantError: A name is empty; or the extra ``keyring`` is not installed.
            InvariantTypeError: A name is no text.
        """
        super().__init__(lease=lease)
        self._service = _checked_name("service", service)
        self._username = _checked_name("username", username)
        self._where = f"the keychain's entry of {service!r} for {username!r}"
        require_extra("KeyringTokenStorage", "keyring", "keyring", "filelock", "platformdirs")
        folder = (
            _state_folder() if lock_folder is None else checked_path("lock_folder", lock_folder, may_be_folder=True)
        )
        entry = hashlib.sha256(json.dumps([service, username]).encode()).hexdigest()
        self._lock = folder / f"keyring-{entry}.lock"
        self._write_lock = folder / f"keyring-{entry}.write.lock"
        self._stamp = folder / f"keyring-{entry}.stamp"

    def __repr__(self) -> str:
        """Name the entry."""
        return f"KeyringTokenStorage({self._service!r}, {self._username!r})"

    async def read(self) -> StoredTokens | None:
        """Return what the entry holds; None where there is none.

        Raises:
            InvalidStoredTokens: It holds something else.
            InvariantError: There is no keychain.
            KeyringError: It could not be read.
        """
        with telling_of(self._where):
            return await off_loop(self._read)

    async def replace(self, old: StoredTokens | None, new: StoredTokens, /) -> bool:
        """Keep ``new`` if ``old`` is what is kept; return when the keychain has it.

        Whoever leaves meanwhile may find it done later, and only if ``old`` was still kept then.

        Raises:
            InvalidStoredTokens: The entry holds something else, and is left as it is.
            InvariantError: There is no keychain, it keeps nothing, or not as much.
            KeyringError: It could not be written.
            OSError: A lock could not be had.
        """
        with telling_of(self._where):
            return await off_loop(lambda: self._replace(old, new))

    async def try_acquire(self) -> TokenLease | None:
        """Return the right to refresh, or None where another process or session has it.

        Raises:
            OSError: The lock file cannot be made or locked.
        """
        with telling_of(self._where):
            return await off_loop(lambda: take_lease(self._lock), unwanted=_give_back)

    def stamp(self) -> Hashable:
        """Return the date of the last save on this machine."""
        return stamp_of(self._stamp)

    def _read(self) -> StoredTokens | None:
        try:
            with _explained():
                text = _keychain().get_password(self._service, self._username)
        except UnicodeDecodeError:  # of Windows' backend; it holds what it found
            text = ""
        return None if text is None else from_text(text, self._where)

    def _replace(self, old: StoredTokens | None, new: StoredTokens) -> bool:
        with held(self._write_lock):
            kept = self._read()
            if kept is not old and (kept is None or not kept.is_same_as(old)):
                return False
            make_file(self._stamp)  # a full disk stops it here, before anything is changed
            self._write(new)
            date_after(self._stamp, self._stamp)
        return True

    def _write(self, record: StoredTokens) -> None:
        from keyring.errors import KeyringError

        text, keychain = to_text(record), _keychain()
        try:
            with _explained():
                keychain.set_password(self._service, self._username, text)  # pyright: ignore[reportUnknownMemberType] - decorated
        except (InvariantError, KeyringError, OSError):
            raise
        except Exception as error:  # Windows' backend lets the system's own error out
            if (size := len(text.encode("utf-16-le"))) <= WINDOWS_LIMIT:
                raise
            raise InvariantError(
                f"the keychain ({_name_of(keychain)}) did not take {size} bytes; Windows' takes {WINDOWS_LIMIT}. Keep "
                "such long tokens with FileTokenStorage"
            ) from error
        if not self._is_kept(record):
            raise InvariantError(f"the keychain ({_name_of(keychain)}) keeps nothing, or not all; {CURE}")

    def _is_kept(self, record: StoredTokens) -> bool:
        """Tell whether the keychain has what it was given: one that is disabled takes everything and keeps nothing."""
        try:
            return record.is_same_as(self._read())
        except InvalidStoredTokens:
            return False


def _give_back(lease: FileLease | None) -> None:
    if lease is not None:
        lease.give_back()


def _checked_name(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvariantTypeError(f"`{name}` is {kind_of(value)}; give text")
    if not value:
        raise InvariantError(f"`{name}` is empty; give text")
    return value


def _name_of(keychain: object) -> str:
    return f"{type(keychain).__module__}.{type(keychain).__qualname__}"


def _state_folder() -> Path:
    from platformdirs import user_state_path

    return user_state_path("rxlink")


def _keychain() -> KeyringBackend:
    """Return the backend that ``keyring`` finds or was told to use.

    Raises:
        InvariantError: The one that was named cannot be loaded.
    """
    from keyring import get_keyring

    try:
        return get_keyring()
    except (ImportError, AttributeError, RuntimeError, ValueError) as error:
        raise InvariantError(
            "the backend that PYTHON_KEYRING_BACKEND or keyringrc.cfg names cannot be loaded "
            f"({type(error).__name__}); {CURE}"
        ) from error


@contextmanager
def _explained() -> Generator[None]:
    """Say what to do where there is no keychain, as on a machine without a desktop."""
    from keyring.errors import NoKeyringError

    try:
        yield
    except NoKeyringError as error:
        raise InvariantError(f"there is no keychain on this machine; {CURE}") from error
