"""What a trace is made of: events, each of one operation at one place of a chain, or of one refresh. Never a secret.

No header, variable, value or token is in them, nor the message of an error: that may quote anything. What an error says
in numbers is there (a status, a close code, seconds), and the codes of GraphQL errors that look like words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, cast

from rxlink.core.result import graphql_errors, has_data
from rxlink.errors import (
    NetworkTimeout,
    ResponseTooLarge,
    RxlinkError,
    ServerError,
    ServerParseError,
    SocketClosed,
    TokenRefreshTimeout,
)

__all__ = ["TraceEvent", "TraceKind", "codes_of", "error_words", "has_any_data", "label"]

CODE: Final = re.compile(r"[A-Za-z][A-Za-z_.-]{0,47}[0-9]{0,4}")
"""What a code of an error looks like: ``UNAUTHENTICATED``, ``invalid-jwt``, ``P2002``; a token has more digits."""
OTHER: Final = "(other)"
"""In the place of a code that does not look like one."""
MOST_CODES: Final = 5
LONGEST: Final = 80
"""Characters of a name; GraphQL sets no limit."""


class TraceKind(StrEnum):
    """What happened."""

    STARTED = "started"
    """The operation was subscribed, and came to the first place of the chain that is traced."""
    FORWARDED = "forwarded"
    """It came to a further place: the link above has passed it on; ``attempt`` counts how often."""
    RESULT = "result"
    """The link of this place has sent a result upwards."""
    ERROR = "error"
    """The link of this place has ended with an error."""
    COMPLETED = "completed"
    """The link of this place has ended."""
    DISPOSED = "disposed"
    """This place was left from above: by the subscriber where it is the first, else by the link above it."""
    BROKEN = "broken"
    """A callback of the subscriber raised, of which the stream has died."""
    WAITING = "waiting"
    """The operation began to wait for a refresh; where ``refresh`` is None, for stored tokens."""
    REFRESHED = "refreshed"
    """What it waited for is over, and it goes on."""
    RETRIED = "retried"
    """Its token was rejected, and it is sent again with another one."""
    REFRESH_STARTED = "refresh started"
    REFRESH_TRY_FAILED = "refresh try failed"
    REFRESH_SUCCEEDED = "refresh succeeded"
    REFRESH_FAILED = "refresh failed"
    REFRESH_SUPERSEDED = "refresh superseded"
    """It ended without an outcome of its own: others were faster (``text``: ``adopted``), or signed in or out."""
    SESSION = "session"
    """Something else happened to a session; ``text`` has the class of its event, such as ``Ended``."""


@dataclass(frozen=True, slots=True)
class TraceEvent:
    """One thing that happened.

    Attributes:
        number: Counts the events of a trace from 1; who was dropped has had a number too.
        seconds: Since the trace's first event, by the subscriber's scheduler or the event loop's clock.
        kind: What.
        operation: The number of the operation, None where it is nobody's.
        operation_name: Its name, None if it is anonymous.
        operation_type: ``"query"``, ``"mutation"`` or ``"subscription"``.
        place: The name of the link to which it came, or which has answered; None for what a session tells.
        above: The name of the link above it, None where there is none, or it is not traced.
        depth: 0 at the first place of this operation.
        attempt: How often the operation has come to this place.
        is_transport: Whether the link of this place never forwards.
        refresh: The number of the refresh that it is about.
        session: The name of the session, if it has one.
        has_data: Of a result: whether a field of it has a value.
        codes: Of a result with errors: their codes, the first five; None where it has no errors.
        error: The class of an error.
        text: More of it: numbers of an error, the reason of a refresh.
    """

    number: int
    seconds: float
    kind: TraceKind
    operation: int | None = None
    operation_name: str | None = None
    operation_type: str | None = None
    place: str | None = None
    above: str | None = None
    depth: int = 0
    attempt: int = 1
    is_transport: bool = False
    refresh: int | None = None
    session: str | None = None
    has_data: bool | None = None
    codes: tuple[str, ...] | None = None
    error: str | None = None
    text: str | None = None

    @property
    def outcome(self) -> str:
        """What a result or an error was, in a word or two; empty for anything else."""
        if self.kind is TraceKind.RESULT and self.codes is not None:
            return f"errors {', '.join(self.codes)}" if self.codes else "errors"
        if self.kind is TraceKind.RESULT:
            return "data" if self.has_data else "no data"
        return " ".join(filter(None, (self.error, self.text and f"({self.text})"))) if self.error else ""


def label(text: str) -> str:
    """Return text that is fit to be shown anywhere: of one line, without control characters, and not too long."""
    shown = "".join(sign if sign.isprintable() else "?" for sign in text[: LONGEST + 1])
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 3]}..."


def has_any_data(result: Any) -> bool:
    """Tell whether a result has a value; whatever a link has sent as one."""
    return isinstance(result, Mapping) and has_data(cast("dict[str, Any]", result))


def codes_of(result: Any) -> tuple[str, ...] | None:
    """Return the codes of a result's errors, None where it has no errors; errors that are no list have no codes."""
    if not isinstance(result, Mapping):
        return None
    said = cast("dict[str, Any]", result)
    errors = graphql_errors(said)
    if errors is None:
        return () if "errors" in said and said["errors"] and not isinstance(said["errors"], list) else None
    return tuple(dict.fromkeys(filter(None, map(_code, errors[:MOST_CODES]))))


def _code(error: Any) -> str | None:
    extensions: Any = cast("Mapping[str, Any]", error).get("extensions") if isinstance(error, Mapping) else None
    code: Any = cast("Mapping[str, Any]", extensions).get("code") if isinstance(extensions, Mapping) else None
    if code is None:
        return None
    return code if isinstance(code, str) and CODE.fullmatch(code) else OTHER


def error_words(error: BaseException) -> str | None:
    """Say in numbers what an error says; its message may quote a secret, and is left out."""
    match error:
        case ServerError(status_code=number) | ServerParseError(status_code=number):
            words = "status {:g}"
        case SocketClosed(code=number):
            words = "code {:g}"
        case NetworkTimeout(seconds=number) | TokenRefreshTimeout(seconds=number):
            words = "after {:g} s"
        case ResponseTooLarge(limit=number):
            words = "more than {:g} bytes"
        case RxlinkError(retryable=True):
            return "may pass"
        case _:
            return None
    # Whoever has made the error may have put anything there.
    return words.format(number) if isinstance(number, (int, float)) else None  # pyright: ignore[reportUnnecessaryIsInstance] - see above
