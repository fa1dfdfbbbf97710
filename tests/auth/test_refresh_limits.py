"""What a session never sends: a dead refresh token, one whose answer was lost twice, a second first request."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise
from typing import Any

import pytest
import reactivex

from rxlink.auth.dead_tokens import REMEMBERED
from rxlink.auth.events import (
    AuthState,
    AuthStatus,
    Ended,
    OperationQueued,
    OperationRetried,
    RefreshFailed,
    RefreshReason,
    RefreshStarted,
    RefreshSucceeded,
    RefreshTryFailed,
)
from rxlink.auth.pacing import BackoffOptions
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet, fingerprint
from rxlink.errors import (
    ClientClosed,
    InvariantTypeError,
    NetworkError,
    NetworkTimeout,
    SessionEnded,
    TokenRefreshError,
)
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import (
    REFUSED,
    UNAUTHENTICATED,
    Issuer,
    ScriptedStorage,
    bench,
    fresh,
    good,
    names_of,
    never,
    statuses_of,
)
from tests.recording import END, Recorder, subscribed

A0 = TokenSet("A0", refresh_token="R0")


class Keeper:
    """An issuer that knows which refresh tokens are dead, and counts how often each was presented."""

    def __init__(self, *dead: str) -> None:
        self.dead = set(dead)
        self.presented: list[str | None] = []

    async def __call__(self, tokens: TokenSet | None, reason: RefreshReason) -> TokenSet:
        presented = None if tokens is None else tokens.refresh_token
        self.presented.append(presented)
        await asyncio.sleep(0.1)
        if presented in self.dead:
            raise SessionEnded
        return TokenSet("A1", refresh_token="R1")


def kinds(recorder: Recorder) -> list[Any]:
    return [type(value) if isinstance(value, Exception) else value for value in recorder.seen]


def lost(may_have_arrived: bool = True) -> NetworkError:
    error = NetworkError("no answer")
    error.may_have_arrived = may_have_arrived
    return error


@pytest.fixture
def longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses without jitter: 0.5, 1, 2, 4, 8, 10 s."""
    monkeypatch.setattr(random, "uniform", lambda _, most: most)


class TestDeadRefreshTokens:
    @virtual
    async def test_a_hundred_more_operations_send_it_no_more(self, time: VirtualTime) -> None:
        """E21, E20, E84."""
        issuer = Keeper("R0")
        built = bench(time=time, refresh=issuer)
        events = subscribed(built.session.events)
        built.start_many(10)
        await asyncio.sleep(1)

        for number in range(100):
            built.start(f"Later{number}")
            await asyncio.sleep(1)

        assert ["R0"] == issuer.presented
        assert 1 == len([event for event in events.seen if isinstance(event, Ended)])

    @virtual
    async def test_whoever_signs_in_with_it_again_finds_it_dead(self, time: VirtualTime) -> None:
        """E21: the access token that came with it is used as long as it lasts."""
        issuer = Keeper("R0")
        built = bench(time=time, refresh=issuer, valid=["A5"])
        built.start()
        await asyncio.sleep(1)

        await built.session.set_tokens(TokenSet("A5", refresh_token="R0"))
        lasting = built.start("Lasting")
        await asyncio.sleep(1)
        built.server.accept_only()
        refused = built.start("Refused")
        await asyncio.sleep(1)

        assert (good("Lasting"), [SessionEnded], ["R0"]) == (lasting.seen, kinds(refused), issuer.presented)
        assert UNAUTHENTICATED == refused.seen[0].auth_error

    @virtual
    async def test_neither_does_a_forced_refresh_send_it(self, time: VirtualTime) -> None:
        """E21, E82."""
        issuer = Keeper("R0")
        session = bench(time=time, refresh=issuer).session

        for _ in range(5):
            with pytest.raises(SessionEnded):
                await session.refresh(force=True)
            await session.set_tokens(A0)

        assert ["R0"] == issuer.presented

    @virtual
    async def test_a_different_one_is_sent(self, time: VirtualTime) -> None:
        """E21: until set_tokens supplies a different refresh token."""
        issuer = Keeper("R0")
        built = bench(time=time, refresh=issuer, valid=["A1"])
        built.start()
        await asyncio.sleep(1)

        await built.session.set_tokens(TokenSet("A5", refresh_token="R5"))
        result = built.start()
        await asyncio.sleep(1)

        assert (good(), ["R0", "R5"]) == (result.seen, issuer.presented)

    @virtual
    async def test_where_it_could_not_be_cleared_it_is_not_loaded_again(self, time: VirtualTime) -> None:
        """E21, E71: the storage keeps it, the session does not."""
        issuer, storage = Keeper("R0"), ScriptedStorage(A0, clear=[OSError("locked")] * 3)
        built = bench(None, time=time, refresh=issuer, storage=storage)
        built.start()
        await asyncio.sleep(1)

        for _ in range(20):
            built.start()
            await asyncio.sleep(1)

        assert (["R0"], 1, A0) == (issuer.presented, storage.log.count("load"), storage.tokens)
        assert [None] * 20 == built.server.tokens[1:]

    @virtual
    async def test_the_one_that_a_new_sign_in_brings_again_is_not_sent(self, time: VirtualTime) -> None:
        """E21, E83: an application that answers with what it has kept."""
        issuer, asked = Keeper("R0"), []

        def hook(error: SessionEnded) -> TokenSet | None:
            asked.append(error)
            return TokenSet("A5", refresh_token="R0") if len(asked) == 1 else None

        built = bench(time=time, refresh=issuer, on_session_ended=hook)
        results = built.start_many(3)
        await asyncio.sleep(1)
        last = built.start("Last")
        await asyncio.sleep(1)

        assert [[UNAUTHENTICATED, END]] * 3 == [kinds(result) for result in results]
        assert ([SessionEnded], ["R0"], 2) == (kinds(last), issuer.presented, len(asked))

    @virtual
    async def test_they_are_remembered_as_hashes(self, time: VirtualTime) -> None:
        """E21, P7."""
        session = bench(TokenSet("A0", refresh_token="planted"), time=time, refresh=Keeper("planted")).session

        with pytest.raises(SessionEnded):
            await session.refresh(force=True)

        refresher = session.keeper._refresher  # pyright: ignore[reportPrivateUsage] - what it keeps is the point
        assert (1, False) == (len(refresher._dead._hashes), "planted" in repr(vars(refresher._dead)))  # pyright: ignore[reportPrivateUsage]

    @virtual
    async def test_one_that_keeps_coming_does_not_push_out_the_others(self, time: VirtualTime) -> None:
        """E21: a bounded memory, for different ones."""
        issuer = Keeper("R0", "R9")
        session = bench(time=time, refresh=issuer).session

        for refresh_token in ["R0", *["R9"] * REMEMBERED, "R0"]:
            await session.set_tokens(TokenSet("A0", refresh_token=refresh_token))
            with pytest.raises(SessionEnded):
                await session.refresh(force=True)

        assert ["R0", "R9"] == issuer.presented

    @virtual
    async def test_without_a_refresh_token_the_callback_is_asked_each_time(self, time: VirtualTime) -> None:
        """E21, S36: a cookie may hold it, and nobody here knows which."""
        issuer = Keeper()
        issuer.dead = {None}  # type: ignore[arg-type]
        session = bench(TokenSet("A0"), time=time, refresh=issuer).session

        for _ in range(2):
            with pytest.raises(SessionEnded):
                await session.refresh(force=True)
            await session.set_tokens(TokenSet("A0"))

        assert [None, None] == issuer.presented


@pytest.mark.usefixtures("longest")
class TestLostAnswers:
    @pytest.mark.parametrize("error", [lost, lambda: NetworkTimeout("POST", seconds=5)], ids=["broken", "timeout"])
    @virtual
    async def test_it_is_replayed_once_and_then_the_refresh_fails_for_now(self, error: Any, time: VirtualTime) -> None:
        """E77, E72: an issuer that rotates takes a second replay for a theft."""
        last = error()
        issuer = Issuer(script=[error(), last, error()])
        built = bench(time=time, issuer=issuer)
        events = subscribed(built.session.events)

        results = built.start_many(3)
        await asyncio.sleep(20)

        errors = [failure for result in results for failure in result.seen]
        assert [(TokenRefreshError, last, True)] * 3 == [(type(e), e.__cause__, e.retryable) for e in errors]
        assert "its answer may have been lost each time; the refresh token is not presented again at once" in str(
            errors[0]
        )
        assert [0, 0.5] == [moment for moment, _, _ in issuer.calls]
        assert ["RefreshTryFailed"] * 2 + ["RefreshFailed"] == [
            name for name in names_of(events.seen) if name.endswith("Failed")
        ]
        assert REFUSED == built.session.wallet.tokens

    @virtual
    async def test_the_replay_may_succeed(self, time: VirtualTime) -> None:
        """E77: issuers with a grace period answer it."""
        issuer = Issuer(script=[lost()])
        built = bench(time=time, issuer=issuer)

        result = built.start()
        await asyncio.sleep(20)

        assert good() == result.seen
        assert ["R0", "R0"] == [tokens and tokens.refresh_token for _, tokens, _ in issuer.calls]

    @virtual
    async def test_the_replay_that_finds_it_used_up_ends_the_session(self, time: VirtualTime) -> None:
        """E77, E20."""
        issuer = Issuer(script=[lost(), SessionEnded()])
        built = bench(time=time, issuer=issuer)

        result = built.start()
        await asyncio.sleep(20)

        assert ([SessionEnded], 2) == (kinds(result), len(issuer.calls))

    @pytest.mark.parametrize(
        "error", [lambda: lost(may_have_arrived=False), lambda: OSError("refused")], ids=["said", "unsaid"]
    )
    @virtual
    async def test_a_request_that_never_arrived_is_made_as_often_as_time_allows(
        self, error: Any, time: VirtualTime
    ) -> None:
        """E77, E22: the refresh token has not left the house."""
        issuer = Issuer(script=[error() for _ in range(5)])
        built = bench(time=time, issuer=issuer)

        result = built.start()
        await asyncio.sleep(30)

        assert (good(), 6) == (result.seen, len(issuer.calls))

    @virtual
    async def test_only_the_lost_answers_count(self, time: VirtualTime) -> None:
        """E77."""
        never_arrived = [lost(may_have_arrived=False) for _ in range(4)]
        script: list[Any] = [never_arrived[0], lost(), *never_arrived[1:3], lost(), never_arrived[3]]
        issuer = Issuer(script=script)
        built = bench(time=time, issuer=issuer)

        result = built.start()
        await asyncio.sleep(30)

        assert ([TokenRefreshError], 5) == (kinds(result), len(issuer.calls))

    @pytest.mark.parametrize("tokens", [TokenSet("A0"), None], ids=["of none", "first"])
    @virtual
    async def test_without_a_refresh_token_there_is_nothing_to_lose(
        self, tokens: TokenSet | None, time: VirtualTime
    ) -> None:
        """E77, E76: the client credentials grant may ask as often as it likes."""
        issuer = Issuer(script=[lost() for _ in range(5)])
        built = bench(tokens, time=time, issuer=issuer, obtain_first=True)

        result = built.start()
        await asyncio.sleep(30)

        assert (good(), 6) == (result.seen, len(issuer.calls))

    @virtual
    async def test_later_refreshes_keep_the_distance_and_each_replays_once(self, time: VirtualTime) -> None:
        """E77, E22: never a loop; an operation a second for five minutes."""
        issuer = Issuer(script=[lost() for _ in range(1000)])
        built = bench(time=time, issuer=issuer, backoff=BackoffOptions(initial=10))

        results: list[Recorder] = []
        for number in range(300):
            results.append(built.start(f"Q{number}"))
            await asyncio.sleep(1)
        await asyncio.sleep(30)

        moments = [moment for moment, _, _ in issuer.calls]
        gaps = [after - before for before, after in pairwise(moments)]
        assert {10} == {round(gap, 6) for gap in gaps}
        assert {TokenRefreshError} == {type(error) for result in results for error in result.seen}
        assert 300 == len([result for result in results if len(result.seen) == 1])

    @virtual
    async def test_a_forced_refresh_begins_anew(self, time: VirtualTime) -> None:
        """E77, E82: whoever forces it has a reason."""
        issuer = Issuer(script=[lost() for _ in range(3)])
        session = bench(time=time, issuer=issuer).session

        with pytest.raises(TokenRefreshError):
            await session.refresh(force=True)
        tokens = await session.refresh(force=True)

        assert (4, "A1") == (len(issuer.calls), tokens and tokens.access_token)

    @virtual
    async def test_closing_between_the_two_tries_leaves_nothing_behind(self, time: VirtualTime) -> None:
        """E57, E77."""
        built = bench(time=time, issuer=Issuer(script=[lost(), lost()]))
        result = built.start()
        await asyncio.sleep(0.1)

        await built.session.aclose()

        assert ([ClientClosed], 0.1, 1) == (kinds(result), time.monotonic(), len(built.issuer.calls))


class TestFirstTokens:
    @virtual
    async def test_fifty_operations_get_the_first_tokens_together(self, time: VirtualTime) -> None:
        """E76, S07: the client credentials grant, one request."""
        built = bench(None, time=time, issuer=Issuer(delay=2), obtain_first=True)
        events, states = subscribed(built.session.events), subscribed(built.session.states)

        results = built.start_many(50)
        await asyncio.sleep(5)

        assert [good(f"Q{number}") for number in range(50)] == [result.seen for result in results]
        assert [(0, None, RefreshReason.MISSING)] == built.issuer.calls
        assert ["Bearer A1"] * 50 == built.server.tokens
        assert [(RefreshReason.MISSING, "Q0", None)] == [
            (event.reason, event.operation_name, event.fingerprint)
            for event in events.seen
            if isinstance(event, RefreshStarted)
        ]
        assert ["loading", "unauthenticated", "refreshing", "authenticated"] == statuses_of(states)

    @pytest.mark.parametrize(
        "refresh",
        [
            lambda tokens, reason: TokenSet("A1"),
            lambda tokens, reason: "A1",
            lambda tokens, reason: asyncio.sleep(1, "A1"),
            lambda tokens, reason: reactivex.of("A1"),
        ],
        ids=["tokens", "text", "coroutine", "observable"],
    )
    @virtual
    async def test_calls_on_the_session_get_them_too(self, refresh: Any, time: VirtualTime) -> None:
        """E76, E82, E31."""
        session = AuthSession(refresh=refresh, obtain_first=True, clock=time.clock)

        token, tokens = await asyncio.gather(session.get_token(), session.refresh())

        assert ("A1", TokenSet("A1")) == (token, tokens)

    @virtual
    async def test_they_are_replaced_by_another_request_of_the_same_kind(self, time: VirtualTime) -> None:
        """E76: without a refresh token, a refresh is a fetch."""
        calls: list[Any] = []

        def fetch(tokens: TokenSet | None, reason: RefreshReason) -> TokenSet:
            calls.append((tokens and tokens.refresh_token, reason))
            return TokenSet(f"A{len(calls)}", expires_in=100)

        built = bench(None, time=time, refresh=fetch, obtain_first=True, valid=["A1", "A2"])
        first = built.start("First")
        await asyncio.sleep(95)
        second = built.start("Second")
        await asyncio.sleep(1)

        assert (good("First"), good("Second")) == (first.seen, second.seen)
        assert [(None, RefreshReason.MISSING), (None, RefreshReason.EXPIRED)] == calls

    @virtual
    async def test_it_is_not_called_where_tokens_are_kept(self, time: VirtualTime) -> None:
        """E76, E68."""
        storage = ScriptedStorage(A0, delay=1)
        built = bench(None, time=time, storage=storage, obtain_first=True, valid=["A0"])

        result = built.start()
        await asyncio.sleep(2)

        assert (good(), []) == (result.seen, built.issuer.calls)

    @virtual
    async def test_what_it_brings_is_saved_for_the_next_start(self, time: VirtualTime) -> None:
        """E76, E68, S05."""
        storage = ScriptedStorage(delay=1)
        built = bench(None, time=time, storage=storage, obtain_first=True)

        result = built.start()
        await asyncio.sleep(5)

        assert (good(), ["load", "save", "saved A1"], 2) == (result.seen, storage.log, built.server.sends[0].time)

    @virtual
    async def test_without_the_option_nobody_is_nobody(self, time: VirtualTime) -> None:
        """E76, E85, S28."""
        built = bench(None, time=time)

        result = built.start()
        await asyncio.sleep(1)

        assert ([UNAUTHENTICATED, END], [], [None]) == (result.seen, built.issuer.calls, built.server.tokens)

    @pytest.mark.parametrize("value", [None, 1, "yes"])
    def test_the_option_is_yes_or_no(self, value: Any) -> None:
        """E76."""
        with pytest.raises(InvariantTypeError, match="`obtain_first` is"):
            AuthSession(refresh=Issuer(), obtain_first=value)

    @virtual
    async def test_after_a_sign_out_operations_are_nobodys_until_a_sign_in(self, time: VirtualTime) -> None:
        """E76, E79, E85."""
        built = bench(None, time=time, obtain_first=True, valid=["B0"])
        before = built.start("Before")
        await asyncio.sleep(1)

        await built.session.clear()
        nobodys = built.start("Nobodys")
        await asyncio.sleep(1)
        await built.session.set_tokens(TokenSet("B0", refresh_token="S0"))
        built.server.accept_only("B0")
        after = built.start("After")
        await asyncio.sleep(1)

        assert [good("Before"), [UNAUTHENTICATED, END], good("After")] == [before.seen, nobodys.seen, after.seen]
        assert (["Bearer A1", None, "Bearer B0"], [RefreshReason.MISSING]) == (
            built.server.tokens,
            built.issuer.reasons,
        )

    @virtual
    async def test_a_sign_out_while_they_are_fetched_wins(self, time: VirtualTime) -> None:
        """E79, E76, P8."""
        storage = ScriptedStorage()
        built = bench(None, time=time, issuer=Issuer(delay=5), storage=storage, obtain_first=True)
        events = subscribed(built.session.events)
        results = built.start_many(3)
        await asyncio.sleep(1)

        await built.session.clear()
        late = built.start("Late")
        await asyncio.sleep(10)

        assert [[SessionEnded]] * 3 == [kinds(result) for result in results]
        assert (None, [UNAUTHENTICATED, END], None) == (await built.session.get_token(), late.seen, storage.tokens)
        assert "Ended" not in names_of(events.seen)

    @virtual
    async def test_a_sign_in_while_they_are_fetched_wins(self, time: VirtualTime) -> None:
        """E80, E76, P8."""
        built = bench(None, time=time, issuer=Issuer(delay=5), obtain_first=True, valid=["B0"])
        results = built.start_many(3)
        await asyncio.sleep(1)

        await built.session.set_tokens(TokenSet("B0"))
        late = built.start("Late")
        await asyncio.sleep(10)

        assert [[SessionEnded]] * 3 == [kinds(result) for result in results]
        assert ("B0", good("Late")) == (await built.session.get_token(), late.seen)

    @virtual
    async def test_a_failure_fails_those_who_wait_and_the_next_tries_again(self, time: VirtualTime) -> None:
        """E76, P2, P10, E19: nobody is sent as nobody meanwhile."""
        broken = ValueError("a bug")
        built = bench(None, time=time, issuer=Issuer(script=[broken]), obtain_first=True)

        failed = built.start_many(3)
        await asyncio.sleep(5)
        result = built.start("Next")
        await asyncio.sleep(5)

        errors = [error for recorder in failed for error in recorder.seen]
        assert [(TokenRefreshError, broken)] * 3 == [(type(error), error.__cause__) for error in errors]
        assert (good("Next"), ["Bearer A1"]) == (result.seen, built.server.tokens)
        assert [RefreshReason.MISSING] * 2 == built.issuer.reasons

    @virtual
    async def test_an_issuer_that_is_down_for_a_moment_is_tried_again(self, time: VirtualTime) -> None:
        """E76, E22."""
        built = bench(None, time=time, issuer=Issuer(script=[OSError("down")] * 3), obtain_first=True)

        results = built.start_many(3)
        await asyncio.sleep(10)

        assert [good(f"Q{number}") for number in range(3)] == [result.seen for result in results]
        assert (4, [RefreshReason.MISSING] * 4) == (len(built.issuer.calls), built.issuer.reasons)

    @pytest.mark.parametrize("policy", ["fail", "use_stale"])
    @virtual
    async def test_there_is_nothing_stale_to_go_on_with(self, policy: str, time: VirtualTime) -> None:
        """E76, E28."""
        issuer = Issuer(script=[OSError("down")] * 9)
        built = bench(None, time=time, issuer=issuer, obtain_first=True, on_refresh_outage=policy)

        results: list[Recorder] = []
        for _ in range(3):
            results.append(built.start())
            await asyncio.sleep(0.01)
        await asyncio.sleep(20)

        assert [[TokenRefreshError]] * 3 == [kinds(result) for result in results]
        assert [] == built.server.sends

    @virtual
    async def test_one_that_is_refused_for_good_makes_them_nobody(self, time: VirtualTime) -> None:
        """E76, E20, E21: it is not asked again, until somebody signs in."""
        built = bench(None, time=time, issuer=Issuer(script=[SessionEnded("client disabled")]), obtain_first=True)
        states = subscribed(built.session.states)

        results = built.start_many(3)
        await asyncio.sleep(1)
        after = built.start("After")
        await asyncio.sleep(1)

        assert [[SessionEnded]] * 3 == [kinds(result) for result in results]
        assert ([UNAUTHENTICATED, END], 1) == (after.seen, len(built.issuer.calls))
        assert AuthState(AuthStatus.UNAUTHENTICATED, "client disabled") == states.seen[-1]

    @virtual
    async def test_one_that_hangs_ends_within_its_time_and_the_next_tries_again(self, time: VirtualTime) -> None:
        """E76, E23, P10."""
        calls: list[Any] = []

        async def fetch(tokens: TokenSet | None, reason: RefreshReason) -> TokenSet:
            calls.append(time.monotonic())
            if len(calls) == 1:
                await never()
            return TokenSet("A1")

        built = bench(None, time=time, refresh=fetch, obtain_first=True, refresh_timeout=5, valid=["A1"])

        first = built.start()
        await asyncio.sleep(6)
        second = built.start()
        await asyncio.sleep(20)

        assert (["TokenRefreshTimeout"], good()) == ([type(error).__name__ for error in first.seen], second.seen)
        assert 2 == len(calls)

    @virtual
    async def test_operations_of_its_own_pass(self, time: VirtualTime) -> None:
        """E76, E29, S39: the fetch may use the guarded chain."""

        async def fetch(tokens: TokenSet | None, reason: RefreshReason) -> TokenSet:
            await built.run("Login")
            return TokenSet("A1")

        built = bench(None, time=time, refresh=fetch, obtain_first=True, valid=["A1"])

        result = built.start()
        await asyncio.sleep(1)

        assert good() == result.seen
        assert [("Login", None), ("Q", "Bearer A1")] == [(send.name, send.token) for send in built.server.sends]

    @virtual
    async def test_closing_meanwhile_turns_them_away_and_keeps_what_comes(self, time: VirtualTime) -> None:
        """E57, E76."""
        storage = ScriptedStorage()
        built = bench(None, time=time, issuer=Issuer(delay=5), storage=storage, obtain_first=True)
        results = built.start_many(3)
        await asyncio.sleep(1)

        await built.session.aclose()

        assert [[ClientClosed]] * 3 == [kinds(result) for result in results]
        assert (5, "A1") == (time.monotonic(), (storage.tokens or A0).access_token)


@pytest.mark.usefixtures("longest")
class TestEvents:
    @virtual
    async def test_they_tell_who_set_a_refresh_off_what_it_replaced_and_how_it_went(self, time: VirtualTime) -> None:
        """E100: without a secret, and tokens can be told apart."""
        issuer = Issuer(script=[OSError("down")], delay=1)
        built = bench(TokenSet("A0", refresh_token="planted"), time=time, issuer=issuer)
        events = subscribed(built.session.events)

        built.start("Leader")
        await asyncio.sleep(0.5)
        built.start("Follower")
        await asyncio.sleep(10)

        old, new = fingerprint("A0"), fingerprint("A1")
        assert [
            RefreshStarted(1, RefreshReason.REJECTED, "Leader", old),
            OperationQueued(1, "Leader"),
            OperationQueued(1, "Follower"),
            RefreshTryFailed(1, "OSError", 0.5),
            RefreshSucceeded(1, RefreshReason.REJECTED, 2.5, 2, new),
            OperationRetried(2, "Leader"),
        ] == [event for event in events.seen if type(event).__name__ != "TokensSaved"][:6]
        assert "planted" not in repr(events.seen)

    @virtual
    async def test_a_background_refresh_that_fails_is_told_with_who_set_it_off(self, time: VirtualTime) -> None:
        """E100, E48: nobody waits for it, and it does not go unseen."""
        built = bench(fresh(time, 30, life=600), time=time, issuer=Issuer(script=[ValueError("a bug")]), valid=["A0"])
        events = subscribed(built.session.events)

        result = built.start("Reader")
        await asyncio.sleep(1)

        assert good("Reader") == result.seen
        assert [
            RefreshStarted(1, RefreshReason.EXPIRING, "Reader", fingerprint("A0")),
            RefreshFailed(1, RefreshReason.EXPIRING, 0, 0, "ValueError"),
        ] == events.seen

    @virtual
    async def test_who_calls_on_the_session_has_no_operation_name(self, time: VirtualTime) -> None:
        """E100, E82."""
        session = bench(time=time).session
        events = subscribed(session.events)

        await session.refresh(force=True)

        assert RefreshStarted(1, RefreshReason.FORCED, None, fingerprint("A0")) == events.seen[0]

    @virtual
    async def test_an_end_is_told_once_with_its_reason_after_the_failure(self, time: VirtualTime) -> None:
        """E100, E84."""
        built = bench(time=time, issuer=Issuer(script=[SessionEnded("revoked")], delay=1))
        events = subscribed(built.session.events)

        built.start_many(50)
        await asyncio.sleep(5)

        assert [RefreshFailed(1, RefreshReason.REJECTED, 1, 50, "SessionEnded"), Ended(1, "revoked")] == events.seen[
            -2:
        ]
