"""Sends requests for tokens; what it raises and logs shows nothing of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import aiohttp
from aiohttp.abc import AbstractStreamWriter

from rxlink.errors import ClientClosed, NetworkError, NetworkTimeout, TokenRefreshError
from rxlink.transport._failures import network_error
from rxlink.transport._headers import described
from rxlink.transport._sessions import GivenSession, OwnSessions
from rxlink.transport._uri import Target

__all__ = ["TokenAnswer", "TokenSender"]

LARGEST_ANSWER: Final = 2**20  # bytes; tokens take some thousand
NO_TIMEOUTS: Final = aiohttp.ClientTimeout()

logger = logging.getLogger("rxlink.transport.oauth2")  # the public module that this is a part of


class TokenAnswer(NamedTuple):
    """What a token endpoint answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        """Show the status; there are tokens in the rest."""
        return f"<TokenAnswer {self.status}>"


class TokenSender:
    """Posts forms to one token endpoint, each within a time limit, on whichever loop it is called.

    Args:
        what: What a request is called in errors and logs.
        target: The endpoint.
        time_limit: Seconds for each request.
        session: An aiohttp session to borrow connections from; None to open one for each loop.
    """

    def __init__(self, what: str, target: Target, *, time_limit: float, session: aiohttp.ClientSession | None) -> None:
        self._what = what
        self._target = target
        self._time_limit = time_limit
        self._own = OwnSessions()
        self._given = None if session is None else GivenSession(session, "oauth2_refresh")
        self._is_closed = False

    async def send(self, headers: Mapping[str, str], form: bytes) -> TokenAnswer:
        """Send a form and return the answer, whatever its status; a redirect is not followed.

        Raises:
            NetworkError: There was no answer; no text of it, or of its cause, is of the request or the answer.
            TokenRefreshError: It was too long.
            ClientClosed: This was closed, or the session that it borrows from.
        """
        body = _Body(form)
        failure: NetworkError
        limit = asyncio.timeout(self._time_limit)
        try:
            async with limit, self._session() as session:
                return await self._exchange(session, headers, body)
        except (aiohttp.ClientError, OSError) as error:
            if limit.expired():
                failure = NetworkTimeout(self._what, seconds=self._time_limit)
                failure.may_have_arrived = body.has_left
            else:
                failure = network_error(error, self._what)
        try:
            # Out here, so that aiohttp's exception is not its context.
            if self._is_closed:
                raise ClientClosed("the oauth2_refresh")
            raise failure
        finally:
            del failure  # its traceback holds this frame: no cycles

    async def aclose(self) -> None:
        """Close its own connections on the running loop."""
        self._is_closed = True
        await self._own.aclose()

    async def _exchange(self, session: aiohttp.ClientSession, headers: Mapping[str, str], body: _Body) -> TokenAnswer:
        is_logged = logger.isEnabledFor(logging.DEBUG)
        if is_logged:
            logger.debug(">>> %s: %s bytes; %s", self._what, body.size, described(headers))
        async with session.post(
            self._target.url,
            data=body,
            headers=headers,
            timeout=NO_TIMEOUTS,
            allow_redirects=False,
            raise_for_status=False,
        ) as response:
            answer = TokenAnswer(response.status, response.headers, await self._read(response))
        if is_logged:
            logger.debug("<<< %s: %d, %d bytes", self._what, answer.status, len(answer.body))
        return answer

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        chunks: list[bytes] = []
        size = 0
        while chunk := await response.content.readany():
            size += len(chunk)
            if size > LARGEST_ANSWER:
                response.close()
                raise TokenRefreshError(f"{self._what} was answered with more than 1 MiB", retryable=True)
            chunks.append(chunk)
        return b"".join(chunks)

    @asynccontextmanager
    async def _session(self) -> AsyncGenerator[aiohttp.ClientSession]:
        if self._is_closed:
            raise ClientClosed("the oauth2_refresh")
        if self._given is None:
            yield self._own.opened(None) or await self._own.open(None)
            return
        given = self._given.opened(None) or await self._given.open(None)
        # One over the same connections, without what belongs to other requests: an `authorization` for all of them
        # would be taken for this client's, and cookies and middlewares are for somebody else as well.
        async with aiohttp.ClientSession(
            connector=given.connector,
            connector_owner=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=getattr(given, "_default_proxy", None),
            trust_env=given.trust_env,
        ) as session:
            yield session


class _Body(aiohttp.BytesPayload):
    """A form that knows whether aiohttp has begun to send it."""

    def __init__(self, form: bytes) -> None:
        super().__init__(form, content_type="application/x-www-form-urlencoded")
        self.has_left = False

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        self.has_left = True
        await super().write_with_length(writer, content_length)
