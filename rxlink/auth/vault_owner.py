"""What the keeping of tokens needs of their session."""

from __future__ import annotations

from typing import Protocol

from rxlink.auth.events import AuthEvent
from rxlink.auth.storage.depot import Kept
from rxlink.auth.storage.serial import Turn
from rxlink.auth.storage.shared import StoredTokens

__all__ = ["VaultOwner"]


class VaultOwner(Protocol):
    """What a vault needs of its session."""

    @property
    def is_loaded(self) -> bool:
        """Whether it is known by now who is signed in."""
        ...

    @property
    def is_closed(self) -> bool:
        """Whether the session was closed."""
        ...

    @property
    def generation(self) -> int:
        """Counts the token sets; the one in use."""
        ...

    def adopt(self, found: StoredTokens | None, /) -> None:
        """Use what was found in the storage, where it is newer than what is in use."""

    def claim(self, kept: Kept, /) -> Turn | None:
        """Take a turn for saving this once more; None where it is no longer what is to be kept."""

    def confirm(self, kept: Kept, record: StoredTokens, /) -> None:
        """Take note that this is kept, and how."""

    def give_in(self, kept: Kept, /) -> None:
        """Take note that this is not kept, and something else is."""

    def insist(self, kept: Kept, /) -> Kept | None:
        """Return this as what goes over whatever is kept, if it is still in use; None where it is not."""

    def tell(self, event: AuthEvent, /) -> None:
        """Tell the listeners."""
