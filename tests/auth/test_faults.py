"""Each fault of an issuer and of a server, against each way to refresh and each reason for it, over real sockets."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from time import sleep
from typing import Any

import pytest

from rxlink.auth.events import AuthStatus, RefreshReason
from rxlink.auth.session import AuthSession
from rxlink.auth.storage import MemoryTokenStorage
from rxlink.auth.tokens import TokenSet
from rxlink.errors import AuthError, RxlinkError
from rxlink.testing import Fault
from tests.auth.fault_bench import (
    AT_ONCE,
    GRACE,
    PASSING,
    TARGETS,
    WAYS,
    Client,
    Limits,
    Target,
    Trigger,
    Way,
    World,
    is_final,
)
from tests.recording import subscribed

PLENTY = Limits(refresh=8, http=10)
"""Where a new try helps, or none is made."""
SHORT = Limits(refresh=1.5, http=10)
"""Where all tries fail."""
HANGING = Limits(refresh=8, http=1)
SHORT_HANGING = Limits(refresh=1.5, http=1, issuer=60)
WORLDS_AT_ONCE = 6
COOL_DOWN = 31.0
ONLY_FOR_REFRESH = ("invalid_grant", "expired_token")

FAULTS: dict[str, list[Fault]] = {
    "delay": [Fault.delay(0.05), Fault.delay(30)],
    "hang": [Fault.hang()],
    "status": [Fault.status(500), Fault.status(503), Fault.status(404), Fault.status(503).after(0.05)],
    "too_many_requests": [
        Fault.too_many_requests(0),
        Fault.too_many_requests(1),
        Fault.too_many_requests(100),
        Fault.too_many_requests("soon"),
    ],
    "invalid_grant": [Fault.invalid_grant(), Fault.invalid_grant().after(0.05)],
    "not_json": [Fault.not_json(), Fault.not_json("application/json")],
    "drop": [Fault.drop(), Fault.drop().after(0.05)],
    "drop_after": [Fault.drop_after()],
    "expired_token": [Fault.expired_token(), Fault.expired_token(900)],
    "unauthenticated": [
        Fault.unauthenticated(),
        Fault.unauthenticated("status"),
        Fault.unauthenticated("graphql-response"),
    ],
}
"""By constructor of `Fault`."""


@dataclass(frozen=True)
class Case:
    """One client and what befalls it.

    Attributes:
        way: How it refreshes.
        trigger: Why.
        target: Whether the issuer or the server is faulty.
        fault: What goes wrong.
        times: How often; None for all the time, until somebody repairs it.
    """

    way: Way
    trigger: Trigger
    target: Target
    fault: Fault
    times: int | None

    @property
    def limits(self) -> Limits:
        is_lasting = self.times is None and self.target == "refresh"
        is_lasting = is_lasting and not is_final(self.way, self.fault, is_strict=False)
        if self.fault.kind in ("delay", "hang"):
            return SHORT_HANGING if is_lasting else HANGING
        return SHORT if is_lasting else PLENTY

    @property
    def user(self) -> str:
        """A name that no other client of its server has."""
        return f"{self.way} {self.target} {self.times}"


def cases_of(fault: Fault, trigger: Trigger) -> Iterator[Case]:
    for way, target, times in itertools.product(WAYS, TARGETS, (1, None)):
        if target == "refresh" or fault.kind not in ONLY_FOR_REFRESH:
            yield Case(way, trigger, target, fault, times)


def test_every_fault_has_its_cases():
    """S10, S13, E23: a fault that is new to the server is new here."""
    constructors = {name for name, member in vars(Fault).items() if isinstance(member, classmethod)}

    assert constructors - {"close", "frame"} == FAULTS.keys()  # those strike sockets, and no answer over HTTP
    assert all(fault.kind == kind for kind, faults in FAULTS.items() for fault in faults)


@pytest.mark.parametrize("kind", FAULTS)
async def test_every_operation_ends_and_the_next_one_succeeds(kind: str):
    """P2, P3, P9, P10, E19, E20, E23, E77: whatever goes wrong, wherever, for whichever reason tokens are replaced."""
    busy = asyncio.Semaphore(WORLDS_AT_ONCE)

    async def stand_in_turn(cases: list[Case]) -> None:
        async with busy:
            await stand(World(grace=GRACE), cases)

    pairs = itertools.product(FAULTS[kind], PASSING)
    async with asyncio.TaskGroup() as group:
        for fault, trigger in pairs:
            group.create_task(stand_in_turn(list(cases_of(fault, trigger))))


@pytest.mark.parametrize("trigger", PASSING)
async def test_an_answer_that_was_lost_ends_the_session_where_the_issuer_forgives_no_replay(trigger: Trigger):
    """E77, P9: nobody waits for ever, and there is one replay at the most."""
    world = World(grace=0)
    cases = [Case(way, trigger, "refresh", Fault.drop_after(), 1) for way in WAYS]

    await stand(world, cases, is_strict=True)

    assert {"granted": len(cases), "refused": len(cases)} == tries_of(world)


@pytest.mark.parametrize("kind", ["drop", "drop_after"])
async def test_a_refresh_token_is_sent_once_more_where_its_answer_is_lost_and_then_not_again_at_once(kind: str):
    """E77: one replay within a refresh, and one try when everything is repaired."""
    worlds = {trigger: World(grace=GRACE) for trigger in PASSING}
    fault, ways = FAULTS[kind][0], ("mutation", "oauth2")

    await asyncio.gather(
        *(stand(world, [Case(way, why, "refresh", fault, None) for way in ways]) for why, world in worlds.items())
    )

    assert [(1 + 1 + 1) * len(ways)] * len(worlds) == [tries_of(world).total() for world in worlds.values()]


async def test_tokens_that_arrive_as_the_time_runs_out_are_kept():
    """P4, P10, E77: the issuer has used up the old refresh token; a loop that is busy at that moment loses nothing."""

    async def refresh(tokens: TokenSet | None, reason: RefreshReason) -> TokenSet:
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def arrive() -> None:
            sleep(0.06)
            answer.set_result(None)

        asyncio.get_running_loop().call_soon(arrive)
        await answer
        return TokenSet("new", refresh_token="r1")

    storage = MemoryTokenStorage(TokenSet("old", refresh_token="r0"))
    async with AuthSession(refresh=refresh, refresh_timeout=0.05, storage=storage) as session:
        told = subscribed(session.events)
        refreshed = await session.refresh(force=True)

    kept = await storage.load()
    assert ("new", kept) == (refreshed.access_token if refreshed else None, refreshed)
    assert ["RefreshStarted", "RefreshSucceeded", "TokensSaved"] == [type(event).__name__ for event in told.seen[:-1]]


async def stand(world: World, cases: list[Case], *, is_strict: bool = False) -> None:
    """Let the faults strike, look at what has become of everybody, repair everything, and look again."""
    async with world.server, AsyncExitStack() as stack:
        clients = [(case, Client(world, case.user, case.way, case.limits, stack)) for case in cases]
        for _, client in clients:
            await client.open()
            await client.sign_in()
        world.pass_time(PASSING[cases[0].trigger])
        for case, client in clients:
            if case.trigger == "reactive":
                world.server.revoke_access(client.user)
            world.server.faults.add(case.fault, on=case.target, times=case.times, when=client.is_mine)

        await asyncio.gather(*(strike(case, client, is_strict=is_strict) for case, client in clients))

        await world.stragglers_served()
        world.server.faults.clear()
        world.pass_time(max(patience(case) for case in cases))
        busy = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(recover(case, client, busy) for case, client in clients))

        assert [] == world.server.ledger.violations()
        assert 2 >= world.server.ledger.max_sends_per_operation


def tries_of(world: World) -> Counter[str]:
    return Counter(each.outcome for each in world.server.ledger.refresh_tries)


async def strike(case: Case, client: Client, *, is_strict: bool) -> None:
    outcomes = await asyncio.gather(*(client.operate() for _ in range(AT_ONCE)))
    state = await client.settled()

    is_over = case.target == "refresh" and is_final(case.way, case.fault, is_strict=is_strict)
    expected = AuthStatus.UNAUTHENTICATED if is_over else AuthStatus.AUTHENTICATED
    assert (expected, int(is_over)) == (state.status, client.times_ended), case
    assert 1 >= client.most_refreshes, case
    for outcome in outcomes:
        assert is_an_end(outcome), (case, outcome)
    if case.target == "refresh" and case.trigger == "expiring":
        assert all(map(is_answer, outcomes)), (case, outcomes)  # P5: they do not wait for it
    if is_over and case.trigger != "expiring":
        assert ["SessionEnded"] * AT_ONCE == [type(outcome).__name__ for outcome in outcomes], case
    if case.target == "refresh" and case.times == 1 and recovers(case, is_strict=is_strict):
        assert all(map(is_answer, outcomes)), (case, outcomes)


async def recover(case: Case, client: Client, busy: asyncio.Semaphore) -> None:
    async with busy:
        if client.session.wallet.credential is None:
            await client.sign_in()
        outcome = await client.operate()

    assert is_answer(outcome), (case, outcome)
    assert AuthStatus.AUTHENTICATED is (await client.settled()).status, case
    assert 1 >= client.most_refreshes, case


def is_an_end(outcome: dict[str, Any] | Exception) -> bool:
    """Tell whether it is an answer, the server's refusal, or an error of rxlink with its cause."""
    if isinstance(outcome, AuthError):
        return outcome.__cause__ is not None
    return isinstance(outcome, RxlinkError) or (isinstance(outcome, dict) and bool({"data", "errors"} & outcome.keys()))


def is_answer(outcome: dict[str, Any] | Exception) -> bool:
    return isinstance(outcome, dict) and "errors" not in outcome and bool(outcome["data"]["viewer"]["name"])


def recovers(case: Case, *, is_strict: bool) -> bool:
    """Tell whether the tries after a fault that strikes once bring tokens within the refresh."""
    if is_final(case.way, case.fault, is_strict=is_strict):
        return False
    match case.fault.kind:
        case "delay" | "hang" | "drop" | "drop_after":
            return True
        case "status":
            return case.fault.status_code >= 500 or case.way == "oauth2"
        case "too_many_requests":
            # The mutation's `ServerError` and aiohttp's error tell of the header as well.
            return case.fault.retry_after in ("0", "soon")
        case "not_json":
            return case.way == "oauth2"
        case _:
            return False


def patience(case: Case) -> float:
    """Return after how many seconds the session may be expected to try again."""
    if case.fault.kind == "too_many_requests":
        return 101.0
    if case.fault.kind in ("expired_token", "unauthenticated"):
        return COOL_DOWN
    return 0.0
