"""Break the code on purpose, one line at a time, and require that the test which names the promise turns red.

    python tests/breaks.py            # all breaks, two at a time
    python tests/breaks.py P4 E09     # those of some promises and demands
    python tests/breaks.py --machine  # and say which of them the state machine of test_promises.py finds as well

Each break is made in a copy of the tree. First the unbroken copy must be green. A break whose old text is no longer
found exactly once is a failure too, so that this list cannot rot. Exits with 1 if anything failed.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter

from breaks_of_demands import DEMANDS
from breaks_of_sockets import SOCKETS
from broken_copies import (
    AT_A_TIME,
    Break,
    Copies,
    check_unbroken,
    copies_of_the_tree,
    exchange,
    run_python,
    run_tests,
    why_not_red,
)

STORIES = "tests/auth/test_promise_by_promise.py"
MACHINE = """
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.auth.test_promises import AuthPromises

quick = settings(derandomize=True, database=None, deadline=None, phases=[Phase.generate], report_multiple_bugs=False)
run_state_machine_as_test(AuthPromises, settings=settings(quick, max_examples=400, stateful_step_count=30))
"""


PROMISES = (
    Break(
        "P1",
        "everyone who needs a refresh starts one",
        "auth/single_flight.py",
        "if (flight := self._current()) is None:",
        "if (flight := None) is None:",
        "TestP1OneRefresh::test_p1_fifty_refusals_on_two_chains_share_one_refresh",
    ),
    Break(
        "P1",
        "a forced refresh joins none that is under way",
        "auth/refresher.py",
        "        return self.flight.join(Refresh(",
        "        self.flight._flight = None\n        return self.flight.join(Refresh(",
        "TestP1OneRefresh::test_p1_operations_calls_and_a_forced_refresh_share_one_refresh",
    ),
    Break(
        "P2",
        "the flag is reset after the release",
        "auth/single_flight.py",
        "        if self._land(flight):\n            flight.succeed(outcome)\n\n    def _fail",
        "        flight.succeed(outcome)\n        self._land(flight)\n\n    def _fail",
        "auth/test_single_flight.py::TestOneFlight::test_the_flag_is_reset_before_anyone_is_released",
    ),
    Break(
        "P2",
        "nothing filters what a refresh returns",
        "auth/single_flight.py",
        ".filter(lambda outcome: outcome is not None)",
        ".filter(lambda outcome: True)",
        "TestP2EveryOperationEnds::test_p2_a_refresh_that_returns_nothing_ends_everyone_with_an_error",
    ),
    Break(
        "P2",
        "a refresh that returns nothing completes in silence",
        "auth/single_flight.py",
        "lambda: self._fail(flight, NothingReturned())",
        "lambda: None",
        "TestP2EveryOperationEnds::test_p2_a_refresh_that_returns_nothing_ends_everyone_with_an_error",
    ),
    Break(
        "P2",
        "an observer that raises stops the release",
        "auth/pending.py",
        "            report_callback_error(error)",
        "            raise",
        "TestP2EveryOperationEnds::test_p2_an_observer_that_raises_does_not_stop_the_others",
    ),
    Break(
        "P2",
        "only the first slice is released",
        "auth/pending.py",
        "asyncio.get_running_loop().call_soon(self._drain)",
        "asyncio.get_running_loop()",
        "TestP2EveryOperationEnds::test_p2_ten_thousand_operations_that_wait_on_one_refresh_all_end",
    ),
    Break(
        "P3",
        "a retry counts as a first attempt",
        "auth/attempts.py",
        "_SecondAttempt(self._authorization, self._operation, self._observer, credential)",
        "FirstAttempt(self._authorization, self._operation, self._observer, self.root, self._proceed,\n"
        "            self._epoch)",
        "TestP3TwoSendsAtMost::test_p3_who_is_refused_again_gets_the_refusal",
    ),
    Break(
        "P3",
        "a stream is sent again after its first results",
        "auth/attempts.py",
        "passes = first is PASSED or (",
        "passes = (",
        "TestP3TwoSendsAtMost::test_p3_who_has_had_a_result_is_not_sent_again",
    ),
    Break(
        "P4",
        "the save is not awaited",
        "auth/keeper.py",
        "        await self._vault.save_refreshed(kept, turn)",
        "        import asyncio; self.saving = asyncio.ensure_future(\n"
        "            self._vault.save_refreshed(kept, turn))",
        "TestP4SavedBeforeRetried::test_p4_no_retry_is_sent_before_the_save_has_returned",
    ),
    Break(
        "P4",
        "who is refused while the tokens are saved is retried at once",
        "auth/gate.py",
        "if is_retry and self._vault.is_saving",
        "if False and self._vault.is_saving",
        "TestP4SavedBeforeRetried::test_p4_who_is_refused_late_waits_for_the_save_too",
    ),
    Break(
        "P4",
        "a save that fails fails the refresh",
        "auth/vault.py",
        "if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():",
        "if True:",
        "TestP4SavedBeforeRetried::test_p4_a_save_that_fails_fails_no_operation",
    ),
    Break(
        "P5",
        "a refusal counts for the token in use, not for the one that was sent",
        "auth/attempts.py",
        "            keeper.reject(sent)",
        "            keeper.reject(keeper.wallet.credential or sent)",
        "TestP5NoRefreshWithoutReason::test_p5_a_late_refusal_is_retried_with_the_current_token_without_a_refresh",
    ),
    Break(
        "P5",
        "operations wait for an advisory refresh",
        "auth/gate.py",
        "return is_stale or reason is RefreshReason.EXPIRING",
        "return False",
        "TestP5NoRefreshWithoutReason::test_p5_operations_go_on_during_an_advisory_refresh",
    ),
    Break(
        "P5",
        "operations go on with a token that was refused",
        "auth/gate.py",
        "return is_stale or reason is RefreshReason.EXPIRING",
        "return True",
        "TestP5NoRefreshWithoutReason::test_p5_operations_that_start_during_the_refresh_of_a_refused_token_wait",
    ),
    Break(
        "P6",
        "the first to leave takes the places of all",
        "auth/attempts.py",
        "places[self.index] = None",
        "places[:] = [None] * len(places)",
        "TestP6LeavingIsAPrivateMatter::test_p6_leaving_never_cancels_the_refresh_of_others",
    ),
    Break(
        "P6",
        "the refresh is cancelled when its last waiter leaves",
        "auth/attempts.py",
        "        places[self.index] = None",
        "        import asyncio\n\n        places[self.index] = None\n"
        "        # as ref_count of RxPY does, through the task of its from_future\n"
        "        [task.cancel() for task in asyncio.all_tasks() if not any(self.places) and '_relay' in repr(task)]",
        "TestP6LeavingIsAPrivateMatter::test_p6_a_refresh_goes_on_when_its_last_waiter_has_left",
    ),
    Break(
        "P6",
        "who leaves keeps the request running",
        "core/subscription.py",
        "        self.is_stopped = True\n        self.cancel_resource()",
        "        self.is_stopped = True",
        "TestP6LeavingIsAPrivateMatter::test_p6_leaving_aborts_the_retry_that_is_under_way",
    ),
    Break(
        "P7",
        "tokens print themselves",
        "auth/tokens.py",
        "<TokenSet access={fingerprint(self.access_token)} ",
        "<TokenSet access={self.access_token} ",
        "TestP7NoSecretIsTold::test_p7_no_token_in_any_repr_error_or_event",
    ),
    Break(
        "P7",
        "a refresh error quotes its issuer",
        "auth/refresher.py",
        'f"the token refresh failed with {type(error).__name__}", retryable=is_transient(error)',
        'f"the token refresh failed with {error}", retryable=is_transient(error)',
        "TestP7NoSecretIsTold::test_p7_the_message_of_a_refresh_error_leaves_out_what_the_issuer_said",
    ),
    Break(
        "P8",
        "operations do not look whose login it is",
        "auth/authorization.py",
        "if wallet.epoch != self.epoch:",
        "if False:",
        "TestP8LoginsNeverMix::test_p8_who_is_refused_after_another_login_is_not_retried_in_it",
    ),
    Break(
        "P8",
        "what begins is bound to the login before the look at the storage",
        "auth/link.py",
        "is_bound=not is_shared or login in context",
        "is_bound=True",
        "auth/test_shared.py::TestOperations::test_that_begin_after_another_login_elsewhere_are_of_that_one",
    ),
    Break(
        "P8",
        "what had begun takes the login that the look at the storage finds",
        "auth/link.py",
        "is_bound=not is_shared or login in context",
        "is_bound=not is_shared",
        "auth/test_shared.py::TestOperations::test_that_had_begun_before_it_end",
    ),
    Break(
        "P8",
        "without a shared storage nobody is bound to a login",
        "auth/link.py",
        "is_bound=not is_shared or login in context",
        "is_bound=login in context",
        "auth/test_link.py::TestStorage::test_who_waited_for_the_tokens_to_be_loaded_stays_with_their_login",
    ),
    Break(
        "P8",
        "who looks twice is bound to the login that was found first",
        "auth/attempts.py",
        "self.admit(is_bound=is_bound, has_waited=has_waited, is_told=is_told)",
        "self.admit(is_bound=True, has_waited=has_waited, is_told=is_told)",
        "auth/test_shared.py::TestOperations::test_that_look_twice_are_of_the_login_that_is_found_last",
    ),
    Break(
        "P8",
        "signing out leaves the refresh running",
        "auth/refresher.py",
        "        return self._withdraw()",
        "        return lambda error: None",
        "TestP8LoginsNeverMix::test_p8_signing_out_during_a_refresh_wins",
    ),
    Break(
        "P8",
        "get_token takes whatever token is there after the wait",
        "auth/gate.py",
        "        if self._wallet.epoch != epoch and not is_load:",
        "        if False:",
        "TestP8LoginsNeverMix::test_p8_get_token_gives_nobody_the_token_of_another_login",
    ),
    Break(
        "P8",
        "another login ends the old operations before its tokens are there",
        "auth/keeper.py",
        "            self.wallet.renew(tokens, is_refreshed=False)\n",
        '            self._part()(SessionEnded("another login"))\n'
        "            self.wallet.renew(tokens, is_refreshed=False)\n",
        "TestP8LoginsNeverMix::test_p8_who_starts_anew_when_another_login_ends_them_carries_its_token",
    ),
    Break(
        "P8",
        "calls of the storage overtake one another",
        "auth/storage/serial.py",
        "                await asyncio.wait([asyncio.wrap_future(self._before._over)])",
        "                pass",
        "auth/storage/test_serial.py::test_each_call_begins_when_the_one_before_has_ended",
    ),
    Break(
        "P9",
        "a transient failure is final for those who wait",
        "auth/refresher.py",
        "                if not is_transient(error) or self._has_waited_enough(refresh):",
        "                if True:",
        "TestP9WhatEndsASession::test_p9_a_transient_failure_is_tried_again_and_ends_nothing",
    ),
    Break(
        "P9",
        "every failure signs out",
        "auth/keeper.py",
        "self._end(error, refresh.epoch) if isinstance(error, SessionEnded) else None",
        'self._end(SessionEnded("failed"), refresh.epoch)',
        "TestP9WhatEndsASession::test_p9_a_failure_that_is_not_the_users_keeps_the_session",
    ),
    Break(
        "P9",
        "the cause gets lost",
        "errors.py",
        "        error.__cause__ = self.__cause__ or self",
        "        error.__cause__ = None",
        "TestP9WhatEndsASession::test_p9_a_final_failure_ends_the_session_once_with_the_cause_on_every_error",
    ),
    Break(
        "P10",
        "operations after another login are still of the one before",
        "auth/link.py",
        "        if mine.epoch != epoch:",
        "        if False:",
        "TestP10TheSessionWorksAgain::test_p10_after_any_outcome_of_a_refresh_the_session_works_again",
    ),
    Break(
        "P10",
        "a refresh has no time limit",
        "auth/single_flight.py",
        "self._limit(flight, self._time_limit)",
        "self._limit(flight, 1e6)",
        "TestP10TheSessionWorksAgain::test_p10_a_refresh_that_hangs_ends_at_its_time_limit",
    ),
    Break(
        "P10",
        "a refresh that failed leaves the flag up",
        "auth/single_flight.py",
        "        if self._land(flight):\n            self._release_failed(flight, error)",
        "        self._release_failed(flight, error)",
        "TestP10TheSessionWorksAgain::test_p10_after_any_outcome_of_a_refresh_the_session_works_again",
    ),
    Break(
        "P10",
        "an operation of the refresh waits for the refresh",
        "auth/keeper.py",
        "return self._refresher.flight.is_inside() or",
        "return False and self._refresher.flight.is_inside() or",
        "TestP10TheSessionWorksAgain::test_p10_a_refresh_through_the_guarded_chain_does_not_wait_for_itself",
    ),
    Break(
        "P11",
        "who is released runs in the context of whoever releases",
        "core/subscription.py",
        "self._context.copy().run(function, *args)",
        "function(*args)",
        "TestP11OwnContext::test_p11_in_a_wave_of_a_hundred_each_setter_and_observer_sees_its_own",
    ),
    Break(
        "P11",
        "errors are delivered in the context of the refresh",
        "auth/pending.py",
        "place.root.resume(place.fail, self.exception)",
        "place.fail(self.exception)",
        "TestP11OwnContext::test_p11_in_a_wave_of_a_hundred_each_setter_and_observer_sees_its_own",
    ),
    Break(
        "P1",
        "the storage is not read again under the lease",
        "auth/permit.py",
        "has_lost_all = await self._look()",
        "has_lost_all = False",
        "auth/test_shared.py::TestOneRefresh::test_of_fifty_that_see_the_token_end_one_refreshes",
    ),
    Break(
        "P1",
        "tokens go over those of another",
        "auth/storage/shared_depot.py",
        "if kept.is_late or not (kept.is_login or self._may_go_over(found, new)):",
        "if kept.is_late:",
        "auth/test_shared_lease.py::TestLosingTheRace::test_tokens_of_a_refresh_do_not_go_over_those_of_another",
    ),
    Break(
        "P4",
        "others refresh while tokens are still to be saved",
        "auth/vault.py",
        "        if not (self.is_saving or self._unsaved.is_pending):\n            self._nothing",
        "        if True:\n            self._nothing",
        "auth/test_shared_outage.py::TestAStorageThatFails::test_tokens_that_are_not_saved_are_saved_before_others_may_refresh",
    ),
    Break(
        "P4",
        "others refresh while a sign-out is still to be saved",
        "auth/vault.py",
        "        if self.permit is not None and not is_awaited:",
        "        if self.permit is not None:",
        "auth/test_shared_found.py::TestALeaseThatASignOutWaitsWith::test_is_not_given_back_when_there_is_nothing_to_be"
        "_saved_of_the_refresh_any_more",
    ),
    Break(
        "P9",
        "others refresh while the end of the session is still to be saved",
        "auth/vault.py",
        "                loop.call_soon(self._give_back)",
        "                self._give_back()",
        "auth/test_shared_found.py::TestTheEndOfASession::test_is_saved_before_another_may_refresh",
    ),
    Break(
        "P10",
        "the lease is not given back",
        "auth/vault.py",
        "                loop.call_soon(self._give_back)\n",
        "                pass\n",
        "auth/test_shared_lease.py::TestTheLease::test_it_is_given_back_however_the_refresh_ends",
    ),
    Break(
        "P8",
        "a sign-out elsewhere is not noticed",
        "auth/storage/shared_depot.py",
        "        return self._stamp_now() != self._stamp\n",
        "        return self._stamp is NEVER_SEEN\n",
        "auth/test_shared.py::TestOthersLogins::test_a_sign_out_elsewhere_is_noticed_at_the_next_use",
    ),
)

BREAKS = (*PROMISES, *DEMANDS, *SOCKETS)


@dataclass(frozen=True)
class Verdict:
    """What became of one break."""

    broken: Break
    problem: str | None
    machine: str
    seconds: float


def path_of(broken: Break) -> str:
    """Return the test of a break, as pytest takes it."""
    return f"tests/{broken.test}" if ".py::" in broken.test else f"{STORIES}::{broken.test}"


def try_break(copies: Copies, broken: Break, *, with_machine: bool) -> Verdict:
    begin = perf_counter()
    machine = ""
    try:
        with copies.broken(broken.file, exchange(broken.file, broken.old, broken.new)) as copy:
            problem = why_not_red(run_tests(copy, [path_of(broken)]))
            if with_machine:
                machine = "red" if run_python(copy, "-W", "ignore", "-c", MACHINE).returncode else "green"
    except LookupError as error:
        problem = str(error)
    return Verdict(broken, problem, machine, perf_counter() - begin)


def report(verdict: Verdict) -> None:
    broken = verdict.broken
    outcome = "ok  " if verdict.problem is None else "FAIL"
    machine = f"machine {verdict.machine:5} " if verdict.machine else ""
    print(f"{outcome} {broken.promise:3} {verdict.seconds:5.1f} s  {machine}{broken.name}", flush=True)
    if verdict.problem is not None:
        print(f"     {broken.test}: {verdict.problem}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Break promises on purpose and see their tests turn red.")
    parser.add_argument("promises", nargs="*", metavar="P1|E09...", help="only the breaks of these")
    parser.add_argument("--machine", action="store_true", help="run the state machine against each break too")
    options = parser.parse_args()
    chosen = [broken for broken in BREAKS if not options.promises or broken.promise in options.promises]
    with copies_of_the_tree() as copies, ThreadPoolExecutor(AT_A_TIME) as threads:
        problem = check_unbroken(copies, sorted({path_of(broken) for broken in chosen}))
        if problem is not None:
            print(problem)
            return 1
        verdicts = []
        for verdict in threads.map(lambda broken: try_break(copies, broken, with_machine=options.machine), chosen):
            report(verdict)
            verdicts.append(verdict)
    failed = sum(verdict.problem is not None for verdict in verdicts)
    print(f"{len(verdicts) - failed} passed, {failed} failed")
    return 1 if failed or not verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
