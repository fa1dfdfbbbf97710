"""Scripted faults of an auth server: what goes wrong, for which requests, how many times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from rxlink.testing._durations import Duration, nonnegative_seconds
from rxlink.testing._ledger_records import Arrival

__all__ = ["Fault", "FaultScript", "Unauthenticated"]

Unauthenticated = Literal["result", "status", "graphql-response"]
"""How "not authenticated" is said: in a GraphQL result with status 200, as a 401 of
`application/json`, or as a 401 of `application/graphql-response+json`."""

FaultKind = Literal[
    "delay",
    "hang",
    "status",
    "too_many_requests",
    "invalid_grant",
    "not_json",
    "drop",
    "drop_after",
    "expired_token",
    "unauthenticated",
]

_FIRST_ERROR, _LAST_ERROR = 400, 599
_ONLY_FOR_REFRESH = frozenset({"invalid_grant", "expired_token"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong with a request. Make it with the named constructors.

    Attributes:
        kind: Which of the constructors made it.
        seconds: How long the request waits first.
        status_code: Status of an answer that is nothing but a status.
        retry_after: Text of the `Retry-After` header.
        content_type: Media type of a body that is no JSON.
        style: How "not authenticated" is said.
        claimed_life: The `expires_in`, in seconds, that comes with a token that has already ended.
    """

    kind: FaultKind
    seconds: float = 0.0
    status_code: int = 200
    retry_after: str | None = None
    content_type: str = "text/html"
    style: Unauthenticated = "result"
    claimed_life: float = 0.0

    @classmethod
    def delay(cls, seconds: Duration) -> Fault:
        """Wait `seconds`, then go on as usual, unless the client has left by then."""
        return cls(kind="delay", seconds=nonnegative_seconds("seconds", seconds))

    @classmethod
    def hang(cls) -> Fault:
        """Never answer, until the client leaves or the server closes."""
        return cls(kind="hang")

    @classmethod
    def status(cls, status_code: int) -> Fault:
        """Answer with a bare HTTP status from 400 to 599, such as 503, and process nothing."""
        if not _FIRST_ERROR <= status_code <= _LAST_ERROR:
            raise ValueError(f"status_code must be from 400 to 599, not {status_code!r}")
        return cls(kind="status", status_code=status_code)

    @classmethod
    def too_many_requests(cls, retry_after: int | str) -> Fault:
        """Answer 429 with `Retry-After`: whole seconds, or a text that is sent as it is."""
        if not isinstance(retry_after, str) and retry_after < 0:
            raise ValueError(f"retry_after must be at least 0 seconds, not {retry_after!r}")
        return cls(kind="too_many_requests", status_code=429, retry_after=str(retry_after))

    @classmethod
    def invalid_grant(cls) -> Fault:
        """Refuse a refresh for good, whatever its token; the token is not used up."""
        return cls(kind="invalid_grant")

    @classmethod
    def not_json(cls, content_type: str = "text/html") -> Fault:
        """Answer 200 with an HTML page, as a captive portal does, and process nothing."""
        return cls(kind="not_json", content_type=content_type)

    @classmethod
    def drop(cls) -> Fault:
        """Cut the connection before anything is processed."""
        return cls(kind="drop")

    @classmethod
    def drop_after(cls) -> Fault:
        """Process the request (a refresh rotates), then cut the connection: a lost answer."""
        return cls(kind="drop_after")

    @classmethod
    def expired_token(cls, claimed_life: Duration = 0.0) -> Fault:
        """Grant a refresh with an access token that has already ended.

        Args:
            claimed_life: The `expires_in`, in seconds, that the answer claims nevertheless. The
                default is honest.
        """
        return cls(kind="expired_token", claimed_life=nonnegative_seconds("claimed_life", claimed_life))

    @classmethod
    def unauthenticated(cls, style: Unauthenticated = "result") -> Fault:
        """Refuse a request as not authenticated, whatever token it carries.

        On the OAuth2 and cookie endpoints `result` is a 200 with an `error` member, any other style
        a 401.
        """
        if style not in ("result", "status", "graphql-response"):
            raise ValueError(f"style must be 'result', 'status' or 'graphql-response', not {style!r}")
        return cls(kind="unauthenticated", style=style)

    def after(self, seconds: Duration) -> Fault:
        """Return the same fault, striking only `seconds` after the request arrived."""
        return replace(self, seconds=nonnegative_seconds("seconds", seconds))


@dataclass(slots=True, kw_only=True)
class _Scripted:
    fault: Fault
    on: Literal["refresh", "graphql", "both"]
    times: int | None
    operation_name: str | None
    when: Callable[[Arrival], bool] | None

    def strikes(self, arrival: Arrival) -> bool:
        if self.times == 0 or not self._fits_target(arrival):
            return False
        if self.operation_name is not None and self.operation_name != arrival.operation_name:
            return False
        return self.when is None or self.when(arrival)

    def _fits_target(self, arrival: Arrival) -> bool:
        if arrival.is_refresh:
            return self.on != "graphql"
        return self.on != "refresh" and self.fault.kind not in _ONLY_FOR_REFRESH


class FaultScript:
    """The faults still to come. A request meets at most one: the first added that fits it."""

    def __init__(self) -> None:
        """Make an empty script."""
        self._scripted: list[_Scripted] = []

    def add(
        self,
        fault: Fault,
        *,
        on: Literal["refresh", "graphql", "both"] = "refresh",
        times: int | None = 1,
        operation_name: str | None = None,
        when: Callable[[Arrival], bool] | None = None,
    ) -> None:
        """Add a fault to the end of the script.

        Args:
            fault: What goes wrong.
            on: `refresh` for every way to refresh, `graphql` for all other GraphQL operations, or
            `both`.
            times: How many requests it strikes; `None` for all from now on.
            operation_name: Strike only GraphQL operations of this name.
            when: Strike only requests for which this returns true. It is called for every request
                that fits otherwise.

        Raises:
            ValueError: `times` is less than 1, `on` is none of the three, or the fault cannot
                strike there.
        """
        if times is not None and times < 1:
            raise ValueError(f"times must be at least 1, or None for all requests, not {times!r}")
        if on not in ("refresh", "graphql", "both"):
            raise ValueError(f"on must be 'refresh', 'graphql' or 'both', not {on!r}")
        if on == "graphql" and fault.kind in _ONLY_FOR_REFRESH:
            raise ValueError(f"on must be 'refresh' for Fault.{fault.kind}, not {on!r}")
        self._scripted.append(_Scripted(fault=fault, on=on, times=times, operation_name=operation_name, when=when))

    def clear(self) -> None:
        """Forget every fault. A request that already met one is not released."""
        self._scripted.clear()

    @property
    def remaining(self) -> tuple[Fault, ...]:
        """The faults that may strike again, in order; empty once the script has been played."""
        return tuple(scripted.fault for scripted in self._scripted if scripted.times != 0)

    def take(self, arrival: Arrival) -> Fault | None:
        """Return the fault that a request meets and count it, or `None`. The server calls this."""
        for scripted in self._scripted:
            if scripted.strikes(arrival):
                if scripted.times is not None:
                    scripted.times -= 1
                return scripted.fault
        return None
