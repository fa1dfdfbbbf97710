"""The two attempts of an operation under AuthLink: the first, which may wait and be refused, and the second, the last.

The recipe's line

    fromPromise(getNewToken()).filter(Boolean).flatMap(() => forward(operation))

is here: ``keeper.gate.wave()`` hands out the pending-request subject of the refresh that is under way
(:mod:`rxlink.auth.single_flight`), the operation waits on it (the first attempt is itself its place in that
queue), and ``_go_again`` is its ``forward(operation)``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from functools import partial
from typing import Any

from rxlink.auth.authorization import Authorization
from rxlink.auth.credential import Credential
from rxlink.auth.events import OperationQueued, OperationReleased, OperationRetried
from rxlink.auth.failures import own_error
from rxlink.auth.pending import PendingRequests, Place
from rxlink.core.operation import Operation
from rxlink.core.result import FetchResult
from rxlink.core.subscription import ResultObserver, Subscription
from rxlink.core.work import report_callback_error
from rxlink.errors import SessionEnded

__all__ = ["FirstAttempt"]


class _Fate(Enum):
    """What became of the first answer, where it is not kept."""

    AWAITED = "awaited"
    PASSED = "passed"
    """So does all that follows."""
    OVER = "over"
    """The first attempt is: the operation has gone again, has ended, or was left."""


AWAITED, PASSED, OVER = _Fate.AWAITED, _Fate.PASSED, _Fate.OVER


class FirstAttempt(Place[Any]):
    """One operation and its first attempt, which is also its place in the queue where it waits for a token.

    Args:
        authorization: The session's part, for the login under which the operation began; another one where a look at
            the storage finds another login first.
        operation: The operation.
        observer: Who gets the results.
        root: The subscription.

    Attributes:
        credential: The tokens that the attempt was made with, None as nobody.
    """

    __slots__ = ("_authorization", "_first_answer", "_observer", "_operation", "credential")

    def __init__(
        self,
        authorization: Authorization,
        operation: Operation,
        observer: ResultObserver,
        root: Subscription,
    ) -> None:
        self.root = root  # written out: it is made for each operation
        self._authorization = authorization
        self._operation = operation
        self._observer = observer
        self.credential: Credential | None = None
        # A refused one is kept while the operation waits to go again.
        self._first_answer: FetchResult | Exception | _Fate = AWAITED

    def admit(self, *, is_bound: bool, has_waited: bool = False, is_told: bool = False) -> None:
        """Wait until there is a token to go with, then send.

        Args:
            is_bound: Whether it stays with its login also where a look at the storage finds another.
            has_waited: Whether it has waited for a refresh.
            is_told: Whether the listeners know that it has waited, for whatever.
        """
        keeper, operation = self._authorization.keeper, self._operation
        try:
            self._authorization.check_login()
            wave = keeper.gate.wave(has_waited=has_waited, operation_name=operation.operation_name)
        except Exception as error:  # noqa: BLE001 - whatever keeps the operation back is its error
            self.fail(error)
            return
        if wave is None:
            if is_told:
                keeper.emit(OperationReleased, operation.operation_name)
            self._send()
            return
        if not keeper.is_up_to_date:
            if not keeper.is_loaded:
                is_told = True
                keeper.emit(OperationQueued, operation.operation_name)
            # The wait for a load says nothing about a refresh.
            wave.wait(_ForLoad(self.root, self, is_bound=is_bound, has_waited=has_waited, is_told=is_told))
            return
        keeper.emit(OperationQueued, operation.operation_name)
        if keeper.wallet.credential is not None:
            operation.set_context({self._authorization.login_key: self._authorization.epoch})
        wave.wait(self)

    def admit_loaded(self, *, is_bound: bool, has_waited: bool, is_told: bool) -> None:
        """Go on after a look at the storage: an operation that begins now is of whoever is signed in now."""
        if not is_bound:
            self._authorization = self._authorization.under(self._authorization.keeper.wallet.epoch)
        self.admit(is_bound=is_bound, has_waited=has_waited, is_told=is_told)

    def _send(self) -> None:
        """Make the first attempt, with the tokens that there are now or as nobody."""
        credential = self.credential = self._authorization.keeper.wallet.credential
        try:
            self._write(credential)
        except Exception as error:  # noqa: BLE001 - the context may hold anything as its headers
            self.fail(error)
            return
        self._authorization.proceed(self._operation, self, self.root)

    def on_next(self, result: FetchResult) -> None:
        """Pass a result on, unless it is the first, and refused."""
        first = self._first_answer
        if first is not AWAITED and first is not PASSED:
            return
        passes = first is PASSED or (
            self._authorization.refuses_only_errors
            and type(result) is dict
            and "errors" not in result
            and "data" in result
            and result["data"] is not None
        )
        if not passes and self._authorization.is_refused(self._operation, result):
            self._refused(result, partial(self._observer.on_next, result))
        else:
            self._first_answer = PASSED
            if self.credential is not None and self.credential.is_unproven:
                self._authorization.keeper.accept(self.credential)
            self._observer.on_next(result)

    def on_error(self, error: Exception) -> None:
        """Pass the error on, unless it stands in the place of a first result, and is a refusal."""
        first = self._first_answer
        if first is AWAITED and self._authorization.is_refused(self._operation, error):
            self._refused(error, partial(self._observer.on_error, error))
        elif first is AWAITED or first is PASSED:
            self._observer.on_error(error)

    def on_completed(self) -> None:
        """Pass the completion on."""
        if self._first_answer is AWAITED or self._first_answer is PASSED:
            self._observer.on_completed()

    def _refused(self, answer: FetchResult | Exception, deliver: Callable[[], None]) -> None:
        """Retry with a token that is newer than the refused one, or deliver what the server said."""
        keeper = self._authorization.keeper
        sent = self.credential
        # Nobody was signed in when it was sent.
        wallet, epoch = keeper.wallet, self._authorization.epoch
        is_of_nobody = sent is None and (wallet.credential is None or wallet.epoch != epoch)
        try:
            goes_again = not is_of_nobody and self._may_go_again()
            wave = self._reject(sent) if goes_again else None
        except Exception as error:  # noqa: BLE001 - whatever keeps the operation back is its error
            self._turn_away(answer)
            self.fail(error)
            return
        if wave is not None:
            self._turn_away(answer)
            keeper.emit(OperationQueued, self._operation.operation_name)
            wave.wait(self)
        elif not goes_again or keeper.wallet.credential is sent:
            # As it is; also where fresh tokens keep being rejected, and no refresh would help now.
            self._first_answer = PASSED
            deliver()
        else:
            self._turn_away(answer)
            self._go_again()

    def _reject(self, sent: Credential | None) -> PendingRequests[Any] | None:
        """Tell the session what was refused, and return whom to wait with."""
        keeper = self._authorization.keeper
        if sent is not None:
            keeper.reject(sent)
        self._authorization.check_login()
        return keeper.gate.wave(is_retry=True, operation_name=self._operation.operation_name)

    def _may_go_again(self) -> bool:
        """Tell whether the operation may be sent again; if not, a refresh begins beside it, for those that may."""
        may_go_again = self._authorization.may_go_again(self._operation)
        if not may_go_again and self.credential is not None:
            with suppress(Exception):  # what keeps a refresh back is not what this operation has ended with
                self._authorization.keeper.reject(self.credential)
                self._authorization.keeper.gate.wave(operation_name=self._operation.operation_name)
        return may_go_again

    def _turn_away(self, answer: FetchResult | Exception) -> None:
        """Stop the first attempt and be deaf to what still comes from it; keep its answer, which an error quotes."""
        self._first_answer = OVER
        self.root.cancel_resource()
        self._first_answer = answer  # after it: what was in the slot may have been this attempt, in the queue

    def _go_again(self) -> None:
        """The recipe's ``flatMap(() => forward(operation))``: the second attempt, which is the last."""
        keeper = self._authorization.keeper
        try:
            self._authorization.check_login()
            wave = keeper.gate.wave(has_waited=True, is_retry=True, operation_name=self._operation.operation_name)
        except Exception as error:  # noqa: BLE001 - whatever keeps the operation back is its error
            self.fail(error)
            return
        if wave is not None:
            wave.wait(self)
            return
        credential = keeper.wallet.credential
        try:
            self._write(credential)
        except Exception as error:  # noqa: BLE001 - as in `_send`
            self.fail(error)
            return
        self._first_answer = OVER
        keeper.emit(OperationRetried, self._operation.operation_name)
        second = _SecondAttempt(self._authorization, self._operation, self._observer, credential)
        self._authorization.proceed(self._operation, second, self.root)

    def _write(self, credential: Credential | None) -> None:
        """Put tokens on the operation; they must be of its own login, also where that changes in another thread."""
        if credential is None:
            self._authorization.check_login()
            return
        if credential.epoch != self._authorization.epoch:
            raise SessionEnded(self._authorization.keeper.wallet.parting)
        self._authorization.write(self._operation, self._operation.get_context(), credential)

    def go_on(self, value: object) -> None:
        """Go on after the wait for a token: to send, or to send once more."""
        if self._first_answer is AWAITED:
            self.admit(is_bound=True, has_waited=True, is_told=True)
        else:
            self._go_again()

    def fail(self, error: Exception) -> None:
        """End the operation with an error of our own, and with what the server had answered."""
        first, self._first_answer = self._first_answer, OVER
        answer = None if isinstance(first, _Fate) else first
        self._observer.on_error(own_error(error, self._operation.operation_name, answer))

    def cancel(self) -> None:
        """Leave the queue."""
        places = self.places  # written out: very many may leave
        places[self.index] = None
        places.left += 1
        self._first_answer = OVER  # the traceback of a refusal may lead back to this attempt, which is a cycle


class _ForLoad(Place[Any]):
    """The place of an operation that waits until the tokens are loaded."""

    __slots__ = ("_attempt", "_has_waited", "_is_bound", "_is_told")

    def __init__(
        self, root: Subscription, attempt: FirstAttempt, *, is_bound: bool, has_waited: bool, is_told: bool
    ) -> None:
        self.root = root
        self._attempt = attempt
        self._is_bound = is_bound
        self._has_waited = has_waited
        self._is_told = is_told

    def go_on(self, value: object) -> None:
        self._attempt.admit_loaded(is_bound=self._is_bound, has_waited=self._has_waited, is_told=self._is_told)

    def fail(self, error: Exception) -> None:
        self._attempt.fail(error)


class _SecondAttempt:
    """The same operation after its retry: its answers pass, whatever they are."""

    __slots__ = ("_answered", "_authorization", "_credential", "_observer", "_operation", "on_completed")

    def __init__(
        self,
        authorization: Authorization,
        operation: Operation,
        observer: ResultObserver,
        credential: Credential | None,
    ) -> None:
        self._authorization = authorization
        self._operation = operation
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
            if self._authorization.is_refused(self._operation, answer):
                self._authorization.keeper.reject(self._credential)
            elif not isinstance(answer, Exception):
                self._authorization.keeper.accept(self._credential)
        except Exception as error:  # noqa: BLE001 - of a user's clock; the answer is delivered all the same
            report_callback_error(error)
