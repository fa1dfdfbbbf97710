"""Cookie refresh: the refresh token is an httpOnly cookie, which changes with each refresh and which no code reads.

As published the refresh is a mutation of the client itself, and the cookie, which has no path, goes with everything
that it sends. Cured, the cookie has a path, and the refresh is a request to it. The file counts where the cookie went.

Run it: python docs/examples/cookie_refresh.py
"""

import asyncio
from collections import Counter
from contextlib import nullcontext
from typing import Any

import aiohttp
from reactivex import Observable, Subject

from rxlink import (
    ApolloLink,
    AuthLink,
    AuthSession,
    ErrorResponse,
    FetchResult,
    GraphQLRequest,
    HttpLink,
    Operation,
    TokenSet,
    execute,
    from_,
    from_future,
    on_error,
    set_context,
)
from rxlink.errors import SessionEnded
from rxlink.testing import AuthServer, Fault

VIEWER = GraphQLRequest("query Viewer { viewer { name } }")
SIGN_IN = 'mutation SignIn($user: String!) { signIn(user: $user, password: "any") { accessToken } }'
REFRESH = GraphQLRequest("mutation Refresh { refreshToken { accessToken } }")


class PathlessJar(aiohttp.CookieJar):
    """Stands for a server that gives its cookie no path, as the original's: browsers then send it everywhere."""

    def filter_cookies(self, request_url: Any) -> Any:
        """Take every path for the one to which `AuthServer` binds the cookie."""
        return super().filter_cookies(request_url.with_path("/refresh"))


class AsPublished:
    """The recipe: a flag and a subject; the client itself sends the refresh, with `credentials: "include"`."""

    jar: type[aiohttp.CookieJar] = PathlessJar
    session: Any = None

    def __init__(self, server: AuthServer) -> None:
        """Put the links together over a session that keeps cookies, as a browser does."""
        self.user, self.server = type(self).__name__, server
        self.access_token, self.is_refreshing = "", False
        self.pending_requests: Subject[bool] = Subject()
        self.with_cookie: Counter[str] = Counter()
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(self.look_for_cookie)
        # `unsafe` lets aiohttp keep cookies of an IP address, which the server on loopback is.
        self.browser = aiohttp.ClientSession(cookie_jar=self.jar(unsafe=True), trace_configs=[trace])
        self.http = HttpLink(server.url, session=self.browser)
        self.link = self.chain()

    async def look_for_cookie(self, _session: object, _context: object, sent: Any) -> None:
        """Count the requests with a cookie, by path."""
        self.with_cookie[sent.url.path] += "cookie" in sent.headers

    async def sign_in(self) -> None:
        """Get the first access token; the refresh token is in the cookie."""
        result = await execute(self.http, GraphQLRequest(SIGN_IN, {"user": self.user}))
        self.access_token = result["data"]["signIn"]["accessToken"]

    def chain(self) -> ApolloLink:
        """Return the client's chain."""
        return from_([on_error(self.refresh_and_retry), set_context(self.authorize), self.http])

    def authorize(self, operation: Operation, context: Any) -> dict[str, Any]:
        """Read the token again for each attempt."""
        return {"headers": {**context.get("headers", {}), "authorization": f"Bearer {self.access_token}"}}

    async def refresh(self) -> bool:
        """Tell those who wait if it went well, and forget them if not; either way the first one goes on."""
        try:
            result = await execute(self.link, REFRESH)
            self.access_token = result["data"]["refreshToken"]["accessToken"]
            self.pending_requests.on_next(True)  # noqa: FBT003 - the recipe's value
            return True
        except Exception:  # noqa: BLE001 - as published
            self.pending_requests = Subject()
            return False
        finally:
            self.is_refreshing = False

    def refresh_and_retry(self, response: ErrorResponse) -> Observable[FetchResult] | None:
        """The recipe's handler."""
        codes = [error["extensions"]["code"] for error in response.graphql_errors or ()]
        if "UNAUTHENTICATED" not in codes:
            return None
        if self.is_refreshing:
            done = self.pending_requests.take(1)
        else:
            self.is_refreshing = True
            done = from_future(self.refresh())
        return done.flat_map(lambda _: response.forward(response.operation))


class Cured(AsPublished):
    """The same client; the cookie keeps its path, and one shared request to that path is the refresh."""

    jar = aiohttp.CookieJar
    pending: Observable[TokenSet] | None = None

    async def get_new_tokens(self) -> TokenSet:
        """Let the cookie pay; its successor comes with the answer, and the jar keeps it."""
        try:
            async with self.browser.post(self.server.cookie_url) as response:
                if response.status == 401:  # noqa: PLR2004 - RFC 9110
                    raise SessionEnded
                response.raise_for_status()
                message = await response.json()
            self.access_token = message["access_token"]
            return TokenSet(self.access_token, expires_in=message["expires_in"])
        finally:
            self.pending = None

    def refresh_and_retry(self, response: ErrorResponse) -> Observable[FetchResult] | None:
        """Share the refresh, and its failure; a token that has been replaced meanwhile is not replaced again."""
        codes = [(error.get("extensions") or {}).get("code") for error in response.graphql_errors or ()]
        if "UNAUTHENTICATED" not in codes:
            return None
        if response.operation.get_context()["headers"]["authorization"] != f"Bearer {self.access_token}":
            return response.forward(response.operation)
        self.pending = self.pending or from_future(self.get_new_tokens())
        return self.pending.flat_map(lambda _: response.forward(response.operation))


class WithSession(Cured):
    """The short way: a session whose tokens have no refresh token, for the jar has it."""

    def chain(self) -> ApolloLink:
        """Return a chain over the session, which `sign_in` fills."""
        self.session = AuthSession(refresh=lambda tokens, reason: self.get_new_tokens())
        return from_([AuthLink(self.session), self.http])

    async def sign_in(self) -> None:
        """Hand the first token over."""
        await super().sign_in()
        await self.session.set_tokens(TokenSet(self.access_token))


async def report(client: AsPublished, situation: str) -> None:
    """Run five operations at once and print how they ended; a second is plenty for those that will."""
    known = len(client.server.ledger.refresh_tries)
    operations = [execute(client.link, VIEWER).to_future() for _ in range(5)]
    await asyncio.wait(operations, timeout=1)
    ends = ", ".join(f"{count} {end}" for end, count in Counter(map(end_of, operations)).items())
    tries = (f"{a_try.generation.index} {a_try.outcome}" for a_try in client.server.ledger.refresh_tries[known:])
    print(f"{situation:16} {ends}; refreshed with cookie: {', '.join(tries)}")


def end_of(operation: "asyncio.Future[FetchResult]") -> str:
    """Say how an operation ended, in a word or two."""
    if operation.cancel():
        return "never ended"
    error = operation.exception()
    return type(error).__name__ if error else "refused" if "errors" in operation.result() else "answered"


async def run(server: AuthServer, client: AsPublished) -> None:
    """Put a client through two expiries, an outage and the end of its cookie."""
    print(f"-- {client.user}")
    async with client.link, client.session or nullcontext(), client.browser:
        await client.sign_in()
        for situation in ("first expiry", "second expiry", "issuer down", "dead cookie"):
            server.revoke_access(client.user)
            if situation == "issuer down":
                server.faults.add(Fault.status(503))
            if situation == "dead cookie":
                server.revoke_refresh(client.user)
            await report(client, situation)
    print("the cookie went to", *(f"{path} {count} times" for path, count in (+client.with_cookie).items()))


async def main() -> None:
    """Run the recipe, and the two that do better."""
    async with AuthServer(token_life=60) as server:
        clients = [recipe(server) for recipe in (AsPublished, Cured, WithSession)]
        for client in clients:
            await run(server, client)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()  # the published recipe's refresh still waits for itself


if __name__ == "__main__":
    asyncio.run(main())
