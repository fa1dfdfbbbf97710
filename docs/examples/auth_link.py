"""AuthLink: the short way. The session owns the tokens and the one refresh; a service writes how to get new ones.

The situations are those in which concurrent_refresh.py loses operations, and two more that no handler of an error link
can see: an operation that starts while a refresh runs, and an outage of the issuer.

Run it: python docs/examples/auth_link.py
"""

import asyncio
from collections import Counter

from rxlink import (
    ApolloLink,
    AuthEvent,
    AuthLink,
    AuthSession,
    GraphQLRequest,
    HttpLink,
    RefreshReason,
    TokenSet,
    execute,
    from_,
)
from rxlink.auth.events import RefreshStarted
from rxlink.errors import SessionEnded
from rxlink.testing import AuthServer, Fault

ECHO = "query Echo($value: String!) { echo(value: $value) }"
REFRESH = """
mutation Refresh($token: String!) { refreshToken(refreshToken: $token) { accessToken refreshToken expiresIn } }
"""


def connect(server: AuthServer) -> tuple[AuthSession, ApolloLink]:
    """Sign in, and return the session and a chain over it."""

    async def get_new_tokens(tokens: TokenSet | None, reason: RefreshReason) -> TokenSet:
        # Through the guarded chain itself: AuthLink lets what its session's own refresh sends pass untouched.
        result = await execute(link, GraphQLRequest(REFRESH, {"token": tokens and tokens.refresh_token}))
        if "errors" in result:
            raise SessionEnded  # the refresh token is dead for good; anything else that is raised leaves the session
        pair = result["data"]["refreshToken"]
        return TokenSet(pair["accessToken"], pair["refreshToken"], expires_in=pair["expiresIn"])

    pair = server.sign_in("ada")
    session = AuthSession(refresh=get_new_tokens, tokens=TokenSet(pair.access_token, pair.refresh_token))
    link = from_([AuthLink(session), HttpLink(server.url)])
    session.events.subscribe(tell)
    return session, link


def tell(event: AuthEvent) -> None:
    """Print what concerns the refresh; queued and retried operations are counted by the server."""
    name = type(event).__name__
    if not name.startswith("Operation"):
        print("  ", name, *(getattr(event, detail) for detail in ("reason", "error_type") if hasattr(event, detail)))


async def run(server: AuthServer, link: ApolloLink, *names: str) -> None:
    """Run operations at the same time; print how they ended, and how often they were sent."""
    requests = [GraphQLRequest(ECHO, {"value": name}, context={"headers": {"x-operation-id": name}}) for name in names]
    outcomes = await asyncio.gather(*(execute(link, request) for request in requests), return_exceptions=True)
    for end, count in Counter(map(end_of, outcomes)).items():
        print(f"   {count} {end}")
    print(f"   sends: {', '.join(str(len(server.ledger.sends(name))) for name in names)}")


def end_of(outcome: object) -> str:
    """Say how an operation ended."""
    if isinstance(outcome, dict):
        return "refused" if "errors" in outcome else "answered"
    return f"{type(outcome).__name__}: {str(outcome).rpartition(': ')[2]}"


async def live_through_refreshes(server: AuthServer, session: AuthSession, link: ApolloLink) -> None:
    """Show what an application never notices."""
    for expiry in ("first", "second"):
        print(f"five refused at once, the {expiry} time")
        server.revoke_access("ada")
        await run(server, link, *(f"{expiry} {number}" for number in range(5)))

    print("one starts while the refresh runs: it waits, and is sent once")
    server.revoke_access("ada")
    server.faults.add(Fault.delay(0.05), on="refresh")
    refresh_started = session.events.filter(lambda event: isinstance(event, RefreshStarted)).take(1).to_future()
    refused = execute(link, GraphQLRequest(ECHO, {"value": "refused"})).to_future()
    await refresh_started
    await run(server, link, "started later")
    await refused

    print("one is refused after the refresh, with the token from before: no second refresh")
    server.revoke_access("ada")
    server.faults.add(Fault.delay(0.2), on="graphql", when=lambda arrival: arrival.operation_id == "slow")
    await run(server, link, "fast", "slow")

    print("an outage of the issuer is waited out, within the session's refresh_timeout")
    server.revoke_access("ada")
    server.faults.add(Fault.status(503), on="refresh")
    await run(server, link, "waits it out")


async def end(server: AuthServer, link: ApolloLink) -> None:
    """Show what is left when nothing helps."""
    print("the refresh token is dead: the session ends, once, and everybody who waited is told")
    server.revoke_access("ada")
    server.revoke_refresh("ada")
    await run(server, link, *(f"last {number}" for number in range(5)))
    print("the next operation is nobody's: no refresh, the server's own answer")
    await run(server, link, "nobody's")


async def main() -> None:
    """Run the story."""
    async with AuthServer(token_life=60) as server:
        session, link = connect(server)
        async with link:
            await live_through_refreshes(server, session, link)
            await end(server, link)
        await session.aclose()


if __name__ == "__main__":
    asyncio.run(main())
