"""`SchemaLink` on the one schema of the scenarios; its resolvers are those of `js/links.mjs`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graphql import GraphQLResolveInfo, build_schema

from rxlink import ApolloLink
from rxlink.core.operation import Operation
from rxlink.transport.schema import SchemaLink
from tests.oracle.registry import Builder, Options
from tests.oracle.vocabulary import ScriptedError, later
from tests.oracle.world import World

__all__ = ["BUILDERS"]

SCHEMA = build_schema((Path(__file__).parent.parent / "schema.graphql").read_text())


def _schema(options: Options, world: World) -> ApolloLink:
    return SchemaLink(
        SCHEMA, root_value=_Root(), context=_context(options.get("context")), validate=options.get("validate", False)
    )


def _context(context: Any) -> Any:
    if context is None or "value" in context:
        return None if context is None else context["value"]

    def make(operation: Operation) -> Any:
        if "throws" in context:
            raise ScriptedError(context["throws"])
        value = {"operation": operation.operation_name}
        return later(context["after"], lambda: value) if "after" in context else value

    return make


class _Root:
    """The resolvers of the root fields."""

    user = {"name": "Ada", "friend": {"name": "Grace", "friend": None}}  # noqa: RUF012 - only read

    def __init__(self) -> None:
        self._total = 0

    def hello(self, info: GraphQLResolveInfo, name: str | None = None) -> str:
        return f"hello {name or 'you'}"

    async def later(self, info: GraphQLResolveInfo, ms: int, fails: bool = False) -> str:
        def answer() -> str:
            if fails:
                raise ScriptedError("late failure")
            return "at last"

        return await later(ms, answer)

    def fail(self, info: GraphQLResolveInfo, message: str) -> str:
        raise ScriptedError(message)

    def required(self, info: GraphQLResolveInfo) -> None:
        return None

    def sum(self, info: GraphQLResolveInfo, points: list[dict[str, Any]]) -> int:
        return _sum(points)

    def fromContext(self, info: GraphQLResolveInfo, key: str) -> Any:  # noqa: N802 - the schema's word
        return (info.context or {}).get(key)

    def bump(self, info: GraphQLResolveInfo, by: int = 1) -> int:
        self._total += by
        return self._total


def _sum(points: list[dict[str, Any]]) -> int:
    return sum(point["x"] + (point.get("y") or 0) + _sum(point.get("inner") or []) for point in points)


BUILDERS: dict[str, Builder] = {"schema": _schema}
