"""`GraphQLWsLink`, over the scripted server; its options are those of graphql-ws, in milliseconds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from rxlink import ApolloLink, GraphQLWsLink
from tests.oracle.registry import Builder, Options
from tests.oracle.spelling import snake_case
from tests.oracle.vocabulary import ScriptedError, Subject, holds, numbered
from tests.oracle.world import Owner, World

__all__ = ["BUILDERS"]

DEFAULT_URL = "wss://server.test/graphql"
DURATIONS = {"lazyCloseTimeout", "keepAlive", "keepAliveTimeout", "connectionAckWaitTimeout"}
NAMES = {"generateID": "generate_id"}
OFF = {"keepAlive", "connectionAckWaitTimeout"}
"""What is off by default there, and on here; 0 there is None here."""
NOBODY = Owner("", 0)


def _graphql_ws(options: Options, world: World) -> ApolloLink:
    given = {NAMES.get(name) or snake_case(name): _option(name, value, world) for name, value in options.items()}
    link = GraphQLWsLink(
        given.pop("url", DEFAULT_URL),
        **{**dict.fromkeys(map(snake_case, OFF)), **given},
        session=world.session,
        on_non_lazy_error=lambda error: world.note_for(NOBODY, "non-lazy", code=getattr(error, "code", None)),
    )
    if options.get("lazy") is False:
        world.at_start(link.__aenter__)
        world.at_end(link.aclose)  # nothing else ends its socket
    return link


def _option(name: str, value: Any, world: World) -> Any:
    if name in DURATIONS:
        return None if name in OFF and value == 0 else value / 1000
    if name in ("url", "connectionParams"):
        return _calling(value)
    make = MADE.get(name)
    if make is None:
        return value
    return _throwing(value["throws"]) if isinstance(value, Mapping) else make(value, world)


def _calling(value: Any) -> Any:
    """A value, or {"byCall": a value with the number of the call in it, "after", "throws"}."""
    if not isinstance(value, Mapping) or "byCall" not in value:
        return value
    calls = 0

    def make() -> Any:
        if "throws" in value:
            raise ScriptedError(value["throws"])
        return numbered(value["byCall"], calls)

    async def make_later() -> Any:
        await asyncio.sleep(value["after"] / 1000)
        return make()

    def call() -> Any:
        nonlocal calls
        calls += 1
        return make_later() if "after" in value else make()

    return call


def _throwing(message: str) -> Callable[[Any], Any]:
    def throw(_: Any) -> Any:
        raise ScriptedError(message)

    return throw


def _waiting(waits: list[float], world: World) -> Callable[[int], float]:
    """A list of milliseconds, one for each retry."""

    def wait(retries: int) -> float:
        world.note_for(world.latest_socket(), "ws-retry", retries=retries)
        return waits[min(retries, len(waits) - 1)] / 1000

    return wait


def _asking(predicate: list[Any], _: World) -> Callable[[Exception], bool]:
    calls = 0

    def ask(error: Exception) -> bool:
        nonlocal calls
        calls += 1
        return holds(predicate, Subject(None, error, calls))

    return ask


def _naming(_: str, __: World) -> Callable[[Mapping[str, Any]], str]:
    return lambda payload: f"own {payload['operationName']}"


MADE: Mapping[str, Callable[[Any, World], Any]] = {
    "retryWait": _waiting,
    "shouldRetry": _asking,
    "generateID": _naming,
}

BUILDERS: dict[str, Builder] = {"graphql-ws": _graphql_ws}
