"""The promises of auth (P1-P6, P8-P11) through random interleavings of operations, refreshes, logins and time.

A rule is one event of the world around a session; after each, every promise is checked against the world's own books.
Random with a printed seed under `pytest -m soak`; small, and the same in each run of CI, otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.auth.promise_checks import (
    check_all,
    check_p2_nothing_is_left,
    check_p5_goes_on_or_waits,
    check_p6_leaving_is_a_private_matter,
    check_p10_the_session_works,
)
from tests.auth.promise_world import TIME_LIMIT, Issuer, World

REACTIONS = ("nothing", "nothing", "raise", "leave", "others leave", "start another", "sign out", "sign in", "force")
ANSWERS = ("as deserved", "as deserved", "as deserved", "accept a part", "refuse", "break down")
STEPS = (0.1, 1.0, 9.0, 20.0, TIME_LIMIT, 60.0, 100.0)
LIVES = (None, None, 1.0, 100.0, 400.0)
ANY = st.integers(min_value=0, max_value=63)
STORAGE_POLICIES = st.sampled_from(("at once", "at once", "ask", "fail"))
QUICK_STEPS = 30


def world_has(question: Callable[[World], Any]) -> Any:
    return precondition(lambda machine: bool(question(machine.world)))


class AuthPromises(RuleBasedStateMachine):
    """Two chains that share a session."""

    world: World

    @initialize(
        signed_in=st.booleans(),
        life=st.sampled_from(LIVES),
        loads=STORAGE_POLICIES,
        stored=st.booleans(),
        server=st.sampled_from(("ask", "ask", "at once")),
    )
    def begin(self, signed_in: bool, life: float | None, loads: str, stored: bool, server: str) -> None:
        self.world = World(signed_in=signed_in, life=life, loads=loads, stored=stored)
        self.world.server_policy = server

    # -- operations

    @rule(
        chain=st.sampled_from((0, 1)),
        parts=st.sampled_from((1, 1, 3)),
        reaction=st.sampled_from(REACTIONS),
        bad_setter=st.sampled_from((0, 0, 0, 0, 0, 1, 2)),
    )
    def start(self, chain: int, parts: int, reaction: str, bad_setter: int) -> None:
        expected = self.world.what_a_new_operation_does()
        op = self.world.start(chain, parts=parts, reaction=reaction, raises_in_setter_of_send=bad_setter)
        check_p5_goes_on_or_waits(op, expected)

    @rule(number=st.integers(min_value=2, max_value=5), reaction=st.sampled_from(REACTIONS), asks=st.booleans())
    def start_a_wave(self, number: int, reaction: str, asks: bool) -> None:
        for index in range(number):
            self.world.start(index % 2, reaction="nothing" if index else reaction)
        if asks:
            self.world.time.call(self.world.ask_for_token)

    @world_has(lambda world: world.pending)
    @rule(which=ANY, how=st.sampled_from(ANSWERS))
    def answer(self, which: int, how: str) -> None:
        pending = self.world.pending
        self.world.time.call(pending[which % len(pending)].answer, how)

    @world_has(lambda world: world.pending)
    @rule()
    def answer_all(self) -> None:
        self.world.answer_all()

    @rule(policy=st.sampled_from(("ask", "ask", "at once")))
    def decide_how_the_server_answers(self, policy: str) -> None:
        self.world.server_policy = policy

    @world_has(lambda world: world.open_ops)
    @rule(which=ANY)
    def leave(self, which: int) -> None:
        ops = self.world.open_ops
        running = self.world.issuer.running
        self.world.time.call(ops[which % len(ops)].leave)
        check_p6_leaving_is_a_private_matter(running)

    @world_has(lambda world: world.open_ops)
    @rule()
    def everybody_leaves(self) -> None:
        running = self.world.issuer.running
        for op in self.world.open_ops:
            self.world.time.call(op.leave)
        check_p6_leaving_is_a_private_matter(running)

    # -- tokens

    @world_has(lambda world: world.undecided_refreshes)
    @rule(outcome=st.sampled_from(("good", "good", "good", *Issuer.OUTCOMES)))
    def finish_refresh(self, outcome: str) -> None:
        self.world.finish_refresh(outcome)

    @rule(policy=st.sampled_from(("ask", "ask", "ask", *Issuer.POLICIES)))
    def decide_how_refreshes_end(self, policy: str) -> None:
        self.world.issuer.policy = policy

    @rule()
    def revoke(self) -> None:
        self.world.revoke()

    @rule(kind=st.sampled_from(("load", "save", "save", "clear")), policy=STORAGE_POLICIES)
    def decide_how_the_storage_answers(self, kind: str, policy: str) -> None:
        self.world.storage.policy[kind] = policy

    @world_has(lambda world: world.storage.running)
    @rule(is_good=st.booleans())
    def finish_storage(self, is_good: bool) -> None:
        self.world.finish_storage(is_good=is_good)

    @rule(seconds=st.sampled_from(STEPS))
    def time_passes(self, seconds: float) -> None:
        self.world.time.advance(seconds)

    # -- users

    @rule()
    def sign_out(self) -> None:
        self.world.time.call(self.world.sign_out)

    @rule(life=st.sampled_from(LIVES))
    def sign_in(self, life: float | None) -> None:
        self.world.time.call(self.world.sign_in, life)

    @rule()
    def ask_for_token(self) -> None:
        self.world.time.call(self.world.ask_for_token)

    @rule()
    def force_refresh(self) -> None:
        self.world.time.call(self.world.force_refresh)

    @rule()
    def a_listener_starts_an_operation(self) -> None:
        self.world.listener_starts_operations = True

    @precondition(lambda machine: not machine.world.is_closed)
    @rule()
    def all_heals(self) -> None:
        self.world.heal()
        check_p10_the_session_works(self.world)
        self.world.issuer.policy = "ask"

    @world_has(lambda world: len(world.ops) > 5)
    @rule()
    def close(self) -> None:
        self.world.time.call(self.world.close_session)

    @invariant()
    def all_promises_hold(self) -> None:
        check_all(self.world)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
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


class TestPromises(AuthPromises.TestCase):
    settings = settings(settings.get_profile("default"), stateful_step_count=QUICK_STEPS)
