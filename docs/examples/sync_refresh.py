"""Sync refresh: the error handler gets a new token on the spot and replaces the header itself.

Apollo's own pages on the error link show this form. It is right for a token that is at hand (a file that a side-car
renews, an environment variable). For a token that must be fetched, this file shows what it costs.

Run it: python docs/examples/sync_refresh.py
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

from reactivex import Observable

from rxlink import (
    ErrorResponse,
    FetchResult,
    GraphQLRequest,
    HttpLink,
    Operation,
    execute,
    from_,
    on_error,
    set_context,
)
from rxlink.testing import AuthServer, Fault

ECHO = "query Echo($value: String!) { echo(value: $value) }"
REFRESH = "mutation Refresh($token: String!) { refreshToken(refreshToken: $token) { accessToken refreshToken } }"
SLOW = 0.2  # seconds

Handler = Callable[[ErrorResponse], Observable[FetchResult] | None]


class Client:
    """The tokens of one user, and the handlers that replace them."""

    def __init__(self, server: AuthServer) -> None:
        """Sign in."""
        pair = server.sign_in("ada")
        self.access_token, self.refresh_token = pair.access_token, pair.refresh_token
        self.url = server.url

    def authorize(self, operation: Operation, context: Any) -> dict[str, Any]:
        """Add the token to the headers, as the auth link of every tutorial does."""
        return {"headers": {**context.get("headers", {}), "authorization": f"Bearer {self.access_token}"}}

    async def refresh(self) -> str:
        """Trade the refresh token through a second chain, which has no error link to come back to."""
        async with HttpLink(self.url) as refresh_chain:
            result = await execute(refresh_chain, GraphQLRequest(REFRESH, {"token": self.refresh_token}))
        pair = result["data"]["refreshToken"]
        self.access_token, self.refresh_token = pair["accessToken"], pair["refreshToken"]
        return self.access_token

    def get_new_token(self) -> str:
        """Do not return before the token is there: the whole event loop waits, whatever thread does the work."""
        with ThreadPoolExecutor(max_workers=1) as elsewhere:
            return elsewhere.submit(asyncio.run, self.refresh()).result()

    def as_published(self, response: ErrorResponse) -> Observable[FetchResult] | None:
        """The recipe: a new token into the header, and the operation once more."""
        for error in response.graphql_errors or ():
            if error["extensions"]["code"] == "UNAUTHENTICATED":
                set_header(response.operation, self.get_new_token())
                return response.forward(response.operation)
        return None

    def with_promise(self, response: ErrorResponse) -> Observable[FetchResult] | None:
        """The recipe with an asynchronous `get_new_token`: the header gets the coroutine, not the token."""
        coroutine = self.refresh()
        set_header(response.operation, str(coroutine).partition(" at ")[0])
        coroutine.close()  # it will never run
        return response.forward(response.operation)

    def cured(self, response: ErrorResponse) -> Observable[FetchResult] | None:
        """As published, but a token that has been replaced meanwhile is not replaced again."""
        # Servers send errors without extensions, and extensions that are null.
        codes = [(error.get("extensions") or {}).get("code") for error in response.graphql_errors or ()]
        if "UNAUTHENTICATED" not in codes:
            return None
        if response.operation.get_context()["headers"]["authorization"] == f"Bearer {self.access_token}":
            self.get_new_token()
        set_header(response.operation, self.access_token)
        return response.forward(response.operation)


def set_header(operation: Operation, token: str) -> None:
    """Replace one header and keep the others: `set_context` merges no deeper than the context itself."""
    old_headers = operation.get_context().get("headers", {})
    operation.set_context({"headers": {**old_headers, "authorization": f"Bearer {token}"}})


async def five_at_once(server: AuthServer, client: Client, handler: Handler) -> tuple[int, int]:
    """Run five operations whose token was revoked; return how many got their result, and the refreshes."""
    server.revoke_access("ada")
    before = server.ledger.refreshes
    async with from_([set_context(client.authorize), on_error(handler), HttpLink(server.url)]) as link:
        results = await asyncio.gather(*(execute(link, GraphQLRequest(ECHO, {"value": n})) for n in "abcde"))
    right = sum(result.get("data") == {"echo": n} for n, result in zip("abcde", results, strict=True))
    return right, server.ledger.refreshes - before


async def count_turns(turns: list[float]) -> None:
    """Stand for everything else that a service does."""
    while True:
        turns.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.01)


async def story(server: AuthServer) -> None:
    """Tell what each handler does."""
    turns: list[float] = []
    other_work = asyncio.create_task(count_turns(turns))
    client = Client(server)

    server.faults.add(Fault.delay(SLOW))
    results, refreshes = await five_at_once(server, client, client.as_published)
    print(f"as published: {results} results of 5, and {refreshes} refreshes: each failure fetches a token of its own")
    longest = max(later - earlier for earlier, later in pairwise(turns))
    print(f"  the first took {SLOW} s, and all other work stood still meanwhile: {longest >= SLOW}")

    results, refreshes = await five_at_once(server, client, client.with_promise)
    print(f"get_new_token is a coroutine function: {results} results of 5, and {refreshes} refreshes")
    print("  the header was: Bearer <coroutine object Client.refresh; the cure is async_refresh.py")

    results, refreshes = await five_at_once(server, client, client.cured)
    print(f"cured, the refused token is compared first: {results} results of 5, and {refreshes} refresh")
    other_work.cancel()


async def main() -> None:
    """Serve on this thread, so that the client can block another one."""
    async with AuthServer(token_life=60) as server:
        await asyncio.to_thread(asyncio.run, story(server))


if __name__ == "__main__":
    asyncio.run(main())
