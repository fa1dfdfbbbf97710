"""Ask before each operation whether its access token is still good, and get a new one first where it is not.

Ports: ``apollo-link-token-refresh`` 0.7.0 ``src/tokenRefreshLink.ts`` and ``src/queuing.ts``, with its options. For new
code :class:`~rxlink.auth.link.AuthLink` does more: it keeps the tokens itself, and sees what the server refuses.
Differs:

- Nothing starts before an operation is subscribed, and subscribing again asks again (there the check runs when
  ``execute`` is called, and who subscribes again to an operation that has waited hangs).
- A check that took so long that a refresh has ended meanwhile is asked again (there it starts a second refresh).
- Who leaves while waiting is not sent (there the queue keeps it), who leaves during the check starts no refresh, and
  who leaves after a wait stops its request (there the request goes on).
- The flag is reset before anyone is released, whatever raises (there a ``fetchAccessToken`` or ``handleResponse`` that
  throws at once, and a ``handleError`` that throws, leave it set: all later operations hang; and an operation whose
  check answers in the last moment of a refresh is queued behind its end).
- A refresh has a time limit (there a stalled one stalls all operations for ever).
- ``handle_fetch`` is awaited before anyone goes on, and its failure is the refresh's (there its Promise is dropped).
- An operation that fails while the queue is released concerns itself only (there its exception goes to
  ``handleError``, and to all who wait).
- An operation that the refresh itself sends through the same chain passes (there it waits for itself).
- The callbacks may be plain functions, coroutine functions, or return an Observable.
- Operations end with a :class:`~rxlink.errors.TokenRefreshError`, each with its own; what was raised is its cause, and
  is what ``handle_error`` gets; of a GraphQL result without a token, its errors. By default nothing is printed.
- The answer may also be the parsed body, a GraphQL result, or the token itself as text, and a token beside ``data`` is
  found. A status of 300 or more counts before a body that is no JSON.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from reactivex import Observable, abc

from rxlink.auth.failures import own_error
from rxlink.auth.pending import Callbacks
from rxlink.auth.token_renewal import (
    FetchAccessToken,
    HandleError,
    HandleFetch,
    HandleResponse,
    TokenRenewal,
    settled,
    takes_time,
)
from rxlink.core.link import ApolloLink, Forward
from rxlink.core.operation import Operation
from rxlink.core.options import checked_function
from rxlink.core.refreshes import refreshes_here
from rxlink.core.subscription import Connect, ResultObserver, Subscription
from rxlink.core.timing import Duration
from rxlink.errors import ClientClosed

__all__ = ["IsTokenValidOrUndefined", "TokenRefreshLink"]

IsTokenValidOrUndefined: TypeAlias = Callable[[Operation], bool | Awaitable[bool] | Observable[bool]]


class TokenRefreshLink(ApolloLink):
    """Let operations with a good token pass; the others wait for one refresh, and go on with the new token.

    The link knows no token: the check looks it up, ``handle_fetch`` stores it, and a link behind this one puts it on
    the operation. All but ``handle_response`` may be coroutine functions, or return an Observable. A refresh that is
    under way goes on when everybody has left, and in the context of the operation that set it off.

    Errors:
        :class:`~rxlink.errors.TokenRefreshError` where the refresh failed, with its cause;
        :class:`~rxlink.errors.TokenRefreshTimeout` where it took too long; another
        :class:`~rxlink.errors.AuthError`, such as ``SessionEnded``, where a callback raised that;
        :class:`~rxlink.errors.ClientClosed` where the link was closed meanwhile; what the check raised.

    Example:
        >>> import asyncio
        >>> from rxlink import GraphQLRequest, SetContextLink, execute, from_
        >>> from rxlink.testing import MockedResponse, MockLink
        >>> store = {}
        >>> async def fetch_access_token():
        ...     return {"access_token": "new"}
        >>> refresh = TokenRefreshLink(
        ...     is_token_valid_or_undefined=lambda operation: "token" in store,
        ...     fetch_access_token=fetch_access_token,
        ...     handle_fetch=lambda token, operation: store.update(token=token),
        ... )
        >>> authorize = SetContextLink(lambda *_: {"headers": {"authorization": f"Bearer {store['token']}"}})
        >>> server = MockLink([MockedResponse(result={"data": {"answer": 42}})])
        >>> async def main():
        ...     return await execute(from_([refresh, authorize, server]), GraphQLRequest("{ answer }"))
        >>> asyncio.run(main())
        {'data': {'answer': 42}}
        >>> server.operations[0].get_context()["headers"]
        {'authorization': 'Bearer new'}
    """

    def __init__(
        self,
        *,
        is_token_valid_or_undefined: IsTokenValidOrUndefined,
        fetch_access_token: FetchAccessToken,
        handle_fetch: HandleFetch,
        handle_response: HandleResponse | None = None,
        handle_error: HandleError | None = None,
        access_token_field: str = "access_token",  # noqa: S107 - a name
        refresh_timeout: Duration = 30.0,
        scheduler: abc.SchedulerBase | None = None,
    ) -> None:
        """Make the link; one object may stand in several chains, which then share the refresh.

        Args:
            is_token_valid_or_undefined: Gets the operation; true if its token is good, or it needs none (nobody is
                signed in).
            fetch_access_token: Asks for a new token. It returns a response of aiohttp, the parsed body, the result of
                a GraphQL operation, or the token as text.
            handle_fetch: Gets the token and the operation that set off the refresh; stores it.
            handle_response: Gets that operation and the name of the field; returns a function that gets what was
                fetched and returns a mapping with the field. None for one that reads JSON and checks the status.
            handle_error: Gets what was raised, and that operation, before the operations get their errors; they do not
                wait for what it goes on to do. None for nothing.
            access_token_field: The name of the field, in the body or in its ``data``.
            refresh_timeout: Seconds that fetching and storing may take; operations wait that long.
            scheduler: For that time limit; None for the running event loop's time.

        Raises:
            InvariantTypeError: A callback does not take the arguments that it gets, ``handle_response`` is a coroutine
                function, or an option has the wrong type.
            InvariantError: The field has no name, or the time limit makes no sense.
        """
        super().__init__()
        self.is_token_valid_or_undefined = checked_function(
            "`is_token_valid_or_undefined`", is_token_valid_or_undefined, "operation"
        )
        self.renewal = TokenRenewal(
            fetch_access_token=fetch_access_token,
            handle_fetch=handle_fetch,
            handle_response=handle_response,
            handle_error=handle_error,
            access_token_field=access_token_field,
            refresh_timeout=refresh_timeout,
            scheduler=scheduler,
        )

    def connect(self, forward: Forward) -> Connect:
        """Prepare to run operations; see :meth:`ApolloLink.connect`."""
        proceed = forward.connect
        flight = self.renewal.flight

        def start(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
            if refreshes_here.get() and flight.is_inside():
                proceed(operation, observer, root)
            else:
                _Attempt(self, operation, observer, root, proceed).ask()

        return start

    async def aclose(self) -> None:
        """Close the link: those who wait get :class:`~rxlink.errors.ClientClosed`.

        A refresh that is under way is awaited, at most for its time limit, so that its token is stored; then what
        ``handle_error`` still does.

        Raises:
            InvariantError: Called from inside the link's own refresh, which would wait for itself.
        """
        await self.renewal.aclose()


class _Attempt:
    """One operation until it goes on."""

    __slots__ = ("_count", "_has_asked_again", "_is_good", "_observer", "_operation", "_proceed", "_renewal", "_root")

    def __init__(
        self,
        link: TokenRefreshLink,
        operation: Operation,
        observer: ResultObserver,
        root: Subscription,
        proceed: Connect,
    ) -> None:
        self._is_good = link.is_token_valid_or_undefined
        self._renewal = link.renewal
        self._operation = operation
        self._observer = observer
        self._root = root
        self._proceed = proceed
        self._count = link.renewal.count
        self._has_asked_again = False

    def ask(self) -> None:
        """Ask whether the token is good."""
        self._count = self._renewal.count
        try:
            answer: Any = self._is_good(self._operation)
            is_waiting = takes_time(answer)
        except Exception as error:  # noqa: BLE001 - whatever the check raises is the operation's error
            self._observer.on_error(error)
            return
        if is_waiting:
            self._root.spawn(self._wait_for(self._observer, answer), self._observer, answer)
        else:
            self._decide(answer)

    async def _wait_for(self, observer: ResultObserver, answer: Any) -> None:
        try:
            is_good = await settled(answer)
        except Exception as error:  # noqa: BLE001 - as above
            self._root.release()
            observer.on_error(error)
            return
        if self._root.is_stopped:  # the subscriber has left, and the check went on in spite of its cancellation
            return
        self._root.release()
        self._decide(is_good)

    def _decide(self, is_good: object) -> None:
        is_outdated = self._count != self._renewal.count and not self._renewal.flight.is_under_way
        if is_good or (is_outdated and self._has_asked_again):
            self._go_on()
        elif is_outdated:
            # It was asked about the token of before.
            self._has_asked_again = True
            self.ask()
        else:
            self._wait()

    def _wait(self) -> None:
        try:
            wave = self._renewal.join(self._operation)
        except Exception as error:  # noqa: BLE001 - whatever keeps the operation back is its error
            self._fail(error)
            return
        wave.wait(Callbacks(self._root, self._go_on, self._fail))

    def _go_on(self, _: object = None) -> None:
        self._proceed(self._operation, self._observer, self._root)

    def _fail(self, error: Exception) -> None:
        # Anew for each: one exception object must not travel through many operations.
        is_closed = isinstance(error, ClientClosed)
        own = ClientClosed("the TokenRefreshLink") if is_closed else own_error(error, self._operation.operation_name)
        self._observer.on_error(own)
