"""``rxlink schema``: ask an endpoint for its schema, and print it."""

from __future__ import annotations

import argparse
from collections.abc import Coroutine
from typing import Any, cast

from graphql import build_client_schema, get_introspection_query, print_schema

from rxlink.commands.failures import FAILED, CommandFailed, errors_line, result_of
from rxlink.commands.output import Output, say
from rxlink.commands.query import answer_to
from rxlink.commands.running import Setting, run, setting_of
from rxlink.commands.sources import Sources
from rxlink.commands.time_limit import TimeLimit, time_limit
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest
from rxlink.core.result import FetchResult
from rxlink.errors import CombinedGraphQLErrors, ServerError

__all__ = ["schema"]


def schema(options: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    return run(lambda: _prepared(options))


def _prepared(options: argparse.Namespace) -> Coroutine[Any, Any, int]:
    return _run(setting_of(options, Sources()), Output(options.output), is_json=options.json)


async def _run(setting: Setting, output: Output, *, is_json: bool) -> int:
    async with (
        time_limit(setting.connection.timeout) as limit,
        setting.opened("the schema", output, limit) as (link, waiting),
    ):
        result = await _introspected(link, limit)
        limit.lift()
        waiting.end()
        errors, data = result.get("errors"), result.get("data")
        if errors or not isinstance(data, dict):
            output.write_json(result)
            say(errors_line(errors) if errors else "the answer has no schema in it")
            return FAILED
        found = cast("dict[str, Any]", data)
        if is_json:
            output.write_json(found)
        else:
            output.write_text(_language_of(found))
        return 0


async def _introspected(link: ApolloLink, limit: TimeLimit) -> FetchResult:
    """Ask for all that there is to know; a server that does not know such questions, for what all know."""
    try:
        result = await answer_to(GraphQLRequest(_introspection(is_full=True)), link, limit)
    except (CombinedGraphQLErrors, ServerError) as error:
        if result_of(error) is None:
            raise
    else:
        if result.get("data") or not result.get("errors"):
            return result
    return await answer_to(GraphQLRequest(_introspection(is_full=False)), link, limit)


def _introspection(*, is_full: bool) -> str:
    return get_introspection_query(
        specified_by_url=is_full,
        directive_is_repeatable=is_full,
        schema_description=is_full,
        input_value_deprecation=is_full,
    )


def _language_of(data: dict[str, Any]) -> str:
    try:
        return print_schema(build_client_schema(data))  # pyright: ignore[reportArgumentType] - any JSON
    except Exception as error:
        shown = str(error).partition(": {")[0]  # behind it stands the whole answer
        raise CommandFailed(f"the answer is no schema: {shown}") from error
