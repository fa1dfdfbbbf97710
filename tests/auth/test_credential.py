"""The tokens in use, with what is known about them."""

from datetime import UTC, datetime, timedelta

import pytest

from rxlink.auth.credential import Credential, Wallet
from rxlink.auth.events import RefreshReason
from rxlink.auth.expiry import Lifetime, Windows
from rxlink.auth.session import AuthSession
from rxlink.auth.storage import StoredTokens
from rxlink.auth.tokens import TokenSet

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class HandClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def wallet(clock: HandClock) -> Wallet:
    return Wallet(Windows(60, 10), clock)


def held(wallet: Wallet) -> Credential:
    assert wallet.credential is not None
    return wallet.credential


def refreshed(wallet: Wallet, name: str = "A1", **of: float) -> Credential:
    wallet.renew(TokenSet(name, **of), is_refreshed=True)
    return held(wallet)


class TestDue:
    def test_a_token_is_due_by_its_windows_and_by_the_clock_at_that_moment(
        self, wallet: Wallet, clock: HandClock
    ) -> None:
        """S41, S47, E62: a machine may have slept; nobody waits for a timer."""
        refreshed(wallet, expires_in=3600)

        seen: list[RefreshReason | None] = []
        for step in (0, 3500, 60, 35, 7200):
            clock.move(step)
            seen.append(wallet.due())

        expected = [None, None, RefreshReason.EXPIRING, RefreshReason.EXPIRED, RefreshReason.EXPIRED]
        assert expected == seen

    def test_a_clock_that_goes_back_makes_it_good_again(self, wallet: Wallet, clock: HandClock) -> None:
        refreshed(wallet, expires_in=3600)
        clock.move(7200)
        ended = wallet.due()

        clock.move(-7200)

        assert (RefreshReason.EXPIRED, None) == (ended, wallet.due())

    def test_a_rejected_token_is_due_whatever_the_clock_says(self, wallet: Wallet) -> None:
        """E26: a 401 is proof."""
        credential = refreshed(wallet, expires_in=3600)

        wallet.reject(credential)

        assert RefreshReason.REJECTED == wallet.due()

    def test_a_token_of_unknown_life_is_never_due_by_itself(self, wallet: Wallet, clock: HandClock) -> None:
        """S49."""
        refreshed(wallet)

        clock.move(1e9)

        assert wallet.due() is None

    def test_nobody_is_never_due(self, wallet: Wallet) -> None:
        """S28, E85."""
        assert (None, None, None) == (wallet.due(), wallet.tokens, wallet.credential)

    @pytest.mark.parametrize(
        ("seconds", "rejected"), [(0, False), (3500, False), (3560, False), (3595, False), (9999, False), (0, True)]
    )
    def test_the_quick_answer_is_that_of_the_slow_one(
        self, seconds: float, rejected: bool, wallet: Wallet, clock: HandClock
    ) -> None:
        credential = refreshed(wallet, expires_in=3600)
        clock.move(seconds)
        if rejected:
            wallet.reject(credential)

        assert (credential if wallet.due() is None else None) is wallet.at_hand()

    def test_the_quick_answer_is_that_of_the_slow_one_in_the_very_moment_a_window_begins(
        self, wallet: Wallet, clock: HandClock
    ) -> None:
        lifetime = refreshed(wallet, expires_in=3600).lifetime
        assert lifetime.advisory_at is not None

        clock.now = lifetime.advisory_at

        assert (RefreshReason.EXPIRING, None) == (wallet.due(), wallet.at_hand())

    def test_the_quick_answer_knows_tokens_of_unknown_life_and_nobody(self, wallet: Wallet) -> None:
        nobody = wallet.at_hand()
        credential = refreshed(wallet)

        assert nobody is None
        assert credential is wallet.at_hand()

    def test_the_quick_answer_is_one_snapshot(self, clock: HandClock) -> None:
        """E97: the tokens are replaced while the old ones are judged; what is judged good is what is used."""
        replacing: list[TokenSet] = []

        def replacing_clock() -> datetime:
            if replacing:
                wallet.renew(replacing.pop(), is_refreshed=True)
            return clock()

        wallet = Wallet(Windows(60, 10), replacing_clock)
        old = refreshed(wallet, "A1", expires_in=3600)
        replacing.append(TokenSet("A2", expires_in=1))

        at_hand = wallet.at_hand()

        assert old is at_hand
        assert ("A1", "A2") == (old.tokens.access_token, held(wallet).tokens.access_token)


class TestGenerations:
    def test_each_token_set_is_a_generation(self, wallet: Wallet) -> None:
        """E09: a rejection says something about the token that was sent, not about its successor."""
        old = refreshed(wallet, "A1")
        new = refreshed(wallet, "A2")

        wallet.reject(old)

        assert (1, 2, 2) == (old.generation, new.generation, wallet.generation)
        assert (True, False, None) == (old.is_rejected, new.is_rejected, wallet.due())

    def test_a_refresh_keeps_the_old_refresh_token_where_it_brings_none(self, wallet: Wallet) -> None:
        """E69."""
        wallet.renew(TokenSet("A0", refresh_token="R0"), is_refreshed=False)

        kept = wallet.renew(TokenSet("A1"), is_refreshed=True)

        assert "R0" == kept.refresh_token
        assert wallet.tokens is kept

    def test_a_refresh_without_a_life_keeps_the_last_known_one(self, wallet: Wallet, clock: HandClock) -> None:
        """E65."""
        refreshed(wallet, "A1", expires_in=100)
        clock.move(90)

        refreshed(wallet, "A2")
        clock.move(95)

        assert RefreshReason.EXPIRED == wallet.due()

    def test_a_new_epoch_parts_with_all_that_was_learned(self, wallet: Wallet, clock: HandClock) -> None:
        """E80, P8: neither tokens, nor the refresh token, nor the life, nor the cool-down."""
        wallet.renew(TokenSet("A0", refresh_token="R0", expires_in=100), is_refreshed=False)
        for number in range(3):
            wallet.reject(refreshed(wallet, f"A{number}", expires_in=100))

        wallet.start_epoch("signed out")
        nobody = wallet.credential
        kept = wallet.renew(TokenSet("B0"), is_refreshed=False)
        wallet.reject(held(wallet))

        assert (None, 1) == (nobody, wallet.epoch)
        assert (None, Lifetime()) == (kept.refresh_token, held(wallet).lifetime)
        assert RefreshReason.REJECTED == wallet.due()

    def test_saved_tokens_are_judged_by_their_end(self, wallet: Wallet) -> None:
        wallet.restore(StoredTokens(TokenSet("A0", expires_at=NOW - timedelta(seconds=1)), "login", 1))

        assert RefreshReason.EXPIRED == wallet.due()
        assert not held(wallet).is_unproven


class TestCoolDown:
    def test_three_fresh_tokens_rejected_in_a_row_start_it(self, wallet: Wallet, clock: HandClock) -> None:
        """E25."""
        seen: list[RefreshReason | None] = []
        for number in range(3):
            wallet.reject(refreshed(wallet, f"A{number}"))
            seen.append(wallet.due())
        clock.move(30)
        seen.append(wallet.due())

        rejected = RefreshReason.REJECTED
        assert [rejected, rejected, None, rejected] == seen

    def test_many_rejections_of_one_token_are_one(self, wallet: Wallet) -> None:
        credential = refreshed(wallet)

        for _ in range(10):
            wallet.reject(credential)

        assert RefreshReason.REJECTED == wallet.due()

    def test_a_token_that_was_accepted_once_breaks_the_row(self, wallet: Wallet) -> None:
        for number in range(5):
            if number == 2:
                wallet.accept(refreshed(wallet, "good"))
                continue
            wallet.reject(refreshed(wallet, f"A{number}"))

        assert RefreshReason.REJECTED == wallet.due()

    def test_tokens_of_a_login_do_not_count(self, wallet: Wallet) -> None:
        seen: list[RefreshReason | None] = []
        for number in range(6):
            wallet.renew(TokenSet(f"B{number}"), is_refreshed=False)
            wallet.reject(held(wallet))
            seen.append(wallet.due())

        assert [RefreshReason.REJECTED] * 6 == seen

    def test_tokens_that_have_been_replaced_do_not_count(self, wallet: Wallet) -> None:
        """E09."""
        old = [refreshed(wallet, f"A{number}") for number in range(6)]

        for credential in old:
            wallet.reject(credential)

        assert RefreshReason.REJECTED == wallet.due()

    def test_a_token_that_has_proven_itself_does_not_count_when_it_is_rejected_later(self, wallet: Wallet) -> None:
        """E25: fresh ones only."""
        for number in range(5):
            credential = refreshed(wallet, f"A{number}")
            if number == 2:
                wallet.accept(credential)
            wallet.reject(credential)

        assert RefreshReason.REJECTED == wallet.due()

    def test_an_old_token_that_is_accepted_proves_nothing_about_the_new_ones(self, wallet: Wallet) -> None:
        """E81: a late answer."""
        old = refreshed(wallet, "old")
        for number in range(3):
            wallet.reject(refreshed(wallet, f"A{number}"))
            if number == 1:
                wallet.accept(old)

        assert wallet.due() is None


def test_a_credential_prints_no_token() -> None:
    """P7, E98."""
    tokens = TokenSet("planted-access", refresh_token="planted-refresh")

    assert "planted" not in repr(Credential(tokens, 1, 0, Lifetime()))


async def test_only_tokens_of_a_refresh_have_to_prove_themselves() -> None:
    """Refused before they were accepted, they count towards the pause; those of a sign-in are refreshed at once."""
    async with AuthSession(refresh=lambda tokens, reason: TokenSet("refreshed")) as session:
        await session.set_tokens(TokenSet("signed-in"))
        signed_in = session.wallet.credential
        await session.refresh(force=True)
        refreshed = session.wallet.credential

    assert signed_in is not None
    assert refreshed is not None
    assert (False, True) == (signed_in.is_unproven, refreshed.is_unproven)
