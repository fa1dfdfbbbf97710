"""Numbers in the words of a trace: times, ranges of them, and how many there are of something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["counted", "range_words", "time_words"]

TENTH: Final = 0.1
"""Seconds: below, a time has three digits behind the point."""
HUNDRED: Final = 100.0
"""From here on it has none."""


def range_words(seconds: Sequence[float]) -> str:
    """Say the least and the most of some times, or their only one."""
    least, most = time_words(min(seconds)), time_words(max(seconds))
    return least if least == most else f"{least.removesuffix(' s')} to {most}"


def time_words(seconds: float) -> str:
    """Say a time, with more digits where it is short."""
    digits = 3 if seconds < TENTH else 2 if seconds < HUNDRED else 0
    return f"{seconds:.{digits}f} s"


def counted(number: int, one: str, many: str | None = None) -> str:
    """Say how many there are of something."""
    return f"{number} {one if number == 1 else many or one + 's'}"
