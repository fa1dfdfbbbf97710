"""An API, an issuer and a stranger that write down all that arrives, and what must arrive at one of them only."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

from tests.auth.evidence import PLANTED

CODE = f"{PLANTED}-code-{PLANTED}"
CLIENT_SECRET = f"{PLANTED}-client-{PLANTED}"
BASIC = base64.b64encode(f"app:{CLIENT_SECRET}".encode()).decode()
DATA = {"data": {"viewer": {"name": "Ada"}}}

Answer = Callable[["Seen"], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Seen:
    """A request that arrived.

    Attributes:
        request: What aiohttp makes of it.
        text: All of it as text.
    """

    request: web.Request
    text: str
    body: str

    @property
    def echo(self) -> str:
        """What a careless server says of it: all."""
        return json.dumps(self.text)

    @property
    def line(self) -> str:
        """The same in one line."""
        return "".join(character for character in self.text if character.isalnum() or character in "-_=&:/")


class Origin:
    """A server of its own that answers from a script, then as usual.

    Attributes:
        script: The answers to come, before the usual one.
        usual: The usual one.
        seen: What has arrived.
    """

    def __init__(self, usual: Answer) -> None:
        self.usual = usual
        self.script: list[Answer] = []
        self.seen: list[Seen] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = (await request.read()).decode(errors="replace")
        headers = "\n".join(f"{name}: {value}" for name, value in request.headers.items())
        seen = Seen(request, f"{request.method} {request.raw_path}\n{headers}\n\n{body}", body)
        self.seen.append(seen)
        answer = self.script.pop(0) if self.script else self.usual
        return await answer(seen)

    def has_seen(self, secret: str) -> bool:
        return any(secret in seen.text for seen in self.seen)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/x"
            yield
        finally:
            await runner.cleanup()


@dataclass
class Estate:
    """The three origins, and the tokens that were handed out.

    Attributes:
        header: The header in which the API looks for the access token.
        current: The access token that the API accepts.
        access: All access tokens.
        refresh: All refresh tokens.
    """

    header: str = "authorization"
    current: str = ""
    access: list[str] = field(default_factory=list[str])
    refresh: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self.numbers = count()
        self.api = Origin(self.judge)
        self.issuer = Origin(self.issue)
        self.stranger = Origin(self.welcome)

    @property
    def origins(self) -> tuple[Origin, Origin, Origin]:
        return self.api, self.issuer, self.stranger

    def issue_pair(self) -> dict[str, Any]:
        number = next(self.numbers)
        self.current = f"{PLANTED}-access{number}-{PLANTED}"
        self.access.append(self.current)
        self.refresh.append(f"{PLANTED}-refresh{number}-{PLANTED}")
        return {"access_token": self.current, "refresh_token": self.refresh[-1], "expires_in": 3600}

    async def issue(self, seen: Seen) -> web.StreamResponse:
        """Give tokens for the newest refresh token, for the code, or for the client's secret."""
        form = parse_qs(seen.body)
        assert form.get("refresh_token", self.refresh[-1:]) == self.refresh[-1:], "an old refresh token came"
        return web.json_response(self.issue_pair())

    async def judge(self, seen: Seen) -> web.StreamResponse:
        if (seen.request.headers.get(self.header) or "").endswith(self.current):
            return answer_data(seen)
        errors = [{"message": seen.text, "extensions": {"code": "UNAUTHENTICATED", "request": seen.text}}]
        headers = {"www-authenticate": f'Bearer error="invalid_token", error_description="{seen.line}"'}
        return web.json_response({"errors": errors}, status=401, headers=headers)

    async def welcome(self, seen: Seen) -> web.StreamResponse:
        return answer_data(seen)

    def strays(self) -> list[str]:
        """Return each secret that arrived anywhere but at its own origin."""
        at_home = dict.fromkeys(self.access, self.api)
        at_home |= dict.fromkeys((*self.refresh, CODE, CLIENT_SECRET, BASIC), self.issuer)
        return [
            f"{secret} at {origin.url}"
            for secret, home in at_home.items()
            for origin in self.origins
            if origin is not home and origin.has_seen(secret)
        ]


def answer_data(seen: Seen) -> web.StreamResponse:
    """Answer one operation, or a batch."""
    is_batch = seen.body.startswith("[")
    return web.json_response([DATA] * len(json.loads(seen.body)) if is_batch else DATA)


def saying(status: int, text: str, content_type: str = "application/json", **headers: str) -> Answer:
    """Answer with a text in which `ECHO` stands for the whole request, as JSON has it, and `RAW` for it as it is."""

    async def answer(seen: Seen) -> web.StreamResponse:
        body = text.replace('"ECHO"', seen.echo).replace("RAW", seen.text)
        told = {name: value.replace("RAW", seen.line) for name, value in headers.items()}
        return web.Response(status=status, text=body, content_type=content_type, headers=told)

    return answer


def redirect(status: int, origin: Origin) -> Answer:
    async def answer(seen: Seen) -> web.StreamResponse:
        return web.Response(status=status, headers={"location": origin.url})

    return answer


async def never(seen: Seen) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError("nobody sets that event")


async def drop(seen: Seen) -> web.StreamResponse:
    assert seen.request.transport is not None
    seen.request.transport.abort()
    return web.Response()


async def cut_short(seen: Seen) -> web.StreamResponse:
    """Promise more than is sent."""
    response = web.StreamResponse(headers={"content-length": "100000"})
    await response.prepare(seen.request)
    await response.write(seen.text.encode())
    assert seen.request.transport is not None
    seen.request.transport.close()
    return response
