"""Which aiohttp session sends a request: the one given to the link, or one that the link opens.

A session belongs to its event loop. A link may serve several loops, one after another
(``asyncio.run`` twice), so it opens a session for each, held by an asynchronous generator: a loop
that shuts down finishes the generators that were started on it (``loop.shutdown_asyncgens``, which
``asyncio.run`` calls), and with them closes their sessions.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, cast

import aiohttp
from aiohttp.abc import AbstractCookieJar

from rxlink.core.options import kind_of
from rxlink.errors import ClientClosed, InvariantError, InvariantTypeError

__all__ = ["NOT_FOLLOWED", "Credentials", "GivenSession", "OwnSessions", "Sessions"]

Credentials: TypeAlias = Literal["omit", "same-origin", "include"]


KEEPING = ("include", "same-origin")
"""The choices with which cookies are kept."""
NOT_FOLLOWED: Final[Mapping[str, Any]] = {"allow_redirects": False}


class OwnSessions:
    """Sessions by loop, by whether they keep cookies, and by whether they are for answers without an end.

    Each opens when it is first asked for. Those without an end have as many connections as it takes: in a pool with a
    limit (aiohttp's is 100) they would keep all that comes later waiting.

    Attributes:
        given: The session that it was given: none.
        watchers: Who is told of what is read of an answer, or may read it: nobody.
    """

    __slots__ = ("_open",)

    given: Final = None
    watchers: Final = ()

    def __init__(self) -> None:
        self._open: dict[tuple[asyncio.AbstractEventLoop, bool, bool], _Held] = {}

    def check(self, credentials: Credentials | None) -> None:
        """Accept any choice about cookies."""

    def guarding(self, keeper: aiohttp.ClientMiddlewareType) -> Mapping[str, Any]:
        """Return with which arguments a request is sent that needs a middleware of its own."""
        return {"middlewares": (keeper,)}

    def opened(self, credentials: Credentials | None, is_endless: bool = False) -> aiohttp.ClientSession | None:  # noqa: FBT001, FBT002 - a keyword costs at each request
        """Return the session of the running loop for a choice about cookies, None before it is open.

        Args:
            credentials: The choice.
            is_endless: Whether the answer may have no end.
        """
        held = self._open.get((asyncio.get_running_loop(), credentials in KEEPING, is_endless))
        return None if held is None or held[0].closed else held[0]

    def closed_error(self) -> ClientClosed | None:
        """Return None: what is closed is opened anew."""
        return None

    async def open(
        self,
        credentials: Credentials | None,
        is_endless: bool = False,  # noqa: FBT001, FBT002 - as above
    ) -> aiohttp.ClientSession:
        """Open it; the two of a choice share their cookies."""
        keeps_cookies = credentials in KEEPING
        key = (asyncio.get_running_loop(), keeps_cookies, is_endless)
        for stale in [key for key in self._open if key[0].is_closed()]:
            del self._open[stale]
        other = self._open.get((key[0], keeps_cookies, not is_endless))
        jar = _new_jar(keeps_cookies=keeps_cookies) if other is None else other[0].cookie_jar
        holder = _hold_session(jar, is_endless=is_endless)
        # This does not give way to others, so nobody opens the same session meanwhile.
        session = await anext(holder)
        self._open[key] = (session, holder)
        return session

    async def aclose(self) -> None:
        """Close the sessions of the running loop; what runs on other loops goes on."""
        here = asyncio.get_running_loop()
        for key in [key for key in self._open if key[0] is here or key[0].is_closed()]:
            _, holder = self._open.pop(key)
            if key[0] is here:
                await holder.aclose()


class GivenSession:
    """Somebody else's session, which stays open.

    Args:
        session: The session.
        link: What the link that it was given to is called in error messages.

    Attributes:
        given: The session.
        watchers: Who is told of what is read of an answer, or may read it: its traces, or its middlewares.

    Raises:
        InvariantTypeError: It is no session.
    """

    __slots__ = ("_link", "given", "watchers")

    def __init__(self, session: aiohttp.ClientSession, link: str) -> None:
        if not isinstance(cast("object", session), aiohttp.ClientSession):
            raise InvariantTypeError(
                f"`session` of {link} is {kind_of(session)}; give an aiohttp.ClientSession, or None"
            )
        self.given = session
        self._link = link
        # Nobody is asked in public; of a session that does not say it, it is taken for granted that it has some.
        middlewares: Sequence[object] = getattr(session, "_middlewares", (session,))
        is_plain = type(session) is aiohttp.ClientSession and not middlewares
        self.watchers: Sequence[object] = session.trace_configs if is_plain else (session,)

    def check(self, credentials: Credentials | None) -> None:
        """Refuse what the session cannot do for one request alone.

        Raises:
            InvariantError: Cookies are to be left out, but the session keeps them.
        """
        jar = self.given.cookie_jar
        if credentials == "omit" and not isinstance(jar, aiohttp.DummyCookieJar):
            raise InvariantError(
                f"`credentials` is 'omit', but the session given to {self._link} keeps cookies; make it "
                "with cookie_jar=aiohttp.DummyCookieJar(), or let the link open its own session"
            )

    def guarding(self, keeper: aiohttp.ClientMiddlewareType) -> Mapping[str, Any]:
        """Return with which arguments a request is sent that needs a middleware of its own.

        It would take the place of the session's, which may sign requests or count them.
        """
        return NOT_FOLLOWED

    def opened(self, credentials: Credentials | None, is_endless: bool = False) -> aiohttp.ClientSession | None:  # noqa: FBT001, FBT002 - as above
        """Return it, None where its owner has closed it."""
        return None if self.given.closed else self.given

    async def open(
        self,
        credentials: Credentials | None,
        is_endless: bool = False,  # noqa: FBT001, FBT002 - as above
    ) -> aiohttp.ClientSession:
        """Refuse: it is not the link's to open.

        Raises:
            ClientClosed: Its owner has closed it.
        """
        raise self._refusal()

    def closed_error(self) -> ClientClosed | None:
        """Return what operations get where its owner has closed it, None as long as it is open."""
        return self._refusal() if self.given.closed else None

    async def aclose(self) -> None:
        """Leave it open."""

    def _refusal(self) -> ClientClosed:
        return ClientClosed(f"the aiohttp session given to {self._link}")


Sessions: TypeAlias = OwnSessions | GivenSession
_Held: TypeAlias = tuple[aiohttp.ClientSession, AsyncGenerator[aiohttp.ClientSession]]


def _new_jar(*, keeps_cookies: bool) -> AbstractCookieJar:
    # `unsafe` is aiohttp's word for keeping cookies of a host that is an IP address, as fetch does.
    return aiohttp.CookieJar(unsafe=True) if keeps_cookies else aiohttp.DummyCookieJar()


async def _hold_session(jar: AbstractCookieJar, *, is_endless: bool) -> AsyncGenerator[aiohttp.ClientSession]:
    options: dict[str, Any] = {"connector": aiohttp.TCPConnector(limit=0)} if is_endless else {}
    session = aiohttp.ClientSession(cookie_jar=jar, **options)
    try:
        yield session
    finally:
        await session.close()
