"""When a token ends, and when to replace it."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxlink.auth import expiry
from rxlink.auth.expiry import Lifetime, Windows, lifetime_of
from rxlink.auth.tokens import TokenSet

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WINDOWS = Windows(advisory=60.0, mandatory=10.0)


def jwt_of(claims: Any, header: Any = None) -> str:
    """An unsigned-looking JWT, made without PyJWT: its encoder refuses what issuers have been seen to send."""
    parts = [header or {"alg": "HS256", "typ": "JWT"}, claims]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "c2lnbmF0dXJl"])


def at(seconds: float) -> float:
    return NOW.timestamp() + seconds


def lifetime(
    token: str = "opaque",
    *,
    windows: Windows = WINDOWS,
    last_known: float | None = None,
    is_fresh: bool = True,
    offset: float = 0.0,
    **of: Any,
) -> Lifetime:
    return lifetime_of(TokenSet(token, **of), NOW, windows, last_known=last_known, is_fresh=is_fresh, offset=offset)


def left(moment: datetime | None) -> float | None:
    return None if moment is None else (moment - NOW).total_seconds()


@pytest.fixture
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "place_of", lambda _: 0.0)


@pytest.mark.usefixtures("no_jitter")
class TestWindows:
    def test_the_windows_stand_before_the_end(self) -> None:
        """S41."""
        long_lived = lifetime(expires_in=3600)

        assert (3540, 3590) == (left(long_lived.advisory_at), left(long_lived.mandatory_at))
        assert 3600 == long_lived.seconds

    def test_the_windows_are_capped_by_the_life_of_the_token(self) -> None:
        """E59: leeway 60 s, life 50 s, and still no refresh per call."""
        short = lifetime(expires_in=50)

        assert (37.5, 45) == (left(short.advisory_at), left(short.mandatory_at))

    def test_a_token_half_of_whose_life_has_passed_keeps_the_caps_of_its_whole_life(self) -> None:
        loaded = lifetime(is_fresh=False, expires_in=100, expires_at=NOW + timedelta(seconds=50))

        assert (25, 40) == (left(loaded.advisory_at), left(loaded.mandatory_at))

    def test_the_mandatory_window_is_never_before_the_advisory_one(self) -> None:
        """E60: a larger one counts as large as the advisory one."""
        swapped = lifetime(windows=Windows(advisory=5, mandatory=50), expires_in=3600)

        assert (3595, 3595) == (left(swapped.advisory_at), left(swapped.mandatory_at))

    def test_windows_of_zero_wait_for_the_very_end(self) -> None:
        zero = lifetime(windows=Windows(0, 0), expires_in=3600)

        assert (3600, 3600) == (left(zero.advisory_at), left(zero.mandatory_at))


def test_without_jitter_the_windows_are_as_long_as_they_were_given() -> None:
    begins = {
        left(lifetime(f"A{number}", windows=Windows(60, 10, 0), expires_in=3600).advisory_at) for number in range(20)
    }

    assert {3540} == begins


def test_the_jitter_never_reaches_into_the_mandatory_window() -> None:
    """E17: however large it is, operations never wait where one could have refreshed ahead."""
    judged = [lifetime(f"A{number}", windows=Windows(60, 10, 1), expires_in=3600) for number in range(200)]

    assert {3590} == {left(each.mandatory_at) for each in judged}
    assert 3590 == max(left(each.advisory_at) or 0 for each in judged)
    assert len({left(each.advisory_at) for each in judged}) > 100


def test_tokens_that_end_together_are_not_replaced_together() -> None:
    """E17: a tenth of the advisory window, and the end of the token stays the end."""
    ends = {"expires_at": NOW + timedelta(hours=1), "expires_in": 3600}

    begins = [left(lifetime(f"A{number}", **ends).advisory_at) or 0 for number in range(100)]

    assert 3540 <= min(begins) < max(begins) <= 3546
    assert len(set(begins)) > 90
    assert max(begins) - min(begins) > 5


@pytest.mark.parametrize("jitter", [0.1, 1])
def test_all_who_share_a_token_replace_it_at_the_same_moment(jitter: float) -> None:
    """E17: of ten who draw for themselves the earliest would win; one has just got it, the others have loaded it."""
    windows = Windows(900, 10, jitter)
    got = lifetime("A1", windows=windows, expires_in=3600)
    loaded = lifetime(
        "A1", windows=windows, is_fresh=False, expires_at=NOW + timedelta(hours=1), expires_in=3600, refresh_token="R1"
    )
    shared_otherwise = lifetime("A2", windows=windows, expires_in=3600, refresh_token="R1")

    assert got == loaded
    assert got.mandatory_at == shared_otherwise.mandatory_at
    assert got.advisory_at != shared_otherwise.advisory_at


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1))
def test_the_place_of_a_token_is_within_its_jitter(token: str) -> None:
    assert 0 <= expiry.place_of(token) < 1
    assert expiry.place_of(token) == expiry.place_of(token)


def test_places_lie_evenly() -> None:
    """E17: else a fleet would not spread."""
    places = [expiry.place_of(f"A{number}") for number in range(10_000)]

    tenths = [sum(tenth / 10 <= place < (tenth + 1) / 10 for place in places) for tenth in range(10)]

    assert all(900 < count < 1100 for count in tenths)


@given(
    life=st.floats(1, 1e6),
    gone=st.floats(0, 0.99),
    windows=st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)),
    more=st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)),
    is_fresh=st.booleans(),
    luck=st.floats(0, 1, exclude_max=True),
    jitter=st.floats(0, 1),
)
def test_a_larger_window_never_makes_a_refresh_later(
    *,
    life: float,
    gone: float,
    windows: tuple[float, float],
    more: tuple[float, float],
    is_fresh: bool,
    luck: float,
    jitter: float,
) -> None:
    """E60: sign errors in the leeway, for both windows together and each alone."""
    end = NOW + timedelta(seconds=life * (1 - gone))
    of = {"expires_at": end, "expires_in": None if is_fresh else life}

    def judged(advisory: float, mandatory: float) -> Lifetime:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(expiry, "place_of", lambda _: luck)
            return lifetime(windows=Windows(advisory, mandatory, jitter), is_fresh=is_fresh, **of)

    narrow = judged(*windows)

    for advisory, mandatory in [(more[0], 0), (0, more[1]), more]:
        wide = judged(windows[0] + advisory, windows[1] + mandatory)
        assert (left(wide.advisory_at) or 0) <= (left(narrow.advisory_at) or 0)
        assert (left(wide.mandatory_at) or 0) <= (left(narrow.mandatory_at) or 0)
        assert (left(wide.advisory_at) or 0) <= (left(wide.mandatory_at) or 0) <= (left(end) or 0)


class TestJwt:
    def test_the_end_is_read_from_the_token(self) -> None:
        """S41, E65: no `expires_in`, so `exp`."""
        read = lifetime(jwt_of({"exp": at(3600)}))

        assert 3600 == read.seconds
        assert 3550 <= (left(read.mandatory_at) or 0) <= 3590

    def test_what_the_issuer_said_beside_the_token_counts_more(self) -> None:
        """E65: `expires_in` and `expires_at` before `exp`."""
        token = jwt_of({"exp": at(3600)})

        assert 100 == lifetime(token, expires_in=100).seconds
        assert 200 == lifetime(token, expires_at=NOW + timedelta(seconds=200)).seconds

    def test_a_token_just_issued_lives_for_its_own_span_whatever_the_clocks_say(self) -> None:
        """E61's first half: the issuer's clock is an hour behind ours, the life is `exp - iat`."""
        read = lifetime(jwt_of({"iat": at(-3600), "exp": at(-3300)}))

        assert 300 == read.seconds
        assert 200 < (left(read.advisory_at) or 0) < 300

    def test_a_token_that_was_kept_is_judged_by_its_end(self) -> None:
        kept = lifetime(jwt_of({"iat": at(-3570), "exp": at(30)}), is_fresh=False)

        assert 3600 == kept.seconds
        assert (left(kept.advisory_at) or 0) < 0 < (left(kept.mandatory_at) or 0)

    @pytest.mark.parametrize("header", [{"alg": "none"}, {"alg": "XX999", "kid": "?"}, {"alg": "RS256"}, {}])
    def test_it_is_read_and_not_verified(self, header: dict[str, str]) -> None:
        """E67: the client has no key, and knows no algorithm."""
        assert 3600 == lifetime(jwt_of({"exp": at(3600)}, {"typ": "JWT", **header})).seconds

    @pytest.mark.parametrize(
        "claims",
        [
            {"sub": 5},
            {"iss": ["a"], "aud": 5, "jti": 7},
            {"nbf": at(9999), "iat": "yesterday"},
            {"iat": at(9999)},
            {"iat": at(3600)},
            {"iat": -1},
            {"iat": True},
        ],
    )
    def test_other_claims_may_be_anything(self, claims: dict[str, Any]) -> None:
        """E67: nothing but `exp` and `iat` is looked at, and an `iat` at the end or after it says nothing."""
        assert 3600 == lifetime(jwt_of({"exp": at(3600), **claims})).seconds

    @pytest.mark.parametrize(
        "end", ["3600", None, True, -5, 1e300, 10**400, float("nan"), float("inf"), [3600], {}, 253402300800]
    )
    def test_an_end_that_says_nothing_means_unknown(self, end: Any) -> None:
        """S49, E65: unknown means that only a rejection tells."""
        assert Lifetime() == lifetime(jwt_of({"exp": end}))

    @pytest.mark.parametrize("is_fresh", [True, False])
    def test_the_farthest_end_is_no_overflow(self, is_fresh: bool) -> None:
        """E65: absurdly long values."""
        read = lifetime(jwt_of({"iat": 0, "exp": 253402200000}), is_fresh=is_fresh)

        assert read.advisory_at is not None
        assert (left(read.advisory_at) or 0) > 9 * 365 * 24 * 3600

    @pytest.mark.parametrize(
        "token",
        [
            "opaque",
            "two.parts",
            "not.a.jwt",
            "....",
            "..",
            "eyJhbGciOiJub25lIn0.%%%.x",
            jwt_of([1, 2]),
            jwt_of("text"),
            jwt_of(None),
            jwt_of({"exp": 1})[:-20] + "!",
            f"e30.{base64.urlsafe_b64encode(b'[' * 100_000).decode().rstrip('=')}.e30",
            f"e30.{base64.urlsafe_b64encode(bytes([0xFF, 0xFE])).decode().rstrip('=')}.e30",
        ],
    )
    def test_what_is_no_jwt_has_an_unknown_end(self, token: str) -> None:
        """S49: a garbled JWT without a known life is used until it is rejected."""
        assert Lifetime() == lifetime(token)

    @pytest.mark.parametrize("token", ["opaque", "a.b", "a.b.c.d", "v2.local.abc.footer"])
    def test_an_opaque_token_is_never_decoded(self, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """E66."""
        monkeypatch.setattr(expiry.jwt, "decode", lambda *_, **__: pytest.fail("decoded"))

        assert 60 == lifetime(token, expires_in=60).seconds
        assert Lifetime() == lifetime(token)


class TestOrder:
    def test_without_anything_else_the_life_of_the_token_before_counts(self) -> None:
        """E65: a refresh response without `expires_in` must not make the token eternal."""
        guessed = lifetime(last_known=100)

        assert 100 == guessed.seconds
        assert (left(guessed.mandatory_at) or 0) == pytest.approx(90, abs=1)

    def test_that_holds_for_a_kept_token_too(self) -> None:
        """E65: one that another process has brought meanwhile is no more eternal than one of our own."""
        assert lifetime(windows=Windows(60, 10, 0), last_known=100) == lifetime(
            windows=Windows(60, 10, 0), last_known=100, is_fresh=False
        )

    def test_without_that_the_end_is_unknown(self) -> None:
        """E65, S49: an opaque token of unknown life is used until it is rejected."""
        assert Lifetime(None, None, None) == lifetime()

    def test_a_fresh_token_that_seems_to_have_ended_is_used_until_it_is_rejected(self) -> None:
        """E25, E61: a clock is wrong, and a refresh per operation would not set it."""
        assert Lifetime() == lifetime(expires_in=0)
        assert Lifetime() == lifetime(expires_in=-10)
        assert Lifetime() == lifetime(expires_at=NOW - timedelta(hours=1))
        assert Lifetime() == lifetime(jwt_of({"exp": at(-1)}))

    def test_a_kept_token_that_has_ended_has_ended(self) -> None:
        ended = NOW - timedelta(hours=1)

        assert Lifetime(60, ended, ended) == lifetime(is_fresh=False, expires_at=ended, expires_in=60)

    def test_a_kept_life_without_its_beginning_says_nothing(self) -> None:
        assert Lifetime() == lifetime(is_fresh=False, expires_in=60)

    @pytest.mark.parametrize("life", [0, -10])
    def test_a_life_that_is_over_at_receipt_says_nothing(self, life: float) -> None:
        """E65: what comes next in the order counts."""
        ends = NOW + timedelta(seconds=200)

        assert 200 == lifetime(expires_in=life, expires_at=ends).seconds
        assert 300 == lifetime(jwt_of({"exp": at(300)}), expires_in=life).seconds
        assert 400 == lifetime(expires_in=life, last_known=400).seconds
