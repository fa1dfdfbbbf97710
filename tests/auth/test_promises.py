"""The promises of auth (P1-P6, P8-P11) through random interleavings of operations, refreshes, logins and time.

One to three users share two chains; each has a session, an issuer, a storage and books of their own. A rule is one
event of the world around a session; after each, every promise is checked against the books of everybody.
Random with a printed seed under `pytest -m soak`; small, and the same in each run of CI, otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.auth.promise_checks import (
    check_all,
    check_e95_nobody_waits_for_another,
    check_p2_a_refresh_that_failed_for_good_ends_everyone,
    check_p2_nothing_is_left,
    check_p5_goes_on_or_waits,
    check_p5_refreshes_in_advance,
    check_p6_leaving_is_a_private_matter,
    check_p9_a_transient_failure_ends_nobody,
    check_p9_the_cause_is_on_every_error,
    check_p9_who_is_not_signed_in_again_ends,
    check_p10_a_refresh_that_was_told_to_end_ends,
    check_p10_the_session_works,
)
from tests.auth.promise_events import started_so_far
from tests.auth.promise_hook import Hook
from tests.auth.promise_issuer import Issuer
from tests.auth.promise_operations import Op
from tests.auth.promise_realm import Realm
from tests.auth.promise_records import TIME_LIMIT, Options
from tests.auth.promise_windows import FORMS
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
LIVES = (None, 1.0, 100.0, 400.0, 90_000.0)
CLOCK_STEPS = (-90_000.0, -400.0, -60.0, -8.0, 8.0, 60.0, 400.0, 90_000.0)
"""Seconds by which somebody sets the sessions' clock."""
ANY = st.integers(min_value=0, max_value=63)
ACTS = ("sign_out", "ask_for_token", "force_refresh", "let_a_listener_start_an_operation")
STORAGE_POLICIES = st.sampled_from(("at once", "at once", "ask", "fail"))
DECISIONS = st.one_of(
    st.tuples(st.just("server"), st.sampled_from(("ask", "ask", "at once"))),
    st.tuples(st.just("hook"), st.sampled_from(Hook.POLICIES)),
    st.tuples(st.just("issuer"), st.sampled_from(("ask", "ask", "ask", *Issuer.POLICIES))),
    st.tuples(st.sampled_from(("load", "save", "save", "clear")), STORAGE_POLICIES),
)
OPTIONS = st.builds(
    Options,
    on_outage=st.sampled_from(("wait", "wait", "fail", "use_stale")),
    retry_mutations=st.booleans(),
    obtain_first=st.booleans(),
    signs_in_again=st.booleans(),
    relogin_timeout=st.sampled_from((None, 5.0, 50.0)),
    form=st.sampled_from(FORMS),
)
BEGINNINGS = st.fixed_dictionaries(
    {
        "signed_in": st.sampled_from((True, True, False)),
        "life": st.sampled_from(LIVES),
        "loads": STORAGE_POLICIES,
        "stored": st.booleans(),
    }
)
KINDS = (
    *({}, {}, {}, {"is_mutation": True}, {"is_mutation": True, "retry_mutations": False}),
    *({"is_mutation": True, "retry_mutations": True}, {"retry_mutations": False}),
    *({"is_outside": True}, {"is_outside": True, "is_nobodys": True}),
)
"""What is said of an operation."""
QUICK_EXAMPLES = 250
QUICK_STEPS = 30
LONG_EXAMPLES = 200 if os.environ.get("RXLINK_SOAK") == "short" else 5_000
LONG_STEPS = 50
LONG_LIMIT = 7200
"""Seconds for the long form: some 20 examples a second, and as many again to shrink a failure."""


def some_world(question: Callable[[World], Any]) -> Any:
    return precondition(lambda machine: any(map(question, machine.realm.worlds)))


class AuthPromises(RuleBasedStateMachine):
    """Two chains that share the sessions of one to three users."""

    realm: Realm

    @initialize(
        users=st.sampled_from((1, 1, 2, 3)),
        first=BEGINNINGS,
        saves=STORAGE_POLICIES,
        server=st.sampled_from(("ask", "ask", "at once")),
        options=OPTIONS,
        skew=st.sampled_from((0.0, 0.0, *CLOCK_STEPS)),
    )
    def begin(self, users: int, first: dict[str, Any], saves: str, server: str, options: Options, skew: float) -> None:
        # A wave of a few is several turns of the loop.
        self.small_slices = patch("rxlink.auth.pending.SLICE", 2)
        self.small_slices.start()
        self.realm = Realm()
        self.realm.skew = skew
        self.realm.server_policy = server
        for user in range(users):
            # The first one is as drawn; the others are signed in, so that there is always somebody to be disturbed.
            beginning = first if user == 0 else {"life": first["life"]}
            World(**beginning, options=options, realm=self.realm).storage.policy["save"] = saves
        if users == 1:
            self.realm.build_for_one()
        else:
            self.realm.choose_by_user(options)

    def choose(self, which: int, question: Callable[[World], Any] = lambda world: True) -> World:
        worlds = [world for world in self.realm.worlds if question(world)]
        return worlds[which % len(worlds)]

    # -- operations

    @rule(
        user=ANY,
        chain=st.sampled_from((0, 1)),
        parts=st.sampled_from((1, 3)),
        reaction=st.sampled_from(REACTIONS),
        bad_setter=st.sampled_from((0, 0, 0, 0, 0, 1, 2)),
        kind=st.sampled_from(KINDS),
    )
    def start(self, user: int, chain: int, parts: int, reaction: str, bad_setter: int, kind: dict[str, bool]) -> None:
        if len(self.realm.worlds) == 1:
            kind = {**kind, "is_nobodys": False}
        traits = {"parts": parts, "reaction": reaction, "raises_in_setter_of_send": bad_setter, **kind}
        self.start_and_see(self.choose(user), chain, **traits)

    @rule(
        user=ANY,
        reactions=st.lists(st.sampled_from(REACTIONS), min_size=2, max_size=5),
        asks=st.booleans(),
        are_refused=st.booleans(),
        of_everybody=st.booleans(),
    )
    def start_a_wave(self, user: int, reactions: list[str], asks: bool, are_refused: bool, of_everybody: bool) -> None:
        worlds = [self.choose(user + index if of_everybody else user) for index in range(len(reactions))]
        if are_refused:
            for world in worlds:
                world.revoke()
        ops = [world.start(index % 2, reaction=reactions[index]) for index, world in enumerate(worlds)]
        if asks:
            self.realm.time.call(worlds[0].ask_for_token)
        for attempt in [attempt for attempt in self.realm.pending if are_refused and attempt.send.op in ops]:
            self.realm.time.call(attempt.answer, "as deserved")

    @some_world(lambda world: world.pending)
    @rule(which=ANY, how=st.sampled_from(ANSWERS))
    def answer(self, which: int, how: str) -> None:
        pending = self.realm.pending
        self.realm.time.call(pending[which % len(pending)].answer, how)

    @some_world(lambda world: world.pending)
    @rule()
    def answer_all(self) -> None:
        for world in self.realm.worlds:
            world.answer_all()

    @some_world(lambda world: world.open_ops)
    @rule(user=ANY, which=ANY, everybody=st.sampled_from((False, False, True)))
    def leave(self, user: int, which: int, everybody: bool) -> None:
        world = self.choose(user, lambda world: world.open_ops)
        ops, running = world.open_ops, world.issuer.running
        for op in ops if everybody else [ops[which % len(ops)]]:
            self.realm.time.call(op.leave)
        check_p6_leaving_is_a_private_matter(running)

    # -- tokens

    @some_world(lambda world: world.undecided_refreshes)
    @rule(user=ANY, outcome=st.sampled_from(("good", "good", "good", "refused too", "transient", *Issuer.OUTCOMES)))
    def finish_refresh(self, user: int, outcome: str) -> None:
        self.finish_and_see(self.choose(user, lambda world: world.undecided_refreshes), outcome)

    @rule(
        user=ANY,
        chain=st.sampled_from((0, 1)),
        outcome=st.sampled_from(("final", "final", *Issuer.OUTCOMES)),
        again=st.sampled_from((None, "tokens", *Hook.OUTCOMES)),
    )
    def a_refused_operation_has_its_refresh(self, user: int, chain: int, outcome: str, again: str | None) -> None:
        """The way to what is rare: nothing else in between."""
        world = self.choose(user)
        world.revoke()
        op = self.start_and_see(world, chain)
        for attempt in [attempt for attempt in world.pending if attempt.send.op is op]:
            self.realm.time.call(attempt.answer, "as deserved")
        if world.undecided_refreshes:
            self.finish_and_see(world, outcome)
        if world.undecided_hooks and again is not None:
            self.finish_hook_and_see(world, again)

    @some_world(lambda world: world.undecided_hooks)
    @rule(user=ANY, outcome=st.sampled_from(Hook.OUTCOMES))
    def finish_hook(self, user: int, outcome: str) -> None:
        self.finish_hook_and_see(self.choose(user, lambda world: world.undecided_hooks), outcome)

    @some_world(lambda world: world.storage.running)
    @rule(user=ANY, is_good=st.booleans())
    def finish_storage(self, user: int, is_good: bool) -> None:
        self.choose(user, lambda world: world.storage.running).finish_storage(is_good=is_good)

    @rule(user=ANY)
    def revoke(self, user: int) -> None:
        self.choose(user).revoke()

    @rule(seconds=st.sampled_from(STEPS))
    def time_passes(self, seconds: float) -> None:
        self.realm.time.advance(seconds)

    @rule(seconds=st.sampled_from((None, None, *CLOCK_STEPS)))
    def somebody_sets_the_clock(self, seconds: float | None) -> None:
        self.realm.set_clock(0.0 if seconds is None else self.realm.skew + seconds)

    @some_world(lambda world: world.current is not None and world.current.mandatory_at is not None)
    @rule(
        user=ANY,
        moment=st.sampled_from(("inside the advisory window", "inside the advisory window", "mandatory", "end")),
        is_used=st.booleans(),
    )
    def the_token_grows_old(self, user: int, moment: str, is_used: bool) -> None:
        has_end = lambda world: world.current is not None and world.current.mandatory_at is not None  # noqa: E731
        world = self.choose(user, has_end)
        world.advance_to(moment)
        if is_used:
            self.start_and_see(world)

    @rule(user=ANY, decision=DECISIONS)
    def decide_how_to_answer(self, user: int, decision: tuple[str, str]) -> None:
        world = self.choose(user)
        who, policy = decision
        match who:
            case "server":
                world.server_policy = policy
            case "issuer":
                world.issuer.policy = policy
            case "hook":
                world.hook.policy = policy
            case _:
                world.storage.policy[who] = policy

    # -- users

    @rule(user=ANY, act=st.sampled_from(ACTS))
    def somebody_acts(self, user: int, act: str) -> None:
        self.realm.time.call(getattr(self.choose(user), act))

    @rule(user=ANY, life=st.sampled_from(LIVES))
    def sign_in(self, user: int, life: float | None) -> None:
        self.realm.time.call(self.choose(user).sign_in, life)

    @some_world(lambda world: not world.is_closed)
    @rule(user=ANY)
    def all_heals(self, user: int) -> None:
        world = self.choose(user, lambda world: not world.is_closed)
        world.heal()
        check_p10_the_session_works(world)
        world.issuer.policy = "ask"
        world.hook.policy = "ask"

    @some_world(lambda world: len(world.ops) > 10)
    @rule(user=ANY)
    def close(self, user: int) -> None:
        world = self.choose(user, lambda world: len(world.ops) > 10)
        self.realm.time.call(world.close_session)

    def start_and_see(self, world: World, chain: int = 0, **traits: Any) -> Op:
        expected, started = world.what_a_new_operation_does(), started_so_far(world)
        op = world.start(chain, **traits)
        check_p5_goes_on_or_waits(op, "go on" if op.is_outside else expected)
        if not op.is_outside:
            check_p5_refreshes_in_advance(op, expected, started)
        return op

    def finish_and_see(self, world: World, outcome: str) -> None:
        (call,) = world.undecided_refreshes
        waiting, raised_before = world.waiting_ops, len(world.issuer.raised)
        sends = {op: len(op.sends) for op in waiting}
        others = [other for other in self.realm.worlds if other is not world]
        before = [(other.session_facts(), other.waiting_ops) for other in others]
        world.finish_refresh(outcome)
        check_p10_a_refresh_that_was_told_to_end_ends(call)
        check_p2_a_refresh_that_failed_for_good_ends_everyone(world, outcome, sends)
        if not world.options.signs_in_again:
            check_p9_the_cause_is_on_every_error(world.issuer.raised[raised_before:], outcome, waiting)
        check_p9_a_transient_failure_ends_nobody(world, outcome, waiting)
        check_e95_nobody_waits_for_another(others, before)

    def finish_hook_and_see(self, world: World, outcome: str) -> None:
        (call,) = world.undecided_hooks
        waiting = world.waiting_ops
        world.finish_hook(outcome)
        check_p9_who_is_not_signed_in_again_ends(world, call, waiting)

    @invariant()
    def all_promises_hold(self) -> None:
        self.check_everybody()

    def check_everybody(self) -> None:
        for world in self.realm.worlds:
            check_all(world)

    def teardown(self) -> None:
        self.small_slices.stop()
        with self.realm as realm:
            note("everything runs out")
            realm.run_out()
            self.check_everybody()
            for world in realm.worlds:
                assert not world.open_ops, f"never ended: {world.open_ops}"
            for world in [world for world in realm.worlds if not world.is_closed]:
                note("all heals")
                world.heal()
                check_p10_the_session_works(world)
            note("the sessions are closed")
            realm.close_sessions()
            realm.run_out()
            for world in realm.worlds:
                world.finish_all_storage()
            self.check_everybody()
            for world in realm.worlds:
                check_p2_nothing_is_left(world)
            assert len(realm.made) == len(set(realm.made)), "two sessions were made for one user"


@pytest.mark.timeout(300)  # seconds; a few suffice, unless there is a failure to shrink
class TestPromises(AuthPromises.TestCase):
    """E94, E95, E96, E83: one to three users on the same chains, each with windows, events and a re-login."""

    settings = settings(max_examples=QUICK_EXAMPLES, stateful_step_count=QUICK_STEPS, report_multiple_bugs=False)


@pytest.mark.soak
@pytest.mark.timeout(LONG_LIMIT)
class TestPromisesAtLength(AuthPromises.TestCase):
    settings = settings(max_examples=LONG_EXAMPLES, stateful_step_count=LONG_STEPS, report_multiple_bugs=False)
