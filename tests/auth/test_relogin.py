"""What happens when a session would end: the application may sign its user in again, and those who wait go on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import reactivex

from rxlink.auth import single_flight
from rxlink.auth.events import AuthState, AuthStatus, Ended, RefreshReason, SignedInAgain
from rxlink.auth.link import AuthLink
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute, from_
from rxlink.core.observables import from_future
from rxlink.errors import InvariantError, InvariantTypeError, SessionEnded, TokenRefreshError
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import (
    REQUEST_ID,
    Bench,
    Issuer,
    ScriptedServer,
    ScriptedStorage,
    bench,
    fresh,
    good,
    names_of,
    request,
    statuses_of,
)
from tests.recording import Recorder, subscribed

A0 = TokenSet("A0", refresh_token="R0")
B0 = TokenSet("B0", refresh_token="S0")
NEW = TokenSet("N1", refresh_token="N-refresh")


class Hook:
    """`on_session_ended` of an application: takes its time, then returns or raises what it was told."""

    def __init__(self, *answers: Any, delay: float = 0.0) -> None:
        self.answers = list(answers)
        self.delay = delay
        self.calls: list[SessionEnded] = []

    async def __call__(self, error: SessionEnded) -> Any:
        self.calls.append(error)
        await asyncio.sleep(self.delay)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def ended(time: VirtualTime, hook: Any, *, refusals: int = 1, **options: Any) -> Bench:
    """A session whose refresh token is dead; the server accepts what the user's next sign-in brings."""
    script: list[Any] = [SessionEnded() for _ in range(refusals)]
    options.setdefault("valid", ["N1"])
    return bench(time=time, issuer=Issuer(script=script, delay=1), on_session_ended=hook, **options)


def complaints() -> list[Any]:
    """What the loop's exception handler gets from now on."""
    got: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, complaint: got.append(complaint.get("exception")))
    return got


def errors_of(recorders: list[Recorder]) -> list[Any]:
    return [error for recorder in recorders for error in recorder.seen]


def endings(events: Recorder) -> list[str]:
    return [event.reason for event in events.seen if isinstance(event, Ended)]


async def returning(value: Any) -> Any:
    return value


class TestOptions:
    @pytest.mark.parametrize(
        ("hook", "kind"), [("log in", "a str"), (5, "5"), (lambda: None, ".*lambda.*takes other arguments")]
    )
    def test_what_cannot_be_called_is_refused_at_once(self, hook: Any, kind: str) -> None:
        """E83."""
        with pytest.raises(InvariantTypeError, match=rf"`on_session_ended` is {kind}.*function of \(error\), or None"):
            AuthSession(refresh=Issuer(), on_session_ended=hook)

    @pytest.mark.parametrize("value", [0, -1, float("nan")])
    def test_a_time_that_makes_no_sense_is_refused(self, value: float) -> None:
        """E83."""
        with pytest.raises(InvariantError, match="`relogin_timeout` is"):
            AuthSession(refresh=Issuer(), relogin_timeout=value)


class TestNewTokens:
    @pytest.mark.parametrize(
        "hook",
        [
            lambda error: NEW,
            lambda error: returning(NEW),
            lambda error: asyncio.get_running_loop().create_task(returning(NEW)),
            lambda error: reactivex.of(NEW),
            lambda error: reactivex.of(B0, NEW),
            lambda error: from_future(lambda: asyncio.sleep(3, NEW)),
        ],
        ids=["plain", "coroutine", "task", "observable", "last value", "chain"],
    )
    @pytest.mark.parametrize("is_refused", [True, False], ids=["refused", "at its end"])
    @virtual
    async def test_a_hook_of_any_shape_lets_those_who_wait_go_on(
        self, is_refused: bool, hook: Any, time: VirtualTime
    ) -> None:
        """E83, S06: whether the server has refused the token, or the clock."""
        built = ended(time, hook, tokens=A0 if is_refused else fresh(time, -1))

        results = built.start_many(3)
        await asyncio.sleep(10)

        assert [good(f"Q{number}") for number in range(3)] == [result.seen for result in results]
        assert ["Bearer N1"] * 3 == built.server.tokens[-3:]
        assert ("N1", 1) == (await built.session.get_token(), len(built.issuer.calls))

    @virtual
    async def test_operations_of_several_chains_go_on_each_with_its_own_result(self, time: VirtualTime) -> None:
        """E83, S08, E96."""
        built = ended(time, hook := Hook(NEW, delay=5))
        other = ScriptedServer("N1", delay=0.5)
        chain = from_([AuthLink(built.session, scheme="JWT"), other])
        other.scheme, other.valid = "JWT ", {"JWT N1"}

        results = built.start_many(50)
        others = [subscribed(execute(chain, request(f"P{number}"))) for number in range(50)]
        await asyncio.sleep(10)

        assert [good(f"Q{number}") for number in range(50)] == [result.seen for result in results]
        assert [good(f"P{number}") for number in range(50)] == [result.seen for result in others]
        assert {2} == set(built.server.per_operation.values()) | set(other.per_operation.values())
        assert (1, 1) == (len(hook.calls), len(built.issuer.calls))

    @virtual
    async def test_the_storage_is_empty_while_the_user_is_asked_and_holds_the_new_pair_after(
        self, time: VirtualTime
    ) -> None:
        """S06, E20, S05: a crash meanwhile leaves no dead token, and nobody goes on before the save."""
        storage = ScriptedStorage(A0, delay=0.25)
        held: list[Any] = []

        async def hook(error: SessionEnded) -> TokenSet:
            held.append((storage.tokens, list(storage.log)))
            return NEW

        built = ended(time, hook, tokens=None, storage=storage)
        built.start()
        await asyncio.sleep(10)

        assert [(None, ["load", "clear", "cleared"])] == held
        assert ["load", "clear", "cleared", "save", "saved N1"] == storage.log
        assert (NEW, 0.25 + 1 + 0.25 + 0.25) == (storage.tokens, built.server.sends[-1].time)

    @virtual
    async def test_a_storage_that_cannot_be_cleared_stops_nobody(self, time: VirtualTime) -> None:
        """E71, E83."""
        storage = ScriptedStorage(A0, clear=[OSError("locked")])
        built = ended(time, Hook(NEW), tokens=None, storage=storage)
        events = subscribed(built.session.events)

        result = built.start()
        await asyncio.sleep(10)

        assert (good(), NEW) == (result.seen, storage.tokens)
        assert 1 == names_of(events.seen).count("SaveFailed")

    @virtual
    async def test_a_storage_that_hangs_takes_its_own_time_and_not_the_users(self, time: VirtualTime) -> None:
        """E83, P10."""
        storage = ScriptedStorage(A0, clear=[asyncio.Event().wait])
        built = ended(time, Hook(NEW, delay=4), tokens=None, storage=storage, refresh_timeout=5)

        result = built.start()
        await asyncio.sleep(20)

        assert (good(), NEW) == (result.seen, storage.tokens)
        assert 1 + 5 + 4 == built.server.sends[-1].time

    @virtual
    async def test_no_dead_refresh_token_is_kept_where_the_new_sign_in_brings_none(self, time: VirtualTime) -> None:
        """E83, E21: only a refresh may leave it out (E69)."""
        storage = ScriptedStorage(A0)
        built = ended(time, Hook(TokenSet("N1")), tokens=None, storage=storage)

        built.start()
        await asyncio.sleep(10)

        assert (TokenSet("N1"), TokenSet("N1")) == (built.session.wallet.tokens, storage.tokens)

    @virtual
    async def test_operations_that_the_hook_sends_through_the_guarded_chain_pass(self, time: VirtualTime) -> None:
        """E83, E29, S39: as nobody, and without waiting for themselves."""

        async def log_in(error: SessionEnded) -> TokenSet:
            await built.run("Login")
            return NEW

        built = ended(time, log_in)
        result = built.start()
        await asyncio.sleep(10)

        assert good() == result.seen
        assert [("Q", "Bearer A0"), ("Login", None), ("Q", "Bearer N1")] == [
            (send.name, send.token) for send in built.server.sends
        ]

    @virtual
    async def test_listeners_hear_that_the_user_is_back_and_of_no_end(self, time: VirtualTime) -> None:
        """E83, E84, E78, E100."""
        built = ended(time, Hook(NEW, delay=2))
        events, states = subscribed(built.session.events), subscribed(built.session.states)

        built.start()
        await asyncio.sleep(10)

        told = [
            "RefreshStarted",
            "OperationQueued",
            "SignedInAgain",
            "RefreshSucceeded",
            "TokensSaved",
            "OperationRetried",
        ]
        assert told == names_of(events.seen)
        assert [2] == [event.seconds for event in events.seen if isinstance(event, SignedInAgain)]
        assert ["authenticated", "refreshing", "authenticated"] == statuses_of(states)

    @virtual
    async def test_the_hook_is_told_why(self, time: VirtualTime) -> None:
        """E24, E83."""
        cause = ValueError("invalid_grant")
        error = SessionEnded("revoked")
        error.__cause__ = cause
        hook = Hook(NEW)
        built = bench(time=time, issuer=Issuer(script=[error]), on_session_ended=hook, valid=["N1"])

        built.start()
        await asyncio.sleep(1)

        assert [("revoked", cause)] == [(call.reason, call.__cause__) for call in hook.calls]

    @virtual
    async def test_it_is_asked_again_when_the_next_refresh_token_has_died(self, time: VirtualTime) -> None:
        """E83, S16: not only the first time."""
        hook = Hook(NEW, TokenSet("N2", refresh_token="N2-refresh"))
        built = ended(time, hook, refusals=2)

        first = built.start("First")
        await asyncio.sleep(10)
        built.server.accept_only("N2")
        second = built.start("Second")
        await asyncio.sleep(10)

        assert (good("First"), good("Second")) == (first.seen, second.seen)
        assert ["R0", "N-refresh"] == [tokens and tokens.refresh_token for _, tokens, _ in built.issuer.calls]
        assert 2 == len(hook.calls)

    @virtual
    async def test_calls_on_the_session_go_on_too(self, time: VirtualTime) -> None:
        """E82, E83."""
        session = ended(time, Hook(NEW, delay=5), tokens=fresh(time, -1)).session

        token, tokens, forced = await asyncio.gather(
            session.get_token(), session.refresh(), session.refresh(force=True)
        )

        assert ("N1", NEW, NEW) == (token, tokens, forced)

    @virtual
    async def test_each_goes_on_in_its_own_context(self, time: VirtualTime) -> None:
        """P11."""
        built = ended(time, Hook(NEW, delay=5))

        for number in range(3):
            built.start(f"Q{number}", request_id=number)
        await asyncio.sleep(10)

        assert [(f"Q{number}", number) for number in (0, 1, 2, 0, 1, 2)] == [
            (send.name, send.request_id) for send in built.server.sends
        ]
        assert REQUEST_ID.get() is None

    @pytest.mark.parametrize("staying", [0, 1])
    @virtual
    async def test_who_leaves_meanwhile_stops_nothing(self, staying: int, time: VirtualTime) -> None:
        """P6: also where nobody waits any more, the sign-in is not lost."""
        storage = ScriptedStorage(A0)
        built = ended(time, Hook(NEW, delay=5), tokens=None, storage=storage)
        results = built.start_many(1 + staying)
        await asyncio.sleep(3)

        results[0].subscription.dispose()
        await asyncio.sleep(10)

        assert [[], good("Q1")][: 1 + staying] == [result.seen for result in results]
        assert (1, NEW) == (built.server.per_operation["Q0"], storage.tokens)


class TestAnotherWord:
    @pytest.mark.parametrize("is_stubborn", [False, True], ids=["cancelled", "deaf to it"])
    @virtual
    async def test_a_sign_in_by_the_user_wins(self, is_stubborn: bool, time: VirtualTime) -> None:
        """E80, E83, P8: what the hook brings later is dropped, and who waited does not run as somebody else."""
        storage, hook = ScriptedStorage(A0), Hook(NEW, delay=5)

        async def deaf(error: SessionEnded) -> Any:
            return await asyncio.shield(hook(error))

        built = ended(time, deaf if is_stubborn else hook, tokens=None, storage=storage, valid=["N1", "B0"])
        events = subscribed(built.session.events)
        waits = built.start_many(3)
        await asyncio.sleep(3)

        await built.session.set_tokens(B0)
        result = built.start("New")
        await asyncio.sleep(10)

        assert [(SessionEnded, "another login")] * 3 == [(type(error), error.reason) for error in errors_of(waits)]
        assert (good("New"), "Bearer B0", B0) == (result.seen, built.server.sends[-1].token, storage.tokens)
        assert ([], 1) == (endings(events), len(hook.calls))
        assert "SignedInAgain" not in names_of(events.seen)

    @virtual
    async def test_a_sign_out_by_the_user_wins(self, time: VirtualTime) -> None:
        """E79, E84, P8."""
        storage = ScriptedStorage(A0)
        built = ended(time, Hook(NEW, delay=5), tokens=None, storage=storage)
        events = subscribed(built.session.events)
        waits = built.start_many(3)
        await asyncio.sleep(3)

        await built.session.clear()
        await asyncio.sleep(10)

        assert [(SessionEnded, "signed out")] * 3 == [(type(error), error.reason) for error in errors_of(waits)]
        assert (None, ["signed out"], None) == (storage.tokens, endings(events), await built.session.get_token())

    @pytest.mark.parametrize(
        "act",
        [
            lambda session: session.set_tokens(NEW),
            AuthSession.clear,
            AuthSession.get_token,
            AuthSession.refresh,
            AuthSession.aclose,
        ],
    )
    @virtual
    async def test_a_hook_that_waits_for_its_own_session_is_told_so(
        self, act: Callable[[AuthSession], Any], time: VirtualTime
    ) -> None:
        """E29, E83, P10: it must not wait for itself; it returns the tokens."""
        built: Bench = ended(time, lambda error: act(built.session))
        events, got = subscribed(built.session.events), complaints()

        result = built.start()
        await asyncio.sleep(10)

        assert ([SessionEnded], [InvariantError]) == ([type(error) for error in result.seen], [type(e) for e in got])
        assert ("InvariantError", 1) == (failed_callback(events), len(endings(events)))

    @virtual
    async def test_nobody_is_asked_where_the_user_signs_out_or_as_somebody_else(self, time: VirtualTime) -> None:
        """E83, E84."""
        built = ended(time, hook := Hook(NEW))

        await built.session.set_tokens(B0)
        await built.session.clear()
        await built.session.get_token()

        assert [] == hook.calls

    @pytest.mark.parametrize(
        "error", [OSError("down"), TokenRefreshError("no", retryable=False), ValueError("a bug")], ids=repr
    )
    @virtual
    async def test_nobody_is_asked_after_a_failure_that_is_no_end(self, error: Exception, time: VirtualTime) -> None:
        """E19, E83, P9."""
        hook = Hook(NEW)
        built = bench(time=time, issuer=Issuer(script=[error]), on_session_ended=hook, on_refresh_outage="fail")

        result = built.start()
        await asyncio.sleep(10)

        assert ([TokenRefreshError], []) == ([type(failure) for failure in result.seen], hook.calls)
        assert "A0" == (built.session.wallet.tokens or NEW).access_token


def failed_callback(events: Recorder) -> str | None:
    (told,) = [event for event in events.seen if type(event).__name__ == "CallbackFailed"] or [None]
    assert told is None or "on_session_ended" == told.callback
    return None if told is None else told.error_type


def chain_of(error: BaseException | None) -> list[BaseException]:
    return [] if error is None else [error, *chain_of(error.__cause__)]


class TestNoTokens:
    @pytest.mark.parametrize(
        ("hook", "failed"),
        [
            (lambda error: None, None),
            (lambda error: returning(None), None),
            (lambda error: reactivex.empty(), None),
            (lambda error: reactivex.of(None), None),
            (Hook(ValueError("a bug")), "ValueError"),
            (lambda error: 1 // 0, "ZeroDivisionError"),
            (lambda error: reactivex.throw(OSError("down")), "OSError"),
            (lambda error: returning({"access_token": "N1"}), "TokenRefreshError"),
            (lambda error: reactivex.of(5), "TokenRefreshError"),
            (Hook(TimeoutError("of its own")), "TimeoutError"),
        ],
        ids=[
            "None",
            "coroutine of None",
            "empty observable",
            "observable of None",
            "raising later",
            "raising",
            "failing observable",
            "dict",
            "observable of a number",
            "a time-out of its own",
        ],
    )
    @virtual
    async def test_all_who_wait_fail_and_the_session_ends_once(
        self, hook: Any, failed: str | None, time: VirtualTime
    ) -> None:
        """E83, E84, E20, S06, S10, P9: whatever goes wrong with the hook, it is as if there were none."""
        storage, cause = ScriptedStorage(A0), ValueError("invalid_grant")
        dead = SessionEnded()
        dead.__cause__ = cause
        issuer = Issuer(script=[dead], delay=1)
        built = bench(None, time=time, issuer=issuer, storage=storage, on_session_ended=hook)
        events, states, got = subscribed(built.session.events), subscribed(built.session.states), complaints()

        results = built.start_many(50)
        await asyncio.sleep(10)

        errors = errors_of(results)
        assert [(SessionEnded, cause)] * 50 == [(type(error), error.__cause__) for error in errors]
        assert {f"Q{number}" for number in range(50)} == {error.operation_name for error in errors}
        assert (["refresh token rejected"], 50) == (endings(events), len(built.server.sends))
        assert (failed, [failed] if failed else []) == (failed_callback(events), [type(e).__name__ for e in got])
        assert AuthState(AuthStatus.UNAUTHENTICATED, "refresh token rejected") == states.seen[-1]
        assert (None, None) == (storage.tokens, built.session.wallet.tokens)

    @virtual
    async def test_one_that_raises_session_ended_says_why(self, time: VirtualTime) -> None:
        """E83, E24: the user did not want to; it is no failure of the hook, and the refusal is its cause."""
        dead = SessionEnded()
        built = bench(time=time, issuer=Issuer(script=[dead]), on_session_ended=Hook(SessionEnded("no, thanks")))
        events, got = subscribed(built.session.events), complaints()

        result = built.start()
        await asyncio.sleep(10)

        error = result.seen[0]
        assert ("no, thanks", True) == (error.reason, dead in chain_of(error))
        assert (["no, thanks"], None, []) == (endings(events), failed_callback(events), got)

    @virtual
    async def test_text_is_an_access_token(self, time: VirtualTime) -> None:
        """E83: as from `refresh`."""
        built = bench(time=time, issuer=Issuer(script=[SessionEnded()]), on_session_ended=lambda error: "N1")
        built.server.valid.add("Bearer N1")

        result = built.start()
        await asyncio.sleep(10)

        assert good() == result.seen

    @virtual
    async def test_afterwards_operations_are_nobodys_until_somebody_signs_in(self, time: VirtualTime) -> None:
        """E20, E21, E85: the hook is asked once, not once an operation."""
        built = ended(time, hook := Hook(None))
        built.start()
        await asyncio.sleep(10)

        for number in range(20):
            built.start(f"Later{number}")
            await asyncio.sleep(1)
        await built.session.set_tokens(NEW)
        result = built.start("Back")
        await asyncio.sleep(1)

        assert [None] * 20 == built.server.tokens[1:21]
        assert (1, 1, good("Back")) == (len(hook.calls), len(built.issuer.calls), result.seen)


class TestTime:
    @virtual
    async def test_it_may_take_longer_than_a_refresh(self, time: VirtualTime) -> None:
        """E83: a human types slowly."""
        built = ended(time, Hook(NEW, delay=250), refresh_timeout=5, relogin_timeout=300)

        result = built.start()
        await asyncio.sleep(400)

        assert (good(), 251) == (result.seen, built.server.sends[-1].time)

    @virtual
    async def test_what_the_refresh_has_taken_does_not_count(self, time: VirtualTime) -> None:
        """E83: by default it may take as long as a refresh, from when it is called."""
        built = ended(time, Hook(NEW, delay=4.5), refresh_timeout=5)

        result = built.start()
        await asyncio.sleep(10)

        assert (good(), 5.5) == (result.seen, built.server.sends[-1].time)

    @pytest.mark.parametrize(("refresh", "relogin", "end"), [(5, None, 6), (5, 300, 301), (30, 2, 3)])
    @virtual
    async def test_one_that_hangs_ends_the_session_at_its_time_limit(
        self, refresh: float, relogin: float | None, end: float, time: VirtualTime
    ) -> None:
        """E83, E84, P9, P10: the refresh token is dead, and the user is not asked once an operation."""
        hook = Hook(NEW, delay=1e6)
        built = ended(time, hook, refresh_timeout=refresh, relogin_timeout=relogin)
        events, got = subscribed(built.session.events), complaints()

        results = built.start_many(3)
        await asyncio.sleep(end - 0.001)
        before = errors_of(results)
        await asyncio.sleep(0.002)
        after = built.start("After")
        await asyncio.sleep(1)

        assert ([], [SessionEnded] * 3) == (before, [type(error) for error in errors_of(results)])
        assert (["refresh token rejected"], 1) == (endings(events), len(hook.calls))
        assert ("TimeoutError", [TimeoutError]) == (failed_callback(events), [type(error) for error in got])
        assert (2, None) == (len(after.seen), built.server.sends[-1].token)

    def test_those_on_another_loop_wait_as_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """E83, P2: they wait from the beginning, and the user's time is counted from when the user is asked."""
        monkeypatch.setattr(single_flight, "A_MOMENT", 0.01)
        joined, went_on = threading.Event(), threading.Event()

        async def refresh(tokens: TokenSet | None, reason: RefreshReason) -> TokenSet:
            await asyncio.to_thread(joined.wait, 5)
            await asyncio.sleep(0.6)
            raise SessionEnded

        async def hook(error: SessionEnded) -> TokenSet:
            await asyncio.sleep(0.6)
            return NEW

        async def first() -> str | None:
            waits = asyncio.ensure_future(session.get_token())
            await asyncio.sleep(0)
            thread.start()
            return await waits

        async def other() -> None:
            waits = asyncio.ensure_future(session.get_token())
            await asyncio.sleep(0)
            joined.set()
            tokens.append(await waits)
            went_on.set()

        old = TokenSet("A0", refresh_token="R0", expires_at=datetime.now(UTC) - timedelta(seconds=1))
        session = AuthSession(refresh=refresh, tokens=old, on_session_ended=hook, refresh_timeout=1)
        tokens: list[str | None] = []
        thread = threading.Thread(target=lambda: asyncio.run(other()))

        async def main() -> str | None:
            token = await first()
            await asyncio.to_thread(went_on.wait, 5)
            return token

        token = asyncio.run(main())
        thread.join(5)

        assert ("N1", ["N1"]) == (token, tokens)

    @virtual
    async def test_one_that_is_cancelled_ends_the_session(self, time: VirtualTime) -> None:
        """E83, P10."""

        async def hook(error: SessionEnded) -> TokenSet:
            raise asyncio.CancelledError

        built = ended(time, hook)
        events = subscribed(built.session.events)

        result = built.start()
        await asyncio.sleep(10)

        assert ([SessionEnded], 1) == ([type(error) for error in result.seen], len(endings(events)))

    @virtual
    async def test_saving_that_hangs_after_it_holds_up_nobody_beyond_its_time(self, time: VirtualTime) -> None:
        """P4, P10: the new tokens are good all the same."""
        storage = ScriptedStorage(A0, save=[asyncio.Event().wait])
        built = ended(time, Hook(NEW, delay=5), tokens=None, storage=storage, relogin_timeout=20)

        result = built.start()
        await asyncio.sleep(25)

        assert (good(), 21) == (result.seen, built.server.sends[-1].time)
        await built.session.aclose()


class TestClosing:
    @pytest.mark.parametrize(("answer", "kept"), [(NEW, NEW), (None, None), (ValueError("a bug"), None)], ids=repr)
    @virtual
    async def test_who_waits_is_turned_away_at_once_and_the_hook_is_seen_to_its_end(
        self, answer: Any, kept: TokenSet | None, time: VirtualTime
    ) -> None:
        """E57, E83: what the user has signed in to is saved for the next start."""
        storage = ScriptedStorage(A0)
        built = ended(time, Hook(answer, delay=5), tokens=None, storage=storage)
        complaints()
        waits = built.start_many(3)
        await asyncio.sleep(3)

        closing = asyncio.ensure_future(built.session.aclose())
        await asyncio.sleep(0)
        turned_away = [type(error).__name__ for error in errors_of(waits)]
        await closing

        assert (["ClientClosed"] * 3, 6) == (turned_away, time.monotonic())
        assert kept == storage.tokens

    @virtual
    async def test_closing_waits_for_a_hook_that_hangs_no_longer_than_its_time(self, time: VirtualTime) -> None:
        """E57."""
        built = ended(time, Hook(NEW, delay=1e6), relogin_timeout=20)
        complaints()
        built.start()
        await asyncio.sleep(3)

        await built.session.aclose()

        assert 21 == time.monotonic()


class TestFirstTokens:
    @virtual
    async def test_it_is_asked_where_the_first_tokens_are_refused_too(self, time: VirtualTime) -> None:
        """E76, E83."""
        built = ended(time, hook := Hook(NEW), tokens=None, obtain_first=True)

        result = built.start()
        await asyncio.sleep(10)

        assert (good(), [RefreshReason.MISSING], 1) == (result.seen, built.issuer.reasons, len(hook.calls))
