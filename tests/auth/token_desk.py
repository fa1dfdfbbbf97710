"""What the tests of TokenRefreshLink share: a store with one token, an endpoint, and a chain around a link."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from rxlink.auth.token_refresh import TokenRefreshLink
from rxlink.core.chain import execute, from_
from rxlink.core.chain_observable import ChainObservable
from rxlink.core.operation import Operation
from rxlink.links.context import SetContextLink
from tests.auth.scripted import REQUEST_ID, ScriptedServer, request
from tests.recording import Recorder, subscribed


class Desk:
    """A store, an endpoint that hands out A1, A2, ... or does what its script says, and a server that notes tokens."""

    def __init__(self, *script: Any, delay: float = 1.0, server_delay: float | None = 0.0, **options: Any) -> None:
        self.token: str | None = "A0"
        self.bad = {"A0"}
        self.script = list(script)
        self.delay = delay
        self.fetches = 0
        self.stored: list[tuple[Any, str | None]] = []
        self.errors: list[tuple[Exception, str | None]] = []
        self.server = ScriptedServer(*(f"A{number}" for number in range(9)), delay=server_delay)
        self.refresh_link = TokenRefreshLink(
            **{
                "is_token_valid_or_undefined": lambda operation: self.is_good(),
                "fetch_access_token": self.fetch,
                "handle_fetch": self.store,
                "handle_error": lambda error, operation: self.errors.append((error, operation.operation_name)),
                **options,
            }
        )
        self.link = from_([self.refresh_link, SetContextLink(self.authorize), self.server])

    def is_good(self) -> bool:
        return self.token not in self.bad

    async def fetch(self) -> Any:
        self.fetches += 1
        number = self.fetches
        step = self.script.pop(0) if self.script else None
        await asyncio.sleep(self.delay)
        if isinstance(step, Exception):
            raise step
        if callable(step):
            return await step()
        return {"access_token": f"A{number}"} if step is None else step

    def store(self, token: str, operation: Operation) -> None:
        self.token = token
        self.stored.append((token, operation.operation_name))

    def authorize(self, context: Any, operation: Operation) -> dict[str, Any]:
        return {"headers": {"authorization": f"Bearer {self.token}"}}

    def run(self, name: str = "Q") -> ChainObservable[Any]:
        return execute(self.link, request(name))

    def start(self, name: str = "Q", *, request_id: int | None = None) -> Recorder:
        token = REQUEST_ID.set(request_id)
        try:
            return subscribed(self.run(name))
        finally:
            REQUEST_ID.reset(token)

    def start_many(self, count: int) -> list[Recorder]:
        return [self.start(f"Q{number}", request_id=number) for number in range(count)]


class Answer:
    """A response as aiohttp has it, as far as it matters."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        self.headers = {"Retry-After": "7"}
        self._text = text

    async def text(self) -> str:
        return self._text


def expire(desk: Desk) -> None:
    """Let the token in the store be no longer good."""
    assert desk.token is not None
    desk.bad.add(desk.token)


def later(value: Any, seconds: float = 0.5) -> Callable[..., Any]:
    """Return a coroutine function that returns or raises this after a while."""

    async def wait(*_: object) -> Any:
        await asyncio.sleep(seconds)
        if isinstance(value, Exception):
            raise value
        return value

    return wait
