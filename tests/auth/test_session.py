"""The one owner of a token."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rxlink.auth.events import (
    AuthState,
    AuthStatus,
    Ended,
    RefreshReason,
    RefreshStarted,
    SaveFailed,
    TokensSaved,
)
from rxlink.auth.session import AuthSession
from rxlink.auth.storage import MemoryTokenStorage
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute
from rxlink.core.options import kind_of
from rxlink.errors import (
    AuthError,
    ClientClosed,
    InvariantError,
    InvariantTypeError,
    OperationCancelled,
    SessionEnded,
    TokenRefreshError,
    TokenRefreshTimeout,
    TokenStorageError,
)
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import (
    UNAUTHENTICATED,
    Issuer,
    ScriptedStorage,
    bench,
    fresh,
    good,
    names_of,
    never,
    request,
    statuses_of,
)
from tests.recording import END, subscribed

A0 = TokenSet("A0", refresh_token="R0")
B0 = TokenSet("B0", refresh_token="S0")


def session_of(issuer: Any, time: VirtualTime, **options: Any) -> AuthSession:
    return AuthSession(refresh=issuer, clock=time.clock, **options)


def task(coroutine: Any) -> asyncio.Task[Any]:
    return asyncio.get_running_loop().create_task(coroutine)


class TestOptions:
    def test_both_tokens_and_storage_are_refused(self) -> None:
        with pytest.raises(InvariantError, match="give `tokens` or `storage`, not both"):
            AuthSession(refresh=Issuer(), tokens=A0, storage=MemoryTokenStorage())

    @pytest.mark.parametrize("name", ["advisory_window", "mandatory_window", "refresh_timeout"])
    @pytest.mark.parametrize("value", [-1, timedelta(seconds=-1), float("nan"), float("inf")])
    def test_durations_that_make_no_sense_are_refused(self, name: str, value: Any) -> None:
        with pytest.raises(InvariantError, match=rf"`{name}` is -?[\w.]+; give .* seconds"):
            AuthSession(refresh=Issuer(), **{name: value})

    @pytest.mark.parametrize("name", ["advisory_window", "mandatory_window", "refresh_timeout"])
    @pytest.mark.parametrize("value", ["60", True, None])
    def test_durations_that_are_none_are_type_errors(self, name: str, value: Any) -> None:
        with pytest.raises(InvariantTypeError, match=f"`{name}` is {value!r}; give seconds"):
            AuthSession(refresh=Issuer(), **{name: value})

    def test_no_time_at_all_for_a_refresh_is_refused(self) -> None:
        with pytest.raises(InvariantError, match=r"`refresh_timeout` is 0; give more than 0 seconds"):
            AuthSession(refresh=Issuer(), refresh_timeout=0)

    @pytest.mark.parametrize("tokens", ["A0", {"access_token": "A0"}, 5])
    def test_tokens_that_are_no_token_set_are_a_type_error(self, tokens: Any) -> None:
        with pytest.raises(InvariantTypeError, match=f"the tokens are {kind_of(tokens)}; give a TokenSet"):
            AuthSession(refresh=Issuer(), tokens=tokens)

    def test_a_storage_that_is_none_is_a_type_error(self) -> None:
        storage: Any = {}

        with pytest.raises(InvariantTypeError, match="`storage` is a dict without `load`"):
            AuthSession(refresh=Issuer(), storage=storage)

    def test_a_naive_clock_is_refused(self) -> None:
        with pytest.raises(InvariantError, match="without a time zone"):
            AuthSession(refresh=Issuer(), clock=lambda: datetime(2026, 1, 1))  # noqa: DTZ001 - the mistake under test

    def test_making_a_session_starts_nothing(self) -> None:
        """E48: no loop is needed, nothing is loaded."""
        storage = ScriptedStorage(A0)

        AuthSession(refresh=Issuer(), storage=storage)

        assert [] == storage.log

    def test_a_storage_that_is_falsy_is_a_storage(self) -> None:
        class Empty(ScriptedStorage):
            def __len__(self) -> int:
                return 0

        storage = Empty(A0)
        session = AuthSession(refresh=Issuer(), storage=storage)

        assert "A0" == asyncio.run(session.get_token())


class TestLoad:
    @virtual
    async def test_who_comes_first_waits_for_the_storage_and_no_refresh_is_made(self, time: VirtualTime) -> None:
        """E33: loading takes 300 ms, 50 calls at t = 0."""
        storage, issuer = ScriptedStorage(A0, delay=0.3), Issuer()
        session = session_of(issuer, time, storage=storage)

        tokens = await asyncio.gather(*(session.get_token() for _ in range(50)))

        assert ({"A0"}, 0.3) == (set(tokens), time.monotonic())
        assert (["load"], []) == (storage.log, issuer.calls)

    @pytest.mark.parametrize("act", [AuthSession.get_token, AuthSession.refresh])
    @virtual
    async def test_a_load_that_fails_fails_who_waits_and_the_next_loads_again(
        self, act: Callable[[AuthSession], Any], time: VirtualTime
    ) -> None:
        """S23, E34, P10."""
        broken = OSError("locked")
        session = session_of(Issuer(), time, storage=ScriptedStorage(A0, load=[broken]))

        errors = await asyncio.gather(*(act(session) for _ in range(5)), return_exceptions=True)
        token = await session.get_token()

        assert [TokenStorageError] * 5 == [type(error) for error in errors]
        assert [broken] * 5 == [error.__cause__ for error in errors if isinstance(error, AuthError)]
        assert (5, "A0") == (len({id(error) for error in errors}), token)

    @virtual
    async def test_a_load_that_hangs_ends_at_the_time_limit(self, time: VirtualTime) -> None:
        """P10."""
        session = session_of(Issuer(), time, storage=ScriptedStorage(A0, load=[never]))

        with pytest.raises(TokenStorageError) as caught:
            await session.get_token()
        at = time.monotonic()
        token = await session.get_token()

        assert (30, TimeoutError, "A0") == (at, type(caught.value.__cause__), token)

    @virtual
    async def test_an_empty_storage_means_nobody(self, time: VirtualTime) -> None:
        """S28, E85."""
        session = session_of(Issuer(), time, storage=ScriptedStorage())
        states = subscribed(session.states)

        token, tokens = await session.get_token(), await session.refresh()

        assert (None, None) == (token, tokens)
        assert [
            AuthState(AuthStatus.LOADING),
            AuthState(AuthStatus.UNAUTHENTICATED, "nobody is signed in"),
        ] == states.seen

    @pytest.mark.parametrize("loaded", ["A0", {"access_token": "A0"}])
    @virtual
    async def test_a_storage_that_loads_something_else_is_an_error_and_not_a_login(
        self, loaded: Any, time: VirtualTime
    ) -> None:
        session = session_of(Issuer(), time, storage=ScriptedStorage(loaded))

        with pytest.raises(TokenStorageError) as caught:
            await session.get_token()

        assert isinstance(caught.value.__cause__, InvariantTypeError)

    @virtual
    async def test_a_token_that_ended_while_it_was_stored_is_refreshed_before_it_is_used(
        self, time: VirtualTime
    ) -> None:
        """E68: a restart works with R1."""
        issuer = Issuer()
        session = session_of(issuer, time, storage=ScriptedStorage(fresh(time, -60)))

        token = await session.get_token()

        assert ("A1", [RefreshReason.EXPIRED]) == (token, issuer.reasons)

    @virtual
    async def test_a_session_outlives_its_process_through_the_storage(self, time: VirtualTime) -> None:
        """E68: rotated tokens are not lost."""
        storage, issuer = ScriptedStorage(A0), Issuer(life=100)
        await session_of(issuer, time, storage=storage).refresh(force=True)

        restarted = session_of(issuer, time, storage=storage)
        await restarted.refresh(force=True)

        assert ["R0", "R1"] == [tokens and tokens.refresh_token for _, tokens, _ in issuer.calls]

    @virtual
    async def test_signing_in_while_the_storage_loads_wins(self, time: VirtualTime) -> None:
        """E80, P8: what was loaded is dropped, and who asked for the login before is told."""
        session = session_of(Issuer(), time, storage=ScriptedStorage(A0, delay=5))
        waits = task(session.get_token())
        await asyncio.sleep(1)

        await session.set_tokens(B0)
        with pytest.raises(SessionEnded) as caught:
            await waits

        assert ("another login", "B0") == (caught.value.reason, await session.get_token())

    @virtual
    async def test_signing_in_before_anybody_asked_makes_the_load_needless(self, time: VirtualTime) -> None:
        """E80: also where the storage still holds another login."""
        storage = ScriptedStorage(A0, save=[OSError("disk full")])
        session = session_of(Issuer(), time, storage=storage)
        with pytest.raises(TokenStorageError):
            await session.set_tokens(B0)

        assert ("B0", ["save"]) == (await session.get_token(), storage.log)


class TestSave:
    @virtual
    async def test_tokens_are_saved_before_anyone_goes_on(self, time: VirtualTime) -> None:
        """S05, S27, P4, E68: refresh_succeeded < tokens_saved < who waited."""
        storage = ScriptedStorage(A0, delay=0.05)
        session = session_of(Issuer(), time, storage=storage)
        events = subscribed(session.events)

        tokens = await session.refresh(force=True)

        assert ["load", "save", "saved A1"] == storage.log
        assert ["RefreshStarted", "RefreshSucceeded", "TokensSaved"] == names_of(events.seen)
        assert tokens == storage.tokens

    @virtual
    async def test_what_starts_during_the_save_sees_the_new_token(self, time: VirtualTime) -> None:
        """E70: A1 or it waits, never A0."""
        session = session_of(Issuer(), time, storage=ScriptedStorage(A0, save=[lambda: asyncio.sleep(5)]))
        refresh = task(session.refresh(force=True))
        await asyncio.sleep(1)

        token = await session.get_token()
        at = time.monotonic()
        await refresh

        assert ("A1", 1) == (token, at)

    @virtual
    async def test_a_save_that_fails_fails_nobody_and_is_told(self, time: VirtualTime) -> None:
        """P4, P10, E71: the tokens are good all the same."""
        storage = ScriptedStorage(A0, save=[OSError("disk full")])
        session = session_of(Issuer(), time, storage=storage)
        events = subscribed(session.events)

        tokens = await session.refresh(force=True)

        assert TokenSet("A1", refresh_token="R1") == tokens
        assert (A0, "A1") == (storage.tokens, await session.get_token())
        assert SaveFailed(2, "OSError") == events.seen[-1]

    @virtual
    async def test_a_save_that_fails_is_tried_again(self, time: VirtualTime) -> None:
        """E71: the next start of the program is to find A1, not the used-up tokens."""
        storage = ScriptedStorage(A0, save=[OSError("disk full"), OSError("disk full")])
        session = session_of(Issuer(), time, storage=storage)
        events = subscribed(session.events)

        await session.refresh(force=True)
        await asyncio.sleep(5)
        before = storage.tokens
        await asyncio.sleep(2)

        assert (A0, TokenSet("A1", refresh_token="R1")) == (before, storage.tokens)
        assert [SaveFailed(2, "OSError"), SaveFailed(2, "OSError"), TokensSaved(2)] == events.seen[-3:]

    @virtual
    async def test_what_is_unsaved_when_the_session_is_closed_is_tried_once_more(self, time: VirtualTime) -> None:
        """E71."""
        storage = ScriptedStorage(A0, save=[OSError("disk full")])
        session = session_of(Issuer(), time, storage=storage)
        await session.refresh(force=True)

        await session.aclose()

        assert (0, TokenSet("A1", refresh_token="R1")) == (time.monotonic(), storage.tokens)
        assert [] == time.leftovers()

    @virtual
    async def test_what_is_unsaved_is_forgotten_with_its_login(self, time: VirtualTime) -> None:
        """E71, P8."""
        storage = ScriptedStorage(A0, save=[OSError("disk full")])
        session = session_of(Issuer(), time, storage=storage)
        await session.refresh(force=True)

        await session.clear()
        await asyncio.sleep(100)

        assert (None, ["load", "save", "clear", "cleared"]) == (storage.tokens, storage.log)

    @virtual
    async def test_a_save_that_hangs_is_given_up_at_the_time_limit_and_told(self, time: VirtualTime) -> None:
        """P4, P10."""
        storage = ScriptedStorage(A0, save=[never])
        session = session_of(Issuer(), time, storage=storage)
        events = subscribed(session.events)

        tokens = await session.refresh(force=True)
        at = time.monotonic()
        await asyncio.sleep(0.5)
        again = await session.refresh(force=True)

        assert (30, "A1", "A2") == (at, tokens and tokens.access_token, again and again.access_token)
        assert ["SaveFailed", "RefreshStarted", "RefreshSucceeded", "TokensSaved"] == names_of(events.seen)[2:]
        assert again == storage.tokens

    @virtual
    async def test_a_save_that_somebody_cancels_ends_the_refresh(self, time: VirtualTime) -> None:
        """E49: from outside, such as a program that ends."""
        session = session_of(Issuer(), time, storage=ScriptedStorage(A0, save=[never]))
        await session.get_token()
        call = task(session.refresh(force=True))
        await asyncio.sleep(1)

        [save] = asyncio.all_tasks() - {call, asyncio.current_task()}
        save.cancel()

        with pytest.raises(TokenRefreshError) as caught:
            await call
        assert isinstance(caught.value.__cause__, OperationCancelled)

    @virtual
    async def test_signing_in_saves_and_says_so(self, time: VirtualTime) -> None:
        storage = ScriptedStorage()
        session = session_of(Issuer(), time, storage=storage)
        events = subscribed(session.events)

        await session.set_tokens(B0)

        assert (B0, [TokensSaved(1)]) == (storage.tokens, events.seen)

    @virtual
    async def test_an_event_of_a_save_names_the_generation_that_was_saved(self, time: VirtualTime) -> None:
        session = session_of(Issuer(), time, storage=ScriptedStorage(delay=1))
        events = subscribed(session.events)

        await asyncio.gather(session.set_tokens(A0), session.set_tokens(B0))

        assert [TokensSaved(1), TokensSaved(2)] == events.seen

    @pytest.mark.parametrize(
        ("call", "name", "said"),
        [
            (lambda session: session.set_tokens(B0), "save", "the tokens could not be saved"),
            (lambda session: session.clear(), "clear", "the tokens could not be cleared"),
        ],
    )
    @virtual
    async def test_signing_in_or_out_says_that_the_storage_failed_and_happens_all_the_same(
        self, call: Callable[[AuthSession], Any], name: str, said: str, time: VirtualTime
    ) -> None:
        broken = OSError("disk full")
        session = session_of(Issuer(), time, storage=ScriptedStorage(A0, **{name: [broken]}))
        await session.get_token()

        with pytest.raises(TokenStorageError, match=said) as caught:
            await call(session)

        assert broken is caught.value.__cause__
        assert ("B0" if name == "save" else None) == await session.get_token()


class TestWindows:
    @virtual
    async def test_inside_the_mandatory_window_the_refresh_comes_first(self, time: VirtualTime) -> None:
        """S41, E58: expired in transit."""
        issuer = Issuer(delay=1)
        session = session_of(issuer, time, tokens=fresh(time, 5, life=3600))

        token = await session.get_token()

        assert ("A1", 1, [RefreshReason.EXPIRED]) == (token, time.monotonic(), issuer.reasons)

    @virtual
    async def test_inside_the_advisory_window_one_refresh_runs_in_the_background(self, time: VirtualTime) -> None:
        """S47, E63, E64, P5: 50 calls, none of them waits."""
        issuer = Issuer(delay=1)
        session = session_of(issuer, time, tokens=fresh(time, 30, life=3600))

        tokens = await asyncio.gather(*(session.get_token() for _ in range(50)))
        at = time.monotonic()
        await asyncio.sleep(2)

        assert ({"A0"}, 0) == (set(tokens), at)
        assert ([RefreshReason.EXPIRING], "A1") == (issuer.reasons, await session.get_token())

    @pytest.mark.parametrize("error", [KeyError(), TokenRefreshError("500", retryable=True)])
    @virtual
    async def test_a_background_refresh_that_fails_is_told_to_listeners_and_to_nobody_else(
        self, error: Exception, time: VirtualTime
    ) -> None:
        """S48, E27, E63: no "exception was never retrieved"; the token is good for another 30 s."""
        complaints: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
        session = session_of(Issuer(script=[error] * 100), time, tokens=fresh(time, 53, life=3600), refresh_timeout=20)
        events, states = subscribed(session.events), subscribed(session.states)

        before = await session.get_token()
        await asyncio.sleep(20.5)
        after = await session.get_token()
        await asyncio.sleep(21)

        assert ("A0", "A0", []) == (before, after, complaints)
        assert "RefreshFailed" in names_of(events.seen)
        # What may pass is put off; a bug is found anew by each who would refresh.
        runs = 1 if isinstance(error, TokenRefreshError) else 2
        assert ["authenticated", *["refreshing", "authenticated"] * runs] == statuses_of(states)

    @virtual
    async def test_leeway_longer_than_the_tokens_life_is_capped(self, time: VirtualTime) -> None:
        """E59: life 50 s, leeway 60 s, 20 calls in 5 s and no refresh."""
        issuer = Issuer(life=50)
        session = session_of(issuer, time, tokens=fresh(time, 50, life=50), advisory_window=60, mandatory_window=60)

        for _ in range(20):
            await session.get_token()
            await asyncio.sleep(0.25)

        assert [] == issuer.calls

    @virtual
    async def test_expiry_is_judged_by_the_clock_at_that_moment(self, time: VirtualTime) -> None:
        """E62: the machine slept for two hours, and no timer has fired."""
        slept = timedelta()
        issuer = Issuer()
        session = AuthSession(refresh=issuer, clock=lambda: time.clock() + slept, tokens=fresh(time, 3600, life=3600))
        awake = await session.get_token()

        slept = timedelta(hours=2)
        token = await session.get_token()

        assert ("A0", "A1", [RefreshReason.EXPIRED]) == (awake, token, issuer.reasons)

    @virtual
    async def test_each_expiry_is_one_refresh_again_and_again(self, time: VirtualTime) -> None:
        """S16, E47: a life of 5 s, a call per second, a minute long."""
        issuer = Issuer(life=5)
        session = session_of(issuer, time, tokens=fresh(time, 5, life=5))

        seen: list[str | None] = []
        for _ in range(60):
            seen.append(await session.get_token())
            await asyncio.sleep(1)

        assert len(set(seen)) - 1 <= len(issuer.calls) <= 60 / 4 + 1
        assert {RefreshReason.EXPIRING} == set(issuer.reasons)

    @virtual
    async def test_a_refresh_that_brings_an_ended_token_is_not_repeated(self, time: VirtualTime) -> None:
        """E25: about 456 token requests per second elsewhere."""
        issuer = Issuer(life=-10)
        session = session_of(issuer, time, tokens=fresh(time, -1))

        tokens = [await session.get_token() for _ in range(20)]

        assert ({"A1"}, 1) == (set(tokens), len(issuer.calls))

    @virtual
    async def test_a_wrong_clock_locks_nobody_out(self, time: VirtualTime) -> None:
        """E25: ours is ten minutes ahead of an issuer that names ends."""
        issuer = Issuer(script=[lambda: TokenSet("A1", expires_at=time.clock() - timedelta(minutes=5))])
        session = session_of(issuer, time, tokens=fresh(time, -1))

        tokens = [await session.get_token() for _ in range(20)]

        assert ({"A1"}, 1) == (set(tokens), len(issuer.calls))


class TestManualControl:
    @virtual
    async def test_a_refresh_that_is_not_needed_is_not_made(self, time: VirtualTime) -> None:
        """E82."""
        issuer = Issuer()
        session = session_of(issuer, time, tokens=fresh(time, 3600, life=3600))

        tokens = await session.refresh()

        assert ("A0", []) == (tokens and tokens.access_token, issuer.calls)

    @virtual
    async def test_all_calls_join_one_flight(self, time: VirtualTime) -> None:
        """E82, S07, P1."""
        issuer = Issuer(delay=1)
        session = session_of(issuer, time, tokens=fresh(time, -1))

        outcomes = await asyncio.gather(
            session.get_token(), session.refresh(), session.refresh(force=True), session.get_token()
        )

        new = TokenSet("A1", refresh_token="R1")
        assert ["A1", new, new, "A1"] == outcomes
        assert 1 == len(issuer.calls)

    @virtual
    async def test_cancelling_one_call_cancels_it_alone(self, time: VirtualTime) -> None:
        """E43, E44, P6: also the one that started it, and also all of them."""
        issuer = Issuer(delay=1)
        session = session_of(issuer, time, tokens=fresh(time, -1))
        calls = [task(session.get_token()) for _ in range(3)]
        await asyncio.sleep(0.5)

        calls[0].cancel()
        calls[1].cancel()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)

        assert [asyncio.CancelledError, asyncio.CancelledError, str] == [type(outcome) for outcome in outcomes]
        assert ("A1", 1) == (outcomes[2], len(issuer.calls))

    @pytest.mark.parametrize("tokens", ["B0", None, {"access_token": "B0"}])
    @virtual
    async def test_signing_in_with_no_token_set_changes_nothing(self, tokens: Any, time: VirtualTime) -> None:
        session = session_of(Issuer(), time, tokens=A0)

        with pytest.raises(InvariantTypeError, match=f"the tokens are {kind_of(tokens)}; give a TokenSet"):
            await session.set_tokens(tokens)

        assert "A0" == await session.get_token()

    @pytest.mark.parametrize(
        ("name", "arguments"),
        [("get_token", []), ("refresh", []), ("set_tokens", [B0]), ("clear", []), ("aclose", [])],
    )
    @virtual
    async def test_a_call_from_inside_the_refresh_is_refused_by_its_name(
        self, name: str, arguments: list[TokenSet], time: VirtualTime
    ) -> None:
        async def refresh(tokens: TokenSet | None, reason: RefreshReason) -> str:
            with pytest.raises(InvariantError, match=f"`{name}` was called from inside the session's own refresh"):
                await getattr(session, name)(*arguments)
            return "A1"

        session = session_of(refresh, time, tokens=A0)
        await session.refresh(force=True)

        assert "A1" == await session.get_token()

    def test_the_first_tokens_are_judged_by_their_end_and_not_as_just_issued(self) -> None:
        """S41: they may have been kept by the application."""
        now = datetime(2026, 1, 1, tzinfo=UTC)
        tokens = TokenSet("A0", expires_at=now - timedelta(hours=1))
        issuer = Issuer()
        session = AuthSession(refresh=issuer, tokens=tokens, clock=lambda: now)

        assert "A1" == asyncio.run(session.get_token())
        assert [RefreshReason.EXPIRED] == issuer.reasons

    def test_the_life_of_the_first_tokens_counts_from_now(self) -> None:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        session = AuthSession(refresh=Issuer(), tokens=TokenSet("A0", expires_in=100), clock=lambda: now)
        before = asyncio.run(session.get_token())

        now += timedelta(seconds=99)

        assert ("A0", "A1") == (before, asyncio.run(session.get_token()))

    def test_a_call_with_a_good_token_needs_no_more_than_its_own_loop(self) -> None:
        """E54: two successive `asyncio.run`, both contended."""
        session = AuthSession(refresh=Issuer(delay=0.01), storage=ScriptedStorage(A0, delay=0.01))

        async def contended() -> set[Any]:
            tokens = await asyncio.gather(*(session.refresh(force=True) for _ in range(5)))
            return {kept and kept.access_token for kept in tokens}

        assert [{"A1"}, {"A2"}] == [asyncio.run(contended()), asyncio.run(contended())]

    def test_a_session_whose_loop_ended_in_the_midst_of_a_refresh_goes_on_in_the_next(self) -> None:
        """E54."""
        issuer = Issuer(delay=60)
        session = AuthSession(refresh=issuer, tokens=A0)

        async def leave_it() -> None:
            with suppress(TimeoutError):
                await asyncio.wait_for(session.refresh(force=True), 0.01)

        asyncio.run(leave_it())
        issuer.delay = 0
        tokens = asyncio.run(session.refresh(force=True))
        asyncio.run(session.clear())

        assert "A1" == (tokens and tokens.access_token)


class TestStates:
    @virtual
    async def test_the_current_state_comes_at_once_and_then_each_change(self, time: VirtualTime) -> None:
        """E78."""
        session = session_of(Issuer(delay=1), time, storage=ScriptedStorage(A0))
        first = subscribed(session.states)

        await session.get_token()
        await session.refresh(force=True)
        second = subscribed(session.states)
        await session.clear()
        await session.set_tokens(B0)
        await session.aclose()

        assert [
            "loading", "authenticated", "refreshing", "authenticated", "unauthenticated", "authenticated", END,
        ] == statuses_of(first)  # fmt: skip
        assert ["authenticated", "unauthenticated", "authenticated", END] == statuses_of(second)
        assert "signed out" == second.seen[1].reason

    @virtual
    async def test_who_joins_while_the_tokens_are_saved_leaves_no_wrong_state(self, time: VirtualTime) -> None:
        """E78: the flight that is joined has told its success already."""
        session = session_of(Issuer(), time, storage=ScriptedStorage(A0, save=[lambda: asyncio.sleep(5)]))
        await session.get_token()
        states = subscribed(session.states)

        first = task(session.refresh(force=True))
        await asyncio.sleep(1)
        await session.refresh(force=True)
        await first

        assert ["authenticated", "refreshing", "authenticated"] == statuses_of(states)

    @virtual
    async def test_a_listener_that_acts_on_a_login_is_no_part_of_the_refresh(self, time: VirtualTime) -> None:
        """E29, P11: an operation that a listener starts carries the new token."""
        built = bench(
            time=time, valid=["A1"], storage=ScriptedStorage(A0, save=[lambda: asyncio.sleep(5)]), tokens=None
        )
        await built.session.get_token()
        results: list[Any] = []

        def reload(state: AuthState) -> None:
            if state.status is AuthStatus.AUTHENTICATED:
                results.append(built.start("Viewer"))

        subscription = built.session.states.subscribe(reload)
        await built.session.refresh(force=True)
        subscription.dispose()
        await asyncio.sleep(1)

        assert "Bearer A1" == built.server.tokens[-1]
        assert [good("Viewer")] * 2 == [result.seen for result in results]


class TestSigningOut:
    @virtual
    async def test_signing_out_forgets_everywhere_and_is_told_once(self, time: VirtualTime) -> None:
        """E84."""
        storage = ScriptedStorage(A0)
        session = session_of(Issuer(), time, storage=storage)
        await session.get_token()
        events = subscribed(session.events)

        await session.clear()
        await session.clear()

        assert (None, None) == (storage.tokens, await session.get_token())
        assert [Ended(1, "signed out")] == events.seen

    @virtual
    async def test_signing_out_during_a_refresh_wins(self, time: VirtualTime) -> None:
        """E79, P8: nothing is stored, who waits is told, and it stays so."""
        storage, issuer = ScriptedStorage(A0), Issuer(delay=5)
        session = session_of(issuer, time, storage=storage)
        refresh = task(session.refresh(force=True))
        await asyncio.sleep(1)

        await session.clear()
        with pytest.raises(SessionEnded) as caught:
            await refresh
        at = time.monotonic()
        await asyncio.sleep(10)

        assert (1, "signed out") == (at, caught.value.reason)
        assert (None, None) == (storage.tokens, await session.get_token())

    @virtual
    async def test_signing_out_while_the_tokens_are_saved_wins(self, time: VirtualTime) -> None:
        """E79, P8: the storage is cleared after the save that was under way."""
        storage = ScriptedStorage(A0, save=[lambda: asyncio.shield(asyncio.sleep(5))])
        session = session_of(Issuer(), time, storage=storage)
        refresh = task(session.refresh(force=True))
        await asyncio.sleep(1)

        await session.clear()
        outcome = (await asyncio.gather(refresh, return_exceptions=True))[0]
        await asyncio.sleep(10)

        assert (SessionEnded, None) == (type(outcome), storage.tokens)
        assert "cleared" == storage.log[-1]

    @virtual
    async def test_signing_in_as_another_during_a_refresh_wins(self, time: VirtualTime) -> None:
        """E80, P8: A's result is dropped."""
        storage, issuer = ScriptedStorage(A0), Issuer(delay=5)
        session = session_of(issuer, time, storage=storage)
        refresh = task(session.refresh(force=True))
        await asyncio.sleep(1)

        await session.set_tokens(B0)
        with pytest.raises(SessionEnded) as caught:
            await refresh
        await asyncio.sleep(10)

        assert ("another login", B0, "B0") == (caught.value.reason, storage.tokens, await session.get_token())
        assert 0 == issuer.issued

    @virtual
    async def test_a_final_failure_where_nobody_was_signed_in_ends_nothing(self, time: VirtualTime) -> None:
        """E84."""
        session = session_of(Issuer(script=[SessionEnded("no cookie")]), time, storage=ScriptedStorage())
        events = subscribed(session.events)

        with pytest.raises(SessionEnded):
            await session.refresh(force=True)

        assert ["RefreshStarted", "RefreshFailed"] == names_of(events.seen)

    @virtual
    async def test_a_storage_that_cannot_be_cleared_after_the_end_is_told(self, time: VirtualTime) -> None:
        """E51: nobody waits for it."""
        storage = ScriptedStorage(A0, clear=[OSError()])
        session = session_of(Issuer(script=[SessionEnded()]), time, storage=storage)
        events = subscribed(session.events)

        with pytest.raises(SessionEnded):
            await session.refresh(force=True)
        await asyncio.sleep(1)

        assert ["RefreshStarted", "RefreshFailed", "Ended", "SaveFailed"] == names_of(events.seen)


class TestClosing:
    @virtual
    async def test_closing_during_a_refresh_tells_who_waits_and_awaits_its_end(self, time: VirtualTime) -> None:
        """E57: the tokens are saved, no task is left."""
        storage = ScriptedStorage(A0)
        session = session_of(Issuer(delay=5), time, storage=storage)
        calls = [task(session.refresh(force=True)) for _ in range(3)]
        await asyncio.sleep(1)
        events = subscribed(session.events)

        await session.aclose()
        at = time.monotonic()
        errors = await asyncio.gather(*calls, return_exceptions=True)

        assert ([ClientClosed] * 3, 3) == ([type(error) for error in errors], len({id(error) for error in errors}))
        assert (5, TokenSet("A1", refresh_token="R1")) == (at, storage.tokens)
        assert END == events.seen[-1]

    @virtual
    async def test_closing_waits_at_most_for_the_time_limit(self, time: VirtualTime) -> None:
        """E57."""
        session = session_of(never, time, tokens=A0, refresh_timeout=7)
        call = task(session.refresh(force=True))
        await asyncio.sleep(0)

        await session.aclose()

        assert 7 == time.monotonic()
        assert isinstance((await asyncio.gather(call, return_exceptions=True))[0], ClientClosed)

    @virtual
    async def test_closing_during_a_load_tells_who_waits(self, time: VirtualTime) -> None:
        session = session_of(Issuer(), time, storage=ScriptedStorage(A0, load=[never]))
        call = task(session.get_token())
        await asyncio.sleep(0)

        await session.aclose()

        assert isinstance((await asyncio.gather(call, return_exceptions=True))[0], ClientClosed)
        assert 0 == time.monotonic()

    @virtual
    async def test_closing_does_not_wait_for_ever_for_a_storage(self, time: VirtualTime) -> None:
        """E57: the storage hangs when the dead session is cleared; no task is left (`@virtual` looks)."""
        storage = ScriptedStorage(A0, clear=[never])
        session = session_of(Issuer(script=[SessionEnded()]), time, storage=storage, refresh_timeout=7)
        with pytest.raises(SessionEnded):
            await session.refresh(force=True)

        await session.aclose()

        assert 7 == time.monotonic()

    @pytest.mark.parametrize(
        "call",
        [
            lambda session: session.get_token(),
            lambda session: session.refresh(),
            lambda session: session.refresh(force=True),
            lambda session: session.set_tokens(B0),
            lambda session: session.clear(),
        ],
    )
    @virtual
    async def test_a_closed_session_refuses_all(self, call: Callable[[AuthSession], Any], time: VirtualTime) -> None:
        """E102."""
        issuer, storage = Issuer(), ScriptedStorage(A0)
        session = session_of(issuer, time, storage=storage)
        await session.aclose()
        await session.aclose()

        with pytest.raises(ClientClosed, match="the AuthSession is closed"):
            await call(session)

        assert ([], []) == (issuer.calls, storage.log)

    @virtual
    async def test_listeners_hear_the_end_and_so_does_who_comes_later(self, time: VirtualTime) -> None:
        session = session_of(Issuer(), time, tokens=A0)
        early = [subscribed(session.states), subscribed(session.events)]

        await session.aclose()
        late = [subscribed(session.states), subscribed(session.events)]

        assert [END, END] == [one.seen[-1] for one in early]
        assert [[END], [END]] == [one.seen for one in late]

    @virtual
    async def test_a_session_may_be_closed_by_its_context(self, time: VirtualTime) -> None:
        async with session_of(Issuer(), time, tokens=A0) as session:
            token = await session.get_token()

        assert "A0" == token
        with pytest.raises(ClientClosed):
            await session.get_token()


class TestRefreshThroughTheOwnChain:
    @virtual
    async def test_it_passes_untouched_and_is_not_waited_for(self, time: VirtualTime) -> None:
        """S37, S39, E29, S51: no header of ours, no classification, no queue."""

        async def refresh(tokens: TokenSet | None, reason: RefreshReason) -> Any:
            headers = {"authorization": f"Bearer {tokens and tokens.refresh_token}", "x-own": "1"}
            answer = await execute(built.link, request("Refresh", context={"headers": headers}))
            return f"A{answer['data']['echo']}"

        built = bench(time=time, refresh=refresh, valid=["R0", "ARefresh"])
        results = built.start_many(3)
        await asyncio.sleep(1)

        assert [good(f"Q{number}") for number in range(3)] == [result.seen for result in results]
        refreshes = [send.headers for send in built.server.sends if send.name == "Refresh"]
        assert [{"authorization": "Bearer R0", "x-own": "1"}] == refreshes
        assert {"Q0": 2, "Q1": 2, "Q2": 2, "Refresh": 1} == built.server.per_operation

    @virtual
    async def test_a_refresh_operation_that_is_refused_itself_does_not_queue_behind_itself(
        self, time: VirtualTime
    ) -> None:
        """S38, E29, P10."""

        async def refresh(tokens: TokenSet | None, reason: RefreshReason) -> None:
            assert UNAUTHENTICATED == await execute(built.link, request("Refresh"))
            raise SessionEnded

        built = bench(time=time, refresh=refresh)
        result = built.start()
        await asyncio.sleep(1)

        assert [SessionEnded] == [type(error) for error in result.seen]
        assert {"Q": 1, "Refresh": 1} == built.server.per_operation

    @virtual
    async def test_what_the_refresh_starts_in_tasks_of_its_own_passes_too(self, time: VirtualTime) -> None:
        """E29: parked behind itself if anything asynchronous precedes it."""

        async def send() -> Any:
            await asyncio.sleep(1)
            return await execute(built.link, request("Refresh"))

        async def refresh(tokens: TokenSet | None, reason: RefreshReason) -> str:
            await asyncio.gather(send(), task(send()))
            return "A1"

        built = bench(time=time, refresh=refresh, valid=["A1"])
        result = built.start()
        await asyncio.sleep(5)

        assert good() == result.seen
        assert [None, None] == [send.token for send in built.server.sends if send.name == "Refresh"]


class TestSeveralSessions:
    @virtual
    async def test_sessions_know_nothing_of_one_another(self, time: VirtualTime) -> None:
        """E96: neither tokens, nor failures, nor a hanging refresh."""
        ada = session_of(never, time, tokens=fresh(time, -1))
        bob = session_of(Issuer(), time, tokens=fresh(time, -1))
        hangs = task(ada.get_token())

        token = await bob.get_token()
        at = time.monotonic()

        assert ("A1", 0) == (token, at)
        assert isinstance((await asyncio.gather(hangs, return_exceptions=True))[0], TokenRefreshTimeout)

    @virtual
    async def test_a_hundred_that_share_an_expiry_do_not_refresh_at_one_moment(self, time: VirtualTime) -> None:
        """E17."""
        moments: set[float] = set()
        sessions: list[AuthSession] = []
        for number in range(100):
            tokens = TokenSet(f"A{number}", expires_in=3600, expires_at=time.clock() + timedelta(hours=1))
            session = session_of(Issuer(), time, tokens=tokens)
            session.events.subscribe(
                lambda event: moments.add(time.monotonic()) if isinstance(event, RefreshStarted) else None
            )
            sessions.append(session)

        await asyncio.sleep(3539)
        for _ in range(20):
            await asyncio.gather(*(session.get_token() for session in sessions))
            await asyncio.sleep(0.5)

        assert len(moments) > 8
