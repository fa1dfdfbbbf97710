"""The GraphQL schema of an auth server: reading a request, and executing it with graphql-core."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
    StringValueNode,
    VariableNode,
    build_schema,
    execute_sync,  # pyright: ignore[reportUnknownVariableType] - graphql-core is partly untyped
    get_operation_ast,
    parse,
    validate,
)

__all__ = ["AuthSchema", "GraphQLCall", "MalformedRequest", "Resolver"]

Resolver = Callable[..., Any]

_KEPT_DOCUMENTS = 256

_SDL = '''
type Query {
  "Who the access token belongs to. Needs one."
  viewer: User!
  "The argument again, to see that each operation got its own result. Needs an access token."
  echo(value: String!): String!
  "Open to everybody."
  public: String!
}

type Mutation {
  "Any user with any password that is not empty."
  signIn(user: String!, password: String!): TokenPair!
  "Without an argument the token is taken from the cookie."
  refreshToken(refreshToken: String): TokenPair!
  "Counts the calls for each key. Needs an access token."
  increment(key: String!): Int!
  "Revokes every token of the session. Needs an access token."
  signOut: Boolean!
}

"Over WebSocket only. Each needs an access token."
type Subscription {
  """
  0, 1, 2 and so on, each so many seconds after the one before. The counter of a key and a period runs on the server,
  for all its subscribers: they hear the same number at the same time, and what nobody hears is lost.
  """
  ticks(every: Float!, key: String): Int!
  "From start down to 1, and then the end."
  countdown(start: Int!, every: Float! = 0.01): Int!
}

type User {
  id: ID!
  name: String!
}

type TokenPair {
  accessToken: String!
  refreshToken: String!
  "Seconds, with fractions."
  expiresIn: Float!
}
'''


class MalformedRequest(Exception):
    """A body that is no GraphQL request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphQLCall:
    """A GraphQL request as read: a valid document, or the errors that it earned.

    Attributes:
        query: The text as sent.
        document: The parsed and valid document; `None` if there are `errors`.
        errors: What is wrong with the text.
        operation_name: Name of the operation that is to run.
        variables: Its variables, which may hold secrets.
        is_subscription: Whether it is one.
        is_refresh: Whether `refreshToken` is among its root fields.
        refresh_token: The argument of that field.
    """

    query: str = field(repr=False)
    document: DocumentNode | None
    errors: list[GraphQLError] = field(default_factory=list[GraphQLError])
    operation_name: str | None = None
    variables: Mapping[str, Any] = field(repr=False)
    is_subscription: bool = False
    is_refresh: bool = False
    refresh_token: str | None = field(default=None, repr=False)


class AuthSchema:
    """The schema, and a cache of the documents that were checked against it."""

    def __init__(self) -> None:
        """Build the schema."""
        self._schema = build_schema(_SDL)
        self._checked: dict[str, DocumentNode | list[GraphQLError]] = {}

    def read(self, payload: object) -> GraphQLCall:
        """Return the request that a JSON body stands for.

        Raises:
            MalformedRequest: The body is no object with a text `query`, or a member has the wrong
                type.
        """
        query, operation_name, variables = _members(payload)
        checked = self._check(query)
        if isinstance(checked, list):
            return GraphQLCall(
                query=query,
                document=None,
                errors=checked,
                operation_name=operation_name,
                variables=variables,
            )
        operation = get_operation_ast(checked, operation_name)
        root_field = None if operation is None else _refresh_field(operation)
        return GraphQLCall(
            query=query,
            document=checked,
            operation_name=operation.name.value if operation and operation.name else operation_name,
            variables=variables,
            is_subscription=operation is not None and operation.operation is OperationType.SUBSCRIPTION,
            is_refresh=root_field is not None,
            refresh_token=None if root_field is None else _text_argument(root_field, variables),
        )

    def run(self, call: GraphQLCall, resolvers: Mapping[str, Resolver]) -> dict[str, Any]:
        """Execute a request and return its result as the wire's dict.

        Args:
            call: What `read` returned.
            resolvers: One function for each root field, called with the `info` and the field's
                arguments.
        """
        if call.document is None:
            return {"errors": [error.formatted for error in call.errors]}
        result = execute_sync(
            self._schema,
            call.document,
            root_value=resolvers,
            variable_values=dict(call.variables),
            operation_name=call.operation_name,
        )
        return cast("dict[str, Any]", result.formatted)

    def _check(self, query: str) -> DocumentNode | list[GraphQLError]:
        if query not in self._checked:
            if len(self._checked) >= _KEPT_DOCUMENTS:
                self._checked.clear()
            self._checked[query] = self._parse(query)
        return self._checked[query]

    def _parse(self, query: str) -> DocumentNode | list[GraphQLError]:
        try:
            document = parse(query)
        except GraphQLError as error:
            return [error]
        return validate(self._schema, document) or document


def _members(payload: object) -> tuple[str, str | None, Mapping[str, Any]]:
    if not isinstance(payload, dict):
        raise MalformedRequest("The body must be a JSON object.")
    members = cast("dict[str, object]", payload)
    query, operation_name = members.get("query"), members.get("operationName")
    variables: object = members.get("variables") or {}
    if not isinstance(query, str):
        raise MalformedRequest("'query' must be a text.")
    if operation_name is not None and not isinstance(operation_name, str):
        raise MalformedRequest("'operationName' must be a text or null.")
    if not isinstance(variables, dict):
        raise MalformedRequest("'variables' must be an object or null.")
    return query, operation_name, cast("dict[str, Any]", variables)


def _refresh_field(operation: OperationDefinitionNode) -> FieldNode | None:
    for selection in operation.selection_set.selections:
        if isinstance(selection, FieldNode) and selection.name.value == "refreshToken":
            return selection
    return None


def _text_argument(root_field: FieldNode, variables: Mapping[str, Any]) -> str | None:
    for argument in root_field.arguments or ():
        if isinstance(argument.value, StringValueNode):
            return argument.value.value
        if isinstance(argument.value, VariableNode):
            value = variables.get(argument.value.name.value)
            return value if isinstance(value, str) else None
    return None
