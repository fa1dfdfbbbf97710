"""After a socket is gone: whether to open another one, and when."""

from __future__ import annotations

from enum import Enum

from rxlink.auth.credential import Credential
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
        refusal: How the server has refused the token, as long as that is not known to be cured.
    """

    __slots__ = ("_attempts", "_options", "_refused", "_retries", "_tokens", "is_retry", "refusal")

    def __init__(self, options: WebSocketOptions, tokens: SessionTokens | None) -> None:
        self._options = options
        self._tokens = tokens
        self._retries = 0
        self._attempts = 0
        self._refused: Credential | None = None
        self.is_retry = False
        self.refusal: Exception | None = None

    def connected(self) -> bool:
        """Let waits begin anew; tell whether this was another try.

        The attempts go on counting: a server that takes everybody in and closes then would never be given up.
        """
        was_retry, self.is_retry, self._retries = self.is_retry, False, 0
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
        self.connected()
        self.served()
        if not keeps_refusal:
            self.refusal = None

    def judge(self, socket: Socket, error: Exception, current: Socket | None) -> Verdict:
        """Decide after a socket has closed, or could not be opened.

        Args:
            socket: Which.
            error: Why.
            current: On which operations begin, None for none.

        Raises:
            Exception: A user's function did.
        """
        if current is not None and self._is_cured_on(current):
            self.refusal = None
        if socket.age >= PROBATION:
            self.served()
        tokens, credential = self._tokens, socket.ticket.credential
        if tokens is not None:
            if isinstance(error, TokenRefused):
                return Verdict.FAIL
            if credential is not None and socket.age and tokens.has_had_its_time(credential, socket.age):
                self.refusal = None
                tokens.accept(credential)
            if tokens.is_refusal(error):
                return self._judge_refusal(socket, error)
        return self._judge_loss(error)

    def _is_cured_on(self, socket: Socket) -> bool:
        """Tell whether a socket has stood for a while with a newer token than the one that was refused."""
        credential, refused = socket.ticket.credential, self._refused
        is_newer = credential is not None and (refused is None or credential.generation > refused.generation)
        return is_newer and socket.age >= PROBATION

    def _judge_refusal(self, socket: Socket, error: Exception) -> Verdict:
        """A refused token is replaced once; nobody's, and a fresh one, is not (E91)."""
        tokens, credential = self._tokens, socket.ticket.credential
        if tokens is None or credential is None:
            return Verdict.FAIL
        was_refused, self.refusal, self._refused = self.refusal is not None, error, credential
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
