"""What a server's sockets do about tokens, and what is written down of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rxlink.testing._durations import Duration, nonnegative_seconds, positive_seconds
from rxlink.testing._ledger_records import Generation

__all__ = ["SocketClosedBy", "SocketRecord", "SocketRefusal", "SocketRules"]

SocketRefusal = Literal[4401, 4403, "error"]
"""How a socket without a good token is refused: closed with a code, or each of its operations."""

SocketClosedBy = Literal["client", "server", "lost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketRules:
    """How a server treats its sockets.

    Attributes:
        refusal: What a socket without a good access token meets: 4403 and 4401 close it, with the
            reasons Forbidden and Unauthorized (in the older protocol a `connection_error` and code
            1011); with `error` it is acknowledged, and each operation that needs a token is refused
            as UNAUTHENTICATED.
        ends_with_token: Whether the end of the token, or its revocation, is the end of the socket
            too, as it is refused above. With `refusal="error"` it is the end of its subscriptions.
        leeway: For how many seconds after the end of its token a socket is left open all the same.
            New ones, and operations, need a good token.
        init_timeout: For how many seconds a socket waits for `connection_init`, before it is closed
            with 4408.
    """

    refusal: SocketRefusal = 4403
    ends_with_token: bool = True
    leeway: Duration = 0.0
    init_timeout: Duration = 3.0

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            ValueError: One is out of range; the message names it and its value.
        """
        if self.refusal not in (4401, 4403, "error"):
            raise ValueError(f"refusal must be 4401, 4403 or 'error', not {self.refusal!r}")
        nonnegative_seconds("leeway", self.leeway)
        positive_seconds("init_timeout", self.init_timeout)


@dataclass(slots=True, kw_only=True, eq=False)
class SocketRecord:
    """One socket and its fate.

    Times are seconds of the server's `clock`; `None` means that it has not happened.

    Attributes:
        opened: When it was accepted.
        protocol: Its subprotocol; `None` if the two sides have none in common.
        initialised: When `connection_init` arrived.
        token_fingerprint: Start of the SHA-256 of the token in it; `None` if there was none.
        generation: The generation of that token; `None` for no token or an unknown one.
        acknowledged: When `connection_ack` was sent.
        operations: How many were started on it.
        closed: When it ended.
        closed_by: Who ended it: `client` or `server`, or nobody who said so (`lost`).
        code: The code it was closed with; 1006 if it was cut.
        why: Why the server ended it: `missing`, `unknown`, `expired` or `revoked` for a token that
            was not accepted, the kind of a fault, else the reason that it gave with the code.
    """

    opened: float
    protocol: str | None
    initialised: float | None = None
    token_fingerprint: str | None = None
    generation: Generation | None = None
    acknowledged: float | None = None
    operations: int = 0
    closed: float | None = None
    closed_by: SocketClosedBy | None = None
    code: int | None = None
    why: str | None = None

    def close(self, at: float, by: SocketClosedBy, *, code: int, why: str | None = None) -> None:
        """Write down how it ended; only the first time counts."""
        if self.closed is None:
            self.closed, self.closed_by, self.code, self.why = at, by, code, why
