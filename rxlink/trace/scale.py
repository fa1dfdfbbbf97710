"""Where a moment stands in a picture: in proportion, but time in which nothing happens is shortened."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Final

from rxlink.trace.stories import Stories

__all__ = ["Gap", "Scale", "in_digits", "scale_of"]

LONG: Final = 80
"""A stretch without an event is long from this part of the whole on, such as an eightieth."""
USUAL: Final = 8
"""And if it is so many times as long as the usual one."""
SHARE: Final = 30
"""Then it takes this part of the room that all others take together."""
WAITED_FOR: Final = 10
"""Or so many times that, if operations are under way."""
DIGITS: Final = (2, 3, 4)


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch in which nothing happened, and that is shortened.

    Attributes:
        began: Seconds.
        ended: Seconds.
    """

    began: float
    ended: float


class Scale:
    """Maps seconds to shares of the width, from 0 to 1.

    Args:
        moments: When something happens, in seconds.
        is_waited_for: Tells whether an operation was under way all the time between two moments: then it is shortened
            less.
    """

    def __init__(self, moments: Iterable[float], is_waited_for: Callable[[float, float], bool] | None = None) -> None:
        self._moments = sorted({0.0, *moments})
        steps = [later - earlier for earlier, later in pairwise(self._moments)]
        longest = max(sum(steps) / LONG, USUAL * median(steps)) if steps else 0.0
        busy = sum(step for step in steps if step <= longest)
        short = busy / SHARE or longest
        self._places = [0.0]
        self.gaps: list[Gap] = []
        for (earlier, later), step in zip(pairwise(self._moments), steps, strict=True):
            is_long = step > longest
            if is_long:
                self.gaps.append(Gap(earlier, later))
            weight = WAITED_FOR if is_long and is_waited_for is not None and is_waited_for(earlier, later) else 1
            self._places.append(self._places[-1] + (min(step, short * weight) if is_long else step))

    def at(self, seconds: float) -> float:
        """Return where a moment stands."""
        whole = self._places[-1]
        if whole <= 0:
            return 0.0
        after = bisect_right(self._moments, seconds)
        if after >= len(self._moments):
            return 1.0
        earlier, later = self._moments[after - 1], self._moments[after]
        part = (seconds - earlier) / (later - earlier)
        return (self._places[after - 1] + part * (self._places[after] - self._places[after - 1])) / whole

    def points(self) -> Iterator[tuple[float, float]]:
        """Return moments with their places: between two of them it is a straight line."""
        return ((moment, self.at(moment)) for moment in self._moments)

    def ticks(self, most: int) -> list[float]:
        """Return moments to be named along the axis.

        They are the beginning, the end, those after a gap, and others at which something happens.

        Args:
            most: How many at most.
        """
        wanted = [0.0, *(gap.ended for gap in self.gaps), self._moments[-1], *self._moments]
        shown: list[float] = []
        for moment in wanted:
            if all(abs(self.at(moment) - self.at(other)) >= 1 / max(most, 1) for other in shown):
                shown.append(moment)
        return sorted(shown)


def in_digits(moments: Sequence[float]) -> list[str]:
    """Return moments as text, with as many digits as it takes to tell them apart: two to four behind the point."""
    words: list[str] = []
    for digits in DIGITS:
        words = [f"{moment:.{digits}f}" for moment in moments]
        if len(set(words)) == len(words):
            break
    return words


def scale_of(stories: Stories) -> Scale:
    """Return the scale on which a trace is drawn."""
    moments = [event.seconds for story in stories.operations for event in story.events]
    ends = [moment for refresh in stories.refreshes.values() for moment in (refresh.began, refresh.ended)]
    lives = [(story.began, story.ended) for story in stories.operations if story.ended is not None]

    def is_waited_for(earlier: float, later: float) -> bool:
        return any(began <= earlier and ended >= later for began, ended in lives)

    return Scale([*moments, *(moment for moment in ends if moment is not None), stories.seconds], is_waited_for)
