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
    "close",
    "frame",
]
Target = Literal["refresh", "graphql", "both", "websocket"]

_FIRST_ERROR, _LAST_ERROR = 400, 599
_FIRST_CODE, _LAST_CODE = 3000, 4999
_CODES_OF_WEBSOCKET = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})
_ONLY_FOR_REFRESH = frozenset({"invalid_grant", "expired_token"})
_ONLY_FOR_SOCKETS = frozenset({"close", "frame"})
_AT_HANDSHAKE = frozenset({"status", "too_many_requests"})
_NOT_IN_A_SOCKET = _AT_HANDSHAKE | {"not_json"}
_OF_SOCKETS = _ONLY_FOR_SOCKETS | _AT_HANDSHAKE | {"delay", "hang", "drop", "drop_after", "unauthenticated"}
_OF_OPEN_SOCKETS = _ONLY_FOR_SOCKETS | {"hang", "drop", "unauthenticated"}


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
        close_code: The code that a socket is closed with.
        close_reason: The reason that goes with it.
        frame_data: What a socket is sent.
    """

    kind: FaultKind
    seconds: float = 0.0
    status_code: int = 200
    retry_after: str | None = None
    content_type: str = "text/html"
    style: Unauthenticated = "result"
    claimed_life: float = 0.0
    close_code: int = 1000
    close_reason: str = ""
    frame_data: str | bytes = ""

    @classmethod
    def delay(cls, seconds: Duration) -> Fault:
        """Wait `seconds`, then go on as usual, unless the client has left by then."""
        return cls(kind="delay", seconds=nonnegative_seconds("seconds", seconds))

    @classmethod
    def hang(cls) -> Fault:
        """Never answer, until the client leaves or the server closes.

        A socket falls silent: no acknowledgement, no results, no answer to pings and closes.
        """
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
        a 401. A socket is refused as its server's `SocketRules` say, an operation on it by an
        `error`.
        """
        if style not in ("result", "status", "graphql-response"):
            raise ValueError(f"style must be 'result', 'status' or 'graphql-response', not {style!r}")
        return cls(kind="unauthenticated", style=style)

    @classmethod
    def close(cls, code: int, reason: str = "") -> Fault:
        """Close a socket with a code that may be sent, such as 4403, and a reason."""
        if not _FIRST_CODE <= code <= _LAST_CODE and code not in _CODES_OF_WEBSOCKET:
            raise ValueError(f"code must be one that a socket may be closed with, not {code!r}")
        return cls(kind="close", close_code=code, close_reason=reason)

    @classmethod
    def frame(cls, data: str | bytes = "<!doctype html>") -> Fault:
        """Send a socket a frame of text or of bytes that its protocol does not know, then go on as usual."""
        return cls(kind="frame", frame_data=data)

    @property
    def strikes_open_sockets(self) -> bool:
        """Whether it can strike a socket that has been open for a while."""
        return self.kind in _OF_OPEN_SOCKETS

    def after(self, seconds: Duration) -> Fault:
        """Return the same fault, striking only `seconds` after the request arrived.

        A socket lives as usual until then: its `connection_init` is what arrived.
        """
        return replace(self, seconds=nonnegative_seconds("seconds", seconds))


@dataclass(slots=True, kw_only=True)
class _Scripted:
    fault: Fault
    on: Target
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
        kind = self.fault.kind
        if arrival.endpoint in ("handshake", "connection"):
            return self.on == "websocket" and (kind in _AT_HANDSHAKE) == (arrival.endpoint == "handshake")
        if self.on == "websocket" or (arrival.endpoint == "websocket" and kind in _NOT_IN_A_SOCKET):
            return False
        if arrival.is_refresh:
            return self.on != "graphql"
        return self.on != "refresh" and kind not in _ONLY_FOR_REFRESH


class FaultScript:
    """The faults still to come. A request meets at most one: the first added that fits it."""

    def __init__(self) -> None:
        """Make an empty script."""
        self._scripted: list[_Scripted] = []

    def add(
        self,
        fault: Fault,
        *,
        on: Target = "refresh",
        times: int | None = 1,
        operation_name: str | None = None,
        when: Callable[[Arrival], bool] | None = None,
    ) -> None:
        """Add a fault to the end of the script.

        Args:
            fault: What goes wrong.
            on: `refresh` for every way to refresh, `graphql` for all other GraphQL operations, or
                `both`; operations over a socket are among them, and an answer of HTTP passes them
                by. `websocket` for sockets themselves: a status strikes as one is opened, all else
                as `connection_init` arrives or `after` that.
            times: How many requests it strikes; `None` for all from now on.
            operation_name: Strike only GraphQL operations of this name.
            when: Strike only requests for which this returns true. It is called for every request
                that fits otherwise.

        Raises:
            ValueError: `times` is less than 1, `on` is none of the four, or the fault cannot
                strike there.
        """
        if times is not None and times < 1:
            raise ValueError(f"times must be at least 1, or None for all requests, not {times!r}")
        if on not in ("refresh", "graphql", "both", "websocket"):
            raise ValueError(f"on must be 'refresh', 'graphql', 'both' or 'websocket', not {on!r}")
        if on in ("graphql", "websocket") and fault.kind in _ONLY_FOR_REFRESH:
            raise ValueError(f"on must be 'refresh' for Fault.{fault.kind}, not {on!r}")
        if on == "websocket" and fault.kind not in _OF_SOCKETS:
            raise ValueError(f"on must not be 'websocket' for Fault.{fault.kind}")
        if on != "websocket" and fault.kind in _ONLY_FOR_SOCKETS:
            raise ValueError(f"on must be 'websocket' for Fault.{fault.kind}, not {on!r}")
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
