"""What came of it: the operations as the client saw them, tokens and sends as the server's ledger has them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from rxlink.demo.calls import Outcome
from rxlink.testing.auth_server import Ledger

__all__ = ["Summary", "Tally", "problems_of"]


@dataclass(slots=True)
class Tally:
    """Counts the operations that have ended.

    Attributes:
        results: With their own right result.
        failed: Otherwise.
    """

    results: int = 0
    failed: list[Outcome] = field(default_factory=list[Outcome])

    @property
    def ended(self) -> int:
        """How many have ended."""
        return self.results + len(self.failed)

    def count(self, outcome: Outcome) -> None:
        """Take note of one."""
        if outcome.failure is None:
            self.results += 1
        else:
            self.failed.append(outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The numbers of one demo.

    Attributes:
        operations: How many were to be run.
        results: How many ended with their own right result.
        errors: How many ended otherwise.
        unfinished: How many did not end, or were never begun because the demo was given up.
        expiries: How many tokens were replaced.
        refreshes: How many refreshes were granted.
        retries: How many sends there were beyond the first of each operation.
        max_sends_per_operation: The largest number of sends of one operation.
        seconds: How long it took.
    """

    operations: int
    results: int
    errors: int
    unfinished: int
    expiries: int
    refreshes: int
    retries: int
    max_sends_per_operation: int
    seconds: float

    @classmethod
    def of(cls, operations: int, tally: Tally, ledger: Ledger, seconds: float) -> Summary:
        """Add up."""
        sends = ledger.all_sends
        return cls(
            operations=operations,
            results=tally.results,
            errors=len(tally.failed),
            unfinished=operations - tally.ended,
            expiries=ledger.expiries,
            refreshes=ledger.refreshes,
            retries=len(sends) - len({send.operation_id for send in sends}),
            max_sends_per_operation=ledger.max_sends_per_operation,
            seconds=round(seconds, 2),
        )

    def to_json(self) -> str:
        """Return it as one line of JSON."""
        return json.dumps(asdict(self))

    def lines(self) -> Iterator[str]:
        """Return it for a person."""
        yield (
            f"operations: {self.operations}, with their own result: {self.results}, errors: {self.errors}, "
            f"unfinished: {self.unfinished}"
        )
        yield (
            f"tokens replaced: {self.expiries}, refreshes: {self.refreshes}, operations sent again: {self.retries}, "
            f"most sends of one: {self.max_sends_per_operation}"
        )


def problems_of(summary: Summary, tally: Tally, ledger: Ledger) -> list[str]:
    """Say why a demo did not succeed; nothing if every operation has its result and the ledger is clean."""
    found = [f"{each.call.name} {each.failure}" for each in tally.failed]
    if summary.unfinished:
        found.append(f"{summary.unfinished} operations did not end")
    return found + ledger.violations()
