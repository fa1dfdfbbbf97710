"""Runs a session's refresh callback: tries, pauses between them, and what its failures mean."""

import asyncio
import json
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
import reactivex
from reactivex.testing import TestScheduler

from rxlink.auth.events import (
    Ended,
    RefreshFailed,
    RefreshReason,
    RefreshStarted,
    RefreshSucceeded,
    RefreshTryFailed,
)
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet, fingerprint
from rxlink.core.observables import from_future
from rxlink.errors import (
    AuthError,
    InvariantError,
    InvariantTypeError,
    RxlinkError,
    SessionEnded,
    TokenRefreshError,
    TokenRefreshTimeout,
)
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import Issuer, ScriptedStorage, fresh, names_of, never, statuses_of
from tests.recording import subscribed

A0 = TokenSet("A0", refresh_token="R0")


def session_of(refresh: Any, time: VirtualTime, **options: Any) -> AuthSession:
    options.setdefault("tokens", A0)
    return AuthSession(refresh=refresh, clock=time.clock, **options)


async def failure_of(session: AuthSession, *, force: bool = True) -> Exception:
    with pytest.raises(RxlinkError) as caught:
        await session.refresh(force=force)
    return caught.value


@pytest.fixture
def longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses without jitter."""
    monkeypatch.setattr(random, "uniform", lambda _, most: most)


class TestCallback:
    @pytest.mark.parametrize(
        "refresh",
        [
            lambda tokens, reason: TokenSet("A1"),
            lambda tokens, reason: "A1",
            lambda tokens, reason: asyncio.sleep(1, TokenSet("A1")),
            lambda tokens, reason: asyncio.sleep(1, "A1"),
            lambda tokens, reason: asyncio.get_running_loop().create_task(asyncio.sleep(1, "A1")),
            lambda tokens, reason: reactivex.of(TokenSet("A1")),
            lambda tokens, reason: reactivex.of("not yet", "A1"),
            lambda tokens, reason: from_future(lambda: asyncio.sleep(1, "A1")),
        ],
        ids=["tokens", "text", "coroutine", "of text", "task", "observable", "last value", "chain"],
    )
    @virtual
    async def test_it_may_return_tokens_or_text_or_an_awaitable_or_an_observable_of_them(
        self, refresh: Any, time: VirtualTime
    ) -> None:
        """S01, S02, E31."""
        tokens = await session_of(refresh, time).refresh(force=True)

        assert TokenSet("A1", refresh_token="R0") == tokens

    @virtual
    async def test_it_gets_the_tokens_in_use_and_the_reason(self, time: VirtualTime) -> None:
        """E32."""
        issuer = Issuer(life=100)
        session = session_of(issuer, time)

        await session.refresh(force=True)
        await asyncio.sleep(80)
        await session.refresh()
        await asyncio.sleep(95)
        await session.refresh()

        reasons = [RefreshReason.FORCED, RefreshReason.EXPIRING, RefreshReason.EXPIRED]
        assert reasons == issuer.reasons
        assert ["R0", "R1", "R2"] == [tokens and tokens.refresh_token for _, tokens, _ in issuer.calls]

    @virtual
    async def test_without_tokens_it_gets_none(self, time: VirtualTime) -> None:
        """S36: a cookie may hold the refresh token."""
        issuer = Issuer()

        tokens = await session_of(issuer, time, tokens=None).refresh(force=True)

        assert [None] == [tokens for _, tokens, _ in issuer.calls]
        assert TokenSet("A1", refresh_token="R1") == tokens

    @pytest.mark.parametrize(
        ("refresh", "kind"),
        [(None, "None"), ("a-token", "a str"), (5, "5"), (lambda: TokenSet("A1"), ".*lambda.*takes other arguments")],
    )
    def test_what_cannot_be_called_is_refused_at_once(self, refresh: Any, kind: str) -> None:
        with pytest.raises(InvariantTypeError, match=rf"`refresh` is {kind}.*; give a function of \(tokens, reason\)"):
            AuthSession(refresh=refresh)


class TestNothingUseful:
    @pytest.mark.parametrize(
        "refresh",
        [
            lambda tokens, reason: None,
            lambda tokens, reason: "",
            lambda tokens, reason: asyncio.sleep(1),
            lambda tokens, reason: asyncio.sleep(1, ""),
            lambda tokens, reason: reactivex.empty(),
            lambda tokens, reason: reactivex.of(None),
        ],
        ids=["None", "text", "awaitable", "awaitable of text", "empty observable", "observable of None"],
    )
    @virtual
    async def test_no_token_is_said_so_at_once_and_the_session_is_kept(self, refresh: Any, time: VirtualTime) -> None:
        """S21, S43, P10: a callback that forgets to return neither hangs nor sends `Bearer None`."""
        session = session_of(refresh, time)

        error = await failure_of(session)

        assert isinstance(error, TokenRefreshError)
        assert "the refresh callback returned no token; return a TokenSet, or raise SessionEnded" in str(error)
        assert (False, "A0") == (error.retryable, await session.get_token())
        assert time.monotonic() <= 1

    @pytest.mark.parametrize(
        ("returned", "said"),
        [
            ("Bearer planted", "`access_token` begins with the scheme 'Bearer'; give the bare token"),
            ("plan ted", "`access_token` holds white space"),
            (["planted"], "it is a list; return a TokenSet, or an access token as text"),
            ({"accessToken": "planted"}, "it is a dict; return a TokenSet"),
            (("planted", "planted"), "it is a tuple; return a TokenSet"),
            (True, "it is a bool; return a TokenSet"),
            (b"planted", "it is bytes; return a TokenSet"),
        ],
        ids=["scheme", "space", "list", "dict", "tuple", "bool", "bytes"],
    )
    @virtual
    async def test_what_is_no_token_is_named_and_the_cure_too(
        self, returned: Any, said: str, time: VirtualTime
    ) -> None:
        """S21, S24, P7: and never shown."""
        session = session_of(Issuer(script=[lambda: returned]), time)

        error = await failure_of(session)

        assert isinstance(error, TokenRefreshError)
        assert f"what the refresh callback returned cannot be used: {said}" in str(error)
        assert "planted" not in str(error)
        assert not error.retryable
        assert "A0" == await session.get_token()


class TestTransientFailures:
    @pytest.mark.usefixtures("longest")
    @virtual
    async def test_it_is_tried_again_after_pauses_while_those_who_wait_wait(self, time: VirtualTime) -> None:
        """S44, E19, E22, P9: 0.5 s, 1 s, 2 s, and it is one refresh."""
        issuer = Issuer(script=[OSError(), TimeoutError(), ConnectionError("refused")])
        session = session_of(issuer, time)
        events = subscribed(session.events)

        tokens = await asyncio.gather(*(session.refresh(force=True) for _ in range(5)))

        assert [0, 0.5, 1.5, 3.5] == [moment for moment, _, _ in issuer.calls]
        assert {"A1"} == {kept and kept.access_token for kept in tokens}
        tries = [(event.error_type, event.delay) for event in events.seen if isinstance(event, RefreshTryFailed)]
        assert [("OSError", 0.5), ("TimeoutError", 1), ("ConnectionError", 2)] == tries
        assert 1 == names_of(events.seen).count("RefreshStarted") == names_of(events.seen).count("RefreshSucceeded")

    @pytest.mark.parametrize(
        "error",
        [
            TimeoutError(),
            OSError("DNS"),
            aiohttp.ClientConnectionError("refused"),
            TokenRefreshError("503", retryable=True),
            json.JSONDecodeError("<html>", "", 0),
        ],
        ids=repr,
    )
    @virtual
    async def test_an_outage_ends_in_an_error_and_never_in_a_logout(self, error: Exception, time: VirtualTime) -> None:
        """S44, E19, E23, E24, E102, P9: tokens stay stored, no session-ended event, the cause is there."""
        storage = ScriptedStorage(A0)
        session = session_of(Issuer(script=[error] * 1000), time, tokens=None, storage=storage)
        events, states = subscribed(session.events), subscribed(session.states)

        failure = await failure_of(session)

        assert isinstance(failure, TokenRefreshError)
        assert (True, error) == (failure.retryable, failure.__cause__)
        assert (A0, "A0") == (storage.tokens, await session.get_token())
        assert not [event for event in events.seen if isinstance(event, Ended)]
        assert ["loading", "authenticated", "refreshing", "authenticated"] == statuses_of(states)
        assert time.monotonic() <= 30

    @virtual
    async def test_what_the_server_asks_for_wins(self, time: VirtualTime) -> None:
        """E22: `Retry-After`."""
        busy = TokenRefreshError("429", retryable=True, retry_after=7)
        issuer = Issuer(script=[busy, busy])

        await session_of(issuer, time).refresh(force=True)

        assert [0, 7, 14] == [moment for moment, _, _ in issuer.calls]

    @virtual
    async def test_a_pause_beyond_the_time_limit_fails_at_once_and_so_does_who_comes_during_it(
        self, time: VirtualTime
    ) -> None:
        """E22: those who arrive in the back-off fail fast, and no try is made before its end."""
        busy = TokenRefreshError("429", retryable=True, retry_after=100)
        issuer = Issuer(script=[busy])
        session = session_of(issuer, time, tokens=fresh(time, -1))
        first = await failure_of(session, force=False)
        at = time.monotonic()
        await asyncio.sleep(50)

        second = await failure_of(session, force=False)
        await asyncio.sleep(50)
        tokens = await session.refresh()

        assert (0, TokenSet) == (at, type(tokens))
        assert isinstance(first, TokenRefreshError)
        assert isinstance(second, TokenRefreshError)
        assert (100, 50) == (first.retry_after, second.retry_after)
        assert "(last because 429)" in str(first)
        assert "the pause of 100.0 s before the next try leaves no time for one within `refresh_timeout`, 30 s" in str(
            first
        )
        assert [busy, busy] == [first.__cause__, second.__cause__]
        assert [0, 100] == [moment for moment, _, _ in issuer.calls]

    @virtual
    async def test_a_forced_refresh_does_not_wait_for_the_pause(self, time: VirtualTime) -> None:
        """E82."""
        issuer = Issuer(script=[TokenRefreshError("429", retryable=True, retry_after=100)])
        session = session_of(issuer, time)
        await failure_of(session)

        tokens = await session.refresh(force=True)

        assert (0, "A1") == (time.monotonic(), tokens and tokens.access_token)

    @virtual
    async def test_a_callback_that_fails_at_once_does_not_stop_the_loop(self, time: VirtualTime) -> None:
        """E22: zero-delay hot loop; a plain function, and a server that asks for no pause."""
        tries = 0

        def refresh(tokens: TokenSet | None, reason: RefreshReason) -> TokenSet:
            nonlocal tries
            tries += 1
            raise TokenRefreshError("503", retryable=True, retry_after=0)

        error = await failure_of(session_of(refresh, time))

        assert isinstance(error, TokenRefreshError)
        assert 4 <= tries < 60
        assert time.monotonic() <= 30

    @pytest.mark.usefixtures("longest")
    @virtual
    async def test_a_success_forgets_the_failures(self, time: VirtualTime) -> None:
        issuer = Issuer(script=[OSError(), OSError(), OSError(), None, OSError(), None])
        session = session_of(issuer, time)

        await session.refresh(force=True)
        await session.refresh(force=True)

        assert [0, 0.5, 1.5, 3.5, 3.5, 4.0] == [moment for moment, _, _ in issuer.calls]

    @virtual
    async def test_another_login_forgets_the_failures(self, time: VirtualTime) -> None:
        issuer = Issuer(script=[TokenRefreshError("429", retryable=True, retry_after=100)])
        session = session_of(issuer, time)
        await failure_of(session)

        await session.set_tokens(TokenSet("B0", expires_in=1))
        await asyncio.sleep(2)
        token = await session.get_token()

        assert ("A1", 2) == (token, time.monotonic())

    @virtual
    async def test_all_pauses_are_in_the_time_of_the_sessions_scheduler(self, time: VirtualTime) -> None:
        """E53."""
        scheduler = TestScheduler()
        issuer = Issuer(script=[TokenRefreshError("429", retryable=True, retry_after=7)])
        session = session_of(issuer, time, scheduler=scheduler)
        refresh = asyncio.get_running_loop().create_task(session.refresh(force=True))
        await asyncio.sleep(1000)
        before = len(issuer.calls)

        scheduler.advance_to(8)
        await refresh

        assert (1, 2) == (before, len(issuer.calls))


class TestFinalFailures:
    @pytest.mark.parametrize("make", [SessionEnded, lambda: SessionEnded("invalid_grant")])
    @virtual
    async def test_a_dead_refresh_token_ends_the_session_once(
        self, make: Callable[[], SessionEnded], time: VirtualTime
    ) -> None:
        """S06, E20, E84, P9: tokens cleared, one event, and everyone gets SessionEnded with the cause."""
        dead = make()
        storage = ScriptedStorage(A0)
        issuer = Issuer(script=[dead], delay=1)
        session = session_of(issuer, time, tokens=None, storage=storage)
        events, states = subscribed(session.events), subscribed(session.states)

        errors = await asyncio.gather(*(session.refresh(force=True) for _ in range(50)), return_exceptions=True)
        await asyncio.sleep(1)

        assert {SessionEnded} == {type(error) for error in errors}
        assert {dead.reason} == {error.reason for error in errors if isinstance(error, SessionEnded)}
        assert 50 == len({id(error) for error in errors})
        assert ["RefreshStarted", "RefreshFailed", "Ended"] == names_of(events.seen)
        assert ["loading", "authenticated", "refreshing", "unauthenticated"] == statuses_of(states)
        assert dead.reason == states.seen[-1].reason
        assert (None, None) == (storage.tokens, await session.get_token())

    @virtual
    async def test_a_session_that_has_ended_refreshes_no_more_until_somebody_signs_in(self, time: VirtualTime) -> None:
        """E21: 100 more calls, and no storm."""
        issuer = Issuer(script=[SessionEnded()])
        session = session_of(issuer, time, tokens=fresh(time, -1))
        await failure_of(session, force=False)

        tokens = [await session.get_token() for _ in range(100)]
        tried = len(issuer.calls)
        await session.set_tokens(TokenSet("B0", refresh_token="S0"))

        assert ({None}, 1) == (set(tokens), tried)
        assert "B0" == await session.get_token()

    @pytest.mark.parametrize(
        "error",
        [KeyError("access_token"), TypeError(), AssertionError(), TokenRefreshError("no client", retryable=False)],
        ids=repr,
    )
    @virtual
    async def test_what_would_fail_again_is_tried_once_and_keeps_the_session(
        self, error: Exception, time: VirtualTime
    ) -> None:
        """S23, E24, P9, P10: a bug, or `invalid_client`, is no logout."""
        issuer = Issuer(script=[error])
        session = session_of(issuer, time)

        failure = await failure_of(session)
        again = await session.refresh(force=True)

        assert isinstance(failure, TokenRefreshError)
        assert (False, error) == (failure.retryable, failure.__cause__)
        assert (2, 0) == (len(issuer.calls), time.monotonic())
        assert TokenSet("A1", refresh_token="R1") == again

    @pytest.mark.usefixtures("longest")
    @virtual
    async def test_a_bug_is_not_run_once_per_operation(self, time: VirtualTime) -> None:
        """E22: failures that are not tried again have their pause before the next refresh."""
        issuer = Issuer(script=[KeyError("access_token")] * 3)
        session = session_of(issuer, time, tokens=fresh(time, -1))

        for _ in range(3):
            await failure_of(session, force=False)

        assert [0, 0.5, 1.5] == [moment for moment, _, _ in issuer.calls]

    @virtual
    async def test_the_text_of_a_foreign_exception_is_not_repeated(self, time: VirtualTime) -> None:
        """P7: an issuer's error may quote what was sent to it; the exception itself is the cause."""
        session = session_of(Issuer(script=[ValueError("bad refresh token planted")]), time)

        error = await failure_of(session)

        assert "the token refresh failed with ValueError" == str(error)
        assert "planted" not in repr(error)


class TestTimeLimit:
    @virtual
    async def test_a_callback_that_hangs_ends_in_a_timeout_and_the_next_may_try(self, time: VirtualTime) -> None:
        """E23, E102, P10."""
        steps: list[Any] = [never(), asyncio.sleep(0, "A1")]
        session = session_of(lambda tokens, reason: steps.pop(0), time, refresh_timeout=timedelta(seconds=2))

        error = await failure_of(session)
        at = time.monotonic()
        tokens = await session.refresh()
        forced = await session.refresh(force=True)

        assert isinstance(error, TokenRefreshTimeout)
        assert isinstance(error, TimeoutError)
        assert (2, 2, True) == (error.seconds, at, error.retryable)
        assert "the token refresh did not end within 2 s" == str(error)
        assert ("A0", "A1") == (tokens and tokens.access_token, forced and forced.access_token)

    @virtual
    async def test_a_timeout_after_failures_has_the_last_of_them_as_its_cause(self, time: VirtualTime) -> None:
        """E24."""
        outage = OSError("down")
        steps: list[Any] = [outage]

        async def refresh(tokens: TokenSet | None, reason: RefreshReason) -> str:
            if steps:
                raise steps.pop()
            return await never()

        error = await failure_of(session_of(refresh, time))

        assert isinstance(error, TokenRefreshTimeout)
        assert outage is error.__cause__

    @virtual
    async def test_an_observable_that_never_ends_is_left_at_the_limit(self, time: VirtualTime) -> None:
        """E52: its subscription is disposed."""
        left: list[str] = []
        endless = reactivex.never().pipe(reactivex.operators.finally_action(lambda: left.append("left")))

        error = await failure_of(session_of(lambda tokens, reason: endless, time))
        await asyncio.sleep(0)

        assert isinstance(error, TokenRefreshTimeout)
        assert ["left"] == left


class TestReentry:
    @pytest.mark.parametrize(
        "call",
        [
            lambda session: session.get_token(),
            lambda session: session.refresh(),
            lambda session: session.refresh(force=True),
            lambda session: session.set_tokens(TokenSet("B0")),
            lambda session: session.clear(),
            lambda session: session.aclose(),
        ],
        ids=["get_token", "refresh", "force", "set_tokens", "clear", "aclose"],
    )
    @virtual
    async def test_a_refresh_that_calls_its_own_session_is_told_so_and_does_not_wait_for_itself(
        self, call: Callable[[AuthSession], Any], time: VirtualTime
    ) -> None:
        """S38, E29, P10: at once, the session is kept, and it works again."""
        inside: list[Exception] = []

        async def refresh(tokens: TokenSet | None, reason: RefreshReason) -> str:
            if inside:
                return "A1"
            try:
                await call(session)
            except InvariantError as error:
                inside.append(error)
                raise
            return "A2"

        session = session_of(refresh, time)
        failure = await failure_of(session)
        kept = await session.get_token()
        again = await session.refresh(force=True)

        assert isinstance(failure, TokenRefreshError)
        assert inside == [failure.__cause__]
        assert "was called from inside the session's own refresh, which would wait for itself" in str(inside[0])
        assert (0, "A0", "A1") == (time.monotonic(), kept, again and again.access_token)


class TestEvents:
    @virtual
    async def test_a_refresh_tells_its_reason_its_duration_and_how_many_waited(self, time: VirtualTime) -> None:
        """E78; the counts are those of the wave."""
        session = session_of(Issuer(delay=2, script=[None, KeyError()], life=100), time)
        events = subscribed(session.events)

        await asyncio.gather(*(session.refresh(force=True) for _ in range(3)))
        await asyncio.sleep(97)
        await asyncio.gather(*(session.get_token() for _ in range(4)), return_exceptions=True)

        expected = [
            RefreshStarted(1, RefreshReason.FORCED, None, fingerprint("A0")),
            RefreshSucceeded(1, RefreshReason.FORCED, 2.0, 3, fingerprint("A1")),
            RefreshStarted(2, RefreshReason.EXPIRED, None, fingerprint("A1")),
            RefreshFailed(2, RefreshReason.EXPIRED, 2.0, 4, "KeyError"),
        ]
        assert expected == [event for event in events.seen if type(event).__name__ != "TokensSaved"]

    @virtual
    async def test_a_listener_that_raises_changes_nothing(self, time: VirtualTime) -> None:
        """E51, P10."""
        complaints: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))

        def fail(_: object) -> None:
            raise LookupError("mine")

        session = session_of(Issuer(script=[None, KeyError()]), time)
        session.events.subscribe(fail)
        session.states.pipe(reactivex.operators.skip(1)).subscribe(fail)
        other = subscribed(session.events)

        tokens = await session.refresh(force=True)
        error = await failure_of(session)

        assert ("A1", TokenRefreshError) == (tokens and tokens.access_token, type(error))
        assert ["RefreshStarted", "RefreshSucceeded", "TokensSaved", "RefreshStarted", "RefreshFailed"] == names_of(
            other.seen
        )
        assert 5 + 4 == len(complaints)

    @virtual
    async def test_a_listener_may_refresh_again_in_the_midst_of_a_failure(self, time: VirtualTime) -> None:
        """S13: neither lost, nor told in the wrong order, nor left in a wrong state."""
        issuer = Issuer(script=[KeyError()])
        session = session_of(issuer, time)
        events, states = subscribed(session.events), subscribed(session.states)
        tasks: list[asyncio.Task[Any]] = []

        def again(event: object) -> None:
            if isinstance(event, RefreshFailed):
                tasks.append(asyncio.get_running_loop().create_task(session.refresh(force=True)))

        session.events.subscribe(again)
        await failure_of(session)
        tokens = await tasks[0]

        assert TokenSet("A1", refresh_token="R1") == tokens
        assert [
            "RefreshStarted", "RefreshFailed", "RefreshStarted", "RefreshSucceeded", "TokensSaved",
        ] == names_of(events.seen)  # fmt: skip
        assert ["authenticated", "refreshing"] * 2 + ["authenticated"] == statuses_of(states)


@virtual
async def test_each_of_those_who_wait_gets_an_error_of_its_own(time: VirtualTime) -> None:
    """E24, E96: one exception object would collect the tracebacks of all."""
    outage = KeyError()
    session = session_of(Issuer(script=[outage]), time)

    errors = await asyncio.gather(*(session.refresh(force=True) for _ in range(20)), return_exceptions=True)

    assert 20 == len({id(error) for error in errors})
    assert {outage} == {error.__cause__ for error in errors if isinstance(error, AuthError)}
    depths = {len(list(_frames(error))) for error in errors if isinstance(error, AuthError)}
    assert max(depths) < 20


def _frames(error: BaseException) -> Any:
    trace = error.__traceback__
    while trace is not None:
        yield trace
        trace = trace.tb_next
