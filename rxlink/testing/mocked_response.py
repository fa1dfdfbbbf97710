"""What a :class:`~rxlink.testing.mock_link.MockLink` answers: to which operations, with what, and when.

Ports: ``MockLink.MockedResponse`` and ``realisticDelay`` of ``@apollo/client`` 4.3.8
``src/testing/core/mocking/mockLink.ts``.
Differs: a mock may name an operation instead of a query, or neither; without ``variables`` it takes
any (there: none), and defaults that the query declares count on both sides; the function in
``result`` gets the operation, not its variables; queries are compared as they are (there
``__typename`` is added to both); a mock that makes no sense is refused when it is made.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

from graphql import get_operation_ast, value_from_ast_untyped

from rxlink.core.documents import DocumentNode, document_of, parse_document
from rxlink.core.operation import Operation
from rxlink.core.options import checked_function, kind_of, name_of
from rxlink.core.result import FetchResult
from rxlink.core.timing import Duration, to_seconds
from rxlink.core.work import close_unawaited
from rxlink.errors import InvariantError, InvariantTypeError

__all__ = ["NOT_AWAITED", "Delay", "DelayFunction", "MockedResponse", "realistic_delay", "seconds_of"]

DelayFunction: TypeAlias = Callable[[Operation], Duration | None]
Delay: TypeAlias = Duration | DelayFunction
VariableMatcher: TypeAlias = Callable[[Mapping[str, Any]], bool]
ResultFunction: TypeAlias = Callable[[Operation], FetchResult]

NOT_AWAITED: Final = "what it returns is not awaited: give a plain function, and `delay` for the time that it takes"


@dataclass(frozen=True, slots=True, kw_only=True)
class MockedResponse:
    """An answer, and the operations that it is for.

    Attributes:
        query: GraphQL text or a document, compared as graphql-core prints it; None for any.
        operation_name: The operation's name; None for any.
        variables: The very variables, or a function that tells whether it likes them; None for any.
        result: The result, copied for each answer, or a function that gets the operation and
            returns one. What it raises is the operation's error.
        error: The error to end with, instead of a result.
        delay: Seconds until the answer, or a function that gets the operation and returns them. 0
            lets the loop turn first; ``math.inf`` never answers; None is the link's
            ``default_delay``.
        max_usage: How often it answers, None for always.

    Raises:
        InvariantError: Both or neither of ``result`` and ``error``, a ``max_usage`` below 1, a
            negative ``delay``, a ``query`` that is no GraphQL, or an empty ``operation_name``.
        InvariantTypeError: One of them has the wrong type; a function takes other arguments, or is a coroutine
            function, which nobody would await.
    """

    query: str | DocumentNode | None = None
    operation_name: str | None = None
    variables: Mapping[str, Any] | VariableMatcher | None = None
    result: FetchResult | ResultFunction | None = None
    error: Exception | None = None
    delay: Delay | None = None
    max_usage: int | None = 1

    def __post_init__(self) -> None:
        _check_type("query", self.query, (str, DocumentNode), "GraphQL text or a document")
        _check_type("variables", self.variables, (Mapping, Callable), "a mapping, or a function that takes one")
        _check_type("result", self.result, (dict, Callable), "a dict, or a function that returns one")
        _check_type("error", self.error, (Exception,), "an exception")
        _check_name(self.operation_name)
        if self.max_usage is not None and type(self.max_usage) is not int:
            raise InvariantTypeError(
                f"`max_usage` of a mock is {self.max_usage!r}; give a whole number, or None for always"
            )
        _check_function("variables", self.variables, "variables")
        _check_function("result", self.result, "operation")
        _check_function("delay", self.delay, "operation")
        if self.query is not None:
            parse_document(self.query)
        self._check_answer()

    def _check_answer(self) -> None:
        is_silent = seconds_of("delay", self.delay, None) == math.inf
        if self.result is not None and self.error is not None:
            raise InvariantError(f"{self} has both `result` and `error`; keep one of them")
        if self.result is None and self.error is None and not is_silent:
            raise InvariantError(f"{self} has no answer; give `result`, `error`, or `delay=math.inf` for never")
        if self.max_usage is not None and self.max_usage < 1:
            raise InvariantError(f"{self}: `max_usage` is {self.max_usage}; give 1 or more, or None for always")

    def matches(self, operation: Operation) -> bool:
        """Tell whether it is for this operation."""
        return (
            (self.query is None or _text(self.query) == _text(operation.query))
            and self.operation_name in (None, operation.operation_name)
            and self._likes(operation)
        )

    def answer(self, operation: Operation) -> FetchResult:
        """Make the result for an operation.

        Raises:
            Exception: The mocked error, or what the function in ``result`` raises.
            InvariantTypeError: That function returned something that is no dict.
        """
        if self.error is not None:
            raise self.error
        result: Any = self.result(operation) if callable(self.result) else copy.deepcopy(self.result)
        if not isinstance(result, dict):
            close_unawaited(result)
            raise InvariantTypeError(f"{self}: `result` returned {kind_of(result)}; return a dict")
        return cast("FetchResult", result)

    def _likes(self, operation: Operation) -> bool:
        if callable(self.variables):
            return self.variables(operation.variables)
        if self.variables is None or self.variables == operation.variables:
            return True
        defaults = _defaults_of(operation)
        return {**defaults, **self.variables} == {**defaults, **operation.variables}

    def __str__(self) -> str:
        """Say which operations it is for."""
        name = self.operation_name or ("any operation" if self.query is None else "")
        query = "" if self.query is None else " ".join(_text(self.query).split())
        if callable(self.variables):
            variables = f"variables that {name_of(self.variables)} likes"
        else:
            variables = "any variables" if self.variables is None else f"variables {dict(self.variables)!r}"
        return f"a mock for {' '.join(filter(None, (name, query)))} with {variables}"


def realistic_delay(minimum: Duration = 0.02, maximum: Duration = 0.05) -> DelayFunction:
    """Return a delay that differs for each operation, for ``default_delay``; Apollo's ``realisticDelay``.

    Args:
        minimum: The least number of seconds.
        maximum: The largest.

    Raises:
        InvariantError: A duration is negative, or the minimum is not less than the maximum.
        InvariantTypeError: A duration is neither seconds nor a ``timedelta``.
    """
    least, largest = to_seconds("minimum", minimum), to_seconds("maximum", maximum)
    if least >= largest:
        raise InvariantError(f"`minimum` is {least:g} s and `maximum` {largest:g} s; give a minimum below the maximum")
    return lambda operation: random.uniform(least, largest)  # noqa: S311 - a pause, not a secret


def seconds_of(name: str, delay: Delay | None, operation: Operation | None) -> float | None:
    """Return a delay in seconds, None for none; a function is asked if there is an operation.

    Raises:
        Exception: What the function raises.
        InvariantError: The delay is negative.
        InvariantTypeError: The delay is no duration.
    """
    if callable(delay):
        delay = None if operation is None else delay(operation)
    if delay is None:
        return None
    return math.inf if delay == math.inf else to_seconds(name, delay)


def _check_type(name: str, value: object, types: tuple[Any, ...], wanted: str) -> None:
    if value is not None and not isinstance(value, types):
        raise InvariantTypeError(f"`{name}` of a mock is {kind_of(value)}; give {wanted}")


def _check_name(name: object) -> None:
    if name is not None and not isinstance(name, str):
        raise InvariantTypeError(f"`operation_name` of a mock is {name!r}; give text, or None for any")
    if name == "":
        raise InvariantError("`operation_name` of a mock is ''; give a name, or None for any")


def _check_function(name: str, value: object, argument: str) -> None:
    if callable(value):
        checked_function(f"`{name}` of a mock", value, argument, instead=NOT_AWAITED)


def _defaults_of(operation: Operation) -> dict[str, Any]:
    """Return the variables that the query gives a value where the request does not."""
    definition = get_operation_ast(operation.query, operation.operation_name)
    declared = (definition.variable_definitions or ()) if definition else ()
    return {
        variable.variable.name.value: value_from_ast_untyped(variable.default_value)
        for variable in declared
        if variable.default_value is not None
    }


def _text(query: str | DocumentNode) -> str:
    return document_of(parse_document(query)).text
