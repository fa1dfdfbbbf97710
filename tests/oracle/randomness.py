"""Chosen chance: what `Math.random` gives in the worker, `random` gives here."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from unittest import mock

__all__ = ["scripted_randomness"]


@contextmanager
def scripted_randomness(values: Sequence[float]) -> Iterator[None]:
    """Let `random.random` and `random.uniform` draw the given numbers, from 0 to 1, over and over."""
    draws = itertools.cycle(values)

    def uniform(low: float, high: float) -> float:
        return low + (high - low) * next(draws)

    with mock.patch.object(random, "random", draws.__next__), mock.patch.object(random, "uniform", uniform):
        yield
