"""A service that queries, mutates and subscribes while its token stays fresh, and its test without a server.

Run it: python docs/examples/service.py
"""

import asyncio

from rxlink import AuthLink, AuthSession, Client, GraphQLWsLink, HttpLink, RetryLink, TokenSet, oauth2_refresh, split
from rxlink.testing import AuthServer, MockedResponse, MockLink, virtual


def client_of(url: str, ws_url: str, session: AuthSession) -> Client:
    """Return a client that sends subscriptions over a WebSocket and the rest over HTTP, with the same token."""
    over_http = RetryLink().concat(AuthLink(session), HttpLink(url))
    sockets = GraphQLWsLink(ws_url, auth=session)
    return Client(split(lambda operation: operation.operation_type == "subscription", sockets, over_http))


async def launch(client: Client, name: str) -> str:
    """Do what the service is for: ask who it is for, count five attempts at once, count down."""
    viewer = await client.query("query Viewer { viewer { name } }")
    attempts = [client.mutate("mutation Try($key: String!) { increment(key: $key) }", {"key": name}) for _ in range(5)]
    count = max([result.data["increment"] for result in await asyncio.gather(*attempts)])
    down = [result.data["countdown"] async for result in client.subscribe("subscription Down { countdown(start: 3) }")]
    return f"{name} of {viewer.data['viewer']['name']}, attempt {count}: {', '.join(map(str, down))}"


@virtual
async def test_launch_counts_attempts_and_then_down() -> None:
    """For pytest: no server, and no second passes."""
    tries = [MockedResponse(operation_name="Try", result={"data": {"increment": n}}, delay=60) for n in range(1, 6)]
    viewer = MockedResponse(operation_name="Viewer", result={"data": {"viewer": {"name": "grace"}}})
    down = MockedResponse(operation_name="Down", result={"data": {"countdown": 1}})

    assert await launch(Client(MockLink([viewer, *tries, down])), "Apollo") == "Apollo of grace, attempt 5: 1"


async def main() -> None:
    """Run the service against a server on loopback that takes its token away."""
    async with AuthServer(token_life=60) as server, oauth2_refresh(server.token_url, client_id="app") as refresh:
        pair = server.sign_in("ada")
        session = AuthSession(refresh=refresh, tokens=TokenSet(pair.access_token, pair.refresh_token))
        async with session, client_of(server.url, server.ws_url, session) as client:
            print(await launch(client, "Vostok"))
            server.revoke_access("ada")  # the next six operations are refused: one refresh, and nothing is lost
            print(await launch(client, "Soyuz"))
        print("refreshes:", server.ledger.refreshes)


if __name__ == "__main__":
    asyncio.run(main())
    test_launch_counts_attempts_and_then_down()
