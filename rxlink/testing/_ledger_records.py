"""What a server writes down: generations of tokens, arrivals, sends, refreshes; never a token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = [
    "Arrival",
    "Endpoint",
    "Generation",
    "IssuedWhy",
    "RefreshTry",
    "ReplacedWhy",
    "RevokedWhy",
    "Send",
]

IssuedWhy = Literal["sign-in", "client-credentials", "refresh"]
ReplacedWhy = Literal["expired", "advisory-window", "revoked", "refused", "sign-in"]
RevokedWhy = Literal["revoked", "reuse", "sign-out", "sign-in"]
SendOutcome = Literal["accepted", "refused", "faulted"]
RefreshOutcome = Literal["granted", "refused", "faulted"]
Endpoint = Literal["graphql", "token", "cookie", "handshake", "connection", "websocket"]


@dataclass(slots=True, kw_only=True, eq=False)
class Generation:
    """One pair of tokens and its fate.

    Times are seconds of the server's `clock`; `None` means that it has not happened.

    Attributes:
        family: Number of the session it belongs to; a refresh stays in
            the family, a sign-in starts one.
        index: Place in its family, from 0.
        user: Who signed in.
        issued: When the pair was made.
        ends: When the access token stops being accepted.
        refresh_ends: When the refresh token stops being accepted; `None` if the pair has none.
        issued_why: What made the pair: a sign-in, a first client-credentials grant or a refresh.
        access_fingerprint: Start of the access token's SHA-256, to tell tokens apart
            without showing one.
        refresh_fingerprint: The same of the refresh token.
        replaced_at: When a newer pair took its place.
        replaced_why: What led to that. `expired`: the access token had ended when the client asked.
            `advisory-window`: it had not. `revoked`: the server had revoked it. `refused`: a
            scripted fault had refused it. `sign-in`: its user signed in again over the same
            session.
        access_revoked_at: When the access token was revoked before its end.
        refresh_revoked_at: When the refresh token was revoked before its end.
        revoked_why: What the latest revocation came from.
        refused_at: When an operation that carried the access token was first answered
            UNAUTHENTICATED.
    """

    family: int
    index: int
    user: str
    issued: float
    ends: float
    refresh_ends: float | None
    issued_why: IssuedWhy
    access_fingerprint: str
    refresh_fingerprint: str | None
    replaced_at: float | None = None
    replaced_why: ReplacedWhy | None = None
    access_revoked_at: float | None = None
    refresh_revoked_at: float | None = None
    revoked_why: RevokedWhy | None = None
    refused_at: float | None = None

    @property
    def life(self) -> float:
        """How long the access token was to live, in seconds."""
        return self.ends - self.issued

    @property
    def name(self) -> str:
        """How reports call it, such as `ada 1.0` (user, family, index)."""
        return f"{self.user} {self.family}.{self.index}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What a server knows about a request before it does anything with it.

    Attributes:
        at: When it arrived, in seconds of the server's `clock`.
        endpoint: Where: the GraphQL, the OAuth2 token or the cookie endpoint. Or a WebSocket: its
            `handshake`, its `connection` (`connection_init`), or an operation on it (`websocket`).
        is_refresh: Whether it asks for new tokens: all of the last two, and GraphQL operations with
            `refreshToken` among their root fields.
        operation_id: The `x-operation-id` header, else a key made of name and variables; empty off
        GraphQL.
        operation_name: Name of the GraphQL operation that is to run.
        variables: Its variables.
        generation: The generation of the token it presents: the refresh token if it is a refresh,
            else the access token; `None` for none or an unknown one.
    """

    at: float
    endpoint: Endpoint
    is_refresh: bool
    operation_id: str = ""
    operation_name: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    generation: Generation | None = None

    def note_refusal(self) -> None:
        """Write into the generation, once, that its access token was answered UNAUTHENTICATED."""
        if self.generation is not None and self.generation.refused_at is None:
            self.generation.refused_at = self.at


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """One arrival of a GraphQL operation (refresh operations are `RefreshTry` instead).

    Attributes:
        at: When it arrived, in seconds of the server's `clock`.
        operation_id: The `x-operation-id` header, else `operation_key` of its name and variables.
        operation_name: Its name, if it has one.
        generation: The generation whose access token it carried; `None` for no token or an unknown
        one.
        outcome: `accepted` (it ran), `refused` (UNAUTHENTICATED), `faulted` (a fault answered, or
        the client left).
        why: Why it was refused or faulted: `missing`, `unknown`, `expired`, `revoked`,
            `bad-credentials`, the kind of the fault, or `client-left`.
        fault: Kind of the fault it met, also when it ran nevertheless (`delay`, `drop_after`).
    """

    at: float
    operation_id: str
    operation_name: str | None
    generation: Generation | None
    outcome: SendOutcome
    why: str | None = None
    fault: str | None = None

    @classmethod
    def of(cls, arrival: Arrival, outcome: SendOutcome, *, why: str | None, fault: str | None) -> Send:
        """Return the record of an operation that arrived."""
        return cls(
            at=arrival.at,
            operation_id=arrival.operation_id,
            operation_name=arrival.operation_name,
            generation=arrival.generation,
            outcome=outcome,
            why=why,
            fault=fault,
        )

    @property
    def user(self) -> str | None:
        """Whose token it carried."""
        return None if self.generation is None else self.generation.user


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshTry:
    """One request for new tokens, whichever way it came.

    Attributes:
        at: When it arrived, in seconds of the server's `clock`.
        via: The GraphQL mutation (over HTTP or a socket), the OAuth2 token endpoint or the cookie.
        generation: The generation whose refresh token was presented; `None` for none or an unknown
        one.
        outcome: `granted`, `refused` (the server judged so) or `faulted` (a fault answered, or the
        client left).
        why: Why it was refused (`missing`, `unknown`, `expired`, `revoked`, `reused`,
        `invalid_client`) or faulted.
        granted: The generation that was handed out.
        replayed: Whether `granted` existed already and was handed out again within `reuse_grace`.
        fault: Kind of the fault it met, also when tokens were granted nevertheless.
    """

    at: float
    via: Endpoint
    generation: Generation | None
    outcome: RefreshOutcome
    why: str | None = None
    granted: Generation | None = None
    replayed: bool = False
    fault: str | None = None

    @classmethod
    def of(cls, arrival: Arrival, outcome: RefreshOutcome, *, why: str | None, fault: str | None) -> RefreshTry:
        """Return the record of a request for tokens that was not granted."""
        return cls(
            at=arrival.at,
            via=arrival.endpoint,
            generation=arrival.generation,
            outcome=outcome,
            why=why,
            fault=fault,
        )

    @property
    def is_lost(self) -> bool:
        """Whether tokens were granted and the answer never reached the client."""
        return self.outcome == "granted" and self.fault == "drop_after"
