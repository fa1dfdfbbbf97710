"""When a refresh may run: the back-off after failures, and the cool-down after refreshes that did not help."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import cast

from rxlink.errors import RETRYABLE_STATUSES, RxlinkError, TokenRefreshError

__all__ = ["Backoff", "CoolDown", "asked_pause", "is_transient"]

FIRST_DELAY = 0.5
LONGEST_DELAY = 10.0
"""Seconds between two tries after failures: doubling, with full jitter."""
FRESH_REJECTIONS = 3
COOL_DOWN = 30.0
"""After so many fresh tokens in a row were rejected, so many seconds without a refresh."""

_PROGRAMMING_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
)


def is_transient(error: BaseException) -> bool:
    """Tell whether trying again may help after this exception from a refresh callback.

    rxlink's own errors say so themselves. Of the others, programming errors are not transient, nor are those that carry
    a status between 400 and 499 (``status`` or ``status_code``, as HTTP libraries have it) other than 408, 425 and 429.
    A body that is no JSON (an outage page) and whatever else a HTTP library may raise are.
    """
    if isinstance(error, RxlinkError):
        return error.retryable
    status = getattr(error, "status", None) or getattr(error, "status_code", None)
    if isinstance(status, int) and HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return status in RETRYABLE_STATUSES
    return isinstance(error, json.JSONDecodeError) or not isinstance(error, _PROGRAMMING_ERRORS)


def asked_pause(error: BaseException, now: datetime) -> float | None:
    """Return how many seconds a server asked to wait before the next try; None if it did not say.

    It may say so as ``retry_after`` of an error, or in a ``Retry-After`` header that an error carries, in seconds or as
    a date (RFC 9110 section 10.2.3).
    """
    if isinstance(error, TokenRefreshError):
        return error.retry_after
    headers: object = getattr(error, "headers", None)
    if not isinstance(headers, Mapping):
        return None
    names = {str(name).lower(): str(value) for name, value in cast("Mapping[object, object]", headers).items()}
    said = names.get("retry-after", "").strip()
    if said.isascii() and said.isdigit():
        return float(said[:9])
    try:
        return (parsedate_to_datetime(said) - now).total_seconds()
    except (TypeError, ValueError):
        return None


class Backoff:
    """The distance between tries after failures; it outlives the refresh that failed."""

    def __init__(self) -> None:
        self._failures = 0
        self._delay = 0.0
        self._until: datetime | None = None
        self.last_error: Exception | None = None

    def fail(self, error: Exception, now: datetime) -> float:
        """Note a failure and return how many seconds to wait; ``Retry-After`` wins over the doubling."""
        longest = min(LONGEST_DELAY, FIRST_DELAY * 2**self._failures)
        self._failures = min(self._failures + 1, 32)  # beyond, only the power would grow
        asked = asked_pause(error, now)
        # A server that asks for no pause at all gets the usual one.
        self._delay = asked if asked is not None and asked > 0 else random.uniform(0, longest)  # noqa: S311 - no secret
        self._until = now + timedelta(seconds=min(self._delay, timedelta.max.total_seconds() / 1e3))
        self.last_error = error
        return self._delay

    def delay_at(self, now: datetime) -> float:
        """Return the seconds still to wait; never more than was asked for, whatever the clock does."""
        if self._until is None:
            return 0.0
        return min(max((self._until - now).total_seconds(), 0.0), self._delay)

    def reset(self) -> None:
        """Forget all failures."""
        self.__init__()


class CoolDown:
    """A pause when the tokens that refreshes bring are rejected as well: more of them would not help."""

    def __init__(self) -> None:
        self._rejections = 0
        self._until: datetime | None = None

    def count_rejection(self, now: datetime) -> None:
        """Note that a token fresh from a refresh was rejected."""
        self._rejections += 1
        if self._rejections >= FRESH_REJECTIONS:
            self._rejections = 0
            self._until = now + timedelta(seconds=COOL_DOWN)

    def is_on(self, now: datetime) -> bool:
        """Tell whether no refresh should run now."""
        # Also not if the clock was set back to before its beginning.
        return self._until is not None and timedelta(0) < self._until - now <= timedelta(seconds=COOL_DOWN)

    def reset(self) -> None:
        """Forget all rejections: a token was accepted, or somebody signed in."""
        self._rejections = 0
        self._until = None
