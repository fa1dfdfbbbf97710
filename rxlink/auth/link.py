"""Send every operation with a fresh token, and once more after a refresh if the token was refused.

Ports: the token refresh recipe on Apollo's error link and context link (``onError``, ``setContext``), as one link over
an :class:`~rxlink.auth.session.AuthSession`. The recipe's line

    fromPromise(getNewToken()).filter(Boolean).flatMap(() => forward(operation))

is here: ``session.gate()`` hands out the pending-request subject of the refresh that is under way
(:mod:`rxlink.auth.single_flight`), the operation waits on it, and ``_go_again`` is its ``forward(operation)``.
Differs: nothing hangs, refreshes twice or is lost; ``docs/porting-from-apollo.md`` goes through it defect by defect.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

from rxlink.auth.classify import AuthErrorPredicate, is_auth_error
from rxlink.auth.credential import Credential
from rxlink.auth.events import OperationQueued, OperationRetried
from rxlink.auth.failures import own_error
from rxlink.auth.session import AuthSession
from rxlink.core.link import ApolloLink, Forward
from rxlink.core.operation import Context, Operation
from rxlink.core.options import checked_function, kind_of
from rxlink.core.refreshes import refreshes_here
from rxlink.core.result import FetchResult
from rxlink.core.subscription import Connect, ResultObserver, Subscription
from rxlink.core.work import report_callback_error
from rxlink.errors import InvariantError, InvariantTypeError, SessionEnded

__all__ = ["AuthLink"]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""What a header's name and its scheme are made of (RFC 9110 section 5.6.2)."""

_usual_predicate = is_auth_error


class AuthLink(ApolloLink):
    """Put the session's token on each operation; on an auth error wait for the refresh and send it once more.

    An operation belongs to the login under which it began: sent again under another one, by a link above or by
    subscribing again, it ends with ``SessionEnded``; ``execute`` makes a new one. An operation of nobody (no tokens)
    goes out without a header, and its errors are its own. An operation that the session's own refresh sends passes
    untouched. A result after the first one is never retried, and neither is what cannot be sent again
    (:attr:`Operation.is_spent`, a stream that was uploaded): its answer is delivered, beside the refresh.

    Errors:
        The auth error itself where the second attempt got one too, nobody is signed in, or fresh tokens keep being
        rejected; :class:`~rxlink.errors.TokenRefreshError` or :class:`~rxlink.errors.SessionEnded` where the refresh
        failed, with its cause, and with what the server had answered as ``auth_error``;
        :class:`~rxlink.errors.ClientClosed` after the session was closed.

    Example:
        >>> from rxlink import AuthSession, GraphQLRequest, TokenSet, execute, from_
        >>> from rxlink.testing import MockedResponse, MockLink
        >>> session = AuthSession(refresh=lambda tokens, reason: TokenSet("new"), tokens=TokenSet("old"))
        >>> server = MockLink([MockedResponse(result={"data": {"answer": 42}})])
        >>> subscription = execute(from_([AuthLink(session), server]), GraphQLRequest("{ answer }")).subscribe()
        >>> server.operations[0].get_context()["headers"]
        {'authorization': 'Bearer old'}
    """

    def __init__(
        self,
        session: AuthSession,
        *,
        scheme: str = "Bearer",
        header: str = "authorization",
        is_auth_error: AuthErrorPredicate = is_auth_error,
    ) -> None:
        """Make the link; closing it, or its chain, does not close the session.

        Args:
            session: Whose tokens; may be shared by any number of links.
            scheme: The word before the token; empty for the bare token.
            header: The name of the header.
            is_auth_error: Tells which answers mean that the token is no longer accepted.

        Raises:
            InvariantTypeError: The session is no AuthSession, or the predicate no function, or a coroutine function.
            InvariantError: The scheme or the header holds characters that a header cannot carry.
        """
        super().__init__()
        if not isinstance(session, AuthSession):  # pyright: ignore[reportUnnecessaryIsInstance] - may be untyped
            raise InvariantTypeError(f"AuthLink got {kind_of(session)}; give it an AuthSession")
        checked_function("`is_auth_error`", is_auth_error, "answer", instead="give a plain one that returns a bool")
        if not _is_token(header):
            raise InvariantError(f"`header` is {header!r}; give the name of an HTTP header")
        if scheme != "" and not _is_token(scheme):
            raise InvariantError(f"`scheme` is {scheme!r}; give one word such as 'Bearer', or '' for the bare token")
        self.session = session
        self._prefix = f"{scheme} " if scheme else ""
        self._header = header
        self._name = header.lower()
        self.login = f"rxlink.auth.login.{id(session):x}"
        self._is_auth_error = is_auth_error
        # The usual predicate refuses no result without errors, and need not be asked about it.
        is_usual = is_auth_error is _usual_predicate and type(self).is_refused is AuthLink.is_refused
        self.refuses_only_errors = is_usual

    def connect(self, forward: Forward) -> Connect:
        """Prepare to run operations; see :meth:`ApolloLink.connect`."""
        proceed = forward.connect

        def start(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
            session = self.session
            if refreshes_here.get() and session.is_inside_refresh():
                proceed(operation, observer, root)
                return
            wallet = session.wallet
            context = operation.get_context()
            epoch: int = context.get(self.login, wallet.epoch)
            worker = _AuthWorker(self, operation, observer, root, proceed, epoch)
            try:
                credential = None if session.is_closed or epoch != wallet.epoch else wallet.at_hand()
                if credential is not None:
                    self.authorize(operation, context, credential)
            except Exception as error:  # noqa: BLE001 - the clock is a user's function, and a context may hold anything
                worker.fail(None, error)
                return
            if credential is None:
                worker.admit()
            else:
                worker.credential = credential
                proceed(operation, worker, root)

        return start

    def authorize(self, operation: Operation, context: Context, credential: Credential) -> None:
        """Write the header into the operation's context, beside the other headers, and whose login it is."""
        given: Mapping[str, str] = context.get("headers") or {}
        headers: dict[str, str] = {}
        try:
            for name, value in given.items():
                if name.lower() != self._name:
                    headers[name] = value  # noqa: PERF403 - a comprehension is one more call for each operation
        except AttributeError as error:
            raise InvariantTypeError(
                f"`headers` in the context of {operation!r} is no mapping of names to text: {error}"
            ) from None
        headers[self._header] = self._prefix + credential.tokens.access_token
        operation.set_context({"headers": headers, self.login: self.session.wallet.epoch})

    def is_refused(self, answer: FetchResult | Exception) -> bool:
        """Ask the predicate; one that raises has seen no auth error."""
        try:
            return bool(self._is_auth_error(answer))
        except Exception as error:  # noqa: BLE001 - a user's predicate must not break the chain
            report_callback_error(error)
            return False


class _AuthWorker:
    """One operation and its first attempt; the epoch is that of the login under which the operation began.

    Attributes:
        credential: The tokens that the attempt was made with, None as nobody.
    """

    __slots__ = ("_answered", "_epoch", "_is_deaf", "_link", "_observer", "_operation", "_proceed", "_root",
                 "credential")  # fmt: skip

    def __init__(
        self,
        link: AuthLink,
        operation: Operation,
        observer: ResultObserver,
        root: Subscription,
        proceed: Connect,
        epoch: int,
    ) -> None:
        self._link = link
        self._operation = operation
        self._observer = observer
        self._root = root
        self._proceed = proceed
        self._epoch = epoch
        self.credential: Credential | None = None
        self._answered = False
        self._is_deaf = False

    def admit(self, *, has_waited: bool = False) -> None:
        """Wait until there is a token to go with, then send."""
        try:
            self._check_epoch()
            wave = self._link.session.gate(has_waited=has_waited)
        except Exception as error:  # noqa: BLE001 - whatever keeps the operation back is its error
            self.fail(None, error)
            return
        if wave is None:
            self._send()
        else:
            if self._link.session.wallet.credential is not None:
                self._operation.set_context({self._link.login: self._epoch})
            self._link.session.emit(OperationQueued, self._operation.operation_name)
            has_waited = self._link.session.is_loaded  # the wait for the first load says nothing about a refresh
            wave.wait(self._root, lambda _: self.admit(has_waited=has_waited), partial(self.fail, None))

    def _send(self) -> None:
        """Make the first attempt, with the tokens that there are now or as nobody."""
        credential = self.credential = self._link.session.wallet.credential
        if credential is not None:
            try:
                self._link.authorize(self._operation, self._operation.get_context(), credential)
            except Exception as error:  # noqa: BLE001 - the context may hold anything as its headers
                self.fail(None, error)
                return
        self._proceed(self._operation, self, self._root)

    def on_next(self, result: FetchResult) -> None:
        if self._is_deaf:
            return
        is_clean = self._link.refuses_only_errors and type(result) is dict and "errors" not in result
        if not self._answered and not is_clean and self._link.is_refused(result):
            self._refused(result, partial(self._observer.on_next, result))
        else:
            self._answered = True
            if self.credential is not None and self.credential.is_unproven:
                self._link.session.wallet.accept(self.credential)
            self._observer.on_next(result)

    def on_error(self, error: Exception) -> None:
        if self._is_deaf:
            return
        if not self._answered and self._link.is_refused(error):
            self._refused(error, partial(self._observer.on_error, error))
        else:
            self._observer.on_error(error)

    def on_completed(self) -> None:
        if not self._is_deaf:
            self._observer.on_completed()

    def _refused(self, answer: FetchResult | Exception, deliver: Callable[[], None]) -> None:
        """Retry with a token that is newer than the refused one, or deliver what the server said."""
        session = self._link.session
        sent = self.credential
        # Nobody was signed in when it was sent.
        is_of_nobody = sent is None and (session.wallet.credential is None or session.wallet.epoch != self._epoch)
        if is_of_nobody or self._is_spent():
            self._answered = True
            deliver()
            return
        try:
            if sent is not None:
                session.wallet.reject(sent)
            self._check_epoch()
            wave = session.gate(is_retry=True)
        except Exception as error:  # noqa: BLE001 - whatever keeps the operation back is its error
            self._turn_away()
            self.fail(answer, error)
            return
        if wave is not None:
            self._turn_away()
            session.emit(OperationQueued, self._operation.operation_name)
            wave.wait(self._root, partial(self._go_again, answer), partial(self.fail, answer))
        elif session.wallet.credential is sent:
            # Fresh tokens keep being rejected: no refresh would help now.
            self._answered = True
            deliver()
        else:
            self._turn_away()
            self._go_again(answer, None)

    def _is_spent(self) -> bool:
        """Tell whether the operation cannot be sent again; a refresh then begins beside it, for those that can."""
        if self._operation.is_spent:
            with suppress(Exception):  # what keeps a refresh back is not what this operation has ended with
                if self.credential is not None:
                    self._link.session.wallet.reject(self.credential)
                self._link.session.gate()
        return self._operation.is_spent

    def _turn_away(self) -> None:
        """Stop the first attempt and be deaf to what still comes from it."""
        self._is_deaf = True
        self._root.cancel_resource()

    def _go_again(self, answer: FetchResult | Exception, _: object) -> None:
        """The recipe's ``flatMap(() => forward(operation))``: the second attempt, which is the last."""
        session = self._link.session
        try:
            self._check_epoch()
            wave = session.gate(has_waited=True, is_retry=True)
        except Exception as error:  # noqa: BLE001 - whatever keeps the operation back is its error
            self.fail(answer, error)
            return
        if wave is not None:
            wave.wait(self._root, partial(self._go_again, answer), partial(self.fail, answer))
            return
        credential = session.wallet.credential
        if credential is not None:
            try:
                self._link.authorize(self._operation, self._operation.get_context(), credential)
            except Exception as error:  # noqa: BLE001 - as in `_send`
                self.fail(answer, error)
                return
        session.emit(OperationRetried, self._operation.operation_name)
        self._proceed(self._operation, _SecondAttempt(self._link, self._observer, credential), self._root)

    def _check_epoch(self) -> None:
        """Refuse what was begun under another login: also in an earlier attempt, by a link above."""
        if self._link.session.wallet.epoch != self._epoch:
            raise SessionEnded(self._link.session.wallet.parting)

    def fail(self, answer: FetchResult | Exception | None, error: Exception) -> None:
        """End the operation with an error of our own, and with what the server had answered."""
        self._observer.on_error(own_error(error, self._operation.operation_name, answer))


class _SecondAttempt:
    """The same operation after its retry: its answers pass, whatever they are."""

    __slots__ = ("_answered", "_credential", "_link", "_observer", "on_completed")

    def __init__(self, link: AuthLink, observer: ResultObserver, credential: Credential | None) -> None:
        self._link = link
        self._observer = observer
        self._credential = credential
        self._answered = False
        self.on_completed = observer.on_completed

    def on_next(self, result: FetchResult) -> None:
        self._learn_from(result)
        self._observer.on_next(result)

    def on_error(self, error: Exception) -> None:
        self._learn_from(error)
        self._observer.on_error(error)

    def _learn_from(self, answer: FetchResult | Exception) -> None:
        """Tell the session how its newest token fared, for the operations that come next."""
        if self._answered or self._credential is None:
            return
        self._answered = True
        try:
            if self._link.is_refused(answer):
                self._link.session.wallet.reject(self._credential)
            elif not isinstance(answer, Exception):
                self._link.session.wallet.accept(self._credential)
        except Exception as error:  # noqa: BLE001 - of a user's clock; the answer is delivered all the same
            report_callback_error(error)


def _is_token(text: object) -> bool:
    return isinstance(text, str) and _TOKEN.fullmatch(text) is not None
