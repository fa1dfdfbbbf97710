"""How the demo deals its operations: to one chapter for each token that ends, and there to waves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import cycle, islice
from random import Random
from typing import Final

from rxlink.demo.calls import Call

__all__ = ["Chapter", "Plan", "Twist", "chapters_of"]

SHARE_OF_MUTATIONS: Final = 0.3


class Twist(Enum):
    """How a token comes to its end; the value is the chapter's title."""

    ENDED = "a token reaches its end"
    OUTAGE = "the next one ends while refreshing fails"
    REVOKED = "the server revokes a token early"
    ENDS_SOON = "a token is replaced before its end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run.

    Attributes:
        operations: How many operations.
        expiries: How many tokens are to be replaced; at most one for each operation.
        token_life: Seconds for which an access token is accepted.
        seed: Chooses which operations are mutations.
    """

    operations: int = 300
    expiries: int = 3
    token_life: float = 2.0
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Chapter:
    """The life of one token.

    Attributes:
        twist: How it ends.
        calm: The waves in the middle of its life.
        last: The wave that meets its end; at least one operation.
    """

    twist: Twist
    calm: list[list[Call]]
    last: list[Call]


def chapters_of(plan: Plan) -> list[Chapter]:
    """Deal the operations, evenly: half of a chapter's meet the end of its token, the others come before it."""
    chooser = Random(plan.seed)  # noqa: S311 - a mixture, not a secret
    numbers = range(1, plan.operations + 1)
    calls = iter([Call(number, chooser.random() < SHARE_OF_MUTATIONS) for number in numbers])
    chapters: list[Chapter] = []
    for twist, size in zip(cycle(Twist), _even(plan.operations, plan.expiries)):
        calm = [list(islice(calls, each)) for each in _even(size // 2, 2) if each]
        chapters.append(Chapter(twist, calm, list(islice(calls, size - size // 2))))
    return chapters


def _even(total: int, parts: int) -> Iterator[int]:
    """Split a number into parts that differ by one at most, the larger first."""
    return (total // parts + (part < total % parts) for part in range(parts))
