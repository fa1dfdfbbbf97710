"""When a refresh may run: the back-off after failures, and the cool-down after refreshes that did not help."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Literal, TypeAlias, cast

from rxlink.auth.tokens import shifted
from rxlink.core.options import kind_of
from rxlink.core.timing import Duration, to_seconds
from rxlink.errors import RETRYABLE_STATUSES, InvariantError, InvariantTypeError, RxlinkError, TokenRefreshError

__all__ = [
    "Backoff",
    "BackoffOptions",
    "CoolDown",
    "CoolDownOptions",
    "OnRefreshOutage",
    "asked_pause",
    "is_transient",
    "may_have_arrived",
]

LONGEST_ASKED = 24 * 3600.0
"""Seconds; who asks for a longer pause has sent a date, or nonsense, and says nothing."""

OnRefreshOutage: TypeAlias = Literal["wait", "fail", "use_stale"]
"""What becomes of operations whose token is at its end, while the issuer cannot be reached."""

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
    pause = _said_pause(error, now)
    return pause if pause is not None and pause <= LONGEST_ASKED else None


def _said_pause(error: BaseException, now: datetime) -> float | None:
    if isinstance(error, TokenRefreshError):
        said_by_error: object = error.retry_after
        is_number = isinstance(said_by_error, (int, float)) and not isinstance(said_by_error, bool)
        return error.retry_after if is_number else None
    headers: object = getattr(error, "headers", None)
    if not isinstance(headers, Mapping):
        return None
    names = {str(name).lower(): str(value) for name, value in cast("Mapping[object, object]", headers).items()}
    said = names.get("retry-after", "").strip()
    if said.isascii() and said.isdigit():
        return float(said[:20])
    try:
        until = parsedate_to_datetime(said)
        # By the clock that said it, where that shows itself: ours may be wrong.
        return (until - (parsedate_to_datetime(names["date"]) if "date" in names else now)).total_seconds()
    except (TypeError, ValueError):
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackoffOptions:
    """The pauses between the tries of a refresh after failures that may pass: doubling, with full jitter.

    Attributes:
        initial: The longest first pause, in seconds; each is drawn from 0 up to its bound.
        max: The bound beyond which the doubling does not go.
    """

    initial: Duration = 0.5
    max: Duration = 10.0

    def __post_init__(self) -> None:
        """Check the durations.

        Raises:
            InvariantError: One makes no sense, or the first pause is longer than the longest.
            InvariantTypeError: One is no duration.
        """
        initial = to_seconds("initial", self.initial, may_be_zero=False)
        longest = to_seconds("max", self.max, may_be_zero=False)
        if initial > longest:
            raise InvariantError(f"`initial` is {initial:g} s and `max` {longest:g} s; `max` must not be the shorter")


@dataclass(frozen=True, slots=True, kw_only=True)
class CoolDownOptions:
    """When refreshes stop for a while because the tokens that they bring are rejected too.

    Attributes:
        after: How many fresh tokens in a row.
        duration: For how many seconds.
    """

    after: int = 3
    duration: Duration = 30.0

    def __post_init__(self) -> None:
        """Check both.

        Raises:
            InvariantError: The count is less than 1, or the duration makes no sense.
            InvariantTypeError: One has the wrong type.
        """
        if not isinstance(self.after, int) or isinstance(self.after, bool):  # pyright: ignore[reportUnnecessaryIsInstance] - may be untyped
            raise InvariantTypeError(f"`after` is {kind_of(self.after)}; give a count of tokens")
        if self.after < 1:
            raise InvariantError(f"`after` is {self.after}; give 1 or more")
        to_seconds("duration", self.duration)


_NEVER_SENT = frozenset({
    "ClientConnectorError", "ConnectError", "ConnectTimeout", "ConnectionRefusedError", "NewConnectionError",
    "gaierror",
})  # fmt: skip
_CUT_OFF = frozenset({
    "BrokenPipeError", "ChunkedEncodingError", "ClientOSError", "ClientPayloadError", "ConnectionAbortedError",
    "ConnectionResetError", "IncompleteRead", "IncompleteReadError", "ProtocolError", "ReadError",
    "RemoteProtocolError", "ServerDisconnectedError", "TimeoutError", "WriteError",
})  # fmt: skip
"""What HTTP libraries call it when no connection was made, and when one broke, or no answer came in time."""


def may_have_arrived(error: Exception) -> bool:
    """Tell whether a request may have reached the issuer although its answer did not come.

    rxlink's own errors say so themselves. Others are known by the names of their classes and of those that they are
    derived from; of one that has none of these names nobody knows, and it is taken for a no.
    """
    said: object = getattr(error, "may_have_arrived", None)
    if isinstance(said, bool):
        return said
    inner: object = getattr(error, "reason", None)  # as urllib has it
    names = {kind.__name__ for found in (error, inner) for kind in type(found).__mro__}
    return not names & _NEVER_SENT and bool(names & _CUT_OFF)


class Backoff:
    """The distance between tries after failures; it outlives the refresh that failed."""

    def __init__(self, options: BackoffOptions | None = None) -> None:
        self._options = options or BackoffOptions()
        self._failures = 0
        self._delay = 0.0
        self._until: datetime | None = None
        self.last_error: Exception | None = None

    def fail(self, error: Exception, now: datetime) -> float:
        """Note a failure and return how many seconds to wait; ``Retry-After`` wins over the doubling."""
        initial, longest = to_seconds("initial", self._options.initial), to_seconds("max", self._options.max)
        longest = min(longest, initial * 2**self._failures)
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
        left = (self._until - now).total_seconds()
        if left > self._delay:  # the clock was set back, and would keep us waiting as often as we are asked
            left, self._until = self._delay, shifted(now, self._delay)
        return max(left, 0.0)

    def reset(self) -> None:
        """Forget all failures."""
        self.__init__(self._options)


class CoolDown:
    """A pause when the tokens that refreshes bring are rejected as well: more of them would not help."""

    def __init__(self, options: CoolDownOptions | None = None) -> None:
        options = options or CoolDownOptions()
        self._after = options.after
        self._duration = timedelta(seconds=to_seconds("duration", options.duration))
        self._rejections = 0
        self._until: datetime | None = None

    def count_rejection(self, now: datetime) -> None:
        """Note that a token fresh from a refresh was rejected."""
        self._rejections += 1
        if self._rejections >= self._after:
            self._rejections = 0
            self._until = now + self._duration

    def is_on(self, now: datetime) -> bool:
        """Tell whether no refresh should run now."""
        # Also not if the clock was set back to before its beginning.
        return self._until is not None and timedelta(0) < self._until - now <= self._duration

    def reset(self) -> None:
        """Forget all rejections: a token was accepted, or somebody signed in."""
        self._rejections = 0
        self._until = None
