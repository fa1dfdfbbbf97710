"""Decides which operations go on, and which wait for a load or a refresh."""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import RLock
from typing import Any, Protocol

from rxlink.auth.credential import Wallet
from rxlink.auth.events import AuthEvent, RefreshReason, RefreshStarted
from rxlink.auth.failures import outcome_of
from rxlink.auth.pending import PendingRequests
from rxlink.auth.refresher import Refresher
from rxlink.auth.tokens import TokenSet, fingerprint
from rxlink.auth.vault import Vault
from rxlink.errors import InvariantError, SessionEnded

__all__ = ["Gate", "GateOwner"]


class GateOwner(Protocol):
    """What a gate needs of its session."""

    @property
    def is_up_to_date(self) -> bool:
        """Whether it is known who is signed in."""
        ...

    @property
    def was_never_signed_in(self) -> bool:
        """Whether there were no tokens yet, nor a sign-out."""
        ...

    def refuse_closed(self) -> None:
        """Refuse what comes after the end."""

    def emit(self, event: Callable[..., AuthEvent], /, *values: object) -> None:
        """Tell the listeners."""

    def publish(self) -> None:
        """Tell where the session stands now."""


class Gate:
    """Lets the operations of a session go on, or has them wait.

    Args:
        owner: The session.
        wallet: Its tokens.
        vault: Its storage.
        refresher: Its refreshes.
        lock: Held while it is decided who goes on.
        obtains_first: Whether a refresh can get the first tokens.
        is_of_one_process: Whether nobody but the process that made the session may refresh.
    """

    def __init__(
        self,
        owner: GateOwner,
        wallet: Wallet,
        vault: Vault,
        refresher: Refresher,
        *,
        lock: RLock,
        obtains_first: bool,
        is_of_one_process: bool,
    ) -> None:
        self._owner = owner
        self._wallet = wallet
        self._vault = vault
        self._refresher = refresher
        self._lock = lock
        self._obtains_first = obtains_first
        self._process = os.getpid() if is_of_one_process else None

    def wave(
        self, *, has_waited: bool = False, is_retry: bool = False, operation_name: str | None = None
    ) -> PendingRequests[Any] | None:
        """Return whom an operation must wait with before it is sent; None where it may be sent with ``credential``.

        Args:
            has_waited: Whether it has waited for a refresh: then only a rejection makes it wait once more.
            is_retry: Whether it was sent before: then it also waits until the tokens are saved.
            operation_name: Its name, for those who are told what has set off a refresh.

        Raises:
            ClientClosed: The session is closed.
            InvariantError: Nobody may refresh here: no event loop runs, or the process was forked.
        """
        with self._lock:
            self._owner.refuse_closed()
            if not self._owner.is_up_to_date:
                return self._vault.loading.join(None)
            if is_retry and self._vault.is_saving and (wave := self._refresher.flight.wave) is not None:
                return wave
            reason = self.due()
            if reason is None or (has_waited and reason is not RefreshReason.REJECTED):
                return None
            may_go_on = self._may_go_on(reason)
            try:
                wave, tell = self._join(reason, operation_name)
            except InvariantError:
                if not may_go_on:
                    raise
                return None
        tell()
        return None if may_go_on else wave

    async def wait_for_load(self) -> None:
        """Wait until it is known who is signed in."""
        while not self._owner.is_up_to_date:
            with self._lock:
                wave = None if self._owner.is_up_to_date else self._vault.loading.join(None)
            if wave is not None:
                await outcome_of(wave)

    async def refresh(self, *, is_forced: bool) -> None:
        """Refresh where it is due, or in any case; join one that is under way."""
        with self._lock:
            self._owner.refuse_closed()
            reason = RefreshReason.FORCED if is_forced else self.due()
            if reason is None:
                return
            wave, tell = self._join(reason, None)
        tell()
        await self.wait_with(wave)
        if is_forced and self._refresher.serves_stale:
            raise self._refresher.outage()

    async def wait_with(self, wave: PendingRequests[Any]) -> None:
        """Wait with the others.

        Raises:
            SessionEnded: Somebody else has signed in or out meanwhile.
        """
        epoch, is_load = self._wallet.epoch, not self._owner.is_up_to_date
        await outcome_of(wave)
        if self._wallet.epoch != epoch and not is_load:  # by one who was released earlier
            raise SessionEnded(self._wallet.parting)

    def due(self) -> RefreshReason | None:
        """Return why the tokens should be replaced now; None if they should not, or it would not help."""
        if self._wallet.credential is None:
            wants_first = self._obtains_first and self._owner.was_never_signed_in
            return RefreshReason.MISSING if wants_first else None
        return self._wallet.due()

    def _may_go_on(self, reason: RefreshReason) -> bool:
        """Tell whether operations go on while the refresh runs."""
        is_stale = reason is RefreshReason.EXPIRED and self._refresher.serves_stale
        return is_stale or reason is RefreshReason.EXPIRING

    def _join(
        self, reason: RefreshReason, operation_name: str | None
    ) -> tuple[PendingRequests[TokenSet], Callable[[], None]]:
        """Join a refresh or start one; return also what tells of it, which is for after the lock."""
        is_under_way = self._refresher.flight.is_under_way
        if not is_under_way and self._process not in {None, os.getpid()}:
            raise InvariantError(
                "this AuthSession was made before the process was forked, and its refresh token may be used by the "
                "parent; make a session in each process, or give them a storage that they share"
            )
        wave = self._refresher.join(reason)
        if is_under_way:
            return wave, _tell_nothing
        tokens = self._wallet.tokens
        shown = None if tokens is None else fingerprint(tokens.access_token)

        def tell() -> None:
            self._owner.emit(RefreshStarted, reason, operation_name, shown)
            self._owner.publish()

        return wave, tell


def _tell_nothing() -> None:
    """It is known already."""
