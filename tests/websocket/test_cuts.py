"""Subscriptions through a proxy that cuts, half-closes, stalls and refuses at random: none is silently dead.

Each prints its seed and its figures (`-s`, or `-rP`, shows them).
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from rxlink import AuthSession, SocketClosed, TokenSet, oauth2_refresh
from rxlink.testing import AuthServer, VirtualTime, virtual
from rxlink.transport.websocket import GraphQLWsLink, WebSocketConnected, WebSocketConnecting, WebSocketRetrying
from tests.fleet.children import ROOT, Children
from tests.fleet.tokens import tokens_of
from tests.transport.tcp_proxy import Attack, Kind, TcpProxy, proxied
from tests.websocket.books import check_gaps_are_told, figures
from tests.websocket.crowd import Crowd, gathered, number_of
from tests.websocket.server import books_of, closed

IS_SHORT = os.environ.get("RXLINK_SOAK") == "short"
SECONDS = 10.0 if IS_SHORT else 60.0
SIZE = 200
LIFE = 5.0
"""Seconds, of a token."""
KEEP_ALIVE = 0.5
"""Seconds without a word, and then for an answer: what a stall costs."""
LATE = 0.5
"""Seconds by which a busy machine may be late."""
KINDS: tuple[Kind, ...] = ("cut", "cut", "half_close_client", "half_close_server", "stall", "outage")
PAUSES = (0.3, 3.0)
"""Seconds between two attacks."""


@dataclass
class BackOff:
    """Waits a little longer each time, and remembers for how long.

    Attributes:
        waits: The number of tries that it was given, and what it returned.
    """

    choices: random.Random
    waits: list[tuple[int, float]] = field(default_factory=list)

    def __call__(self, retries: int) -> float:
        wait = min(0.05 * 2**retries, 0.8) + self.choices.uniform(0, 0.05)
        self.waits.append((retries, wait))
        return wait


def check_back_off(crowd: Crowd, back_off: BackOff, *, late: float) -> None:
    """After each loss the link has waited as it was told, and counted its tries from the last connection."""
    told = [(at, event) for at, event in crowd.events if not isinstance(event, WebSocketConnected)]
    retrying = [(at, event.retries) for at, event in told if isinstance(event, WebSocketRetrying)]
    connecting = [at for at, event in told if isinstance(event, WebSocketConnecting) and event.is_retry]
    assert [retries for retries, _ in back_off.waits] == [retries for _, retries in retrying]
    assert len(retrying) == len(connecting)
    for (at, _), begun, (_, wait) in zip(retrying, connecting, back_off.waits, strict=True):
        assert wait - 0.01 <= begun - at <= wait + late
    assert counted(crowd) == [retries for _, retries in retrying]


def counted(crowd: Crowd) -> list[int]:
    """Return what the tries should be numbered: from 0 after each connection."""
    numbers, tries = [], 0
    for _, event in crowd.events:
        if isinstance(event, WebSocketConnected):
            tries = 0
        elif isinstance(event, WebSocketRetrying):
            numbers.append(tries)
            tries += 1
    return numbers


def check_resubscribed(crowd: Crowd) -> None:
    """Each connection in the place of one that was lost has got all subscriptions."""
    lost = [event for event in crowd.resubscribed() if event.may_have_gap]
    assert lost
    assert {len(crowd.listeners)} == {len(event.operations) for event in lost}


@asynccontextmanager
async def scene(
    proxy: TcpProxy, token_url: str, tokens: TokenSet, back_off: BackOff, *, clock: Callable[[], Any] | None = None
) -> AsyncIterator[Crowd]:
    async with (
        oauth2_refresh(token_url, client_id="crowd") as refresh,
        AuthSession(refresh=refresh, tokens=tokens, clock=clock) as session,
        GraphQLWsLink(
            proxy.url,
            auth=session,
            dedup_key=number_of,
            keep_alive=KEEP_ALIVE,
            keep_alive_timeout=KEEP_ALIVE,
            connection_ack_wait_timeout=2 * KEEP_ALIVE,
            retry_attempts=None,
            retry_wait=back_off,
        ) as link,
    ):
        with gathered(link) as crowd:
            yield crowd


def check(crowd: Crowd, books: dict[str, Any], attacks: list[Attack], back_off: BackOff, *, late: float) -> None:
    kinds = Counter(attack.kind for attack in attacks)
    print(f"{len(attacks)} attacks {dict(kinds)}, waits {Counter(retries for retries, _ in back_off.waits)}")
    print(figures(crowd, books))
    assert [] == crowd.errors()
    assert not any(listener.is_complete for listener in crowd.listeners)
    check_resubscribed(crowd)
    gaps = check_gaps_are_told(crowd)
    check_back_off(crowd, back_off, late=late)
    assert [] == books["violations"]
    print(f"{gaps} gaps")


@pytest.mark.soak
@pytest.mark.skipif(os.name == "nt", reason="needs pipes of POSIX")
async def test_subscriptions_outlive_random_cuts(started: Children) -> None:
    seed = int(os.environ.get("RXLINK_SOCKET_SEED", "0")) or random.SystemRandom().getrandbits(32)
    print(f"seed {seed} (again: RXLINK_SOCKET_SEED={seed})")
    choices = random.Random(seed)  # noqa: S311 - no secret
    back_off = BackOff(choices)
    command = [sys.executable, "-W", "error", "-m", "tests.websocket.server", "--token-life", str(LIFE)]
    server = await started.program("server", command, ROOT)
    addresses = await server.line()
    tokens = tokens_of(await server.ask(do="sign_in"))

    async with proxied(addresses["ws"]) as proxy, scene(proxy, addresses["token"], tokens, back_off) as crowd:
        crowd.subscribe(SIZE)
        await crowd.hears(2, within=10)
        attacks = await proxy.attack(choices, seconds=SECONDS, pauses=PAUSES, kinds=KINDS)
        await crowd.hears(10, within=20)
    books = await server.ask(do="books")

    check(crowd, books, attacks, back_off, late=LATE)


@pytest.mark.parametrize("seed", [2, 3])
def test_subscriptions_outlive_cuts(seed: int) -> None:
    """In virtual time, with seeds that are the same in each run."""

    @virtual
    async def test(time: VirtualTime) -> None:
        choices = random.Random(seed)  # noqa: S311 - no secret
        back_off = BackOff(choices)
        async with AuthServer(token_life=LIFE, clock=time.monotonic, now=time.clock) as server:
            pair = server.sign_in("ada")
            tokens = TokenSet(pair.access_token, pair.refresh_token, pair.expires_in).received(time.clock())
            async with (
                proxied(server.ws_url) as proxy,
                scene(proxy, server.token_url, tokens, back_off, clock=time.clock) as crowd,
            ):
                crowd.subscribe(20, keys=4)
                await crowd.hears(2, within=10)
                attacks = await proxy.attack(choices, seconds=30, pauses=PAUSES, kinds=KINDS)
                await crowd.hears(10, within=20)
            await closed(server.ledger)
            books = books_of(server.ledger)

        check(crowd, books, attacks, back_off, late=0.001)

    test()


async def test_garbage_ends_each_subscription_with_an_error() -> None:
    """It is no loss of the connection: the server, or who stands before it, does not speak the protocol."""
    async with AuthServer(token_life=60) as server:
        pair = server.sign_in("ada")
        tokens = TokenSet(pair.access_token, pair.refresh_token, pair.expires_in)
        async with (
            proxied(server.ws_url) as proxy,
            scene(proxy, server.token_url, tokens, BackOff(random.Random(1))) as crowd,  # noqa: S311 - no secret
        ):
            crowd.subscribe(5)
            await crowd.hears(1, within=10)
            proxy.insert()
            await crowd.hears(1_000, within=10)

    assert [[SocketClosed]] * 5 == [[type(error) for error in listener.errors] for listener in crowd.listeners]
