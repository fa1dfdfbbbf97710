"""The root fields of an auth server's schema, for one request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLError

from rxlink.testing._answers import unauthenticated_error
from rxlink.testing._auth_schema import Resolver
from rxlink.testing._token_table import RefreshRefused, TokenPair, TokenTable, Verdict

__all__ = ["RequestResolvers"]


@dataclass(slots=True, kw_only=True)
class RequestResolvers:
    """Resolves the root fields of one request, and keeps what the answer needs beside their result.

    Attributes:
        table: Who is signed in.
        counters: The counters of `increment`, shared by all requests.
        verdict: What the table says about the access token of this request.
        trade: Trades a refresh token for a pair, and raises `RefreshRefused`.
        refused_why: Why a field was refused as not authenticated; `None` if none was.
        issued: The pair that was handed out, whose refresh token goes into the cookie as well.
        has_signed_out: Whether the cookie is to be forgotten.
    """

    table: TokenTable
    counters: dict[str, int]
    verdict: Verdict
    trade: Callable[[str | None], TokenPair]
    refused_why: str | None = None
    issued: TokenPair | None = None
    has_signed_out: bool = False

    def by_field(self) -> Mapping[str, Resolver]:
        """Return the resolver of each root field."""
        return {
            "viewer": self._viewer,
            "echo": self._echo,
            "public": self._public,
            "signIn": self._sign_in,
            "refreshToken": self._refresh_token,
            "increment": self._increment,
            "signOut": self._sign_out,
        }

    def _viewer(self, _info: object) -> dict[str, str]:
        user = self._require_user()
        return {"id": user, "name": user}

    def _echo(self, _info: object, *, value: str) -> str:
        self._require_user()
        return value

    def _public(self, _info: object) -> str:
        return "open to everybody"

    def _increment(self, _info: object, *, key: str) -> int:
        self._require_user()
        self.counters[key] = self.counters.get(key, 0) + 1
        return self.counters[key]

    def _sign_in(self, _info: object, *, user: str, password: str) -> dict[str, Any]:
        if not user or not password:
            raise self._refuse("bad-credentials")
        return self._hand_out(self.table.sign_in(user, over=self.verdict.generation))

    def _refresh_token(self, _info: object, **arguments: str | None) -> dict[str, Any]:
        try:
            return self._hand_out(self.trade(arguments.get("refreshToken")))
        except RefreshRefused as refused:
            raise self._refuse(refused.why) from refused

    def _sign_out(self, _info: object) -> bool:
        self._require_user()
        if self.verdict.generation is not None:
            self.table.end_family(self.verdict.generation, "sign-out")
        self.has_signed_out = True
        return True

    def _require_user(self) -> str:
        if self.verdict.generation is None or self.verdict.why is not None:
            raise self._refuse(self.verdict.why or "unknown")
        return self.verdict.generation.user

    def _refuse(self, why: str) -> GraphQLError:
        self.refused_why = why
        error = unauthenticated_error(why)
        return GraphQLError(error["message"], extensions=error["extensions"])

    def _hand_out(self, pair: TokenPair) -> dict[str, Any]:
        self.issued = pair
        return {
            "accessToken": pair.access_token,
            "refreshToken": pair.refresh_token,
            "expiresIn": pair.expires_in,
        }
