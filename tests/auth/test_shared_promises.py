"""The promises of auth among several processes that share a storage, through random failures, stalls and kills.

Two to four hosts share one storage and a strict issuer, on one virtual time. A rule is one event of their world; after
each, the promises are checked against its books. Random with a printed seed under `pytest -m soak`; small, and the same
in each run of CI, otherwise.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rxlink.testing.faulty_storage import StorageFault
from tests.auth.shared_checks import p10_all_works_again, p10_nothing_is_left
from tests.auth.shared_host import Host
from tests.auth.shared_issuer import OUTCOMES
from tests.auth.shared_records import ADVISORY, GRACE, LIFE, MANDATORY, Options
from tests.auth.shared_world import World

ANY = st.integers(min_value=0, max_value=63)
STEPS = (0.01, 0.01, 0.5, 1.0, 3.1, 10.0, 34.0)
AGES = (ADVISORY + 0.1, MANDATORY + 0.1, LIFE + 0.1)
FAULTS: dict[str, tuple[Callable[[], StorageFault], tuple[str, ...]]] = {
    "fails": (StorageFault.fail, ("any", "read", "replace", "acquire", "renew", "release")),
    "fails after doing it": (StorageFault.fail_after, ("replace", "acquire", "renew", "release")),
    "hangs": (StorageFault.hang, ("any", "read", "replace", "acquire", "renew", "release")),
    "is slow": (lambda: StorageFault.slow(2.0), ("any", "read", "replace", "acquire", "renew")),
    "is very slow": (lambda: StorageFault.slow(12.0), ("read", "replace", "acquire", "renew")),
    "loses a write": (StorageFault.lose, ("replace",)),
    "is torn": (StorageFault.tear, ("read",)),
    "loses the lease": (StorageFault.lease_lost, ("renew",)),
}
TROUBLES = [(name, on) for name, (_, calls) in FAULTS.items() for on in calls]
OPTIONS = st.builds(
    Options,
    is_watched=st.booleans(),
    lease_ends=st.sampled_from((True, True, True, False)),
    latency=st.sampled_from((0.0, 0.02, 0.02)),
    grace=st.sampled_from((0.0, 0.0, GRACE)),
    on_outage=st.sampled_from(("wait", "wait", "fail", "use_stale")),
    server=st.sampled_from(("at once", "at once", "when told")),
    timers_first=st.booleans(),
)
QUICK_EXAMPLES = 150
QUICK_STEPS = 30
LONG_EXAMPLES = 200 if os.environ.get("RXLINK_SOAK") == "short" else 5_000
LONG_STEPS = 50
LONG_LIMIT = 7200
"""Seconds for the long form."""


def some_host(question: Callable[[Host], Any]) -> Any:
    return precondition(lambda machine: any(map(question, machine.world.slots)))


def is_usable(host: Host) -> bool:
    return host.is_usable


class SharedPromises(RuleBasedStateMachine):
    """Hosts that share a storage."""

    world: World

    @initialize(hosts=st.sampled_from((2, 2, 3, 4)), options=OPTIONS, policy=st.sampled_from(("ask", "at once")))
    def begin(self, hosts: int, options: Options, policy: str) -> None:
        random.seed(0)  # the pauses of sessions are drawn
        self.world = World(hosts, options)
        self.world.issuer.policy = policy
        for host in self.world.slots:
            host.start()
        self.world.advance(0.5)

    def one(self, which: int, question: Callable[[Host], Any] = is_usable) -> Host:
        hosts = [host for host in self.world.slots if question(host)]
        return hosts[which % len(hosts)]

    # -- operations

    @some_host(is_usable)
    @rule(which=ANY, count=st.sampled_from((1, 1, 3)))
    def start(self, which: int, count: int) -> None:
        host = self.one(which)
        for _ in range(count):
            host.start()

    @some_host(is_usable)
    @rule()
    def start_everywhere(self) -> None:
        for host in self.world.usable:
            host.start()

    @precondition(lambda machine: machine.world.pending)
    @rule(which=ANY, everything=st.booleans())
    def answer(self, which: int, everything: bool) -> None:
        pending = self.world.pending
        for op in pending if everything else [pending[which % len(pending)]]:
            self.world.answer(op)

    @precondition(lambda machine: any(op.is_open and op.host.is_usable for op in machine.world.ops.values()))
    @rule(which=ANY)
    def leave(self, which: int) -> None:
        ops = [op for op in self.world.ops.values() if op.is_open and op.host.is_usable]
        ops[which % len(ops)].leave()

    # -- tokens

    @rule()
    def revoke(self) -> None:
        self.world.revoke()

    @rule(age=st.sampled_from(AGES), is_used=st.booleans())
    def the_tokens_grow_old(self, age: float, is_used: bool) -> None:
        self.world.advance_to(age)
        if is_used:
            for host in self.world.usable:
                host.start()

    @rule(seconds=st.sampled_from(STEPS))
    def time_passes(self, seconds: float) -> None:
        self.world.advance(seconds)

    @precondition(lambda machine: machine.world.issuer.undecided)
    @rule(which=ANY, outcome=st.sampled_from(OUTCOMES))
    def the_issuer_decides(self, which: int, outcome: str) -> None:
        undecided = self.world.issuer.undecided
        self.world.decide(undecided[which % len(undecided)], outcome)

    @rule(policy=st.sampled_from(("ask", "at once")))
    def the_issuer_is(self, policy: str) -> None:
        self.world.issuer.policy = policy

    # -- users

    @some_host(is_usable)
    @rule(which=ANY, act=st.sampled_from(("force_refresh", "force_refresh", "sign_out", "sign_in", "sign_in")))
    def somebody_acts(self, which: int, act: str) -> None:
        getattr(self.one(which), act)()

    # -- processes

    @some_host(is_usable)
    @rule(which=ANY)
    def close_and_restart(self, which: int) -> None:
        host = self.one(which)
        host.close()
        self.world.replace(host)

    @rule(which=ANY, its_writes_land=st.booleans())
    def kill_and_restart(self, which: int, its_writes_land: bool) -> None:
        host = self.one(which, lambda host: True)
        host.kill(its_writes_land=its_writes_land)
        self.world.replace(host)

    @some_host(is_usable)
    @rule(which=ANY)
    def stand_still(self, which: int) -> None:
        self.one(which).freeze()

    @some_host(lambda host: host.gate.is_frozen)
    @rule(which=ANY)
    def go_on(self, which: int) -> None:
        self.one(which, lambda host: host.gate.is_frozen).thaw()

    @some_host(is_usable)
    @rule(which=ANY, moment=st.sampled_from((0.0, 0.005, 0.015, 0.03, 0.06, 0.08, 0.1)), how=st.booleans())
    def one_is_stopped_in_the_midst_of_a_refresh(self, which: int, moment: float, how: bool) -> None:
        """The way to what is rare: others refresh meanwhile, and it goes on."""
        host = self.one(which)
        self.world.advance_to(LIFE + 0.1)
        host.start()
        self.world.advance(moment)
        if how:
            host.freeze()
        else:
            host.kill(its_writes_land=moment > 0)
            self.world.replace(host)
        self.world.advance(3.2)
        for other in self.world.usable:
            other.start()
        self.world.advance(1.0)
        if how:
            host.thaw()

    # -- the storage

    @rule(which=ANY, trouble=st.sampled_from(TROUBLES), times=st.sampled_from((1, 1, 2, 5, None)), of_all=st.booleans())
    def the_storage_goes_wrong(self, which: int, trouble: tuple[str, Any], times: int | None, of_all: bool) -> None:
        name, on = trouble
        hosts = self.world.slots if of_all else [self.one(which, lambda host: True)]
        for host in hosts:
            self.world.tell(f"the storage {name}, for {host}, on {on}, {times} times")
            host.storage.faults.add(FAULTS[name][0](), on=on, times=times)

    @rule()
    def the_storage_works_again(self) -> None:
        self.world.tell("the storage works again")
        for host in self.world.slots:
            host.storage.faults.clear()

    @rule(what=st.sampled_from(("lose_everything", "put_garbage")))
    def disaster(self, what: str) -> None:
        getattr(self.world, what)()

    @precondition(lambda machine: machine.world.store.is_garbage)
    @rule(with_what_was_there=st.booleans())
    def garbage_is_removed(self, with_what_was_there: bool) -> None:
        self.world.remove_garbage(with_what_was_there=with_what_was_there)

    @rule()
    def all_heals(self) -> None:
        policy = self.world.issuer.policy
        self.world.heal()
        p10_all_works_again(self.world)
        self.world.issuer.policy = policy

    # -- checks

    @invariant()
    def all_promises_hold(self) -> None:
        self.world.check_all()

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        with self.world as world:
            if world.story.wrong:
                return
            world.heal()
            p10_all_works_again(world)
            world.check_all()
            note("all are closed")
            world.close_all()
            world.check_all()
            p10_nothing_is_left(world)


@pytest.mark.timeout(300)  # seconds; a few suffice, unless there is a failure to shrink
class TestSharedPromises(SharedPromises.TestCase):
    """E68-E77, P1-P10: hosts that share a storage, with its failures, and kills, stalls and restarts."""

    settings = settings(max_examples=QUICK_EXAMPLES, stateful_step_count=QUICK_STEPS, report_multiple_bugs=False)


@pytest.mark.soak
@pytest.mark.timeout(LONG_LIMIT)
class TestSharedPromisesAtLength(SharedPromises.TestCase):
    settings = settings(max_examples=LONG_EXAMPLES, stateful_step_count=LONG_STEPS, report_multiple_bugs=False)
