"""Pings, both ways: those of the server that are to be answered, and those that it has not answered yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

__all__ = ["PongHabits", "Pongs", "Questions"]

NUMBER: Final = "rxlink"
"""What the number of a ping is called in its payload."""

MOST_WAITING: Final = 100
MOST_CHARACTERS: Final = 1024 * 1024


class PongHabits:
    """What is known of a server's pongs, from all sockets to it.

    Attributes:
        are_bare: Whether one without a number may be the answer to a question; not where the server was seen to say
            the number, or to send such a pong without being asked.
    """

    __slots__ = ("are_bare",)

    def __init__(self) -> None:
        self.are_bare = True


class Questions:
    """Pings that the server has not answered yet.

    What answers is a pong with the number of a ping. Many servers leave out what came with a ping, so that a pong with
    nothing answers the oldest one, unless its habits are others. Until they are known, one that nobody has asked for
    cannot be told apart.

    Args:
        habits: What is known of its pongs.
    """

    __slots__ = ("_count", "_habits", "_waiting")

    def __init__(self, habits: PongHabits) -> None:
        self._waiting: deque[tuple[int | None, Callable[[], None]]] = deque()
        self._count = 0
        self._habits = habits

    def add(self, then: Callable[[], None]) -> Mapping[str, Any]:
        """Take note of a question; return what its ping carries."""
        self._count += 1
        self._waiting.append((self._count, then))
        return {NUMBER: self._count}

    def add_unnumbered(self) -> None:
        """Take note of a ping without anything: it is enough that the server answers."""
        self._waiting.append((None, _nothing))

    def answer(self, payload: Mapping[str, Any] | None) -> None:
        """Go on with what a pong answers: a question, and those before it, which have no other answer any more."""
        for _, then in [self._waiting.popleft() for _ in range(self._answered_by(payload))]:
            then()

    def _answered_by(self, payload: Mapping[str, Any] | None) -> int:
        """Return how many of those that wait need to wait no more."""
        numbers = [number for number, _ in self._waiting]
        if payload:
            number: Any = payload.get(NUMBER)
            if number is None or number not in numbers:
                return 0
            self._habits.are_bare = False  # it says the number where there is one
            return numbers.index(number) + 1
        if not numbers:
            self._habits.are_bare = False  # it says so without being asked
            return 0
        return 1 if self._habits.are_bare or numbers[0] is None else 0


class Pongs:
    """Answers to the server's pings that wait to be sent: few, however many pings there are.

    A server that asks, and does not read, gets the answers to the last of its questions (RFC 6455 section 5.5.3). Each
    has a place among the messages that wait, which stays where its answer is forgotten.
    """

    __slots__ = ("_places", "_size", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[str | bytes] = deque()
        self._size = 0
        self._places = 0

    def add(self, pong: str | bytes) -> bool:
        """Have another one wait; tell whether it needs a place."""
        self._waiting.append(pong)
        self._size += len(pong)
        while len(self._waiting) > MOST_WAITING or (self._size > MOST_CHARACTERS and len(self._waiting) > 1):
            self._size -= len(self._waiting.popleft())
        needs_place = self._places < len(self._waiting)
        self._places += needs_place
        return needs_place

    def take(self) -> str | bytes | None:
        """Return what is to be sent at the next place, None for nothing."""
        self._places -= 1
        if not self._waiting:
            return None
        pong = self._waiting.popleft()
        self._size -= len(pong)
        return pong


def _nothing() -> None:
    """Go on as before."""
