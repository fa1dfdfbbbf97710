"""Subscriptions live through the ends of their tokens: each time the next socket is there before the last one goes.

Demands E86, E87, E89. Each prints its figures (`-s`, or `-rP`, shows them).
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from rxlink import AuthSession, RefreshSucceeded, TokenSet, oauth2_refresh
from rxlink.testing import AuthServer, VirtualTime, virtual
from rxlink.transport.websocket import GraphQLWsLink
from tests.fleet.children import ROOT, Children
from tests.fleet.tokens import tokens_of
from tests.websocket.books import check_each_once, check_none_missing, check_one_refresh, figures
from tests.websocket.crowd import EVERY, Crowd, gathered, number_of, until
from tests.websocket.server import books_of, closed

IS_SHORT = os.environ.get("RXLINK_SOAK") == "short"
EXPIRIES = 10
LIFE = 2.0
"""Seconds, of a token."""
SIZE = 1_000
LEEWAY = 1.0 if IS_SHORT else 0.0
"""Seconds for which the server leaves a socket open after the end of its token: among other tests it is busy."""


@asynccontextmanager
async def scene(
    addresses: dict[str, str], pair: dict[str, Any], **options: Any
) -> AsyncIterator[tuple[Crowd, list[Any]]]:
    """Give a crowd on one link, and the refreshes of its session."""
    clock = options.pop("clock", None)
    refreshes: list[Any] = []
    async with (
        oauth2_refresh(addresses["token"], client_id="crowd") as refresh,
        AuthSession(refresh=refresh, tokens=options.pop("tokens", None) or tokens_of(pair), clock=clock) as session,
        GraphQLWsLink(addresses["ws"], auth=session, **options) as link,
    ):
        watch = session.events.subscribe(
            lambda event: refreshes.append(event) if isinstance(event, RefreshSucceeded) else None
        )
        with gathered(link) as crowd:
            yield crowd, refreshes
        watch.dispose()


def check(crowd: Crowd, books: dict[str, Any], *, has_key: bool, expiries: int) -> tuple[int, float]:
    """Return how many numbers came twice, and how many seconds before the ends of tokens their sockets were left."""
    if has_key:
        check_each_once(crowd)
    duplicates = check_none_missing(crowd)
    print(figures(crowd, books))
    assert [] == crowd.errors()
    assert not any(listener.is_complete for listener in crowd.listeners)
    again = crowd.resubscribed()
    assert len(books["sockets"]) - 1 == len(again)
    assert {(False, not has_key)} == {(each.may_have_gap, each.may_have_duplicates) for each in again}
    assert {len(crowd.listeners)} == {len(each.operations) for each in again}
    in_time = check_one_refresh(books, expiries)
    print(f"{duplicates} duplicates; sockets were left {in_time:.3f} s before the end of their token, or more")
    return duplicates, in_time


@pytest.mark.soak
@pytest.mark.skipif(os.name == "nt", reason="needs pipes of POSIX")
@pytest.mark.parametrize("has_key", [False, True])
async def test_a_thousand_subscriptions_live_through_ten_tokens(started: Children, *, has_key: bool) -> None:
    expiries = 3 if IS_SHORT else EXPIRIES
    command = [sys.executable, "-W", "error", "-m", "tests.websocket.server"]
    command += ["--token-life", str(LIFE), "--leeway", str(LEEWAY)]
    server = await started.program("server", command, ROOT)
    addresses = await server.line()
    pair = await server.ask(do="sign_in")

    async with scene(addresses, pair, dedup_key=number_of if has_key else None) as (crowd, refreshes):
        crowd.subscribe(SIZE)
        await until(lambda: len(refreshes) >= expiries, within=3 * LIFE * expiries)
        await crowd.hears(2 * int(LIFE / EVERY), within=3 * LIFE)
        await until(crowd.is_settled, within=LIFE)
    books = await server.ask(do="books")

    check(crowd, books, has_key=has_key, expiries=expiries)


@pytest.mark.parametrize("overlap", [0.0, 0.3])
@pytest.mark.parametrize("has_key", [False, True])
def test_subscriptions_live_through_ten_tokens(*, has_key: bool, overlap: float) -> None:
    """In virtual time, in which an overlap takes none unless it is told to."""

    @virtual
    async def test(time: VirtualTime) -> None:
        async with AuthServer(token_life=LIFE, clock=time.monotonic, now=time.clock) as server:
            pair = server.sign_in("ada")
            addresses = {"ws": server.ws_url, "token": server.token_url}
            tokens = TokenSet(pair.access_token, pair.refresh_token, pair.expires_in).received(time.clock())
            options = {"clock": time.clock, "tokens": tokens, "dedup_key": number_of if has_key else None}
            async with scene(addresses, {}, overlap=overlap, **options) as (crowd, refreshes):
                crowd.subscribe(30, keys=3)
                await until(lambda: len(refreshes) >= EXPIRIES, within=2 * LIFE * EXPIRIES)
                await crowd.hears(2 * int(LIFE / EVERY), within=3 * LIFE)
                await until(crowd.is_settled, within=LIFE)
            await closed(server.ledger)
            books = books_of(server.ledger)

        duplicates, in_time = check(crowd, books, has_key=has_key, expiries=EXPIRIES)
        assert in_time > 0
        assert (duplicates > 0) == (overlap > 0 and not has_key)

    test()
