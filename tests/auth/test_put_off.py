"""A background refresh that fails is put off: nobody needs it yet, and not all may come when the issuer is back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxlink.auth.credential import REACH, Credential
from rxlink.auth.events import RefreshReason, RefreshStarted
from rxlink.auth.expiry import Lifetime, place_of
from rxlink.auth.storage import MemoryTokenStorage
from rxlink.auth.tokens import TokenSet
from rxlink.errors import NetworkTimeout, TokenRefreshError
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import Bench, Issuer, bench, good
from tests.recording import subscribed

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = 3600.0
DUE, LAST = HOUR - 900, HOUR - 10
DOWN = OSError("connection refused")


def credential(token: str = "A0", due: float = 0, last: float = 890) -> Credential:
    """Tokens of which the windows begin so many seconds from now."""
    lifetime = Lifetime(HOUR, NOW + timedelta(seconds=due), NOW + timedelta(seconds=last))
    return Credential(TokenSet(token), 1, 1, lifetime)


def due_in(tokens: Credential) -> float:
    assert tokens.lifetime.advisory_at is not None
    return (tokens.lifetime.advisory_at - NOW).total_seconds()


def put_off(tokens: Credential, seconds: float) -> float:
    tokens.put_off_beyond(NOW + timedelta(seconds=seconds))
    return due_in(tokens)


class TestMoments:
    @given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1), st.floats(0, 2000))
    def test_each_is_later_than_now_and_not_later_than_the_mandatory_window(self, token: str, now: float) -> None:
        assert (now < put_off(credential(token), now) <= 890) or now >= 890

    def test_who_share_a_token_agree_whenever_each_of_them_fails(self) -> None:
        """E17: one has tried a moment earlier than the other, or has missed a try altogether."""
        for number in range(50):
            early, late, idle = (credential(f"A{number}") for _ in range(3))
            first = put_off(early, 0)

            assert first == put_off(late, first / 2)
            if first < 890:
                assert put_off(early, first) == put_off(late, first + 0.001) == put_off(idle, first)

    def test_those_of_different_tokens_lie_apart_and_two_thirds_are_at_the_mandatory_window(self) -> None:
        moments = [put_off(credential(f"A{number}"), 0) for number in range(3000)]

        ahead = [moment for moment in moments if moment < 890]
        assert 0.3 < len(ahead) / len(moments) < 0.37
        quarters = [sum(quarter <= moment * 4 / 890 < quarter + 1 for moment in ahead) for quarter in range(4)]
        assert all(200 < count < 300 for count in quarters)

    def test_what_is_not_due_is_not_put_off(self) -> None:
        assert 100 == put_off(credential(due=100), 99)

    def test_tokens_of_unknown_life_stay_as_they_are(self) -> None:
        unknown = Credential(TokenSet("A0"), 1, 1, Lifetime())

        unknown.put_off_beyond(NOW)

        assert Lifetime() == unknown.lifetime

    def test_the_mandatory_window_stays(self) -> None:
        tokens = credential()

        put_off(tokens, 2000)

        assert (890, RefreshReason.EXPIRED) == (due_in(tokens), tokens.due_at(NOW + timedelta(seconds=890)))


class Down:
    """An issuer that fails until it is healed."""

    def __init__(self, time: VirtualTime, error: Exception = DOWN, *, until: float = float("inf")) -> None:
        self.time, self.error, self.until = time, error, until
        self.issuer = Issuer(life=HOUR)

    async def __call__(self, tokens: TokenSet | None, reason: RefreshReason) -> TokenSet:
        self.issuer.script = [self.error] if self.time.monotonic() < self.until else []
        return await self.issuer(tokens, reason)  # type: ignore[return-value]

    @property
    def times(self) -> list[float]:
        return [time for time, _, _ in self.issuer.calls]


def signed_in(time: VirtualTime, down: Callable[..., object], issuer: Issuer, **options: object) -> Bench:
    name = str(options.pop("token", "A0"))
    tokens = TokenSet(name, "R0", expires_in=HOUR, expires_at=time.clock() + timedelta(seconds=HOUR))
    windows = {"advisory_window": 900, "mandatory_window": 10, "jitter": 0}
    return bench(tokens, time=time, issuer=issuer, refresh=down, valid=[name, "A1"], **{**windows, **options})


async def operate_each_second(built: Bench, seconds: int) -> list[list[object]]:
    results = []
    for _ in range(seconds):
        results.append(built.start())
        await asyncio.sleep(1)
    return [result.seen for result in results]


@pytest.mark.parametrize("policy", ["wait", "fail", "use_stale"])
@virtual
async def test_in_an_outage_few_tries_are_made_and_nobody_is_held_up(policy: str, time: VirtualTime) -> None:
    """S47, S48, E22, E27, E63: ten minutes, and an operation each second."""
    down = Down(time, until=DUE + 600)
    built = signed_in(time, down, down.issuer, on_refresh_outage=policy)
    await asyncio.sleep(DUE)

    seen = await operate_each_second(built, 899)

    assert [good()] * 899 == seen
    assert len(down.times) < 12
    assert 1 == sum(moment >= DUE + 600 for moment in down.times)


@virtual
async def test_each_try_comes_with_the_first_operation_after_its_moment(time: VirtualTime) -> None:
    """E64: and what those moments are, all who share the token know."""
    down = Down(time)
    built = signed_in(time, down, down.issuer)
    await asyncio.sleep(DUE)

    await operate_each_second(built, 880)

    expected, due, number = [DUE], DUE, 0
    while due < LAST:
        number += 1
        due += min(1, REACH * place_of("A0", number)) * (LAST - due)
        expected.append(due)
    assert len(expected) - 1 == len(down.times)
    assert all(0 <= actual - moment <= 1.001 for moment, actual in zip(expected, down.times, strict=False))


@virtual
async def test_from_the_mandatory_window_on_operations_wait_and_try(time: VirtualTime) -> None:
    """E22: as they always did."""
    down = Down(time, until=LAST + 12)
    built = signed_in(time, down, down.issuer)
    await asyncio.sleep(DUE)
    await operate_each_second(built, 889)
    before = len(down.times)

    await asyncio.sleep(1)
    result = built.start()
    await asyncio.sleep(30)

    assert good() == result.seen
    assert "Bearer A1" == built.server.tokens[-1]
    assert len(down.times) - before > 3


@virtual
async def test_who_comes_to_need_it_while_it_runs_is_tried_for_again(time: VirtualTime) -> None:
    """E22, P2: begun for nobody, and then the server has refused the token."""
    down = Down(time, until=DUE + 5)
    down.issuer.delay = 5
    built = signed_in(time, down, down.issuer)
    await asyncio.sleep(DUE)
    ahead = built.start("Ahead")
    await asyncio.sleep(1)
    built.server.accept_only("A1")

    refused = built.start("Refused")
    await asyncio.sleep(30)

    assert (good("Ahead"), good("Refused")) == (ahead.seen, refused.seen)
    assert [RefreshReason.EXPIRING] * 2 == built.issuer.reasons


@virtual
async def test_a_refused_token_and_a_forced_refresh_are_not_put_off(time: VirtualTime) -> None:
    """E26, E82."""
    down = Down(time, until=DUE + 1)
    built = signed_in(time, down, down.issuer)
    await asyncio.sleep(DUE)
    built.start()
    await asyncio.sleep(2)

    forced = await built.session.refresh(force=True)
    built.server.accept_only("A2")
    refused = built.start("Refused")
    await asyncio.sleep(1)

    assert ("A1", good("Refused")) == (forced and forced.access_token, refused.seen)
    assert DUE + 2 == down.times[1]


@virtual
async def test_an_issuer_that_asks_for_a_pause_gets_it(time: VirtualTime) -> None:
    """E22: ``Retry-After`` wins, also beyond the mandatory window."""
    down = Down(time, TokenRefreshError("429", retryable=True, retry_after=600))
    early = next(name for name in map("A0.{}".format, range(100)) if REACH * place_of(name, 1) < 0.2)
    built = signed_in(time, down, down.issuer, token=early)
    events = subscribed(built.session.events)
    await asyncio.sleep(DUE)

    seen = await operate_each_second(built, 600)

    assert ([good()] * 600, [DUE]) == (seen, down.times)
    assert 1 == sum(isinstance(event, RefreshStarted) for event in events.seen)
    await operate_each_second(built, 289)
    assert all(moment >= DUE + 600 for moment in down.times[1:])


@virtual
async def test_where_an_answer_was_lost_the_refresh_token_is_presented_again_at_once(time: VirtualTime) -> None:
    """E77: the issuer may have used it up, and forgives that for a short while only."""
    issuer = Issuer(life=HOUR, script=[NetworkTimeout("the token endpoint", seconds=5)])
    built = signed_in(time, issuer, issuer)
    await asyncio.sleep(DUE)

    built.start()
    await asyncio.sleep(1)

    assert ["R0", "R0"] == [tokens and tokens.refresh_token for _, tokens, _ in issuer.calls]
    assert "A1" == await built.session.get_token()


@virtual
async def test_what_does_not_pass_is_not_put_off(time: VirtualTime) -> None:
    """E20: a bug is found anew, after the usual pause."""
    issuer = Issuer(script=[ValueError("a bug")] * 2)
    built = signed_in(time, issuer, issuer)
    await asyncio.sleep(DUE)

    built.start()
    await asyncio.sleep(1)
    built.start()
    await asyncio.sleep(1)

    assert 2 == len(issuer.calls)


@virtual
async def test_ten_who_share_a_storage_try_at_the_same_moments_and_one_refreshes(time: VirtualTime) -> None:
    """E72, P1: none of them comes in between, and none with a used token."""
    down = Down(time, until=DUE + 600)
    tokens = TokenSet("A0", "R0", expires_in=HOUR, expires_at=time.clock() + timedelta(seconds=HOUR))
    storage = MemoryTokenStorage(tokens)
    benches = [
        bench(
            None, time=time, storage=storage, issuer=down.issuer, refresh=down, valid=["A0", "A1"],
            advisory_window=900, jitter=0,
        )
        for _ in range(10)
    ]  # fmt: skip
    events = [subscribed(built.session.events) for built in benches]
    await asyncio.sleep(DUE)

    seen = await asyncio.gather(*(operate_each_second(built, 895) for built in benches))

    assert [[good()] * 895] * 10 == seen
    assert 1 == down.issuer.issued
    assert {"R0"} == {tokens and tokens.refresh_token for _, tokens, _ in down.issuer.calls}
    assert len({round(moment - DUE) // 4 for moment in down.times}) < 12
    assert 9 == sum("TokensAdopted" in [type(event).__name__ for event in each.seen] for each in events)
