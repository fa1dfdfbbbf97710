"""`PersistedQueryLink`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from graphql import DocumentNode, OperationDefinitionNode
from hypothesis import strategies as st

from rxlink import ApolloLink
from rxlink.links.persisted_queries import PersistedQueryLink
from tests.oracle.registry import Builder, Options
from tests.oracle.vocabulary import Predicate, ScriptedError, asker, later
from tests.oracle.world import World

__all__ = ["BUILDERS", "MIDDLE"]


def _persisted_queries(options: Options, world: World) -> ApolloLink:
    named: dict[str, Any] = {name: _asking(options[name]) for name in ("disable", "retry") if name in options}
    if "useGETForHashedQueries" in options:
        named["use_get_for_hashed_queries"] = options["useGETForHashedQueries"]
    return PersistedQueryLink(**named, **_hash(options.get("hash", "sha256"), options.get("after")))


def _hash(kind: str, after: float | None) -> dict[str, Any]:
    if kind == "name":
        return {"generate_hash": _name_hash}
    if kind == "throws":
        return {"sha256": _no_hash}
    return {} if after is None else {"sha256": lambda text: later(after, lambda: _sha256(text))}


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _name_hash(document: DocumentNode) -> str:
    definition = document.definitions[0]
    assert isinstance(definition, OperationDefinitionNode)
    assert definition.name is not None
    return f"hash of {definition.name.value}"


def _no_hash(text: str) -> str:
    raise ScriptedError("no hash")


def _asking(predicate: Predicate) -> Callable[[Any], Any]:
    ask = asker(predicate)
    return lambda options: ask(error=options.error, operation=options.operation)


BUILDERS: dict[str, Builder] = {"persisted-queries": _persisted_queries}

MIDDLE: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "persisted-queries": st.sampled_from([{}, {"hash": "name"}, {"after": 3}, {"useGETForHashedQueries": True}])
}
