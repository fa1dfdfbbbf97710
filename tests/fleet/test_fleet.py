"""Four processes share one rotating session: through a file, through Valkey, against AuthServer and oidc-provider.

Demands E68, E72, E73, E74; promises P1, P2, P3. Each prints what happened (`-s`, or `-rP`, shows it).
"""

from __future__ import annotations

import asyncio
import json
import os
import random

import pytest

from rxlink import AuthSession, oauth2_refresh
from tests.fleet.books import MOST_AUTH_ERRORS, auth_errors, check_operations, check_refreshes, shown
from tests.fleet.children import Child, Children
from tests.fleet.fleet import SECONDS, SIZE, Fleet
from tests.fleet.places import Place
from tests.fleet.provider_peer import INSTALLATION_LIMIT, provider_command
from tests.fleet.tokens import tokens_of
from tests.fleet.worker import CLIENT

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(INSTALLATION_LIMIT + 4 * SECONDS),
    pytest.mark.skipif(os.name == "nt", reason="needs signals of POSIX"),
]

KILLED_EVERY = 5.0 if SECONDS > 30 else 2.0
GRACE = 10.0
"""Seconds in which AuthServer hands out the same pair once more: more than a lease, and a refresh."""


async def at_auth_server(started: Children, place: Place, *options: object) -> tuple[Child, Fleet]:
    """Start a server, and sign in for a fleet."""
    server = await started.python("server", *options)
    addresses = await server.line()
    await place.storage.save(tokens_of(await server.ask(do="sign_in")))
    return server, Fleet(started, addresses, place.arguments)


async def kill_at_random(fleet: Fleet, choices: random.Random) -> int:
    """Kill and replace one of a fleet now and then, for as long as a run takes; return how many."""
    loop = asyncio.get_running_loop()
    begin, killed = loop.time(), 0
    for number in range(1, int(SECONDS / KILLED_EVERY)):
        await asyncio.sleep(begin + KILLED_EVERY * (number + choices.random() / 2) - loop.time())
        await fleet.replace(choices.choice(fleet.workers))
        killed += 1
    await asyncio.sleep(begin + SECONDS - loop.time())
    return killed


async def test_without_a_shared_storage_the_first_expiry_costs_the_session(started: Children) -> None:
    """What the books of the other tests are there to see."""
    server = await started.python("server")
    addresses = await server.line()
    fleet = Fleet(started, addresses, ["--memory", json.dumps(await server.ask(do="sign_in"))])

    await fleet.launch("--seconds", 4)
    reports, ledger = await fleet.reports(), await server.ask(do="ledger")

    print(shown(reports, ledger))
    assert 1 == ledger["families_ended"]
    with pytest.raises(AssertionError):
        check_refreshes(ledger)
    with pytest.raises(AssertionError):
        auth_errors(reports, ledger)


async def test_four_processes_refresh_once_an_expiry(started: Children, place: Place) -> None:
    """E68, E72; P1, P2, P3."""
    server, fleet = await at_auth_server(started, place)

    await fleet.launch("--seconds", SECONDS)
    reports, ledger = await fleet.reports(), await server.ask(do="ledger")

    print(shown(reports, ledger))
    check_operations(reports)
    check_refreshes(ledger)
    # A token of 3 s is refreshed from 0.75 s before its end, and a little earlier by jitter.
    assert SECONDS / 3 - 1 <= ledger["refreshes"] <= SECONDS / 2.1 + 1
    started_in_all = sum(report["started"] for report in reports)
    errors = auth_errors(reports, ledger)
    print(f"{place.kind}: {errors} auth errors in {started_in_all} operations, {ledger['refreshes']} refreshes")
    assert errors <= MOST_AUTH_ERRORS * started_in_all


async def test_survivors_of_random_kills_lose_nothing(started: Children, place: Place) -> None:
    """E72, E74, E77: the server repeats an answer that was lost with its process."""
    seed = int(os.environ.get("RXLINK_FLEET_SEED", "0")) or random.SystemRandom().getrandbits(32)
    print(f"seed {seed} (again: RXLINK_FLEET_SEED={seed})")
    choices = random.Random(seed)  # noqa: S311 - no secret
    server, fleet = await at_auth_server(started, place, "--reuse-grace", GRACE)

    await fleet.launch("--seconds", 2 * SECONDS)
    killed = await kill_at_random(fleet, choices)
    for worker in fleet.workers:
        worker.stop()
    reports = await fleet.reports()
    [last] = await fleet.run(await fleet.spare(20))
    ledger = await server.ask(do="ledger")

    print(shown([*reports, last], ledger))
    repeated = sum(each["replayed"] for each in ledger["tries"])
    print(f"{place.kind}: {killed} killed, {repeated} refreshes repeated after the death of who had asked")
    assert SIZE == len(reports)
    check_operations([*reports, last])
    assert 0 == auth_errors([*reports, last], ledger)
    assert [] == [reason for report in [*reports, last] for reason in report["endings"]]
    assert 0 == ledger["families_ended"]
    assert {"granted"} == {each["outcome"] for each in ledger["tries"]} - {"faulted"}


async def test_a_fleet_keeps_its_grant_at_oidc_provider(started: Children, place: Place) -> None:
    """E72; real rotation with reuse detection: one refresh token used twice, and the grant were gone."""
    provider = await started.program("oidc-provider", *provider_command())
    addresses = await provider.line()
    pair = await provider.ask(do="sign_in")
    await place.storage.save(tokens_of(pair))
    fleet = Fleet(started, addresses, place.arguments)

    await fleet.launch("--seconds", SECONDS)
    reports = await fleet.reports()
    before = await provider.ask(do="ledger", grant=pair["grant"])
    async with (
        oauth2_refresh(addresses["token"], client_id=CLIENT) as refresh,
        AuthSession(refresh=refresh, storage=place.storage) as session,
    ):
        await session.refresh(force=True)
    after = await provider.ask(do="ledger", grant=pair["grant"])

    print(shown(reports, before))
    check_operations(reports)
    assert [] == [each for report in reports for each in report["failed"]]
    assert before["grant.success"] + 1 == after["grant.success"] == after["refresh_token.consumed"]
    assert ([], 0, 0, 0) == (after["why"], after["grant.error"], after["grant.revoked"], after["server_error"])
    assert after["grant_lives"]
    # A token of 3 s ends there at a full second, so 2 to 3 s after it was issued.
    assert SECONDS / 3 - 1 <= before["grant.success"] <= SECONDS / 1.9 + 1
