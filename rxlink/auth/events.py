"""What a session tells about itself: its state, and what happened to tokens and operations. Never a secret."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = [
    "AuthEvent",
    "AuthState",
    "AuthStatus",
    "CallbackFailed",
    "Ended",
    "LeaseLost",
    "LoadFailed",
    "OperationQueued",
    "OperationReleased",
    "OperationRetried",
    "RefreshFailed",
    "RefreshReason",
    "RefreshStarted",
    "RefreshSucceeded",
    "RefreshSuperseded",
    "RefreshTryFailed",
    "SaveFailed",
    "SignedInAgain",
    "TokensAdopted",
    "TokensSaved",
]


class RefreshReason(StrEnum):
    """Why a refresh runs."""

    EXPIRING = "expiring"
    """The token is inside its advisory window; operations go on with it meanwhile."""
    EXPIRED = "expired"
    """The token is inside its mandatory window, or past its end."""
    REJECTED = "rejected"
    """The server no longer accepts the token."""
    FORCED = "forced"
    """``AuthSession.refresh(force=True)`` was called."""
    MISSING = "missing"
    """There are no tokens yet, and the refresh can get the first (``obtain_first``)."""


class AuthStatus(StrEnum):
    """Where a session stands."""

    LOADING = "loading"
    AUTHENTICATED = "authenticated"
    REFRESHING = "refreshing"
    UNAUTHENTICATED = "unauthenticated"


@dataclass(frozen=True, slots=True)
class AuthState:
    """Where a session stands.

    Attributes:
        status: In a word.
        reason: For ``unauthenticated``: why, such as ``signed out``.
    """

    status: AuthStatus
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class AuthEvent:
    """The root of the events of ``AuthSession.events``.

    Attributes:
        generation: Counts the token sets of the session; the one in use when it happened.
    """

    generation: int


@dataclass(frozen=True, slots=True)
class RefreshStarted(AuthEvent):
    """A refresh began; ``operation_name`` is that of the operation that set it off, if one did and has a name."""

    reason: RefreshReason
    operation_name: str | None
    fingerprint: str | None
    """Of the access token that is to be replaced: eight digits that tell tokens apart and say nothing about them."""


@dataclass(frozen=True, slots=True)
class RefreshTryFailed(AuthEvent):
    """One try of a refresh failed for the moment; the next follows after ``delay`` seconds."""

    error_type: str
    delay: float


@dataclass(frozen=True, slots=True)
class RefreshSucceeded(AuthEvent):
    """New tokens arrived, ``seconds`` after the refresh began; ``waiting`` operations go on."""

    reason: RefreshReason
    seconds: float
    waiting: int
    fingerprint: str
    """Of the new access token."""


@dataclass(frozen=True, slots=True)
class RefreshFailed(AuthEvent):
    """A refresh ended without tokens, ``seconds`` after it began; ``waiting`` operations get the error.

    With ``on_refresh_outage="use_stale"`` those whose token is merely at its end go on with it instead.
    """

    reason: RefreshReason
    seconds: float
    waiting: int
    error_type: str


@dataclass(frozen=True, slots=True)
class RefreshSuperseded(AuthEvent):
    """A refresh ended without an outcome of its own, ``seconds`` after it began: others were faster."""

    reason: RefreshReason
    seconds: float
    waiting: int
    """Operations go on where it ``is_adopted``, and get the error of those who were faster where not."""
    is_adopted: bool
    """Whether others who share the storage have refreshed, and their tokens are used; else somebody has signed in or
    out meanwhile, or the session was closed."""


@dataclass(frozen=True, slots=True)
class OperationQueued(AuthEvent):
    """An operation waits for a refresh, or until the tokens are loaded.

    What follows is its :class:`OperationReleased` or :class:`OperationRetried`, unless it ends first.
    """

    operation_name: str | None


@dataclass(frozen=True, slots=True)
class OperationReleased(AuthEvent):
    """An operation that waited before it was sent at all is sent now."""

    operation_name: str | None


@dataclass(frozen=True, slots=True)
class OperationRetried(AuthEvent):
    """An operation whose token was rejected is sent again."""

    operation_name: str | None


@dataclass(frozen=True, slots=True)
class TokensSaved(AuthEvent):
    """The storage has the tokens of this generation."""


@dataclass(frozen=True, slots=True)
class TokensAdopted(AuthEvent):
    """Others who share the storage have saved newer tokens, which are used from now on."""

    fingerprint: str
    """Of the new access token."""


@dataclass(frozen=True, slots=True)
class LoadFailed(AuthEvent):
    """The shared storage could not be read again; the tokens that there are stay in use."""

    error_type: str
    where: str | None = None
    """The path or key, where something else than tokens was found there."""


@dataclass(frozen=True, slots=True)
class LeaseLost(AuthEvent):
    """The right to refresh was lost before the refresh was over: this process stood still, or the storage was away.

    Somebody else may refresh at the same time. Whose tokens are saved first has them adopted by the other.
    """


@dataclass(frozen=True, slots=True)
class SaveFailed(AuthEvent):
    """The storage did not take the tokens of this generation; they are used all the same."""

    error_type: str
    where: str | None = None
    """The path or key, where something else than tokens was found there."""


@dataclass(frozen=True, slots=True)
class SignedInAgain(AuthEvent):
    """``on_session_ended`` supplied new tokens after ``seconds``; those who wait go on with them."""

    seconds: float


@dataclass(frozen=True, slots=True)
class CallbackFailed(AuthEvent):
    """A function of the application raised; what it was asked for went on without it."""

    callback: str
    error_type: str


@dataclass(frozen=True, slots=True)
class Ended(AuthEvent):
    """The session ended: nobody is signed in any more."""

    reason: str
