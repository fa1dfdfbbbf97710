"""OAuth2 refresh: by hand, as in most clients, and with `oauth2_refresh`.

By hand, whoever finds the token refused posts the refresh token to the token endpoint, behind a lock so that it happens
once; Authlib and golang.org/x/oauth2 come down to the same. A lock shares success, but not failure: those who wait at
it send the dead refresh token again, one after the other. And a failure is a failure: the user is signed out because
the issuer was down for a moment, or because the program has a wrong client secret.

Run it: python docs/examples/oauth2_refresh.py
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable

import aiohttp

from rxlink import (
    AuthLink,
    AuthSession,
    GraphQLRequest,
    HttpLink,
    TokenRefreshError,
    TokenSet,
    execute,
    from_,
    oauth2_refresh,
)
from rxlink.testing import AuthServer, Fault

CLIENT = {"client_id": "app", "client_secret": "s3cret"}
VIEWER = GraphQLRequest("{ viewer { name } }")


class ByHand:
    """A token pair, a lock and a POST."""

    def __init__(self, server: AuthServer, http: aiohttp.ClientSession) -> None:
        """Sign in."""
        pair = server.sign_in("ada")
        self.access_token, self.refresh_token = pair.access_token, pair.refresh_token
        self.server, self.http, self.lock = server, http, asyncio.Lock()

    async def get_new_token(self, refused: str) -> str:
        """Refresh, unless somebody else has done so while this one waited."""
        async with self.lock:
            if self.access_token == refused:
                form = {"grant_type": "refresh_token", "refresh_token": str(self.refresh_token), **CLIENT}
                async with self.http.post(self.server.token_url, data=form) as response:
                    if not response.ok:
                        raise PermissionError("sign in again")  # whatever it was
                    pair = await response.json()
                self.access_token, self.refresh_token = pair["access_token"], pair["refresh_token"]
            return self.access_token


async def report(server: AuthServer, what: str, *work: Awaitable[object]) -> None:
    """Let it all run at once; print how it ended, and what the token endpoint saw of it."""
    before = len(server.ledger.refresh_tries)
    outcomes = await asyncio.gather(*work, return_exceptions=True)
    ends = ", ".join(f"{count} {end}" for end, count in Counter(map(end_of, outcomes)).items())
    print(f"{what:26} {ends:19} token requests: {len(server.ledger.refresh_tries) - before}")


def end_of(outcome: object) -> str:
    """Say how an operation or a call ended."""
    if isinstance(outcome, Exception):
        return type(outcome).__name__
    return "refused" if isinstance(outcome, dict) and "errors" in outcome else "answered"


async def by_hand(server: AuthServer) -> None:
    """Show a failure that would have passed, and one that is repeated."""
    async with aiohttp.ClientSession() as http:
        client = ByHand(server, http)
        old = client.access_token
        await report(server, "five at once", *(client.get_new_token(old) for _ in range(5)))

        server.faults.add(Fault.status(503))
        await report(server, "an outage of a moment", client.get_new_token(client.access_token))

        server.revoke_refresh("ada")
        old = client.access_token
        await report(server, "the refresh token is dead", *(client.get_new_token(old) for _ in range(5)))


async def with_a_refresh_token(server: AuthServer) -> None:
    """Show the same with a session; the user does not notice the first two."""
    pair = server.sign_in("ada")
    refresh = oauth2_refresh(server.token_url, **CLIENT)
    session = AuthSession(refresh=refresh, tokens=TokenSet(pair.access_token, pair.refresh_token))
    async with refresh, session, from_([AuthLink(session), HttpLink(server.url)]) as link:
        server.revoke_access("ada")
        await report(server, "five at once", *(execute(link, VIEWER) for _ in range(5)))

        server.revoke_access("ada")
        server.faults.add(Fault.status(503))
        await report(server, "an outage of a moment", *(execute(link, VIEWER) for _ in range(5)))

        server.revoke_access("ada")
        server.revoke_refresh("ada")
        await report(server, "the refresh token is dead", *(execute(link, VIEWER) for _ in range(5)))
        await report(server, "five more", *(execute(link, VIEWER) for _ in range(5)))


async def with_client_credentials(server: AuthServer) -> None:
    """Show a service that acts for itself: it has no refresh token, and asks again instead."""
    async with (
        oauth2_refresh(server.token_url, grant_type="client_credentials", **CLIENT) as refresh,
        AuthSession(refresh=refresh, obtain_first=True) as session,
        from_([AuthLink(session), HttpLink(server.url)]) as link,
    ):
        await report(server, "the first token", *(execute(link, VIEWER) for _ in range(5)))
        server.revoke_access("app")
        await report(server, "the next token", *(execute(link, VIEWER) for _ in range(5)))


async def with_a_wrong_secret(server: AuthServer) -> None:
    """Show a mistake of the program: it is named, and nobody is signed out."""
    pair = server.sign_in("ada")
    async with (
        oauth2_refresh(server.token_url, client_id="app", client_secret="wrong") as refresh,
        AuthSession(refresh=refresh, tokens=TokenSet(pair.access_token, pair.refresh_token)) as session,
    ):
        try:
            await session.refresh(force=True)
        except TokenRefreshError as error:
            print(error)
        print("still signed in:", await session.get_token() is not None)


async def main() -> None:
    """Run the stories."""
    async with AuthServer(token_life=60, **CLIENT) as server:
        print("-- by hand")
        await by_hand(server)
        print("-- a session and a refresh token")
        await with_a_refresh_token(server)
        print("-- a session and client credentials")
        await with_client_credentials(server)
        print("-- a session and a wrong client secret")
        await with_a_wrong_secret(server)


if __name__ == "__main__":
    asyncio.run(main())
