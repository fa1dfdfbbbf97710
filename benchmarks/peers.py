"""What other Python clients do when ten operations meet a token that is no longer accepted.

``python -m benchmarks.peers`` asks each client that is installed; for all of them
``pip install "gql[aiohttp]==4.4.0" rath==4.1.2 certifi``. Nothing is timed. The server rotates refresh tokens and
revokes the session when one is used twice, as providers do.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from importlib.util import find_spec

import aiohttp

from rxlink import AuthLink, AuthSession, GraphQLRequest, TokenSet, execute, from_
from rxlink.errors import SessionEnded
from rxlink.testing.auth_server import AuthServer, Fault, TokenPair
from rxlink.transport.http import HttpLink

OPERATIONS = 10
SECONDS_UNTIL_HANGING = 3.0
ECHO = "query Echo($value: String!) { echo(value: $value) }"

Send = Callable[[str], Awaitable[object]]


@dataclass
class Case:
    """One way in which refreshing can go."""

    title: str
    prepare: Callable[[AuthServer], None]


CASES = (
    Case("the refresh works", lambda server: None),
    Case("the refresh answers 503 once", lambda server: server.faults.add(Fault.status(503), on="refresh", times=1)),
    Case(
        "the refresh token is dead", lambda server: server.faults.add(Fault.invalid_grant(), on="refresh", times=None)
    ),
)


async def _new_pair(server: AuthServer, session: aiohttp.ClientSession, refresh_token: str) -> dict[str, str]:
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    async with session.post(server.token_url, data=form) as response:
        response.raise_for_status()
        return await response.json()


@asynccontextmanager
async def rxlink(server: AuthServer, pair: TokenPair) -> AsyncGenerator[Send]:
    """AuthLink over an AuthSession."""
    async with aiohttp.ClientSession() as http:

        async def refresh(tokens: TokenSet | None, reason: str) -> TokenSet:
            assert tokens is not None
            try:
                fresh = await _new_pair(server, http, tokens.refresh_token or "")
            except aiohttp.ClientResponseError as error:
                if error.status == HTTPStatus.BAD_REQUEST:  # invalid_grant
                    raise SessionEnded from error
                raise
            return TokenSet(fresh["access_token"], fresh["refresh_token"])

        session = AuthSession(
            refresh=refresh,
            tokens=TokenSet(pair.access_token, pair.refresh_token),
            refresh_timeout=SECONDS_UNTIL_HANGING / 2,
        )
        async with from_([AuthLink(session), HttpLink(server.url)]) as link:

            async def send(value: str) -> object:
                result = await execute(link, GraphQLRequest(ECHO, {"value": value}))
                return result["data"]["echo"]

            yield send
        await session.aclose()


@asynccontextmanager
async def gql(server: AuthServer, pair: TokenPair) -> AsyncGenerator[Send]:
    """Gql has no refresh: its headers are a value given once."""
    from gql import Client
    from gql import gql as parse
    from gql.transport.aiohttp import AIOHTTPTransport

    headers = {"authorization": f"Bearer {pair.access_token}"}
    async with Client(transport=AIOHTTPTransport(server.url, headers=headers, ssl=False)) as session:

        async def send(value: str) -> object:
            request = parse(ECHO)
            request.variable_values = {"value": value}
            return (await session.execute(request))["echo"]

        yield send


@asynccontextmanager
async def rath(server: AuthServer, pair: TokenPair) -> AsyncGenerator[Send]:
    """Rath's ComposedAuthLink, with a loader and a refresher."""
    from rath.links.aiohttp import AIOHttpLink
    from rath.links.auth import ComposedAuthLink
    from rath.links.compose import compose
    from rath.rath import Rath

    tokens = {"access_token": pair.access_token, "refresh_token": pair.refresh_token or ""}
    async with aiohttp.ClientSession() as http:

        async def load() -> str:
            return tokens["access_token"]

        async def refresh() -> str:
            tokens.update(await _new_pair(server, http, tokens["refresh_token"]))
            return tokens["access_token"]

        transport = AIOHttpLink(endpoint_url=server.url, auth_errors=[HTTPStatus.UNAUTHORIZED])
        async with Rath(
            link=compose(ComposedAuthLink(token_loader=load, token_refresher=refresh), transport)
        ) as client:

            async def send(value: str) -> object:
                return (await client.aquery(ECHO, {"value": value})).data["echo"]

            yield send


@asynccontextmanager
async def hand_made_lock(server: AuthServer, pair: TokenPair) -> AsyncGenerator[Send]:
    """The usual code around aiohttp: a lock, and the token compared under it."""
    tokens = {"access_token": pair.access_token, "refresh_token": pair.refresh_token or ""}
    lock = asyncio.Lock()
    async with aiohttp.ClientSession() as http:

        async def post(value: str, token: str) -> tuple[int, dict[str, object]]:
            body = {"query": ECHO, "variables": {"value": value}}
            headers = {"authorization": f"Bearer {token}"}
            async with http.post(server.url, json=body, headers=headers) as response:
                return response.status, json.loads(await response.read())

        async def send(value: str) -> object:
            token = tokens["access_token"]
            status, result = await post(value, token)
            if status == HTTPStatus.UNAUTHORIZED:
                async with lock:
                    if tokens["access_token"] == token:
                        tokens.update(await _new_pair(server, http, tokens["refresh_token"]))
                status, result = await post(value, tokens["access_token"])
            return result["data"]["echo"]

        yield send


CLIENTS = {"rxlink": rxlink, "hand-made lock": hand_made_lock, "gql": gql, "rath": rath}
MODULES = {"gql": "gql", "rath": "rath"}


async def ask(client: Callable[[AuthServer, TokenPair], object], case: Case) -> tuple[int, int, int, int]:
    """Run one case: operations with their own result, with an error, without an end; and tries to refresh."""
    async with AuthServer(token_life=600, unauthenticated="status") as server:
        pair = server.sign_in("ada")
        server.revoke_access("ada")
        case.prepare(server)
        async with client(server, pair) as send:
            tasks = [asyncio.create_task(send(str(number))) for number in range(OPERATIONS)]
            _, hanging = await asyncio.wait(tasks, timeout=SECONDS_UNTIL_HANGING)
            for task in hanging:
                task.cancel()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
        right = sum(answer == str(number) for number, answer in enumerate(answers))
        return right, OPERATIONS - right - len(hanging), len(hanging), len(server.ledger.refresh_tries)


async def main() -> None:
    """Print the table."""
    logging.disable()
    print(f"{OPERATIONS} operations at once, their token no longer accepted\n")
    print(f"{'client':16}{'case':32}{'results':>8}{'errors':>8}{'hanging':>8}{'refresh tries':>15}")
    for name, client in CLIENTS.items():
        if name in MODULES and find_spec(MODULES[name]) is None:
            print(f"{name:16}not installed")
            continue
        for case in CASES:
            print(f"{name:16}{case.title:32}{{:8}}{{:8}}{{:8}}{{:15}}".format(*await ask(client, case)))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
