"""Take ``__typename`` out of variables, so that what one operation returned can be sent by the next.

Ports: ``@apollo/client`` 4.3.8 ``src/link/remove-typename/removeTypenameFromVariables.ts``.
Differs: in a document with several operations the types are those that the one to run declares (Apollo takes the last
declaration of the name in the document). A ``__typename`` beside the variables goes with ``except_`` too (Apollo keeps
it there). The exceptions are checked. Variables nested deeper than Python can follow are a ``SerializationError``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias, cast

from rxlink.core.documents import document_of
from rxlink.core.link import ApolloLink, Forward
from rxlink.core.operation import Operation
from rxlink.core.subscription import Connect, ResultObserver, Subscription
from rxlink.errors import InvariantError, InvariantTypeError, SerializationError

__all__ = ["KEEP", "KeepTypenameConfig", "RemoveTypenameFromVariablesLink"]

TYPENAME: Final = "__typename"

KEEP: Final = "__KEEP"
"""Marks a type or field in ``except_`` whose value stays as it is, at any depth."""

KeepTypenameConfig: TypeAlias = "Mapping[str, Literal['__KEEP'] | KeepTypenameConfig]"
"""By name of an input type, and below it of a field: ``KEEP``, or the same for what is inside."""

GRAPHQL_NAME: Final = re.compile(r"[_A-Za-z][_0-9A-Za-z]*")

NO_EXCEPTIONS: Final[KeepTypenameConfig] = {}


class RemoveTypenameFromVariablesLink(ApolloLink):
    """Remove every ``__typename`` from an operation's variables, at any depth, in lists too.

    A server refuses such a key in an input object. The caller's own objects stay as they are: what has to change is
    copied. Only dicts, lists and tuples are looked into.

    Errors:
        :class:`~rxlink.errors.SerializationError`: the variables are nested too deeply; nothing was sent.

    Example:
        >>> from rxlink import GraphQLRequest, execute, from_
        >>> from rxlink.testing import MockedResponse, MockLink
        >>> server = MockLink([MockedResponse(result={"data": {"save": True}})])
        >>> user = {"__typename": "User", "name": "Ada", "settings": {"__typename": "Dark", "size": 2}}
        >>> link = from_([RemoveTypenameFromVariablesLink(except_={"UserInput": {"settings": KEEP}}), server])
        >>> request = GraphQLRequest("mutation ($user: UserInput!) { save(user: $user) }", {"user": user})
        >>> subscription = execute(link, request).subscribe()
        >>> server.operations[0].variables
        {'user': {'name': 'Ada', 'settings': {'__typename': 'Dark', 'size': 2}}}
    """

    def __init__(self, *, except_: KeepTypenameConfig | None = None) -> None:
        """Make the link.

        Args:
            except_: Where ``__typename`` stays: by name of a variable's type, without its lists and ``!``, either
                ``KEEP`` (as for a scalar ``JSON``), or by field ``KEEP`` or the same for that field's value. No schema
                is asked: below the first level only names of fields count. None: nowhere.

        Raises:
            InvariantTypeError: A part of it is neither ``KEEP`` nor a mapping, or a name is no text; the message says
                where.
            InvariantError: The name of a type is none that GraphQL allows, or that of a field is empty.
        """
        super().__init__()
        self._except = NO_EXCEPTIONS if except_ is None else _own(except_)

    def connect(self, forward: Forward) -> Connect:
        """Prepare to run operations; see :meth:`ApolloLink.connect`."""
        proceed = forward.connect
        except_ = self._except

        def start(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
            if operation.variables:
                try:
                    exceptions = _by_variable(operation, except_) if except_ else NO_EXCEPTIONS
                    operation.variables = cast("dict[str, Any]", _Removal().apply(operation.variables, exceptions))
                except RecursionError:
                    observer.on_error(_too_deep(operation))
                    return
            proceed(operation, observer, root)

        return start


class _Removal:
    """One walk through variables; an object that stands in several places is copied once, in a circle too."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], object] = {}

    def apply(self, value: object, exceptions: KeepTypenameConfig) -> object:
        """Return a value without ``__typename``, itself where there is none in it."""
        if not isinstance(value, (dict, list, tuple)):
            return value
        place = (id(value), id(exceptions))  # pyright: ignore[reportUnknownArgumentType] - it holds anything
        if place in self._known:
            return self._known[place]
        if isinstance(value, dict):
            return self._without(cast("dict[object, object]", value), exceptions, place)
        return self._each(cast("list[object] | tuple[object, ...]", value), exceptions, place)

    def _without(self, given: dict[object, object], exceptions: KeepTypenameConfig, place: tuple[int, int]) -> object:
        copied: dict[object, object] = {}
        self._known[place] = copied
        for name, value in given.items():
            if name == TYPENAME:
                continue
            inner = exceptions.get(cast("str", name), NO_EXCEPTIONS)
            copied[name] = value if isinstance(inner, str) else self.apply(value, inner)
        is_same = len(copied) == len(given) and all(copied[name] is value for name, value in given.items())
        return self._settle(place, given if is_same else copied)

    def _each(
        self, given: list[object] | tuple[object, ...], exceptions: KeepTypenameConfig, place: tuple[int, int]
    ) -> object:
        copied: list[object] = []
        self._known[place] = copied
        copied.extend(self.apply(value, exceptions) for value in given)
        is_same = all(new is old for new, old in zip(copied, given, strict=True))
        return self._settle(place, given if is_same else copied if isinstance(given, list) else tuple(copied))

    def _settle(self, place: tuple[int, int], result: object) -> object:
        self._known[place] = result
        return result


def _by_variable(operation: Operation, except_: KeepTypenameConfig) -> KeepTypenameConfig:
    """Return the exceptions by the names of an operation's variables, as if these were fields of one input type."""
    types = document_of(operation.query).variable_types.get(operation.operation_name, {})
    return {name: except_[kind] for name, kind in types.items() if kind in except_}


def _too_deep(operation: Operation) -> SerializationError:
    return SerializationError(
        path="variables", type_name="value nested too deeply", operation_name=operation.operation_name
    )


def _own(except_: object) -> KeepTypenameConfig:
    if not isinstance(except_, Mapping):
        raise InvariantTypeError(f"`except_` is {except_!r}; give a mapping from the names of types")
    config = cast("Mapping[object, object]", except_)
    for name in config:
        if isinstance(name, str) and not GRAPHQL_NAME.fullmatch(name):
            raise InvariantError(f"`except_` has {name!r}; give the name of a type, without its lists and `!`")
    return cast("KeepTypenameConfig", _checked(config, "`except_`", {}))


def _checked(config: object, where: str, known: dict[int, dict[object, object]]) -> object:
    """Return a copy of exceptions, all the way down; they may hold themselves, as input types do."""
    if isinstance(config, str) and config == KEEP:
        return config
    if not isinstance(config, Mapping):
        raise InvariantTypeError(f"{where} is {config!r}; give KEEP, or a mapping from the names of fields")
    copied = known.get(id(cast("object", config)))
    if copied is None:
        copied = known[id(cast("object", config))] = {}
        for name, inner in cast("Mapping[object, object]", config).items():
            _check_name(name, where)
            copied[name] = _checked(inner, f"{where}[{name!r}]", known)
    return copied


def _check_name(name: object, where: str) -> None:
    """Check the name of a field; in a scalar that is JSON it may be any text."""
    if not isinstance(name, str):
        raise InvariantTypeError(f"{where} has {name!r} as a name; names are text")
    if not name:
        raise InvariantError(f"{where} has '' as a name; give the name of a field")
