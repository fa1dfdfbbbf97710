"""Send every operation with a fresh token, and once more after a refresh if the token was refused."""

import asyncio
import gc
import itertools
import random
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
import reactivex
from hypothesis import given
from hypothesis import strategies as st
from reactivex import Observable, Subject
from reactivex import operators as ops

from rxlink.auth.attempts import FirstAttempt
from rxlink.auth.events import OperationQueued, OperationReleased, OperationRetried, RefreshReason, RefreshStarted
from rxlink.auth.link import AuthLink
from rxlink.auth.pending import SLICE
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute, from_, split
from rxlink.core.link import ApolloLink
from rxlink.core.observables import from_future
from rxlink.core.operation import Operation
from rxlink.core.subscription import ResultObserver, Subscription
from rxlink.errors import (
    AuthError,
    ClientClosed,
    InvariantError,
    InvariantTypeError,
    NetworkError,
    RxlinkError,
    ServerError,
    SessionEnded,
    TokenRefreshError,
    TokenRefreshTimeout,
    TokenStorageError,
)
from rxlink.links.context import set_context
from rxlink.links.error import on_error
from rxlink.links.retry import RetryLink
from rxlink.testing.mock_link import MockedResponse, MockLink
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import (
    REFUSED,
    REQUEST_ID,
    UNAUTHENTICATED,
    Bench,
    Issuer,
    ScriptedServer,
    ScriptedStorage,
    bench,
    fresh,
    good,
    names_of,
    never,
    request,
    status_401,
)
from tests.recording import END, Recorder, Worker, subscribed

B0 = TokenSet("B0", refresh_token="S0")
CODED = {"message": "no", "extensions": {"code": "UNAUTHENTICATED"}}


def kinds(recorder: Recorder) -> list[Any]:
    return [type(value) if isinstance(value, Exception) else value for value in recorder.seen]


def error_of(recorder: Recorder) -> AuthError:
    (error,) = recorder.seen
    assert isinstance(error, AuthError)
    return error


def raising_refusals(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
    """Answer, or raise what is then delivered, whose traceback leads here, and to the observer."""
    try:
        if operation.get_context()["headers"]["authorization"] != "Bearer A1":
            raise status_401()
    except ServerError as error:
        observer.on_error(error)
    else:
        observer.on_next({"data": {"echo": operation.operation_name}})
        observer.on_completed()


class Partings:
    """In the slot: has a last word when it is cancelled."""

    def __init__(self, observer: ResultObserver) -> None:
        self._observer = observer

    def cancel(self) -> None:
        self._observer.on_next({"data": {"echo": "late"}})


def attempts_alive() -> int:
    """Count them, those included that only the cycle collector would find."""
    return sum(type(each) is FirstAttempt for each in gc.get_objects())


class TestOptions:
    def test_it_needs_a_session(self) -> None:
        session: Any = {"token": "A0"}

        with pytest.raises(InvariantTypeError, match="AuthLink got a dict; give it an AuthSession"):
            AuthLink(session)

    @pytest.mark.parametrize(
        "header", ["", " ", "two words", "colon:", "line\nbreak", "ümlaut", "x(y)", None, 5, b"authorization"]
    )
    def test_what_is_no_name_of_a_header_is_refused(self, header: Any) -> None:
        with pytest.raises(InvariantError, match="give the name of an HTTP header"):
            AuthLink(AuthSession(refresh=Issuer()), header=header)

    @pytest.mark.parametrize("scheme", [" ", "Bearer ", "Token token=", "a\r\nb", "ü", None, 5])
    def test_what_is_no_scheme_is_refused(self, scheme: Any) -> None:
        with pytest.raises(InvariantError, match="give one word such as 'Bearer'"):
            AuthLink(AuthSession(refresh=Issuer()), scheme=scheme)

    def test_a_predicate_is_a_plain_function(self) -> None:
        async def always(_: object) -> bool:
            return True

        kinds = ["a str", "401", ".*lambda.*arguments", ".* function .*"]
        for predicate, kind in zip(["401", 401, lambda: True, always], kinds, strict=True):
            wrong: Any = predicate
            with pytest.raises(InvariantTypeError, match=f"`is_auth_error` is {kind}; give a (function|plain)"):
                AuthLink(AuthSession(refresh=Issuer()), is_auth_error=wrong)

    def test_twice_for_one_session_it_is_refused_when_the_chain_is_built(self) -> None:
        """E12, P3: each would retry what the other has retried."""
        session, other = AuthSession(refresh=Issuer()), AuthSession(refresh=Issuer())
        behind = from_([RetryLink(), AuthLink(session), ScriptedServer()])

        with pytest.raises(InvariantError, match="two AuthLinks of one chain share a session"):
            from_([AuthLink(session), behind])
        with pytest.raises(InvariantError, match="two AuthLinks of one chain share a session"):
            from_([AuthLink(session), split(lambda operation: True, behind, ScriptedServer())])
        from_([AuthLink(other, header="x-other"), behind])
        from_([RetryLink(), split(lambda operation: True, AuthLink(session), AuthLink(session)), ScriptedServer()])

    def test_behind_the_transport_it_is_refused_when_the_chain_is_built(self) -> None:
        """E12, S04: a header that is set too late."""
        with pytest.raises(InvariantError, match=r"<AuthLink> stands behind .*put the transport last"):
            from_([ScriptedServer(), AuthLink(AuthSession(refresh=Issuer()))])

    def test_it_prints_no_secret(self) -> None:
        session = AuthSession(refresh=Issuer(), tokens=TokenSet("planted"))

        assert "<AuthLink>" == repr(AuthLink(session))


class TestHeader:
    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({}, {"authorization": "Bearer A0"}),
            ({"scheme": "JWT"}, {"authorization": "JWT A0"}),
            ({"scheme": ""}, {"authorization": "A0"}),
            ({"header": "X-Token", "scheme": ""}, {"X-Token": "A0"}),
        ],
        ids=str,
    )
    @virtual
    async def test_scheme_and_name_are_as_told(
        self, options: dict[str, str], expected: dict[str, str], time: VirtualTime
    ) -> None:
        """S45."""
        built = bench(time=time, link=options)

        built.start()

        assert expected == built.server.sends[0].headers

    @virtual
    async def test_other_headers_stay_on_the_first_send_and_on_the_retry(self, time: VirtualTime) -> None:
        """S03, S46."""
        own = {"x-request": "7", "accept-language": "de"}
        built = bench(time=time, valid=["A1"])

        result = built.start(headers=own)
        await asyncio.sleep(1)

        assert good() == result.seen
        sends = [{**own, "authorization": f"Bearer {token}"} for token in ("A0", "A1")]
        assert sends == [send.headers for send in built.server.sends]

    @virtual
    async def test_what_stood_under_its_name_is_replaced_in_whatever_case(self, time: VirtualTime) -> None:
        """S24: once."""
        built = bench(time=time, valid=["A0"])

        built.start(headers={"authorization": "old", "Authorization": "older", "x": "y"})

        assert {"x": "y", "authorization": "Bearer A0"} == built.server.sends[0].headers

    @virtual
    async def test_nobodys_operations_go_out_as_they_are(self, time: VirtualTime) -> None:
        """E85, S28: no header of ours, the caller's own stays, no refresh, and the error is theirs."""
        built = bench(None, time=time)

        results = [built.start(), built.start(headers={"authorization": "Basic x"})]
        await asyncio.sleep(1)

        assert [[UNAUTHENTICATED, END]] * 2 == [result.seen for result in results]
        assert [{}, {"authorization": "Basic x"}] == [send.headers for send in built.server.sends]
        assert [] == built.issuer.calls

    @virtual
    async def test_an_operation_that_is_sent_again_under_another_login_is_not_sent(self, time: VirtualTime) -> None:
        """E96, P8: a link above that subscribes again, such as a retry link, or the application."""
        built = bench(time=time, valid=["A0"])
        observable = built.run(headers={"x": "y"})
        first = subscribed(observable)
        await asyncio.sleep(1)

        await built.session.clear()
        second = subscribed(observable)
        await built.session.set_tokens(B0)
        third = subscribed(observable)
        await asyncio.sleep(1)

        assert good() == first.seen
        assert ["signed out", "another login"] == [recorder.seen[0].reason for recorder in (second, third)]
        assert [{"x": "y", "authorization": "Bearer A0"}] == [send.headers for send in built.server.sends]

    @virtual
    async def test_an_operation_that_waited_is_not_sent_again_for_the_next_user(self, time: VirtualTime) -> None:
        """P8: its error came to a link above, which sends it again."""
        built = bench(time=time, valid=["B0"], issuer=Issuer(delay=20))
        built.link = from_([on_error(lambda response: response.forward(response.operation)), built.link])
        waiting = subscribed(built.run())
        await asyncio.sleep(1)

        await built.session.set_tokens(B0)
        await asyncio.sleep(1)

        assert ["another login"] == [getattr(error, "reason", error) for error in waiting.seen]
        assert ["Bearer A0"] == [send.headers["authorization"] for send in built.server.sends]

    @pytest.mark.parametrize("headers", [[("a", "b")], "a: b", 5])
    @pytest.mark.parametrize("waits", ["not", "first", "retry"])
    @virtual
    async def test_headers_of_a_wrong_kind_are_an_error_of_the_operation_and_of_no_other(
        self, headers: Any, waits: str, time: VirtualTime
    ) -> None:
        """P2: also where the operation has waited, and nobody is there to raise to."""
        spoil = set_context(lambda _, context: {"headers": headers})
        built = bench(
            time=time, valid=["A0"] if waits != "retry" else [], tokens=None, storage=ScriptedStorage(REFUSED)
        )
        if waits == "not":
            await built.session.get_token()
        built.link = from_([AuthLink(built.session), spoil, built.server])
        if waits != "retry":
            built.link = from_([spoil, built.link])
        wrong = built.start()
        built.link = from_([AuthLink(built.session), built.server])
        other = built.start("Other")
        await asyncio.sleep(1)

        assert (1, good("Other")) == (len(wrong.seen), other.seen)
        assert isinstance(wrong.seen[0], Exception)


class TestOneRefreshForAll:
    @pytest.mark.parametrize(
        ("delay", "refused"), [(0.0, 50), (1.0, 50), (None, 1)], ids=["next turn", "a second", "synchronous"]
    )
    @virtual
    async def test_fifty_that_fail_at_once_are_one_refresh_and_each_gets_its_own_result(
        self, delay: float | None, refused: int, time: VirtualTime
    ) -> None:
        """S01, S07, S08, S14, S15, S29, S30, S40, S42, E38, P1, P3: every one retried once, the leader too."""
        built = bench(time=time, issuer=Issuer(delay=0.2), delay=delay)

        results = built.start_many(50)
        await asyncio.sleep(5)

        assert [good(f"Q{number}") for number in range(50)] == [result.seen for result in results]
        assert [RefreshReason.REJECTED] == built.issuer.reasons
        assert ["Bearer A0"] * refused + ["Bearer A1"] * 50 == built.server.tokens
        assert {f"Q{number}": 2 if number < refused else 1 for number in range(50)} == built.server.per_operation

    @virtual
    async def test_what_starts_during_the_refresh_waits_and_is_sent_once(self, time: VirtualTime) -> None:
        """E10, S23, P5: never with the token that is known to be bad."""
        built = bench(time=time, issuer=Issuer(delay=5))
        built.start("First")
        await asyncio.sleep(1)

        late = built.start("Late")
        await asyncio.sleep(5)

        assert good("Late") == late.seen
        assert ["Bearer A1"] == [send.token for send in built.server.sends if send.name == "Late"]

    @virtual
    async def test_a_late_refusal_of_the_old_token_starts_no_second_refresh(self, time: VirtualTime) -> None:
        """E09, P5: X answers after A1 is stored; a second refresh would kill the session under rotation."""
        built = bench(time=time)
        built.server.delay = 10
        slow = built.start("Slow")
        built.server.delay = 0
        fast = built.start("Fast")
        await asyncio.sleep(11)

        assert (good("Slow"), good("Fast")) == (slow.seen, fast.seen)
        assert 1 == len(built.issuer.calls)
        assert ["Bearer A0", "Bearer A1"] == [send.token for send in built.server.sends if send.name == "Slow"]

    @virtual
    async def test_a_very_late_refusal_is_retried_with_the_newest_token(self, time: VirtualTime) -> None:
        """E09: three generations later."""
        built = bench(time=time)
        built.server.delay = 10
        slow = built.start("Slow")
        built.server.delay = 0
        for _ in range(3):
            await built.session.refresh(force=True)

        await asyncio.sleep(11)

        assert (good("Slow"), 3) == (slow.seen, len(built.issuer.calls))
        assert "Bearer A3" == built.server.tokens[-1]

    @virtual
    async def test_a_late_refusal_waits_where_the_newer_token_has_ended_meanwhile(self, time: VirtualTime) -> None:
        """E11, P3, P5: the only retry is not wasted on a token that is past its end."""
        built = bench(time=time, issuer=Issuer(life=20))
        built.server.delay = 100
        slow = built.start("Slow")
        built.server.delay = 0
        await built.session.refresh(force=True)

        await asyncio.sleep(101)

        assert (good("Slow"), ["forced", "expired"]) == (slow.seen, built.issuer.reasons)
        assert ["Bearer A0", "Bearer A2"] == built.server.tokens

    @virtual
    async def test_a_token_that_ended_in_the_storage_is_refreshed_before_the_first_send(
        self, time: VirtualTime
    ) -> None:
        """S41, E10, E13, E33: the wait for the storage is no wait for a refresh."""
        built = bench(None, time=time, storage=ScriptedStorage(fresh(time, -60), delay=1))

        results = built.start_many(5)
        await asyncio.sleep(5)

        assert [good(f"Q{number}") for number in range(5)] == [result.seen for result in results]
        assert (["Bearer A1"] * 5, ["expired"]) == (built.server.tokens, built.issuer.reasons)

    @virtual
    async def test_links_that_share_a_session_share_the_refresh(self, time: VirtualTime) -> None:
        """E15: a link per request, even."""
        built = bench(time=time, issuer=Issuer(delay=1))
        links = [from_([AuthLink(built.session), built.server]) for _ in range(5)]

        results = [subscribed(execute(link, request())) for link in links]
        await asyncio.sleep(5)

        assert [good()] * 5 == [result.seen for result in results]
        assert 1 == len(built.issuer.calls)

    @virtual
    async def test_a_long_request_holds_up_nobody(self, time: VirtualTime) -> None:
        """E16: an open stream, and others go on."""
        built = bench(time=time, valid=["A0"])
        built.server.delay = 3600
        stream = built.start("Stream")
        built.server.delay = 0

        other = built.start("Other")
        await asyncio.sleep(1)

        assert (good("Other"), []) == (other.seen, stream.seen)
        stream.subscription.dispose()

    @virtual
    async def test_it_works_again_and_again(self, time: VirtualTime) -> None:
        """S16, E47: a minute of one operation per second, tokens of 5 s that the server ends early."""
        built = bench(time=time)
        results: list[Recorder] = []
        for second in range(60):
            if second % 5 == 0:
                built.server.accept_only()
            results.append(built.start(f"Q{second}"))
            await asyncio.sleep(1)

        assert [good(f"Q{second}") for second in range(60)] == [result.seen for result in results]
        assert [RefreshReason.REJECTED] * 12 == built.issuer.reasons

    @virtual
    async def test_an_operation_that_fails_inside_the_release_terminates(self, time: VirtualTime) -> None:
        """S13: a synchronous transport, a subscriber that sends the next operation from its callback."""
        built = bench(time=time, delay=None)
        chained: list[Recorder] = []

        def again(_: object) -> None:
            built.server.accept_only()  # the new token dies at once
            chained.append(built.start("Chained"))

        built.run().subscribe(again)
        await asyncio.sleep(5)

        assert [good("Chained")] == [result.seen for result in chained]
        assert 2 == len(built.issuer.calls)

    @virtual
    async def test_the_same_chain_answers_a_token_refused_for_real(self, time: VirtualTime) -> None:
        """E26: 50 minutes left by the clock, but the server revoked it."""
        built = bench(fresh(time, 3000, life=3600), time=time)

        result = built.start()
        await asyncio.sleep(1)

        assert (good(), [RefreshReason.REJECTED]) == (result.seen, built.issuer.reasons)


class TestAheadOfExpiry:
    @virtual
    async def test_an_ended_token_is_refreshed_first_and_each_operation_sent_once(self, time: VirtualTime) -> None:
        """S41, S42, S50, E13: one shared refresh for the proactive path too."""
        built = bench(fresh(time, 5, life=3600), time=time, valid=["A1"], issuer=Issuer(delay=1))

        results = built.start_many(50)
        await asyncio.sleep(3)

        assert [good(f"Q{number}") for number in range(50)] == [result.seen for result in results]
        assert ({"Bearer A1"}, 50, [RefreshReason.EXPIRED]) == (
            set(built.server.tokens), len(built.server.sends), built.issuer.reasons,
        )  # fmt: skip

    @virtual
    async def test_a_nearly_ended_token_is_used_while_it_is_refreshed(self, time: VirtualTime) -> None:
        """S47, E63, E64, P5."""
        built = bench(fresh(time, 30, life=3600), time=time, valid=["A0"], issuer=Issuer(delay=1))

        results = built.start_many(50)
        await asyncio.sleep(0.5)
        early = [result.seen for result in results]
        await asyncio.sleep(1)

        assert [good(f"Q{number}") for number in range(50)] == early
        assert ({"Bearer A0"}, 1) == (set(built.server.tokens), len(built.issuer.calls))

    @pytest.mark.parametrize("error", [KeyError(), OSError(), TokenRefreshError("500", retryable=True)], ids=repr)
    @virtual
    async def test_a_background_refresh_that_fails_concerns_no_operation(
        self, error: Exception, time: VirtualTime
    ) -> None:
        """S48, E27."""
        built = bench(fresh(time, 30, life=3600), time=time, valid=["A0"], issuer=Issuer(script=[error] * 100))

        results = built.start_many(5)
        await asyncio.sleep(31)

        assert [good(f"Q{number}") for number in range(5)] == [result.seen for result in results]

    @virtual
    async def test_who_is_refused_during_a_background_refresh_joins_it(self, time: VirtualTime) -> None:
        """E81, P1: the refresh that was started before the refusal brings a newer token."""
        built = bench(fresh(time, 30, life=3600), time=time, issuer=Issuer(delay=5))

        results = built.start_many(5)
        await asyncio.sleep(10)

        assert [good(f"Q{number}") for number in range(5)] == [result.seen for result in results]
        assert [RefreshReason.EXPIRING] == built.issuer.reasons

    @pytest.mark.parametrize("nothing", [None, ""])
    @virtual
    async def test_nothing_that_is_no_token_is_ever_sent(self, nothing: Any, time: VirtualTime) -> None:
        """S21, S43: `JWT Error: ...`, `Bearer None`."""
        built = bench(fresh(time, -1), time=time, issuer=Issuer(script=[lambda: nothing]))

        result = built.start()
        await asyncio.sleep(1)

        assert ([TokenRefreshError], []) == (kinds(result), built.server.sends)

    @virtual
    async def test_the_queue_can_be_watched(self, time: VirtualTime) -> None:
        """E78."""
        built = bench(time=time)
        events = subscribed(built.session.events)

        built.start("Named")
        await asyncio.sleep(1)

        assert [
            "RefreshStarted", "OperationQueued", "RefreshSucceeded", "TokensSaved", "OperationRetried",
        ] == names_of(events.seen)  # fmt: skip
        assert OperationQueued(1, "Named") == events.seen[1]
        assert OperationRetried(2, "Named") == events.seen[-1]

    @virtual
    async def test_who_waits_before_the_first_send_is_told_as_well(self, time: VirtualTime) -> None:
        """E78."""
        built = bench(fresh(time, -1), time=time)
        events = subscribed(built.session.events)

        built.start("Named")
        await asyncio.sleep(1)

        assert [
            "RefreshStarted", "OperationQueued", "RefreshSucceeded", "TokensSaved", "OperationReleased",
        ] == names_of(events.seen)  # fmt: skip
        assert OperationReleased(2, "Named") == events.seen[-1]

    @virtual
    async def test_who_waits_for_the_tokens_to_be_loaded_and_then_for_a_refresh_is_released_once(
        self, time: VirtualTime
    ) -> None:
        built = bench(None, storage=ScriptedStorage(fresh(time, -1)), time=time)
        events = subscribed(built.session.events)

        built.start("Named")
        await asyncio.sleep(1)

        assert [
            "OperationQueued", "RefreshStarted", "OperationQueued", "RefreshSucceeded", "TokensSaved",
            "OperationReleased",
        ] == names_of(events.seen)  # fmt: skip

    @virtual
    async def test_a_token_that_ends_before_it_is_saved_is_used_all_the_same(self, time: VirtualTime) -> None:
        """E25, P2: a life of 1 s, a save of 5 s; waiting for the next one would never end."""
        storage = ScriptedStorage(fresh(time, -1))
        built = bench(None, time=time, storage=storage, issuer=Issuer(life=1))
        await storage.load()
        storage.delay = 5

        result, token = built.start(), asyncio.get_running_loop().create_task(built.session.get_token())
        await asyncio.sleep(30)

        assert (good(), "A1", 1) == (result.seen, await token, len(built.issuer.calls))


class TestStorage:
    @virtual
    async def test_nothing_is_retried_before_the_tokens_are_saved(self, time: VirtualTime) -> None:
        """S05, S20, S27, E70, P4: asserted on the event log and on the wire."""
        storage = ScriptedStorage(REFUSED, delay=0.05)
        built = bench(None, time=time, storage=storage)
        events = subscribed(built.session.events)

        results = built.start_many(5)
        await asyncio.sleep(1)

        assert [good(f"Q{number}") for number in range(5)] == [result.seen for result in results]
        names = names_of(events.seen)
        assert names.index("RefreshSucceeded") < names.index("TokensSaved") < names.index("OperationRetried")
        assert {0.1} == {round(send.time, 9) for send in built.server.sends if send.token == "Bearer A1"}

    @virtual
    async def test_who_waited_for_the_tokens_to_be_loaded_stays_with_their_login(self, time: VirtualTime) -> None:
        """P8: another one comes while those who waited go on, slice by slice."""
        storage = ScriptedStorage(fresh(time, 100.0), delay=1.0)
        built = bench(None, time=time, storage=storage, valid=["A0", "B0"], delay=None)
        tasks: list[asyncio.Task[None]] = []

        def sign_in(_: object) -> None:
            tasks.append(asyncio.create_task(built.session.set_tokens(B0)))

        first = subscribed(built.run("First").do_action(sign_in))
        others = built.start_many(2 * SLICE)
        await asyncio.sleep(2)
        await asyncio.gather(*tasks)

        assert good("First") == first.seen
        assert [[SessionEnded]] == [kinds(other) for other in others[-1:]]
        assert {"Bearer A0"} == set(built.server.tokens)

    @virtual
    async def test_who_is_refused_during_the_save_waits_for_its_end(self, time: VirtualTime) -> None:
        """P4: a late refusal of A0, after A1 arrived and before it is saved."""
        built = bench(None, time=time, storage=ScriptedStorage(REFUSED, save=[lambda: asyncio.sleep(10)]))
        await built.session.get_token()
        built.server.delay = 3
        late = built.start("Late")
        built.server.delay = 0
        refresh = asyncio.get_running_loop().create_task(built.session.refresh(force=True))
        await asyncio.sleep(9)
        before = [*late.seen]
        new = built.start("New")
        await asyncio.sleep(0.5)
        during = [*new.seen]

        await asyncio.sleep(2)
        await refresh

        assert ([], good("New"), good("Late")) == (before, during, late.seen)
        assert 1 == len(built.issuer.calls)

    @pytest.mark.parametrize("step", [OSError("disk full"), never], ids=["fails", "hangs"])
    @virtual
    async def test_a_save_that_fails_or_hangs_fails_no_operation(self, step: Any, time: VirtualTime) -> None:
        """P4, P10."""
        built = bench(None, time=time, storage=ScriptedStorage(REFUSED, save=[step]))

        results = built.start_many(5)
        await asyncio.sleep(31)

        assert [good(f"Q{number}") for number in range(5)] == [result.seen for result in results]

    @virtual
    async def test_operations_wait_for_the_storage(self, time: VirtualTime) -> None:
        """E33: and no refresh is made."""
        built = bench(None, time=time, valid=["A0"], storage=ScriptedStorage(REFUSED, delay=0.3))

        results = built.start_many(5)
        await asyncio.sleep(1)

        assert [good(f"Q{number}") for number in range(5)] == [result.seen for result in results]
        assert ({"Bearer A0"}, []) == (set(built.server.tokens), built.issuer.calls)

    @virtual
    async def test_a_storage_that_fails_fails_who_waits_and_the_next_loads_again(self, time: VirtualTime) -> None:
        """S23, E34."""
        broken = OSError("locked")
        built = bench(None, time=time, valid=["A0"], storage=ScriptedStorage(REFUSED, load=[broken]))

        results = built.start_many(3)
        await asyncio.sleep(1)
        after = built.start("After")
        await asyncio.sleep(1)

        assert [[TokenStorageError]] * 3 == [kinds(result) for result in results]
        assert broken is error_of(results[0]).__cause__
        assert good("After") == after.seen


class TestFailedRefresh:
    @virtual
    async def test_all_get_the_error_with_its_cause_and_with_what_the_server_said(self, time: VirtualTime) -> None:
        """S10, S31, E14, E18, E24, E102, P2: one request, five errors, zero retries, no silence."""
        cause = KeyError("access_token")
        built = bench(time=time, issuer=Issuer(script=[cause], delay=1))

        results = built.start_many(5)
        await asyncio.sleep(2)

        assert [[TokenRefreshError]] * 5 == [kinds(result) for result in results]
        errors = [error_of(result) for result in results]
        assert {cause} == {error.__cause__ for error in errors}
        assert [UNAUTHENTICATED] * 5 == [error.auth_error for error in errors]
        assert [f"Q{number}" for number in range(5)] == [error.operation_name for error in errors]
        assert "operation Q3: the token refresh failed with KeyError" == str(errors[3])
        assert (5, 1) == (len({id(error) for error in errors}), len(built.issuer.calls))
        assert {1} == set(built.server.per_operation.values())

    @virtual
    async def test_an_operation_that_was_never_sent_has_no_answer_to_show(self, time: VirtualTime) -> None:
        """E24."""
        built = bench(fresh(time, -1), time=time, issuer=Issuer(script=[KeyError()]))

        result = built.start()
        await asyncio.sleep(1)

        assert (None, "Q") == (error_of(result).auth_error, error_of(result).operation_name)

    @virtual
    async def test_a_transport_error_is_kept_as_the_answer(self, time: VirtualTime) -> None:
        """E24, E01."""
        refused = status_401()
        built = bench(time=time, issuer=Issuer(script=[KeyError()]))
        built.server.refusal = lambda: refused

        result = built.start()
        await asyncio.sleep(1)

        assert refused is error_of(result).auth_error

    @virtual
    async def test_after_a_failure_the_next_operation_starts_a_new_refresh(self, time: VirtualTime) -> None:
        """S23, E23, P10: the flag is not left set."""
        built = bench(time=time, issuer=Issuer(script=[KeyError()]))
        first = built.start("First")
        await asyncio.sleep(5)

        second = built.start("Second")
        await asyncio.sleep(5)

        assert ([TokenRefreshError], good("Second")) == (kinds(first), second.seen)
        assert ["Bearer A1"] == [send.token for send in built.server.sends if send.name == "Second"]

    @virtual
    async def test_a_refresh_that_hangs_ends_for_all_at_its_own_limit(self, time: VirtualTime) -> None:
        """E18, E23, P10: those who came late too, and the next may try."""
        built = bench(time=time, refresh=never, refresh_timeout=2)
        early = built.start("Early")
        await asyncio.sleep(1.5)
        late = built.start("Late")

        await asyncio.sleep(0.4)
        before = [kinds(early), kinds(late)]
        await asyncio.sleep(0.2)

        assert [[], []] == before
        assert [[TokenRefreshTimeout], [TokenRefreshTimeout]] == [kinds(early), kinds(late)]

    @virtual
    async def test_a_final_failure_ends_the_session_once_for_all(self, time: VirtualTime) -> None:
        """S06, E20, E21, E84, P9: and operations after it are nobody's."""
        dead = SessionEnded("invalid_grant")
        built = bench(time=time, issuer=Issuer(script=[dead], delay=1))
        events = subscribed(built.session.events)
        results = built.start_many(50)
        await asyncio.sleep(2)

        after = built.start_many(100)
        await asyncio.sleep(1)

        assert [[SessionEnded]] * 50 == [kinds(result) for result in results]
        assert {dead} == {error_of(result).__cause__ for result in results}
        assert [[UNAUTHENTICATED, END]] * 100 == [result.seen for result in after]
        assert (1, 1) == (names_of(events.seen).count("Ended"), len(built.issuer.calls))
        assert [None] * 100 == built.server.tokens[50:]

    @virtual
    async def test_an_answer_that_comes_after_the_end_is_an_error_too(self, time: VirtualTime) -> None:
        """P8: sent with a token of the session that has ended."""
        built = bench(time=time, issuer=Issuer(script=[SessionEnded()]))
        built.server.delay = 5
        slow = built.start("Slow")
        built.server.delay = 0
        built.start("Fast")
        await asyncio.sleep(6)

        assert [SessionEnded] == kinds(slow)
        assert UNAUTHENTICATED == error_of(slow).auth_error

    @virtual
    async def test_an_outage_is_waited_through(self, time: VirtualTime) -> None:
        """S44, E19, E22."""
        built = bench(time=time, issuer=Issuer(script=[OSError()] * 3))

        results = built.start_many(5)
        await asyncio.sleep(30)

        assert [good(f"Q{number}") for number in range(5)] == [result.seen for result in results]


class TestRetry:
    @pytest.mark.timeout(10)  # where it goes wrong, it goes on for ever
    @virtual
    async def test_a_second_refusal_is_delivered(self, time: VirtualTime) -> None:
        """S17, E25, E35, P3: no second refresh for this operation."""
        built = bench(time=time)
        built.server.answer = lambda name, token: UNAUTHENTICATED  # type: ignore[method-assign]

        result = built.start()
        await asyncio.sleep(1)

        assert [UNAUTHENTICATED, END] == result.seen
        assert (["Bearer A0", "Bearer A1"], 1) == (built.server.tokens, len(built.issuer.calls))

    @virtual
    async def test_fresh_tokens_that_keep_being_refused_start_a_pause(self, time: VirtualTime) -> None:
        """E25, E21: three in a row, then thirty seconds without a refresh; errors are delivered meanwhile."""
        built = bench(time=time)
        built.server.answer = lambda name, token: UNAUTHENTICATED  # type: ignore[method-assign]

        results: list[Recorder] = []
        for second in range(29):
            results.append(built.start(f"Q{second}"))
            await asyncio.sleep(1)
        during = len(built.issuer.calls)
        await asyncio.sleep(10)
        built.start("After")
        await asyncio.sleep(1)

        assert [[UNAUTHENTICATED, END]] * 29 == [result.seen for result in results]
        assert (3, 5) == (during, len(built.issuer.calls))
        assert [2, 2] + [1] * 27 == [built.server.per_operation[f"Q{second}"] for second in range(29)]

    @virtual
    async def test_a_fresh_token_that_worked_once_is_no_fresh_one_any_more(self, time: VirtualTime) -> None:
        """E25: the first attempt proves it; the retry fails for another reason and proves nothing."""
        built = bench(time=time)
        seen: list[list[Any]] = []
        for number in range(6):
            await built.session.refresh(force=True)
            built.server.refusal = lambda: UNAUTHENTICATED
            fine = built.start(f"Fine{number}")
            await asyncio.sleep(1)
            built.server.accept_only()
            fails = built.start(f"Fails{number}")
            await asyncio.sleep(0)
            built.issuer.server = None
            built.server.refusal = lambda: NetworkError("reset")
            await asyncio.sleep(1)
            built.issuer.server = built.server
            seen.append([fine.seen == good(f"Fine{number}"), *kinds(fails)])

        assert [[True, NetworkError]] * 6 == seen

    @pytest.mark.parametrize("is_stream", [False, True])
    @virtual
    async def test_a_fresh_token_that_worked_for_a_retry_is_no_fresh_one_any_more(
        self, is_stream: bool, time: VirtualTime
    ) -> None:
        """E25: one operation per token, and no pause after three of them; what comes later in its stream is ignored."""
        built = bench(time=time)

        def both(operation: Any, forward: Any) -> Any:
            later = [UNAUTHENTICATED] if is_stream else []
            return forward(operation).pipe(ops.concat(reactivex.from_iterable(later)))

        built.link = from_([AuthLink(built.session), ApolloLink(both), built.server])
        for number in range(6):
            built.server.accept_only()
            result = built.start(f"Q{number}")
            await asyncio.sleep(1)
            assert {"data": {"echo": f"Q{number}"}} == result.seen[0]

        assert 6 == len(built.issuer.calls)

    @pytest.mark.parametrize("refusal", [lambda: UNAUTHENTICATED, status_401], ids=["result", "error"])
    @virtual
    async def test_those_who_wait_learn_from_the_first_that_is_refused_again(
        self, refusal: Callable[[], Any], time: VirtualTime
    ) -> None:
        """P3, P5, E10: the new token is dead as well; the others wait for the next instead of wasting their retry."""
        built = bench(time=time)
        built.server.refusal = refusal
        built.issuer.script = [lambda: TokenSet("dead")]
        results = built.start_many(5)
        await asyncio.sleep(0)
        built.server.delay = None
        await asyncio.sleep(1)

        ends = [result.seen == good(f"Q{number}") for number, result in enumerate(results)]
        assert [False, True, True, True, True] == ends
        assert (1, 2) == (built.server.tokens.count("Bearer dead"), len(built.issuer.calls))
        assert {2} == set(built.server.per_operation.values())

    @virtual
    async def test_an_operation_refused_once_more_for_no_fault_of_the_token_spoils_nothing(
        self, time: VirtualTime
    ) -> None:
        """E04, E25: one operation is always refused, the others go on; each try is one refresh, no loop."""
        built = bench(time=time, valid=["A0"])
        allowed = built.server.answer
        built.server.answer = lambda name, token: (  # type: ignore[method-assign]
            UNAUTHENTICATED if name == "Cursed" else allowed(name, token)
        )

        cursed = built.start("Cursed")
        await asyncio.sleep(1)
        others = built.start_many(5)
        await asyncio.sleep(1)

        assert [UNAUTHENTICATED, END] == cursed.seen
        assert [good(f"Q{number}") for number in range(5)] == [result.seen for result in others]
        assert len(built.issuer.calls) <= 2

    @virtual
    async def test_a_retry_that_fails_otherwise_is_delivered_as_it_is(self, time: VirtualTime) -> None:
        """S09, E38."""
        reset = NetworkError("reset")
        answers: list[Any] = [UNAUTHENTICATED, reset]
        built = bench(time=time)
        built.server.answer = lambda name, token: answers.pop(0)  # type: ignore[method-assign]

        result = built.start()
        await asyncio.sleep(1)

        assert [reset] == result.seen

    @virtual
    async def test_mutations_are_retried_as_well(self, time: VirtualTime) -> None:
        """S30, E37's default."""
        built = bench(time=time)

        result = subscribed(execute(built.link, request("M", kind="mutation")))
        await asyncio.sleep(1)

        assert (good("M"), 2) == (result.seen, len(built.server.sends))

    @virtual
    async def test_only_the_first_result_may_be_refused(self, time: VirtualTime) -> None:
        """E40: two results, then an auth error: delivered, never duplicated."""
        stream = [{"data": {"tick": 1}}, {"data": {"tick": 2}}, UNAUTHENTICATED]
        source = ApolloLink(lambda operation, forward: reactivex.from_iterable(stream))
        built = bench(time=time)

        result = subscribed(execute(from_([AuthLink(built.session), source]), request()))
        await asyncio.sleep(1)

        assert ([*stream, END], []) == (result.seen, built.issuer.calls)

    @virtual
    async def test_an_error_after_the_first_result_is_delivered(self, time: VirtualTime) -> None:
        """E40."""
        refused = status_401()
        source = reactivex.of({"data": {"tick": 1}}).pipe(ops.concat(reactivex.throw(refused)))
        link = ApolloLink(lambda operation, forward: source)
        built = bench(time=time)

        result = subscribed(execute(from_([AuthLink(built.session), link]), request()))
        await asyncio.sleep(1)

        assert ([{"data": {"tick": 1}}, refused], []) == (result.seen, built.issuer.calls)

    @virtual
    async def test_the_first_attempt_is_not_listened_to_any_more(self, time: VirtualTime) -> None:
        """E38, E40: a transport that goes on after it was left delivers nothing twice."""
        observers: list[Any] = []

        def start(operation: Any, observer: Any, root: Any) -> None:
            observers.append(observer)
            observer.on_next(UNAUTHENTICATED if len(observers) == 1 else {"data": {"echo": "Q"}})
            if len(observers) > 1:
                observers[0].on_next({"data": {"echo": "too late"}})
                observers[0].on_error(ValueError())
                observers[0].on_completed()
                observer.on_completed()

        built = bench(time=time)
        result = subscribed(execute(from_([AuthLink(built.session), Worker(start)]), request()))
        await asyncio.sleep(1)

        assert good() == result.seen

    @virtual
    async def test_the_first_attempt_is_aborted(self, time: VirtualTime) -> None:
        """E41: a stream that is refused with its first result, and would stay open."""
        left: list[str] = []
        opened: list[str] = []

        def handler(operation: Any, forward: Any) -> Any:
            opened.append(operation.get_context()["headers"]["authorization"])
            first = UNAUTHENTICATED if len(opened) == 1 else {"data": {"echo": "Q"}}
            stays = reactivex.never().pipe(ops.start_with(first))
            return stays.pipe(ops.finally_action(partial(left.append, f"left {len(opened)}")))

        built = bench(time=time)
        result = subscribed(execute(from_([AuthLink(built.session), ApolloLink(handler)]), request()))
        await asyncio.sleep(1)
        before = list(left)
        result.subscription.dispose()

        assert (["Bearer A0", "Bearer A1"], ["left 1"], ["left 1", "left 2"]) == (opened, before, left)
        assert [{"data": {"echo": "Q"}}] == result.seen

    @virtual
    async def test_subscribing_again_is_a_new_attempt(self, time: VirtualTime) -> None:
        """E48: subscribed twice, two requests; never subscribed, none."""
        built = bench(time=time, valid=["A0"])
        observable = built.run()
        built.run("Never")
        await asyncio.sleep(1)

        results = [subscribed(observable), subscribed(observable)]
        await asyncio.sleep(1)

        assert [good(), good()] == [result.seen for result in results]
        assert {"Q": 2} == built.server.per_operation

    @virtual
    async def test_nobodys_operation_is_retried_where_a_refresh_has_brought_tokens_meanwhile(
        self, time: VirtualTime
    ) -> None:
        """E85, S36: a cookie holds the refresh token."""
        built = bench(None, time=time, delay=5)
        result = built.start()
        await asyncio.sleep(1)

        await built.session.refresh(force=True)
        await asyncio.sleep(20)

        assert (good(), [None, "Bearer A1"]) == (result.seen, built.server.tokens)

    @virtual
    async def test_nobodys_operation_keeps_its_own_error_where_somebody_signed_in_meanwhile(
        self, time: VirtualTime
    ) -> None:
        """E85, P8."""
        built = bench(None, time=time, delay=5)
        result = built.start()
        await asyncio.sleep(1)

        await built.session.set_tokens(B0)
        await asyncio.sleep(20)

        assert ([UNAUTHENTICATED, END], [None]) == (result.seen, built.server.tokens)

    @pytest.mark.parametrize("case", ["nobody", "cool-down"])
    @virtual
    async def test_an_error_that_was_delivered_is_the_first_result(self, case: str, time: VirtualTime) -> None:
        """E40: the next one of its stream is not retried, even if it could be by then."""
        built = bench(None if case == "nobody" else REFUSED, time=time)
        if case == "cool-down":
            for _ in range(3):
                await built.session.refresh(force=True)
                credential = built.session.wallet.credential
                assert credential is not None
                built.session.wallet.reject(credential)
        await built.session.get_token()
        stream: Subject[Any] = Subject()
        result = subscribed(
            execute(from_([AuthLink(built.session), ApolloLink(lambda operation, forward: stream)]), request())
        )

        stream.on_next(UNAUTHENTICATED)
        await built.session.refresh(force=True)
        stream.on_next(UNAUTHENTICATED)
        stream.on_completed()

        assert [UNAUTHENTICATED, UNAUTHENTICATED, END] == result.seen

    @virtual
    async def test_a_completion_without_a_result_passes(self, time: VirtualTime) -> None:
        built = bench(time=time)
        link = from_([AuthLink(built.session), ApolloLink.empty()])

        assert [END] == subscribed(execute(link, request())).seen


class TestClassification:
    @pytest.mark.parametrize(
        "refusal",
        [
            lambda: UNAUTHENTICATED,
            status_401,
            lambda: {"errors": [{"message": "x", "extensions": {"code": "BAD_USER_INPUT"}}, CODED]},
            lambda: ServerError("400", status_code=400, headers={}, body_text="", result={"errors": [CODED]}),
        ],
        ids=["result", "status", "second error", "400 with a code"],
    )
    @virtual
    async def test_every_shape_of_a_refusal_is_answered_alike(
        self, refusal: Callable[[], Any], time: VirtualTime
    ) -> None:
        """S11, E01, E02, E03."""
        built = bench(time=time)
        built.server.refusal = refusal

        result = built.start()
        await asyncio.sleep(1)

        assert (good(), 1) == (result.seen, len(built.issuer.calls))

    @pytest.mark.parametrize(
        "answer",
        [
            {"errors": [{"message": "x"}]},
            {"errors": [{"message": "x", "extensions": None}]},
            {"errors": [{"message": "no", "extensions": {"code": "FORBIDDEN"}}], "data": None},
            {"errors": [CODED], "data": {"a": 1, "b": None}},
        ],
        ids=["no extensions", "null extensions", "forbidden", "partial data"],
    )
    @virtual
    async def test_other_results_are_delivered_as_they_are(self, answer: dict[str, Any], time: VirtualTime) -> None:
        """S12, E04, E07."""
        built = bench(time=time)
        built.server.refusal = lambda: answer

        result = built.start()
        await asyncio.sleep(1)

        assert ([answer, END], []) == (result.seen, built.issuer.calls)

    @pytest.mark.parametrize(
        "error",
        [
            NetworkError("reset"),
            ConnectionResetError(),
            ServerError("403", status_code=403, headers={}, body_text=""),
            ServerError("503", status_code=503, headers={}, body_text=""),
        ],
        ids=repr,
    )
    @virtual
    async def test_other_errors_are_delivered_as_they_are(self, error: Exception, time: VirtualTime) -> None:
        """S09, E04: the same object, for whoever stands above."""
        built = bench(time=time)
        built.server.refusal = lambda: error

        result = built.start()
        await asyncio.sleep(1)

        assert ([error], []) == (result.seen, built.issuer.calls)

    @pytest.mark.parametrize(
        ("predicate", "refusal"),
        [
            (lambda answer: "Login session expired." in answer.messages,
             {"errors": [{"message": "Login session expired."}]}),
            (lambda answer: "invalid-jwt" in answer.codes,
             {"errors": [{"message": "x", "extensions": {"code": "invalid-jwt"}}]}),
            (lambda answer: answer.status == 419,
             ServerError("419", status_code=419, headers={}, body_text="")),
            (lambda answer: "FORBIDDEN" in answer.codes,
             {"errors": [{"message": "not logged in", "extensions": {"code": "FORBIDDEN"}}]}),
        ],
        ids=["message", "code", "status", "forbidden"],
    )  # fmt: skip
    @virtual
    async def test_a_server_of_its_own_kind_needs_one_predicate(
        self, predicate: Callable[[Any], bool], refusal: Any, time: VirtualTime
    ) -> None:
        """S22, S26, E03, E04: and after one retry it is over."""

        built = bench(time=time, link={"is_auth_error": predicate})
        built.server.refusal = lambda: refusal
        result = built.start("Once")
        await asyncio.sleep(1)
        built.server.answer = lambda name, token: refusal  # type: ignore[method-assign]
        again = built.start("Twice")
        await asyncio.sleep(1)

        assert (good("Once"), 2) == (result.seen, len(built.issuer.calls))
        assert {"Once": 2, "Twice": 2} == built.server.per_operation
        assert refusal is again.seen[0]

    @virtual
    async def test_a_predicate_that_raises_has_seen_no_auth_error_and_is_reported(self, time: VirtualTime) -> None:
        """E08, E51: the original answer is delivered."""
        complaints: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint["exception"]))

        def careless(answer: Any) -> bool:
            return bool(answer.result["errors"][0]["extensions"]["code"])

        built = bench(time=time, link={"is_auth_error": careless})
        built.server.refusal = lambda: {"errors": []}
        result = built.start()
        built.server.refusal = status_401
        error = built.start()
        await asyncio.sleep(1)

        assert ([{"errors": []}, END], [ServerError]) == (result.seen, kinds(error))
        assert [IndexError, TypeError] == [type(complaint) for complaint in complaints]
        assert [] == built.issuer.calls


class TestLeaving:
    @virtual
    async def test_who_has_left_the_queue_is_never_sent(self, time: VirtualTime) -> None:
        """E42, P6: five queued, three leave, two are sent."""
        built = bench(fresh(time, -1), time=time, valid=["A1"], issuer=Issuer(delay=1))
        results = built.start_many(5)
        await asyncio.sleep(0.5)

        for number in (0, 2, 4):
            results[number].subscription.dispose()
        await asyncio.sleep(2)

        assert {"Q1": 1, "Q3": 1} == built.server.per_operation
        assert [[], good("Q1"), [], good("Q3"), []] == [result.seen for result in results]

    @pytest.mark.parametrize("leavers", [1, 5])
    @virtual
    async def test_leaving_cancels_nobody_elses_refresh(self, leavers: int, time: VirtualTime) -> None:
        """E43, E44, P6: the leader, and even all; the tokens are saved, who comes next uses them."""
        storage = ScriptedStorage(REFUSED)
        built = bench(None, time=time, storage=storage, issuer=Issuer(delay=1))
        results = built.start_many(5)
        await asyncio.sleep(0.5)

        for result in results[:leavers]:
            result.subscription.dispose()
        await asyncio.sleep(2)
        after = built.start("After")
        await asyncio.sleep(1)

        stayed = [good(f"Q{number}") for number in range(leavers, 5)]
        assert [[]] * leavers + stayed == [result.seen for result in results]
        assert (1, "A1", good("After")) == (
            len(built.issuer.calls), storage.tokens and storage.tokens.access_token, after.seen,
        )  # fmt: skip

    @virtual
    async def test_what_comes_while_the_first_attempt_is_cancelled_is_not_listened_to(self, time: VirtualTime) -> None:
        built = bench(time=time)

        def start(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
            if operation.get_context()["headers"]["authorization"] == "Bearer A1":
                observer.on_next({"data": {"echo": "Q"}})
                observer.on_completed()
            else:
                root.hold(Partings(observer))
                observer.on_next(UNAUTHENTICATED)

        result = subscribed(execute(from_([AuthLink(built.session), Worker(start)]), request()))
        await asyncio.sleep(1)

        assert good() == result.seen

    @virtual
    async def test_a_source_that_refuses_twice_at_once_loses_no_answer(self, time: VirtualTime) -> None:
        """The second refusal comes while the first one starts the refresh, and is the first to wait."""
        built = bench(time=time, issuer=Issuer(delay=1, script=[SessionEnded()]))
        observers: list[ResultObserver] = []

        def start(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
            observers.append(observer)
            observer.on_next(UNAUTHENTICATED)

        def tell(event: object) -> None:
            if isinstance(event, RefreshStarted):
                observers[0].on_next(UNAUTHENTICATED)

        built.session.events.subscribe(tell)
        result = subscribed(execute(from_([AuthLink(built.session), Worker(start)]), request()))
        await asyncio.sleep(2)

        assert [SessionEnded] == kinds(result)
        assert UNAUTHENTICATED == error_of(result).auth_error

    @virtual
    async def test_a_refused_answer_may_be_anything(self, time: VirtualTime) -> None:
        """A link of one's own may answer with no dict, and one's own predicate may refuse that."""
        built = bench(time=time)
        sent: list[str] = []

        def start(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
            sent.append(operation.get_context()["headers"]["authorization"])
            observer.on_next(None)  # pyright: ignore[reportArgumentType] - as said
            observer.on_completed()

        refuses_nothing_at_all = AuthLink(built.session, is_auth_error=lambda answer: answer.result is None)
        result = subscribed(execute(from_([refuses_nothing_at_all, Worker(start)]), request()))
        await asyncio.sleep(1)

        assert (["Bearer A0", "Bearer A1"], [None, END]) == (sent, result.seen)

    @pytest.mark.parametrize("end", ["leaves", "goes again", "fails"])
    @virtual
    async def test_a_refusal_that_was_raised_leaves_nothing_to_the_cycle_collector(
        self, end: str, time: VirtualTime
    ) -> None:
        """Its traceback leads to the attempt, which keeps it while it waits."""
        built = bench(time=time, issuer=Issuer(delay=1, script=[SessionEnded()] if end == "fails" else []))
        link = from_([AuthLink(built.session), Worker(raising_refusals)])
        gc.collect()
        before = attempts_alive()
        gc.disable()
        try:
            result = subscribed(execute(link, request()))
            await asyncio.sleep(0.5)
            waiting = attempts_alive()
            if end == "leaves":
                result.subscription.dispose()
            await asyncio.sleep(1)
            seen = kinds(result)
            result.seen.clear()

            assert {"leaves": [], "goes again": good(), "fails": [SessionEnded]}[end] == seen
            assert (before + 1, before) == (waiting, attempts_alive())
        finally:
            gc.enable()

    @virtual
    async def test_leaving_during_the_retry_aborts_it(self, time: VirtualTime) -> None:
        """E41, E52."""
        built = bench(time=time, delay=1)
        result = built.start()
        await asyncio.sleep(1.5)
        retried = len(built.server.sends)

        result.subscription.dispose()
        await asyncio.sleep(1)

        assert (2, ["Q"], []) == (retried, built.server.aborted, result.seen)

    @virtual
    async def test_leaving_at_any_moment_leaves_nothing_behind(self, time: VirtualTime) -> None:
        """E41, E42, E52: every tenth of a second of the life of an operation."""
        for tenths in range(60):
            built = bench(None, time=time, storage=ScriptedStorage(REFUSED, delay=1), issuer=Issuer(delay=1), delay=1)
            result = built.start()
            await asyncio.sleep(tenths / 10)

            result.subscription.dispose()
            seen, sends = list(result.seen), len(built.server.sends)
            await asyncio.sleep(10)

            assert (seen, sends) == (result.seen, len(built.server.sends))
        assert [] == [item for item in time.leftovers() if isinstance(item, asyncio.TimerHandle)]

    @virtual
    async def test_the_time_limit_of_the_operation_that_started_the_refresh_does_not_cut_it(
        self, time: VirtualTime
    ) -> None:
        """E46: a timeout of 100 ms above, the refresh takes a second."""
        built = bench(time=time, issuer=Issuer(delay=1))
        hurried = Recorder()
        built.run("Hurried").pipe(ops.timeout(0.1)).subscribe(hurried, scheduler=time.scheduler)
        follower = built.start("Follower")

        await asyncio.sleep(0.5)
        timed_out = kinds(hurried)
        await asyncio.sleep(2)

        assert ([Exception], good("Follower"), 1) == (timed_out, follower.seen, len(built.issuer.calls))

    @virtual
    async def test_cancelling_one_who_awaits_cancels_it_alone(self, time: VirtualTime) -> None:
        """E43, E49."""
        built = bench(time=time, issuer=Issuer(delay=1))

        async def run(name: str) -> Any:
            return await built.run(name)

        tasks = [asyncio.get_running_loop().create_task(run(f"Q{number}")) for number in range(3)]
        await asyncio.sleep(0.5)

        tasks[0].cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)

        assert [asyncio.CancelledError, dict, dict] == [type(outcome) for outcome in outcomes]
        assert {"Q0": 1, "Q1": 2, "Q2": 2} == built.server.per_operation

    @virtual
    async def test_ten_thousand_leave_one_refresh(self, time: VirtualTime) -> None:
        """E45: nothing is logged as unretrieved, and the one who stays is served."""
        complaints: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
        built = bench(fresh(time, -1), time=time, issuer=Issuer(delay=1))
        leavers = [built.start("Leaver") for _ in range(10_000)]
        stays = built.start("Stays")
        await asyncio.sleep(0.5)

        for leaver in leavers:
            leaver.subscription.dispose()
        await asyncio.sleep(2)

        assert (good("Stays"), ["Stays"], []) == (stays.seen, [*built.server.per_operation], complaints)


class TestIsolation:
    @virtual
    async def test_a_subscriber_that_raises_starves_nobody(self, time: VirtualTime) -> None:
        """E50, E51: in each of its callbacks."""
        complaints: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))

        def fail(*_: object) -> None:
            raise LookupError("mine")

        for delay in (None, 0.0):
            built = bench(fresh(time, -1), time=time, delay=delay, issuer=Issuer(delay=1))
            before = built.start("Before")
            built.run("Raising").subscribe(fail, fail, fail)
            after = built.start("After")
            await asyncio.sleep(2)
            assert (good("Before"), good("After")) == (before.seen, after.seen)

            failing = bench(fresh(time, -1), time=time, delay=delay, issuer=Issuer(script=[KeyError()]))
            before = failing.start("Before")
            failing.run("Raising").subscribe(fail, fail, fail)
            after = failing.start("After")
            await asyncio.sleep(2)
            assert [[TokenRefreshError]] * 2 == [kinds(before), kinds(after)]
        assert {LookupError} == {type(complaint["exception"]) for complaint in complaints}

    @pytest.mark.parametrize("seconds_left", [None, -1], ids=["refused and retried", "waits first"])
    @virtual
    async def test_each_operation_runs_in_its_own_context(self, seconds_left: float | None, time: VirtualTime) -> None:
        """P11: a wave of 100; setter, server and observer, on the first send and on the retry."""
        tokens = REFUSED if seconds_left is None else fresh(time, seconds_left)
        built = bench(tokens, time=time, issuer=Issuer(delay=1))
        setters: list[tuple[str, int | None]] = []
        observed: list[tuple[str, int | None]] = []

        async def setter(operation: Any, context: Any) -> dict[str, Any]:
            await asyncio.sleep(0)
            setters.append((operation.operation_name, REQUEST_ID.get()))
            return {}

        def observe(result: Any) -> None:
            observed.append((result["data"]["echo"], REQUEST_ID.get()))

        built.link = from_([AuthLink(built.session), set_context(setter), built.server])
        for number in range(100):
            token = REQUEST_ID.set(number)
            built.run(f"Q{number}").subscribe(observe)
            REQUEST_ID.reset(token)
        await asyncio.sleep(3)

        own = {(f"Q{number}", number) for number in range(100)}
        assert own == set(observed) == set(setters) == {(send.name, send.request_id) for send in built.server.sends}
        sends = 200 if seconds_left is None else 100
        assert (100, sends, sends) == (len(observed), len(setters), len(built.server.sends))

    @virtual
    async def test_an_operation_of_one_login_never_carries_the_token_of_another(self, time: VirtualTime) -> None:
        """E80, E96, P8: queued before the switch, and refused after it."""
        built = bench(time=time, issuer=Issuer(delay=5))
        queued = built.start("Queued")
        await asyncio.sleep(1)
        built.server.delay = 5
        waiting = built.start("Waiting")

        built.server.accept_only("B0")
        await built.session.set_tokens(B0)
        built.server.delay = 0
        new = built.start("New")
        await asyncio.sleep(10)

        assert ([SessionEnded], [SessionEnded], good("New")) == (kinds(queued), kinds(waiting), new.seen)
        assert {"New"} == {send.name for send in built.server.sends if send.token == "Bearer B0"}

    @pytest.mark.parametrize("act", ["sign in", "close"])
    @pytest.mark.parametrize("seconds_left", [None, -1], ids=["refused", "waits first"])
    @virtual
    async def test_a_login_or_the_end_in_the_midst_of_a_release_ends_those_who_are_not_out_yet(
        self, seconds_left: float | None, act: str, time: VirtualTime
    ) -> None:
        """E57, E80, E96, P2, P8: a thousand are released in slices, and it happens between two of them."""
        tokens = REFUSED if seconds_left is None else fresh(time, seconds_left)
        built = bench(tokens, time=time, issuer=Issuer(delay=1))
        acts: list[asyncio.Task[None]] = []

        def intervene(_: object) -> None:
            call = built.session.set_tokens(B0) if act == "sign in" else built.session.aclose()
            acts.append(asyncio.get_running_loop().create_task(call))

        built.run("First").subscribe(intervene)
        results = built.start_many(1000)
        await asyncio.sleep(0.5)
        built.server.delay = None
        await asyncio.sleep(5)

        served = sum(result.seen[0] == {"data": {"echo": f"Q{number}"}} for number, result in enumerate(results))
        assert 0 < served < 1000
        error = SessionEnded if act == "sign in" else ClientClosed
        assert [[error]] * (1000 - served) == [kinds(result) for result in results[served:]]
        assert "Bearer B0" not in built.server.tokens

    @virtual
    async def test_signing_out_ends_who_waits(self, time: VirtualTime) -> None:
        """E79, P8: nothing is sent any more."""
        built = bench(time=time, issuer=Issuer(delay=5))
        results = built.start_many(3)
        await asyncio.sleep(1)
        sent = len(built.server.sends)

        await built.session.clear()
        await asyncio.sleep(10)

        assert [[SessionEnded]] * 3 == [kinds(result) for result in results]
        assert (sent, None) == (len(built.server.sends), await built.session.get_token())
        assert "operation Q0: the session has ended (signed out); sign in again" == str(error_of(results[0]))

    @virtual
    async def test_closing_the_session_ends_who_waits_and_who_comes_later(self, time: VirtualTime) -> None:
        """E57, E102: each with an error of its own; closing the chain closes no session."""
        built = bench(time=time, issuer=Issuer(delay=5))
        await built.link.aclose()
        results = built.start_many(3)
        await asyncio.sleep(1)

        await built.session.aclose()
        results.append(built.start("Late"))

        assert [[ClientClosed]] * 4 == [kinds(result) for result in results]
        assert 4 == len({id(result.seen[0]) for result in results})

    @virtual
    async def test_an_answer_of_the_login_before_does_not_wait_for_the_refresh_of_the_new_one(
        self, time: VirtualTime
    ) -> None:
        """E80, P8."""
        built = bench(time=time, issuer=Issuer(delay=20))
        built.server.delay = 5
        old = built.start("Old")
        await built.session.set_tokens(B0)
        built.server.delay = 0
        new = built.start("New")
        await asyncio.sleep(6)

        assert ([SessionEnded], []) == (kinds(old), new.seen)
        await asyncio.sleep(20)
        assert good("New") == new.seen

    @virtual
    async def test_a_refused_stream_is_left_before_its_error_is_told(self, time: VirtualTime) -> None:
        """E41, E52: an error link above answers with another stream while the first would stay open."""
        left: list[str] = []
        stream: Subject[Any] = Subject()
        built = bench(time=time)
        source = stream.pipe(ops.finally_action(lambda: left.append("left")))
        answer = {"data": {"echo": "instead"}}
        chain = from_(
            [
                on_error(lambda response: reactivex.of(answer).pipe(ops.delay(1, scheduler=time.scheduler))),
                AuthLink(built.session),
                ApolloLink(lambda operation, forward: source),
            ]
        )
        result = subscribed(execute(chain, request()))
        await built.session.aclose()

        stream.on_next(UNAUTHENTICATED)
        at_once = list(left)
        await asyncio.sleep(2)

        assert (["left"], [answer, END]) == (at_once, result.seen)

    @virtual
    async def test_an_answer_that_comes_after_the_closing_is_told_the_same(self, time: VirtualTime) -> None:
        """E57."""
        built = bench(time=time, delay=5)
        refused = built.start()
        await asyncio.sleep(1)

        await built.session.aclose()
        await asyncio.sleep(10)

        assert [ClientClosed] == kinds(refused)

    @virtual
    async def test_operations_of_two_logins_in_turn_leave_nothing_for_the_cycle_collector(
        self, time: VirtualTime
    ) -> None:
        built = bench(TokenSet("A0"), valid=["A0", "B0"], delay=None, time=time)
        old, seen = built.run("Old"), list[Any]()

        def run(operation: Observable[Any]) -> None:
            operation.subscribe(seen.append, lambda error: seen.append(type(error)))

        run(old)
        await built.session.set_tokens(B0)
        gc.collect()
        gc.disable()
        try:
            for _ in range(2):
                run(old)
                run(built.run("New"))
            assert 0 == gc.collect()
        finally:
            gc.enable()
        echoes = [{"data": {"echo": name}} for name in ("Old", "New")]
        assert [echoes[0], *[SessionEnded, echoes[1]] * 2] == seen


class TestAmongOtherLinks:
    @virtual
    async def test_an_error_link_above_sees_what_is_delivered_and_nothing_before(self, time: VirtualTime) -> None:
        """S09, E35: the refused first attempt is no event for others."""
        seen: list[Any] = []
        built = bench(time=time)
        built.link = from_([on_error(lambda response: seen.append(response.error)), built.link])

        result = built.start()
        await asyncio.sleep(1)

        assert (good(), []) == (result.seen, seen)

    @virtual
    async def test_links_below_run_again_on_the_retry(self, time: VirtualTime) -> None:
        """S04: a header link of the application below reads its store again."""
        runs: list[str] = []
        built = bench(time=time)
        count = set_context(lambda operation, context: runs.append(context["headers"]["authorization"]) or {})
        built.link = from_([AuthLink(built.session), count, built.server])

        result = built.start()
        await asyncio.sleep(1)

        assert (good(), ["Bearer A0", "Bearer A1"]) == (result.seen, runs)

    @virtual
    async def test_an_auth_error_says_that_trying_again_would_not_help(self, time: VirtualTime) -> None:
        """E35: a generic retry link leaves it alone, except a refresh that failed for the moment."""
        expected: list[tuple[Any, bool]] = [
            (SessionEnded(), False),
            (KeyError(), False),
            (TokenRefreshError("503", retryable=True, retry_after=99), True),
        ]  # fmt: skip
        for error, is_retryable in expected:
            built = bench(time=time, issuer=Issuer(script=[error]))
            result = built.start()
            await asyncio.sleep(1)

            assert isinstance(result.seen[0], RxlinkError)
            assert is_retryable is result.seen[0].retryable

    @virtual
    async def test_the_session_may_be_asked_from_a_link_below(self, time: VirtualTime) -> None:
        """E29: that is no refresh, and may wait."""
        built = bench(fresh(time, -1), time=time, valid=["A1"])
        seen: list[str | None] = []

        async def setter(operation: Any, context: Any) -> dict[str, Any]:
            seen.append(await built.session.get_token())
            return {}

        built.link = from_([set_context(setter), AuthLink(built.session), built.server])
        result = built.start()
        await asyncio.sleep(1)

        assert (good(), ["A1"]) == (result.seen, seen)

    @virtual
    async def test_a_subscription_inside_an_operator_is_one_as_well(self, time: VirtualTime) -> None:
        built = bench(time=time)

        results = await reactivex.merge(*(built.run(f"Q{number}") for number in range(3))).pipe(ops.to_list())

        assert [{"data": {"echo": f"Q{number}"}} for number in range(3)] == results

    @virtual
    async def test_a_refresh_may_be_an_observable_of_a_second_chain(self, time: VirtualTime) -> None:
        """S25, E31: a refresh that is identical to the one before runs again."""
        answers = MockLink([MockedResponse(result={"data": {"token": name}}) for name in ("A1", "A2")])

        def refresh(tokens: TokenSet | None, reason: RefreshReason) -> Any:
            built.server.accept_only("A1", "A2")
            return execute(answers, request("Refresh")).map(lambda result: result["data"]["token"])

        built = bench(time=time, refresh=refresh)
        first = built.start()
        await asyncio.sleep(1)
        forced = await built.session.refresh(force=True)

        assert (good(), "A2") == (first.seen, forced and forced.access_token)


class TestWithoutALoop:
    def test_a_good_token_and_a_synchronous_transport_need_none(self) -> None:
        server = ScriptedServer("A0", delay=None)
        link = from_([AuthLink(AuthSession(refresh=Issuer(), tokens=TokenSet("A0"))), server])

        assert good() == subscribed(execute(link, request())).seen

    @pytest.mark.parametrize(
        "options",
        [
            {"storage": ScriptedStorage(REFUSED)},
            {"tokens": REFUSED},
            {"tokens": TokenSet("A0", expires_at=datetime(2020, 1, 1, tzinfo=UTC))},
        ],
        ids=["load", "refused", "expired"],
    )
    def test_a_load_or_a_refresh_without_one_is_an_error_that_names_the_cure(self, options: dict[str, Any]) -> None:
        session = AuthSession(refresh=Issuer(), **options)
        server = ScriptedServer(delay=None)
        result = subscribed(execute(from_([AuthLink(session), server]), request()))

        (error,) = result.seen
        assert isinstance(error, InvariantError)
        assert "no event loop runs; subscribe or await inside a coroutine" in str(error)
        server.accept_only("A0", "A1")
        assert "A" in (asyncio.run(session.get_token()) or "")

    def test_one_session_serves_loops_one_after_another(self) -> None:
        """E54: two successive `asyncio.run`, both contended."""
        built = bench(issuer=Issuer(delay=0.01))

        async def contended() -> list[Any]:
            built.server.accept_only()
            return await asyncio.gather(*(_awaited(built, f"Q{number}") for number in range(5)))

        expected = [{"data": {"echo": f"Q{number}"}} for number in range(5)]
        assert [expected, expected] == [asyncio.run(contended()), asyncio.run(contended())]
        assert 2 == len(built.issuer.calls)


async def _awaited(built: Bench, name: str) -> Any:
    return await built.run(name)


@given(seed=st.integers(0, 2**32), count=st.integers(1, 20), rotations=st.integers(0, 5))
@virtual
async def test_results_never_cross(seed: int, count: int, rotations: int, time: VirtualTime) -> None:
    """E96, S08: random delays, tokens that die at random moments, and each gets its own result, once."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    built = bench(time=time, issuer=Issuer(delay=chance.random()))
    results: list[tuple[str, Recorder]] = []
    moments = sorted([(chance.random() * 3, "start") for _ in range(count)] + [
        (chance.random() * 3, "revoke") for _ in range(rotations)
    ])  # fmt: skip
    for number, (moment, what) in enumerate(moments):
        await asyncio.sleep(max(moment - time.monotonic(), 0))
        built.server.delay = chance.choice([None, 0.0, chance.random()])
        if what == "revoke":
            built.server.accept_only()
        else:
            results.append((f"Q{number}", built.start(f"Q{number}")))
    await asyncio.sleep(60)

    for name, result in results:
        assert result.seen in (good(name), [UNAUTHENTICATED, END])
        assert built.server.per_operation[name] <= 2
    assert len(built.issuer.calls) <= rotations + 1


@pytest.mark.parametrize("round_", range(50))
@virtual
async def test_a_storm_of_arrivals_refusals_and_leavers_ends_well(round_: int, time: VirtualTime) -> None:
    """S07, S13, S16, E09, E10, E42, P1, P2, P3, P6: fifty rounds, each in another order."""
    chance = random.Random(round_)  # noqa: S311 - to be repeated
    issuer = Issuer(delay=chance.choice([0, 0.1, 1]), life=chance.choice([None, 2, 60]))
    built = bench(time=time, issuer=issuer, delay=chance.choice([None, 0.0, 0.3]))
    results: list[tuple[str, Recorder, bool]] = []
    for number in range(100):
        if chance.random() < 0.05:
            built.server.accept_only()
        result = built.start(f"Q{number}")
        leaves = chance.random() < 0.2
        results.append((f"Q{number}", result, leaves))
        if leaves:
            asyncio.get_running_loop().call_later(chance.random(), result.subscription.dispose)
        if chance.random() < 0.5:
            await asyncio.sleep(chance.random() / 5)
    await asyncio.sleep(60)

    for name, result, leaves in results:
        ends = [good(name), [UNAUTHENTICATED, END]] + [[]] * leaves
        assert result.seen in ends
        assert built.server.per_operation[name] <= 2
    begins = [moment for moment, _, _ in issuer.calls]
    assert all(later - earlier >= issuer.delay for earlier, later in itertools.pairwise(begins))


@virtual
async def test_a_wave_goes_on_while_the_recipe_of_apollo_stands_beside_it(time: VirtualTime) -> None:
    """S01, S07: `from_future(...).filter(...).flat_map(...)` by hand, over the same session."""
    built = bench(time=time, issuer=Issuer(delay=1))

    def refresh_and_send(operation: Any, forward: Any) -> Any:
        return (
            from_future(lambda: built.session.refresh(force=True))
            .filter(lambda tokens: tokens is not None)
            .flat_map(lambda _: forward(operation))
        )

    built.link = from_([ApolloLink(refresh_and_send), AuthLink(built.session), built.server])
    results = built.start_many(5)
    await asyncio.sleep(2)

    assert [good(f"Q{number}") for number in range(5)] == [result.seen for result in results]
    assert (1, 5) == (len(built.issuer.calls), len(built.server.sends))
