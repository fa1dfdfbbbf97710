"""Many users in one process, each with a WebSocket: a link beside each session, and nothing that is left behind.

A socket belongs to one user, and a link has one session. A process that serves many makes a link for each when it is
first needed, and closes it where it closes the session. Two things are easy to get wrong: a link for each request opens
a socket for each, and a dictionary of links that nobody takes anything out of grows with every user there ever was.

Here the links are found by session. `AuthSessions` has one for each user until it is closed, and makes another one
for a user who comes back; so nobody gets a link whose session is gone. One aiohttp session opens all sockets.

Run it: python docs/examples/websocket_users.py
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import aiohttp

from rxlink import AuthSession, AuthSessions, GraphQLRequest, GraphQLWsLink, TokenSet, execute, oauth2_refresh
from rxlink.testing import AuthServer

TICKS = GraphQLRequest("subscription Ticks { ticks(every: 0.02) }")
VIEWER = GraphQLRequest("query Viewer { viewer { name } }")
TOKEN_LIFE = 0.6
LISTENING = 1.6  # seconds, in which two tokens of each user end
LINGERING = 0.2  # seconds that a socket stays open when its user has no operation: for the next one


class Users:
    """The users of a process: a session for each, and a link that lives as long as that."""

    def __init__(self, ws_url: str, http: aiohttp.ClientSession, make: Callable[[str], AuthSession]) -> None:
        """Begin with nobody; `make` gets a user and makes the session."""
        # The key is for an AuthLink(users.sessions) on the branch of queries and mutations, if they go over HTTP.
        self.sessions = AuthSessions(make, key=lambda operation: operation.get_context().get("user"))
        self.links: dict[AuthSession, GraphQLWsLink] = {}
        self._ws_url = ws_url
        self._http = http

    def link(self, user: str) -> GraphQLWsLink:
        """Return the link of a user; it opens a socket when there is an operation."""
        session = self.sessions.get(user)
        if session not in self.links:
            self.links[session] = GraphQLWsLink(
                self._ws_url, auth=session, session=self._http, lazy_close_timeout=LINGERING
            )
        return self.links[session]

    async def close(self, user: str) -> None:
        """Close what belongs to a user who has gone: the tokens are saved, operations end with `ClientClosed`."""
        if user in self.sessions:
            session = self.sessions.get(user)
            try:
                await self.sessions.close(user)
            finally:
                await self._close_link(session)

    async def __aenter__(self) -> Self:
        """Return it."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all users."""
        try:
            await self.sessions.aclose()
        finally:
            await asyncio.gather(*map(self._close_link, list(self.links)))

    async def _close_link(self, session: AuthSession) -> None:
        link = self.links.pop(session, None)  # first: whoever comes while it closes gets none that is closed
        if link is not None:
            await link.aclose()


def tell(what: str, server: AuthServer, users: Users) -> None:
    """Print how many sessions and links there are, and who has a socket."""
    open_sockets = [record.generation for record in server.ledger.sockets if record.closed is None]
    names = ", ".join(sorted({generation.user for generation in open_sockets if generation is not None}))
    print(f"{what}: {len(users.sessions)} sessions, {len(users.links)} links; sockets of: {names or 'nobody'}")


async def run(server: AuthServer, users: Users) -> None:
    """Let three users come and go."""
    heard: dict[str, list[Any]] = {"ada": [], "ben": [], "cleo": []}
    subscriptions = {
        user: execute(users.link(user), TICKS).subscribe(heard[user].append, on_error=heard[user].append)
        for user in heard
    }
    await asyncio.sleep(LISTENING)
    viewers = await asyncio.gather(*(execute(users.link(user), VIEWER) for user in heard))
    print("each is who they are:", ", ".join(viewer["data"]["viewer"]["name"] for viewer in viewers))
    generations = Counter(generation.user for generation in server.ledger.generations)
    print("tokens of each have ended:", all(count > 1 for count in generations.values()))
    tell("three listen", server, users)

    await users.close("ada")
    print("ada has gone, and her subscription ended with", type(heard["ada"][-1]).__name__)
    tell("two listen", server, users)

    subscriptions["ben"].dispose()
    await asyncio.sleep(2 * LINGERING)
    tell("ben is idle", server, users)

    await execute(users.link("ben"), VIEWER)
    tell("ben is back", server, users)
    print("cleo still listens:", "data" in heard["cleo"][-1])
    subscriptions["cleo"].dispose()


async def main() -> None:
    """Tell it, and that nothing is left."""
    async with (
        AuthServer(token_life=TOKEN_LIFE) as server,
        oauth2_refresh(server.token_url, client_id="app") as refresh,
        aiohttp.ClientSession() as http,
    ):

        def sign_in(user: str) -> AuthSession:
            pair = server.sign_in(user)
            tokens = TokenSet(pair.access_token, pair.refresh_token, expires_in=pair.expires_in)
            return AuthSession(refresh=refresh, tokens=tokens)

        async with Users(server.ws_url, http, sign_in) as users:
            await run(server, users)
        tell("at the end", server, users)
        refused = [refresh for refresh in server.ledger.refresh_tries if refresh.outcome != "granted"]
        print("refreshes that the issuer refused:", len(refused))


if __name__ == "__main__":
    asyncio.run(main())
