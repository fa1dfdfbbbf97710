"""How far the issuer's clock is ahead of the session's, as the wallet learns and uses it."""

from datetime import datetime, timedelta

import pytest

from rxlink.auth.credential import Wallet
from rxlink.auth.expiry import Windows
from rxlink.auth.storage import StoredTokens
from rxlink.auth.tokens import TokenSet
from tests.auth.test_credential import NOW, HandClock, held

HOUR = timedelta(hours=1)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def wallet(clock: HandClock) -> Wallet:
    return Wallet(Windows(60, 10), clock)


def test_a_fresh_token_teaches_it_and_is_judged_by_it(wallet: Wallet) -> None:
    """E61: our clock is a day slow, and the issuer says when it is."""
    tomorrow = NOW + timedelta(days=1)

    wallet.renew(TokenSet("A1", expires_at=tomorrow + HOUR, issued_at=tomorrow), is_refreshed=True)

    assert 86400 == wallet.clock_offset
    assert 3600 == held(wallet).lifetime.seconds
    assert NOW + HOUR - timedelta(seconds=10) == held(wallet).lifetime.mandatory_at


def test_it_holds_for_the_tokens_that_come_later(wallet: Wallet, clock: HandClock) -> None:
    """E61: also for those that bring no hint, and those of another login."""
    day = timedelta(days=1)
    wallet.renew(TokenSet("A1", expires_in=3600, issued_at=NOW - day), is_refreshed=True)
    clock.move(3600)
    later = clock()
    wallet.start_epoch("signed out")

    wallet.renew(TokenSet("B0", expires_at=later - day + HOUR), is_refreshed=False)
    fresh = held(wallet).lifetime.mandatory_at
    wallet.restore(StoredTokens(TokenSet("B0", expires_at=later - day + HOUR), "login", 1))

    assert later + HOUR - timedelta(seconds=10) == fresh == held(wallet).lifetime.mandatory_at
    assert -86400 == wallet.clock_offset


def test_tokens_are_kept_with_their_end_by_the_issuers_clock(wallet: Wallet) -> None:
    """E61: who loads them may have another clock, and has the issuer's in common with us."""
    kept = wallet.renew(TokenSet("A1", expires_in=3600, issued_at=NOW + HOUR), is_refreshed=True)

    assert TokenSet("A1", expires_in=3600, expires_at=NOW + HOUR + HOUR) == kept
    assert kept is wallet.tokens


def test_without_any_hint_our_clock_is_believed(wallet: Wallet) -> None:
    kept = wallet.renew(TokenSet("A1", expires_in=3600), is_refreshed=True)

    assert (0, NOW + HOUR) == (wallet.clock_offset, kept.expires_at)


def test_the_clock_is_asked_once_for_all_that_is_known_of_a_token(clock: HandClock) -> None:
    """E97: one moment, one judgement."""
    asked: list[datetime] = []
    wallet = Wallet(Windows(60, 10), lambda: asked.append(clock()) or clock())  # type: ignore[func-returns-value]

    wallet.renew(TokenSet("A1", expires_in=3600), is_refreshed=True)

    assert [NOW] == asked
