"""The variables of an operation, from the three options that give some."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Collection, Iterable
from typing import Any, NoReturn, cast

from rxlink.commands.failures import Misuse, one_line
from rxlink.commands.sources import Sources

__all__ = ["variables_of"]


def variables_of(
    options: argparse.Namespace, sources: Sources, declared: Collection[str], warn: Callable[[str], None]
) -> dict[str, Any] | None:
    """Return the variables; ``--variable`` goes over ``--variables``, and that over ``--variables-file``.

    Args:
        options: What was given.
        sources: Reads what they name.
        declared: The names of the variables that the operation has.
        warn: Is told of others, which are most likely misspelt.

    Raises:
        Misuse: They cannot be read; the message shows no value.
    """
    variables: dict[str, Any] = {}
    if options.variables_file is not None:
        content = sources.content("--variables-file", options.variables_file)
        variables |= _object("--variables-file", content)
    if options.variables is not None:
        variables |= _object("--variables", sources.value("--variables", options.variables))
    for given in options.variable:
        name, equals, text = given.partition("=")
        if not name or not equals:
            raise Misuse("argument --variable: it has no '='; give it as name=value")
        variables[name] = _value(text, sources)
    if unknown := [name for name in variables if name not in declared]:
        warn(one_line(f"warning: the operation has no variable {_named(unknown)}; it has {_named(declared) or 'none'}"))
    return variables or None


def _named(variables: Iterable[str]) -> str:
    return ", ".join(f"${name}" for name in variables)


def _value(text: str, sources: Sources) -> Any:
    """Return what a text stands for: JSON if it is some, else the text; what comes from elsewhere is text."""
    value = sources.value("--variable", text)
    if sources.is_elsewhere(text):
        return value
    try:
        return _json("--variable", value)
    except ValueError:
        return value


def _object(option: str, text: str) -> dict[str, Any]:
    try:
        value = _json(option, text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Misuse(f"argument {option}: the variables are no JSON: {error.msg} at {where}") from None
    except ValueError as error:
        raise Misuse(f"argument {option}: the variables are no JSON: {error}") from None
    if not isinstance(value, dict):
        raise Misuse(f'argument {option}: the variables are no JSON object; give one such as {{"name": "Ada"}}')
    return cast("dict[str, Any]", value)


def _json(option: str, text: str) -> Any:
    """Read JSON.

    Raises:
        ValueError: It is none.
        Misuse: It is some, with a number that cannot be sent.
    """

    def finite(number: str) -> float:
        if math.isinf(value := float(number)):
            raise Misuse(f"argument {option}: a number is too large; give one that a float can hold, or text")
        return value

    try:
        return json.loads(text, parse_constant=_refuse, parse_float=finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number in JSON")
