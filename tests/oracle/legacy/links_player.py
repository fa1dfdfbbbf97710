"""One scenario through rxlink's DedupLink or PollingLink, in virtual time; apollo_link.mjs is its twin."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest, Operation
from rxlink.core.subscription import ResultObserver, Subscription
from rxlink.links.dedup import DedupLink
from rxlink.links.polling import PollingLink
from rxlink.testing.virtual_time import VirtualTime
from tests.recording import Worker


def play(scenario: dict[str, Any]) -> list[list[Any]]:
    with VirtualTime() as time:
        world = World(scenario, time)
        for operation in scenario["operations"]:
            time.loop.call_later(operation.get("at", 0) / 1000, world.start, operation)
        time.advance(scenario["until"] / 1000)
        return list(world.events)


class World:
    """What is around the link: a server that answers call by call."""

    def __init__(self, scenario: dict[str, Any], time: VirtualTime) -> None:
        self.scenario = scenario
        self.time = time
        self.events: list[list[Any]] = []
        self.answers = list(scenario.get("answers", ()))
        self.count = 0
        self.link = from_([self.made_link(), Worker(self.answer)])

    def note(self, who: str, what: str, detail: Any = None) -> None:
        self.events.append([who, round(self.time.monotonic() * 1000), what, detail])

    def made_link(self) -> ApolloLink:
        return DedupLink() if self.scenario["link"] == "dedup" else PollingLink(self.interval_of)

    def interval_of(self, operation: Operation) -> float | None:
        interval = self.scenario["intervals"][operation.operation_name]
        if isinstance(interval, str):
            raise RuntimeError(interval)
        return None if interval is None else interval / 1000

    def start(self, operation: dict[str, Any]) -> None:
        name, kind = operation.get("name", "Q"), operation.get("kind", "query")
        request = GraphQLRequest(
            f"{kind} {name} {{ n }}", variables=operation.get("variables"), context=operation.get("context")
        )
        results = execute(self.link, request)

        def subscribe(who: str) -> Callable[[], None]:
            return results.subscribe(
                lambda result: self.note(who, "next", result["data"]["n"]),
                lambda error: self.note(who, "error", str(error)),
                lambda: self.note(who, "complete"),
            ).dispose

        leave = subscribe(operation["id"])
        if "leave" in operation:
            self.time.loop.call_later(operation["leave"] / 1000, leave)
        if "again" in operation:
            self.time.loop.call_later(operation["again"] / 1000, subscribe, f"{operation['id']} again")

    def answer(self, operation: Operation, observer: ResultObserver, root: Subscription) -> None:
        self.count += 1
        self.note(f"request {self.count}", "send", operation.operation_name)
        step = self.answers.pop(0) if self.answers else {}
        root.spawn(self.answer_later(observer, root, step, self.count), observer)

    async def answer_later(
        self, observer: ResultObserver, root: Subscription, step: dict[str, Any], number: int
    ) -> None:
        try:
            await (asyncio.Event().wait() if "never" in step else asyncio.sleep(step.get("after", 10) / 1000))
        except asyncio.CancelledError:
            if self.time.monotonic() * 1000 < self.scenario["until"]:
                self.note(f"request {number}", "abort")
            raise
        if "error" in step:
            root.release()
            observer.on_error(RuntimeError(step["error"]))
            return
        for part in range(step.get("results", 1)):
            observer.on_next({"data": {"n": number * 10 + part}})
        root.release()
        observer.on_completed()
