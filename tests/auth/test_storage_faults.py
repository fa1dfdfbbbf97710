"""Whatever goes wrong with a shared storage while tokens are needed: the promises hold, and all is well afterwards.

Each storage, each fault and each need, on virtual time and with the real files; a strict issuer is the judge.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from rxlink.auth.events import Ended, LoadFailed, SaveFailed
from rxlink.errors import AuthError, RxlinkError
from rxlink.testing.faulty_storage import StorageFault
from rxlink.testing.virtual_time import VirtualTime
from tests.auth.storage_fault_bench import CALLS, CONTENTS, LONGEST, Scene, outcome_of, place_of

NEEDS = {"expired": 95.0, "expiring": 80.0, "forced": 0.0, "signing in": 0.0, "signing out": 0.0, "starting": 95.0}
"""What needs the storage, and the age of the token then, in seconds."""
SIGNS = {"signing in", "signing out"}
KINDS = [
    *(("memory", fault) for fault in CALLS),
    *((kind, fault) for kind in ("file", "keyring") for fault in (*CALLS, *CONTENTS)),
]


def work_of(scene: Scene, need: str) -> list[Any]:
    one, other = scene.hosts
    match need:
        case "forced":
            return [one.session.refresh(force=True), other.token()]
        case "signing in":
            return [one.session.set_tokens(scene.issuer.sign_in("bob")), other.token()]
        case "signing out":
            return [one.session.clear(), other.token()]
        case "starting":
            scene.hosts.append(scene.host())
            return [scene.hosts[-1].token(), one.token()]
    return [one.token(), other.token()]


async def story(scene: Scene, fault: str, need: str) -> None:
    await scene.begin()
    await asyncio.sleep(NEEDS[need])
    scene.break_down(fault)
    began = scene.time.monotonic()
    outcomes = await asyncio.gather(*map(outcome_of, work_of(scene, need)))
    took = scene.time.monotonic() - began
    await asyncio.sleep(3)
    scene.mend(fault)
    await asyncio.sleep(60)

    after = await asyncio.gather(*(outcome_of(host.token()) for host in scene.hosts))

    told = " ".join(f"{outcome!r} {outcome.__cause__!r}" for outcome in outcomes if isinstance(outcome, Exception))
    assert took <= LONGEST, "P2, P10"
    assert all(isinstance(outcome, AuthError) for outcome in outcomes if isinstance(outcome, Exception)), outcomes
    assert "planted" not in told, "P7"
    assert [] == scene.issuer.reused, "P1"
    assert len(set(after)) == 1, "P8: all are of one mind"
    assert not isinstance(after[0], Exception), "P9: all is well again"
    assert (need == "signing out") == (after[0] is None), "P8, P9"
    if need == "signing in":
        assert after[0] not in {"A0", "A1"}
    if need not in SIGNS:
        assert not [event for host in scene.hosts for event in host.events if isinstance(event, Ended)], "P9"
    if fault in CONTENTS:
        events = [event for host in scene.hosts for event in host.events if isinstance(event, (LoadFailed, SaveFailed))]
        where = {event.where for event in events} | {
            getattr(outcome.__cause__, "where", None) for outcome in errors(outcomes)
        }
        assert where - {None}, "garbage is told with its place"


def errors(outcomes: list[Any]) -> list[RxlinkError]:
    return [outcome for outcome in outcomes if isinstance(outcome, RxlinkError)]


@pytest.mark.parametrize("need", NEEDS)
@pytest.mark.parametrize(("kind", "fault"), KINDS)
def test_the_promises_hold_and_all_is_well_afterwards(
    kind: str, fault: str, need: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P1, P2, P7, P8, P9, P10, E71, E73, E74."""
    with place_of(kind, tmp_path, monkeypatch) as place, VirtualTime() as time:
        scene = Scene(place, time)
        time.run(story(scene, fault, need))
        time.run(scene.close())


def test_every_fault_of_a_storage_has_its_cases() -> None:
    """One that is new is not forgotten."""
    constructors = {name for name, value in vars(StorageFault).items() if isinstance(value, classmethod)}
    used = {fault.kind for faults in CALLS.values() for fault, _ in faults}

    assert constructors == used | {"tear", "lease_lost"}, (
        "tearing is done to real content, losing leases in test_shared_lease"
    )
