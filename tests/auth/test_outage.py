"""What becomes of operations while the issuer cannot be reached: they wait, fail, or go on with what there is."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxlink.auth.events import AuthEvent, RefreshFailed, RefreshReason, RefreshStarted
from rxlink.auth.pacing import BackoffOptions
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.errors import (
    AuthError,
    InvariantError,
    RxlinkError,
    SessionEnded,
    TokenRefreshError,
    TokenRefreshTimeout,
)
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import (
    REFUSED,
    UNAUTHENTICATED,
    Bench,
    Issuer,
    bench,
    fresh,
    good,
    names_of,
    never,
    statuses_of,
)
from tests.recording import Recorder, subscribed

POLICIES = ["wait", "fail", "use_stale"]
DOWN = OSError("down")


def busy(seconds: float) -> TokenRefreshError:
    return TokenRefreshError("429", retryable=True, retry_after=seconds)


class Outage:
    """An issuer that fails until it is healed, then hands out A1, A2, ..."""

    def __init__(self, error: Exception | None = DOWN, *, until: float = float("inf"), delay: float = 0.0) -> None:
        self.issuer = Issuer(delay=delay)
        self.error = error
        self.until = until

    async def __call__(self, tokens: TokenSet | None, reason: RefreshReason) -> Any:
        now = asyncio.get_running_loop().time()
        self.issuer.script = [self.error or never()] if now < self.until and self.error else []
        if now < self.until and self.error is None:
            self.issuer.calls.append((now, tokens, reason))
            await never()
        return await self.issuer(tokens, reason)

    @property
    def times(self) -> list[float]:
        return [time for time, _, _ in self.issuer.calls]


def down(time: VirtualTime, policy: str, outage: Outage, *, tokens: TokenSet | None = None, **options: Any) -> Bench:
    """A session whose token is at its end, which the server would still take, and an issuer that is down."""
    options.setdefault("valid", ["A0"])
    kept = tokens or fresh(time, -1)
    return bench(kept, time=time, issuer=outage.issuer, refresh=outage, on_refresh_outage=policy, **options)


def kinds(recorder: Recorder) -> list[Any]:
    return [type(value) if isinstance(value, Exception) else value for value in recorder.seen]


async def failure_of(call: Any) -> AuthError:
    with pytest.raises(AuthError) as caught:
        await call
    return caught.value


def failed_tries(events: list[AuthEvent]) -> Counter[str]:
    return Counter(name for name in names_of(events) if "Refresh" in name)


@pytest.fixture(autouse=True)
def longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses without jitter: 0.5, 1, 2, 4, 8, 10 s."""
    monkeypatch.setattr(random, "uniform", lambda _, most: most)


@pytest.mark.parametrize("policy", ["stale", "", None, "WAIT", []])
def test_words_that_are_no_policy_are_refused(policy: Any) -> None:
    """E28."""
    with pytest.raises(InvariantError, match=r"`on_refresh_outage` is .*; give one of 'wait', 'fail', 'use_stale'"):
        AuthSession(refresh=Issuer(), on_refresh_outage=policy)


class TestWait:
    @virtual
    async def test_operations_wait_for_the_next_tries_and_go_on_when_the_issuer_heals(self, time: VirtualTime) -> None:
        """E22, P9: tries follow the back-off, however many wait."""
        outage = Outage(until=5)
        built = down(time, "wait", outage)
        states = subscribed(built.session.states)

        results = built.start_many(20)
        await asyncio.sleep(20)

        assert [good(f"Q{number}") for number in range(20)] == [result.seen for result in results]
        assert [0, 0.5, 1.5, 3.5, 7.5] == outage.times
        assert ["Bearer A1"] * 20 == built.server.tokens
        assert ["authenticated", "refreshing", "authenticated"] == statuses_of(states)

    @virtual
    async def test_they_fail_at_the_time_limit_with_the_cause(self, time: VirtualTime) -> None:
        """E22, E24, E19."""
        built = down(time, "wait", Outage(), refresh_timeout=10)
        events = subscribed(built.session.events)

        results = built.start_many(20)
        await asyncio.sleep(20)

        errors = [error for result in results for error in result.seen]
        assert [(TokenRefreshError, DOWN, True)] * 20 == [
            (type(error), error.__cause__, error.retryable) for error in errors
        ]
        # The next pause, 8 s from 7.5 s on, would end beyond the limit.
        assert ({"RefreshStarted": 1, "RefreshTryFailed": 5, "RefreshFailed": 1}, []) == (
            failed_tries(events.seen),
            built.server.sends,
        )
        assert "A0" == (built.session.wallet.tokens or REFUSED).access_token

    @virtual
    async def test_who_comes_in_the_pause_waits_for_its_end_and_makes_no_try(self, time: VirtualTime) -> None:
        """E22: 20 operations a second over an outage of 20 s, and no more tries than pauses allow."""
        outage = Outage(until=20)
        built = down(time, "wait", outage, refresh_timeout=60)

        results: list[Recorder] = []
        for number in range(400):
            results.append(built.start(f"Q{number}"))
            await asyncio.sleep(0.05)
        await asyncio.sleep(20)

        assert [0, 0.5, 1.5, 3.5, 7.5, 15.5, 25.5] == outage.times
        assert [good(f"Q{number}") for number in range(400)] == [result.seen for result in results]

    @virtual
    async def test_an_issuer_that_asks_for_more_time_than_there_is_is_left_alone(self, time: VirtualTime) -> None:
        """E22: Retry-After wins; those who come meanwhile are told at once, and after it there is one try."""
        outage = Outage(busy(100), until=50)
        built = down(time, "wait", outage)

        first = built.start()
        results: list[Recorder] = []
        for _ in range(50):
            await asyncio.sleep(1)
            results.append(built.start())
        await asyncio.sleep(0)
        meanwhile = list(outage.times)
        await asyncio.sleep(25)
        late = built.start()
        await asyncio.sleep(60)

        assert [[TokenRefreshError]] * 51 == [kinds(result) for result in [first, *results]]
        assert (100, 50) == (first.seen[0].retry_after, round(results[-1].seen[0].retry_after))
        assert ([0], [0, 100], good()) == (meanwhile, outage.times, late.seen)

    @virtual
    async def test_a_refused_token_waits_in_the_same_way(self, time: VirtualTime) -> None:
        """E22, E19: each fails with the refusal at hand."""
        built = down(time, "wait", Outage(), tokens=REFUSED, valid=[], refresh_timeout=5)

        results = built.start_many(3)
        await asyncio.sleep(20)

        errors = [error for result in results for error in result.seen]
        assert [(TokenRefreshError, DOWN, UNAUTHENTICATED)] * 3 == [
            (type(error), error.__cause__, error.auth_error) for error in errors
        ]


class TestFail:
    @virtual
    async def test_operations_fail_at_the_first_try_and_at_once_in_the_pause_after_it(self, time: VirtualTime) -> None:
        """E22: the pause doubles from failure to failure, and one operation a pause pays for the try."""
        outage = Outage(until=10)
        built = down(time, "fail", outage, backoff=BackoffOptions(initial=2, max=4))
        results: dict[float, Recorder] = {}

        for tenth in range(140):
            results[tenth / 10] = built.start()
            await asyncio.sleep(0.1)

        assert [0, 2, 6, 10] == [round(moment, 3) for moment in outage.times]
        assert {moment for moment in results if moment >= 10} == {
            moment for moment, result in results.items() if result.seen == good()
        }
        assert {TokenRefreshError: 100} == Counter(
            kinds(result)[0] for result in results.values() if len(result.seen) == 1
        )

    @virtual
    async def test_the_error_says_when_the_next_try_is_and_why_the_last_one_failed(self, time: VirtualTime) -> None:
        """E24, E22."""
        built = down(time, "fail", Outage(), backoff=BackoffOptions(initial=4))

        first = await failure_of(built.session.get_token())
        await asyncio.sleep(1)
        second = await failure_of(built.session.get_token())

        assert [(DOWN, True, None)] * 2 == [
            (error.__cause__, error.retryable, getattr(error, "retry_after", 0)) for error in (first, second)
        ]
        assert "failed (last with OSError), and the next try is in 4.0 s" in str(first)
        assert "failed (last with OSError), and the next try is in 3.0 s" in str(second)

    @virtual
    async def test_retry_after_is_passed_on_and_honoured(self, time: VirtualTime) -> None:
        """E22."""
        outage = Outage(busy(20))
        built = down(time, "fail", outage)

        first = await failure_of(built.session.get_token())
        await asyncio.sleep(19)
        second = await failure_of(built.session.get_token())
        meanwhile = len(outage.times)
        await asyncio.sleep(1)
        await failure_of(built.session.get_token())

        assert [20, 1] == [getattr(error, "retry_after", None) for error in (first, second)]
        assert (1, [0, 20]) == (meanwhile, outage.times)

    @virtual
    async def test_a_forced_refresh_does_not_wait_for_the_pause(self, time: VirtualTime) -> None:
        """E82, E22."""
        outage = Outage(busy(20), until=5)
        built = down(time, "fail", outage)

        await failure_of(built.session.get_token())
        await failure_of(built.session.refresh(force=True))
        await asyncio.sleep(6)
        tokens = await built.session.refresh(force=True)

        assert ("A1", [0, 0, 6]) == (tokens and tokens.access_token, outage.times)
        assert "A1" == await built.session.get_token()

    @virtual
    async def test_a_background_refresh_that_fails_harms_nobody(self, time: VirtualTime) -> None:
        """E27, E48, E28: it makes one try, and those after it are few."""
        outage = Outage()
        built = down(time, "fail", outage, tokens=fresh(time, 30, life=600))

        results: list[Recorder] = []
        for _ in range(19):
            results.append(built.start())
            await asyncio.sleep(1)

        assert [good()] * 19 == [result.seen for result in results]
        assert (0, True) == (outage.times[0], len(outage.times) < 6)


class TestUseStale:
    @virtual
    async def test_operations_go_on_with_the_token_that_there_is_and_tries_go_on_beside_them(
        self, time: VirtualTime
    ) -> None:
        """E28, E22: the first waits for one try, the others not at all, and the issuer is tried as before."""
        outage = Outage(until=20, delay=0.3)
        built = down(time, "use_stale", outage)
        results: list[Recorder] = []

        for tenth in range(400):
            results.append(built.start(f"Q{tenth}"))
            await asyncio.sleep(0.1)

        assert [good(f"Q{tenth}") for tenth in range(300)] == [result.seen for result in results[:300]]
        assert 0.3 == built.server.sends[0].time
        waited = [round(send.time - int(send.name[1:]) / 10, 3) for send in built.server.sends[3:250]]
        assert {0.0} == set(waited)
        assert ("Bearer A0", "Bearer A1") == (built.server.tokens[0], built.server.tokens[-1])
        pauses = [round(after - before - 0.3, 1) for before, after in zip(outage.times, outage.times[1:], strict=False)]
        assert [0.5, 1, 2, 4, 8, 10] == [round(pause * 2) / 2 for pause in pauses]

    @virtual
    async def test_a_token_that_the_server_has_refused_is_never_used_on(self, time: VirtualTime) -> None:
        """E28, E26: the server has decided."""
        outage = Outage()
        built = down(time, "use_stale", outage, valid=[])

        first = built.start()
        await asyncio.sleep(1)
        second = built.start()
        await asyncio.sleep(30)
        error = await failure_of(built.session.get_token())

        # Sent with the stale token once, refused, and never again.
        assert [[TokenRefreshError]] * 2 == [kinds(first), kinds(second)]
        assert (["Bearer A0"], DOWN) == (built.server.tokens, error.__cause__)

    @virtual
    async def test_an_issuer_that_hangs_holds_up_the_first_only(self, time: VirtualTime) -> None:
        """E28, E23: until the time limit; then it counts as down."""
        outage = Outage(None, until=100)
        built = down(time, "use_stale", outage, refresh_timeout=5)

        first = built.start("First")
        await asyncio.sleep(4.9)
        before = list(first.seen)
        await asyncio.sleep(0.2)
        second = built.start("Second")
        await asyncio.sleep(0)
        third = built.start("Third")
        await asyncio.sleep(0.01)

        assert [[], good("First"), good("Second"), good("Third")] == [before, first.seen, second.seen, third.seen]
        assert [0] == outage.times
        await asyncio.sleep(200)
        stale = await built.session.get_token()
        await asyncio.sleep(1)
        assert ("A0", "A1") == (stale, await built.session.get_token())

    @virtual
    async def test_a_token_that_comes_to_its_end_during_a_refresh_is_used_on_too(self, time: VirtualTime) -> None:
        """E28: also where the refresh began while the token was good, and some do not need it yet."""
        built = down(time, "use_stale", Outage(None), tokens=fresh(time, 15, life=600))

        early = built.start("Early")
        await asyncio.sleep(8)
        late = built.start("Late")
        await asyncio.sleep(30)

        assert (good("Early"), good("Late")) == (early.seen, late.seen)
        assert [("Early", 0), ("Late", 30)] == [(send.name, send.time) for send in built.server.sends]

    @virtual
    async def test_a_forced_refresh_of_somebody_else_that_fails_stops_no_operation(self, time: VirtualTime) -> None:
        """E28, E82: who forced it hears that there are no new tokens."""
        built = down(time, "use_stale", Outage(delay=2))

        forced = asyncio.ensure_future(failure_of(built.session.refresh(force=True)))
        await asyncio.sleep(1)
        result = built.start()
        error = await forced
        await asyncio.sleep(1)

        assert (TokenRefreshError, DOWN, True) == (type(error), error.__cause__, error.retryable)
        assert (good(), 2) == (result.seen, built.server.sends[0].time)

    @virtual
    async def test_who_forces_a_refresh_is_told_also_where_it_joins_one(self, time: VirtualTime) -> None:
        """E28, E82: the stale tokens are no answer to that."""
        built = down(time, "use_stale", Outage(delay=2))

        waits = asyncio.ensure_future(built.session.get_token())
        await asyncio.sleep(1)
        error = await failure_of(built.session.refresh(force=True))

        assert ("A0", DOWN) == (await waits, error.__cause__)
        assert "the tokens are those of before" in str(error)

    @virtual
    async def test_calls_on_the_session_get_what_there_is(self, time: VirtualTime) -> None:
        """E28, E82."""
        built = down(time, "use_stale", Outage())

        token, tokens = await asyncio.gather(built.session.get_token(), built.session.refresh())
        again = await built.session.get_token()

        assert ("A0", "A0", "A0", 0) == (token, tokens and tokens.access_token, again, time.monotonic())
        await built.session.aclose()

    @pytest.mark.parametrize(
        "error", [ValueError("a bug"), TokenRefreshError("no", retryable=False)], ids=["a bug", "said to be final"]
    )
    @virtual
    async def test_a_failure_that_will_not_pass_is_no_outage(self, error: Exception, time: VirtualTime) -> None:
        """E28, E19: neither for the first nor for those that come later."""
        built = down(time, "use_stale", Outage(error))

        results: list[Recorder] = []
        for _ in range(3):
            results.append(built.start())
            await asyncio.sleep(1)
        await asyncio.sleep(20)

        assert [[TokenRefreshError]] * 3 == [kinds(result) for result in results]
        assert [] == built.server.sends

    @virtual
    async def test_a_dead_refresh_token_is_no_outage(self, time: VirtualTime) -> None:
        """E28, E20."""
        built = down(time, "use_stale", Outage(SessionEnded()))

        result = built.start()
        await asyncio.sleep(1)

        assert ([SessionEnded], []) == (kinds(result), built.server.sends)

    @virtual
    async def test_listeners_hear_of_the_failure(self, time: VirtualTime) -> None:
        """E28, E100: an outage that nobody feels is told all the same."""
        built = down(time, "use_stale", Outage(until=0.1))
        events, states = subscribed(built.session.events), subscribed(built.session.states)

        built.start()
        await asyncio.sleep(0.2)
        built.start()
        await asyncio.sleep(1)

        told = ["RefreshStarted", "OperationQueued", "RefreshTryFailed", "RefreshFailed", "OperationReleased"]
        told += ["RefreshStarted", "RefreshSucceeded", "TokensSaved"]
        assert told == names_of(events.seen)
        assert [(1, "TokenRefreshError")] == [
            (event.waiting, event.error_type) for event in events.seen if isinstance(event, RefreshFailed)
        ]
        assert [RefreshReason.EXPIRED] * 2 == [
            event.reason for event in events.seen if isinstance(event, RefreshStarted)
        ]
        assert ["authenticated", "refreshing"] * 2 + ["authenticated"] == statuses_of(states)

    @virtual
    async def test_an_issuer_that_asks_for_a_long_pause_gets_it(self, time: VirtualTime) -> None:
        """E28, E22: no operation of the pause costs a try."""
        outage = Outage(busy(600), until=500)
        built = down(time, "use_stale", outage)

        results: list[Recorder] = []
        for _ in range(601):
            results.append(built.start())
            await asyncio.sleep(1)

        assert [good()] * 601 == [result.seen for result in results]
        assert [0, 600] == outage.times


class TestEveryPolicy:
    @pytest.mark.parametrize("policy", POLICIES)
    @virtual
    async def test_a_sign_in_ends_the_outage_for_those_who_come_after(self, policy: str, time: VirtualTime) -> None:
        """E80, E22: the failures of another login are forgotten."""
        outage = Outage(busy(20), until=5)
        built = down(time, policy, outage, valid=["A0", "B0"])
        built.start()
        await asyncio.sleep(6)

        await built.session.set_tokens(TokenSet("B0", refresh_token="S0"))
        await built.session.refresh(force=False)
        built.server.accept_only()
        result = built.start()
        await asyncio.sleep(1)

        assert (good(), [0, 6]) == (result.seen, outage.times)

    @pytest.mark.parametrize("policy", POLICIES)
    @virtual
    async def test_closing_ends_it_for_all_within_the_time_limit(self, policy: str, time: VirtualTime) -> None:
        """E57, E28: those who wait are turned away at once, and nothing is left behind."""
        built = down(time, policy, Outage(None), tokens=REFUSED, valid=[], refresh_timeout=5)
        results = built.start_many(3)
        await asyncio.sleep(1)

        closing = asyncio.ensure_future(built.session.aclose())
        await asyncio.sleep(0)
        turned_away = [type(error).__name__ for result in results for error in result.seen]
        await closing

        assert (["ClientClosed"] * 3, 5) == (turned_away, time.monotonic())

    @pytest.mark.parametrize("policy", POLICIES)
    @virtual
    async def test_closing_in_a_pause_waits_no_longer_than_the_time_limit(self, policy: str, time: VirtualTime) -> None:
        """E57, E22."""
        built = down(time, policy, Outage(until=50), refresh_timeout=5)
        built.start_many(3)
        await asyncio.sleep(1)

        await built.session.aclose()

        assert time.monotonic() <= 5

    @pytest.mark.parametrize("policy", POLICIES)
    @virtual
    async def test_time_limits_are_told_as_such(self, policy: str, time: VirtualTime) -> None:
        """E23, E28: of a token that was refused."""
        built = down(time, policy, Outage(None), tokens=REFUSED, valid=[], refresh_timeout=5)

        result = built.start()
        await asyncio.sleep(6)

        assert [TokenRefreshTimeout] == kinds(result)

    @given(
        policy=st.sampled_from(POLICIES),
        starts=st.lists(st.floats(0, 40), min_size=1, max_size=30),
        heals=st.floats(0, 40),
        asked=st.sampled_from([None, 1.0, 7.0, 45.0]),
        life=st.sampled_from([-1.0, 5.0, 20.0]),
    )
    @virtual
    async def test_every_operation_ends_and_tries_keep_their_distance(
        self, policy: str, starts: list[float], heals: float, asked: float | None, life: float, time: VirtualTime
    ) -> None:
        """P2, P3, E22: whoever comes whenever, an issuer in trouble is never tried before its pause is over."""
        outage = Outage(DOWN if asked is None else busy(asked), until=heals, delay=0.1)
        built = down(time, policy, outage, tokens=fresh(time, life))
        results: list[Recorder] = []

        for number, start in enumerate(sorted(starts)):
            await asyncio.sleep(max(start - time.monotonic(), 0))
            results.append(built.start(f"Q{number}"))
        await asyncio.sleep(100)

        assert {1, 2} >= {len(result.seen) for result in results}
        assert all(isinstance(result.seen[0], (RxlinkError, dict)) for result in results)
        assert {1, 2} >= set(built.server.per_operation.values())
        failed = [moment for moment in outage.times if moment < heals]
        doubling = [0.5, 1, 2, 4, 8, *[10] * 40]
        for number, (before, after) in enumerate(zip(outage.times[: len(failed)], outage.times[1:], strict=False)):
            assert after - before >= (asked or doubling[number]) + 0.1 - 1e-6
