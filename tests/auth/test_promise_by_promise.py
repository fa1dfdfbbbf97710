"""The promises of auth, one by one: the smallest story for each, told by the scripted world of `promise_world`.

`tests/breaks.py` shows that each of them turns red when the code that keeps it is broken.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import reactivex

from rxlink.auth.events import Ended, RefreshTryFailed
from rxlink.auth.link import AuthLink
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import (
    ClientClosed,
    ServerError,
    SessionEnded,
    TokenRefreshError,
    TokenRefreshTimeout,
    TokenStorageError,
)
from rxlink.testing.virtual_time import VirtualTime
from tests.auth.promise_checks import (
    check_all,
    check_p2_nothing_is_left,
    check_p10_the_session_works,
    check_p11_everybody_sees_their_own_context,
)
from tests.auth.promise_issuer import Issuer
from tests.auth.promise_operations import Op
from tests.auth.promise_records import PLANTED, TIME_LIMIT, causes
from tests.auth.promise_world import World

LIFE = 100.0
"""Seconds a token lives in these stories: its advisory window opens at 75 or later, its mandatory window at 90."""


@pytest.fixture
def world() -> Iterator[World]:
    """A world in which every promise holds at the end of the story, and nothing is left after it."""
    with World(life=LIFE) as world:
        yield world
        check_all(world)
        world.run_out()
        world.time.call(world.close_session)
        world.run_out()
        world.finish_all_storage()
        check_all(world)
        check_p2_nothing_is_left(world)


def refused(world: World, number: int = 1) -> list[Op]:
    """Start operations and refuse them all: they wait for the refresh that follows."""
    ops = [world.start(index % 2) for index in range(number)]
    for op in ops:
        world.answer(op, "refuse")
    return ops


def ends(ops: list[Op]) -> set[type]:
    return {type(end) for op in ops for end in op.ends}


def tokens_of(ops: list[Op]) -> list[list[str | None]]:
    return [[None if send.token is None else send.token.text for send in op.sends] for op in ops]


class TestP1OneRefresh:
    def test_p1_fifty_refusals_on_two_chains_share_one_refresh(self, world: World) -> None:
        ops = refused(world, 50)

        world.finish_refresh("good")
        world.answer_all("accept")

        assert 1 == len(world.issuer.calls)
        assert [op.expected for op in ops] == [op.results for op in ops]

    def test_p1_operations_calls_and_a_forced_refresh_share_one_refresh(self, world: World) -> None:
        world.time.advance(95)

        world.start()
        world.time.call(world.ask_for_token)
        world.time.call(world.force_refresh)

        assert 1 == len(world.issuer.calls)

    def test_p1_no_second_refresh_begins_while_the_tokens_of_the_first_are_saved(self, world: World) -> None:
        world.storage.policy["save"] = "ask"
        refused(world)
        world.finish_refresh("good")

        (early,) = refused(world)  # with the new token, before it is saved
        assert 1 == len(world.issuer.calls)
        assert not early.ends
        world.finish_storage()

        assert [1, 2] == [world.issuer.most_at_a_time, len(world.issuer.calls)]

    def test_p1_the_end_of_a_refresh_does_not_end_the_next_one(self, world: World) -> None:
        leader, follower = world.start(), world.start(reaction="revoke and start another")
        world.answer(leader, "refuse")
        world.answer(follower, "refuse")
        world.server_policy = "at once"

        world.finish_refresh("good")

        assert [True] == [call.is_running for call in world.issuer.calls[1:]]
        assert world.open_ops


class TestP2EveryOperationEnds:
    def test_p2_a_refresh_that_fails_ends_everyone_with_an_error(self, world: World) -> None:
        ops = refused(world, 5)

        world.finish_refresh("value error")

        assert {TokenRefreshError} == ends(ops)

    @pytest.mark.parametrize("nothing", ["nothing", "empty"])
    def test_p2_a_refresh_that_returns_nothing_ends_everyone_with_an_error(self, world: World, nothing: str) -> None:
        ops = refused(world, 2)

        world.finish_refresh(nothing)

        assert {TokenRefreshError} == ends(ops)
        assert "returned no token" in str(ops[0].ends[0])

    def test_p2_who_is_refused_during_the_release_waits_for_the_next_refresh(self, world: World) -> None:
        leader, follower = world.start(), world.start(reaction="revoke and start another")
        world.answer(leader, "refuse")
        world.answer(follower, "refuse")
        world.server_policy = "at once"

        world.finish_refresh("good")
        world.finish_refresh("good")

        assert [[None], [None], [None]] == [op.ends for op in world.ops.values()]

    def test_p2_who_waits_when_the_session_is_closed_is_told(self, world: World) -> None:
        ops = refused(world, 2)

        world.time.call(world.close_session)

        assert {ClientClosed} == ends(ops)

    def test_p2_an_observer_that_raises_does_not_stop_the_others(self, world: World) -> None:
        bad, *others = [world.start(reaction="raise"), world.start(), world.start(1)]
        for op in [bad, *others]:
            world.answer(op, "refuse")

        world.finish_refresh("value error")

        assert [1, 1, 1] == [len(op.ends) for op in [bad, *others]]

    @pytest.mark.parametrize("fails", [False, True], ids=["succeeds", "fails"])
    def test_p2_ten_thousand_operations_that_wait_on_one_refresh_all_end(self, fails: bool) -> None:
        number = 10_000
        with VirtualTime() as time:
            decision = time.loop.create_future()
            session = AuthSession(
                refresh=lambda tokens, reason: decision,
                tokens=TokenSet("old", expires_in=LIFE),
                clock=time.clock,
            )
            served: list[str] = []
            link = from_([AuthLink(session), ApolloLink(lambda operation, _: _serve(operation, served))])
            request = GraphQLRequest("{ work }")
            time.advance(95)
            results: list[object] = []
            errors: list[Exception] = []
            completed: list[None] = []

            def start() -> None:
                for _ in range(number):
                    execute(link, request).subscribe(results.append, errors.append, lambda: completed.append(None))

            time.call(start)
            assert ([], [], []) == (served, results, errors)

            if fails:
                time.call(decision.set_exception, ValueError())
            else:
                time.call(decision.set_result, TokenSet("new"))

            assert (number if fails else 0) == len(errors)
            assert (0 if fails else number) == len(results) == len(completed) == served.count("Bearer new")
            assert [] == time.leftovers()


def _serve(operation: object, served: list[str]) -> reactivex.Observable:
    served.append(operation.get_context()["headers"]["authorization"])  # type: ignore[attr-defined]
    return reactivex.just({"data": {}})


class TestP3TwoSendsAtMost:
    def test_p3_who_is_refused_again_gets_the_refusal(self, world: World) -> None:
        (op,) = refused(world)
        world.finish_refresh("refused too")

        world.answer(op, "refuse by status")

        assert {ServerError} == ends([op])
        assert [1, 2] == [len(world.issuer.calls), len(op.sends)]

    def test_p3_who_has_waited_before_the_first_send_is_retried_once_as_well(self, world: World) -> None:
        world.time.advance(95)
        op = world.start()
        world.finish_refresh("refused too")
        world.answer(op, "refuse")
        world.finish_refresh("refused too")

        world.answer(op, "refuse by status")

        assert [2, 2] == [len(world.issuer.calls), len(op.sends)]
        assert {ServerError} == ends([op])

    @pytest.mark.parametrize("how", ["refuse by status", "refuse by result"])
    def test_p3_who_has_had_a_result_is_not_sent_again(self, world: World, how: str) -> None:
        op = world.start(parts=3)
        world.answer(op, "accept a part")

        world.answer(op, how)

        assert [1, 1] == [len(op.sends), len(op.ends)]
        assert op.expected[0] == op.results[0]


class TestP4SavedBeforeRetried:
    def test_p4_no_retry_is_sent_before_the_save_has_returned(self, world: World) -> None:
        world.storage.policy["save"] = "ask"
        ops = refused(world, 3)

        world.finish_refresh("good")
        assert [1, 1, 1] == [len(op.sends) for op in ops]
        world.finish_storage()

        assert [2, 2, 2] == [len(op.sends) for op in ops]

    def test_p4_who_is_refused_late_waits_for_the_save_too(self, world: World) -> None:
        world.storage.policy["save"] = "ask"
        early, late = world.start(), world.start()
        world.answer(early, "refuse")
        world.finish_refresh("good")

        world.answer(late, "refuse")
        assert 1 == len(late.sends)
        world.finish_storage()

        assert [2, 2] == [len(early.sends), len(late.sends)]

    def test_p4_a_save_that_fails_fails_no_operation(self, world: World) -> None:
        world.storage.policy["save"] = "fail"
        ops = refused(world, 2)

        world.finish_refresh("good")
        world.answer_all("accept")

        assert [op.expected for op in ops] == [op.results for op in ops]

    def test_p4_a_save_that_hangs_counts_as_failed_at_the_time_limit(self, world: World) -> None:
        world.storage.policy["save"] = "ask"
        ops = refused(world, 2)
        world.finish_refresh("good")

        world.time.advance(TIME_LIMIT)
        world.answer_all("accept")

        assert [op.expected for op in ops] == [op.results for op in ops]


class TestP5NoRefreshWithoutReason:
    def test_p5_a_late_refusal_is_retried_with_the_current_token_without_a_refresh(self, world: World) -> None:
        early, late = world.start(), world.start(1)
        world.answer(early, "refuse")
        world.finish_refresh("good")

        world.answer(late, "refuse")
        world.answer_all("accept")

        assert 1 == len(world.issuer.calls)
        assert tokens_of([early])[0] == tokens_of([late])[0]
        assert [[None], [None]] == [early.ends, late.ends]

    def test_p5_operations_go_on_during_an_advisory_refresh(self, world: World) -> None:
        world.time.advance(80)

        first, second = world.start(), world.start(1)

        assert [1, 1, 1] == [len(first.sends), len(second.sends), len(world.issuer.calls)]
        assert "expiring" == world.issuer.calls[0].reason

    def test_p5_an_advisory_refresh_that_fails_fails_no_operation(self, world: World) -> None:
        world.time.advance(80)
        op = world.start()

        world.finish_refresh("value error")
        world.answer(op, "accept")

        assert op.expected == op.results

    def test_p5_operations_wait_inside_the_mandatory_window(self, world: World) -> None:
        world.time.advance(91)

        op = world.start()
        assert [] == op.sends
        world.finish_refresh("good")

        assert 1 == len(op.sends)
        assert world.current is op.sends[0].token

    def test_p5_operations_that_start_during_the_refresh_of_a_refused_token_wait(self, world: World) -> None:
        refused(world)

        op = world.start()
        assert [] == op.sends
        world.finish_refresh("good")

        assert 1 == len(op.sends)

    def test_p5_who_waited_for_the_first_load_waits_for_the_refresh_of_an_ended_token_too(self) -> None:
        with World(signed_in=False, loads="ask", life=1) as world:
            op = world.start()
            world.time.advance(5)

            world.finish_storage()
            assert [] == op.sends
            world.finish_refresh("good")

            check_all(world)
            assert 1 == len(op.sends)

    def test_p5_after_three_fresh_tokens_were_refused_refreshes_pause(self, world: World) -> None:
        world.server_policy = "at once"
        world.revoke()
        for _ in range(2):
            world.start()
            while world.undecided_refreshes:
                world.finish_refresh("refused too")

        op = world.start()

        assert 3 == len(world.issuer.calls)
        assert [1, 1] == [len(op.sends), len(op.ends)]


class TestP6LeavingIsAPrivateMatter:
    def test_p6_leaving_never_cancels_the_refresh_of_others(self, world: World) -> None:
        leader, follower = refused(world, 2)

        world.time.call(leader.leave)
        world.finish_refresh("good")
        world.answer(follower, "accept")

        assert [1, 2] == [len(leader.sends), len(follower.sends)]
        assert follower.expected == follower.results

    def test_p6_a_refresh_goes_on_when_its_last_waiter_has_left(self, world: World) -> None:
        ops = refused(world, 3)
        for op in ops:
            world.time.call(op.leave)

        world.finish_refresh("good")
        later = world.start()

        assert world.current is later.sends[0].token
        assert [1, 1, 1, 1] == [len(world.issuer.calls), *(len(op.sends) for op in ops)]

    def test_p6_who_leaves_during_the_release_is_never_sent(self, world: World) -> None:
        world.server_policy = "at once"
        world.revoke()
        leader, *others = [world.start(reaction="others leave"), world.start(), world.start(1)]

        world.finish_refresh("good")

        assert leader.expected == leader.results
        assert [[], []] == [op.sends for op in others]

    def test_p6_leaving_aborts_the_retry_that_is_under_way(self, world: World) -> None:
        (op,) = refused(world)
        world.finish_refresh("good")

        world.time.call(op.leave)

        assert [] == world.pending


class TestP7NoSecretIsTold:
    def test_p7_no_token_in_any_repr_error_or_event(self, world: World) -> None:
        ops = refused(world, 2)
        world.finish_refresh("transient")
        world.time.advance(1)
        world.finish_refresh("final")
        told = [repr(world.session), repr(TokenSet(PLANTED, refresh_token=PLANTED)), repr(world.the_session.wallet)]
        told += [repr(event) for event in world.events] + [repr(state) for state in world.states]
        told += [f"{error!r} {error}" for op in ops for end in op.ends for error in causes(end)]

        assert [] == [text for text in told if PLANTED in text]

    def test_p7_the_message_of_a_refresh_error_leaves_out_what_the_issuer_said(self, world: World) -> None:
        (op,) = refused(world)

        world.finish_refresh("value error")

        (error,) = op.ends
        assert PLANTED in str(causes(error)[-1])
        assert PLANTED not in f"{error!r} {error}"


class TestP8LoginsNeverMix:
    def test_p8_signing_out_during_a_refresh_wins(self, world: World) -> None:
        ops = refused(world, 2)

        world.time.call(world.sign_out)
        (call,) = world.issuer.calls

        assert call.was_cancelled
        assert {SessionEnded} == ends(ops)
        assert [None, None] == [world.the_session.wallet.tokens, world.storage.content]

    def test_p8_signing_out_while_tokens_are_saved_wins(self, world: World) -> None:
        world.storage.policy["save"] = "ask"
        refused(world, 2)
        world.finish_refresh("good")

        world.time.call(world.sign_out)
        world.finish_all_storage()

        assert [None, None] == [world.the_session.wallet.tokens, world.storage.content]

    def test_p8_another_login_during_a_refresh_wins(self, world: World) -> None:
        old = refused(world, 2)

        world.time.call(world.sign_in)
        new = world.start()

        assert {SessionEnded} == ends(old)
        assert [2] == [send.token.login for send in new.sends if send.token is not None]

    @pytest.mark.parametrize("change", ["sign_in", "sign_out"])
    def test_p8_who_is_refused_after_another_login_is_not_retried_in_it(self, world: World, change: str) -> None:
        op = world.start()
        world.time.call(getattr(world, change))

        world.answer(op, "refuse")

        assert {SessionEnded} == ends([op])
        assert [1, 0] == [len(op.sends), len(world.issuer.calls)]

    def test_p8_who_is_released_after_another_login_is_not_sent_in_it(self, world: World) -> None:
        number = 600  # more than are released in one turn of the loop
        world.time.advance(95)
        first = world.start(reaction="sign in")
        rest = world.time.call(lambda: [world.begin(world.make_op()) for _ in range(number)])
        world.server_policy = "at once"

        world.finish_refresh("good")

        logins = {send.token.login for op in rest for send in op.sends if send.token is not None}
        assert first.expected == first.results
        assert {1} == logins
        assert {SessionEnded, type(None)} == ends(rest)

    def test_p8_get_token_gives_nobody_the_token_of_another_login(self, world: World) -> None:
        world.time.advance(95)
        world.start(reaction="sign in")
        world.time.call(world.ask_for_token)
        world.time.call(world.force_refresh)
        world.server_policy = "at once"

        world.finish_refresh("good")

        outcomes = {what: type(outcome) for what, _, outcome in world.returned if what != "set_tokens"}
        assert {"get_token": SessionEnded, "refresh": SessionEnded} == outcomes

    def test_p8_who_starts_anew_when_another_login_ends_them_carries_its_token(self, world: World) -> None:
        op = world.start(reaction="start another")
        world.answer(op, "refuse")

        world.time.call(world.sign_in)
        another = world.ops[1]

        assert {SessionEnded} == ends([op])
        assert [2] == [send.token.login for send in another.sends if send.token is not None]


class TestP9WhatEndsASession:
    def test_p9_a_transient_failure_is_tried_again_and_ends_nothing(self, world: World) -> None:
        ops = refused(world, 2)

        world.finish_refresh("transient")
        world.time.advance(0.5)
        world.finish_refresh("good")
        world.answer_all("accept")

        assert [op.expected for op in ops] == [op.results for op in ops]
        assert [1, 0] == [sum(isinstance(event, kind) for event in world.events) for kind in (RefreshTryFailed, Ended)]

    @pytest.mark.parametrize("failure", ["value error", "nothing", "retry much later"])
    def test_p9_a_failure_that_is_not_the_users_keeps_the_session(self, world: World, failure: str) -> None:
        before = world.the_session.wallet.tokens
        refused(world, 2)

        world.finish_refresh(failure)

        assert before is world.the_session.wallet.tokens
        assert before is not None
        assert not [event for event in world.events if isinstance(event, Ended)]

    def test_p9_a_final_failure_ends_the_session_once_with_the_cause_on_every_error(self, world: World) -> None:
        ops = refused(world, 5)

        world.finish_refresh("final")
        (cause,) = world.issuer.raised

        assert {SessionEnded} == ends(ops)
        assert [cause] * 5 == [causes(op.ends[0])[-1] for op in ops]
        assert 5 == len({id(op.ends[0]) for op in ops})  # each its own object
        assert [ops[0].own_errors or ops[0].refusals] == [[ops[0].ends[0].auth_error]]
        assert 1 == sum(isinstance(event, Ended) for event in world.events)
        assert world.storage.content is None

    def test_p9_the_cause_of_a_failure_is_on_every_error(self, world: World) -> None:
        ops = refused(world, 3)

        world.finish_refresh("value error")
        (cause,) = world.issuer.raised

        assert [cause] * 3 == [causes(op.ends[0])[-1] for op in ops]


class TestP10TheSessionWorksAgain:
    @pytest.mark.parametrize("outcome", [*Issuer.OUTCOMES, "hangs"])
    def test_p10_after_any_outcome_of_a_refresh_the_session_works_again(self, world: World, outcome: str) -> None:
        refused(world, 2)

        if outcome == "hangs":
            world.time.advance(TIME_LIMIT)
        else:
            world.finish_refresh(outcome)
        check_all(world)
        world.heal()

        check_p10_the_session_works(world)

    def test_p10_a_refresh_that_hangs_ends_at_its_time_limit(self, world: World) -> None:
        ops = refused(world, 2)

        world.time.advance(TIME_LIMIT - 0.1)
        assert set() == ends(ops)
        world.time.advance(0.1)

        assert {TokenRefreshTimeout} == ends(ops)
        assert world.issuer.calls[0].was_cancelled

    @pytest.mark.parametrize("policy", Issuer.POLICIES[1:])
    def test_p10_a_refresh_that_answers_or_raises_at_once_leaves_a_session_that_works(
        self, world: World, policy: str
    ) -> None:
        world.issuer.policy = policy
        refused(world, 2)

        world.heal()

        check_p10_the_session_works(world)

    def test_p10_a_refresh_through_the_guarded_chain_does_not_wait_for_itself(self, world: World) -> None:
        (op,) = refused(world)

        world.finish_refresh("runs an operation")
        world.answer(op, "accept")

        assert op.expected == op.results
        assert [None] == [send.header for send in world.sends if send.op.is_inner]

    def test_p10_a_refresh_that_asks_its_own_session_for_a_token_is_told(self, world: World) -> None:
        (op,) = refused(world)

        world.finish_refresh("asks for a token")

        assert {TokenRefreshError} == ends([op])
        assert "from inside the session's own refresh" in str(causes(op.ends[0])[-1])

    @pytest.mark.parametrize("load", ["fails", "hangs"])
    def test_p10_a_load_that_fails_or_hangs_is_tried_again(self, load: str) -> None:
        with World(signed_in=False, loads="ask") as world:
            op = world.start()

            if load == "fails":
                world.finish_storage(is_good=False)
            else:
                world.time.advance(TIME_LIMIT)
            again = world.start()
            world.finish_storage()

            check_all(world)
            assert {TokenStorageError} == ends([op])
            assert 1 == len(again.sends)


class TestP11OwnContext:
    @pytest.mark.parametrize("outcome", ["good", "value error", "final"])
    def test_p11_in_a_wave_of_a_hundred_each_setter_and_observer_sees_its_own(self, world: World, outcome: str) -> None:
        ops = refused(world, 100)
        if outcome == "good":
            ops += [world.start(index % 2) for index in range(20)]  # these wait before their first send

        world.finish_refresh(outcome)
        world.answer_all("accept")

        check_p11_everybody_sees_their_own_context(world)
        last = ["on_next", "on_completed"] if outcome == "good" else ["on_error"]
        attempts = ["setter", "send"] * (2 if outcome == "good" else 1)
        assert [*attempts, *last] == [where for where, _ in ops[0].seen]
        assert {1} == {len(op.ends) for op in ops}

    def test_p11_who_waits_for_the_first_load_goes_on_in_its_own_context(self) -> None:
        with World(signed_in=False, loads="ask") as world:
            ops = [world.start(index % 2) for index in range(10)]

            world.finish_storage()

            assert [("send", op.id) for op in ops] == [op.seen[-1] for op in ops]
            check_p11_everybody_sees_their_own_context(world)
