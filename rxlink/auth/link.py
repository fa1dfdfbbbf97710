"""Send every operation with a fresh token, and once more after a refresh if the token was refused.

Ports: the token refresh recipe on Apollo's error link and context link (``onError``, ``setContext``), as one link over
an :class:`~rxlink.auth.session.AuthSession`; what becomes of an operation is in :mod:`rxlink.auth.attempts`.
Differs: nothing hangs, refreshes twice or is lost; ``docs/porting-from-apollo.md`` goes through it defect by defect.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from types import MappingProxyType
from typing import Any, Final

from rxlink.auth.attempts import FirstAttempt
from rxlink.auth.authorization import Authorization, AuthorizationOptions
from rxlink.auth.classify import AuthErrorClassifier, AuthErrorPredicate, is_auth_error
from rxlink.auth.keeper import Keeper
from rxlink.auth.origins import Audience, checked_origins
from rxlink.auth.session import AuthSession
from rxlink.auth.sessions import AuthSessions
from rxlink.core.link import ApolloLink, Forward
from rxlink.core.operation import Operation
from rxlink.core.options import checked_flag, checked_function, kind_of
from rxlink.core.refreshes import refreshes_here
from rxlink.core.subscription import Connect, ResultObserver, Subscription
from rxlink.errors import InvariantError, InvariantTypeError

__all__ = ["AuthLink"]

AUTH = "auth"
NO_AUTH: Final[tuple[object, ...]] = ("none", False)
"""The context key, and its values, with which an operation passes untouched."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""What a header's name and its scheme are made of (RFC 9110 section 5.6.2)."""


class AuthLink(ApolloLink):
    """Put the session's token on each operation; on an auth error wait for the refresh and send it once more.

    An operation belongs to the login under which it began: sent again under another one, by a link above or by
    subscribing again, it ends with ``SessionEnded``; ``execute`` makes a new one. An operation of nobody (no tokens)
    goes out without a header, and its errors are its own. An operation that the session's own refresh sends passes
    untouched, and so does one whose context says ``"auth": "none"``: a login, whose 401 is its own business. A result
    after the first one is never retried, and neither is what cannot be sent again (:attr:`Operation.is_spent`, a stream
    that was uploaded), nor a mutation that must not run twice (``retry_mutations``): its answer is delivered, beside
    the refresh.

    Beside the header the link writes who may see it. HttpLink refuses to send it to another origin than its own
    address, or over plain http to another machine, and redirects do not carry it there.

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
        session: AuthSession | AuthSessions[Any],
        *,
        scheme: str = "Bearer",
        header: str = "authorization",
        is_auth_error: AuthErrorPredicate | AuthErrorClassifier = is_auth_error,
        retry_mutations: bool = True,
        origins: Iterable[str] | None = None,
        allow_insecure: bool = False,
    ) -> None:
        """Make the link; closing it, or its chain, does not close the session.

        Args:
            session: Whose tokens; may be shared by any number of links. Or :class:`AuthSessions`, one for each user.
            scheme: The word before the token; empty for the bare token.
            header: The name of the header.
            is_auth_error: Tells which answers mean that the token is no longer accepted: an
                :class:`AuthErrorClassifier`, or a function that gets an :class:`Answer`. One that raises has seen none.
            retry_mutations: Whether a mutation is sent once more after an auth error; its headers, such as an
                idempotency key, stay. False refreshes and delivers the error. ``retry_mutations`` in the context of an
                operation decides for that one.
            origins: The only origins that may get the token, such as ``["https://api.example.com"]``; None: those that
                the transport sends to by itself, and not where an operation's ``uri`` leads.
            allow_insecure: Whether the token may go over plain http to another machine, as inside a service mesh.

        Raises:
            InvariantTypeError: The session is no AuthSession, the predicate no function, or a coroutine function, or
                an option has the wrong type.
            InvariantError: The scheme or the header holds characters that a header cannot carry, or an origin is none.
        """
        super().__init__()
        if not isinstance(session, (AuthSession, AuthSessions)):  # pyright: ignore[reportUnnecessaryIsInstance] - may be untyped
            raise InvariantTypeError(f"AuthLink got {kind_of(session)}; give it an AuthSession")
        checked_function("`is_auth_error`", is_auth_error, "answer", instead="give a plain one that returns a bool")
        if not _is_token(header):
            raise InvariantError(f"`header` is {header!r}; give the name of an HTTP header")
        if scheme != "" and not _is_token(scheme):
            raise InvariantError(f"`scheme` is {scheme!r}; give one word such as 'Bearer', or '' for the bare token")
        is_insecure = checked_flag("allow_insecure", allow_insecure)
        audience = Audience(checked_origins(origins, allow_insecure=is_insecure), is_insecure)
        self._session = session
        self._options = AuthorizationOptions(
            header=header,
            prefix=f"{scheme} " if scheme else "",
            is_auth_error=is_auth_error,
            retries_mutations=checked_flag("retry_mutations", retry_mutations),
            protected=MappingProxyType({header.lower(): audience}),
        )

    @property
    def session(self) -> AuthSession | AuthSessions[Any]:
        """Whose tokens."""
        return self._session

    def check_place(self, above: Sequence[ApolloLink]) -> None:
        """Refuse a place behind another one for the same tokens: an operation would be sent four times.

        Raises:
            InvariantError: There is one above.
        """
        if any(isinstance(other, AuthLink) and other.session is self._session for other in above):
            raise InvariantError(
                "two AuthLinks of one chain share a session, and each would retry what the other has; leave one out"
            )

    def connect(self, forward: Forward) -> Connect:
        """Prepare to run operations; see :meth:`ApolloLink.connect`."""
        if isinstance(self._session, AuthSession):
            return _starter(self._options, self._session.keeper, forward.connect)
        return self._chooser(self._session, forward.connect)

    def _chooser(self, sessions: AuthSessions[Any], proceed: Connect) -> Connect:
        def start(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
            session: AuthSession | None = None
            if operation.get_context().get(AUTH) not in NO_AUTH:
                try:
                    session = sessions.of(operation)
                except Exception as error:  # noqa: BLE001 - users' functions choose and make it
                    # What a refresh sends passes untouched, and need not say whose it is.
                    if not sessions.is_inside_refresh():
                        observer.on_error(error)
                        return
            if session is None:
                proceed(operation, observer, root)
            else:
                _starter(self._options, session.keeper, proceed)(operation, observer, root)

        return start


def _starter(options: AuthorizationOptions, keeper: Keeper, proceed: Connect) -> Connect:
    """Return what starts operations under one session."""
    wallet, login, is_shared = keeper.wallet, keeper.login, keeper.permit is not None
    authorization = Authorization(options, keeper, proceed, wallet.epoch)

    def start(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
        nonlocal authorization
        context = operation.get_context()
        if (AUTH in context and context[AUTH] in NO_AUTH) or (refreshes_here.get() and keeper.is_inside_refresh()):
            proceed(operation, observer, root)
            return
        epoch: int = context[login] if login in context else wallet.epoch  # noqa: SIM401 - `get` is one more call
        mine = authorization  # of the login that was seen last, in this thread or another
        if mine.epoch != epoch:
            mine = authorization = mine.under(epoch)
        worker = FirstAttempt(mine, operation, observer, root)
        try:
            credential = None if keeper.is_closed or (is_shared and not keeper.is_up_to_date) else wallet.at_hand()
            if credential is not None and credential.epoch == epoch:
                mine.write(operation, context, credential)
                worker.credential = credential
        except Exception as error:  # noqa: BLE001 - the clock is a user's function, and a context may hold anything
            worker.fail(error)
            return
        if worker.credential is None:
            worker.admit(is_bound=not is_shared or login in context)
        else:
            proceed(operation, worker, root)

    return start


def _is_token(text: object) -> bool:
    return isinstance(text, str) and _TOKEN.fullmatch(text) is not None
