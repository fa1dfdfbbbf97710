"""Async refresh: the error handler answers with a stream that gets a token and then sends the operation again.

This is the line that the rest of rxlink grew from. The file runs it as published, shows the three places where it
loses an operation, and runs a version that does not.

Run it: python docs/examples/async_refresh.py
"""

import asyncio
from collections.abc import Callable
from typing import Any

from reactivex import Observable
from reactivex.internal.exceptions import SequenceContainsNoElementsError

from rxlink import (
    ErrorResponse,
    FetchResult,
    GraphQLRequest,
    HttpLink,
    Operation,
    execute,
    from_,
    from_future,
    on_error,
    set_context,
)
from rxlink.errors import RxlinkError
from rxlink.testing import AuthServer, Fault

VIEWER = "query Viewer { viewer { name } }"
INVALID = "query Invalid { nonsense }"  # the server's validation errors carry no `extensions`
REFRESH = "mutation Refresh($token: String!) { refreshToken(refreshToken: $token) { accessToken refreshToken } }"

Handler = Callable[[ErrorResponse], Observable[FetchResult] | None]


class Client:
    """The tokens of one user, and the two handlers."""

    def __init__(self, server: AuthServer) -> None:
        """Sign in."""
        pair = server.sign_in("ada")
        self.access_token, self.refresh_token = pair.access_token, pair.refresh_token
        self.url = server.url

    def authorize(self, operation: Operation, context: Any) -> dict[str, Any]:
        """Add the token to the headers."""
        return {"headers": {**context.get("headers", {}), "authorization": f"Bearer {self.access_token}"}}

    async def get_new_token(self) -> str:
        """Trade the refresh token through a second chain, which has no error link to come back to."""
        async with HttpLink(self.url) as refresh_chain:
            result = await execute(refresh_chain, GraphQLRequest(REFRESH, {"token": self.refresh_token}))
        if "errors" in result:
            raise PermissionError(result["errors"][0]["message"])
        pair = result["data"]["refreshToken"]
        self.access_token, self.refresh_token = pair["accessToken"], pair["refreshToken"]
        return self.access_token

    async def get_new_token_or_none(self) -> str | None:
        """The published recipe catches the failure here, to send the user to the login page."""
        try:
            return await self.get_new_token()
        except (RxlinkError, PermissionError):
            return None

    def as_published(self, response: ErrorResponse) -> Observable[FetchResult] | None:
        """The recipe, line for line."""
        for error in response.graphql_errors or ():
            if error["extensions"]["code"] == "UNAUTHENTICATED":
                # Called here, as in the original: who leaves then does not abort a refresh that is under way, and
                # with it lose a pair of tokens that the server has already replaced.
                return (
                    from_future(self.get_new_token_or_none())
                    .filter(bool)
                    .flat_map(lambda token: retry_with(token, response))
                )
        return None

    def cured(self, response: ErrorResponse) -> Observable[FetchResult] | None:
        """The same stream; a failed refresh goes on as the operation's error, so `filter` has nothing to drop."""
        for error in response.graphql_errors or ():
            # Servers send errors without extensions, and extensions that are null.
            if (error.get("extensions") or {}).get("code") == "UNAUTHENTICATED":
                return from_future(self.get_new_token()).flat_map(lambda token: retry_with(token, response))
        return None


def retry_with(token: str, response: ErrorResponse) -> Observable[FetchResult]:
    """Replace one header, keep the others, and send the operation through the links behind the error link."""
    old_headers = response.operation.get_context().get("headers", {})
    response.operation.set_context({"headers": {**old_headers, "authorization": f"Bearer {token}"}})
    return response.forward(response.operation)


async def outcome(server: AuthServer, client: Client, handler: Handler, query: str = VIEWER) -> str:
    """Run one operation and say how it ended."""
    async with from_([set_context(client.authorize), on_error(handler), HttpLink(server.url)]) as link:
        try:
            result = await execute(link, GraphQLRequest(query))
        except SequenceContainsNoElementsError:
            return "completed, without a result and without an error"
        except Exception as error:  # noqa: BLE001 - whatever ends the operation is what this file shows
            return f"{type(error).__name__}: {error}"
    return f"errors: {result['errors'][0]['message']}" if "errors" in result else f"data: {result['data']}"


async def main() -> None:
    """Tell what each handler does."""
    async with AuthServer(token_life=60) as server:
        for name in ("as_published", "cured"):
            client = Client(server)
            handler: Handler = getattr(client, name)
            print(f"-- {name}")

            server.revoke_access("ada")
            print("the token was revoked   ", await outcome(server, client, handler))

            server.revoke_access("ada")
            server.faults.add(Fault.status(503), on="refresh")
            print("the refresh fails       ", await outcome(server, client, handler))

            print("error without extensions", await outcome(server, client, handler, INVALID))

            # The stream of the retry goes to the subscriber, not back to the handler: one retry, no loop.
            server.faults.add(Fault.unauthenticated(), on="graphql", times=2)
            print("the retry is refused too", await outcome(server, client, handler))

        # No handler knows of the others: each failure refreshes, all with the same refresh token, and a server that
        # watches for reuse takes that for theft and ends the session. The cure is concurrent_refresh.py.
        print("-- cured, three at once")
        server.revoke_access("ada")
        server.faults.add(Fault.delay(0.2), on="refresh", times=3)
        before = len(server.ledger.refresh_tries)
        await asyncio.gather(*(outcome(server, client, client.cured) for _ in range(3)))
        tries = server.ledger.refresh_tries[before:]
        print("their refreshes         ", *(refresh_try.why or refresh_try.outcome for refresh_try in tries))
        print("the next operation      ", await outcome(server, client, client.cured))


if __name__ == "__main__":
    asyncio.run(main())
