"""`BatchLink` and `BatchHttpLink`; their interval is milliseconds in a scenario."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st
from reactivex import Observable

from rxlink import ApolloLink
from rxlink.core.operation import Operation
from rxlink.links.batch import BatchLink
from rxlink.transport.batch_http import BatchHttpLink
from tests.oracle.actions import answered
from tests.oracle.links.http import UNAWARE, http_options, uri_of
from tests.oracle.registry import Builder, Options
from tests.oracle.spelling import snake_case
from tests.oracle.vocabulary import ScriptedError, counter
from tests.oracle.world import World

__all__ = ["BUILDERS", "ENDS"]

BATCHING = ("batchInterval", "batchMax", "batchDebounce", "batchKey", "batchHandler")


def _batch(options: Options, world: World) -> ApolloLink:
    return BatchLink(**_batch_options(options), batch_handler=_handler(options["batchHandler"], world))


def _batch_http(options: Options, world: World) -> ApolloLink:
    rest = {name: value for name, value in options.items() if name not in BATCHING}
    return BatchHttpLink(uri_of(options), **_batch_options(options), **http_options(rest, world))


def _base_batch_http(options: Options, world: World) -> ApolloLink:
    return _batch_http({**options, **UNAWARE}, world)


def _batch_options(options: Options) -> dict[str, Any]:
    named = {snake_case(name): options[name] for name in BATCHING if name in options and name != "batchHandler"}
    if "batch_interval" in named:
        named["batch_interval"] /= 1000
    if "batch_key" in named:
        named["batch_key"] = _key(named["batch_key"])
    return named


def _key(key: str) -> Callable[[Operation], str]:
    if key == "operation-name":
        return lambda operation: operation.operation_name or ""
    return lambda operation: str(operation.get_context().get(key, ""))


def _handler(options: Options, world: World) -> Callable[..., Observable[Any]]:
    """Answer as the scenario says; who was in the batch is noted."""
    count = counter()

    def handle(operations: Sequence[Operation], forwards: Sequence[Any]) -> Observable[Any]:
        names = [operation.operation_name or "" for operation in operations]
        for name in names:
            world.note_for(world.owner(name), "batch", members=names)
        if "throws" in options:
            raise ScriptedError(options["throws"])
        echo = [{"data": {"echo": name}} for name in names]
        values = [[after, echo if value == "echo" else value] for after, value in options.get("answers", [])]
        return answered({**options, "values": values}, count(operations[0]))

    return handle


BUILDERS: dict[str, Builder] = {"batch": _batch, "batch-http": _batch_http, "base-batch-http": _base_batch_http}

# Long enough that in most scenarios no batch waits while another one ends: there Apollo sends it early.
_INTERVAL = 50

ENDS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "batch": st.sampled_from(
        [
            {"batchHandler": {"answers": [[0, "echo"]]}},
            {"batchHandler": {"answers": [[3, "echo"]], "error": "late"}},
            {"batchHandler": {"after": 2, "error": "broken"}},
            {"batchHandler": {"answers": [[3, "echo"]]}, "batchKey": "operation-name"},
        ]
    ).map(lambda options: {"batchInterval": _INTERVAL, **options}),
    "batch-http": st.just({"batchInterval": _INTERVAL}),
}
