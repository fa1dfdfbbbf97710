"""Tokens, masked wherever they are printed."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import pytest

from rxlink.auth.tokens import TokenSet, checked_tokens, fingerprint, shifted
from rxlink.core.options import kind_of
from rxlink.errors import InvariantError, InvariantTypeError

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TEN_YEARS = timedelta(days=3650)
SECRET = "planted-access-token"
PAID_WITH = "planted-refresh-token"


class Nowhere(tzinfo):
    """A time zone that does not know its offset: its datetimes are as naive as those without."""

    def utcoffset(self, _: datetime | None) -> None:
        return None


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "JWT ", "Token ", "DPoP\t", "Basic "])
@pytest.mark.parametrize("name", ["access_token", "refresh_token"])
def test_a_token_with_its_scheme_in_it_is_refused_and_the_message_shows_the_scheme_only(name: str, scheme: str) -> None:
    """S24: the scheme appears once, because nobody can store it twice."""
    with pytest.raises(InvariantError) as caught:
        TokenSet(**{"access_token": "a", name: f"{scheme}{SECRET}"})

    assert f"`{name}` begins with the scheme" in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("token", ["a b", "a\n", "\ta", "a\x00", "a\x7f", "tökén", "\ud800"])
def test_a_token_that_no_header_can_carry_is_refused(token: str) -> None:
    with pytest.raises(InvariantError, match="`access_token` holds white space, control characters or others"):
        TokenSet(token)
    with pytest.raises(InvariantError, match="`refresh_token` holds white space, control characters or others"):
        TokenSet("a", refresh_token=token)


@pytest.mark.parametrize("name", ["access_token", "refresh_token"])
def test_an_empty_token_is_refused(name: str) -> None:
    """S21: what is empty is no token."""
    with pytest.raises(InvariantError, match=f"`{name}` is empty; give the token, or no TokenSet"):
        TokenSet(**{"access_token": "a", name: ""})


@pytest.mark.parametrize("token", [b"bytes", 5, ["a"]])
def test_a_token_that_is_no_text_is_a_type_error(token: Any) -> None:
    with pytest.raises(InvariantTypeError, match=f"`access_token` is {kind_of(token)}; give the token as text"):
        TokenSet(token)


@pytest.mark.parametrize("name", ["expires_at", "issued_at"])
def test_a_naive_time_is_refused(name: str) -> None:
    for naive in (datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=Nowhere())):  # noqa: DTZ001 - the mistake under test
        with pytest.raises(InvariantError, match=f"`{name}` is a naive datetime; give an aware one"):
            TokenSet("a", **{name: naive})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["expires_at", "issued_at"])
@pytest.mark.parametrize("time", ["2026-01-01", 1767225600, 1.5])
def test_a_time_that_is_no_datetime_is_a_type_error(time: Any, name: str) -> None:
    with pytest.raises(InvariantTypeError, match=f"`{name}` is {kind_of(time)}; give an aware datetime"):
        TokenSet("a", **{name: time})


@pytest.mark.parametrize("life", ["3600", True, [60], timedelta(hours=1)])
def test_a_life_that_is_no_number_is_a_type_error(life: Any) -> None:
    with pytest.raises(InvariantTypeError, match=f"`expires_in` is {kind_of(life)}; give seconds as a number"):
        TokenSet("a", expires_in=life)


@pytest.mark.parametrize("life", [float("nan"), float("inf"), -float("inf")])
def test_a_life_that_is_not_finite_is_refused(life: float) -> None:
    with pytest.raises(InvariantError, match="give seconds, or None where the life is unknown"):
        TokenSet("a", expires_in=life)


@pytest.mark.parametrize("tokens", ["planted", {"access_token": "planted"}, None])
def test_what_is_no_token_set_is_a_type_error(tokens: Any) -> None:
    with pytest.raises(InvariantTypeError) as caught:
        checked_tokens(tokens)

    assert f"the tokens are {kind_of(tokens)}; give a TokenSet" == str(caught.value)
    assert (same := TokenSet("a")) is checked_tokens(same)


def test_neither_token_is_printed_but_tokens_can_be_told_apart() -> None:
    """E98, P7."""
    tokens = TokenSet(SECRET, refresh_token=PAID_WITH, expires_at=NOW)

    shown = [repr(tokens), str(tokens), f"{tokens}", f"{tokens!r:>99}"]

    assert not [text for text in shown if SECRET in text or PAID_WITH in text]
    assert (
        f"<TokenSet access={fingerprint(SECRET)} refresh={fingerprint(PAID_WITH)} expires_at={NOW.isoformat()}>"
        in shown
    )
    assert "<TokenSet access=ca978112 refresh=none expires_at=unknown>" == repr(TokenSet("a"))


def test_a_token_set_does_not_change() -> None:
    """E97: header and metadata come from one snapshot."""
    tokens = TokenSet("a")

    with pytest.raises(AttributeError):
        tokens.access_token = "b"  # type: ignore[misc]


def test_the_life_counts_from_when_it_was_received_and_wins_over_the_end() -> None:
    """E65, first step of the order."""
    tokens = TokenSet("a", expires_in=90, expires_at=NOW + timedelta(days=1))

    kept = tokens.received(NOW)

    assert NOW + timedelta(seconds=90) == kept.expires_at
    assert 90 == kept.expires_in


@pytest.mark.parametrize(
    ("life", "end"),
    [
        (1e300, NOW + TEN_YEARS),
        (TEN_YEARS.total_seconds() + 1, NOW + TEN_YEARS),
        (TEN_YEARS.total_seconds() - 1, NOW + TEN_YEARS - timedelta(seconds=1)),
    ],
)
def test_a_life_that_no_calendar_holds_is_cut(life: float, end: datetime) -> None:
    """E65: absurdly long values."""
    assert end == TokenSet("a", expires_in=life).received(NOW).expires_at


@pytest.mark.parametrize("life", [0, 0.0, -5, -1e300])
def test_a_life_that_is_over_at_receipt_says_nothing(life: float) -> None:
    """E65: not permanently expired either; what was said beside it counts."""
    beside = NOW + timedelta(hours=1)

    kept = TokenSet("a", expires_in=life, expires_at=beside).received(NOW)

    assert (None, beside) == (kept.expires_in, kept.expires_at)
    assert TokenSet("a") == TokenSet("a", expires_in=life).received(NOW)
    assert TokenSet("a", expires_in=life).life is None


def test_when_it_was_issued_is_said_once_and_not_kept() -> None:
    """E61: it is about the moment of receipt; who signs in with kept tokens must not seem to have a wrong clock."""
    tokens = TokenSet("a", expires_in=90, issued_at=NOW)

    assert TokenSet("a", expires_in=90, expires_at=NOW + timedelta(seconds=90)) == tokens.received(NOW)


def test_a_time_that_no_calendar_holds_is_the_first_or_the_last() -> None:
    assert NOW + timedelta(seconds=1.5) == shifted(NOW, 1.5)
    assert ["0001-01-01", "9999-12-31"] == [shifted(NOW, by).date().isoformat() for by in (-1e12, 1e300)]


def test_the_old_refresh_token_stays_where_none_came() -> None:
    """E69."""
    assert "R0" == TokenSet("a").received(NOW, refresh_token="R0").refresh_token
    assert "R1" == TokenSet("a", refresh_token="R1").received(NOW, refresh_token="R0").refresh_token
    assert TokenSet("a").received(NOW).refresh_token is None
