"""The session of a command: which tokens it begins with, where they are kept, how they are refreshed."""

from __future__ import annotations

import argparse
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final, NoReturn

import aiohttp

from rxlink.auth.events import RefreshReason
from rxlink.auth.refresh_callback import RefreshCallback
from rxlink.auth.session import AuthSession
from rxlink.auth.storage import MemoryTokenStorage, SharedTokenStorage
from rxlink.auth.tokens import TokenSet
from rxlink.commands.failures import Misuse
from rxlink.commands.leaving import Leaving
from rxlink.commands.sources import Sources, valid_text
from rxlink.commands.storages import storage_of
from rxlink.commands.time_limit import TimeLimit
from rxlink.errors import AuthError, SessionEnded
from rxlink.trace.recorder import Trace
from rxlink.transport.oauth2 import GrantType, OAuth2Refresh, oauth2_refresh

__all__ = ["Login", "login_of", "signed_in"]

NO_TOKEN_YET: Final = "none-yet"  # noqa: S105 - nobody's
"""Stands for the access token where there is only a refresh token; it is sent nowhere."""
LONGEST_REFRESH: Final = 600.0
"""Seconds, where an answer may take any time: a session has to end its refreshes at some time."""
ISSUER_OPTIONS: Final = ("client_id", "client_secret_file", "scope", "refresh_token_file")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)  # which would show secrets
class Issuer:
    """Who hands out tokens, and to which client."""

    url: str
    client_id: str
    client_secret: str | None
    scope: str | None
    grant_type: GrantType

    def refresh(self, session: aiohttp.ClientSession | None) -> OAuth2Refresh:
        """Return what asks it for tokens.

        Raises:
            InvariantError: A part makes no sense.
        """
        return oauth2_refresh(
            self.url,
            client_id=self.client_id,
            client_secret=self.client_secret,
            scope=self.scope,
            grant_type=self.grant_type,
            session=session,
        )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)  # the same
class Login:
    """As whom a command runs.

    Attributes:
        storage: Where tokens are kept.
        first: The tokens to begin with where none are kept; None for no such tokens.
        issuer: Who hands out others; None where nobody does.
        timeout: Seconds that a refresh may take, all its tries together.
        is_patient: Whether an issuer that is down is asked again.
    """

    storage: SharedTokenStorage
    first: TokenSet | None
    issuer: Issuer | None
    timeout: float
    is_patient: bool

    @property
    def needs_nobody(self) -> bool:
        """Whether the client gets tokens for itself."""
        return self.issuer is not None and self.issuer.grant_type == "client_credentials"

    @property
    def is_kept(self) -> bool:
        """Whether a token that is lost would be missed by the next command."""
        return not (self.needs_nobody or isinstance(self.storage, MemoryTokenStorage))


def login_of(options: argparse.Namespace, sources: Sources, warn: Callable[[str], None]) -> Login | None:
    """Return as whom to run, None for nobody.

    Args:
        options: What was given.
        sources: Reads what they name.
        warn: Is told of secrets on the command line.

    Raises:
        Misuse: Options do not go together, or cannot be read.
        InvariantError: A token cannot be one, or an extra is missing.
    """
    issuer = _issuer_of(options, sources)
    if issuer is None and options.access_token_file is None and options.storage is None:
        return None
    if options.insecure:
        raise Misuse("argument --insecure: tokens would go to whoever answers; give --ca-file instead")
    if options.refresh_token_file is not None and options.storage is None:
        raise Misuse(
            "argument --refresh-token-file: many issuers take a refresh token once only; say with --storage where its "
            "successor is to be kept, or give --storage memory for an issuer that does not replace it"
        )
    login = Login(
        storage=MemoryTokenStorage() if options.storage is None else storage_of(options.storage, sources, warn),
        first=_first_of(options, sources),
        issuer=issuer,
        timeout=options.timeout or LONGEST_REFRESH,
        is_patient=options.retry > 0,
    )
    if login.first is None and options.storage in {None, "memory"} and not login.needs_nobody:
        raise Misuse(
            "there is no token to begin with; give --access-token-file, --refresh-token-file, a --storage that has "
            "one, or --grant-type client_credentials"
        )
    if issuer is not None:
        issuer.refresh(None)  # what is wrong with it is told before anything is sent
    return login


@asynccontextmanager
async def signed_in(
    login: Login | None,
    session: aiohttp.ClientSession | None,
    tell: Callable[[str], None],
    limit: TimeLimit | None,
    trace: Trace | None,
) -> AsyncGenerator[AuthSession | None]:
    """Open the session of a login for a block; None without one.

    Args:
        login: As whom to run.
        session: Over whose connections to ask for tokens; None for others.
        tell: Is told what is waited for where the block is interrupted.
        limit: Of the time that the block may take; None where it has none.
        trace: Records its refreshes, also the one that it begins with; None where nobody wants to know.

    Raises:
        AuthError: Nobody is signed in, and nobody could be.
        NetworkError: The issuer did not answer.
        InvariantError: An option makes no sense.
    """
    if login is None:
        yield None
        return
    async with AsyncExitStack() as stack:
        refresh: RefreshCallback = _refuse
        if login.issuer is not None:
            refresh = _beginning_with(login.first, await stack.enter_async_context(login.issuer.refresh(session)))
        auth = AuthSession(
            refresh=refresh,
            storage=login.storage,
            obtain_first=login.needs_nobody,
            refresh_timeout=login.timeout,
            on_refresh_outage="wait" if login.is_patient else "fail",
        )
        await stack.enter_async_context(Leaving(auth, is_kept=login.is_kept, tell=tell, limit=limit))
        if trace is not None:
            trace.watch(auth)
        if not login.needs_nobody:
            await _begin(auth, login.first)
        yield auth


async def _begin(auth: AuthSession, first: TokenSet | None) -> None:
    """Go on with the tokens that are kept; where they are none, or dead, begin with the first ones."""
    try:
        kept = await auth.refresh()
    except SessionEnded:
        if first is None:
            raise
        kept = None
    if kept is not None:
        return
    if first is None:
        raise AuthError("no tokens are stored yet; give --refresh-token-file or --access-token-file")
    if first.access_token == NO_TOKEN_YET:
        await auth.refresh(force=True)
    else:
        await auth.set_tokens(first)


def _beginning_with(first: TokenSet | None, refresh: OAuth2Refresh) -> RefreshCallback:
    async def get_new_tokens(tokens: TokenSet | None, reason: RefreshReason) -> TokenSet:
        return await refresh(first if tokens is None and first is not None else tokens, reason)

    return get_new_tokens


def _refuse(tokens: TokenSet | None, reason: RefreshReason) -> NoReturn:
    raise SessionEnded("the access token was rejected or has ended, and without --token-url there is no other")


def _issuer_of(options: argparse.Namespace, sources: Sources) -> Issuer | None:
    if options.token_url is None:
        given = [name for name in ISSUER_OPTIONS if getattr(options, name) is not None]
        if given or options.grant_type != "refresh_token":
            option = f"--{given[0].replace('_', '-')}" if given else "--grant-type"
            raise Misuse(f"argument {option}: it needs --token-url too")
        return None
    if options.client_id is None:
        raise Misuse("argument --token-url: it needs --client-id too")
    secret = options.client_secret_file
    return Issuer(
        url=valid_text("--token-url", options.token_url),
        client_id=options.client_id,
        client_secret=None if secret is None else sources.secret("--client-secret-file", secret),
        scope=None if options.scope is None else valid_text("--scope", options.scope),
        grant_type=options.grant_type,
    )


def _first_of(options: argparse.Namespace, sources: Sources) -> TokenSet | None:
    access, refresh = options.access_token_file, options.refresh_token_file
    if access is None and refresh is None:
        return None
    return TokenSet(
        NO_TOKEN_YET if access is None else sources.secret("--access-token-file", access),
        None if refresh is None else sources.secret("--refresh-token-file", refresh),
    )
