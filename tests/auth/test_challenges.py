"""What a server says in `WWW-Authenticate`, read."""

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rxlink.auth.challenges import INVALID_TOKEN, Challenge, parse_challenges, required_scopes

PLANTED = "planted-nonce"

tokens = st.text(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~", min_size=1, max_size=8)
token68s = st.from_regex(r"[A-Za-z0-9._~+/-]{1,12}={0,2}", fullmatch=True)
parameters = st.dictionaries(tokens.map(str.lower), st.text(max_size=12), max_size=4)
challenges = st.one_of(
    st.builds(Challenge, tokens.map(str.lower), parameters),
    st.builds(Challenge, tokens.map(str.lower), st.just({}), token68s),
)


def written(challenge: Challenge) -> str:
    """Write a challenge as RFC 9110 has it; every value as a quoted string."""
    quoted = {name: value.replace("\\", "\\\\").replace('"', '\\"') for name, value in challenge.parameters.items()}
    rest = challenge.token68 or ", ".join(f'{name}="{value}"' for name, value in quoted.items())
    return f"{challenge.scheme} {rest}".strip()


def told(header: str | None) -> list[tuple[str, dict[str, str], str | None]]:
    return [(challenge.scheme, dict(challenge.parameters), challenge.token68) for challenge in parse_challenges(header)]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, []),
        ("", []),
        ("Bearer", [("bearer", {}, None)]),
        ('BEARER Error="invalid_token"', [("bearer", {"error": "invalid_token"}, None)]),
        ("Bearer error=invalid_token", [("bearer", {"error": "invalid_token"}, None)]),
        (
            'Bearer realm="a, Basic b=\\"c\\"" , error = "invalid_token"',
            [("bearer", {"realm": 'a, Basic b="c"', "error": "invalid_token"}, None)],
        ),
        (
            'Basic realm="", Bearer scope="a b", DPoP algs="ES256", error="invalid_token"',
            [
                ("basic", {"realm": ""}, None),
                ("bearer", {"scope": "a b"}, None),
                ("dpop", {"algs": "ES256", "error": "invalid_token"}, None),
            ],
        ),
        ("Negotiate, Basic", [("negotiate", {}, None), ("basic", {}, None)]),
        (
            "Negotiate YII/+c==, NTLM, Bearer a=b",
            [("negotiate", {}, "YII/+c=="), ("ntlm", {}, None), ("bearer", {"a": "b"}, None)],
        ),
        (",, Bearer ,, a=b,, ,", [("bearer", {"a": "b"}, None)]),
        ("Bearer a=1, A=2", [("bearer", {"a": "1"}, None)]),
    ],
    ids=str,
)
def test_challenges_are_read_as_the_rfc_writes_them(header: str | None, expected: list[object]) -> None:
    """E05: several in one header, quoted strings with escapes, token68."""
    assert expected == told(header)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Bearer realm="x" error="invalid_token"', [("bearer", {"realm": "x", "error": "invalid_token"}, None)]),
        ('error="invalid_token", Bearer', [("bearer", {}, None)]),
        ('Bearer @@@, error="invalid_token"', [("bearer", {"error": "invalid_token"}, None)]),
        ('Bearer error="invalid_token', [("bearer", {}, None)]),
        ('Bearer error = "invalid_token, a=b', [("bearer", {"a": "b"}, None)]),
        ("Bearer/1 a=b, Basic", [("basic", {}, None)]),
        ('"', []),
        ("=, =a, \\", []),
        ("Bearer realm=Zoë, error=e", [("bearer", {"realm": "Zo", "error": "e"}, None)]),
    ],
    ids=str,
)
def test_what_is_no_challenge_is_passed_over(header: str, expected: list[object]) -> None:
    """E05: junk hides nothing but itself."""
    assert expected == told(header)


@given(st.text())
@example('a="\\')
@example('Bearer error="' * 1000)
@example('a="\\",' * 1000)
@example("a " * 1000)
def test_no_header_makes_it_raise(header: str) -> None:
    """E05: whatever a server sends."""
    for challenge in parse_challenges(header):
        assert challenge.scheme
        assert all(isinstance(scope, str) for scope in challenge.scopes)
        assert repr(challenge)


@given(st.lists(challenges, max_size=4))
def test_what_was_written_is_read_again(expected: list[Challenge]) -> None:
    """E05."""
    header = ", ".join(map(written, expected))

    actual = parse_challenges(header)

    assert [(one.scheme, dict(one.parameters), one.token68) for one in expected] == [
        (one.scheme, dict(one.parameters), one.token68) for one in actual
    ]


def test_what_was_wrong_is_said_in_the_words_of_the_rfc() -> None:
    """E05: None where the server does not say."""
    errors = [challenge.error for challenge in parse_challenges('Bearer error="invalid_token", Basic realm="a"')]

    assert [INVALID_TOKEN, None] == errors


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Bearer error="insufficient_scope", scope="read  write read"', ("read", "write")),
        (
            'Bearer error="insufficient_scope", scope="read", DPoP error="insufficient_scope", scope="admin read"',
            ("read", "admin"),
        ),
        ('Bearer error="insufficient_scope"', ()),
        ('Bearer error="invalid_token", scope="read"', ()),
        ('Bearer scope="read"', ()),
        (None, ()),
    ],
    ids=str,
)
def test_the_scopes_that_are_lacking_are_those_of_insufficient_scope(
    header: str | None, expected: tuple[str, ...]
) -> None:
    """E05: each once, in their order."""
    assert expected == required_scopes(parse_challenges(header))


def test_its_repr_shows_no_value_of_a_parameter() -> None:
    """E98, P7: a nonce is nobody's business."""
    header = f'Digest nonce="{PLANTED}", error="invalid_token", Negotiate {PLANTED}='

    assert "(<Challenge digest error='invalid_token'>, <Challenge negotiate>)" == repr(parse_challenges(header))


def test_nobody_changes_what_was_read() -> None:
    (challenge,) = parse_challenges("Bearer a=b")

    with pytest.raises(TypeError):
        challenge.parameters["a"] = "c"  # type: ignore[index]
    assert challenge == Challenge("bearer", {"a": "b"})
