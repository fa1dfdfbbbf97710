"""When a connection that was lost is made again: what the links have in common that keep subscriptions alive."""

from __future__ import annotations

import random
from typing import Final

from rxlink.errors import InvariantError, InvariantTypeError

__all__ = ["DEFAULT_RETRY_ATTEMPTS", "NO_END", "default_retry_wait", "whole_number"]

DEFAULT_RETRY_ATTEMPTS: Final = 5
SHORTEST_JITTER: Final = 0.3  # seconds
LONGEST_JITTER: Final = 3.0  # seconds
LARGEST_EXPONENT: Final = 6  # of 2 seconds: waits grow to 64 s
NO_END: Final = ", or None for tries without end"


def default_retry_wait(retries: int) -> float:
    """Return 1, 2, 4 ... 64 seconds, and at random 0.3 to 3 s more, so that not all clients come back at once.

    From the seventh wait on it stays 64 s: a link that tries without end comes back soon after its server.
    """
    return 2.0 ** min(retries, LARGEST_EXPONENT) + random.uniform(SHORTEST_JITTER, LONGEST_JITTER)  # noqa: S311 - no secret


def whole_number(name: str, value: object, or_else: str = "") -> int:
    """Return an option that is a whole number, 0 or more.

    Raises:
        InvariantTypeError: It is no whole number.
        InvariantError: It is negative.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvariantTypeError(f"`{name}` is {value!r}; give a whole number{or_else}")
    if value < 0:
        raise InvariantError(f"`{name}` is {value}; give 0 or more{or_else}")
    return value
