"""What the tests of the auth server share: a clock to set by hand and a plain client."""

import base64
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from rxlink.testing.auth_server import AuthServer, TokenPair

VIEWER = "query Viewer { viewer { id name } }"
ECHO = "query Echo($value: String!) { echo(value: $value) }"
PUBLIC = "query Open { public }"
SIGN_IN = """mutation SignIn($user: String!, $password: String!) {
  signIn(user: $user, password: $password) { accessToken refreshToken expiresIn }
}"""
REFRESH = """mutation Refresh($token: String) {
  refreshToken(refreshToken: $token) { accessToken refreshToken expiresIn }
}"""
INCREMENT = "mutation Increment($key: String!) { increment(key: $key) }"
SIGN_OUT = "mutation SignOut { signOut }"


class HandClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time

    def pass_(self, seconds: float) -> None:
        self.time += seconds


class Client:
    """A client without any cleverness; `answers` are status, body as JSON, and headers."""

    def __init__(self, server: AuthServer, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.session = session

    async def graphql(
        self,
        query: str,
        variables: dict[str, Any] | None = None,
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        body = {"query": query, "variables": variables}
        async with self.session.post(self.server.url, json=body, headers=sent) as answer:
            return answer.status, await answer.json(content_type=None)

    async def viewer(self, pair: TokenPair, **options: Any) -> tuple[int, Any]:
        return await self.graphql(VIEWER, token=pair.access_token, **options)

    async def token(self, form: dict[str, str], *, basic: tuple[str, str] | None = None) -> tuple[int, Any]:
        headers = {}
        if basic is not None:
            credentials = base64.b64encode(":".join(basic).encode()).decode()
            headers["Authorization"] = f"Basic {credentials}"
        async with self.session.post(self.server.token_url, data=form, headers=headers) as answer:
            return answer.status, await answer.json()

    async def refresh(self, refresh_token: str | None) -> tuple[int, Any]:
        return await self.token({"grant_type": "refresh_token", "refresh_token": refresh_token or ""})


@asynccontextmanager
async def running(**options: Any):
    """A server with a hand-set clock (2 s tokens) and a client for it."""
    clock = HandClock()
    jar = aiohttp.CookieJar(unsafe=True)
    async with AuthServer(**({"token_life": 2.0, "clock": clock} | options)) as server:
        async with aiohttp.ClientSession(cookie_jar=jar) as session:
            yield server, Client(server, session), clock
