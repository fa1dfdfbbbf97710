"""The only reader of GraphQL text: parses, prints and names documents, each of them once.

What is computed of a document is kept by its identity with a weak reference. A ``DocumentNode`` hashes and
compares by content, which walks the whole tree, so it must never be the key of a dictionary.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any, Final
from weakref import ref

from graphql import (
    DefinitionNode,
    DirectiveNode,
    DocumentNode,
    GraphQLSyntaxError,
    ListTypeNode,
    NamedTypeNode,
    NameNode,
    NonNullTypeNode,
    OperationDefinitionNode,
    TypeNode,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    parse,
    print_ast,
    visit,
)

from rxlink.core.options import kind_of
from rxlink.errors import InvariantError, InvariantTypeError

__all__ = [
    "MUTATION",
    "SUBSCRIPTION",
    "Document",
    "DocumentNode",
    "OperationType",
    "document_of",
    "json_head",
    "parse_document",
    "parse_text",
    "parse_with_places",
    "parsed",
]

PARSED_TEXTS = 1000
"""How many query texts are remembered as parsed; a service has far fewer."""
INCREMENTAL_DIRECTIVES = frozenset({"defer", "stream"})
NAME: Final = re.compile("[_A-Za-z][_0-9A-Za-z]*")


class OperationType(StrEnum):
    """What kind of operation a document holds; equal to its word, as Apollo's ``operationType`` is."""

    QUERY = "query"
    MUTATION = "mutation"
    SUBSCRIPTION = "subscription"


MUTATION: Final = OperationType.MUTATION
SUBSCRIPTION: Final = OperationType.SUBSCRIPTION
"""For what is asked of each operation: Python 3.11 takes ten times as long to find a member by way of its enum."""


class Document:
    """What links ask about a parsed document; whoever holds it holds the document as well.

    Attributes:
        operations: The operations in it, by name (None for an anonymous one).
        only: The name and the type of its only operation, None where there are more, or none.
    """

    def __init__(self, node: DocumentNode) -> None:
        self._node = ref(node)
        found = [
            (definition.name.value if definition.name else None, OperationType(definition.operation.value))
            for definition in node.definitions
            if isinstance(definition, OperationDefinitionNode)
        ]
        self.operations: Mapping[str | None, OperationType] = dict(found)
        self._names = [name for name, _ in found]
        self.only = found[0] if len(found) == 1 else None
        self._named: tuple[str, DocumentNode] | None = None  # the last one asked for

    @cached_property
    def text(self) -> str:
        """The document as GraphQL text, as graphql-core prints it."""
        return print_ast(self._held_node())

    @cached_property
    def json_heads(self) -> Mapping[str | None, str]:
        """For each operation, by its name, how the JSON begins that sends it; see :func:`json_head`."""
        return {name: json_head(name) for name in self.operations}

    @cached_property
    def json_tail(self) -> str:
        """How the JSON ends that sends it, with the text as its last member: ``,"query":"..."}``, in ASCII."""
        return f',"query":{json.dumps(self.text)}}}'

    @cached_property
    def used_variables(self) -> frozenset[str]:
        """The names of the variables that some field or directive uses, not merely declared."""
        collector = _UsedVariables()
        visit(self._held_node(), collector)
        return frozenset(collector.names)

    @cached_property
    def is_incremental(self) -> bool:
        """Whether something in it is deferred or streamed, so that its result may arrive in pieces."""
        finder = _IncrementalDirectives()
        visit(self._held_node(), finder)
        return finder.has_found

    @cached_property
    def may_come_in_pieces(self) -> bool:
        """Whether an operation in it may have more than one result."""
        return self.is_incremental or OperationType.SUBSCRIPTION in self.operations.values()

    @cached_property
    def variable_types(self) -> Mapping[str | None, Mapping[str, str]]:
        """The types of the variables that each operation declares, by its name: ``Filter`` for ``[Filter!]!``."""
        return {
            definition.name.value if definition.name else None: {
                variable.variable.name.value: _named_type(variable.type)
                for variable in definition.variable_definitions or ()
            }
            for definition in self._held_node().definitions
            if isinstance(definition, OperationDefinitionNode)
        }

    def with_name(self, name: str) -> DocumentNode:
        """Return the document with a name for its only operation; as it is, if that has one or the name is none."""
        node = self._held_node()
        if self.only is None or self.only[0] is not None or not NAME.fullmatch(name):
            return node
        if self._named is None or self._named[0] != name:
            self._named = name, DocumentNode(definitions=tuple(_named(part, name) for part in node.definitions))
        return self._named[1]

    def _held_node(self) -> DocumentNode:
        node = self._node()
        assert node is not None, "a document is asked while somebody holds it"
        return node

    def choose(self, operation_name: str | None) -> tuple[str | None, OperationType]:
        """Find the operation to run.

        Args:
            operation_name: Its name; None where the document has only one operation.

        Returns:
            Its name (None if anonymous) and its type.

        Raises:
            InvariantError: The document has no operation, none of that name, several of that name, or several and no
                name was given.
        """
        if operation_name is not None:
            kind = self.operations.get(operation_name)
            if kind is None:
                raise InvariantError(
                    f"the document has no operation named {operation_name!r}; it has {_listed(self._names)}"
                )
            if self._names.count(operation_name) > 1:
                raise InvariantError(f"the document has several operations named {operation_name!r}; rename them")
            return operation_name, kind
        if self.only is None:
            raise InvariantError(
                f"the document has {len(self._names)} operations ({_listed(self._names)}); "
                "exactly one is needed, or `operation_name` to choose among them"
            )
        return self.only


class _UsedVariables(Visitor):
    """Collects what Apollo's ``filterOperationVariables`` counts as used, in fragments too."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_variable(self, node: VariableNode, _key: object, parent: object, *_: object) -> None:
        if not isinstance(parent, VariableDefinitionNode):
            self.names.add(node.name.value)


class _IncrementalDirectives(Visitor):
    """Looks for what Apollo's handlers look for: ``@defer`` and ``@stream``, in fragments too."""

    def __init__(self) -> None:
        super().__init__()
        self.has_found = False

    def enter_directive(self, node: DirectiveNode, *_: object) -> None:
        self.has_found = self.has_found or node.name.value in INCREMENTAL_DIRECTIVES


def _named(definition: DefinitionNode, name: str) -> DefinitionNode:
    if not isinstance(definition, OperationDefinitionNode):
        return definition
    parts: dict[str, Any] = {key: getattr(definition, key) for key in definition.keys}
    parts["name"] = NameNode(value=name)
    return OperationDefinitionNode(**parts)


def json_head(operation_name: str | None) -> str:
    """Return how JSON begins that sends an operation, up to the value of its variables."""
    name = "" if operation_name is None else f'"operationName":{json.dumps(operation_name, allow_nan=False)},'
    return f'{{{name}"variables":'


_known: dict[int, tuple[ref[DocumentNode], Document]] = {}


def parse_document(query: str | DocumentNode) -> DocumentNode:
    """Return a query as a parsed document; the same text is parsed once.

    Args:
        query: GraphQL text, or a document that graphql-core has parsed.

    Raises:
        InvariantError: The text is no GraphQL; the message holds line and column.
        InvariantTypeError: The query is neither text nor a document.
    """
    return parsed(query)[0]


def parsed(query: str | DocumentNode) -> tuple[DocumentNode, Document]:
    """Return a query as a parsed document, and what is known of it.

    Args:
        query: GraphQL text, or a document that graphql-core has parsed.

    Raises:
        InvariantError: The text is no GraphQL; the message holds line and column.
        InvariantTypeError: The query is neither text nor a document.
    """
    if isinstance(query, str):
        return parse_text(query)
    if isinstance(query, DocumentNode):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may not be typed
        return query, document_of(query)
    raise InvariantTypeError(f"`query` is {kind_of(query)}; give GraphQL text or a document parsed by graphql-core")


def document_of(node: DocumentNode) -> Document:
    """Return what is known of a parsed document; it is computed once for each."""
    identity = id(node)
    known = _known.get(identity)
    if known is not None and known[0]() is node:
        return known[1]
    document = Document(node)
    _known[identity] = (ref(node, lambda _: _known.pop(identity, None)), document)
    return document


@lru_cache(maxsize=PARSED_TEXTS)
def parse_with_places(text: str) -> DocumentNode:
    """Return a text as a parsed document whose parts know line and column; the same text is parsed once.

    Raises:
        InvariantError: The text is no GraphQL; the message holds line and column.
    """
    return _parsed_text(text, has_places=True)


@lru_cache(maxsize=PARSED_TEXTS)
def parse_text(text: str) -> tuple[DocumentNode, Document]:
    """Return a text as a parsed document, and what is known of it; the same text is parsed once.

    Raises:
        InvariantError: The text is no GraphQL; the message holds line and column.
    """
    node = _parsed_text(text, has_places=False)
    return node, document_of(node)


def _parsed_text(text: str, *, has_places: bool) -> DocumentNode:
    try:
        return parse(text, no_location=not has_places)
    except GraphQLSyntaxError as error:
        where = error.locations[0] if error.locations else None
        place = f" at line {where.line}, column {where.column}" if where else ""
        raise InvariantError(f"the query is no GraphQL: {error.message}{place}") from error


def _named_type(node: TypeNode) -> str:
    while isinstance(node, (ListTypeNode, NonNullTypeNode)):
        node = node.type
    assert isinstance(node, NamedTypeNode), "types are made of lists, non-null marks and names"
    return node.name.value


def _listed(names: Sequence[str | None]) -> str:
    return ", ".join(name or "(anonymous)" for name in names) or "none"
