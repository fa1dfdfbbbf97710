"""`SetContextLink` and `set_context`."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from rxlink import ApolloLink, SetContextLink, set_context
from rxlink.core.operation import Context, Operation
from tests.oracle.registry import Builder, Options
from tests.oracle.spelling import context_of
from tests.oracle.vocabulary import ScriptedError, asker, counter, later, numbered
from tests.oracle.world import World

__all__ = ["BUILDERS", "MIDDLE"]


def _context(options: Options, world: World) -> ApolloLink:
    ask = asker(options.get("when", ["always"]))
    setter = _Setter(options)

    def update(previous: Context, operation: Operation) -> Any:
        return setter(previous, operation) if ask(operation=operation) else {}

    return (
        set_context(lambda operation, previous: update(previous, operation))
        if options.get("legacy")
        else (SetContextLink(update))
    )


class _Setter:
    """What a scenario says of a setter: `set`, `merge`, `after`, `throws`, `rejects`."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._count = counter()

    def __call__(self, previous: Context, operation: Operation) -> Any:
        options = self._options
        if "rejects" in options:
            return later(options.get("after", 0), lambda: _raise(options["rejects"]))
        n = self._count(operation)
        if "after" in options:
            return later(options["after"], lambda: self._decide(previous, n))
        return self._decide(previous, n)

    def _decide(self, previous: Context, n: int) -> Any:
        options = self._options
        if "throws" in options:
            _raise(options["throws"])
        if "set" in options and options["set"] is None:
            return None
        update = context_of(numbered(options.get("set", {}), n)) or {}
        for key, values in options.get("merge", {}).items():
            update[key] = {**previous.get(key, {}), **numbered(values, n)}
        return update


def _raise(message: str) -> None:
    raise ScriptedError(message)


BUILDERS: dict[str, Builder] = {"context": _context}

_WHAT: list[dict[str, Any]] = [
    {"merge": {"headers": {"authorization": "Bearer {n}"}}},
    {"set": {"headers": {"x-set": "1"}}},
    {"set": None},
    {"throws": "no token"},
    {"set": {"uri": "http://other.test/"}},
]
_HOW: list[dict[str, Any]] = [
    {},
    {"after": 4},
    {"legacy": True},
    {"when": ["operation-is", "A"]},
    {"rejects": "no", "after": 2},
]

MIDDLE: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "context": st.sampled_from([{**what, **how} for what in _WHAT for how in _HOW])
}
