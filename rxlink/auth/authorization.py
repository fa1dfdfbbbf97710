"""One login's part in a link: puts the token on operations, and judges what they are answered."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rxlink.auth.answer import Answer
from rxlink.auth.classify import AuthErrorClassifier, AuthErrorPredicate, is_auth_error
from rxlink.auth.credential import Credential
from rxlink.auth.keeper import Keeper
from rxlink.auth.origins import PROTECTED, Audience
from rxlink.core.documents import OperationType
from rxlink.core.operation import Context, Operation
from rxlink.core.options import checked_flag
from rxlink.core.result import FetchResult
from rxlink.core.subscription import Connect
from rxlink.errors import InvariantTypeError, SessionEnded

__all__ = ["Authorization", "AuthorizationOptions"]

RETRY_MUTATIONS: Final = "retry_mutations"
"""The context key that decides for one operation what the option of this name decides for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationOptions:
    """What an AuthLink does with the token of whichever session.

    Attributes:
        header: The name of the header.
        prefix: What stands before the token.
        is_auth_error: Tells which answers mean that the token is no longer accepted.
        retries_mutations: Whether mutations are sent again after a refresh.
        protected: The header and who may see it, as the transport looks it up in the context; never changed.
    """

    header: str
    prefix: str
    is_auth_error: AuthErrorPredicate | AuthErrorClassifier
    retries_mutations: bool
    protected: Mapping[str, Audience]


class Authorization:
    """The options of a link, one login of a session, and where its operations go from there.

    Attributes:
        keeper: The inner part of the session.
        proceed: The links below.
        epoch: The number of the login.
        login_key: The context key under which an operation keeps the number of the login that it belongs to.
        refuses_only_errors: Whether a result without errors is never an auth error.
    """

    __slots__ = ("_header", "_is_auth_error", "_name", "_next", "_options", "_prefix", "_protected",
                 "_retries_mutations", "epoch", "keeper", "login_key", "proceed", "refuses_only_errors")  # fmt: skip

    def __init__(self, options: AuthorizationOptions, keeper: Keeper, proceed: Connect, epoch: int) -> None:
        self._options = options  # what is asked for each operation stands beside it
        self._next: Authorization | None = None
        self._header = options.header
        self._name = options.header.lower()
        self._prefix = options.prefix
        self._protected = options.protected
        self._is_auth_error = options.is_auth_error
        self._retries_mutations = options.retries_mutations
        self.keeper = keeper
        self.login_key = keeper.login
        self.proceed = proceed
        self.epoch = epoch
        classifier = options.is_auth_error
        self.refuses_only_errors = classifier is is_auth_error or (
            isinstance(classifier, AuthErrorClassifier) and classifier.looks_only_at_errors
        )

    def under(self, epoch: int) -> Authorization:
        """Return the same for the operations of another login; those that find a later one share it."""
        if epoch == self.epoch:
            return self
        other = self._next
        if other is None or other.epoch != epoch:
            other = Authorization(self._options, self.keeper, self.proceed, epoch)
            if epoch > self.epoch:  # the other way round it would be a cycle
                self._next = other
        return other

    def write(self, operation: Operation, context: Context, credential: Credential) -> None:
        """Write into the operation's context: the header, who may see it, and whose login it is.

        Raises:
            InvariantTypeError: The headers that are there are no mapping of names to text.
        """
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
        protected = self._protected
        if PROTECTED in context and context[PROTECTED] is not protected:
            protected = {**context[PROTECTED], **protected}  # of another AuthLink, with a header of its own
        # The response of an earlier attempt says nothing about the answer that comes now.
        operation.set_context(
            {"headers": headers, PROTECTED: protected, self.login_key: credential.epoch, "response": None}
        )

    def is_refused(self, operation: Operation, answer: FetchResult | Exception) -> bool:
        """Tell whether the token was refused; a function that raises has seen no auth error."""
        try:
            return bool(self._is_auth_error(Answer.of(answer, operation)))
        except (Exception, CancelledError, GeneratorExit) as error:  # noqa: BLE001 - a user's must not break the chain
            self.keeper.tell_of_failed_callback("is_auth_error", error)
            return False

    def may_go_again(self, operation: Operation) -> bool:
        """Tell whether an operation may be sent a second time.

        Raises:
            InvariantTypeError: Its context says neither yes nor no.
        """
        if operation.is_spent:
            return False
        if operation.operation_type is not OperationType.MUTATION:
            return True
        choice: Any = operation.get_context().get(RETRY_MUTATIONS)
        return self._retries_mutations if choice is None else checked_flag(f"{RETRY_MUTATIONS} in the context", choice)

    def check_login(self) -> None:
        """Refuse what was begun under another login: also in an earlier attempt, by a link above.

        Raises:
            SessionEnded: It was.
        """
        wallet = self.keeper.wallet
        if wallet.epoch != self.epoch:
            raise SessionEnded(wallet.parting)
