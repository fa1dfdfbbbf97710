"""One subscription in both traces, how it may differ, and small questions about its events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.oracle.scenario import Event, Scenario, Trace

__all__ = ["Accepted", "Pair", "class_of", "event_at", "last_of"]


@dataclass(frozen=True)
class Pair:
    """The events of one subscription in both traces, in canonical form.

    Attributes:
        scenario: The scenario.
        key: The operation, and which subscription to it.
        apollo: Apollo's events.
        rxlink: Ours.
        everything: Apollo's events of all subscriptions.
    """

    scenario: Scenario
    key: tuple[str, int]
    apollo: Trace
    rxlink: Trace
    everything: Trace

    def with_apollo(self, events: Trace) -> Pair:
        """Return the pair with other events of Apollo."""
        return replace(self, apollo=events)


@dataclass(frozen=True)
class Accepted:
    """One accepted difference."""

    name: str
    reason: str
    applies: Callable[[Scenario], bool]
    rewrite: Callable[[Pair], Trace | None]


def event_at(events: Trace, place: int) -> Event:
    return events[place] if 0 <= place < len(events) else {}


def last_of(events: Trace) -> Event:
    return events[-1] if events else {"event": ""}


def class_of(event: Event) -> str:
    return event.get("error", {}).get("class", "")
