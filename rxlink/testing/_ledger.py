"""What an auth server saw: generations of tokens, sends of operations, refreshes asked for."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rxlink.testing._ledger_records import Generation, RefreshTry, Send
from rxlink.testing._refresh_rules import Window, count_refreshes, default_window, find_violations
from rxlink.testing._websocket_rules import SocketRecord

__all__ = ["Ledger", "fingerprint", "operation_key"]


@dataclass(slots=True)
class Ledger:
    """Everything that happened on a server, in order, without a token in it.

    Attributes:
        generations: Every pair of tokens that was made.
        all_sends: Every arrival of every operation that is no refresh.
        refresh_tries: Every request for new tokens.
        sockets: Every WebSocket.
    """

    generations: list[Generation] = field(default_factory=list[Generation])
    all_sends: list[Send] = field(default_factory=list[Send])
    refresh_tries: list[RefreshTry] = field(default_factory=list[RefreshTry])
    sockets: list[SocketRecord] = field(default_factory=list[SocketRecord])

    @property
    def expiries(self) -> int:
        """How many generations were replaced by a refresh, for whatever reason."""
        return sum(generation.replaced_why not in (None, "sign-in") for generation in self.generations)

    @property
    def refreshes(self) -> int:
        """How many refreshes were granted; a repeat that recovers a lost answer is the same one."""
        return count_refreshes(self.refresh_tries)

    @property
    def max_sends_per_operation(self) -> int:
        """The largest number of sends of one operation; 0 if there was none."""
        return max(Counter(send.operation_id for send in self.all_sends).values(), default=0)

    def sends(self, operation_id: str) -> list[Send]:
        """Return the sends of one operation in order.

        Args:
            operation_id: What the client sent as `x-operation-id`; for a client without that
                header, `operation_key` of the operation's name and variables.
        """
        return [send for send in self.all_sends if send.operation_id == operation_id]

    def violations(self, *, window: Window = default_window) -> list[str]:
        """Say where the promise "one refresh per expiry, everywhere" was broken.

        For each generation that a refresh replaced there has to be exactly one granted refresh. It
        must not have been asked for before its window opened, unless the access token had been
        revoked or refused by then. No refresh token may be presented once its successor was
        delivered.

        Args:
            window: How many seconds before the end of a token a refresh may be asked for: a number,
                or a function of the token's life in seconds. The default is the widest window of a
                session with default options: 60 s, at most a quarter of the life, and 10 % jitter.

        Returns:
            One sentence for each violation, in order of time; nothing if the promise was kept.
        """
        return find_violations(self.refresh_tries, window)


def operation_key(operation_name: str | None, variables: Mapping[str, Any] | None = None, *, query: str = "") -> str:
    """Return the id that an operation without an `x-operation-id` header has in the ledger.

    Args:
        operation_name: Its name, if it has one.
        variables: Its variables. They enter as a fingerprint, for they may hold secrets.
        query: Its text as sent, which tells operations without a name apart.
    """
    label = operation_name or f"anonymous-{fingerprint(query)}"
    return f"{label}#{fingerprint(json.dumps(variables or {}, sort_keys=True))}"


def fingerprint(secret: str) -> str:
    """Return the first eight hexadecimal digits of a text's SHA-256."""
    return hashlib.sha256(secret.encode()).hexdigest()[:8]
