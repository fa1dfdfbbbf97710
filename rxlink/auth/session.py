"""The one owner of a token: keeps it, replaces it in time, and tells operations whether to go on or to wait.

A session is separate from the links that use it: any number of chains share one, and with it one refresh. Its states::

    loading ──► authenticated ◄──────► refreshing
       │              ▲ │                 ▲ │
       │      sign-in │ │ sign-out        │ │ the refresh token was rejected, or sign-out
       │              │ ▼                 │ ▼
       └──────────► unauthenticated ──────┘ (``obtain_first``, or ``refresh(force=True)``)
"""

from __future__ import annotations

from types import TracebackType
from typing import Self, TypeVar, cast, get_args

from reactivex import Observable, abc

from rxlink.auth.clock import Clock, checked_clock, system_clock
from rxlink.auth.credential import Wallet
from rxlink.auth.events import AuthEvent, AuthState
from rxlink.auth.expiry import Windows
from rxlink.auth.keeper import Keeper
from rxlink.auth.pacing import BackoffOptions, CoolDownOptions, OnRefreshOutage
from rxlink.auth.refresh_callback import RefreshCallback
from rxlink.auth.relogin import Relogin, SessionEndedHook
from rxlink.auth.session_options import SessionOptions
from rxlink.auth.storage import TokenStorage
from rxlink.auth.tokens import TokenSet, checked_tokens
from rxlink.core.options import checked_flag, checked_scheduler, kind_of
from rxlink.core.timing import Duration, to_seconds
from rxlink.errors import InvariantError, InvariantTypeError

__all__ = ["AuthSession"]

T = TypeVar("T")


class AuthSession:
    """Keeps one user's token fresh, for any number of chains.

    ``refresh`` is called with the tokens in use (None where there are none) and a :class:`RefreshReason`, on the event
    loop, and never twice at a time. It returns a :class:`TokenSet` (or a bare access token as text), or an awaitable
    or an Observable of one. Where it brings no refresh token, the old one is kept. What it raises:
    :class:`~rxlink.errors.SessionEnded` ends the session; a failure that may pass (:func:`is_transient`) is tried again
    within ``refresh_timeout``; anything else fails those who wait, and the session is kept. Operations that it sends
    through a chain of this very session go out without a token and are not waited for.

    It may be used on several event loops, in several threads, at once: a refresh runs on the loop that started it, and
    those who wait for it go on each on their own.

    Attributes:
        keeper: Its inner part, for links.

    Example:
        >>> import asyncio
        >>> async def get_new_tokens(tokens, reason):
        ...     return TokenSet("new", refresh_token="r1")
        >>> async def main():
        ...     async with AuthSession(refresh=get_new_tokens, tokens=TokenSet("old", refresh_token="r0")) as session:
        ...         before = await session.get_token()
        ...         await session.refresh(force=True)
        ...         return before, await session.get_token()
        >>> asyncio.run(main())
        ('old', 'new')
    """

    def __init__(
        self,
        *,
        refresh: RefreshCallback,
        tokens: TokenSet | None = None,
        storage: TokenStorage | None = None,
        name: str | None = None,
        obtain_first: bool = False,
        advisory_window: Duration = 60.0,
        mandatory_window: Duration = 10.0,
        jitter: float = 0.1,
        refresh_timeout: Duration = 30.0,
        backoff: BackoffOptions | None = None,
        cool_down: CoolDownOptions | None = None,
        on_refresh_outage: OnRefreshOutage = "wait",
        on_session_ended: SessionEndedHook | None = None,
        relogin_timeout: Duration | None = None,
        clock: Clock | None = None,
        scheduler: abc.SchedulerBase | None = None,
    ) -> None:
        """Make a session; nothing is loaded or sent before an operation needs a token.

        Args:
            refresh: Gets new tokens; see above.
            tokens: The tokens to begin with, judged by ``expires_at`` where it is known, else by a life that counts
                from now; None to load them from the storage.
            storage: Where tokens are kept; None for memory.
            name: Stands in the log and in ``repr``, for those who have several sessions; no secret, please.
            obtain_first: Whether ``refresh`` can get the first tokens too, as the client credentials grant does: then
                it is called, with None, where none are kept. After a sign-out operations go out as nobody all the same.
            advisory_window: Seconds before the end of a token from which it is refreshed in the background; at most a
                quarter of its life.
            mandatory_window: Seconds before its end from which operations wait for the refresh; at most a tenth.
            jitter: The share of the advisory window, 0 to 1, by which sessions that share an expiry spread out.
            refresh_timeout: Seconds that a refresh may take, tries and pauses and saving together; operations
                wait that long.
            backoff: The pauses between tries; None for 0.5 s, doubling to 10 s.
            cool_down: When refreshes stop for a while because fresh tokens are rejected too; None for 30 s after three
                in a row.
            on_refresh_outage: What becomes of operations whose token is at its end while the issuer fails in a way
                that may pass. ``"wait"``: they wait for the next tries, until ``refresh_timeout``, and then fail.
                ``"fail"``: they fail at the first try, and at once during the pause after it. ``"use_stale"``: they go
                on with the token that there is, unless the server has refused it, and the tries go on beside them.
            on_session_ended: Called when the refresh token is dead, with the error; returns tokens of a new sign-in of
                the same user, with which those who wait go on, or None, and the session ends. Not called for
                ``clear()``. A plain function, a coroutine function, or one that returns an Observable.
            relogin_timeout: Seconds that ``on_session_ended`` may take, before the session ends without it; None for
                as many as a refresh.
            clock: Gives the current time as an aware datetime; None for the system's.
            scheduler: For the session's own timers; None for the running event loop's time.

        Raises:
            InvariantError: A duration makes no sense, an option is none of its words, or both tokens and storage were
                given.
            InvariantTypeError: A function cannot be called, or an option has the wrong type.
        """
        if tokens is not None and storage is not None:
            raise InvariantError("give `tokens` or `storage`, not both: with a storage, use `await set_tokens(...)`")
        if name is not None and not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance] - may be untyped
            raise InvariantTypeError(f"`name` is {kind_of(name)}; give text, or None")
        time_limit = to_seconds("refresh_timeout", refresh_timeout, may_be_zero=False)
        clock = checked_clock(clock or system_clock)
        options = SessionOptions(
            windows=Windows(advisory_window, mandatory_window, jitter),
            time_limit=time_limit,
            backoff=_checked_options("backoff", backoff, BackoffOptions),
            cool_down=_checked_options("cool_down", cool_down, CoolDownOptions),
            on_outage=_checked_outage(on_refresh_outage),
            relogin=Relogin(
                on_session_ended,
                time_limit=time_limit
                if relogin_timeout is None
                else to_seconds("relogin_timeout", relogin_timeout, may_be_zero=False),
            ),
            name=name,
            obtains_first=checked_flag("obtain_first", obtain_first),
            clock=clock,
            scheduler=checked_scheduler("scheduler", scheduler),
        )
        self._name = name
        self.keeper = Keeper(refresh, storage, options)
        if tokens is not None:
            kept = checked_tokens(tokens)
            self.keeper.begin_with(kept if kept.expires_at is not None else kept.received(clock()))

    @property
    def states(self) -> Observable[AuthState]:
        """Where the session stands: the current state at once, then each change."""
        return self.keeper.announcer.states.as_observable()

    @property
    def events(self) -> Observable[AuthEvent]:
        """What happens, as it happens; counts and durations, never a secret."""
        return self.keeper.announcer.events.as_observable()

    @property
    def wallet(self) -> Wallet:
        """The tokens in use, with what is known about them."""
        return self.keeper.wallet

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self.keeper.is_closed

    async def get_token(self) -> str | None:
        """Return an access token that is good to use, refreshed first where it has to be; None if nobody is signed in.

        Raises:
            AuthError: The refresh failed, or the session ended meanwhile.
            ClientClosed: The session is closed.
            InvariantError: Called from inside the session's own refresh.
        """
        self._check_call("get_token")
        has_waited = False
        while (wave := self.keeper.gate.wave(has_waited=has_waited)) is not None:
            has_waited = has_waited or self.keeper.is_up_to_date
            await self.keeper.gate.wait_with(wave)
        tokens = self.keeper.tokens
        return None if tokens is None else tokens.access_token

    async def refresh(self, *, force: bool = False) -> TokenSet | None:
        """Refresh if the tokens need it, and return the tokens in use; joins a refresh that is under way.

        Args:
            force: Refresh in any case, without waiting for a pause after failures to end.

        Raises:
            AuthError: The refresh failed, or the session ended meanwhile.
            ClientClosed: The session is closed.
            InvariantError: Called from inside the session's own refresh.
        """
        self._check_call("refresh")
        await self.keeper.gate.wait_for_load()
        await self.keeper.gate.refresh(is_forced=force)
        return self.keeper.tokens

    async def set_tokens(self, tokens: TokenSet) -> None:
        """Sign in: use these tokens from now on, and save them.

        Operations and refreshes of the login before end with :class:`~rxlink.errors.SessionEnded`.

        Raises:
            TokenStorageError: The tokens could not be saved; they are used all the same.
            ClientClosed: The session is closed.
            InvariantError: Called from inside the session's own refresh; return the tokens instead.
        """
        self._check_call("set_tokens")
        await self.keeper.sign_in(checked_tokens(tokens))

    async def clear(self) -> None:
        """Sign out: forget the tokens here and in the storage.

        Operations that wait, and a refresh that is under way, end with :class:`~rxlink.errors.SessionEnded`.

        Raises:
            TokenStorageError: The storage could not be cleared.
            ClientClosed: The session is closed.
            InvariantError: Called from inside the session's own refresh; raise SessionEnded instead.
        """
        self._check_call("clear")
        await self.keeper.sign_out()

    async def aclose(self) -> None:
        """Close the session: those who wait get :class:`~rxlink.errors.ClientClosed`.

        A refresh that is under way is awaited, at most for its time limit, so that its tokens are saved.
        """
        self._refuse_inside("aclose")
        await self.keeper.aclose()

    def __repr__(self) -> str:
        """Show where it stands, and no token."""
        name = "" if self._name is None else f" {self._name}"
        return f"<AuthSession{name}: {self.keeper.standing()}, generation {self.keeper.wallet.generation}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _check_call(self, method: str) -> None:
        self._refuse_inside(method)
        self.keeper.refuse_closed()

    def _refuse_inside(self, method: str) -> None:
        if self.keeper.is_inside_refresh():
            raise InvariantError(
                f"`{method}` was called from inside the session's own refresh, which would wait for itself; "
                "return the new tokens from the callback (`refresh`, or `on_session_ended`), or raise SessionEnded"
            )


def _checked_outage(policy: object) -> OnRefreshOutage:
    if policy not in get_args(OnRefreshOutage):
        words = ", ".join(map(repr, get_args(OnRefreshOutage)))
        raise InvariantError(f"`on_refresh_outage` is {policy!r}; give one of {words}")
    return cast("OnRefreshOutage", policy)


def _checked_options(name: str, given: T | None, kind: type[T]) -> T:
    if given is None:
        return kind()
    if not isinstance(given, kind):
        raise InvariantTypeError(f"`{name}` is {kind_of(given)}; give {kind.__name__}(...)")
    return given
