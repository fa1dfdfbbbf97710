"""`ClientAwarenessLink`."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from rxlink import ApolloLink
from rxlink.links.client_awareness import ClientAwarenessLink
from tests.oracle.registry import Builder, Options
from tests.oracle.spelling import snake_keys
from tests.oracle.world import World

__all__ = ["BUILDERS", "MIDDLE"]


def _client_awareness(options: Options, world: World) -> ApolloLink:
    return ClientAwarenessLink(**snake_keys(options))


BUILDERS: dict[str, Builder] = {"client-awareness": _client_awareness}

MIDDLE: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "client-awareness": st.sampled_from(
        [
            {},
            {"clientAwareness": {"name": "app", "version": "1"}},
            {"enhancedClientAwareness": {"transport": "headers"}},
        ]
    )
}
