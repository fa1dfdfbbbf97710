"""A subscription that outlives its token: with parameters that are a value, with a function, and with a session.

The parameters of a WebSocket connection are sent once, when it opens. As most clients take them, they are a value: when
the token ends the server closes the socket, and the same token is refused at each try to connect again.

The recipe of graphql-ws gives a function in its place, which is asked at each connect and fetches a new token. The
subscription goes on, but between two sockets nobody hears: what the server sends meanwhile is lost.

With an AuthSession the token is refreshed before it ends, and the next socket has the subscription before the first one
closes. Nothing is lost; what came on both is left out by its number.

Run it: python docs/examples/websocket_refresh.py
"""

import asyncio
from typing import Any

from reactivex import operators as ops

from rxlink import (
    AuthSession,
    GraphQLRequest,
    GraphQLWsLink,
    RefreshReason,
    Resubscribed,
    TokenSet,
    execute,
    oauth2_refresh,
)
from rxlink.testing import AuthServer

TICKS = "subscription Ticks { ticks(every: 0.02) }"
TOKEN_LIFE = 0.6
LISTENING = 1.6  # seconds, in which two tokens end


def number_of(result: Any) -> int:
    """Return which number a result brings; the server counts for all who listen."""
    return result["data"]["ticks"]


async def listen(name: str, link: GraphQLWsLink) -> None:
    """Subscribe for a while, and tell what was heard."""
    heard: list[int] = []
    error: list[Exception] = []
    moves: list[Resubscribed] = []
    link.events.pipe(ops.filter(lambda event: isinstance(event, Resubscribed))).subscribe(moves.append)
    numbers = execute(link, GraphQLRequest(TICKS)).pipe(ops.map(number_of))
    subscription = numbers.subscribe(heard.append, on_error=error.append)
    await asyncio.sleep(LISTENING)
    subscription.dispose()
    await link.aclose()

    print(f"-- {name}")
    print(f"still listening: {not error}; went over to another socket: {bool(moves)}")
    missing = set(range(heard[0], heard[-1])) - set(heard)
    print(f"numbers were lost: {bool(missing)}; came twice: {len(heard) != len(set(heard))}")
    for failure in error:
        print(f"{type(failure).__name__}: {failure}")


async def by_value(server: AuthServer) -> None:
    """The parameters are a value."""
    pair = server.sign_in("ada")
    params = {"authorization": f"Bearer {pair.access_token}"}
    await listen("a value", GraphQLWsLink(server.ws_url, connection_params=params, retry_wait=lambda _: 0.05))


async def by_function(server: AuthServer) -> None:
    """The parameters are a function, which refreshes."""
    pair = server.sign_in("ben")
    tokens = TokenSet(pair.access_token, pair.refresh_token)
    async with oauth2_refresh(server.token_url, client_id="app") as refresh:

        async def params() -> dict[str, str]:
            nonlocal tokens
            await asyncio.sleep(0.1)  # the way to the issuer
            tokens = await refresh(tokens, RefreshReason.FORCED)
            return {"authorization": f"Bearer {tokens.access_token}"}

        await listen("a function", GraphQLWsLink(server.ws_url, connection_params=params, retry_wait=lambda _: 0))


async def with_session(server: AuthServer) -> None:
    """The link has the session."""
    pair = server.sign_in("cleo")
    tokens = TokenSet(pair.access_token, pair.refresh_token, expires_in=pair.expires_in)
    async with (
        oauth2_refresh(server.token_url, client_id="app") as refresh,
        AuthSession(refresh=refresh, tokens=tokens) as session,
    ):
        await listen("a session", GraphQLWsLink(server.ws_url, auth=session, dedup_key=number_of))


async def main() -> None:
    """Tell it three times."""
    async with AuthServer(token_life=TOKEN_LIFE) as server:
        await by_value(server)
        await by_function(server)
        await with_session(server)
        refused = [refresh for refresh in server.ledger.refresh_tries if refresh.outcome != "granted"]
        print("refreshes that the issuer refused:", len(refused))


if __name__ == "__main__":
    asyncio.run(main())
