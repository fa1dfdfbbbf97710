"""What the world of several hosts writes down: tokens, requests to the issuer, leases, calls of the storage."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from hypothesis import currently_in_test_context, note

from rxlink.auth.storage import StoredTokens

if TYPE_CHECKING:
    from tests.auth.shared_host import Host

LEASE = 3.0
LIFE = 100.0
ADVISORY = 75.0
MANDATORY = 90.0
TIME_LIMIT = 30.0
GRACE = 10.0
LOOK_AGAIN = 1.0
ISSUER_LATENCY = 0.05
"""Seconds; the windows are those of a session's defaults, for tokens of this life."""
LONGEST_WAIT = TIME_LIMIT + (LEASE + TIME_LIMIT) + TIME_LIMIT + 4 * LEASE
"""Seconds that an operation may wait between start, sends and end: for the first load, for others, for the refresh."""
A_MOMENT = 0.3
"""Seconds after which a call of the storage counts as slow."""

HOST: ContextVar[Any] = ContextVar("host", default=None)
"""Whose task this is."""


@dataclass(frozen=True)
class Options:
    """What is drawn once for a world.

    Attributes:
        is_watched: Whether changes are told at once; else they show in the stamp.
        lease_ends: Whether the lease ends by itself; else it lasts as long as its process lives.
        latency: Seconds that a call of the storage takes.
        grace: Seconds for which the issuer takes a refresh token again.
        on_outage: Of the sessions.
        server: Whether the server answers at once, or when told to.
        timers_first: Whether a host that wakes up sees to its timers first, and then to what it was answered.
    """

    is_watched: bool = False
    lease_ends: bool = True
    latency: float = 0.0
    grace: float = 0.0
    on_outage: Any = "wait"
    server: str = "at once"
    timers_first: bool = False


@dataclass(eq=False)
class Minted:
    """One pair of tokens."""

    access: str
    refresh: str
    family: int
    born: float
    is_revoked: bool = False
    is_refused: bool = False
    """Whether the server has refused it."""
    used_at: float | None = None
    """When the issuer took its refresh token first."""
    kept_at: float | None = None
    """When the storage had it first."""
    kept_order: int | None = None
    """Its place among all that happened."""
    save_failed: bool = False
    is_of_sign_in: bool = False
    uses: list[Request] = field(default_factory=list)
    """The requests that have used it up."""

    def is_due(self, now: float) -> bool:
        return self.is_refused or now >= self.born + ADVISORY - 0.001


@dataclass(eq=False)
class LeaseBook:
    """One time that somebody had the lease."""

    host: Host
    began: float
    ends: float
    state: str = "alive"
    disturbed_at: float = -1.0
    """When its holder was last kept from renewing it."""
    was_given_back: bool = False
    """Whether its holder wanted that; else somebody has taken it away."""


@dataclass(eq=False)
class Request:
    """One request to the issuer."""

    number: int
    host: Host
    pair: Minted
    reason: str
    sent: float
    lease: LeaseBook | None
    answer: asyncio.Future[Any]
    order: int
    """Its place among all that happened."""
    is_processed: bool = False
    is_lost: bool = False
    """Whether its answer was lost, or nobody waited for it any more."""
    is_delivered: bool = False
    granted: Minted | None = None

    def __str__(self) -> str:
        return f"request {self.number} of {self.host} with {self.pair.refresh}"

    @property
    def is_in_flight(self) -> bool:
        return not self.is_delivered and not self.is_lost


@dataclass(eq=False)
class Change:
    """One change of what is kept."""

    at: float
    record: StoredTokens | None
    by: str


class Story:
    """What happens, for whoever has to read why a check failed; and what was wrong, for the next check."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.wrong: list[str] = []
        self.is_over = False
        self._order = count()

    def place(self) -> int:
        """Return a place among all that happens: many things happen at the same moment."""
        return next(self._order)

    def tell(self, what: str) -> None:
        if self.is_over or not currently_in_test_context():
            return
        note(f"{self._now():9.3f}  {what}")

    def object_to(self, what: str) -> None:
        if self.is_over:
            return
        self.tell(f"WRONG: {what}")
        self.wrong.append(what)
