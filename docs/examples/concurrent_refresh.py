"""Concurrent refresh: the first refused operation refreshes, those that are refused meanwhile wait for its token.

A flag and a pending-request subject do it. `AsPublished` is the recipe; `Cured` changes what loses operations in it.
The file runs both through the same five situations.

Run it: python docs/examples/concurrent_refresh.py
"""

import asyncio
from collections import Counter
from typing import Any

from reactivex import Observable, Subject, just
from reactivex.internal.exceptions import SequenceContainsNoElementsError

from rxlink import (
    ApolloLink,
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
from rxlink.testing import AuthServer, Fault

ECHO = "query Echo($value: String!) { echo(value: $value) }"
REFRESH = "mutation Refresh($token: String!) { refreshToken(refreshToken: $token) { accessToken refreshToken } }"
REFUSED = {"errors": [{"message": "the token has ended", "extensions": {"code": "UNAUTHENTICATED"}}]}


class AsPublished:
    """The recipe: a flag, a subject, and the handler between them."""

    def __init__(self, server: AuthServer) -> None:
        """Sign in, and put the links together; the auth link stands behind the error link."""
        pair = server.sign_in("ada")
        self.access_token, self.refresh_token = pair.access_token, pair.refresh_token
        self.is_refreshing = False
        self.pending_requests: Subject[str] = Subject()
        error, auth = on_error(self.refresh_and_retry), set_context(self.authorize)
        self.refresh_chain: ApolloLink = HttpLink(server.url)
        self.link = from_([error, ApolloLink(refuse_before_sending), auth, self.refresh_chain])

    def authorize(self, operation: Operation, context: Any) -> dict[str, Any]:
        """Read the token again for each attempt."""
        return {"headers": {**context.get("headers", {}), "authorization": f"Bearer {self.access_token}"}}

    async def get_new_token(self) -> str:
        """Trade the refresh token, and store what comes."""
        result = await execute(self.refresh_chain, GraphQLRequest(REFRESH, {"token": self.refresh_token}))
        if "errors" in result:
            raise PermissionError(result["errors"][0]["message"])
        pair = result["data"]["refreshToken"]
        self.access_token, self.refresh_token = pair["accessToken"], pair["refreshToken"]
        return self.access_token

    async def refresh(self) -> str | None:
        """The recipe's `.then(resolve pending) .catch(forget pending) .finally(lower the flag)`."""
        try:
            token = await self.get_new_token()
        except Exception:  # noqa: BLE001 - as published
            self.pending_requests = Subject()  # the recipe empties its list: nobody tells those who were in it
            return None
        else:
            self.pending_requests.on_next(token)  # who is refused from here on joins those who were just released
            return token
        finally:
            self.is_refreshing = False

    def refresh_and_retry(self, response: ErrorResponse) -> Observable[FetchResult] | None:
        """The recipe's handler."""
        for error in response.graphql_errors or ():
            if error["extensions"]["code"] == "UNAUTHENTICATED":
                if self.is_refreshing:
                    token = self.pending_requests.take(1)
                else:
                    self.is_refreshing = True
                    token = from_future(self.refresh()).filter(bool)
                return token.flat_map(lambda _: response.forward(response.operation))
        return None


class Cured(AsPublished):
    """The same parts; each wave of waiting operations has a subject of its own, and always hears of the end."""

    async def refresh(self) -> str:
        """Lower the flag first, then tell those who wait: a token, or why there is none."""
        try:
            token = await self.get_new_token()
        except Exception as error:
            self.end_wave().on_error(error)
            raise  # to the operation that started the refresh
        wave = self.end_wave()
        wave.on_next(token)
        wave.on_completed()
        return token

    def end_wave(self) -> Subject[str]:
        """Make room for the next refresh."""
        wave, self.pending_requests, self.is_refreshing = self.pending_requests, Subject(), False
        return wave

    def refresh_and_retry(self, response: ErrorResponse) -> Observable[FetchResult] | None:
        """Leave the refresh itself alone, and do not replace a token that has been replaced already."""
        codes = [(error.get("extensions") or {}).get("code") for error in response.graphql_errors or ()]
        if "UNAUTHENTICATED" not in codes or response.operation.operation_name == "Refresh":
            return None
        sent = response.operation.get_context().get("headers", {}).get("authorization")
        if sent != f"Bearer {self.access_token}":
            return response.forward(response.operation)
        if self.is_refreshing:
            token = self.pending_requests.take(1)
        else:
            self.is_refreshing = True
            token = from_future(self.refresh())
        return token.flat_map(lambda _: response.forward(response.operation))


def refuse_before_sending(operation: Operation, forward: Any) -> Observable[FetchResult]:
    """Answer at once, as a local check of the token's end would: the operation `Late`, the first time."""
    if operation.operation_name == "Late" and "checked" not in operation.get_context():
        operation.set_context({"checked": True})
        return just(REFUSED)
    return forward(operation)


def send(client: AsPublished, value: str, name: str = "Echo") -> "asyncio.Future[FetchResult]":
    """Start an operation here and now."""
    return execute(client.link, GraphQLRequest(ECHO.replace("Echo", name), {"value": value})).to_future()


async def report(what: str, *operations: "asyncio.Future[FetchResult]") -> None:
    """Print how operations ended; 0.4 s are plenty for those that will."""
    await asyncio.wait(operations, timeout=0.4)
    ends = Counter(map(end_of, operations))
    print(f"{what:27}", ", ".join(f"{count} {end}" for end, count in ends.items()))


def end_of(operation: "asyncio.Future[FetchResult]") -> str:
    """Say how an operation ended, in a word or two."""
    if operation.cancel():
        return "never ended"
    error = operation.exception()
    if error is None:
        return "refused" if "errors" in operation.result() else "answered"
    return "completed empty" if isinstance(error, SequenceContainsNoElementsError) else type(error).__name__


async def run(server: AuthServer, client: AsPublished) -> None:
    """Put a recipe through five situations; the last one ends its session."""
    server.revoke_access("ada")
    await report("five refused at once", *(send(client, value) for value in "abcde"))

    server.revoke_access("ada")
    server.faults.add(Fault.status(503), on="refresh")
    await report("the refresh fails", *(send(client, value) for value in "abcde"))

    server.revoke_access("ada")
    server.faults.add(Fault.delay(0.15), on="graphql", when=lambda arrival: arrival.variables["value"] == "b")
    before = server.ledger.refreshes
    await report("one is refused later", *(send(client, value) for value in "ab"))
    print(f"{'':27} refreshes for that one token: {server.ledger.refreshes - before}")

    server.revoke_access("ada")
    late: list[asyncio.Future[FetchResult]] = []
    client.pending_requests.take(1).subscribe(lambda _: late.append(send(client, "c", "Late")))
    await report("refused during the release", *(send(client, value) for value in "ab"))
    await report("  the late one", *late)

    client.refresh_chain = client.link  # its own error link is in it
    server.revoke_access("ada")
    server.revoke_refresh("ada")
    await report("the refresh is refused too", *(send(client, value) for value in "ab"))


async def main() -> None:
    """Run both recipes."""
    async with AuthServer(token_life=60) as server:
        clients: list[AsPublished] = []
        for recipe in (AsPublished, Cured):
            print(f"-- {recipe.__name__}")
            client = recipe(server)
            clients.append(client)
            async with client.link:
                await run(server, client)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()  # the published recipe's refresh still waits for itself


if __name__ == "__main__":
    asyncio.run(main())
