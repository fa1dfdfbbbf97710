"""Several identities in one process: one AuthSession for each, made when it is first needed.

Nothing is shared between them: each has its own tokens, its own refresh, its own pauses after failures.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterator
from threading import RLock
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from rxlink.auth.session import AuthSession
from rxlink.core.operation import Operation
from rxlink.core.options import checked_function, kind_of, name_of
from rxlink.core.refreshes import refreshes_here
from rxlink.errors import ClientClosed, InvariantTypeError

__all__ = ["AuthSessions"]

K = TypeVar("K", bound=Hashable)


class AuthSessions(Generic[K]):
    """The sessions of many users, tenants or audiences, by key; an AuthLink takes it in the place of one session.

    Each operation is asked for its key, and runs with the session of that key. A session stays until it is closed:
    a service whose users come and go closes those who have gone, after their tokens were saved.

    Args:
        make: Gets a key and makes its session, such as with a storage of its own. Called once for each key.
        key: Gets an operation and returns its key; None for an operation of nobody, which goes out without a token.

    Raises:
        InvariantTypeError: One of the functions cannot be called with that, or is a coroutine function.

    Example:
        >>> from rxlink import AuthLink, AuthSession, AuthSessions, GraphQLRequest, TokenSet, execute, from_
        >>> from rxlink.testing import MockedResponse, MockLink
        >>> sessions = AuthSessions(
        ...     lambda user: AuthSession(refresh=lambda tokens, reason: None, tokens=TokenSet(f"token-of-{user}")),
        ...     key=lambda operation: operation.get_context().get("user"),
        ... )
        >>> server = MockLink([MockedResponse(result={"data": {"answer": 42}})])
        >>> request = GraphQLRequest("{ answer }", context={"user": "ada"})
        >>> subscription = execute(from_([AuthLink(sessions), server]), request).subscribe()
        >>> server.operations[0].get_context()["headers"]
        {'authorization': 'Bearer token-of-ada'}
        >>> list(sessions)
        ['ada']
    """

    def __init__(self, make: Callable[[K], AuthSession], *, key: Callable[[Operation], K | None]) -> None:
        """See the class; nothing is made yet."""
        self._make = checked_function("`make` of AuthSessions", make, "key", instead="give a plain function")
        self._key = checked_function("`key` of AuthSessions", key, "operation", instead="give a plain function")
        self._sessions: dict[K, AuthSession] = {}
        self._lock = RLock()  # a session may be made out of another one
        self._is_closed = False

    def get(self, key: K) -> AuthSession:
        """Return the session of a key; it is made where there is none.

        Raises:
            ClientClosed: All sessions were closed.
            InvariantTypeError: The key cannot be looked up, or what was made is no AuthSession.
        """
        try:
            session = self._sessions.get(key)
        except TypeError as error:
            raise InvariantTypeError(
                f"the key of a session is {kind_of(key)}, which cannot be looked up: {error}; give text or a number"
            ) from None
        if session is not None:
            return session
        with self._lock:
            if self._is_closed:
                raise ClientClosed("AuthSessions")
            session = self._sessions.get(key)
            if session is None:
                session = self._sessions[key] = self._checked(self._make(key))
            return session

    def of(self, operation: Operation) -> AuthSession | None:
        """Return the session with which an operation runs, None for none."""
        key: Any = self._key(operation)
        return None if key is None else self.get(key)

    def is_inside_refresh(self) -> bool:
        """Tell whether the caller is part of a refresh of one of them."""
        return bool(refreshes_here.get()) and any(
            session.keeper.is_inside_refresh() for session in list(self._sessions.values())
        )

    async def close(self, key: K) -> None:
        """Close the session of a key, and forget it; where there is none, do nothing.

        It is forgotten when it is closed, not before: another one would send its refresh token a second time. What
        comes meanwhile gets :class:`~rxlink.errors.ClientClosed`.
        """
        session = self._sessions.get(key)
        if session is None:
            return
        closing = asyncio.ensure_future(session.aclose())
        closing.add_done_callback(lambda _: self._forget(key, session))
        await asyncio.shield(closing)

    def _forget(self, key: K, session: AuthSession) -> None:
        with self._lock:
            if self._sessions.get(key) is session:
                del self._sessions[key]

    async def aclose(self) -> None:
        """Close all sessions; those who wait get :class:`~rxlink.errors.ClientClosed`."""
        with self._lock:
            self._is_closed = True
            sessions = list(self._sessions.values())
            self._sessions.clear()
        failures = await asyncio.gather(*(session.aclose() for session in sessions), return_exceptions=True)
        for failure in failures:
            if failure is not None:
                raise failure  # the others are closed all the same

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __iter__(self) -> Iterator[K]:
        return iter(list(self._sessions))

    def __len__(self) -> int:
        return len(self._sessions)

    def __contains__(self, key: object) -> bool:
        return key in self._sessions

    def __repr__(self) -> str:
        return f"<AuthSessions of {len(self)}>"

    def _checked(self, session: object) -> AuthSession:
        if not isinstance(session, AuthSession):
            raise InvariantTypeError(f"{name_of(self._make)} made {kind_of(session)}; let it return an AuthSession")
        return session
