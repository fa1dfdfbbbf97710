"""One scenario through rxlink's TokenRefreshLink, in virtual time; token_refresh.mjs is its twin."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from rxlink.auth.token_refresh import TokenRefreshLink
from rxlink.core.chain import execute, from_
from rxlink.core.operation import GraphQLRequest, Operation
from rxlink.core.subscription import ResultObserver, Subscription
from rxlink.errors import AuthError, ServerError, ServerParseError, TokenRefreshTimeout
from rxlink.testing.virtual_time import VirtualTime
from tests.recording import Worker

Event = list[Any]
"""Who, when in milliseconds, what, and a detail."""


def play(scenario: dict[str, Any]) -> list[Event]:
    with VirtualTime() as time:
        world = World(scenario, time)
        for operation in scenario["operations"]:
            time.loop.call_later(operation.get("at", 0) / 1000, world.start, operation)
        time.loop.set_exception_handler(lambda _, told: world.note("link", "unhandled", str(told["exception"])))
        time.advance(scenario["until"] / 1000)
        return world.events


class World:
    """What is around the link: a store with one token, a check, an endpoint that hands out tokens, a server."""

    def __init__(self, scenario: dict[str, Any], time: VirtualTime) -> None:
        self.scenario = scenario
        self.time = time
        self.events: list[Event] = []
        self.token: str | None = scenario["token"]
        self.checks = list(scenario.get("checks", ()))
        self.fetches = list(scenario["fetches"])
        self.responded = asyncio.Event()
        self.link = from_([TokenRefreshLink(**self.options()), Worker(self.answer)])

    def note(self, who: str, what: str, detail: Any = None) -> None:
        self.events.append([who, round(self.time.monotonic() * 1000), what, detail])

    def options(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "is_token_valid_or_undefined": self.check,
            "fetch_access_token": self.fetch,
            "handle_fetch": self.store,
            "handle_error": self.complain,
        }
        if "field" in self.scenario:
            options["access_token_field"] = self.scenario["field"]
        if "response" in self.scenario:
            options["handle_response"] = self.read
        return options

    def start(self, operation: dict[str, Any]) -> None:
        who = operation["id"]
        results = execute(self.link, GraphQLRequest(f"query {who} {{ echo }}"))

        def subscribe(who: str) -> Callable[[], None]:
            return results.subscribe(
                lambda result: self.note(who, "next", result["data"]),
                lambda error: self.note(who, "error", kind_of(error)),
                lambda: self.note(who, "complete"),
            ).dispose

        leave = None if operation.get("asleep") else subscribe(who)
        if leave is not None and "leave" in operation:
            self.time.loop.call_later(operation["leave"] / 1000, leave)
        if "again" in operation:
            self.time.loop.call_later(operation["again"] / 1000, subscribe, f"{who} again")

    async def check(self, operation: Operation) -> bool:
        self.note(str(operation.operation_name), "check")
        step = self.checks.pop(0) if self.checks else {}
        is_good = self.token is None or self.time.monotonic() * 1000 < self.scenario["ends"].get(self.token, 1e9)
        if "after" in step:
            await asyncio.sleep(step["after"] / 1000)
        if "with_response" in step:
            await self.responded.wait()
        if "raises" in step:
            raise RuntimeError(step["raises"])
        return is_good

    def fetch(self) -> Any:
        self.note("link", "fetch")
        step = self.fetches.pop(0) if self.fetches else {}
        if "throws" in step:
            raise RuntimeError(step["throws"])
        if "through_chain" in step:
            return execute(self.link, GraphQLRequest("query refresh { access_token }"))
        return self.respond(step)

    async def respond(self, step: dict[str, Any]) -> Response:
        if "never" in step:
            await asyncio.Event().wait()
        await asyncio.sleep(step.get("after", 0) / 1000)
        if "raises" in step:
            raise RuntimeError(step["raises"])
        return Response(step.get("status", 200), step.get("text", json.dumps(step.get("body"))))

    def read(self, operation: Operation, field: str) -> Callable[[Response], Any]:
        rule = self.scenario["response"]
        if "throws" in rule:
            raise RuntimeError(rule["throws"])

        async def read(answer: Response) -> dict[str, Any]:
            asyncio.get_running_loop().call_soon(self.responded.set)
            if "raises" in rule:
                raise RuntimeError(rule["raises"])
            part = json.loads(await answer.text())
            for name in rule["path"]:
                part = part[name]
            return {field: part}

        return read

    def store(self, token: Any, operation: Operation) -> Any:
        self.note("link", "handle_fetch", [token, operation.operation_name])
        rule = self.scenario.get("store", {})
        if "after" in rule:
            return self.store_later(token, rule)
        self.finish_storing(token, rule)
        return None

    async def store_later(self, token: Any, rule: dict[str, Any]) -> None:
        await asyncio.sleep(rule["after"] / 1000)
        self.finish_storing(token, rule)

    def finish_storing(self, token: Any, rule: dict[str, Any]) -> None:
        if "raises" in rule:
            raise RuntimeError(rule["raises"])
        self.token = token["token"] if isinstance(token, dict) else token

    def complain(self, error: Exception, operation: Operation) -> None:
        self.note("link", "handle_error", [kind_of(error), operation.operation_name])
        if "handle_error" in self.scenario:
            raise RuntimeError(self.scenario["handle_error"])

    def answer(self, operation: Operation, observer: ResultObserver, root: Subscription) -> None:
        who = str(operation.operation_name)
        self.note(who, "send", None if who == "refresh" else self.token)
        if self.scenario.get("broken") == who:
            observer.on_error(RuntimeError("broken link"))
            return
        root.spawn(self.answer_later(observer, root, who), observer)

    async def answer_later(self, observer: ResultObserver, root: Subscription, who: str) -> None:
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.note(who, "abort")
            raise
        root.release()
        observer.on_next({"data": {"access_token": "A1"} if who == "refresh" else {"echo": who}})
        observer.on_completed()


class Response:
    """What aiohttp answers, as far as it matters."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        self.headers = {"content-type": "application/json"}
        self._text = text

    async def text(self) -> str:
        return self._text


def kind_of(error: Exception) -> str:
    """Tell errors apart as token_refresh.mjs does: operations get ours with the original's error as its cause."""
    if isinstance(error, TokenRefreshTimeout):
        return "timeout"
    if isinstance(error, AuthError):
        cause = error.__cause__
        while isinstance(cause, AuthError):  # the errors of those who waited are made anew
            cause = cause.__cause__
        return kind_of(cause) if isinstance(cause, Exception) else "no token"
    if isinstance(error, ServerError):
        return f"status {error.status_code}"
    return "no JSON" if isinstance(error, ServerParseError) else f"raised: {error}"
