"""The access token of a socket: presented once, judged again and again, watched for its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from rxlink.testing._ledger import fingerprint
from rxlink.testing._ledger_records import Arrival
from rxlink.testing._token_table import TokenTable, Verdict
from rxlink.testing._websocket_rules import SocketRecord

__all__ = ["SocketToken"]


class SocketToken:
    """What a client showed in `connection_init`.

    Attributes:
        is_denied: Whether it is refused whatever the table says of it.
    """

    def __init__(self, table: TokenTable, clock: Callable[[], float], leeway: float) -> None:
        """Begin with none; `leeway` is for how many seconds after its end it does no harm."""
        self._table = table
        self._clock = clock
        self._leeway = leeway
        self._text: str | None = None
        self._ended: Callable[[str], None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.is_denied = False

    def read(self, payload: Mapping[str, Any] | None, record: SocketRecord) -> None:
        """Take the token from the payload of a `connection_init`, and write down which it is."""
        self._text = _bearer(payload or {})
        record.token_fingerprint = None if self._text is None else fingerprint(self._text)
        record.generation = self.judge().generation
        record.initialised = self._clock()

    def judge(self) -> Verdict:
        """Say whether it is accepted at this moment."""
        verdict = self._table.judge(self._text)
        return Verdict(verdict.generation, "revoked") if self.is_denied and verdict.why is None else verdict

    def arrival(self) -> Arrival:
        """Return what the script of faults judges of the socket."""
        return Arrival(
            at=self._clock(),
            endpoint="connection",
            is_refresh=False,
            generation=self._table.judge(self._text).generation,
        )

    def watch(self, ended: Callable[[str], None]) -> None:
        """Tell once why it is no longer accepted, as soon as that is so, and the leeway is over."""
        self._ended = ended
        self.recheck()

    def recheck(self) -> None:
        """Look again, because it may have been revoked."""
        if self._ended is None:
            return
        self._cancel_timer()
        verdict = self.judge()
        left = 0.0 if verdict.generation is None else verdict.generation.ends + self._leeway - self._clock()
        if verdict.why is None or (verdict.why == "expired" and left > 0):
            self._timer = asyncio.get_running_loop().call_later(left, self.recheck)
        else:
            ended, self._ended = self._ended, None
            ended(verdict.why)

    def stop(self) -> None:
        """Watch it no longer."""
        self._ended = None
        self._cancel_timer()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _bearer(payload: Mapping[str, Any]) -> str | None:
    value: object = payload.get("authorization", payload.get("Authorization"))
    if not isinstance(value, str):
        return None
    scheme, _, token = value.partition(" ")
    return token if scheme.lower() in ("bearer", "jwt") else value
