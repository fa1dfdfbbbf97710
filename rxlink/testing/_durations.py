"""Durations as options: numbers of seconds or timedeltas, checked where they are given."""

from __future__ import annotations

from datetime import timedelta
from math import isfinite
from typing import cast

__all__ = ["Duration", "nonnegative_seconds", "positive_seconds"]

Duration = float | timedelta
"""Seconds as a number, or a timedelta."""


def positive_seconds(option: str, value: Duration) -> float:
    """Return a duration in seconds.

    Raises:
        ValueError: `value` is not a finite number above 0; the message names `option` and value.
    """
    seconds = nonnegative_seconds(option, value)
    if seconds == 0:
        raise ValueError(f"{option} must be more than 0 seconds, not {value!r}")
    return seconds


def nonnegative_seconds(option: str, value: Duration) -> float:
    """Return a duration in seconds.

    Raises:
        ValueError: `value` is not a finite number of at least 0; the message names `option` and
            value.
    """
    seconds = cast("object", value.total_seconds() if isinstance(value, timedelta) else value)
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise ValueError(f"{option} must be seconds (a number or a timedelta), not {value!r}")
    if not isfinite(seconds) or seconds < 0:
        raise ValueError(f"{option} must be a finite number of seconds, at least 0, not {value!r}")
    return float(seconds)
