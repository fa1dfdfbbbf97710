"""The protocol of storages that several processes share: tokens with a serial number, and the right to refresh them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from rxlink.auth.tokens import TokenSet
from rxlink.core.timing import Duration, to_seconds

__all__ = ["LEASE", "SharedTokenStorage", "StoredTokens", "TokenLease", "new_login"]

LEASE = 3.0
"""Seconds, unless an option says otherwise."""


SERIALS_A_SECOND = 1_000_000


def first_serial(now: datetime) -> int:
    """Return the number of a sign-in where nothing is kept: larger than those of all that was kept there, and lost."""
    return max(0, int(now.timestamp())) * SERIALS_A_SECOND + 1


def is_first_serial(serial: int) -> bool:
    """Tell whether this is the number of a change before which nothing was kept."""
    return serial % SERIALS_A_SECOND == 1


def new_login() -> str:
    """Return a name for a sign-in that no other has."""
    return uuid4().hex


@dataclass(frozen=True, slots=True)
class StoredTokens:
    """What a shared storage keeps of a session.

    Attributes:
        tokens: The tokens; None once somebody has signed out.
        login: Which sign-in they are of: a refresh keeps it, a new sign-in has another.
        serial: Counts the changes, from 1: of two, the larger number is newer. The first has the time in it, so that
            a sign-in after a storage has lost everything is newer than what was there.
        reason: Why nobody is signed in, where there are no tokens.
    """

    tokens: TokenSet | None
    login: str
    serial: int
    reason: str | None = None

    def is_same_as(self, other: StoredTokens | None) -> bool:
        """Tell whether both are of the same change."""
        return other is not None and (self.login, self.serial) == (other.login, other.serial)


class TokenLease(ABC):
    """The right to refresh, which one of those who share a storage has at a time.

    Attributes:
        duration: For how many seconds it lasts unless it is renewed; None where it lasts as long as its process lives.
    """

    duration: float | None = None

    async def renew(self) -> bool:
        """Make it last its full duration from now; tell whether it was still ours."""
        return True

    @abstractmethod
    async def release(self) -> None:
        """Give it back; if it is no longer ours, that of somebody else is left alone."""


class SharedTokenStorage(ABC):
    """Keeps one session's tokens for any number of processes, which refresh one at a time.

    A subclass says how to read, to replace, and to get the lease. Whatever these raise leaves the session usable, and
    counts as a failure that passes, but :class:`~rxlink.errors.InvalidStoredTokens`: what was found is none of ours,
    and nothing may be written over it. Calls may come from several event loops, one after another or at once.

    Attributes:
        lease: For how many seconds the right to refresh lasts unless it is renewed: what it costs the others when its
            holder dies.
    """

    def __init__(self, *, lease: Duration = LEASE) -> None:
        """Make a storage; nothing is opened before it is used."""
        self.lease = to_seconds("lease", lease, may_be_zero=False)

    @abstractmethod
    async def read(self) -> StoredTokens | None:
        """Return what is kept; None where nothing is.

        Raises:
            InvalidStoredTokens: Something else is there.
        """

    @abstractmethod
    async def replace(self, old: StoredTokens | None, new: StoredTokens, /) -> bool:
        """Keep ``new`` if ``old`` is what is kept (None: nothing is), all at once; return when it is safe.

        Returns:
            False where something else is kept, by login and serial number; then nothing is changed.

        Raises:
            InvalidStoredTokens: Something else is there; it is left as it is.
        """

    @abstractmethod
    async def try_acquire(self) -> TokenLease | None:
        """Return the right to refresh, or None where somebody else has it; never wait for it."""

    def stamp(self) -> Hashable:
        """Return something that differs once others have changed what is kept, if that can be told at once.

        It is asked before each operation: it must be quick, and wait for nothing.
        """
        return None

    def watch(self, notice: Callable[[], None], /) -> Callable[[], None]:
        """Call ``notice`` on the running event loop as soon as others may have changed what is kept.

        Returns:
            What stops that; here, where changes are not told, it does nothing.
        """
        return _do_nothing

    async def load(self) -> TokenSet | None:
        """Return the tokens that are kept; None where none are."""
        record = await self.read()
        return None if record is None else record.tokens

    async def save(self, tokens: TokenSet, /) -> None:
        """Keep tokens of a new sign-in instead of whatever was kept; ``expires_in`` counts from now."""
        kept = tokens if tokens.expires_at is not None else tokens.received(datetime.now(UTC))
        await self._change(kept, new_login())

    async def clear(self) -> None:
        """Forget the tokens; those who share the storage hear of a sign-out."""
        await self._change(None, None)

    async def _change(self, tokens: TokenSet | None, login: str | None) -> None:
        while True:
            record = await self.read()
            serial = first_serial(datetime.now(UTC)) if record is None else record.serial + 1
            of = login or (new_login() if record is None else record.login)
            if await self.replace(record, StoredTokens(tokens, of, serial)):
                return


def _do_nothing() -> None:
    """Nothing was started."""
