"""The small fixed vocabulary of callbacks; `js/vocabulary.mjs` says the same for Apollo."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from rxlink.core.operation import Operation
from rxlink.errors import NetworkError, SocketClosed

__all__ = ["Predicate", "ScriptedError", "Subject", "asker", "counter", "describe_error", "holds", "later", "numbered"]

Predicate: TypeAlias = Sequence[Any]


class ScriptedError(Exception):
    """What a scenario tells a callback to raise: a plain `Error` in JavaScript."""


@dataclass(frozen=True)
class Subject:
    """What a predicate is asked about."""

    operation: Operation | None = None
    error: Any = None
    calls: int = 0


def holds(predicate: Predicate, subject: Subject) -> bool:
    """Tell whether a predicate, a list with its word first, holds."""
    word, *values = predicate
    return _PREDICATES[word](values, subject)


def asker(predicate: Predicate) -> Callable[..., bool | Awaitable[bool]]:
    """Make a callback that counts its calls; `["after", 5, predicate]` is a coroutine that takes 5 ms."""
    count = counter()

    def ask(*, operation: Operation | None = None, error: Any = None) -> bool | Awaitable[bool]:
        subject = Subject(operation, error, count(operation))
        if predicate[0] != "after":
            return holds(predicate, subject)
        return later(predicate[1], lambda: holds(predicate[2], subject))

    return ask


def counter() -> Callable[[Operation | None], int]:
    """Count the calls for each operation by itself: which of two operations comes first at one moment is left open."""
    calls: Counter[str | None] = Counter()

    def count(operation: Operation | None) -> int:
        name = None if operation is None else operation.operation_name
        calls[name] += 1
        return calls[name]

    return count


async def later(delay: float, make: Callable[[], Any]) -> Any:
    """Return what a function returns, some milliseconds later."""
    await asyncio.sleep(delay / 1000)
    return make()


def numbered(value: Any, n: int) -> Any:
    """Put the number of the call in the place of `{n}` in every text of a value."""
    if isinstance(value, str):
        return value.replace("{n}", str(n))
    if isinstance(value, list):
        return [numbered(item, n) for item in value]
    if isinstance(value, Mapping):
        return {key: numbered(item, n) for key, item in value.items()}
    return value


def describe_error(error: BaseException) -> dict[str, Any]:
    """Return an error as it stands in a trace."""
    description: dict[str, Any] = {"class": _class_of(error), "message": str(error)}
    fields = {"statusCode": "status_code", "bodyText": "body_text"}
    fields |= {name: name for name in ("errors", "data", "extensions")}
    for shown, name in fields.items():
        value = getattr(error, name, None)
        # A result without `extensions` has none in JavaScript, where None here may also be its null.
        if value is not None:
            description[shown] = value
    return description


def _class_of(error: BaseException) -> str:
    if isinstance(error, ScriptedError):
        return "Error"
    if isinstance(error, SocketClosed):
        return "SocketClosed"
    return "NetworkError" if isinstance(error, NetworkError) else type(error).__name__


def _is_status(values: list[Any], subject: Subject) -> bool:
    return getattr(subject.error, "status_code", None) == values[0]


def _has_code(values: list[Any], subject: Subject) -> bool:
    errors = getattr(subject.error, "errors", None) or ()
    codes = [(error.get("extensions") or {}).get("code") for error in errors if isinstance(error, Mapping)]
    return values[0] in codes


def _has_variable(values: list[Any], subject: Subject) -> bool:
    assert subject.operation is not None
    name, value = values
    return name in subject.operation.variables and subject.operation.variables[name] == value


def _is_type(values: list[Any], subject: Subject) -> bool:
    return subject.operation is not None and subject.operation.operation_type.value == values[0]


def _has_context(values: list[Any], subject: Subject) -> bool:
    return subject.operation is not None and values[0] in subject.operation.get_context()


_PREDICATES: dict[str, Callable[[list[Any], Subject], bool]] = {
    "always": lambda values, subject: True,
    "never": lambda values, subject: False,
    "not": lambda values, subject: not holds(values[0], subject),
    "all": lambda values, subject: all(holds(value, subject) for value in values),
    "any": lambda values, subject: any(holds(value, subject) for value in values),
    "first": lambda values, subject: subject.calls <= values[0],
    "status-is": _is_status,
    "message-contains": lambda values, subject: values[0] in str(subject.error),
    "code-is": _has_code,
    "close-code-is": lambda values, subject: getattr(subject.error, "code", None) == values[0],
    "class-is": lambda values, subject: subject.error is not None and _class_of(subject.error) == values[0],
    "operation-is": lambda values, subject: (
        subject.operation is not None and subject.operation.operation_name == values[0]
    ),
    "type-is": _is_type,
    "context-has": _has_context,
    "variable-is": _has_variable,
}
