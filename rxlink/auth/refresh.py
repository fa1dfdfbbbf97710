"""One refresh of a session, and what those who run it need of the session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from rxlink.auth.credential import Wallet
from rxlink.auth.events import AuthEvent, RefreshReason
from rxlink.auth.permit import Permit
from rxlink.auth.tokens import TokenSet
from rxlink.errors import AuthError, SessionEnded

__all__ = ["Refresh", "RefreshOwner"]


@dataclass(slots=True, eq=False)
class Refresh:
    """One refresh.

    Attributes:
        reason: Why it runs.
        epoch: For which login.
        began: When, by the timers: a clock may be set meanwhile.
        ends: When its time is up, by the timers.
        lost_answers: How often the refresh token may have been used up, and only the answer was lost.
        has_lost_answer: Whether a request may have arrived, and only the answer was lost, whatever it was paid with.
        is_put_off: Whether it ran ahead of time, and the next one has time too.
        is_login: Whether its tokens came from a new sign-in.
        ended: With what the session ends, unless the user signs in again; set while the application is asked.
        generation: Of the tokens that were in use when it began.
        is_adopted: Whether somebody else has refreshed, and its tokens came from the storage.
        waited: How many seconds it has waited for those who share the storage, and for the storage.
        tokens: What it presents to the issuer.
        presented: Their generation.
    """

    reason: RefreshReason
    epoch: int
    began: float
    ends: float = 0.0
    lost_answers: int = 0
    has_lost_answer: bool = False
    is_put_off: bool = False
    is_login: bool = False
    ended: SessionEnded | None = None
    generation: int = 0
    is_adopted: bool = False
    waited: float = 0.0
    tokens: TokenSet | None = None
    presented: int = 0


class RefreshOwner(Protocol):
    """What a refresher needs of its session."""

    @property
    def wallet(self) -> Wallet:
        """Where the tokens in use are."""
        ...

    @property
    def permit(self) -> Permit | None:
        """The right to refresh; None where the storage is shared with nobody."""
        ...

    async def look(self) -> None:
        """Adopt what others have saved."""

    def refresh_is_over(self, refresh: Refresh, /) -> None:
        """Let the others refresh."""

    async def keep(self, refresh: Refresh, tokens: TokenSet, /) -> TokenSet:
        """Use and save new tokens; return them."""
        ...

    async def forget(self, refresh: Refresh, /) -> None:
        """Clear the storage: its refresh token is dead."""

    def refresh_failed(self, refresh: Refresh, error: AuthError, /) -> None:
        """Take note that a refresh ended without tokens."""

    def publish(self) -> None:
        """Tell where the session stands now."""

    def emit(self, event: Callable[..., AuthEvent], /, *values: object) -> None:
        """Tell the listeners."""

    def tell_of_failed_callback(self, callback: str, error: BaseException, /) -> None:
        """Tell the listeners that a function of the application raised."""
