"""One operation as a trace knows it while it runs, and those that do."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

from rxlink.core.operation import Operation
from rxlink.trace.events import label

__all__ = ["Run", "Runs"]

NO_REFRESH: Final = 0
"""What an operation waits for that waits for stored tokens."""


class Run:
    """One operation, from its subscription to its end.

    Attributes:
        number: Counts the operations of a trace from 1.
        operation: The operation itself, so that no other one is taken for it.
        name: Its name as it was at the beginning.
        kind: Its type, likewise.
        holder_depth: How deep the link stands that has it, as far as is known: the one that waits, while it waits; -1
            where it is none that is traced.
        home: The first place that it came to.
        is_over: Whether that place has ended.
        last: The name of the place that it came to last.
        waits_for: The number of a refresh, ``NO_REFRESH`` for stored tokens, None while it does not wait.
    """

    __slots__ = (
        "_above",
        "_attempts",
        "_depths",
        "holder_depth",
        "home",
        "is_over",
        "kind",
        "last",
        "name",
        "number",
        "operation",
        "waits_for",
    )

    def __init__(self, number: int, operation: Operation, home: object) -> None:
        name: Any = operation.operation_name
        self.number = number
        self.operation = operation
        self.name: str | None = label(name) if isinstance(name, str) else None  # a link may put anything there
        self.kind = str(operation.operation_type)
        self.holder_depth = 0
        self.home = home
        self.is_over = False
        self.waits_for: int | None = None
        self.last: str | None = None
        self._attempts: dict[object, int] = {}
        self._depths: dict[object, int] = {}
        self._above: dict[object, str | None] = {}

    def above(self, place: object, known: str | None) -> str | None:
        """Return the name of the place from which it comes here; where that is not known, came here the first time."""
        return self._above.setdefault(place, known or self.last)

    def arrive(self, place: object) -> tuple[int, int]:
        """Take note that it comes to a place; return how deep that is, and how often it has come there."""
        depth = self._depths.setdefault(place, len(self._depths))
        attempt = self._attempts[place] = self._attempts.get(place, 0) + 1
        if place is self.home:
            self.is_over = False
        return depth, attempt


class Runs:
    """The operations that run, and those that have failed and may be sent again from above; the longest known go first.

    Args:
        most: How many are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: OrderedDict[int, Run] = OrderedDict()
        self._count = 0

    def of(self, operation: Operation, place: object) -> Run:
        """Return the run of an operation that comes to a place.

        One that comes to its first place while it is there already was subscribed twice, and that is two runs.
        """
        run = self._known.get(id(operation))
        if run is not None and (run.home is not place or run.is_over):
            return run
        self._count += 1
        run = self._known[id(operation)] = Run(self._count, operation, place)
        self._known.move_to_end(id(operation))
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        return run

    def forget(self, run: Run) -> None:
        """Forget one that is over for good."""
        if self._known.get(id(run.operation)) is run:
            del self._known[id(run.operation)]

    def waiting(self, name: str | None) -> Run | None:
        """Return the first of those who wait for stored tokens under a name."""
        return next((run for run in self._known.values() if run.waits_for == NO_REFRESH and run.name == name), None)

    def clear(self) -> None:
        """Forget all; numbers go on."""
        self._known.clear()
