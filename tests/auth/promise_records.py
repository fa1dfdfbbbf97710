"""What the world of the promises writes down: tokens, refreshes, storage calls and sends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rxlink.auth.pacing import OnRefreshOutage

if TYPE_CHECKING:
    from tests.auth.promise_operations import Op

ADVISORY = 60.0
MANDATORY = 10.0
TIME_LIMIT = 30.0
COOL_DOWN = 30.0
LONGEST_PAUSE = 10.0
MUCH_LATER = 100.0
"""Seconds; the defaults of a session, and the longest Retry-After of the issuer."""
A_MOMENT = 0.001
"""Seconds by which a model of floats may be off."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PLANTED = "planted"
"""In every token, so that a check can look for it where none belongs."""

REQUEST_ID: ContextVar[int | None] = ContextVar("request_id", default=None)
"""In the context of each subscription: the id of its operation."""


class ObserverRaised(Exception):
    """From a subscriber's callback."""


class SetterRaised(Exception):
    """From a context setter of the chain."""


class HookRaised(Exception):
    """From the function that signs a user in again."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is drawn once for a world: the options of its session, and those of its links.

    Attributes:
        signs_in_again: Whether there is an `on_session_ended`.
        relogin_timeout: Seconds that it may take; None for as many as a refresh.
        form: How the issuer tells the life of a token.
    """

    on_outage: OnRefreshOutage = "wait"
    retry_mutations: bool = True
    obtain_first: bool = False
    signs_in_again: bool = False
    relogin_timeout: float | None = None
    form: str = "expires_in"

    @property
    def relogin_limit(self) -> float:
        return TIME_LIMIT if self.relogin_timeout is None else self.relogin_timeout


@dataclass(eq=False)
class Minted:
    """An access token, as its issuer knows it, and as a client that keeps the defaults should judge it."""

    text: str
    login: int
    is_refreshed: bool
    refresh_began: float
    form: str = "expires_in"
    """How its life is told."""
    told_life: float | None = None
    issued: datetime = EPOCH
    ends: datetime | None = None
    """By the issuer's clock, which is right."""
    advisory_at: datetime | None = None
    advisory_surely_at: datetime | None = None
    """By the client's clock; the first with the whole jitter, the second with none."""
    mandatory_at: datetime | None = None
    is_judged: bool = False
    save_limit: float = TIME_LIMIT
    """Within how many seconds from when its refresh began it must be saved."""
    is_accepted: bool = True
    is_known_refused: bool = False
    came_to_nobody: bool = False
    """By a forced refresh while nobody was signed in: for a turn of the loop it is on its way to the session."""

    def is_good_at(self, now: datetime) -> bool:
        return self.is_accepted and (self.ends is None or now < self.ends)

    def is_in_mandatory_window(self, now: datetime) -> bool:
        return self.mandatory_at is not None and now >= self.mandatory_at


@dataclass(eq=False)
class RefreshCall:
    """One run of the refresh callback."""

    login: int
    reason: str
    began: float
    current: Minted | None
    decision: asyncio.Future[str]
    was_forced: bool
    refresh_token: str | None = None
    is_running: bool = True
    was_cancelled: bool = False
    outcome: str | None = None
    ended_at: float = 0.0


@dataclass(eq=False)
class HookCall:
    """One call of the function that signs a user in again."""

    login: int
    began: float
    decision: asyncio.Future[str]
    is_running: bool = True
    was_cancelled: bool = False
    outcome: str | None = None


@dataclass(eq=False)
class StorageCall:
    """One call of the storage."""

    kind: str
    token: Minted | None
    login: int
    decision: asyncio.Future[bool]
    state: str = "running"


@dataclass(eq=False)
class Send:
    """One attempt of an operation, as it reached the server."""

    op: Op
    token: Minted | None
    header: str | None
    login: int
    lacks_user: bool
    has_left: bool
    was_known_refused: bool
    at: float
    saves_of_token: tuple[str, ...]
    is_good: bool
    may_cool_down: bool


def causes(error: BaseException) -> Sequence[BaseException]:
    """Return an error and what caused it, and so on."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__  # type: ignore[assignment]
    return chain
