"""A refresh that blocks: a keychain, a subprocess, a synchronous SDK. It runs in a thread, beside the event loop."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from dataclasses import replace
from threading import Lock, Thread
from typing import TypeAlias

from rxlink.auth.events import RefreshReason
from rxlink.auth.tokens import TokenSet, shifted
from rxlink.core.options import checked_function, kind_of, name_of
from rxlink.errors import InvariantTypeError, SessionEnded, TokenRefreshError

__all__ = ["BlockingRefresh", "blocking"]

NewTokens: TypeAlias = TokenSet | str | None
PlainRefresh: TypeAlias = Callable[[TokenSet | None, RefreshReason], NewTokens]

SHORTEST_LIFE = 1e-3
"""Seconds: the life of tokens that have ended while nobody asked for them; 0 would mean that it is not known."""


def blocking(fn: PlainRefresh) -> BlockingRefresh:
    """Make a ``refresh`` callback of a plain function that blocks.

    The function runs in a thread, in a copy of the caller's ``contextvars.Context``, and never twice at once. A thread
    cannot be cancelled. If it outlives the session's ``refresh_timeout``, the next refresh waits for it instead of
    calling the function again; if it has ended by then, and with tokens, these are used: the issuer may have taken the
    refresh token for them. That holds for the same tokens only: nobody gets what was made from those of another login.
    It holds up neither the end of an event loop nor that of the program.

    Args:
        fn: Gets the tokens in use and the reason; returns new tokens, or raises what a ``refresh`` callback may raise.

    Raises:
        InvariantTypeError: It cannot be called with that, or is a coroutine function, which does not block.

    Example:
        >>> import asyncio
        >>> import time
        >>> from rxlink import AuthSession, TokenSet
        >>> def ask_the_keychain(tokens, reason):
        ...     time.sleep(0.01)
        ...     return TokenSet("new")
        >>> async def main():
        ...     async with AuthSession(refresh=blocking(ask_the_keychain), tokens=TokenSet("old")) as session:
        ...         await session.refresh(force=True)
        ...         return await session.get_token()
        >>> asyncio.run(main())
        'new'
    """
    checked_function(
        "`fn` of blocking",
        fn,
        "tokens",
        "reason",
        instead="give it to AuthSession as it is, without blocking(...)",
    )
    return BlockingRefresh(fn)


class BlockingRefresh:
    """What :func:`blocking` returns."""

    def __init__(self, fn: PlainRefresh) -> None:
        self._fn = fn
        self._lock = Lock()  # calls may come from several loops
        self._run: _Run | None = None

    async def __call__(self, tokens: TokenSet | None, reason: RefreshReason) -> NewTokens:
        """Run the function, or wait for a run that is under way, and return what it returned.

        Args:
            tokens: The tokens in use.
            reason: Why they are to be replaced.

        Raises:
            Exception: What the function raised.
            TokenRefreshError: It ended with an exit of the program, which a thread cannot have.
        """
        while True:
            run, is_left_over, is_own = self._run_for(tokens, reason)
            await run.ended()
            # Without tokens nobody knows whose they would be.
            if is_own or (run.tokens == tokens and tokens is not None):
                with self._lock:
                    if self._run is run:
                        self._run = None
                return run.outcome(is_left_over=is_left_over)

    def __repr__(self) -> str:
        """Name the function."""
        return f"blocking({name_of(self._fn)})"

    def own(self) -> BlockingRefresh:
        """Return one for another session, so that sessions wait for nobody else's run."""
        return BlockingRefresh(self._fn)

    def _run_for(self, tokens: TokenSet | None, reason: RefreshReason) -> tuple[_Run, bool, bool]:
        """Return the run to wait for, whether it ended before anybody asked for what it brought, and whether it is new.

        It is the one under way, one that has ended and is of use, or a new one.
        """
        with self._lock:
            run = self._run
            has_ended = run is not None and run.future.done()
            is_new = False
            if run is None or (has_ended and not run.is_worth_keeping(tokens)):
                run, has_ended, is_new = _Run(self._fn, tokens, reason), False, True
                run.start()
                self._run = run
            return run, has_ended, is_new


class _Run:
    """One call of the function, in its thread."""

    def __init__(self, fn: PlainRefresh, tokens: TokenSet | None, reason: RefreshReason) -> None:
        self._fn = fn
        self._reason = reason
        self._ended_at = 0.0
        self.tokens = tokens
        self.future: Future[NewTokens] = Future()

    def start(self) -> None:
        # A thread of its own: those of a pool are waited for when a loop or the program ends. In a daemon nothing is
        # waited for.
        context = copy_context()
        Thread(target=context.run, args=(self._call,), name="rxlink-blocking-refresh", daemon=True).start()

    def _call(self) -> None:
        try:
            returned = self._fn(self.tokens, self._reason)
            if inspect.iscoroutine(returned):
                returned.close()
                raise InvariantTypeError(
                    f"{name_of(self._fn)} of blocking returned {kind_of(returned)}; give it to AuthSession as it is"
                )
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            self._ended_at = time.monotonic()
            self.future.set_exception(error)
        else:
            self._ended_at = time.monotonic()
            self.future.set_result(returned)

    async def ended(self) -> None:
        """Wait for the end; to leave means nothing to the run, nor to others that wait."""
        loop = asyncio.get_running_loop()
        woken = loop.create_future()

        def wake(_: object) -> None:
            with suppress(RuntimeError):  # the loop is closed, and nobody waits there any more
                loop.call_soon_threadsafe(_settle, woken)

        self.future.add_done_callback(wake)
        await woken

    def is_worth_keeping(self, tokens: TokenSet | None) -> bool:
        """Tell whether a call with these tokens gets what an ended run has left: tokens, or that there are no more."""
        if self.tokens != tokens or tokens is None:
            return False
        error = self.future.exception()
        return isinstance(error, SessionEnded) if error is not None else self.future.result() is not None

    def outcome(self, *, is_left_over: bool) -> NewTokens:
        """Return what the function returned.

        Args:
            is_left_over: Whether it did so before anybody asked for it: then part of the tokens' life is over.

        Raises:
            Exception: What it raised.
        """
        error = self.future.exception()
        if error is None:
            returned = self.future.result()
            return _aged(returned, time.monotonic() - self._ended_at) if is_left_over else returned
        if isinstance(error, Exception):
            raise error
        raise TokenRefreshError(f"{name_of(self._fn)} of blocking raised {kind_of(error)}", retryable=False) from error


def _settle(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)


def _aged(tokens: NewTokens, seconds: float) -> NewTokens:
    """Return tokens as they are some time after they were handed out."""
    if not isinstance(tokens, TokenSet):
        return tokens
    issued_at = None if tokens.issued_at is None else shifted(tokens.issued_at, seconds)
    life = tokens.expires_in
    if life is not None and life > 0:
        life = max(life - seconds, SHORTEST_LIFE)
    return replace(tokens, expires_in=life, issued_at=issued_at)
