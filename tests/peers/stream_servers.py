"""Strawberry, which answers in pieces by multipart and by SSE; speaks as `stream_resolvers.mjs` does.

Runs in an environment of its own, made from `requirements.txt`: rxlink is not in it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Iterable
from typing import Any, TypeVar

import strawberry
from accounts import Accounts
from aiohttp import web
from aiohttp.typedefs import Handler
from graphql import GraphQLError
from strawberry.aiohttp.views import GraphQLView
from strawberry.schema.config import StrawberryConfig
from strawberry.types import Info
from stream_views import PROTOCOLS, BareView, LivelyView

HOST = "127.0.0.1"
PERIOD = 0.01  # seconds between ticks
NAMES = ("Ada", "Grace", "Joan")

Value = TypeVar("Value")


class Signal:
    """What waits until the tests say so: each release lets one go, now or when it comes."""

    def __init__(self) -> None:
        self.waiting = 0
        self._releases = asyncio.Semaphore(0)

    def release(self) -> bool:
        self._releases.release()
        return True

    async def wait(self) -> None:
        self.waiting += 1
        try:
            await self._releases.acquire()
        finally:
            self.waiting -= 1


LISTENERS: Counter[str] = Counter()
TICKS: Counter[str] = Counter()
ANSWERS: Counter[str] = Counter()
SIGNALS: defaultdict[str, Signal] = defaultdict(Signal)


ACCOUNTS = Accounts()


def fail() -> Any:
    raise GraphQLError("on purpose", extensions={"code": "ON_PURPOSE"})


def account_of(info: Info[Any, Any]) -> str:
    account = ACCOUNTS.account(info.context["request"].headers.get("authorization"))
    if account is None:
        raise GraphQLError("sign in", extensions={"code": "UNAUTHENTICATED"})
    return account


async def tick(key: str) -> AsyncGenerator[int, None]:
    LISTENERS[key] += 1
    try:
        number = 0
        while True:
            TICKS[key] = number = number + 1
            yield number
            await asyncio.sleep(PERIOD)
    finally:
        LISTENERS[key] -= 1


async def paced(values: Iterable[Value], key: str | None = None) -> AsyncGenerator[Value, None]:
    for number, value in enumerate(values):
        if number and key is not None:
            await SIGNALS[key].wait()
        yield value


async def wait_for(key: str) -> str:
    await SIGNALS[key].wait()
    return key


@strawberry.type
class Person:
    name: str

    @strawberry.field
    def email(self) -> str:
        return f"{self.name.lower()}@example.org"

    @strawberry.field
    def friends(self) -> list[Person]:
        return people_but(self.name)

    @strawberry.field
    async def visitors(self) -> strawberry.Streamable[Person]:
        async for visitor in paced(people_but(self.name)):
            yield visitor

    @strawberry.field
    async def signalled(self, key: str) -> str:
        return await wait_for(key)

    @strawberry.field
    def optional(self) -> str | None:
        return fail()

    @strawberry.field
    def required(self) -> str:
        return fail()


def people_but(but: str | None) -> list[Person]:
    return [Person(name=name) for name in NAMES if name != but]


@strawberry.type
class Number:
    number: strawberry.Private[int]

    @strawberry.field
    def value(self) -> int:
        return fail() if self.number == 2 else self.number


@strawberry.type
class Viewer:
    account: str


@strawberry.type
class Query:
    @strawberry.field
    def hello(self, name: str | None = "world") -> str:
        return f"hello {name}"

    @strawberry.field
    def person(self) -> Person:
        return Person(name=NAMES[0])

    @strawberry.field
    def people(self) -> list[Person]:
        return people_but(None)

    @strawberry.field
    async def visitors(self) -> strawberry.Streamable[Person]:
        async for visitor in paced(people_but(None)):
            yield visitor

    @strawberry.field
    async def letters(self, key: str | None = None) -> strawberry.Streamable[str]:
        async for letter in paced("abc", key):
            yield letter

    @strawberry.field
    async def numbers(self, key: str) -> strawberry.Streamable[int]:
        async for number in tick(key):
            yield number

    @strawberry.field
    async def signalled(self, key: str) -> str:
        return await wait_for(key)

    @strawberry.field
    def viewer(self, info: Info[Any, Any]) -> Viewer:
        return Viewer(account=account_of(info))


@strawberry.type
class Mutation:
    @strawberry.mutation
    def reverse(self, text: str) -> str:
        return text[::-1]


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, to: int, milliseconds: int = 0) -> AsyncGenerator[int, None]:
        for number in range(1, to + 1):
            await asyncio.sleep(milliseconds / 1000)
            yield number

    @strawberry.subscription
    def ticks(self, key: str) -> AsyncGenerator[int, None]:
        return tick(key)

    @strawberry.subscription
    def signals(self, key: str, to: int) -> AsyncGenerator[int, None]:
        return paced(range(1, to + 1), key)

    @strawberry.subscription
    async def refused(self) -> AsyncGenerator[int, None]:
        yield fail()

    @strawberry.subscription
    async def stumbling(self) -> AsyncGenerator[Number | None, None]:
        for number in (1, 2, 3):
            yield Number(number=number)

    @strawberry.subscription
    async def breaking(self) -> AsyncGenerator[int, None]:
        yield 1
        fail()

    @strawberry.subscription
    async def mine(self, info: Info[Any, Any]) -> AsyncGenerator[str, None]:
        yield account_of(info)


@web.middleware
async def count_answers(request: web.Request, handler: Handler) -> web.StreamResponse:
    ANSWERS["strawberry"] += 1
    try:
        return await handler(request)
    finally:
        ANSWERS["strawberry"] -= 1


async def serve(app: web.Application) -> tuple[str, web.AppRunner]:
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    return f"http://{HOST}:{runner.addresses[0][1]}", runner


async def start_strawberry() -> tuple[str, web.AppRunner]:
    config = StrawberryConfig(enable_experimental_incremental_execution=True)
    schema = strawberry.Schema(Query, Mutation, Subscription, config=config)
    app = web.Application(middlewares=[count_answers])
    for path, view in {"/graphql": GraphQLView, "/lively": LivelyView, "/bare": BareView}.items():
        app.router.add_route("*", path, view(schema, graphql_ide=None, subscription_protocols=PROTOCOLS))
    return await serve(app)


async def start_control(strawberry: web.AppRunner) -> str:
    """Serve what the tests ask: who listens or waits, what is answered, to cut that, to release, and for tokens."""

    def cut(name: str) -> bool:
        for connection in strawberry.server.connections:
            connection.transport.abort()
        return True

    controls = {
        "listeners": lambda key: LISTENERS[key],
        "ticks": lambda key: TICKS[key],
        "waiting": lambda key: SIGNALS[key].waiting,
        "answers": lambda name: ANSWERS[name],
        "cut": cut,
        "release": lambda key: SIGNALS[key].release(),
        "refresh": ACCOUNTS.refresh,
        "refreshes": lambda account: ACCOUNTS.refreshes[account],
    }

    async def control(request: web.Request) -> web.Response:
        return web.json_response(controls[request.match_info["what"]](**request.query))

    app = web.Application()
    app.router.add_get("/{what}", control)
    address, _ = await serve(app)
    return address


async def main() -> None:
    logging.disable()
    gc.disable()  # what becomes of a list that nobody hears any more is not left to the moment of a collection
    address, runner = await start_strawberry()
    print(json.dumps({"strawberry": address, "control": await start_control(runner)}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    os._exit(0)  # who still listens may take their time


asyncio.run(main())
