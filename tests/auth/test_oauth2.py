"""The messages of OAuth2 that ask for tokens."""

import base64
from urllib.parse import parse_qsl, unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxlink.auth.events import RefreshReason
from rxlink.auth.oauth2 import OAuth2Grant, TokenRequest
from rxlink.auth.tokens import TokenSet
from rxlink.errors import InvariantError, InvariantTypeError, SessionEnded, TokenRefreshError

TOKENS = TokenSet("a0", refresh_token="r0")
REFRESH = OAuth2Grant("refresh_token", client_id="app")
CLIENT = OAuth2Grant("client_credentials", client_id="app", client_secret="s3cret")
EXPIRED = RefreshReason.EXPIRED


def asked(grant: OAuth2Grant, tokens: TokenSet | None = TOKENS) -> list[tuple[str, str]]:
    return sorted(parse_qsl(grant.request(tokens, EXPIRED).body, keep_blank_values=True, strict_parsing=True))


class TestAsks:
    def test_for_a_refresh_with_the_refresh_token_and_never_the_access_token(self):
        """E75, E30, S37: a public client says who it is in the form."""
        request = REFRESH.request(TOKENS, EXPIRED)

        assert [("client_id", "app"), ("grant_type", "refresh_token"), ("refresh_token", "r0")] == asked(REFRESH)
        assert request.authorization is None
        assert "a0" not in request.body

    def test_with_the_client_in_the_form(self):
        """E75: client authentication `body`."""
        grant = OAuth2Grant("refresh_token", client_id="app", client_secret="s3cret", client_authentication="body")

        assert ("client_id", "app") in asked(grant)
        assert ("client_secret", "s3cret") in asked(grant)
        assert grant.request(TOKENS, EXPIRED).authorization is None

    def test_with_the_client_in_the_header(self):
        """E75: client authentication `basic`, which is the default where there is a secret."""
        grant = OAuth2Grant("refresh_token", client_id="app", client_secret="s3cret")

        assert [("grant_type", "refresh_token"), ("refresh_token", "r0")] == asked(grant)
        assert "Basic " + base64.b64encode(b"app:s3cret").decode() == grant.request(TOKENS, EXPIRED).authorization

    @given(st.from_regex(r"[ -~]{1,20}", fullmatch=True), st.from_regex(r"[ -~äß☃]{1,20}", fullmatch=True))
    def test_in_the_header_whatever_characters_they_have(self, client_id: str, client_secret: str):
        """E75: each is encoded as in a form first (RFC 6749 section 2.3.1)."""
        grant = OAuth2Grant("refresh_token", client_id=client_id, client_secret=client_secret)

        header = grant.request(TOKENS, EXPIRED).authorization or ""
        first, _, second = base64.b64decode(header.removeprefix("Basic ")).decode("ascii").partition(":")

        assert (client_id, client_secret) == (unquote_plus(first), unquote_plus(second))

    @given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.text(st.characters(codec="utf-8")))
    def test_with_values_that_arrive_as_they_were_given(self, name: str, value: str):
        """E75: the form is encoded."""
        grant = OAuth2Grant("refresh_token", client_id="app", extra={f"x_{name}": value})

        assert (f"x_{name}", value) in asked(grant)

    @pytest.mark.parametrize("scope", ["read write", ["read", "write"], ("read", "write")])
    def test_for_a_scope(self, scope: object):
        assert ("scope", "read write") in asked(OAuth2Grant("refresh_token", client_id="app", scope=scope))

    def test_for_further_parameters_also_more_than_once(self):
        """E75: `audience`, and `resource`, which may be repeated (RFC 8707)."""
        extra = {"audience": "https://api", "resource": ["https://a", "https://b"], "body": "b", "code_verifier": "c"}

        sent = asked(OAuth2Grant("refresh_token", client_id="app", extra=extra))

        expected = [
            ("audience", "https://api"),
            ("body", "b"),
            ("client_id", "app"),
            ("code_verifier", "c"),
            ("grant_type", "refresh_token"),
            ("refresh_token", "r0"),
            ("resource", "https://a"),
            ("resource", "https://b"),
        ]
        assert expected == sent

    @pytest.mark.parametrize("tokens", [None, TokenSet("a0"), TOKENS])
    def test_for_client_credentials_without_any_token(self, tokens: TokenSet | None):
        """E76: a service asks again, whatever it has."""
        assert [("grant_type", "client_credentials")] == asked(CLIENT, tokens)

    def test_for_client_credentials_of_a_client_that_something_else_proves(self):
        grant = OAuth2Grant(
            "client_credentials", client_id="app", client_authentication="none", extra={"client_assertion": "jwt"}
        )

        assert [("client_assertion", "jwt"), ("client_id", "app"), ("grant_type", "client_credentials")] == asked(grant)


class TestWithoutARefreshToken:
    @pytest.mark.parametrize("reason", [RefreshReason.EXPIRED, RefreshReason.REJECTED])
    def test_the_session_ends_where_the_access_token_is_of_no_more_use(self, reason: RefreshReason):
        """E20, E21: nothing is sent; the user has to sign in again."""
        with pytest.raises(SessionEnded, match="no refresh token"):
            REFRESH.request(TokenSet("a0"), reason)

    @pytest.mark.parametrize("reason", [RefreshReason.EXPIRING, RefreshReason.FORCED])
    def test_it_goes_on_where_the_access_token_may_still_be_good(self, reason: RefreshReason):
        """E27: a refresh that cannot be made costs nobody the rest of the token's life."""
        with pytest.raises(TokenRefreshError, match="no refresh token") as caught:
            REFRESH.request(TokenSet("a0"), reason)

        assert not caught.value.retryable

    def test_nobody_is_signed_in_where_there_are_no_tokens(self):
        """S28: without a session there is nothing to refresh."""
        with pytest.raises(SessionEnded, match="nobody is signed in"):
            REFRESH.request(None, RefreshReason.FORCED)


class TestRefuses:
    @pytest.mark.parametrize(
        ("options", "named"),
        [
            ({"client_id": ""}, "client_id"),
            ({"client_id": None}, "client_id"),
            ({"client_id": b"app"}, "client_id"),
            ({"client_id": "app\n"}, "client_id"),
            ({"client_id": "\ud800"}, "client_id"),
            ({"client_secret": ""}, "client_secret"),
            ({"client_secret": 3}, "client_secret"),
            ({"client_secret": "s3cret\n"}, "client_secret"),
            ({"client_authentication": "digest"}, "client_authentication"),
            ({"client_authentication": "basic"}, "client_authentication"),
            ({"client_authentication": "body"}, "client_authentication"),
            ({"client_authentication": "none", "client_secret": "s3cret"}, "client_authentication"),
            ({"grant_type": "password"}, "grant_type"),
            ({"grant_type": None}, "grant_type"),
            ({"grant_type": "client_credentials"}, "client_secret"),
            ({"scope": 3}, "scope"),
            ({"scope": [3]}, "scope"),
            ({"scope": {"a": "s3cret"}}, "scope"),
            ({"extra": "s3cret=1"}, "extra"),
            ({"extra": {"a": 3}}, "extra"),
            ({"extra": {3: "s3cret"}}, "extra"),
            ({"extra": {"a": ["s3cret", 3]}}, "extra"),
            ({"extra": {"a": "s3cret\ud800"}}, "extra"),
            *(
                ({"extra": {name: "s3cret"}}, name)
                for name in ("grant_type", "refresh_token", "client_secret", "scope")
            ),
        ],
    )
    def test_options_that_make_no_sense(self, options: dict[str, object], named: str):
        """P7: the message names the option, and shows no secret."""
        given_options = {"grant_type": "refresh_token", "client_id": "app", **options}

        with pytest.raises(InvariantError, match=named) as caught:
            OAuth2Grant(given_options.pop("grant_type"), **given_options)

        assert "s3cret" not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"

    def test_wrong_types_as_type_errors(self):
        with pytest.raises(InvariantTypeError):
            OAuth2Grant("refresh_token", client_id=3)


def test_shows_no_secret():
    """P7, E98: neither the request nor what builds it."""
    shown = f"{CLIENT!r} {CLIENT._client!r} {CLIENT.request(None, EXPIRED)!r} {REFRESH.request(TOKENS, EXPIRED)}"

    assert "<TokenRequest>" == repr(TokenRequest("refresh_token=r0", "Basic s3cret"))
    assert not any(secret in shown for secret in ("s3cret", "r0", "Basic"))
