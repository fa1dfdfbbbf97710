"""Every link of the scenarios by its word: the `BUILDERS` of all modules in `links/`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from rxlink import ApolloLink, from_
from tests.oracle.world import World

__all__ = ["Builder", "Options", "UnknownLink", "builders", "chain_of", "link_of"]

Options: TypeAlias = Mapping[str, Any]
Builder: TypeAlias = Callable[[Options, World], ApolloLink]

LINKS = Path(__file__).parent / "links"
_builders: dict[str, Builder] = {}


class UnknownLink(Exception):
    """No module in `links/` makes this link."""


def builders() -> Mapping[str, Builder]:
    """Return what makes each link, by the link's word."""
    if not _builders:
        for path in sorted(LINKS.glob("*.py")):
            _builders.update(importlib.import_module(f"tests.oracle.links.{path.stem}").BUILDERS)
    return _builders


def chain_of(specs: Sequence[Options], world: World) -> ApolloLink:
    """Make a chain of a scenario's list of links."""
    return from_([link_of(spec, world) for spec in specs])


def link_of(spec: Options, world: World) -> ApolloLink:
    """Make one link."""
    word = spec["link"]
    if word not in builders():
        raise UnknownLink(f"no module in tests/oracle/links makes {word!r}")
    return builders()[word]({name: value for name, value in spec.items() if name != "link"}, world)
