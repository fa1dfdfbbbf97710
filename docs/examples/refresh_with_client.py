"""Refresh with a client: the refresh is a GraphQL operation, and a client sends it that already has a chain.

As published it is the client itself. Then the refresh meets the links that were made for everybody else: the cache
answers it, the auth link puts the old token on it, the error link makes it wait for itself. Two cures are shown, a
second chain and a mark that each link respects, and `AuthLink`, which knows its session's own refresh without one.

Run it: python docs/examples/refresh_with_client.py
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from reactivex import Observable, just

from rxlink import (
    ApolloLink,
    AuthLink,
    AuthSession,
    ErrorResponse,
    FetchResult,
    GraphQLRequest,
    HttpLink,
    Operation,
    RefreshReason,
    TokenSet,
    execute,
    from_,
    from_future,
    on_error,
    set_context,
)
from rxlink.errors import SessionEnded
from rxlink.testing import AuthServer

VIEWER = "query Viewer { viewer { name } }"
# It names no token, the server finds that in the cookie header; so each refresh equals the one before.
REFRESH = "mutation Refresh { refreshToken { accessToken refreshToken } }"
ALREADY_AUTHENTICATED = {"errors": [{"message": "already authenticated"}]}


class AsPublished:
    """The handler waits for one shared refresh, which the client itself sends."""

    session: AuthSession | None = None

    def __init__(self, server: AuthServer) -> None:
        """Sign in, and put the links together."""
        self.user = type(self).__name__
        pair = server.sign_in(self.user)
        self.access_token, self.refresh_token = pair.access_token, pair.refresh_token
        self.cached: FetchResult | None = None
        self.is_server_strict = False
        self.end = from_([ApolloLink(self.check), HttpLink(server.url)])
        self.link = self.chain()
        self.refresh_chain = self.link
        self.refreshing: asyncio.Task[str] | None = None

    def chain(self) -> ApolloLink:
        """Return the client's chain."""
        error, auth = on_error(self.refresh_and_retry), set_context(self.authorize)
        return from_([error, ApolloLink(self.look_up), auth, self.end])

    def authorize(self, operation: Operation, context: Any) -> Mapping[str, Any] | None:
        """Read the token again for each attempt."""
        return {"headers": {**context.get("headers", {}), "authorization": f"Bearer {self.access_token}"}}

    def look_up(self, operation: Operation, forward: Any) -> Observable[FetchResult]:
        """Stand for a client's cache, to which the refresh is a query like others, as it is in the original."""
        if operation.operation_name != "Refresh" or operation.get_context().get("fetch_policy") == "network-only":
            return forward(operation)
        return forward(operation).map(self.keep) if self.cached is None else just(self.cached)

    def keep(self, result: FetchResult) -> FetchResult:
        """Remember a good answer."""
        self.cached = None if "errors" in result else result
        return result

    def check(self, operation: Operation, forward: Any) -> Observable[FetchResult]:
        """Stand for a server that refuses a refresh with an access token: who has one needs no other."""
        has_token = "authorization" in operation.get_context().get("headers", {})
        is_refused = self.is_server_strict and has_token and operation.operation_name == "Refresh"
        return just(ALREADY_AUTHENTICATED) if is_refused else forward(operation)

    def refresh_request(self) -> GraphQLRequest:
        """Ask for a new pair."""
        return GraphQLRequest(REFRESH, context={"headers": {"cookie": f"refresh_token={self.refresh_token}"}})

    async def get_new_token(self) -> str:
        """Trade the refresh token, and store what comes."""
        try:
            result = await execute(self.refresh_chain, self.refresh_request())
            if "errors" in result:
                raise PermissionError(result["errors"][0]["message"])
            pair = result["data"]["refreshToken"]
            self.access_token, self.refresh_token = pair["accessToken"], pair["refreshToken"]
            return self.access_token
        finally:
            self.refreshing = None

    def refresh_and_retry(self, response: ErrorResponse) -> Observable[FetchResult] | None:
        """Join the refresh, or start it, and go again."""
        codes = [(error.get("extensions") or {}).get("code") for error in response.graphql_errors or ()]
        if "UNAUTHENTICATED" not in codes:
            return None
        self.refreshing = self.refreshing or asyncio.ensure_future(self.get_new_token())
        return from_future(self.refreshing).filter(bool).flat_map(lambda _: response.forward(response.operation))


class SecondChain(AsPublished):
    """Cured: the refresh has a chain of its own, without any of those links."""

    def __init__(self, server: AuthServer) -> None:
        """Send refreshes past the client."""
        super().__init__(server)
        self.refresh_chain = self.end


class Marked(AsPublished):
    """Cured: the same chain; the refresh says in its context what it is, and each link has to ask."""

    def refresh_request(self) -> GraphQLRequest:
        """Mark it; `fetch_policy` is the mark that the cache knows."""
        context = super().refresh_request().context or {}
        return GraphQLRequest(REFRESH, context={**context, "is_refresh": True, "fetch_policy": "network-only"})

    def authorize(self, operation: Operation, context: Any) -> Mapping[str, Any] | None:
        """Put no token on a refresh."""
        return None if context.get("is_refresh") else super().authorize(operation, context)

    def refresh_and_retry(self, response: ErrorResponse) -> Observable[FetchResult] | None:
        """Deliver what a refresh is answered."""
        is_marked = response.operation.get_context().get("is_refresh")
        return None if is_marked else super().refresh_and_retry(response)


class WithSession(AsPublished):
    """The short way: `AuthLink` lets what its session's refresh sends pass; only the cache must be told."""

    def chain(self) -> ApolloLink:
        """Put the same cache behind an `AuthLink`."""
        tokens = TokenSet(self.access_token, self.refresh_token)
        self.session = AuthSession(refresh=self.get_new_tokens, tokens=tokens)
        return from_([AuthLink(self.session), ApolloLink(self.look_up), self.end])

    async def get_new_tokens(self, tokens: TokenSet | None, reason: RefreshReason) -> TokenSet:
        """Send the refresh through the guarded chain itself."""
        cookie = f"refresh_token={tokens and tokens.refresh_token}"
        context = {"headers": {"cookie": cookie}, "fetch_policy": "network-only"}
        result = await execute(self.link, GraphQLRequest(REFRESH, context=context))
        if "errors" in result:
            raise SessionEnded
        pair = result["data"]["refreshToken"]
        return TokenSet(pair["accessToken"], pair["refreshToken"])


async def outcome(link: ApolloLink) -> str:
    """Run one operation and say how it ended; 0.4 s are plenty for one that will."""
    try:
        async with asyncio.timeout(0.4):
            result = await execute(link, GraphQLRequest(VIEWER))
    except TimeoutError:
        return "never ends"
    except Exception as error:  # noqa: BLE001 - whatever ends the operation is what this file shows
        return f"{type(error).__name__}: {str(error).rpartition(': ')[2]}"
    return "refused" if "errors" in result else "answered"


async def run(server: AuthServer, client: AsPublished, situation: str) -> str:
    """Let a client's token be refused; say how its operation ended."""
    server.revoke_access(client.user)
    client.is_server_strict = situation == "a strict server"
    if situation == "refresh refused":
        server.revoke_refresh(client.user)
    ends = await outcome(client.link)
    if situation == "two expiries":
        server.revoke_access(client.user)
        ends += f", then {await outcome(client.link)}"
    await client.link.aclose()
    if client.session is not None:
        await client.session.aclose()  # a chain never does it
    return ends


async def main() -> None:
    """Run the recipe and its cures."""
    clients: list[AsPublished] = []  # each situation has one of its own
    async with AuthServer(token_life=60) as server:
        for recipe in (AsPublished, SecondChain, Marked, WithSession):
            print(f"-- {recipe.__name__}")
            for situation in ("two expiries", "a strict server", "refresh refused"):
                clients.append(recipe(server))
                print(f"{situation:16}", await run(server, clients[-1], situation))
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()  # the published recipe's refresh still waits for itself


if __name__ == "__main__":
    asyncio.run(main())
