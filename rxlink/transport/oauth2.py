"""Get new tokens from an OAuth2 issuer: the ``refresh`` callback of an :class:`~rxlink.auth.session.AuthSession`.

The messages are those of :mod:`rxlink.auth.oauth2`, which also says what each answer means; this module sends them.
There is nothing in Apollo Client to port: its users write the request by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Final, Self, TypeAlias

import aiohttp

from rxlink.auth.events import RefreshReason
from rxlink.auth.oauth2 import FORM, GrantType, OAuth2Grant, TokenRequest
from rxlink.auth.oauth2_client import ClientAuthentication
from rxlink.auth.origins import is_loopback
from rxlink.auth.tokens import TokenSet
from rxlink.core.options import checked_flag, checked_function
from rxlink.core.timing import Duration, to_seconds
from rxlink.errors import InvariantError
from rxlink.transport._headers import checked_headers
from rxlink.transport._token_requests import TokenSender
from rxlink.transport._uri import Target, parse_uri

__all__ = ["ClientAuthentication", "GrantType", "OAuth2Refresh", "TokenRequestHeaders", "oauth2_refresh"]

TokenRequestHeaders: TypeAlias = Mapping[str, str] | Callable[[TokenSet | None], Mapping[str, str]]

DEFAULT_TIMEOUT: Final = 10.0  # seconds


def oauth2_refresh(
    token_url: str,
    *,
    client_id: str,
    client_secret: str | None = None,
    client_authentication: ClientAuthentication | None = None,
    grant_type: GrantType = "refresh_token",
    scope: str | Sequence[str] | None = None,
    extra: Mapping[str, str | Sequence[str]] | None = None,
    headers: TokenRequestHeaders | None = None,
    timeout: Duration = DEFAULT_TIMEOUT,
    session: aiohttp.ClientSession | None = None,
    allow_insecure: bool = False,
) -> OAuth2Refresh:
    """Return a ``refresh`` callback that gets tokens from an OAuth2 issuer (RFC 6749).

    The request carries the refresh token, or for ``client_credentials`` none, and never the access token. Redirects
    are not followed. An :class:`~rxlink.auth.session.AuthSession` does the rest: it tries again after an outage, waits
    as long as a ``Retry-After`` asks, keeps the old refresh token where none came, and ends after ``invalid_grant``.

    Args:
        token_url: The issuer's token endpoint: https, or plain http on this machine.
        client_id: The client, as it was registered.
        client_secret: Its secret; None for a public client.
        client_authentication: How the client proves who it is: ``"basic"`` in the ``authorization`` header (RFC 6749
            section 2.3.1), ``"body"`` in the form, ``"none"`` without a secret. None is ``"basic"`` where there is a
            secret, else ``"none"``.
        grant_type: ``"refresh_token"``, or ``"client_credentials"`` for a service that acts for itself: it asks again
            instead of refreshing.
        scope: What to ask for, as text or a list; None for what was granted. A refresh cannot ask for more than that.
        extra: Further parameters of the form, such as ``audience`` or ``resource``.
        headers: Further headers of the request, or a function that gets the tokens in use and returns them.
        timeout: Seconds that one try may take; see also ``refresh_timeout`` of the session.
        session: An aiohttp session over whose connections (with their TLS and proxy) to send; it is never closed, and
            nothing else of it is used: no cookies, headers, credentials or middlewares. None to open one.
        allow_insecure: Whether to send secrets over plain http to other hosts than this one.

    Raises:
        InvariantError: An option makes no sense, or the secrets would travel over plain http.
        InvariantTypeError: An option has the wrong type.

    Example:
        >>> import asyncio
        >>> from rxlink import AuthSession, TokenSet
        >>> from rxlink.testing import AuthServer
        >>> async def main():
        ...     async with AuthServer() as server, oauth2_refresh(server.token_url, client_id="app") as refresh:
        ...         pair = server.sign_in("ada")
        ...         tokens = TokenSet(pair.access_token, pair.refresh_token)
        ...         async with AuthSession(refresh=refresh, tokens=tokens) as session:
        ...             return await session.refresh(force=True) != tokens
        >>> asyncio.run(main())
        True
    """
    grant = OAuth2Grant(
        grant_type,
        client_id=client_id,
        client_secret=client_secret,
        client_authentication=client_authentication,
        scope=scope,
        extra=extra,
    )
    target = _checked_target(token_url, is_insecure_allowed=checked_flag("allow_insecure", allow_insecure))
    time_limit = to_seconds("timeout", timeout, may_be_zero=False)
    return OAuth2Refresh(grant, target, _Headers(headers, grant), time_limit=time_limit, session=session)


class OAuth2Refresh:
    """What :func:`oauth2_refresh` returns: call it, and close it when the session that uses it is closed.

    It serves several event loops, one after another or at once.
    """

    def __init__(
        self,
        grant: OAuth2Grant,
        target: Target,
        headers: _Headers,
        *,
        time_limit: float,
        session: aiohttp.ClientSession | None,
    ) -> None:
        self._grant = grant
        self._headers = headers
        self._name = f"{grant.grant_type} from {target}"
        what = f"the {grant.grant_type} request to {target}"
        self._sender = TokenSender(what, target, time_limit=time_limit, session=session)

    async def __call__(self, tokens: TokenSet | None, reason: RefreshReason) -> TokenSet:
        """Get new tokens.

        Args:
            tokens: The tokens in use.
            reason: Why they are to be replaced.

        Raises:
            SessionEnded: The refresh token is dead, or there is none.
            TokenRefreshError: The issuer did not hand out tokens; ``retryable`` says whether asking again makes sense.
            NetworkError: It did not answer; ``may_have_arrived`` says whether it may have got the request.
            ClientClosed: This was closed.
        """
        request = self._grant.request(tokens, reason)
        headers = self._headers.of(request, tokens)
        answer = await self._sender.send(headers, request.body.encode())
        return self._grant.read(answer.status, answer.headers, answer.body)

    async def aclose(self) -> None:
        """Close its own connections on the running loop; those on other loops close with them."""
        await self._sender.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        """Show the grant and where it is asked for."""
        return f"<OAuth2Refresh {self._name}>"


class _Headers:
    """The headers of token requests: those that a user wants, under those of the message."""

    def __init__(self, wanted: TokenRequestHeaders | None, grant: OAuth2Grant) -> None:
        if not callable(wanted):
            self._check({} if wanted is None else wanted, grant)
        else:
            checked_function("`headers` of oauth2_refresh", wanted, "tokens", instead="give a plain function")
        self._wanted = wanted
        self._grant = grant

    def of(self, request: TokenRequest, tokens: TokenSet | None) -> dict[str, str]:
        """Return the headers of a request.

        Raises:
            InvariantError: What the user's function returned cannot be sent, or says twice who the client is.
        """
        wanted = self._wanted(tokens) if callable(self._wanted) else self._wanted
        headers = {"accept": "application/json", **self._check({} if wanted is None else wanted, self._grant)}
        headers["content-type"] = FORM
        if request.authorization is not None:
            headers["authorization"] = request.authorization
        return headers

    @staticmethod
    def _check(wanted: Mapping[str, str], grant: OAuth2Grant) -> dict[str, str]:
        headers = {name.lower(): value for name, value in checked_headers(wanted, "oauth2_refresh").items()}
        if "authorization" in headers and grant.authorizes_in_header:
            raise InvariantError(
                "`headers` of oauth2_refresh has an `authorization`, in which the client already says who it is; "
                "leave it out, or give client_authentication='body'"
            )
        return headers


def _checked_target(token_url: str, *, is_insecure_allowed: bool) -> Target:
    target = parse_uri(token_url, "`token_url` of oauth2_refresh")
    if target.authorization is not None:
        raise InvariantError(
            "`token_url` of oauth2_refresh has a user name in it; give `client_id` and `client_secret` instead"
        )
    url = target.url
    if url.scheme == "http" and not is_insecure_allowed and not is_loopback(url.raw_host or ""):
        raise InvariantError(
            f"`token_url` of oauth2_refresh is {str(target)!r}, and over plain http everybody on the way can read the "
            "refresh token; use https, or give `allow_insecure=True` where the network can be trusted"
        )
    return target
