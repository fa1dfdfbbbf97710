"""The records of a ledger: a generation of tokens, a send of an operation, a try to refresh. No token is in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Endpoint", "Generation", "IssuedWhy", "RefreshTry", "ReplacedWhy", "RevokedWhy", "Send"]

IssuedWhy = Literal["sign-in", "client-credentials", "refresh"]
ReplacedWhy = Literal["expired", "advisory-window", "revoked", "refused", "sign-in"]
RevokedWhy = Literal["revoked", "reuse", "sign-out", "sign-in"]
Endpoint = Literal["graphql", "token", "cookie"]


@dataclass(slots=True, kw_only=True, eq=False)
class Generation:
    """One pair of tokens and its fate. Times are the server's `clock`, in seconds; `None` means "has not happened".

    Attributes:
        family: Number of the session it belongs to; a refresh stays in the family, a sign-in starts one.
        index: Place in its family, from 0.
        user: Who signed in.
        issued: When the pair was made.
        ends: When the access token stops being accepted.
        refresh_ends: When the refresh token stops being accepted; `None` if the pair has none.
        issued_why: What made the pair: a sign-in, a first client-credentials grant or a refresh.
        access_fingerprint: Start of the access token's SHA-256, to tell tokens apart without showing one.
        refresh_fingerprint: The same of the refresh token.
        replaced_at: When a newer pair took its place.
        replaced_why: What led to that. `expired`: the access token had ended when the client asked.
            `advisory-window`: it had not. `revoked`: the server had revoked it. `refused`: a scripted fault had
            refused it. `sign-in`: its user signed in again over the same session.
        access_revoked_at: When the access token was revoked before its end.
        refresh_revoked_at: When the refresh token was revoked before its end.
        revoked_why: What the latest revocation came from.
        refused_at: When an operation that carried the access token was first answered UNAUTHENTICATED.
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
class Send:
    """One arrival of a GraphQL operation (refresh operations are `RefreshTry` instead).

    Attributes:
        at: When it arrived, in seconds of the server's `clock`.
        operation_id: The `x-operation-id` header, else `operation_key` of its name and variables.
        operation_name: Its name, if it has one.
        generation: The generation whose access token it carried; `None` for no token or an unknown one.
        outcome: `accepted` (it ran), `refused` (UNAUTHENTICATED), `faulted` (a fault answered, or the client left).
        why: Why it was refused or faulted: `missing`, `unknown`, `expired`, `revoked`, `bad-credentials`, the kind
            of the fault, or `client-left`.
        fault: Kind of the fault it met, also when it ran nevertheless (`delay`, `drop_after`).
    """

    at: float
    operation_id: str
    operation_name: str | None
    generation: Generation | None
    outcome: Literal["accepted", "refused", "faulted"]
    why: str | None = None
    fault: str | None = None

    @property
    def user(self) -> str | None:
        """Whose token it carried."""
        return None if self.generation is None else self.generation.user


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshTry:
    """One request for new tokens, whichever way it came.

    Attributes:
        at: When it arrived, in seconds of the server's `clock`.
        via: The GraphQL mutation, the OAuth2 token endpoint or the cookie.
        generation: The generation whose refresh token was presented; `None` for none or an unknown one.
        outcome: `granted`, `refused` (the server judged so) or `faulted` (a fault answered, or the client left).
        why: Why it was refused (`missing`, `unknown`, `expired`, `revoked`, `reused`, `invalid_client`) or faulted.
        granted: The generation that was handed out.
        replayed: Whether `granted` existed already and was handed out again within `reuse_grace`.
        fault: Kind of the fault it met, also when tokens were granted nevertheless.
    """

    at: float
    via: Endpoint
    generation: Generation | None
    outcome: Literal["granted", "refused", "faulted"]
    why: str | None = None
    granted: Generation | None = None
    replayed: bool = False
    fault: str | None = None

    @property
    def is_lost(self) -> bool:
        """Whether tokens were granted and the answer never reached the client."""
        return self.outcome == "granted" and self.fault == "drop_after"
