"""GraphQL text as a document that is parsed once, together with the fragments that it uses.

Ports: ``graphql-tag`` 2.12 (``gql``), which ``@apollo/client`` exports.
Differs: a function, not a template tag: fragments are further arguments. Two different fragments of one name are an
error (there a warning, and both are sent).
"""

from __future__ import annotations

from graphql import DefinitionNode, FragmentDefinitionNode, print_ast

from rxlink.core.documents import DocumentNode, parse_with_places
from rxlink.core.options import kind_of
from rxlink.errors import InvariantError, InvariantTypeError

__all__ = ["gql"]


def gql(text: str, *fragments: DocumentNode) -> DocumentNode:
    """Parse GraphQL text at once, and put the fragments that it spreads beside it.

    Write documents as constants of a module: a typing error is then found when it is imported, and each document is
    parsed once. The same text is the same document.

    Args:
        text: Operations, fragments, or both.
        fragments: Documents of fragments, as this function returns them; they may bring fragments of their own. Each
            fragment stands in the document once, however often it is given.

    Raises:
        InvariantError: The text is no GraphQL (the message holds line and column); a document given as a fragment has
            something else in it; or two different fragments have one name.
        InvariantTypeError: An argument has the wrong type.

    Example:
        >>> NAME = gql("fragment Name on User { name }")
        >>> VIEWER = gql("query Viewer { viewer { ...Name } }", NAME)
        >>> [definition.name.value for definition in VIEWER.definitions]
        ['Viewer', 'Name']
    """
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may not be typed
        raise InvariantTypeError(f"gql got {kind_of(text)}; give GraphQL text, and documents of fragments behind it")
    document = parse_with_places(text)
    definitions: list[DefinitionNode] = []
    known: dict[str, DefinitionNode] = {}
    for definition in document.definitions:
        _add(definition, definitions, known)
    for fragment in fragments:
        for definition in _fragments_of(fragment):
            _add(definition, definitions, known)
    if not fragments and len(definitions) == len(document.definitions):
        return document
    return DocumentNode(definitions=tuple(definitions))


def _add(definition: DefinitionNode, definitions: list[DefinitionNode], known: dict[str, DefinitionNode]) -> None:
    """Add a definition, unless it is a fragment that is there already."""
    if isinstance(definition, FragmentDefinitionNode):
        name = definition.name.value
        if name in known:
            if print_ast(known[name]) != print_ast(definition):
                raise InvariantError(f"gql got two different fragments named {name!r}; rename one of them")
            return
        known[name] = definition
    definitions.append(definition)


def _fragments_of(document: DocumentNode) -> tuple[DefinitionNode, ...]:
    if not isinstance(document, DocumentNode):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may not be typed
        raise InvariantTypeError(
            f"gql got {kind_of(document)} as a fragment; give a document: gql(text, gql('fragment ...'))"
        )
    for definition in document.definitions:
        if not isinstance(definition, FragmentDefinitionNode):
            raise InvariantError(
                f"gql got a document with {kind_of(definition)} in it as a fragment; only fragments can be added"
            )
    return tuple(document.definitions)
