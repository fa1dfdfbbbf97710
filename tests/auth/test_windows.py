"""When tokens are replaced, end to end: through AuthLink, with clocks that are wrong, and clocks that jump."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from rxlink.auth.events import RefreshReason
from rxlink.auth.link import AuthLink
from rxlink.auth.session import AuthSession
from rxlink.auth.storage import MemoryTokenStorage
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import from_
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import Bench, Issuer, ScriptedServer, bench, fresh, good
from tests.auth.test_expiry import jwt_of

MINUTE, HOUR, DAY = 60, 3600, 86400
EPOCH = -(datetime.fromisoformat("2026-01-01T00:00:00Z").timestamp())
"""How wrong a clock is that shows 1970 at the beginning of a test."""


class Desk(Issuer):
    """An issuer that dates its tokens by the true time, and a server that takes them until they have ended.

    Each token says of its life what the hint stands for: the `Date` of the answer, `iat`, and so on.
    """

    def __init__(self, time: VirtualTime, hint: str, life: float) -> None:
        super().__init__(life=life)
        self.time = time
        self.hint = hint
        self.ends: dict[str, datetime] = {}

    def issue(self) -> TokenSet:
        self.issued += 1
        now, life = self.time.clock(), timedelta(seconds=self.life or 0)
        ends = now + life
        dates = {"iat": now.timestamp(), "exp": ends.timestamp(), "jti": self.issued}
        match self.hint:
            case "date":
                tokens = TokenSet(f"A{self.issued}", expires_at=ends, issued_at=now)
            case "iat":
                tokens = TokenSet(jwt_of(dates))
            case "expires_in":
                tokens = TokenSet(f"A{self.issued}", expires_in=self.life)
            case "expires_at":
                tokens = TokenSet(f"A{self.issued}", expires_at=ends)
            case "exp":
                tokens = TokenSet(jwt_of({**dates, "iat": None}))
            case _:
                tokens = TokenSet(f"A{self.issued}")
        self.ends[f"Bearer {tokens.access_token}"] = ends
        return tokens


class TimedServer(ScriptedServer):
    """A server that refuses ended tokens, by the true time."""

    desk: Desk
    refusals = 0

    def answer(self, name: str, token: str | None) -> dict[str, Any] | Exception:
        if token is not None and self.desk.time.clock() < self.desk.ends[token]:
            return {"data": {"echo": name}}
        self.refusals += 1
        return self.refusal()


async def signed_in(time: VirtualTime, hint: str, clock: Callable[[], datetime], *, life: float = 30 * MINUTE) -> Bench:
    """A session of somebody who signs in now, by a clock that may be wrong."""
    desk = Desk(time, hint, life)
    server = TimedServer()
    server.desk = desk
    session = AuthSession(refresh=desk, clock=clock)
    await session.set_tokens(desk.issue())
    return Bench(server, desk, session, from_([AuthLink(session), server]))


async def run_each_minute(built: Bench, minutes: int) -> list[list[Any]]:
    seen: list[list[Any]] = []
    for _ in range(minutes):
        recorder = built.start()
        await asyncio.sleep(MINUTE)
        seen.append(recorder.seen)
    return seen


each_wrong_clock = pytest.mark.parametrize(
    "error",
    [0, 10 * MINUTE, -10 * MINUTE, DAY, -DAY, EPOCH],
    ids=["right", "+10 min", "-10 min", "+1 d", "-1 d", "1970"],
)


class TestWrongClock:
    @pytest.mark.parametrize("hint", ["date", "iat", "expires_in", "expires_at", "exp", "nothing"])
    @each_wrong_clock
    @virtual
    async def test_operations_go_well_for_hours(self, error: float, hint: str, time: VirtualTime) -> None:
        """E61: with every clock, and whatever a token says of its life, each token is refreshed once."""
        built = await signed_in(time, hint, lambda: time.clock() + timedelta(seconds=error))

        seen = await run_each_minute(built, 180)

        assert [good()] * 180 == seen
        # A clock that is a little fast may cost a third of each token's life, but never a refresh for each operation.
        is_early = error == 10 * MINUTE and hint in {"iat", "expires_at", "exp"}
        assert (8 if is_early else 5) == len(built.issuer.calls)

    @pytest.mark.parametrize("hint", ["date", "iat", "expires_in"])
    @each_wrong_clock
    @virtual
    async def test_nothing_is_refused_where_the_issuer_lets_one_know_its_time(
        self, error: float, hint: str, time: VirtualTime
    ) -> None:
        """E61, S41: tokens are replaced ahead of their true end."""
        built = await signed_in(time, hint, lambda: time.clock() + timedelta(seconds=error))

        await run_each_minute(built, 180)

        assert isinstance(built.server, TimedServer)
        assert 0 == built.server.refusals
        assert {RefreshReason.EXPIRING, RefreshReason.EXPIRED} >= set(built.issuer.reasons)

    @each_wrong_clock
    @virtual
    async def test_a_token_just_received_is_never_refreshed_at_once(self, error: float, time: VirtualTime) -> None:
        """E61: the user of a fast clock is not locked out, whatever a token says."""
        for hint in ("date", "iat", "expires_in", "expires_at", "exp", "nothing"):
            built = await signed_in(time, hint, lambda: time.clock() + timedelta(seconds=error))

            tokens = {await built.session.get_token() for _ in range(20)}

            assert (1, []) == (len(tokens), built.issuer.calls)

    @pytest.mark.parametrize("error", [10 * MINUTE, -10 * MINUTE, DAY, -DAY, EPOCH])
    @virtual
    async def test_what_is_saved_means_the_same_to_a_process_with_another_clock(
        self, error: float, time: VirtualTime
    ) -> None:
        """E61: its end is kept by the issuer's clock."""
        storage = MemoryTokenStorage()
        issuer = Desk(time, "date", HOUR)
        async with AuthSession(
            refresh=issuer, storage=storage, clock=lambda: time.clock() + timedelta(seconds=error)
        ) as wrong:
            await wrong.set_tokens(TokenSet("A0", expires_in=HOUR, issued_at=time.clock()))
        built = bench(None, valid=["A0"], time=time, storage=storage)

        early = built.start()
        await asyncio.sleep(HOUR - 5)
        late = built.start()
        await asyncio.sleep(1)

        assert [good(), good()] == [early.seen, late.seen]
        assert (["Bearer A0", "Bearer A1"], [RefreshReason.EXPIRED]) == (built.server.tokens, built.issuer.reasons)


class TestJumpingClock:
    @virtual
    async def test_the_machine_slept(self, time: VirtualTime) -> None:
        """E62: the clock jumps two hours ahead; no timer has fired, and the operation waits for a token of now."""
        jump = timedelta()
        built = bench(fresh(time, HOUR, life=HOUR), clock=lambda: time.clock() + jump, valid=["A0"])
        awake = built.start("Awake")
        await asyncio.sleep(1)

        jump = timedelta(hours=2)
        woken = built.start("Woken")
        await asyncio.sleep(1)

        assert [good("Awake"), good("Woken")] == [awake.seen, woken.seen]
        assert (["Bearer A0", "Bearer A1"], [RefreshReason.EXPIRED]) == (built.server.tokens, built.issuer.reasons)

    @virtual
    async def test_the_clock_is_set_back(self, time: VirtualTime) -> None:
        """E62: the token now seems to live two hours longer; the refusal sets that right."""
        jump = timedelta()
        built = await signed_in(time, "expires_in", lambda: time.clock() + jump)
        before = built.start()
        await asyncio.sleep(1)

        jump = timedelta(hours=-2)
        meanwhile = await run_each_minute(built, 90)

        assert [good()] * 91 == [before.seen, *meanwhile]
        assert RefreshReason.REJECTED == built.issuer.reasons[0]
        assert RefreshReason.REJECTED not in built.issuer.reasons[1:]

    @pytest.mark.parametrize("hint", ["date", "iat", "expires_in", "expires_at", "exp", "nothing"])
    @pytest.mark.parametrize("jumps", [(2 * HOUR, -2 * HOUR), (-DAY, DAY), (EPOCH, -EPOCH)], ids=str)
    @virtual
    async def test_jumps_there_and_back_between_operations(
        self, jumps: tuple[float, float], hint: str, time: VirtualTime
    ) -> None:
        """E61, E62: what was learned of a clock that has been set since does no lasting harm."""
        error = timedelta()
        built = await signed_in(time, hint, lambda: time.clock() + error)
        seen: list[list[Any]] = []
        for jump in (0, *jumps, 0):
            error += timedelta(seconds=jump)
            seen += await run_each_minute(built, 45)

        assert [good()] * 180 == seen
        assert len(built.issuer.calls) <= 12
