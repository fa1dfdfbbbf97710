"""Reads the requests of an OAuth2 token endpoint (RFC 6749: 2.3, 4.4, 5, 6); judges the client."""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from dataclasses import dataclass, field
from hmac import compare_digest
from urllib.parse import parse_qsl, unquote_plus

__all__ = ["ClientRegistration", "OAuth2Error", "TokenRequest", "read_token_request"]


class OAuth2Error(Exception):
    """A request that earns an error answer of RFC 6749, section 5.2.

    Attributes:
        error: The error code, such as `invalid_client`.
        description: What is wrong, in a sentence that quotes no secret.
        status: The HTTP status of the answer.
    """

    def __init__(self, error: str, description: str, *, status: int = 400) -> None:
        """Make the error: status 401 for a client that fails to authenticate, 400 for the rest."""
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRegistration:
    """The one client that the server knows; without a `client_id` every client is welcome."""

    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)

    def admit(self, client_id: str | None, client_secret: str | None) -> None:
        """Let a client pass.

        Raises:
            OAuth2Error: `invalid_client`, if the id or the secret is wrong or missing.
        """
        if self.client_id is None:
            return
        is_same_id = client_id is not None and compare_digest(client_id.encode(), self.client_id.encode())
        is_same_secret = compare_digest((client_secret or "").encode(), (self.client_secret or "").encode())
        if not (is_same_id and is_same_secret):
            raise OAuth2Error("invalid_client", "The client is unknown or its secret is wrong.", status=401)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """A token request as read; nothing in it has been judged yet."""

    grant_type: str | None
    refresh_token: str | None = field(repr=False)
    client_id: str | None
    client_secret: str | None = field(repr=False)

    @property
    def is_refresh(self) -> bool:
        """Whether it presents a refresh token."""
        return self.grant_type == "refresh_token"

    def check(self, registration: ClientRegistration) -> None:
        """Judge everything about the request but its refresh token.

        Raises:
            OAuth2Error: The client is not admitted, or the grant type is missing, unknown or
            incomplete.
        """
        registration.admit(self.client_id, self.client_secret)
        if self.grant_type is None:
            raise OAuth2Error("invalid_request", "grant_type is missing.")
        if self.grant_type not in ("refresh_token", "client_credentials"):
            raise OAuth2Error("unsupported_grant_type", "Only refresh_token and client_credentials are supported.")
        if self.is_refresh and not self.refresh_token:
            raise OAuth2Error("invalid_request", "refresh_token is missing.")
        if not self.is_refresh and self.client_id is None:
            raise OAuth2Error("invalid_client", "client_credentials needs a client id.", status=401)


def read_token_request(content_type: str, body: str, authorization: str | None) -> TokenRequest:
    """Return the token request that a body and an `Authorization` header stand for.

    Raises:
        OAuth2Error: `invalid_request`, if the body is no form, names a parameter twice, or the
        client identifies
            itself in the body and in the header; `invalid_client`, if the header cannot be read.
    """
    if content_type != "application/x-www-form-urlencoded":
        raise OAuth2Error("invalid_request", "The body must be application/x-www-form-urlencoded.")
    pairs = parse_qsl(body)
    repeated = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if repeated:
        raise OAuth2Error("invalid_request", "A parameter must not be repeated.")
    form = dict(pairs)
    client_id, client_secret = form.get("client_id"), form.get("client_secret")
    if authorization is not None:
        if client_secret is not None:
            raise OAuth2Error("invalid_request", "The client must identify itself in one way only.")
        client_id, client_secret = _basic_credentials(authorization)
    return TokenRequest(
        grant_type=form.get("grant_type"),
        refresh_token=form.get("refresh_token"),
        client_id=client_id,
        client_secret=client_secret,
    )


def _basic_credentials(authorization: str) -> tuple[str, str]:
    scheme, _, credentials = authorization.partition(" ")
    try:
        client_id, colon, client_secret = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise OAuth2Error("invalid_client", "The Authorization header cannot be read.", status=401) from error
    if scheme.lower() != "basic" or not colon:
        raise OAuth2Error("invalid_client", "The Authorization header must be of scheme Basic.", status=401)
    return unquote_plus(client_id), unquote_plus(client_secret)
