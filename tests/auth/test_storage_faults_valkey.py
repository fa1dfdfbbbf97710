"""What goes wrong with a real Valkey while tokens are needed, and that all is well afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from rxlink.auth.clock import system_clock
from rxlink.auth.events import Ended
from rxlink.auth.storage import RedisTokenStorage
from rxlink.auth.tokens import TokenSet
from rxlink.errors import AuthError
from tests.auth.shared_bench import Host, StrictIssuer
from tests.auth.storage.valkey_server import ValkeyServer, running_server
from tests.auth.storage_fault_bench import CONTENTS, outcome_of

KEY = "rxlink:ada"


class Real:
    """The time that passes by itself."""

    clock = staticmethod(system_clock)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    with running_server(tmp_path_factory.mktemp("valkey"), keeps=True) as server:
        yield server


@pytest.fixture
def client(server: ValkeyServer) -> Iterator[Any]:
    with server.client() as client:
        client.flushall()
        yield client


async def told_of(
    server: ValkeyServer,
    break_down: Callable[[], object],
    mend: Callable[[], object],
    work: Callable[..., Awaitable[Any]],
) -> list[Any]:
    """Let two sessions meet a fault; return how that ended for both, once it is sure that all is well again."""
    issuer = StrictIssuer(delay=0.01)
    storage = RedisTokenStorage(f"{server.url}?socket_timeout=0.5", KEY, lease=1.0)
    async with storage:
        await storage.save(TokenSet("A0", refresh_token="R0", expires_in=100.0))
        hosts = [Host(storage, issuer, Real(), refresh_timeout=2) for _ in range(2)]
        await asyncio.gather(*(host.token() for host in hosts))
        break_down()
        outcomes = await asyncio.gather(*(outcome_of(work(host)) for host in hosts))
        mend()

        async with asyncio.timeout(20):  # what was not saved is saved again, and connections come back
            while len(tokens := {str(await outcome_of(host.token())) for host in hosts}) > 1 or "Error" in str(tokens):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.05)
        after = await asyncio.gather(*(outcome_of(host.session.refresh(force=True)) for host in hosts))

        assert all(isinstance(outcome, TokenSet) for outcome in after), after
        assert ([], False) == (issuer.reused, issuer.is_revoked)
        assert not [event for host in hosts for event in host.events if isinstance(event, Ended)]
        for host in hosts:
            await host.session.aclose()
    return outcomes


async def forced(host: Host) -> Any:
    return await host.session.refresh(force=True)


@pytest.mark.parametrize("fault", CONTENTS)
async def test_what_is_not_ours_is_named_by_its_key_and_left_as_it_is(
    server: ValkeyServer, client: Any, fault: str
) -> None:
    """P7, P9, E74."""
    kept: list[bytes] = []

    def break_down() -> None:
        kept.append(client.get(KEY))
        client.set(KEY, CONTENTS[fault])

    def mend() -> None:
        assert CONTENTS[fault] == client.get(KEY)
        client.set(KEY, kept[0])

    outcomes = await told_of(server, break_down, mend, forced)

    for outcome in outcomes:
        assert isinstance(outcome, AuthError)
        assert (True, False) == (KEY in str(outcome), "planted" in f"{outcome!r} {outcome.__cause__!r}")


async def test_a_server_that_is_away_costs_nobody_the_session(server: ValkeyServer, client: Any) -> None:
    """P1, P9, P10: nobody refreshes without it."""
    outcomes = await told_of(server, server.kill, server.restart, forced)

    assert [True] * 2 == [isinstance(outcome, AuthError) and outcome.retryable for outcome in outcomes]


async def test_while_a_server_is_away_good_tokens_are_good(server: ValkeyServer, client: Any) -> None:
    """P9."""
    outcomes = await told_of(server, server.kill, server.restart, Host.token)

    assert ["A0"] * 2 == outcomes


async def test_a_server_that_is_full_takes_the_tokens_later(server: ValkeyServer, client: Any) -> None:
    """P4, E71."""
    outcomes = await told_of(
        server,
        lambda: client.config_set("maxmemory", "1"),
        lambda: client.config_set("maxmemory", "0"),
        forced,
    )

    assert all(isinstance(outcome, (TokenSet, AuthError)) for outcome in outcomes)
