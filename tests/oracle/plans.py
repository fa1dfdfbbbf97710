"""Results drawn at random, of which some parts come later.

A plan says which: objects with fields, some of them in deferred fragments (which may nest, stand in items of lists,
add to objects that are there already, or fail), and lists of which a part is streamed. It also says what comes of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeAlias

from hypothesis import strategies as st

__all__ = ["Deferred", "Fields", "Plan", "Planner", "Streamed", "joined"]

DEEPEST = 3
SOMETIMES = st.sampled_from([False, False, False, True])
SELDOM = st.sampled_from([False] * 9 + [True])
SCALARS = st.sampled_from([0, 1, -2.5, "", "ä€", True, False, None, 12345678901])
SIZES = st.integers(0, 3)
SHAPES = st.sampled_from(["scalar", "scalar", "object", "list", "scalars", "streamed", "lists"])


@dataclass
class Fields:
    """What a selection set asks of an object: fields, and fragments that come later."""

    values: dict[str, Plan] = field(default_factory=dict)
    deferred: list[Deferred] = field(default_factory=list)

    def whole(self) -> dict[str, Any]:
        """Return what the fields come to in all."""
        data = {name: _whole(value) for name, value in self.values.items()}
        for fragment in self.deferred:
            if not fragment.fails:
                data = joined(data, fragment.fields.whole())
        return data


@dataclass
class Deferred:
    """A deferred fragment; its fields are new ones, or add to objects that are there already."""

    fields: Fields
    label: str | None
    fails: bool


@dataclass
class Streamed:
    """A list of which some items come at once, and the others later; it may fail after its last one."""

    initial: list[Plan]
    later: list[Plan]
    label: str | None
    fails: bool


Plan: TypeAlias = "Fields | Streamed | list[Any] | str | float | None"


def joined(first: Any, second: Any) -> Any:
    """Return two parts of one value as one; what both have must be alike."""
    if isinstance(first, dict) and isinstance(second, dict):
        both = {name: joined(first[name], second[name]) for name in first.keys() & second.keys()}
        return {**first, **second, **both}
    if isinstance(first, list) and isinstance(second, list):
        return [joined(one, other) for one, other in zip(first, second, strict=True)]
    assert first == second
    return first


def _whole(plan: Plan) -> Any:
    if isinstance(plan, Fields):
        return plan.whole()
    if isinstance(plan, Streamed):
        return [_whole(item) for item in [*plan.initial, *plan.later]]
    return [_whole(item) for item in plan] if isinstance(plan, list) else plan


class Planner:
    """Draws a plan, and whatever else has to be drawn.

    Objects have fields of the same names, as the items of a list have. What a fragment asks for has names of its own.
    """

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self._labels = (f"label {number}" for number in count())

    def fields(self, depth: int = 0, prefix: str = "") -> Fields:
        """Return the fields of an object, and its fragments."""
        fields = Fields({f"{prefix}{name}": self._value(depth) for name in "abc"[: self.draw(SIZES)]})
        for number in range(self.draw(st.integers(0, 2)) if depth < DEEPEST else 0):
            fields.deferred.append(self._fragment(fields, depth + 1, f"{prefix}{number}"))
        return fields

    def is_drawn(self, chance: st.SearchStrategy[bool]) -> bool:
        """Tell whether something happens."""
        return self.draw(chance)

    def _fragment(self, around: Fields, depth: int, prefix: str) -> Deferred:
        fields = self.fields(depth, prefix)
        for name, value in around.values.items():
            if self.is_drawn(SOMETIMES) and not isinstance(value, Streamed):
                fields.values[name] = self._more_of(value, depth + 1, f"{prefix}_")
        return Deferred(fields, self._label(), self.is_drawn(SELDOM))

    def _more_of(self, value: Plan, depth: int, prefix: str) -> Plan:
        """Return what asks for something that is there already: for more of objects, for all else again."""
        if isinstance(value, Fields):
            return self.fields(depth, prefix)
        if isinstance(value, list):
            return [self._more_of(item, depth, prefix) for item in value]
        return value

    def _value(self, depth: int) -> Plan:
        shape = self.draw(SHAPES) if depth < DEEPEST else "scalar"
        if shape == "object":
            return self.fields(depth + 1)
        if shape == "streamed":
            return Streamed(self._items(depth), self._items(depth), self._label(), self.is_drawn(SELDOM))
        if shape == "lists":
            return [self._scalars(), self._scalars()]
        if shape == "list":
            return self._items(depth)
        return self._scalars() if shape == "scalars" else self.draw(SCALARS)

    def _items(self, depth: int) -> list[Plan]:
        if self.is_drawn(SOMETIMES):
            return self._scalars()
        return [self.fields(depth + 1) for _ in range(self.draw(SIZES))]

    def _scalars(self) -> list[Plan]:
        return [self.draw(SCALARS) for _ in range(self.draw(SIZES))]

    def _label(self) -> str | None:
        return next(self._labels) if self.is_drawn(SOMETIMES) else None
