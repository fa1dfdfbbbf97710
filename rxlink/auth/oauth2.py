"""The messages of OAuth2 that bring new tokens: builds the requests and reads the answers; sends nothing.

Follows RFC 6749: section 2.3.1 (how a client says who it is), 4.4 (``client_credentials``), 5 (answers) and 6
(``refresh_token``). What an answer means:

=====================================================  ================================================================
the answer                                             means
=====================================================  ================================================================
2xx with an ``access_token``, as JSON or as a form     new tokens
``invalid_grant`` to a ``refresh_token`` grant         :class:`~rxlink.errors.SessionEnded`: the refresh token is dead
408, 425, 429, 5xx, whatever the body says;            a failure that may pass
``server_error``, ``temporarily_unavailable``,
``slow_down``
any other ``error``, of any status                     a failure that does not pass: somebody has to change something
4xx without an ``error``, 302, 303, 307, no JSON       a failure that may pass: an outage page, a captive portal
301, 308, a 2xx without ``access_token``               a failure that does not pass
=====================================================  ================================================================

No text of an answer stands in an error, but the code of an OAuth2 error: issuers quote what was sent to them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final, Literal, NamedTuple, TypeAlias, cast
from urllib.parse import parse_qsl

from oauthlib.oauth2.rfc6749.errors import InvalidGrantError, MissingTokenError, OAuth2Error
from oauthlib.oauth2.rfc6749.parameters import parse_token_response, prepare_token_request  # pyright: ignore[reportUnknownVariableType] - its stub

from rxlink.auth.clock import system_clock
from rxlink.auth.events import RefreshReason
from rxlink.auth.oauth2_client import ClientAuthentication, OAuth2Client
from rxlink.auth.pacing import asked_pause
from rxlink.auth.tokens import TokenSet
from rxlink.errors import (
    RETRYABLE_STATUSES,
    AuthError,
    InvariantError,
    ServerError,
    SessionEnded,
    TokenRefreshError,
)

__all__ = ["GrantType", "OAuth2Grant", "TokenRequest"]

GrantType: TypeAlias = Literal["refresh_token", "client_credentials"]

FORM: Final = "application/x-www-form-urlencoded"
READ: Final = ("access_token", "refresh_token", "token_type", "error")
"""What oauthlib is given of an answer; it fails on some of the rest, such as a life that is no whole number."""

TRANSIENT_CODES: Final = frozenset({"server_error", "temporarily_unavailable", "slow_down"})
PERMANENT_REDIRECTS: Final = (HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.PERMANENT_REDIRECT)
PROOF_NEEDED: Final = frozenset({"dpop", "mac", "pop"})
"""Types of tokens that are worth nothing in a header alone."""
CURES: Final = {
    "invalid_client": "check `client_id`, `client_secret` and `client_authentication`",
    "unauthorized_client": "the client is not allowed this grant",
    "unsupported_grant_type": "the issuer does not know this grant",
    "invalid_scope": "check `scope`; a refresh cannot ask for more than was granted",
    "invalid_request": "check `client_authentication` and `extra`",
}

SHOWABLE_CODE = re.compile(r"[a-z_]{1,40}")
SECONDS = re.compile(r"\s*[0-9]+(\.[0-9]*)?\s*")


class TokenRequest(NamedTuple):
    """What is to be posted to a token endpoint, as :data:`FORM`.

    Attributes:
        body: The form.
        authorization: The header in which the client says who it is; None where the form does.
    """

    body: str
    authorization: str | None

    def __repr__(self) -> str:
        """Show nothing: all of it may be secret."""
        return "<TokenRequest>"


class OAuth2Grant:
    """Builds the requests of one client for one grant, and reads what is answered.

    Example:
        >>> grant = OAuth2Grant("client_credentials", client_id="batch", client_secret="s3cret")
        >>> grant.request(None, RefreshReason.FORCED).body
        'grant_type=client_credentials'
        >>> grant.read(200, {}, b'{"access_token": "a1", "token_type": "Bearer", "expires_in": 60}').expires_in
        60.0

    Attributes:
        grant_type: The grant.
        authenticates_in_header: Whether its requests carry an ``authorization`` header.
    """

    __slots__ = ("_client", "grant_type")

    def __init__(
        self,
        grant_type: GrantType,
        *,
        client_id: str,
        client_secret: str | None = None,
        client_authentication: ClientAuthentication | None = None,
        scope: str | Sequence[str] | None = None,
        extra: Mapping[str, str | Sequence[str]] | None = None,
    ) -> None:
        """Describe a client and its grant; the options are those of :func:`~rxlink.transport.oauth2.oauth2_refresh`.

        Raises:
            InvariantError: An option makes no sense.
            InvariantTypeError: An option has the wrong type.
        """
        if grant_type not in ("refresh_token", "client_credentials"):
            raise InvariantError("`grant_type` is unknown; give 'refresh_token' or 'client_credentials'")
        self.grant_type: GrantType = grant_type
        self._client = OAuth2Client(client_id, client_secret, client_authentication, scope=scope, extra=extra)
        if grant_type == "client_credentials" and client_secret is None and client_authentication is None:
            raise InvariantError(
                "the grant 'client_credentials' is for clients that can prove who they are; give a `client_secret`, or "
                "client_authentication='none' where `extra` or the connection proves it"
            )

    @property
    def authorizes_in_header(self) -> bool:
        """Whether its requests have an ``authorization`` header."""
        return self._client.authorization is not None

    def request(self, tokens: TokenSet | None, reason: RefreshReason) -> TokenRequest:
        """Build the request.

        Args:
            tokens: The tokens in use.
            reason: Why they are to be replaced.

        Raises:
            SessionEnded: There is no refresh token to send, and the access token is of no more use.
            TokenRefreshError: There is none, but the access token may still be good.
        """
        client = self._client
        paid_with = _refresh_token_of(tokens, reason) if self.grant_type == "refresh_token" else None
        body = prepare_token_request(  # which leaves out what is None
            self.grant_type,
            body=client.extra,
            client_id=client.parameters.get("client_id"),
            client_secret=client.parameters.get("client_secret"),
            refresh_token=paid_with,
            scope=client.scope,
        )
        return TokenRequest(body, client.authorization)

    def read(self, status: int, headers: Mapping[str, str], body: bytes) -> TokenSet:
        """Read the answer; the table above says what it means.

        Args:
            status: The HTTP status.
            headers: The headers, names in lower case or in a mapping that does not care.
            body: The whole body.

        Raises:
            SessionEnded: The refresh token is dead.
            TokenRefreshError: There are no tokens in it that can be used; ``retryable`` says whether asking again makes
                sense, ``retry_after`` when.
        """
        outcome = self._outcome(status, headers, _fields_of(body, headers.get("content-type", "")))
        if isinstance(outcome, TokenSet):
            return outcome
        try:
            raise outcome
        finally:
            del outcome  # its traceback holds this frame: no cycles

    def _outcome(self, status: int, headers: Mapping[str, str], fields: dict[str, Any] | None) -> TokenSet | AuthError:
        if status in RETRYABLE_STATUSES or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return _outage(f"status {status}", headers)
        found = _parsed(fields or {})
        if isinstance(found, OAuth2Error) and not isinstance(found, MissingTokenError):
            return self._refused(found, headers)
        if status in PERMANENT_REDIRECTS:
            return _final(f"answered with a redirect (status {status}), and secrets follow none; correct `token_url`")
        if status >= HTTPStatus.MULTIPLE_CHOICES:
            return _outage(f"status {status} and no OAuth2 error", headers)
        if fields is None:
            return _outage("what is neither JSON nor a form", headers)
        return self._tokens(found, _seconds(fields.get("expires_in")), _date_of(headers))

    def _refused(self, error: OAuth2Error, headers: Mapping[str, str]) -> AuthError:
        if isinstance(error, InvalidGrantError) and self.grant_type == "refresh_token":
            return SessionEnded()
        code = str(error.error)
        shown = code if SHOWABLE_CODE.fullmatch(code) else "an error of its own"
        if code in TRANSIENT_CODES:
            return _outage(shown, headers)
        cure = CURES.get(code)
        return _final(f"answered with {shown}" + (f"; {cure}" if cure else ""))

    def _tokens(
        self, found: Mapping[str, Any] | OAuth2Error, life: float | None, issued_at: datetime | None
    ) -> TokenSet | AuthError:
        if isinstance(found, OAuth2Error):
            return _final("answered without an access token")
        kind = found.get("token_type", "bearer")
        if not isinstance(kind, str) or kind.lower() in PROOF_NEEDED:
            return _final("handed out a token of a type that needs more than a header")
        refresh_token = found.get("refresh_token") if self.grant_type == "refresh_token" else None
        try:
            return TokenSet(found["access_token"], refresh_token, expires_in=life, issued_at=issued_at)
        except InvariantError as error:
            return _final(f"handed out what cannot be used: {error}")


def _outage(what: str, headers: Mapping[str, str]) -> TokenRefreshError:
    now = _date_of(headers) or system_clock()  # a date to wait for is told by the issuer's clock too
    pause = asked_pause(ServerError("", status_code=0, headers=headers, body_text=""), now)
    asked = pause if pause is not None and pause > 0 else None
    return TokenRefreshError(f"the token endpoint answered with {what}", retryable=True, retry_after=asked)


def _final(what: str) -> TokenRefreshError:
    return TokenRefreshError(f"the token endpoint {what}", retryable=False)


def _date_of(headers: Mapping[str, str]) -> datetime | None:
    """Return what the issuer's clock showed when it answered, if it says so."""
    try:
        date = parsedate_to_datetime(headers.get("date", ""))
    except (TypeError, ValueError):
        return None
    return None if date.utcoffset() is None else date


def _refresh_token_of(tokens: TokenSet | None, reason: RefreshReason) -> str:
    if tokens is None:
        raise SessionEnded("nobody is signed in")
    if tokens.refresh_token is not None:
        return tokens.refresh_token
    if reason in (RefreshReason.EXPIRING, RefreshReason.FORCED):
        raise TokenRefreshError("there is no refresh token; the access token is used to its end", retryable=False)
    raise SessionEnded("no refresh token")


def _fields_of(body: bytes, content_type: str) -> dict[str, Any] | None:
    """Read JSON, or a form where the answer says that it may be one; None is neither."""
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        if content_type.partition(";")[0].strip().lower() not in (FORM, "text/plain"):
            return None
        value = dict(parse_qsl(body.decode(errors="replace"))) or None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _parsed(fields: Mapping[str, Any]) -> Mapping[str, Any] | OAuth2Error:
    """Let oauthlib judge; what it raises stays here, because its text quotes the answer."""
    known = {name: fields[name] for name in READ if fields.get(name)}
    if not isinstance(known.get("error", ""), str):
        del known["error"]  # somebody else's kind of error
    try:
        return parse_token_response(json.dumps(known))
    except OAuth2Error as error:
        return error


def _seconds(life: object) -> float | None:
    """Return a life in seconds; None where there is none, or one that makes no sense, such as 0 and -1."""
    if isinstance(life, bool) or not isinstance(life, (int, float, str)):
        return None
    if isinstance(life, str) and not SECONDS.fullmatch(life):
        return None
    try:
        seconds = float(life)
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None
