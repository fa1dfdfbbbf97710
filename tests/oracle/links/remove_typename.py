"""`RemoveTypenameFromVariablesLink`, with `"KEEP"` in a scenario."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from rxlink import ApolloLink
from rxlink.links.remove_typename import KEEP, RemoveTypenameFromVariablesLink
from tests.oracle.registry import Builder, Options
from tests.oracle.world import World

__all__ = ["BUILDERS", "MIDDLE"]


def _remove_typename(options: Options, world: World) -> ApolloLink:
    if "except" not in options:
        return RemoveTypenameFromVariablesLink()
    return RemoveTypenameFromVariablesLink(except_=_keeping(options["except"]))


def _keeping(value: Any) -> Any:
    if value == "KEEP":
        return KEEP
    return {name: _keeping(item) for name, item in value.items()} if isinstance(value, dict) else value


BUILDERS: dict[str, Builder] = {"remove-typename": _remove_typename}

MIDDLE: dict[str, st.SearchStrategy[dict[str, Any]]] = {"remove-typename": st.just({})}
