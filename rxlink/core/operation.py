"""One operation on its way through a chain.

Ports: ``@apollo/client`` 4.3.8 ``src/link/utils/createOperation.ts`` and ``ApolloLink.Request``.
Differs: the operation name may be given (Apollo takes the first of the document), and a document whose operation
cannot be chosen is refused here instead of by the server.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final, TypeAlias, cast

from rxlink.core.documents import Document, DocumentNode, document_of, parse_text, parsed
from rxlink.core.options import kind_of
from rxlink.errors import InvariantTypeError

__all__ = ["Context", "ContextUpdate", "GraphQLRequest", "Operation", "context_of"]

Context: TypeAlias = Mapping[str, Any]
ContextUpdate: TypeAlias = Context | Callable[[Context], Context]


@dataclass(slots=True, unsafe_hash=True)  # not frozen: such a dataclass takes four times as long to make
class GraphQLRequest:
    """What to run: give it to :func:`rxlink.execute`, which copies it. Its ``repr`` leaves out what may be secret.

    Attributes:
        query: GraphQL text, or a document that graphql-core has parsed.
        variables: The variables by name; values that JSON can carry, and files where the transport takes them.
        operation_name: Which operation of the document to run; None where it has only one.
        extensions: Sent beside the query where the transport is told to.
        context: The operation's first context: whatever the links of the chain read, such as ``headers``.
    """

    query: str | DocumentNode
    variables: Mapping[str, Any] | None = field(default=None, repr=False)
    operation_name: str | None = None
    extensions: Mapping[str, Any] | None = field(default=None, repr=False)
    context: Context | None = field(default=None, repr=False)


_NOT_PARSED: Final = (None, None)


class Operation:
    """One operation, as every link of the chain sees it.

    Links talk to one another through its context; ``query``, ``variables`` and ``extensions`` may be replaced.

    Attributes:
        query: The parsed document.
        variables: The variables by name, a dict of its own.
        operation_name: The operation's name, None if it is anonymous.
        operation_type: An :class:`OperationType`: ``"query"``, ``"mutation"`` or ``"subscription"``, and equal to it.
        extensions: A dict of its own.
        is_spent: Whether it held a stream that is used up by now, so that it cannot be sent again: a link that would
            send it again passes on the answer that it has.
    """

    __slots__ = ("_context", "_parsed", "extensions", "is_spent", "operation_name", "operation_type", "query",
                 "variables")  # fmt: skip

    def __init__(self, request: GraphQLRequest) -> None:
        """Check a request and make it ready to run.

        Raises:
            InvariantError: The query is no GraphQL, or its operation cannot be chosen.
            InvariantTypeError: A part of the request has the wrong type.
        """
        query = request.query
        parts = parse_text(query) if type(query) is str else parsed(query)  # most need no call but the cache's
        self.query, document = parts
        self._parsed: tuple[DocumentNode, Document] | tuple[None, None] = parts
        name = request.operation_name
        if name is None and document.only is not None:  # as in most
            self.operation_name, self.operation_type = document.only
        else:
            if name is not None and not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance] - untyped
                raise InvariantTypeError(
                    f"`operation_name` is {kind_of(name)}; give text, or None; a context is `context=...`"
                )
            self.operation_name, self.operation_type = document.choose(name)
        variables, extensions, context = request.variables, request.extensions, request.context
        self.variables: dict[str, Any] = (
            {**variables} if type(variables) is dict else _own_dict("variables", variables)  # most need no call
        )
        self.extensions: dict[str, Any] = {} if extensions is None else _own_dict("extensions", extensions)
        self.is_spent = False
        self._context: dict[str, Any] = {} if context is None else _own_dict("context", context)

    def __getstate__(self) -> object:
        """Return what a copy gets: all but what is known of this very document."""
        attributes, slots = cast("tuple[object, dict[str, Any]]", super().__getstate__())
        return attributes, {**slots, "_parsed": _NOT_PARSED}

    def known_document(self) -> Document | None:
        """Return what is known of its document, None where a link has put something else in its place, such as text."""
        node, document = self._parsed
        if self.query is node:
            return document
        return document_of(self.query) if isinstance(self.query, DocumentNode) else None  # pyright: ignore[reportUnnecessaryIsInstance] - see above

    def get_context(self) -> Context:
        """Return the context as it is now, read-only; later changes do not show in it."""
        return MappingProxyType(self._context)

    def set_context(self, update: ContextUpdate) -> None:
        """Put values into the context, beside or over those that are there.

        Args:
            update: The values, or a function that gets the context so far and returns them. The merge is
                shallow: a function that adds a header keeps the other headers itself.

        Raises:
            InvariantTypeError: That is no mapping.
        """
        if isinstance(update, dict):  # as it is nearly always
            self._context = {**self._context, **update}
            return
        values = update(self.get_context()) if callable(update) else update
        if not isinstance(values, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - untyped
            raise InvariantTypeError(
                f"set_context got {kind_of(values)}; give a mapping of context values, or a function that returns one"
            )
        # A new dict each time: contexts that were handed out stay as they were.
        self._context = {**self._context, **values}

    def spend(self) -> None:
        """Note that it cannot be sent again; the transport says so when it begins to read such a stream."""
        self.is_spent = True

    def __repr__(self) -> str:
        """Name the operation; variables and context may hold secrets and are left out."""
        return f"<Operation {self.operation_type.value} {self.operation_name or '(anonymous)'}>"


context_of: Final[Callable[[Operation], Context]] = attrgetter("_context")
"""Returns the context as it is now, for who only reads it: what ``get_context`` wraps for everybody else."""


def _own_dict(name: str, value: Mapping[str, Any] | None) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, (dict, Mapping)):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may not be typed
        raise InvariantTypeError(f"`{name}` is {kind_of(value)}; give a mapping from names to values")
    return dict(value)
