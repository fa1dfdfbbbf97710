"""When a token ends while the issuer's clock and ours differ.

`ahead` is how many seconds the issuer's clock is ahead of ours; ours shows `NOW`.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxlink.auth.expiry import Lifetime, Windows
from tests.auth.test_expiry import NOW, at, jwt_of, left, lifetime

MINUTE, HOUR, DAY = 60, 3600, 86400
SINCE_1970 = NOW.timestamp()


def end_of(judged: Lifetime) -> float | None:
    """When it ends by our clock: the windows used with it begin there."""
    return left(judged.mandatory_at)


def without_windows(token: str = "opaque", **of: Any) -> Lifetime:
    return lifetime(token, windows=Windows(0, 0), **of)


def moment(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize("ahead", [10 * MINUTE, -10 * MINUTE, DAY, -DAY, SINCE_1970, 30, -30])
def test_the_issuers_own_time_of_issue_sets_the_clock_right(ahead: float) -> None:
    """E61: the `Date` header of the token response."""
    issued = moment(ahead)
    ends = moment(ahead + HOUR)

    for judged in (
        without_windows(issued_at=issued, expires_at=ends),
        without_windows(jwt_of({"exp": at(ahead + HOUR)}), issued_at=issued),
        without_windows(jwt_of({"iat": at(ahead), "exp": at(ahead + HOUR)}), issued_at=issued),
        without_windows(jwt_of({"iat": at(ahead - HOUR), "exp": at(ahead + HOUR)}), issued_at=issued),
        without_windows(issued_at=issued, expires_in=HOUR),
    ):
        assert (HOUR, ahead) == (end_of(judged), judged.offset)


@pytest.mark.parametrize("ahead", [10 * MINUTE, DAY, SINCE_1970, 1])
def test_a_token_from_the_future_proves_that_our_clock_is_slow(ahead: float) -> None:
    """E61: nothing is issued in the future."""
    judged = without_windows(jwt_of({"iat": at(ahead), "exp": at(ahead + HOUR)}))

    assert (HOUR, ahead) == (end_of(judged), judged.offset)


@pytest.mark.parametrize("ahead", [-HOUR, -DAY, -SINCE_1970 + 1, -40 * MINUTE])
def test_a_fresh_token_of_little_or_no_life_proves_that_our_clock_is_fast(ahead: float) -> None:
    """E61: it was issued just now, so its life counts from now."""
    judged = without_windows(jwt_of({"iat": at(ahead), "exp": at(ahead + HOUR)}))

    assert (HOUR, ahead) == (end_of(judged), judged.offset)


@pytest.mark.parametrize("age", [0, 3, 10 * MINUTE, 30 * MINUTE])
def test_a_token_that_is_merely_old_proves_nothing(age: float) -> None:
    """E61: issuers hand out tokens that they made minutes ago, and they end when they say."""
    judged = without_windows(jwt_of({"iat": at(-age), "exp": at(HOUR - age)}))

    assert (HOUR - age, 0) == (end_of(judged), judged.offset)


def test_a_fresh_token_that_has_ended_and_says_nothing_else_lives_as_long_as_the_one_before() -> None:
    """E61."""
    for judged in (
        without_windows(expires_at=moment(-DAY), last_known=HOUR),
        without_windows(jwt_of({"exp": at(-DAY)}), last_known=HOUR),
    ):
        assert (HOUR, HOUR, -DAY - HOUR) == (judged.seconds, end_of(judged), judged.offset)


@pytest.mark.parametrize("ahead", [10 * MINUTE, -10 * MINUTE, DAY, -DAY, SINCE_1970])
def test_what_was_learned_holds_for_tokens_that_bring_no_hint(ahead: float) -> None:
    """E61: a later token without `iat`, and a kept one."""
    ends = at(ahead + HOUR)

    for judged in (
        without_windows(expires_at=moment(ahead + HOUR), offset=ahead),
        without_windows(jwt_of({"exp": ends}), offset=ahead),
        without_windows(jwt_of({"exp": ends}), offset=ahead, is_fresh=False),
        without_windows(expires_at=moment(ahead + HOUR), offset=ahead, is_fresh=False),
    ):
        assert (HOUR, ahead) == (end_of(judged), judged.offset)


def test_what_was_learned_holds_for_an_older_token_too() -> None:
    """E61: made ten minutes ago, and our clock is five slow: the token only seems to be five minutes old."""
    judged = without_windows(jwt_of({"iat": at(-5 * MINUTE), "exp": at(55 * MINUTE)}), offset=5 * MINUTE)

    assert (50 * MINUTE, 5 * MINUTE) == (end_of(judged), judged.offset)


@pytest.mark.parametrize("known", [10 * MINUTE, -10 * MINUTE, DAY, -DAY])
def test_a_token_that_agrees_with_our_clock_ends_what_was_learned(known: float) -> None:
    """E61, E62: somebody has set the clock."""
    for of in ({"token": jwt_of({"iat": at(-1), "exp": at(HOUR)})}, {"issued_at": NOW, "expires_at": moment(HOUR)}):
        judged = without_windows(**of, offset=known)
        assert (HOUR, 0) == (end_of(judged), judged.offset)


def test_a_token_that_only_our_clock_finds_alive_ends_what_was_learned() -> None:
    """E61, E62."""
    judged = without_windows(expires_at=moment(HOUR), offset=DAY)

    assert (HOUR, 0) == (end_of(judged), judged.offset)


def test_a_kept_token_teaches_nothing() -> None:
    """E61: its `iat` is of long ago; and its end by the issuer's clock is its end."""
    judged = without_windows(jwt_of({"iat": at(-HOUR), "exp": at(MINUTE)}), is_fresh=False, offset=30)

    assert (30, 30) == (end_of(judged), judged.offset)


def test_a_time_of_issue_after_the_end_is_none() -> None:
    ends = moment(HOUR)

    for late in (HOUR, DAY, SINCE_1970):
        assert Lifetime(HOUR, ends, ends) == without_windows(issued_at=moment(late), expires_at=ends)


@pytest.mark.parametrize("ahead", [10, 2, -2, -10])
def test_a_few_seconds_are_no_wrong_clock_but_the_way_of_the_answer(ahead: float) -> None:
    for judged in (
        without_windows(issued_at=moment(ahead), expires_at=moment(HOUR)),
        without_windows(issued_at=moment(ahead), expires_in=HOUR),
    ):
        assert (HOUR, 0) == (end_of(judged), judged.offset)


def test_a_few_seconds_count_where_the_token_lives_no_longer() -> None:
    """E61: a token just received is never treated as ended."""
    judged = without_windows(issued_at=moment(-8), expires_at=moment(-3))

    assert (5, -8) == (end_of(judged), judged.offset)


def test_what_comes_with_it_teaches_also_where_the_life_is_known() -> None:
    """E61: for the tokens that come later, and for those who load this one."""
    assert -DAY == lifetime(jwt_of({"iat": at(-DAY), "exp": at(HOUR - DAY)}), expires_in=HOUR).offset
    assert DAY == lifetime(jwt_of({"iat": at(DAY)}), expires_in=HOUR).offset
    assert 0 == lifetime(jwt_of({"iat": at(-DAY)}), expires_in=HOUR).offset
    assert 7 == lifetime(expires_at=moment(-DAY), expires_in=HOUR, offset=7).offset


def test_an_issuer_that_keeps_handing_out_one_token_is_not_asked_for_it_by_each_operation() -> None:
    """E59, E61: five minutes are left of an hour, and the windows are capped by what is left."""
    token = jwt_of({"iat": at(-55 * MINUTE), "exp": at(5 * MINUTE)})

    judged = lifetime(token, windows=Windows(HOUR, HOUR, 0), issued_at=NOW)

    assert (HOUR, 225, 270) == (judged.seconds, left(judged.advisory_at), left(judged.mandatory_at))


@pytest.mark.parametrize(
    "of",
    [
        {"expires_at": datetime.min.replace(tzinfo=UTC), "last_known": 5.0},
        {"expires_at": datetime.max.replace(tzinfo=UTC), "offset": -1e12},
        {"issued_at": datetime.min.replace(tzinfo=UTC), "expires_at": datetime.max.replace(tzinfo=UTC)},
        {"issued_at": datetime.max.replace(tzinfo=UTC), "expires_in": 60},
        {"token": jwt_of({"iat": 253402200000, "exp": 253402200001})},
    ],
)
def test_no_time_is_too_far_away(of: dict[str, Any]) -> None:
    """E65: absurd values."""
    judged = lifetime(**of)

    assert judged.advisory_at is None or judged.advisory_at > NOW


@given(
    ahead=st.floats(-1.7e9, 1.7e9),
    life=st.floats(2, 1e6),
    age=st.floats(0, 0.99),
    windows=st.builds(Windows, st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1)),
    hints=st.sets(st.sampled_from(["issued_at", "expires_in", "expires_at", "iat", "exp"])),
    last_known=st.none() | st.floats(1, 1e6),
    offset=st.floats(-1.7e9, 1.7e9),
)
def test_a_token_just_received_is_never_due(
    *,
    ahead: float,
    life: float,
    age: float,
    windows: Windows,
    hints: set[str],
    last_known: float | None,
    offset: float,
) -> None:
    """E61, E59: whatever the clocks show, whatever the token says, however old it was, whatever was learned."""
    made, ends = ahead - age * life, ahead + (1 - age) * life
    claims = {"iat": at(made), "exp": at(ends)}
    of = {"issued_at": moment(ahead), "expires_at": moment(ends), "expires_in": (1 - age) * life}

    judged = lifetime(
        jwt_of({name: claim for name, claim in claims.items() if name in hints}),
        windows=windows,
        last_known=last_known,
        offset=offset,
        **{name: value for name, value in of.items() if name in hints},
    )

    assert judged.advisory_at is None or NOW < judged.advisory_at <= judged.mandatory_at  # type: ignore[operator]
