"""`ErrorLink`, whose handler is a list of rules."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from rxlink import ApolloLink, ErrorLink
from rxlink.links.error import ErrorResponse
from tests.oracle.actions import ACTIONS, Call
from tests.oracle.registry import Builder, Options
from tests.oracle.vocabulary import asker, counter, describe_error
from tests.oracle.world import World

__all__ = ["BUILDERS", "MIDDLE"]


def _error(options: Options, world: World) -> ApolloLink:
    """The first rule whose predicate holds decides; none lets the error pass."""
    rules = [(rule, asker(rule.get("when", ["always"]))) for rule in options["handler"]]
    count = counter()

    def handle(response: ErrorResponse) -> Any:
        operation = response.operation
        world.note_for(world.owner(operation.operation_name), "handler", error=describe_error(response.error))
        for rule, ask in rules:
            if ask(error=response.error, operation=operation):
                if rule["do"] == "pass":
                    return None
                return ACTIONS[rule["do"]](Call(rule, operation, response.forward, count(operation)))
        return None

    return ErrorLink(handle)


BUILDERS: dict[str, Builder] = {"error": _error}

_ACTIONS: list[dict[str, Any]] = [
    {"do": "pass"},
    {"do": "forward"},
    {"do": "wait-and-forward", "after": 5, "header": "authorization", "value": "Bearer {n}"},
    {"do": "answer", "values": [[0, {"data": "instead"}], [3, {"data": "later"}]]},
    {"do": "fail", "message": "translated"},
    {"do": "empty"},
]
_WHEN = [["always"], ["first", 1], ["status-is", 401], ["code-is", "UNAUTHENTICATED"], ["operation-is", "A"]]
_RULES = st.lists(st.sampled_from([{"when": when, **action} for when in _WHEN for action in _ACTIONS]), max_size=2)

MIDDLE: dict[str, st.SearchStrategy[dict[str, Any]]] = {"error": st.builds(lambda rules: {"handler": rules}, _RULES)}
