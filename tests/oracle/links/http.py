"""`HttpLink`, over the scripted server."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from rxlink import ApolloLink, Defer20220824Handler, GraphQL17Alpha9Handler, HttpLink
from rxlink.core.operation import Operation
from rxlink.incremental.handlers import IncrementalHandler
from tests.oracle.registry import Builder, Options
from tests.oracle.spelling import snake_keys
from tests.oracle.world import World

__all__ = ["BUILDERS", "ENDS", "HANDLERS", "UNAWARE", "http_options", "uri_of"]

UNAWARE = {"clientAwareness": {"transport": False}, "enhancedClientAwareness": {"transport": False}}
"""The options with which HttpLink is Apollo's BaseHttpLink."""
HANDLERS: dict[str, IncrementalHandler] = {
    "defer20220824": Defer20220824Handler(),
    "graphql17Alpha9": GraphQL17Alpha9Handler(),
}
"""The handlers of incremental results by the words of a scenario, in which they have Apollo's names."""
DEFAULT_URI = "http://server.test/graphql"


def uri_of(options: Options) -> str | Callable[[Operation], str]:
    """Return a scenario's `uri`: an address, or a function where it says which operation goes where."""
    uri = options.get("uri", DEFAULT_URI)
    if isinstance(uri, str):
        return uri
    by_operation = uri["byOperation"]
    return lambda operation: by_operation.get(operation.operation_name, DEFAULT_URI)


def http_options(options: Options, world: World) -> dict[str, Any]:
    """Return the options of a link over HTTP as rxlink spells them.

    There is no timeout, as Apollo has none.
    """
    named = snake_keys({name: value for name, value in options.items() if name not in ("uri", "print")})
    if options.get("print") == "compact":
        named["print"] = lambda document, printer: re.sub(r"\s+", " ", printer(document))
    return {**named, "session": world.session, "timeout": None}


def _http(options: Options, world: World) -> ApolloLink:
    named = http_options({name: value for name, value in options.items() if name != "incremental"}, world)
    handler = HANDLERS[options["incremental"]] if "incremental" in options else None
    return HttpLink(uri_of(options), **named, idle_timeout=None, incremental_handler=handler)


def _base_http(options: Options, world: World) -> ApolloLink:
    return _http({**options, **UNAWARE}, world)


BUILDERS: dict[str, Builder] = {"http": _http, "base-http": _base_http}

ENDS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "http": st.sampled_from(
        [{}, {"headers": {"X-Link": "1"}}, {"includeExtensions": False}, {"incremental": "defer20220824"}]
    ),
    "base-http": st.just({}),
}
