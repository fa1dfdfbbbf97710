"""Puts a piece of a result into what has come before, and leaves that as it was.

Ports: ``@apollo/client`` 4.3.8 ``src/utilities/internal/DeepMerger.ts``, with its strategy "truncate".
Differs: a piece for a place that cannot be there is an error (there it becomes whatever JavaScript makes of it, such as
an array with holes).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias, cast

__all__ = ["MISSING", "BadIncrement", "Change", "Path", "changed_at", "merged"]

Path: TypeAlias = Sequence[str | int]
Change: TypeAlias = Callable[[Any], Any]

MISSING: Final = object()
"""What stands where nothing stands yet."""


class BadIncrement(Exception):
    """A piece does not fit what it says it belongs to; the message says why, and has no value of the result in it."""


def merged(target: Any, source: Any) -> Any:
    """Return what a value becomes when another one comes for the same place; neither is changed.

    Objects are merged by name, and lists item by item up to the length of the newer one; else the newer value stays.
    """
    if isinstance(target, dict) and isinstance(source, dict):
        kept, added = cast("dict[str, Any]", target), cast("dict[str, Any]", source)
        both = {name: merged(kept[name], value) for name, value in added.items() if name in kept}
        return {**kept, **added, **both}
    if isinstance(target, list) and isinstance(source, list):
        old, new = cast("list[Any]", target), cast("list[Any]", source)
        return [*map(merged, old, new), *new[len(old) :]]
    return source


def changed_at(root: Any, path: Path, change: Change) -> Any:
    """Return a value in which another one stands at a path: what the change makes of the one that stands there now.

    The objects and lists on the way are copied, all else is shared. Objects that are not there yet are made.

    Raises:
        BadIncrement: The path leads through something that is neither an object nor a list, or past a list's end.
    """
    top: list[Any] = [root]
    holder: Any = top
    step: str | int = 0
    for place, key in enumerate(path):
        inner = _copied(_get(holder, step), key, place)
        _put(holder, step, inner)
        holder, step = inner, key
    _put(holder, step, change(_get(holder, step)))
    return top[0]


def _get(holder: Any, key: str | int) -> Any:
    if isinstance(key, str):
        return holder.get(key, MISSING)
    return holder[key] if key < len(holder) else MISSING


def _put(holder: Any, key: str | int, value: Any) -> None:
    if isinstance(key, int) and key == len(holder):
        holder.append(value)
    else:
        holder[key] = value


def _copied(value: Any, key: str | int, place: int) -> Any:
    """Return a copy of what a key of a path is looked up in."""
    if isinstance(key, str):
        if value is MISSING:
            return {}
        if isinstance(value, dict):
            return {**cast("dict[str, Any]", value)}
    elif value is MISSING and key == 0:
        return []
    elif isinstance(value, list) and key <= len(cast("list[Any]", value)):
        return [*cast("list[Any]", value)]
    raise BadIncrement(f"step {place + 1} of a path leads to where nothing is")
