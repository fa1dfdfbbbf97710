"""After a socket is gone: whether to open another one, and when."""

from __future__ import annotations

import asyncio
from enum import Enum

from rxlink.errors import OperationCancelled, SocketClosed
from rxlink.transport._ws_closes import is_fatal
from rxlink.transport._ws_options import WebSocketOptions
from rxlink.transport._ws_socket import Socket
from rxlink.transport._ws_tokens import PROBATION, SessionTokens, TokenRefused

__all__ = ["Retrying", "Verdict"]


class Verdict(Enum):
    """What is to be done."""

    AT_ONCE = "open another one now"
    LATER = "open another one after a wait"
    FAIL = "tell those who wait"


class Retrying:
    """Counts the tries, and knows which errors are worth another.

    Args:
        options: Of the link.
        tokens: Its session, None for none.

    Attributes:
        is_retry: Whether the socket that is being opened stands for one that was lost.
    """

    __slots__ = ("_accepted_at", "_attempts", "_loop", "_options", "_refusal", "_retries", "_tokens", "is_retry")

    def __init__(
        self, options: WebSocketOptions, tokens: SessionTokens | None, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._options = options
        self._tokens = tokens
        self._loop = loop
        self._retries = 0
        self._attempts = 0
        self._refusal: Exception | None = None
        self._accepted_at: float | None = None
        self.is_retry = False

    @property
    def refusal(self) -> Exception | None:
        """How the server has refused the token, unless it has taken a newer one a while ago."""
        if self._accepted_at is not None and self._loop.time() - self._accepted_at >= PROBATION:
            self._refusal = None
        return self._refusal

    def connected(self) -> bool:
        """Let waits begin anew; tell whether this was another try.

        The attempts go on counting: a server that takes everybody in and closes then would never be given up.
        """
        was_retry, self.is_retry, self._retries = self.is_retry, False, 0
        if self._accepted_at is None:
            self._accepted_at = self._loop.time()
        return was_retry

    def served(self) -> None:
        """Count the attempts anew: a connection was good for something."""
        self._attempts = 0

    def next_try(self) -> int:
        """Count a try; return how many there were since the last connection."""
        retries = self._retries
        self._retries += 1
        self._attempts += 1
        self.is_retry = True
        return retries

    def reset(self, *, keeps_refusal: bool = False) -> None:
        """Forget all, for nobody waits; but a refusal still counts where another socket stands, which may be lost."""
        self.is_retry, self._retries = False, 0
        self.served()
        if not keeps_refusal:
            self._refusal = None

    def judge(self, socket: Socket, error: Exception) -> Verdict:
        """Decide after a socket has closed, or could not be opened.

        Raises:
            Exception: A user's function did.
        """
        if socket.age >= PROBATION:
            self.served()
        tokens, credential = self._tokens, socket.ticket.credential
        if tokens is not None:
            if isinstance(error, TokenRefused):
                return Verdict.FAIL
            if credential is not None and socket.age and tokens.has_had_its_time(credential, socket.age):
                self._refusal = None
                tokens.accept(credential)
            if tokens.is_refusal(error):
                return self._judge_refusal(socket, error)
        return self._judge_loss(error)

    def _judge_refusal(self, socket: Socket, error: Exception) -> Verdict:
        """A refused token is replaced once; nobody's, and a fresh one, is not (E91)."""
        tokens, credential = self._tokens, socket.ticket.credential
        if tokens is None or credential is None:
            return Verdict.FAIL
        was_refused, self._refusal, self._accepted_at = self.refusal is not None, error, None
        if tokens.is_current(credential):
            tokens.refuse(credential)
            if was_refused:
                return Verdict.FAIL
        return Verdict.AT_ONCE

    def _judge_loss(self, error: Exception) -> Verdict:
        options = self._options
        is_hopeless = is_fatal(error)
        if isinstance(error, SocketClosed | OperationCancelled) and is_hopeless:
            return Verdict.FAIL
        if options.is_fatal is not None and options.is_fatal(error):
            return Verdict.FAIL
        is_worth_it = not is_hopeless if options.should_retry is None else options.should_retry(error)
        has_tries = options.retry_attempts is None or self._attempts < options.retry_attempts
        return Verdict.LATER if is_worth_it and has_tries else Verdict.FAIL
