"""What a session means for a socket: with which token it opens, for how long that is good, and for whom."""

from __future__ import annotations

import re
from asyncio import CancelledError
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from reactivex import abc

from rxlink.auth.answer import Answer
from rxlink.auth.classify import AuthErrorClassifier, AuthErrorPredicate
from rxlink.auth.credential import Credential
from rxlink.auth.keeper import Keeper
from rxlink.auth.origins import Audience
from rxlink.auth.session import AuthSession
from rxlink.auth.sessions import AuthSessions
from rxlink.core.operation import Operation
from rxlink.core.options import checked_flag, checked_function, kind_of
from rxlink.core.result import FetchResult
from rxlink.errors import InvariantError, InvariantTypeError, ServerError, SessionEnded, SocketClosed
from rxlink.transport._body import NOT_AWAITED
from rxlink.transport._uri import Target
from rxlink.transport._ws_closes import checked_codes, checked_messages

__all__ = ["PROBATION", "Pass", "SessionTokens", "TokenRefused", "checked_session"]

REFUSING_STATUSES: Final = (401, 403)
"""Of the handshake."""
LONGEST_LOOK_AHEAD: Final = 30.0
"""Seconds after which the end of a token is looked at anew: a machine may sleep, and its clock be set."""
SHORTEST_LOOK_AHEAD: Final = 0.05  # seconds
LOOK_AGAIN: Final = 1.0
"""Seconds after which tokens are looked at anew that are due: their refresh is under way, or has failed."""
PROBATION: Final = 10.0
"""Seconds for which a socket has to stand, acknowledged, before a refusal counts as the end of a good token."""


class TokenRefused(Exception):
    """The token was refused, and there is no other now."""


@dataclass(frozen=True, slots=True)
class Pass:
    """With what a socket was opened.

    Attributes:
        credential: The tokens; None where nobody is signed in, or the link has no session.
        epoch: The login that it belongs to; None without a session.
    """

    credential: Credential | None = None
    epoch: int | None = None


class SessionTokens:
    """A session, as the sockets of a link see it."""

    def __init__(
        self,
        session: AuthSession,
        *,
        params: Callable[[str], Mapping[str, Any]],
        is_auth_error: AuthErrorPredicate,
        close_codes: frozenset[int],
        close_messages: tuple[str | re.Pattern[str], ...],
        allow_insecure: bool,
    ) -> None:
        self.session = session
        self._params = params
        self._is_auth_error = is_auth_error
        self._close_codes = close_codes
        self._close_messages = close_messages
        self._audience = Audience(None, allow_insecure)

    @property
    def keeper(self) -> Keeper:
        """The session's inner part."""
        return self.session.keeper

    @property
    def epoch(self) -> int | None:
        """Who is signed in; None where that is not known yet."""
        return self.keeper.wallet.epoch if self.keeper.is_loaded else None

    @property
    def login(self) -> int | None:
        """Who is signed in, for an operation that begins now; None where the storage is to be looked at first."""
        return self.keeper.wallet.epoch if self.keeper.is_up_to_date else None

    def is_inside_refresh(self) -> bool:
        """Tell whether the caller is part of the session's refresh, and so must not wait for it."""
        return self.keeper.is_inside_refresh()

    async def obtain(self) -> Pass:
        """Return what to open a socket with: the tokens in use, refreshed first where they have to be.

        Raises:
            TokenRefused: They were refused, and cannot be replaced now.
            AuthError: The refresh failed.
            ClientClosed: The session is closed.
        """
        keeper, has_waited = self.keeper, False
        # As those that are sent again: only with tokens that are saved (P4).
        while (wave := keeper.gate.wave(has_waited=has_waited, is_retry=True)) is not None:
            has_waited = has_waited or keeper.is_up_to_date
            await keeper.gate.wait_with(wave)
        wallet = keeper.wallet
        credential = wallet.credential
        if credential is None:
            return Pass(None, wallet.epoch)
        if credential.is_rejected:
            raise TokenRefused
        return Pass(credential, credential.epoch)

    def params(self, credential: Credential) -> Mapping[str, Any]:
        """Return how the token is told to the server.

        Raises:
            InvariantTypeError: The user's function returned no mapping.
        """
        params: Any = self._params(credential.tokens.access_token)
        if not isinstance(params, Mapping):
            raise InvariantTypeError(f"`auth_params` returned {kind_of(params)}; let it return a mapping")
        return params  # pyright: ignore[reportUnknownVariableType] - of a user's function

    def secrets(self) -> list[str]:
        """Return what of the tokens in use must not be shown."""
        tokens = self.keeper.tokens
        return [] if tokens is None else [text for text in (tokens.access_token, tokens.refresh_token) if text]

    def check_way(self, target: Target) -> None:
        """Refuse a way on which others could read the token.

        Raises:
            InvariantError: It is plain ``ws`` to another machine.
        """
        url = target.url
        scheme = "https" if url.scheme == "wss" else "http"
        if self._audience.refusal(scheme, url.raw_host or "", url.explicit_port, is_own=True) is not None:
            raise InvariantError(
                f"the token was not sent to {target}: over plain ws everybody on the way can read it; use wss, or give "
                "the link `allow_insecure=True` where the network can be trusted"
            )

    def is_current(self, credential: Credential | None) -> bool:
        """Tell whether these tokens are those in use."""
        return self.keeper.wallet.credential is credential

    def refuse(self, credential: Credential) -> None:
        """Take note that the server has refused these tokens."""
        self.keeper.reject(credential)

    def accept(self, credential: Credential | None) -> None:
        """Take note that the server has accepted these tokens."""
        if credential is not None and credential.is_unproven:
            self.keeper.accept(credential)

    def is_refusal(self, error: Exception) -> bool:
        """Tell whether the end of a socket means that its token is no longer accepted."""
        if isinstance(error, ServerError):
            return error.status_code in REFUSING_STATUSES
        if not isinstance(error, SocketClosed):
            return False
        return error.code in self._close_codes or any(
            message == error.reason if isinstance(message, str) else message.search(error.reason) is not None
            for message in self._close_messages
        )

    def is_denied(self, operation: Operation, answer: FetchResult | Exception) -> bool:
        """Tell whether the server denies an operation because of its token; a function that raises has seen nothing."""
        try:
            return bool(self._is_auth_error(Answer.of(answer, operation)))
        except (Exception, CancelledError, GeneratorExit) as error:  # noqa: BLE001 - it must not break the socket
            self.keeper.tell_of_failed_callback("is_auth_error", error)
            return False

    def has_had_its_time(self, credential: Credential, seconds: float) -> bool:
        """Tell whether a refusal after so many seconds may be no more than the end of a good token."""
        due_at = credential.lifetime.advisory_at
        return seconds >= PROBATION or (due_at is not None and due_at <= self._now())

    @property
    def is_shared(self) -> bool:
        """Whether others may sign in or out where the tokens are kept."""
        return self.keeper.permit is not None

    def look_ahead(self) -> float | None:
        """Return after how many seconds to look whether the tokens in use are due, None where they never are.

        Where others share the storage, it is looked at now and then in any case: they may have signed in, or out.
        """
        if self.session.is_closed:
            return None
        credential = self.keeper.wallet.credential
        due_at = None if credential is None else credential.lifetime.advisory_at
        if due_at is None:
            return LONGEST_LOOK_AHEAD if self.is_shared else None
        left = (due_at - self._now()).total_seconds()
        return LOOK_AGAIN if left <= 0 else min(max(left, SHORTEST_LOOK_AHEAD), LONGEST_LOOK_AHEAD)

    def look(self) -> None:
        """Begin a refresh if the tokens are due; how it ends is heard of by :meth:`watch`."""
        try:
            self.keeper.gate.wave()
        except Exception as error:  # noqa: BLE001 - a closed session; operations hear of it when they need a token
            if not self.session.is_closed:
                self.keeper.tell_of_failed_callback("a look at the tokens of a WebSocket", error)

    def watch(self, notice: Callable[[], None]) -> abc.DisposableBase:
        """Have a function called after each change of the tokens, on this loop."""
        return self.keeper.announcer.changes.subscribe(lambda _: notice())

    def parted(self) -> SessionEnded:
        """Return why operations of the login before cannot go on."""
        return SessionEnded(self.keeper.wallet.parting)

    def _now(self) -> datetime:
        return self.keeper.wallet.now()


def checked_session(
    link: str,
    session: object,
    *,
    params: Callable[[str], Mapping[str, Any]],
    is_auth_error: AuthErrorPredicate | AuthErrorClassifier,
    close_codes: Collection[int],
    close_messages: Collection[str | re.Pattern[str]],
    allow_insecure: bool,
) -> SessionTokens | None:
    """Return a session for the sockets of a link, None for none.

    Raises:
        InvariantTypeError: It is no AuthSession, or an option has the wrong type.
        InvariantError: A close code is none.
    """
    options: dict[str, Any] = {
        "params": checked_function(f"`auth_params` of {link}", params, "token", instead=NOT_AWAITED),
        "is_auth_error": checked_function(f"`is_auth_error` of {link}", is_auth_error, "answer", instead=NOT_AWAITED),
        "close_codes": checked_codes("auth_close_codes", close_codes),
        "close_messages": checked_messages("auth_close_messages", close_messages),
        "allow_insecure": checked_flag("allow_insecure", allow_insecure),
    }
    if session is None:
        return None
    if isinstance(session, AuthSessions):
        raise InvariantTypeError(
            f"`auth` of {link} is AuthSessions, but a socket belongs to one user; make a link for each session"
        )
    if not isinstance(session, AuthSession):
        raise InvariantTypeError(f"`auth` of {link} is {kind_of(session)}; give an AuthSession, or None")
    return SessionTokens(session, **options)
