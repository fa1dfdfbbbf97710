"""What subscriptions heard, and what the books of a server must say of their link."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from rxlink.transport.websocket import Resubscribed, WebSocketClosed, WebSocketConnected, WebSocketEvent
from tests.websocket.crowd import Crowd, Listener

__all__ = [
    "Overlap",
    "check_each_once",
    "check_gaps_are_told",
    "check_none_missing",
    "check_one_refresh",
    "figures",
    "overlaps_of",
]


@dataclass(frozen=True)
class Overlap:
    """The time in which two sockets were open: from one event, the second socket, to another, the end of the first."""

    begin: int
    end: int

    def has(self, events_before: int) -> bool:
        return self.begin < events_before <= self.end


def overlaps_of(events: list[tuple[float, WebSocketEvent]]) -> list[Overlap]:
    """Return the overlaps that a link told of."""
    found, sockets, begin = [], 0, None
    for place, (_, event) in enumerate(events):
        if isinstance(event, WebSocketConnected):
            sockets += 1
            begin = place if sockets == 2 else begin
        elif isinstance(event, WebSocketClosed):
            sockets -= 1
            if begin is not None:
                found.append(Overlap(begin, place))
                begin = None
    return found


def check_none_missing(crowd: Crowd) -> int:
    """No number is missing, and those that came twice did so within one overlap; returns how many those are."""
    overlaps = overlaps_of(crowd.events)
    return sum(_count_duplicates(listener, overlaps) for listener in crowd.listeners)


def _count_duplicates(listener: Listener, overlaps: list[Overlap]) -> int:
    came: list[int] = []
    for number, events_before in listener.heard:
        if number == len(came):
            came.append(events_before)
            continue
        assert number < len(came), f"{listener.key}: {number} came after {len(came) - 1}"
        both = [overlap for overlap in overlaps if overlap.has(events_before) and overlap.has(came[number])]
        assert both, f"{listener.key}: {number} came twice, and not within an overlap"
    assert came, f"{listener.key} heard nothing"
    return len(listener.heard) - len(came)


def check_each_once(crowd: Crowd) -> None:
    """Each number came once, in order."""
    for listener in crowd.listeners:
        assert listener.numbers, f"{listener.key} heard nothing"
        assert list(range(len(listener.numbers))) == listener.numbers, listener.key


def check_gaps_are_told(crowd: Crowd) -> int:
    """Numbers only rise, and where some are missing the link tells so; returns how many gaps there were."""
    told = [(place, event) for place, (_, event) in enumerate(crowd.events) if isinstance(event, Resubscribed)]
    gaps = 0
    for listener in crowd.listeners:
        for (before, events_before), (after, events_after) in pairwise(listener.heard):
            assert before < after, f"{listener.key}: {after} came after {before}"
            if after > before + 1:
                gaps += 1
                # Between the two, or, where what was held back came before it, by the next event.
                between = [event for place, event in told if events_before <= place < events_after]
                later = [event for place, event in told if place >= events_after]
                is_told = any(event.may_have_gap for event in between + later[:1])
                assert is_told, f"{listener.key}: a gap between {before} and {after} that nobody told of"
    return gaps


def check_one_refresh(books: dict[str, Any], expiries: int) -> float:
    """One refresh an expiry, one socket for each token, and the link has left each for a newer one.

    Returns how many seconds before the end of its token a socket was left, at the least.
    """
    assert [] == books["violations"]
    assert ["granted"] * books["refreshes"] == books["tries"]
    assert expiries <= books["refreshes"] == books["expiries"] == books["generations"] - 1
    assert 0 == books["refused"]
    sockets = books["sockets"]
    assert list(range(len(sockets))) == [each["generation"] for each in sockets]
    assert expiries <= len(sockets) - 1 <= books["refreshes"]
    assert {("client", 1000)} == {(each["closed_by"], each["code"]) for each in sockets}
    for older, newer in pairwise(sockets):
        assert newer["acknowledged"] <= older["closed"]
    return min(books["ends"][each["generation"]] - each["closed"] for each in sockets[:-1])


def figures(crowd: Crowd, books: dict[str, Any]) -> str:
    """Return for a person what happened."""
    heard = sum(len(listener.heard) for listener in crowd.listeners)
    told: dict[str, int] = {}
    for _, event in crowd.events:
        told[type(event).__name__] = told.get(type(event).__name__, 0) + 1
    counts = {
        key: len(value) if isinstance(value, list) and key != "violations" else value for key, value in books.items()
    }
    return f"{len(crowd.listeners)} subscriptions, {heard} numbers, events {told}; server: {counts}"
