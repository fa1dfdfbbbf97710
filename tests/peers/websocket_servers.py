"""Strawberry and Ariadne over WebSocket, each on a port of its own; speaks as `websocket_servers.cjs` does.

Runs in an environment of its own, made from `requirements.txt`: rxlink is not in it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import strawberry
import uvicorn
from aiohttp import web
from ariadne import MutationType, ObjectType, QueryType, SubscriptionType, make_executable_schema
from ariadne.asgi import GraphQL
from ariadne.asgi.handlers import GraphQLTransportWSHandler, GraphQLWSHandler
from graphql import GraphQLError
from strawberry.aiohttp.views import GraphQLView

HOST = "127.0.0.1"
PERIOD = 0.01  # seconds between ticks
LISTENERS: Counter[str] = Counter()

Stop = Callable[[], Awaitable[None]]


def fail() -> Any:
    raise GraphQLError("on purpose", extensions={"code": "ON_PURPOSE"})


def value_of(number: int) -> int:
    return fail() if number == 2 else number


async def count_to(to: int, milliseconds: int = 0) -> AsyncGenerator[int, None]:
    for number in range(1, to + 1):
        await asyncio.sleep(milliseconds / 1000)
        yield number


async def tick(key: str) -> AsyncGenerator[int, None]:
    LISTENERS[key] += 1
    try:
        number = 0
        while True:
            yield (number := number + 1)
            await asyncio.sleep(PERIOD)
    finally:
        LISTENERS[key] -= 1


async def refuse() -> AsyncGenerator[int, None]:
    yield fail()


async def break_off() -> AsyncGenerator[int, None]:
    yield 1
    fail()


@strawberry.type
class Number:
    number: strawberry.Private[int]

    @strawberry.field
    def value(self) -> int:
        return value_of(self.number)


@strawberry.type
class Query:
    @strawberry.field
    def hello(self, name: str = "world") -> str:
        return f"hello {name}"


@strawberry.type
class Mutation:
    @strawberry.mutation
    def reverse(self, text: str) -> str:
        return text[::-1]


@strawberry.type
class Subscription:
    count = strawberry.subscription(resolver=count_to)
    ticks = strawberry.subscription(resolver=tick)
    refused = strawberry.subscription(resolver=refuse)
    breaking = strawberry.subscription(resolver=break_off)

    @strawberry.subscription
    async def stumbling(self) -> AsyncGenerator[Number | None, None]:
        for number in (1, 2, 3):
            yield Number(number=number)


async def start_strawberry(port: int) -> tuple[int, Stop]:
    app = web.Application()
    app.router.add_route("*", "/graphql", GraphQLView(strawberry.Schema(Query, Mutation, Subscription)))
    return await serve(app, port)


async def serve(app: web.Application, port: int) -> tuple[int, Stop]:
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, HOST, port).start()
    return runner.addresses[0][1], runner.cleanup


def ariadne_schema() -> Any:
    query, mutation, subscription, number = QueryType(), MutationType(), SubscriptionType(), ObjectType("Number")
    query.set_field("hello", lambda *_, name: f"hello {name}")
    mutation.set_field("reverse", lambda *_, text: text[::-1])
    number.set_field("value", lambda event, _: value_of(event))
    for field in ("count", "ticks", "refused", "stumbling", "breaking"):
        subscription.set_field(field, lambda event, *_, **__: event)
    subscription.set_source("count", lambda *_, to, milliseconds: count_to(to, milliseconds))
    subscription.set_source("ticks", lambda *_, key: tick(key))
    subscription.set_source("refused", lambda *_: fail())
    subscription.set_source("stumbling", lambda *_: count_to(3))
    subscription.set_source("breaking", lambda *_: break_off())
    text = Path(__file__).with_name("websocket.graphql").read_text(encoding="utf-8")
    return make_executable_schema(text, query, mutation, subscription, number)


async def start_ariadne(port: int) -> tuple[int, Stop]:
    """Start it with a handler for each protocol; at `/default` there is the one that it has when nothing is said."""
    schema = ariadne_schema()
    new = GraphQL(schema, websocket_handler=GraphQLTransportWSHandler())
    legacy = GraphQL(schema, websocket_handler=GraphQLWSHandler())
    default = GraphQL(schema)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        offered = scope.get("subprotocols", ())
        chosen = default if scope["path"] == "/default" else new if "graphql-transport-ws" in offered else legacy
        await chosen(scope, receive, send)

    config = uvicorn.Config(app, host=HOST, port=port, lifespan="off", log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event
        await asyncio.sleep(0.001)

    async def stop() -> None:
        server.should_exit = True
        await serving

    return server.servers[0].sockets[0].getsockname()[1], stop


STARTS = {"strawberry": start_strawberry, "ariadne": start_ariadne}


async def start_control(port: int, stops: dict[str, tuple[int, Stop]]) -> tuple[int, Stop]:
    """Serve what the tests ask: who listens, to restart a server, and to die."""

    async def listeners(request: web.Request) -> web.Response:
        return web.json_response(LISTENERS[request.query["key"]])

    async def restart(request: web.Request) -> web.Response:
        name = request.query["name"]
        port, stop = stops[name]
        await stop()
        await asyncio.sleep(float(request.query["down"]) / 1000)
        stops[name] = await STARTS[name](port)
        return web.json_response(data=True)

    async def die(request: web.Request) -> web.Response:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    app = web.Application()
    app.add_routes([web.get("/listeners", listeners), web.get("/restart", restart), web.get("/die", die)])
    return await serve(app, port)


async def main(ports: Mapping[str, int]) -> None:
    logging.disable()
    stops = {name: await start(ports.get(name, 0)) for name, start in STARTS.items()}
    control = await start_control(ports.get("control", 0), stops)
    addresses = {name: f"http://{HOST}:{port}" for name, (port, _) in {**stops, "control": control}.items()}
    print(json.dumps(addresses), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    os._exit(0)  # servers of others may take their time


asyncio.run(main(json.loads(sys.argv[1] if len(sys.argv) > 1 else "{}")))
