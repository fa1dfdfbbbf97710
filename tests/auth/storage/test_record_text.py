"""How stored tokens are written down, and what is said of anything else."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxlink.auth.storage.record_text import from_text, to_text
from rxlink.auth.storage.shared import StoredTokens
from rxlink.auth.tokens import TokenSet
from rxlink.errors import InvalidStoredTokens

TOKENS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=20).filter(
    lambda text: not text.lower().startswith(("bearer", "jwt", "token", "basic", "dpop"))
)
RECORDS = st.builds(
    StoredTokens,
    st.none()
    | st.builds(
        TokenSet,
        TOKENS,
        st.none() | TOKENS,
        st.none() | st.floats(0, 1e9),
        st.none() | st.datetimes(timezones=st.just(UTC)),
    ),
    st.text(min_size=1, max_size=10),
    st.integers(1, 10**12),
    st.none() | st.text(max_size=10),
)
GOOD = json.loads(to_text(StoredTokens(TokenSet("planted-access", "planted-refresh", 3.0), "login", 3)))


def reading(text: str | bytes) -> InvalidStoredTokens:
    with pytest.raises(InvalidStoredTokens) as caught:
        from_text(text, "the file /keys/ada.json")
    return caught.value


@given(RECORDS)
def test_what_was_written_is_read(record: StoredTokens) -> None:
    """E68."""
    assert from_text(to_text(record), "here") == record


@given(RECORDS, st.integers(0, 500))
def test_a_part_of_it_is_an_error(record: StoredTokens, length: int) -> None:
    """E74: whoever finds a torn record says so, and does not take it for nothing."""
    text = to_text(record)
    torn = text[: min(length, len(text) - 1)]

    assert "only a part" in str(reading(torn))


@given(st.binary(max_size=50))
def test_no_bytes_make_it_raise_anything_else(garbage: bytes) -> None:
    reading(garbage)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "others"}, "no {"),
        ({"version": 2}, "version 2 of the format, and this rxlink reads version 1"),
        ({"version": "planted"}, "another version"),
        ({"login": 5}, "`login`"),
        ({"login": ""}, "`login`"),
        ({"serial": 0}, "`serial`"),
        ({"serial": True}, "`serial`"),
        ({"serial": "1"}, "`serial`"),
        ({"reason": 5}, "`reason` is no text"),
        ({"tokens": []}, "neither an object nor null"),
        ({"tokens": {}}, "no `access_token`"),
        ({"tokens": {"access_token": ""}}, "`access_token` is empty"),
        ({"tokens": {"access_token": 5}}, "`access_token` is an int"),
        ({"tokens": {"access_token": "a", "expires_in": "planted"}}, "`expires_in` is a str"),
        ({"tokens": {"access_token": "a", "expires_at": "planted"}}, "no date"),
        ({"tokens": {"access_token": "a", "expires_at": 5}}, "no date"),
        ({"tokens": {"access_token": "a", "expires_at": "2026-01-01T00:00:00"}}, "naive"),
    ],
)
def test_what_is_wrong_is_said_with_the_place_and_without_a_secret(change: dict[str, Any], said: str) -> None:
    """P7."""
    error = reading(json.dumps(GOOD | change))

    told = f"{error} {error.__cause__!r} {error.__context__!r}"
    assert said in told
    assert told.startswith("the file /keys/ada.json holds something else than rxlink's tokens: ")
    assert "planted" not in told
    assert "Nothing was written over it" in told


def test_times_keep_their_zone() -> None:
    ends = datetime(2026, 1, 1, 12, tzinfo=UTC)
    record = StoredTokens(TokenSet("a", expires_at=ends), "login", 1)

    assert from_text(to_text(record), "here").tokens == TokenSet("a", expires_at=ends)
