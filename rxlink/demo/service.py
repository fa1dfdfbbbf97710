"""The part of the demo that any service would write: sign in, refresh, and a chain that does the rest."""

from __future__ import annotations

from typing import Any, Final

from rxlink import (
    AuthLink,
    AuthSession,
    FetchResult,
    GraphQLRequest,
    RefreshReason,
    TokenSet,
    Trace,
    execute,
    from_,
    traced,
)
from rxlink.errors import SessionEnded
from rxlink.transport.http import HttpLink

__all__ = ["Service"]

SIGN_IN: Final = """
mutation SignIn($user: String!, $password: String!) {
  signIn(user: $user, password: $password) { accessToken refreshToken expiresIn }
}
"""
REFRESH: Final = """
mutation Refresh($token: String!) {
  refreshToken(refreshToken: $token) { accessToken refreshToken expiresIn }
}
"""


class Service:
    """A client of one GraphQL server.

    Args:
        url: Its address.
        trace: What operations and refreshes are recorded in, None for nothing.

    Attributes:
        session: Keeps the token fresh.
        chain: Sends operations with it.
    """

    def __init__(self, url: str, trace: Trace | None = None) -> None:
        self._http = HttpLink(url)
        self.session = AuthSession(refresh=self._refresh)
        self.chain = from_([AuthLink(self.session), self._http])
        if trace is not None:
            self.chain = traced(self.chain, trace)
            trace.watch(self.session)

    async def sign_in(self, user: str, password: str) -> None:
        """Get the first tokens."""
        request = GraphQLRequest(SIGN_IN, {"user": user, "password": password})
        result = await execute(self._http, request)
        await self.session.set_tokens(_tokens(result, "signIn"))

    async def aclose(self) -> None:
        """Close the session first: a refresh that is under way still needs the chain."""
        await self.session.aclose()
        await self.chain.aclose()

    async def _refresh(self, tokens: TokenSet | None, _: RefreshReason) -> TokenSet:
        """Trade the refresh token for new tokens.

        A server that is down raises here (``ServerError``, ``NetworkError``), and the session tries again.
        """
        request = GraphQLRequest(REFRESH, {"token": tokens and tokens.refresh_token})
        return _tokens(await execute(self._http, request), "refreshToken")


def _tokens(result: FetchResult, field: str) -> TokenSet:
    """Read a token pair; a server that answers with errors does not know us any more."""
    if result.get("errors"):
        raise SessionEnded
    pair: dict[str, Any] = result["data"][field]
    return TokenSet(pair["accessToken"], pair["refreshToken"], expires_in=pair["expiresIn"])
