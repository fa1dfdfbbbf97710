"""A fleet on virtual time: sessions of rxlink.auth on many hosts, and one issuer that counts.

Nothing of rxlink is modelled: each client is an `AuthSession`, those of one login share a storage, and the session
decides what becomes of an operation. Only what cannot matter is left out: of a client's operations, the ones before its
tokens are due.
"""

from __future__ import annotations

import asyncio
import gc
import random
from array import array
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import timedelta

from rxlink.auth.events import RefreshReason
from rxlink.auth.session import AuthSession
from rxlink.auth.storage import MemoryTokenStorage
from rxlink.auth.tokens import TokenSet
from rxlink.errors import SessionEnded
from rxlink.testing import VirtualTime

__all__ = ["BINS", "Outage", "Plan", "Run", "Unavailable", "run_fleet"]

BINS = 12  # in a token's life: 5 minutes of an hour
LATENCY = 0.1  # seconds from a refresh request to its answer
NOTICED = 1.0  # seconds; who waits longer is held up


@dataclass(frozen=True, slots=True)
class Outage:
    """Seconds in which the issuer answers 503.

    Attributes:
        begins: When it begins.
        lasts: How long it lasts.
    """

    begins: float
    lasts: float = 600.0

    @property
    def ends(self) -> float:
        """When it is over."""
        return self.begins + self.lasts


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One fleet; durations are seconds.

    Attributes:
        name: What its row is called.
        logins: How many users are signed in.
        sharers: On how many hosts the tokens of each are used: as many clients share a storage.
        life: How long a token lives.
        lives: For how many of them it runs.
        starts_within: In what time all sign in.
        advisory: The advisory window of each session.
        mandatory: Its mandatory window.
        jitter: Its jitter.
        gap: What lies between two operations of one client, on average; the gaps are exponential.
        outage: When the issuer fails; None for never.
        seed: Of all that is random.
    """

    name: str
    logins: int
    sharers: int = 1
    life: float = 3600.0
    lives: float = 30.0
    starts_within: float = 60.0
    advisory: float = 900.0
    mandatory: float = 10.0
    jitter: float = 1.0
    gap: float = 10.0
    outage: Outage | None = None
    seed: int = 1


@dataclass(slots=True)
class Run:
    """What the issuer and the clients have seen.

    Attributes:
        plan: The fleet.
        requests: When refresh requests came to the issuer, also those that it could not serve.
        refreshes: When it has handed out new tokens.
        reuses: How often a refresh token came that had been used before.
        early: How many tokens were replaced although they were not due.
        ended: How many clients have lost their login.
        held_up: How many operations have waited longer than a moment, or failed.
    """

    plan: Plan
    requests: array[float] = field(default_factory=lambda: array("d"))
    refreshes: array[float] = field(default_factory=lambda: array("d"))
    reuses: int = 0
    early: int = 0
    ended: int = 0
    held_up: int = 0

    @property
    def refreshes_per_expiry(self) -> float:
        """How often a token that is due is replaced."""
        return len(self.refreshes) / max(1, len(self.refreshes) - self.early)

    def rates(self, begins: float, ends: float, *, width: float | None = None) -> list[float]:
        """Return how many requests a second came, in each bin from one moment to another."""
        width = width or self.plan.life / BINS
        counts = [0] * round((ends - begins) / width)
        for moment in self.requests:
            number = int((moment - begins) // width)
            if 0 <= number < len(counts):
                counts[number] += 1
        return [count / width for count in counts]

    def mean(self, begins: float, ends: float) -> float:
        """Return how many requests a second came on average."""
        return sum(begins <= moment < ends for moment in self.requests) / (ends - begins)


class Unavailable(Exception):
    """The issuer's answer in an outage."""

    status = 503


class Issuer:
    """Rotates refresh tokens, and revokes all of a login of which one comes a second time."""

    def __init__(self, run: Run, clock: Callable[[], float]) -> None:
        self._run = run
        self._clock = clock
        self._serials = [0] * run.plan.logins
        self._issued = array("d", [0.0] * run.plan.logins)

    def sign_in(self, login: int, at: float, time: VirtualTime) -> TokenSet:
        """Hand out the first tokens of a login, which it gets at that moment."""
        self._issued[login] = at
        ends_at = time.clock() + timedelta(seconds=at + self._run.plan.life)
        return TokenSet(f"A{login}.0", f"R{login}.0", expires_in=self._run.plan.life, expires_at=ends_at)

    async def refresh(self, tokens: TokenSet | None, _reason: RefreshReason) -> TokenSet:
        """Answer a request, after its way here and before its way back."""
        await asyncio.sleep(LATENCY / 2)
        run, now = self._run, self._clock()
        run.requests.append(now)
        outage = run.plan.outage
        if outage is not None and outage.begins <= now < outage.ends:
            await asyncio.sleep(LATENCY / 2)
            raise Unavailable
        assert tokens is not None
        assert tokens.refresh_token is not None
        login, serial = map(int, tokens.refresh_token[1:].split("."))
        if serial != self._serials[login]:
            self._serials[login] = -1
            run.reuses += 1
            raise SessionEnded
        run.refreshes.append(now)
        run.early += now - self._issued[login] < run.plan.life / 2
        self._serials[login], self._issued[login] = serial + 1, now
        await asyncio.sleep(LATENCY / 2)
        return TokenSet(f"A{login}.{serial + 1}", f"R{login}.{serial + 1}", expires_in=run.plan.life)


class Client:
    """The chains of one host that use one login: operations at random times, and the session that they ask."""

    __slots__ = ("_began", "_chance", "_context", "_has_waited", "_run", "_session", "_time")

    def __init__(self, session: AuthSession, run: Run, time: VirtualTime, chance: random.Random) -> None:
        self._session, self._run, self._time, self._chance = session, run, time, chance
        self._context = copy_context()
        self._began = 0.0
        self._has_waited = False

    def operate_after(self, seconds: float) -> None:
        """Plan the next operation: the first one after a moment."""
        gap = self._chance.expovariate(1 / self._run.plan.gap)
        self._time.loop.call_later(seconds + gap, self._operate, context=self._context)

    def _operate(self) -> None:
        self._began, self._has_waited = self._time.monotonic(), False
        self._ask()

    def _ask(self) -> None:
        """Ask the session as `AuthLink` does, and wait where it has this operation wait."""
        keeper = self._session.keeper
        if (wave := keeper.gate.wave(has_waited=self._has_waited)) is None:
            self._end()
            return
        self._has_waited = self._has_waited or keeper.is_up_to_date
        wave.subscribe(on_error=self._fail, on_completed=self._ask_again)

    def _ask_again(self) -> None:
        # A turn later, out of the refresh's own context: AuthLink would go on in that of its subscription.
        self._time.loop.call_soon(self._ask, context=self._context)

    def _fail(self, _error: Exception) -> None:
        self._run.held_up += 1
        self._plan()

    def _end(self) -> None:
        self._run.held_up += self._time.monotonic() - self._began > NOTICED
        self._plan()

    def _plan(self) -> None:
        """Plan none before the tokens are due: they would be sent at once, and change nothing."""
        credential = self._session.wallet.credential
        if credential is None or credential.lifetime.advisory_at is None:
            self._run.ended += 1
            return
        due_in = (credential.lifetime.advisory_at - self._time.clock()).total_seconds()
        self.operate_after(max(due_in, 0.0))


def run_fleet(plan: Plan) -> Run:
    """Let a fleet live, in no time."""
    before = random.getstate()
    random.seed(plan.seed)  # sessions draw their pauses from there
    try:
        return _run(plan)
    finally:
        random.setstate(before)


def _run(plan: Plan) -> Run:
    run = Run(plan)
    gc.collect()
    is_frozen = gc.get_freeze_count() > 0
    with VirtualTime() as time:
        issuer, chance = Issuer(run, time.monotonic), random.Random(plan.seed)  # noqa: S311 - to be repeated
        for login in range(plan.logins):
            at = chance.uniform(0, plan.starts_within)
            storage = MemoryTokenStorage(issuer.sign_in(login, at, time))
            for _ in range(plan.sharers):
                Client(_session(plan, issuer, storage, time), run, time, chance).operate_after(at)
        gc.freeze()  # the fleet is not walked again by each collection
        time.advance(plan.lives * plan.life)
    if not is_frozen:  # by somebody else, who would get back what was dropped since
        gc.unfreeze()
    return run


def _session(plan: Plan, issuer: Issuer, storage: MemoryTokenStorage, time: VirtualTime) -> AuthSession:
    return AuthSession(
        refresh=issuer.refresh,
        storage=storage,
        advisory_window=plan.advisory,
        mandatory_window=plan.mandatory,
        jitter=plan.jitter,
        clock=time.clock,
    )
