"""The promises of auth (P1-P6, P8-P11) through random interleavings of operations, refreshes, logins and time.

A rule is one event of the world around a session; after each, every promise is checked against the world's own books.
Random with a printed seed under `pytest -m soak`; small, and the same in each run of CI, otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.auth.promise_checks import (
    check_all,
    check_p2_a_refresh_that_failed_for_good_ends_everyone,
    check_p2_nothing_is_left,
    check_p5_goes_on_or_waits,
    check_p6_leaving_is_a_private_matter,
    check_p9_a_transient_failure_ends_nobody,
    check_p9_the_cause_is_on_every_error,
    check_p10_a_refresh_that_was_told_to_end_ends,
    check_p10_the_session_works,
)
from tests.auth.promise_issuer import Issuer
from tests.auth.promise_records import TIME_LIMIT
from tests.auth.promise_world import World

REACTIONS = (
    "nothing",
    "nothing",
    "raise",
    "leave",
    "others leave",
    "start another",
    "sign out",
    "sign in",
    "force refresh",
)
ANSWERS = (
    *("as deserved", "as deserved", "accept a part", "refuse", "refuse"),
    *("accept a part and refuse by result", "break down"),
)
STEPS = (0.1, 1.0, 9.0, 20.0, TIME_LIMIT, 60.0, 100.0)
LIVES = (None, 1.0, 100.0, 400.0)
ANY = st.integers(min_value=0, max_value=63)
ACTS = ("sign_out", "ask_for_token", "force_refresh", "let_a_listener_start_an_operation")
STORAGE_POLICIES = st.sampled_from(("at once", "at once", "ask", "fail"))
DECISIONS = st.one_of(
    st.tuples(st.just("server"), st.sampled_from(("ask", "ask", "at once"))),
    st.tuples(st.just("issuer"), st.sampled_from(("ask", "ask", "ask", *Issuer.POLICIES))),
    st.tuples(st.sampled_from(("load", "save", "save", "clear")), STORAGE_POLICIES),
)
QUICK_EXAMPLES = 150
QUICK_STEPS = 30
LONG_STEPS = 50


def world_has(question: Callable[[World], Any]) -> Any:
    return precondition(lambda machine: bool(question(machine.world)))


class AuthPromises(RuleBasedStateMachine):
    """Two chains that share a session."""

    world: World

    @initialize(
        signed_in=st.sampled_from((True, True, False)),
        life=st.sampled_from(LIVES),
        loads=STORAGE_POLICIES,
        stored=st.booleans(),
        saves=STORAGE_POLICIES,
        server=st.sampled_from(("ask", "ask", "at once")),
    )
    def begin(self, signed_in: bool, life: float | None, loads: str, stored: bool, saves: str, server: str) -> None:
        self.small_slices = patch(
            "rxlink.auth.pending.SLICE", 2
        )  # so that a wave of a few is several turns of the loop
        self.small_slices.start()
        self.world = World(signed_in=signed_in, life=life, loads=loads, stored=stored)
        self.world.server_policy = server
        self.world.storage.policy["save"] = saves

    # -- operations

    @rule(
        chain=st.sampled_from((0, 1)),
        parts=st.sampled_from((1, 3)),
        reaction=st.sampled_from(REACTIONS),
        bad_setter=st.sampled_from((0, 0, 0, 0, 0, 1, 2)),
    )
    def start(self, chain: int, parts: int, reaction: str, bad_setter: int) -> None:
        expected = self.world.what_a_new_operation_does()
        op = self.world.start(chain, parts=parts, reaction=reaction, raises_in_setter_of_send=bad_setter)
        check_p5_goes_on_or_waits(op, expected)

    @rule(
        reactions=st.lists(st.sampled_from(REACTIONS), min_size=2, max_size=5),
        asks=st.booleans(),
        are_refused=st.booleans(),
    )
    def start_a_wave(self, reactions: list[str], asks: bool, are_refused: bool) -> None:
        if are_refused:
            self.world.revoke()
        ops = [self.world.start(index % 2, reaction=reaction) for index, reaction in enumerate(reactions)]
        if asks:
            self.world.time.call(self.world.ask_for_token)
        for attempt in [attempt for attempt in self.world.pending if are_refused and attempt.send.op in ops]:
            self.world.time.call(attempt.answer, "as deserved")

    @world_has(lambda world: world.pending)
    @rule(which=ANY, how=st.sampled_from(ANSWERS))
    def answer(self, which: int, how: str) -> None:
        pending = self.world.pending
        self.world.time.call(pending[which % len(pending)].answer, how)

    @world_has(lambda world: world.pending)
    @rule()
    def answer_all(self) -> None:
        self.world.answer_all()

    @world_has(lambda world: world.open_ops)
    @rule(which=ANY, everybody=st.sampled_from((False, False, True)))
    def leave(self, which: int, everybody: bool) -> None:
        ops = self.world.open_ops
        running = self.world.issuer.running
        for op in ops if everybody else [ops[which % len(ops)]]:
            self.world.time.call(op.leave)
        check_p6_leaving_is_a_private_matter(running)

    # -- tokens

    @world_has(lambda world: world.undecided_refreshes)
    @rule(outcome=st.sampled_from(("good", "good", "good", "refused too", "transient", *Issuer.OUTCOMES)))
    def finish_refresh(self, outcome: str) -> None:
        (call,) = self.world.undecided_refreshes
        waiting, raised_before = self.world.waiting_ops, len(self.world.issuer.raised)
        self.world.finish_refresh(outcome)
        check_p10_a_refresh_that_was_told_to_end_ends(call)
        check_p2_a_refresh_that_failed_for_good_ends_everyone(outcome, waiting)
        check_p9_the_cause_is_on_every_error(self.world.issuer.raised[raised_before:], outcome, waiting)
        check_p9_a_transient_failure_ends_nobody(self.world, outcome, waiting)

    @world_has(lambda world: world.storage.running)
    @rule(is_good=st.booleans())
    def finish_storage(self, is_good: bool) -> None:
        self.world.finish_storage(is_good=is_good)

    @rule()
    def revoke(self) -> None:
        self.world.revoke()

    @rule(seconds=st.sampled_from(STEPS))
    def time_passes(self, seconds: float) -> None:
        self.world.time.advance(seconds)

    @world_has(lambda world: world.current is not None and world.current.mandatory_at is not None)
    @rule(moment=st.sampled_from(("inside the advisory window", "mandatory", "end")))
    def the_token_grows_old(self, moment: str) -> None:
        self.world.advance_to(moment)

    @rule(decision=DECISIONS)
    def decide_how_to_answer(self, decision: tuple[str, str]) -> None:
        who, policy = decision
        match who:
            case "server":
                self.world.server_policy = policy
            case "issuer":
                self.world.issuer.policy = policy
            case _:
                self.world.storage.policy[who] = policy

    # -- users

    @rule(act=st.sampled_from(ACTS))
    def somebody_acts(self, act: str) -> None:
        self.world.time.call(getattr(self.world, act))

    @rule(life=st.sampled_from(LIVES))
    def sign_in(self, life: float | None) -> None:
        self.world.time.call(self.world.sign_in, life)

    @precondition(lambda machine: not machine.world.is_closed)
    @rule()
    def all_heals(self) -> None:
        self.world.heal()
        check_p10_the_session_works(self.world)
        self.world.issuer.policy = "ask"

    @world_has(lambda world: len(world.ops) > 10)
    @rule()
    def close(self) -> None:
        self.world.time.call(self.world.close_session)

    @invariant()
    def all_promises_hold(self) -> None:
        check_all(self.world)

    def teardown(self) -> None:
        self.small_slices.stop()
        with self.world as world:
            note("everything runs out")
            world.run_out()
            check_all(world)
            assert not world.open_ops, f"never ended: {world.open_ops}"
            if not world.is_closed:
                note("all heals")
                world.heal()
                check_p10_the_session_works(world)
                note("the session is closed")
                world.time.call(world.close_session)
            world.run_out()
            world.finish_all_storage()
            check_all(world)
            check_p2_nothing_is_left(world)


@pytest.mark.timeout(300)  # seconds; a few suffice, unless there is a failure to shrink
class TestPromises(AuthPromises.TestCase):
    settings = settings(max_examples=QUICK_EXAMPLES, stateful_step_count=QUICK_STEPS, report_multiple_bugs=False)


@pytest.mark.soak
class TestPromisesAtLength(AuthPromises.TestCase):
    settings = settings(stateful_step_count=LONG_STEPS, report_multiple_bugs=False)
