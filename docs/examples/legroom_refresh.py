"""Legroom: a token that has ended is replaced first; one that ends soon is replaced beside the operation.

The refresh goes through the same chain, where the link made with `set_context` gives it another bearer: the refresh
token. The file counts what the recipe loses when several operations start at once, when the refresh in the background
fails, and when a token cannot be read. Server and client go by a clock that jumps.

Run it: python docs/examples/legroom_refresh.py
"""

import asyncio
import gc
import math
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import jwt
from reactivex import Observable

from rxlink import (
    ApolloLink,
    AuthLink,
    AuthSession,
    FetchResult,
    GraphQLRequest,
    HttpLink,
    Operation,
    TokenSet,
    execute,
    from_,
    from_future,
    set_context,
)
from rxlink.errors import SessionEnded
from rxlink.testing import AuthServer, Fault

VIEWER = GraphQLRequest("query Viewer { viewer { name } }")
REFRESH = "mutation Refresh($token: String) { refreshToken(refreshToken: $token) { accessToken refreshToken } }"
LIFE, LEGROOM = 3600, 60  # seconds
TOLD = {None: "granted", "status": "answered 503"}


class AsPublished:
    """The recipe: a token is good, ends soon or has ended, and each operation sees to it by itself."""

    now = datetime(2030, 1, 1, tzinfo=UTC)  # the time of this story
    session: AuthSession | None = None
    pending: Observable[TokenSet] | None = None

    def __init__(self, server: AuthServer, *, is_opaque: bool) -> None:
        """Sign in, and put the links together."""
        self.user, self.is_opaque, self.running = type(self).__name__, is_opaque, 0
        pair = server.sign_in(self.user)
        self.tokens = TokenSet(self.hide(pair.access_token), pair.refresh_token)
        self.link = from_([*self.links(), ApolloLink(self.translate), HttpLink(server.url)])

    def hide(self, access_token: str) -> str:
        """Stand for an issuer whose access tokens nobody else can read; twice is to read it."""
        return access_token[::-1] if self.is_opaque else access_token

    def translate(self, operation: Operation, forward: Any) -> Observable[FetchResult]:
        """Stand for that issuer's server, which also finds the refresh token in the header of the refresh."""
        headers = operation.get_context()["headers"]
        bearer = headers["authorization"].removeprefix("Bearer ")
        if operation.operation_name == "Refresh":
            operation.variables["token"] = bearer
        else:
            operation.set_context({"headers": {**headers, "authorization": f"Bearer {self.hide(bearer)}"}})
        return forward(operation)

    def links(self) -> list[ApolloLink]:
        """Return the links that this is about."""
        return [set_context(self.authorize)]

    async def authorize(self, operation: Operation, context: Any) -> dict[str, Any]:
        """Put the refresh token on the refresh, and the access token on everything else."""
        is_refresh = operation.operation_name == "Refresh"
        if not is_refresh:
            await self.look_ahead()
        token = self.tokens.refresh_token if is_refresh else self.tokens.access_token
        return {"headers": {**context.get("headers", {}), "authorization": f"Bearer {token}"}}

    async def look_ahead(self) -> None:
        """Wait for a new token, or start to get one; nobody looks at what becomes of that."""
        left = self.seconds_left(unreadable=0)
        if left <= 0:
            await self.refresh()
        elif left < LEGROOM:
            asyncio.ensure_future(self.refresh())  # noqa: RUF006 - as published

    def seconds_left(self, *, unreadable: float) -> float:
        """Read the token's end; a token without one is good for ever."""
        try:
            claims = jwt.decode(self.tokens.access_token, options={"verify_signature": False})
        except jwt.InvalidTokenError:
            return unreadable
        return claims.get("exp", math.inf) - self.now.timestamp()

    async def refresh(self) -> TokenSet:
        """Trade the refresh token through the chain itself, and store what comes."""
        self.running += 1
        try:
            # With a session nobody calls `authorize`: `AuthLink` lets its refresh pass as it is.
            context = self.session and {"headers": {"authorization": f"Bearer {self.tokens.refresh_token}"}}
            result = await execute(self.link, GraphQLRequest(REFRESH, context=context))
            if "errors" in result:
                raise SessionEnded
            pair = result["data"]["refreshToken"]
            self.tokens = TokenSet(self.hide(pair["accessToken"]), pair["refreshToken"])
            return self.tokens
        finally:
            self.running -= 1
            self.pending = None


class Cured(AsPublished):
    """The same parts: one shared refresh, whose failure somebody hears."""

    def shared_refresh(self) -> Observable[TokenSet]:
        """Return the refresh that is under way, or a new one; leaving it never stops it."""
        self.pending = self.pending or from_future(self.refresh())
        return self.pending

    async def look_ahead(self) -> None:
        """Wait for a new token, or start to get one; a token that cannot be read is good until it is refused."""
        left = self.seconds_left(unreadable=math.inf)
        if left <= 0:
            await self.shared_refresh()
        elif left < LEGROOM:
            self.shared_refresh().subscribe(on_error=lambda error: None)  # the token is good for a while yet


class WithSession(AsPublished):
    """The short way: an advisory window, in which a refresh runs beside operations, and no mandatory one."""

    def links(self) -> list[ApolloLink]:
        """Return an `AuthLink`; the advisory window has 60 s by default."""
        self.session = AuthSession(
            refresh=lambda tokens, reason: self.refresh(),
            tokens=self.tokens,
            mandatory_window=0,
            clock=lambda: self.now,
        )
        return [AuthLink(self.session)]


SITUATIONS: dict[str, tuple[float, Callable[[AuthServer, str], object]]] = {
    "five, 30 s before the end": (30, lambda server, user: server.faults.add(Fault.delay(0.2), times=5)),
    "five, past the end": (-1, lambda server, user: server.faults.add(Fault.delay(0.1), on="both", times=10)),
    "30 s before, issuer down": (30, lambda server, user: server.faults.add(Fault.status(503))),
    "revoked before its end": (1800, AuthServer.revoke_access),
    "unreadable token": (1800, lambda server, user: None),
}


async def outcomes(client: AsPublished, count: int) -> str:
    """Run so many operations at once, wait for the refreshes beside them, and say how they ended."""
    ends = await asyncio.gather(*(execute(client.link, VIEWER) for _ in range(count)), return_exceptions=True)
    while client.running:  # noqa: ASYNC110 - the recipe keeps nothing that one could wait for
        await asyncio.sleep(0.01)
    words = (
        ("refused" if "errors" in end else "answered") if isinstance(end, dict) else type(end).__name__ for end in ends
    )
    return ", ".join(f"{count} {end}" for end, count in Counter(words).items())


async def run(server: AuthServer, recipe: type[AsPublished], unheard: list[object]) -> None:
    """Put new clients of one kind through the situations."""
    print(f"-- {recipe.__name__}")
    for situation, (seconds_left, prepare) in SITUATIONS.items():
        client = recipe(server, is_opaque="unreadable" in situation)
        AsPublished.now += timedelta(seconds=LIFE - seconds_left)
        prepare(server, client.user)
        known = len(server.ledger.refresh_tries)
        async with client.link, client.session or nullcontext():
            ends = f"{await outcomes(client, 5 if 'five' in situation else 1)}, then {await outcomes(client, 1)}"
            if client.session:
                await client.session.refresh()  # to see how the one beside them ends
        gc.collect()  # after that asyncio has told of failures that nobody heard of
        tries = (TOLD.get(a_try.why, a_try.why) for a_try in server.ledger.refresh_tries[known:])
        refreshes = ", ".join(f"{count} {how}" for how, count in Counter(tries).items()) or "none"
        print(f"{situation:25} {ends}; refreshes: {refreshes}; failures unheard of: {len(unheard)}")
        server.faults.clear()
        unheard.clear()


async def main() -> None:
    """Run the recipe, and the two that do better."""
    unheard: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: unheard.append(context["message"]))
    clock = partial(getattr, AsPublished, "now")
    async with AuthServer(token_life=LIFE, refresh_life=1e6, clock=lambda: clock().timestamp(), now=clock) as server:
        for recipe in (AsPublished, Cured, WithSession):
            await run(server, recipe, unheard)


if __name__ == "__main__":
    asyncio.run(main())
