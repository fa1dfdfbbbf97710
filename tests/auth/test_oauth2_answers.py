"""The messages of OAuth2 that answer: what each means."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxlink.auth.oauth2 import OAuth2Grant
from rxlink.auth.pacing import is_transient
from rxlink.auth.tokens import TokenSet
from rxlink.errors import AuthError, SessionEnded, TokenRefreshError

REFRESH = OAuth2Grant("refresh_token", client_id="app")
CLIENT = OAuth2Grant("client_credentials", client_id="app", client_secret="s3cret")
JSON = {"content-type": "application/json"}
HTML = {"content-type": "text/html"}
FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
OUTAGE_PAGE = b"<!doctype html><title>503</title>"
ALL_GOOD = {"access_token": "a1", "token_type": "Bearer", "expires_in": 60, "refresh_token": "r1", "scope": "x"}


def body(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def failure(grant: OAuth2Grant, status: int, sent: bytes, **headers: str) -> AuthError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with pytest.raises(AuthError) as caught:
        grant.read(status, {**JSON, **named}, sent)
    return caught.value


class TestReads:
    def test_tokens(self):
        """E75: an answer as RFC 6749 section 5.1 wants it."""
        assert TokenSet("a1", "r1", expires_in=60) == REFRESH.read(200, JSON, body(**ALL_GOOD))

    def test_when_they_were_handed_out(self):
        """E61: by the issuer's clock, from which the session learns how wrong its own is."""
        tokens = REFRESH.read(200, {**JSON, "date": "Tue, 01 Jan 2030 00:00:00 GMT"}, body(**ALL_GOOD))

        assert datetime(2030, 1, 1, tzinfo=UTC) == tokens.issued_at

    @pytest.mark.parametrize("date", ["", "yesterday", "Tue, 01 Jan 2030 00:00:00 -0000"])
    def test_no_date_that_makes_no_sense(self, date: str):
        assert REFRESH.read(200, {**JSON, "date": date}, body(**ALL_GOOD)).issued_at is None

    def test_no_refresh_token_where_there_is_none(self):
        """E69: then the session keeps the old one."""
        assert REFRESH.read(200, JSON, body(access_token="a1", token_type="Bearer")).refresh_token is None

    @pytest.mark.parametrize("empty", [None, ""])
    def test_an_empty_refresh_token_as_none(self, empty: object):
        """E69: as no refresh token, so that the old one is kept."""
        assert REFRESH.read(200, JSON, body(access_token="a1", refresh_token=empty)).refresh_token is None

    def test_no_refresh_token_for_client_credentials(self):
        """E76: a grant that is asked for again has no use for one (RFC 6749 section 4.4.3)."""
        assert TokenSet("a1", expires_in=60) == CLIENT.read(200, JSON, body(**ALL_GOOD))

    @pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain; charset=utf-8"])
    def test_a_form(self, content_type: str):
        """E75: what some issuers answer, though the RFC wants JSON."""
        answer = b"access_token=a1&token_type=bearer&expires_in=60&refresh_token=r%2F1"

        assert TokenSet("a1", "r/1", expires_in=60) == REFRESH.read(200, {"content-type": content_type}, answer)

    @pytest.mark.parametrize("content_type", ["text/plain", "text/html", "application/x-www-form-urlencoded", ""])
    def test_json_whatever_the_answer_calls_it(self, content_type: str):
        assert "a1" == REFRESH.read(200, {"content-type": content_type}, body(**ALL_GOOD)).access_token

    @pytest.mark.parametrize("status", [200, 201, 206])
    def test_any_status_of_success(self, status: int):
        assert "a1" == REFRESH.read(status, JSON, body(**ALL_GOOD)).access_token

    @pytest.mark.parametrize("kind", ["Bearer", "bearer", "BEARER", "JWT", "bot", None, ""])
    def test_types_of_tokens_that_a_header_can_carry(self, kind: object):
        """E75: in any case of letters; some issuers leave it out or have a word of their own."""
        assert "a1" == REFRESH.read(200, JSON, body(access_token="a1", token_type=kind)).access_token

    @pytest.mark.parametrize("error", [None, ""])
    def test_tokens_beside_an_error_that_is_none(self, error: object):
        assert "a1" == REFRESH.read(200, JSON, body(access_token="a1", error=error)).access_token

    @pytest.mark.parametrize("scope", ["other", None, 3, ["a"], {"a": 1}])
    def test_tokens_of_another_scope(self, scope: object):
        """E75: oauthlib warns or fails there; the tokens are good."""
        grant = OAuth2Grant("refresh_token", client_id="app", scope="asked for")

        assert "a1" == grant.read(200, JSON, body(access_token="a1", scope=scope)).access_token

    @pytest.mark.parametrize(
        ("said", "life"),
        [
            (60, 60.0), (0.5, 0.5), ("60", 60.0), (" 60 ", 60.0), ("60.5", 60.5), (1e300, 1e300),
            (0, None), (-1, None), ("0", None), ("-1", None), (None, None), ("", None), ("soon", None),
            ("1h", None), (True, None), ([60], None), ({}, None), ("nan", None), ("inf", None),
            ("٣", None), (10**400, None), ("9" * 4000, None), ("1_0", None),
        ],
        ids=lambda value: str(value)[:10],
    )  # fmt: skip
    def test_a_life_in_any_form(self, said: object, life: float | None):
        """E65: text counts; what makes no sense is an unknown life, and fails nothing."""
        assert life == REFRESH.read(200, JSON, body(access_token="a1", expires_in=said)).expires_in

    def test_no_life_where_there_is_none(self):
        """E65: a missing `expires_in` is an unknown life."""
        assert REFRESH.read(200, JSON, body(access_token="a1")).expires_in is None

    def test_a_life_that_json_does_not_know(self):
        """E65: Python writes and reads NaN and Infinity."""
        assert REFRESH.read(200, JSON, b'{"access_token": "a1", "expires_in": NaN}').expires_in is None


class TestEndsTheSession:
    @pytest.mark.parametrize("status", [200, 400, 401, 403])
    @pytest.mark.parametrize("sent", [(JSON, body(error="invalid_grant")), (FORM, b"error=invalid_grant")])
    def test_after_invalid_grant_of_any_status(self, status: int, sent: tuple[dict[str, str], bytes]):
        """E20, S52: the refresh token has ended, and the user has to sign in again."""
        with pytest.raises(SessionEnded, match="refresh token rejected") as caught:
            REFRESH.read(status, *sent)

        assert not is_transient(caught.value)

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_not_while_the_issuer_is_not_well(self, status: int):
        """E19, E20: an outage says nothing about the refresh token."""
        error = failure(REFRESH, status, body(error="invalid_grant"))

        assert (TokenRefreshError, True) == (type(error), error.retryable)

    @pytest.mark.parametrize("error", ["invalid_client", "unauthorized_client", "invalid_scope", "invalid_request"])
    @pytest.mark.parametrize("status", [200, 400, 401])
    def test_not_after_any_other_error(self, error: str, status: int):
        """E20, E75: the client is at fault, and the user stays signed in; 200 with an `error` is an error."""
        refused = failure(REFRESH, status, body(error=error))

        assert (TokenRefreshError, False) == (type(refused), refused.retryable)
        assert error in str(refused)

    def test_never_with_client_credentials(self):
        """E20, E76: there is no refresh token that could be dead."""
        error = failure(CLIENT, 400, body(error="invalid_grant"))

        assert (TokenRefreshError, False) == (type(error), error.retryable)


class TestMayPass:
    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 507, 599])
    @pytest.mark.parametrize("sent", [OUTAGE_PAGE, b"", body(), body(access_token="a1")])
    def test_after_an_outage(self, status: int, sent: bytes):
        """E19, E22, S44: tokens are kept, and the refresh is tried again."""
        error = failure(REFRESH, status, sent)

        assert (TokenRefreshError, True) == (type(error), is_transient(error))
        assert str(status) in str(error)

    @pytest.mark.parametrize("status", [302, 303, 307, 400, 401, 403, 404, 418])
    @pytest.mark.parametrize("sent", [OUTAGE_PAGE, b"", body(), body(error={"code": 1}), body(error=[]), b"[]", b"1"])
    def test_after_an_answer_that_is_not_of_oauth2(self, status: int, sent: bytes):
        """E19, E75: a proxy or a captive portal says nothing about the tokens."""
        error = failure(REFRESH, status, sent)

        assert (TokenRefreshError, True) == (type(error), is_transient(error))

    @pytest.mark.parametrize("code", ["temporarily_unavailable", "server_error", "slow_down"])
    def test_after_an_error_that_says_so(self, code: str):
        """E22: of any status."""
        assert failure(REFRESH, 400, body(error=code)).retryable

    @pytest.mark.parametrize("sent", [OUTAGE_PAGE, b"", b"null", b"[]", b'"a1"', b"[" * 100_000, b"\xff\xfe\xfd"])
    @pytest.mark.parametrize("headers", [HTML, JSON, {}])
    def test_after_success_without_sense(self, sent: bytes, headers: dict[str, str]):
        """E19, E75: a login page with status 200."""
        with pytest.raises(TokenRefreshError) as caught:
            REFRESH.read(200, headers, sent)

        assert caught.value.retryable

    def test_not_after_a_page_that_could_be_read_as_a_form(self):
        """E75: only what says that it is a form, or plain text, is read as one."""
        with pytest.raises(TokenRefreshError, match="neither JSON nor a form"):
            REFRESH.read(200, HTML, b"access_token=a1")

    @pytest.mark.parametrize("status", [400, 429, 503])
    def test_as_soon_as_the_issuer_says(self, status: int):
        """E22: `Retry-After` in seconds."""
        assert 7.0 == failure(REFRESH, status, b"", retry_after="7").retry_after

    def test_as_soon_as_the_issuer_says_by_its_own_clock(self):
        """E22, E61: `Retry-After` as a date means what the issuer's own `Date` makes of it."""
        error = failure(
            REFRESH, 503, b"", retry_after="Tue, 01 Jan 2030 00:00:30 GMT", date="Tue, 01 Jan 2030 00:00:00 GMT"
        )

        assert 30.0 == error.retry_after

    def test_as_soon_as_the_issuer_says_by_our_clock_where_it_does_not_tell_its_own(self, monkeypatch):
        """E22: `Retry-After` as a date."""
        monkeypatch.setattr("rxlink.auth.oauth2.system_clock", lambda: datetime(2030, 1, 1, tzinfo=UTC))

        assert 9.0 == failure(REFRESH, 503, b"", retry_after="Tue, 01 Jan 2030 00:00:09 GMT").retry_after

    @pytest.mark.parametrize("said", ["", "soon", "-5", "0", "Tue, 01 Jan 1980 00:00:00 GMT"])
    def test_in_its_own_time_where_the_issuer_says_nothing_of_sense(self, said: str):
        """E22: then the session's own back-off counts."""
        assert failure(REFRESH, 503, b"", retry_after=said).retry_after is None


class TestDoesNotPass:
    @pytest.mark.parametrize("status", [301, 308])
    def test_a_redirect_for_ever(self, status: int):
        """E99: secrets follow no redirect."""
        error = failure(REFRESH, status, b"")

        assert not error.retryable
        assert f"status {status}" in str(error)

    @pytest.mark.parametrize("sent", [{}, {"access_token": None}, {"access_token": ""}, {"token": "a1"}])
    def test_success_without_an_access_token(self, sent: dict[str, object]):
        """S21, E75: a clear error, and never `Bearer None`."""
        error = failure(REFRESH, 200, body(**sent))

        assert "the token endpoint answered without an access token" == str(error)
        assert not error.retryable

    @pytest.mark.parametrize("kind", ["DPoP", "mac", "pop", ["Bearer"], 3])
    def test_a_token_that_a_header_alone_cannot_use(self, kind: object):
        """E75: as a bearer it would be refused, and refreshed for ever."""
        assert not failure(REFRESH, 200, body(access_token="a1", token_type=kind)).retryable

    @pytest.mark.parametrize("sent", [{"access_token": "a b"}, {"access_token": 3}, {"refresh_token": 3}])
    def test_tokens_that_nobody_can_send(self, sent: dict[str, object]):
        assert not failure(REFRESH, 200, body(**ALL_GOOD | sent)).retryable

    @pytest.mark.parametrize("code", ["consent_required", "Invalid Grant! r0", "x" * 41, "r0-s3cret"])
    def test_an_error_of_the_issuer_s_own(self, code: str):
        """E98: its code is shown only where it looks like one; descriptions never are."""
        error = failure(REFRESH, 400, body(error=code, error_description="you sent r0", error_uri="https://x/r0"))

        assert not error.retryable
        assert ("consent_required" == code) == (code in str(error))
        assert "r0" not in f"{error!r} {error.__cause__!r} {error.__context__!r}"


@pytest.mark.filterwarnings("error")
def test_oauthlib_s_own_strictness_is_an_error_like_any_other(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OAUTHLIB_STRICT_TOKEN_TYPE", "1")

    assert not failure(REFRESH, 200, body(access_token="a1")).retryable


FIELDS = ["access_token", "refresh_token", "token_type", "expires_in", "error", "scope", "expires_at"]
LEAVES = st.none() | st.integers() | st.text() | st.booleans() | st.floats() | st.just("invalid_grant")
VALUES = st.recursive(LEAVES, lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside), max_leaves=5)
DOCUMENTS = VALUES | st.dictionaries(st.sampled_from(FIELDS), VALUES)


@given(
    st.binary() | DOCUMENTS.map(lambda value: json.dumps(value).encode()),
    st.integers(200, 599),
    st.sampled_from([JSON, FORM, HTML, {}]),
)
def test_any_answer_is_tokens_or_an_error_of_ours(answer: bytes, status: int, headers: dict[str, str]):
    """P10, E75: whatever is answered, oauthlib's own errors and warnings go no further."""
    context: BaseException | None = None
    try:
        outcome: object = REFRESH.read(status, headers, answer)
    except AuthError as error:
        outcome, context = error, error.__context__

    assert isinstance(outcome, (TokenSet, AuthError))
    assert context is None
