"""Proactive refresh: do not wait for the refusal; look at the token's end before each operation.

One link made with `set_context` does it: a token that ends within 60 s is replaced first, through a second client, and
all who need it share one pending refresh. The server wants the scheme `JWT` here. Nobody waits for a token to end:
server and client go by a clock that jumps.

Run it: python docs/examples/proactive_refresh.py
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

from rxlink import (
    ApolloLink,
    AuthLink,
    AuthSession,
    GraphQLRequest,
    HttpLink,
    Operation,
    RefreshReason,
    TokenSet,
    execute,
    from_,
    from_future,
    set_context,
)
from rxlink.errors import RxlinkError, SessionEnded
from rxlink.testing import AuthServer, Fault

VIEWER = "query Viewer { viewer { name } }"
REFRESH = "mutation Refresh($token: String!) { refreshToken(refreshToken: $token) { accessToken refreshToken } }"
LIFE, LEEWAY = 3600, 60  # seconds


class Clock:
    """The time of this story."""

    seconds = 0.0

    def now(self) -> datetime:
        """Return it as an aware datetime."""
        return datetime(2030, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)


class AsPublished:
    """The recipe: a token, its end, and one shared pending refresh."""

    session: AuthSession | None = None

    def __init__(self, server: AuthServer, clock: Clock) -> None:
        """Sign in, and put the two clients together."""
        self.user, self.clock = type(self).__name__, clock
        pair = server.sign_in(self.user)
        self.tokens: TokenSet | None = None
        self.pending: asyncio.Task[object] | None = None
        self.keep(pair.access_token, pair.refresh_token)
        self.second_client = HttpLink(server.url)  # the end of the first one, without its auth link
        self.link = from_([self.auth_link(), self.second_client])

    def keep(self, access_token: str, refresh_token: str | None) -> None:
        """Keep a pair that has just been issued."""
        self.tokens = TokenSet(access_token, refresh_token, expires_in=LIFE).received(self.clock.now())

    def auth_link(self) -> ApolloLink:
        """Return the link that this is about."""
        return set_context(self.authorize)

    async def authorize(self, operation: Operation, context: Any) -> dict[str, Any]:
        """Wait for a token. The headers that the operation has are forgotten here."""
        return {"headers": {"authorization": f"JWT {await self.get_token()}"}}

    def seconds_left(self) -> float:
        """Tell how long the token is still good; nothing if there is none."""
        ends = self.tokens and self.tokens.expires_at
        return (ends - self.clock.now()).total_seconds() if ends else 0

    async def get_token(self) -> object:
        """Return the token, or what the pending refresh brings."""
        if self.tokens and self.seconds_left() >= LEEWAY:
            return self.tokens.access_token
        self.pending = self.pending or asyncio.ensure_future(self.refresh())
        return await self.pending

    async def refresh(self) -> object:
        """Return the new token; as published, a failure logs out and is returned in the token's place."""
        try:
            return await self.get_new_token()
        except Exception as error:  # noqa: BLE001 - as published
            self.tokens = None
            return error
        finally:
            self.pending = None

    async def get_new_token(self) -> str:
        """Trade the refresh token through the second client, which has no auth link."""
        token = self.tokens and self.tokens.refresh_token
        result = await execute(self.second_client, GraphQLRequest(REFRESH, {"token": token or "none"}))
        if "errors" in result:
            raise PermissionError(result["errors"][0]["message"])
        pair = result["data"]["refreshToken"]
        self.keep(pair["accessToken"], pair["refreshToken"])
        return pair["accessToken"]


class Cured(AsPublished):
    """The same parts: a failure stays an error, other headers stay, and only a refused refresh token logs out."""

    def auth_link(self) -> ApolloLink:
        """Return the link; its setter answers with a stream, and where that fails nothing is sent."""
        return set_context(
            lambda operation, context: from_future(self.get_token()).map(
                lambda token: {"headers": {**context.get("headers", {}), "authorization": f"JWT {token}"}}
            )
        )

    async def refresh(self) -> object:
        """Return the new token; where there is none for now, the old one as long as it is good."""
        try:
            return await self.get_new_token()
        except PermissionError:
            self.tokens = None
            raise
        except RxlinkError:
            if self.tokens is None or self.seconds_left() <= 0:
                raise
            return self.tokens.access_token
        finally:
            self.pending = None


class WithSession(AsPublished):
    """The short way: the same 60 s, in which operations wait for the refresh, and the scheme."""

    def auth_link(self) -> ApolloLink:
        """Return an `AuthLink`; the window of 60 s in which a refresh runs beside operations is the usual one."""
        self.session = AuthSession(
            refresh=self.get_new_tokens, tokens=self.tokens, mandatory_window=LEEWAY, clock=self.clock.now
        )
        return AuthLink(self.session, scheme="JWT")

    async def get_new_tokens(self, tokens: TokenSet | None, reason: RefreshReason) -> TokenSet | None:
        """Use the same second client; say which failure is final."""
        try:
            await self.get_new_token()
        except PermissionError as error:
            raise SessionEnded from error
        return self.tokens


SITUATIONS: list[tuple[str, float, Callable[[AuthServer, str], object]]] = [
    ("30 s before the end", 30, lambda server, user: None),
    ("  and the issuer is down", 30, lambda server, user: server.faults.add(Fault.status(503))),
    ("past the end, and it is down", -1, lambda server, user: server.faults.add(Fault.status(503))),
    ("  and the refresh token dead", -1, AuthServer.revoke_refresh),
    ("revoked before its end", 1800, AuthServer.revoke_access),
]


async def outcomes(client: AsPublished, count: int) -> str:
    """Run so many operations at once, each with a label, and say how they ended."""
    request = GraphQLRequest(VIEWER, context={"headers": {"x-operation-id": "label"}})
    ends = await asyncio.gather(*(execute(client.link, request) for _ in range(count)), return_exceptions=True)
    words = (
        ("refused" if "errors" in end else "answered") if isinstance(end, dict) else type(end).__name__ for end in ends
    )
    return ", ".join(f"{count} {end}" for end, count in Counter(words).items())


async def run(server: AuthServer, clock: Clock, recipe: type[AsPublished]) -> None:
    """Put new clients of one kind through the situations: five operations at once, and then one more."""
    print(f"-- {recipe.__name__}")
    for situation, seconds_left, prepare in SITUATIONS:
        client = recipe(server, clock)
        clock.seconds += LIFE - seconds_left
        prepare(server, client.user)
        known_sends, known_refreshes = len(server.ledger.all_sends), len(server.ledger.refresh_tries)
        async with client.link, client.session or nullcontext():
            ends = f"{await outcomes(client, 5)}; then {await outcomes(client, 1)}"
        sends = server.ledger.all_sends[known_sends:]
        print(f"{situation:28} {ends}; refreshes: {len(server.ledger.refresh_tries) - known_refreshes}")
        labelled = sum(send.operation_id == "label" for send in sends)
        no_token = sum(send.why == "unknown" for send in sends)
        print(f"{'':28}   sent: {len(sends)}, with label: {labelled}, with something that is no token: {no_token}")


async def main() -> None:
    """Run the recipe, and the two that do better."""
    clock = Clock()
    async with AuthServer(token_life=LIFE, refresh_life=1e6, clock=lambda: clock.seconds, now=clock.now) as server:
        for recipe in (AsPublished, Cured, WithSession):
            await run(server, clock, recipe)


if __name__ == "__main__":
    asyncio.run(main())
