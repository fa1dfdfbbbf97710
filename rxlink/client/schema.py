"""Documents checked against a schema before they are sent: one that is given, read from a file, or introspected.

Ports: nothing of Apollo Client, whose users check documents when they build; ``Client(schema=...)`` of gql does this.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeAlias, cast
from weakref import WeakKeyDictionary

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    build_client_schema,
    build_schema,
    get_introspection_query,
    validate,
    validate_schema,
)

from rxlink.client.running import OperationRun
from rxlink.core.documents import Document, document_of, parse_with_places
from rxlink.core.observer import Observer
from rxlink.core.operation import GraphQLRequest, Operation
from rxlink.core.options import kind_of
from rxlink.core.result import FetchResult
from rxlink.core.subscription import Connect
from rxlink.errors import CombinedGraphQLErrors, InvariantError, InvariantTypeError

__all__ = ["INTROSPECT", "IntrospectedSchema", "KnownSchema", "Schema", "known_schema"]

INTROSPECT: Final = "__INTROSPECT"
"""Given as ``schema`` of a client, has it ask the server through the chain when the first operation runs."""

Schema: TypeAlias = "GraphQLSchema | str | os.PathLike[str]"
"""A schema, the path of a file with one (SDL, or the JSON of an introspection), or ``INTROSPECT``."""


class KnownSchema:
    """A schema, and which documents fit it: each is looked at once."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._reasons: WeakKeyDictionary[Document, str] = WeakKeyDictionary()

    def check(self, query: DocumentNode) -> None:
        """Refuse a document that does not fit.

        Raises:
            InvariantError: It does not; the message has each reason with line and column.
        """
        document = document_of(query)
        reasons = self._reasons.get(document)
        if reasons is None:
            reasons = self._reasons[document] = self._reasons_against(query, document)
        if reasons:
            raise InvariantError(f"the document does not fit the schema: {reasons}")

    def _reasons_against(self, query: DocumentNode, document: Document) -> str:
        errors = validate(self._schema, query)
        if any(not error.locations for error in errors):
            # Parsed by somebody who did not keep them: those of the text as graphql-core prints it.
            errors = validate(self._schema, parse_with_places(document.text))
        return "; ".join(map(_with_place, errors))


class IntrospectedSchema:
    """A schema that the server is asked for when the first operation runs; who comes meanwhile shares the request."""

    def __init__(self, connect: Connect, request: Callable[[str], GraphQLRequest]) -> None:
        """Ask nothing yet.

        Args:
            connect: Starts an operation on a chain that shares equal ones.
            request: Makes the request, with what the client sends with each.
        """
        self._connect = connect
        self._request = request
        self._known: KnownSchema | None = None

    def start(self, operation: Operation, worker: Observer[FetchResult], run: OperationRun, proceed: Connect) -> None:
        """Start an operation behind the request for the schema, or at once where that is known."""
        if self._known is not None:
            self.check_and(proceed, operation, worker, run)
            return
        asking = Operation(self._request(get_introspection_query(descriptions=False)))
        self._connect(asking, _SchemaAwaited(self, operation, worker, run, proceed), run)

    def check_and(
        self, proceed: Connect, operation: Operation, worker: Observer[FetchResult], run: OperationRun
    ) -> None:
        """Go on with an operation, if its document fits."""
        assert self._known is not None, "the schema is known by now"
        try:
            self._known.check(operation.query)
        except InvariantError as reason:
            run.refuse(reason)
            return
        proceed(operation, worker, run)

    def learn(self, result: FetchResult | None) -> None:
        """Take what the server has answered.

        Raises:
            InvariantError: That is no schema.
        """
        if self._known is not None:  # somebody who waited for the same answer has
            return
        if result is not None and not isinstance(result, dict):  # pyright: ignore[reportUnnecessaryIsInstance] - untyped
            raise InvariantTypeError(
                f"the chain brought {kind_of(result)} for the schema; a result is a dict with `data` or `errors`: look "
                "at the links that change results"
            )
        if result is None or result.get("errors"):
            errors = CombinedGraphQLErrors(result or {})
            raise InvariantError(
                f"the server does not tell its schema ({str(errors) or 'no answer'}); give `schema` a file"
            ) from errors
        self._known = KnownSchema(_valid(lambda: _built(result.get("data")), "the introspection"))


class _SchemaAwaited:
    """An operation that waits for the schema: the observer of the request for it."""

    __slots__ = ("_operation", "_proceed", "_result", "_run", "_schema", "_worker")

    def __init__(
        self,
        schema: IntrospectedSchema,
        operation: Operation,
        worker: Observer[FetchResult],
        run: OperationRun,
        proceed: Connect,
    ) -> None:
        self._schema = schema
        self._operation = operation
        self._worker = worker
        self._run = run
        self._proceed = proceed
        self._result: FetchResult | None = None

    def on_next(self, result: FetchResult) -> None:
        self._result = result

    def on_error(self, error: Exception) -> None:
        self._worker.on_error(error)

    def on_completed(self) -> None:
        try:
            self._schema.learn(self._result)
        except InvariantError as error:
            self._run.refuse(error)
            return
        self._schema.check_and(self._proceed, self._operation, self._worker, self._run)


def known_schema(schema: Schema) -> KnownSchema:
    """Return a schema that is given, or that of a file.

    Raises:
        InvariantError: There is no such file, or what is in it is no schema.
        InvariantTypeError: It is neither.
    """
    if isinstance(schema, GraphQLSchema):
        return KnownSchema(_valid(lambda: schema, "`schema`"))
    if isinstance(schema, (str, os.PathLike)):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may not be typed
        path = Path(schema)
        return KnownSchema(_valid(lambda: _parsed(path.read_text(encoding="utf-8-sig")), f"the schema in {path}"))
    raise InvariantTypeError(
        f"`schema` is {kind_of(schema)}; give a GraphQLSchema, the path of a file with SDL or the JSON of an "
        "introspection, or INTROSPECT"
    )


def _parsed(text: str) -> GraphQLSchema:
    if not text.lstrip().startswith("{"):
        return build_schema(text)
    introspection = json.loads(text)
    return _built(introspection.get("data") or introspection)


def _built(introspection: Any) -> GraphQLSchema:
    if not isinstance(introspection, dict):  # which graphql-core would quote
        raise TypeError(f"its data are {kind_of(introspection)}")
    return build_client_schema(cast("Any", introspection))


def _valid(make: Callable[[], GraphQLSchema], where: str) -> GraphQLSchema:
    try:
        schema = make()
        reasons = " ".join(reason.message for reason in validate_schema(schema))
    except GraphQLSyntaxError as error:
        raise InvariantError(f"{where} is no GraphQL: {_with_place(error)}") from error
    except OSError as error:
        raise InvariantError(f"{where} cannot be read: {error.strerror or type(error).__name__}") from error
    except Exception as error:  # noqa: BLE001 - graphql-core has many for what is no schema
        reason, quotes, _ = str(error).partition(": {")  # behind it stands what came, which may hold anything
        raise InvariantError(f"{where} is no schema: {reason}") from (TypeError(reason) if quotes else error)
    if reasons:
        raise InvariantError(f"{where} is not valid: {reasons}")
    return schema


def _with_place(error: GraphQLError) -> str:
    places = [f"line {place.line}, column {place.column}" for place in error.locations or ()]
    return f"{error.message} ({' and '.join(places)})" if places else error.message
