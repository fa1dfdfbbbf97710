"""Apollo's names in a context, in a scenario and in rxlink."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["context_of", "shown_context", "snake_case", "snake_keys"]

NESTED = ("clientAwareness", "enhancedClientAwareness", "fetchOptions", "http")
"""The values in which the names are Apollo's too; in others, such as headers, they are the user's."""


def snake_case(name: str) -> str:
    """Return one of Apollo's names as rxlink spells it."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _camel_case(name: str) -> str:
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)


def context_of(context: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return a scenario's context as rxlink's links read it."""
    return None if context is None else snake_keys(context)


def snake_keys(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options in rxlink's spelling, those in groups too."""
    return {
        snake_case(key): {snake_case(name): item for name, item in value.items()} if key in NESTED else value
        for key, value in options.items()
    }


def shown_context(context: Mapping[str, Any], key: str) -> Any:
    """Return a value of rxlink's context as it stands in a trace."""
    value = context.get(snake_case(key))
    if key in NESTED and isinstance(value, Mapping):
        return {_camel_case(name): item for name, item in value.items()}
    return value
