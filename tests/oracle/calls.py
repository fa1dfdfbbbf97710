"""Calls of a client over a chain; `js/calls.mjs` does the same with Apollo's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reactivex import Observable

from rxlink import ApolloLink, Client, GraphQLRequest, OperationResult
from tests.oracle.spelling import context_of, snake_keys
from tests.oracle.vocabulary import describe_error

__all__ = ["call", "described"]


def call(
    chain: ApolloLink, client_options: Mapping[str, Any] | None, asked: Mapping[str, Any], request: GraphQLRequest
) -> Observable[Any]:
    """Return what a client's call returns.

    Args:
        chain: The chain of the client.
        client_options: Its other options, in Apollo's spelling.
        asked: The `method`, and options of the call, in Apollo's spelling.
        request: What the operation of the scenario says.
    """
    options = client_options or {}
    client = Client(
        chain,
        default_options={kind: snake_keys(given) for kind, given in options.get("defaultOptions", {}).items()},
        default_context=context_of(options.get("defaultContext")),
    )
    given = {"context": request.context, "extensions": request.extensions, **snake_keys(asked)}
    return getattr(client, given.pop("method"))(request.query, request.variables, **given)


def described(value: Any) -> Any:
    """Return a result as it stands in a trace: that of a client with its error, any other as it is."""
    if not isinstance(value, OperationResult):
        return value
    shown = {"data": value.data, "extensions": value.extensions, "error": value.error and describe_error(value.error)}
    return {name: part for name, part in shown.items() if name == "data" or part is not None}
