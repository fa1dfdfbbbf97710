"""Stored tokens: the refresh saves the new pair, and an auth link *behind* the error link reads it for each attempt.

The handler no longer touches headers: `forward(operation)` runs the auth link again. Two things decide whether that
finds the new token, and this file does each of them wrong as well: the auth link stands behind the error link, and the
pair is saved before the retry.

Run it: python docs/examples/stored_tokens.py
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from reactivex import Observable

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

VIEWER = "query Viewer { viewer { name } }"
REFRESH = "mutation Refresh($token: String!) { refreshToken(refreshToken: $token) { accessToken refreshToken } }"


class TokenStore:
    """A storage that takes its time, as disks and browsers' storages do."""

    def __init__(self, access_token: str, refresh_token: str) -> None:
        """Keep the pair of the sign-in."""
        self._pair = {"accessToken": access_token, "refreshToken": refresh_token}

    async def load(self) -> Mapping[str, str]:
        """Return the pair."""
        await asyncio.sleep(0)
        return self._pair

    async def save(self, pair: Mapping[str, str]) -> None:
        """Replace the pair; whoever loads before this has ended gets the old one."""
        await asyncio.sleep(0.1)
        self._pair = dict(pair)


class Client:
    """A store and the links around it."""

    def __init__(self, server: AuthServer, *, saves_first: bool = True) -> None:
        """Sign in."""
        pair = server.sign_in("ada")
        assert pair.refresh_token is not None
        self.store = TokenStore(pair.access_token, pair.refresh_token)
        self.url = server.url
        self.saves_first = saves_first
        self.saves: set[asyncio.Task[None]] = set()
        self.auth = set_context(self.authorize)
        self.error = on_error(self.refresh_and_retry)

    async def authorize(self, operation: Operation, context: Any) -> dict[str, Any]:
        """Read the store again for each attempt, and keep the headers that are there."""
        pair = await self.store.load()
        return {"headers": {**context.get("headers", {}), "authorization": f"Bearer {pair['accessToken']}"}}

    async def get_new_token(self) -> str:
        """Trade the refresh token through a second chain, and save what comes."""
        pair = await self.store.load()
        async with HttpLink(self.url) as refresh_chain:
            result = await execute(refresh_chain, GraphQLRequest(REFRESH, {"token": pair["refreshToken"]}))
        new_pair = result["data"]["refreshToken"]
        saving = asyncio.create_task(self.store.save(new_pair))
        self.saves.add(saving)  # asyncio itself keeps no task alive
        if self.saves_first:
            await saving
        return new_pair["accessToken"]

    def refresh_and_retry(self, response: ErrorResponse) -> Observable[FetchResult] | None:
        """The recipe: the token is only a signal now, the auth link reads the store itself."""
        for error in response.graphql_errors or ():
            if (error.get("extensions") or {}).get("code") == "UNAUTHENTICATED":
                token = from_future(self.get_new_token())
                return token.filter(bool).flat_map(lambda _: response.forward(response.operation))
        return None


async def run(server: AuthServer, name: str, *links: ApolloLink) -> None:
    """Run one operation and say how it ended; the server tells what was sent for it."""
    async with from_([*links, HttpLink(server.url)]) as link:
        headers = {"x-operation-id": name}
        result = await execute(link, GraphQLRequest(VIEWER, context={"headers": headers}))
    sent = " then ".join(f"token {send.generation.index}" for send in server.ledger.sends(name) if send.generation)
    print(f"{name:22} {'refused' if 'errors' in result else 'answered':9} sent with {sent}")


async def main() -> None:
    """Tell what each order does."""
    async with AuthServer(token_life=60) as server:
        print("-- stored, before the retry, read behind the error link")
        client = Client(server)
        for expiry in ("first expiry", "second expiry"):
            server.revoke_access("ada")
            await run(server, expiry, client.error, client.auth)
            await run(server, f"after the {expiry}", client.error, client.auth)

        print("-- the second refusal of one operation is its own: the handler does not see its retry")
        server.faults.add(Fault.unauthenticated(), on="graphql", times=2)
        await run(server, "refused twice", client.error, client.auth)

        print("-- the auth link in front: the retry goes out with the header of the first attempt")
        client = Client(server)
        server.revoke_access("ada")
        await run(server, "wrong order", client.auth, client.error)

        print("-- saved after the retry has started: the auth link still reads the old token")
        client = Client(server, saves_first=False)
        server.revoke_access("ada")
        await run(server, "saved too late", client.error, client.auth)
        await asyncio.gather(*client.saves)

        print(f"{server.ledger.refreshes} refreshes in all")


if __name__ == "__main__":
    asyncio.run(main())
