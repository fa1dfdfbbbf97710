"""Operations, started at a pace with a limit of how many are in flight, and what becomes of each."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from rxlink import ApolloLink, GraphQLRequest, execute

__all__ = ["Load"]

ECHO = "query Echo($value: String!) { echo(value: $value) }"
PATIENCE = 45.0
"""Seconds for the operations that are in flight at the end: more than a session lets them wait."""


class Load:
    """Sends operations whose results are unlike any other's.

    Attributes:
        started: How many.
        own: How many got their own result.
        wrong: The names of those that got another, or more than one, or none.
        failed: Those that failed: name, kind and message.
        most_in_flight: How many there were at most at a time.
        longest: How many seconds the slowest took.
    """

    def __init__(self, link: ApolloLink, name: str, *, rate: float, in_flight: int) -> None:
        self._link = link
        self._name = name
        self._pause = 1 / rate if rate else 0.0
        self._places = asyncio.Semaphore(in_flight)
        self.running: dict[str, _Sent] = {}
        self.started = self.own = self.most_in_flight = 0
        self.longest = 0.0
        self.wrong: list[str] = []
        self.failed: list[dict[str, str]] = []
        self._idle = asyncio.Event()

    async def run(self, stopped: asyncio.Event, *, seconds: float, operations: int | None) -> None:
        """Start operations until it is stopped, or so long, or so many; wait for what is in flight."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        while not stopped.is_set() and self.started != operations and loop.time() - begin < seconds:
            if (early := begin + self.started * self._pause - loop.time()) > 0:
                await asyncio.sleep(early)
            await self._places.acquire()
            _Sent(self, f"{self._name}-{self.started}").start(self._link)
        self._idle.clear()
        if self.running:
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._idle.wait()
            except TimeoutError:
                pass  # they are told of in the report

    def has_begun(self, sent: _Sent) -> None:
        self.started += 1
        self.running[sent.name] = sent
        self.most_in_flight = max(self.most_in_flight, len(self.running))

    def has_ended(self, sent: _Sent, seconds: float) -> None:
        del self.running[sent.name]
        self.longest = max(self.longest, seconds)
        self._places.release()
        if not self.running:
            self._idle.set()

    def report(self) -> dict[str, Any]:
        """Return what became of them; nothing in it is a secret."""
        return {
            "started": self.started,
            "own": self.own,
            "wrong": self.wrong,
            "failed": self.failed,
            "failures": Counter(each["kind"] for each in self.failed),
            "unfinished": list(self.running),
            "most_in_flight": self.most_in_flight,
            "longest": round(self.longest, 3),
        }


class _Sent:
    """One operation."""

    def __init__(self, load: Load, name: str) -> None:
        self._load = load
        self.name = name
        self._results: list[Any] = []
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()

    def start(self, link: ApolloLink) -> None:
        self._load.has_begun(self)
        request = GraphQLRequest(ECHO, {"value": self.name}, context={"headers": {"x-operation-id": self.name}})
        execute(link, request).subscribe(self._results.append, self._fail, self._complete)

    def _fail(self, error: Exception) -> None:
        cause = "" if error.__cause__ is None else f" (because of {type(error.__cause__).__name__})"
        self._note(type(error).__name__, f"{error}{cause}")

    def _complete(self) -> None:
        match self._results:
            case [{"data": {"echo": self.name}}]:
                self._load.own += 1
            case [{"errors": [{"extensions": {"code": code}, "message": message}, *_]}]:
                self._load.failed.append({"name": self.name, "kind": code, "message": message})
            case _:
                self._load.wrong.append(self.name)
        self._end()

    def _note(self, kind: str, message: str) -> None:
        self._load.failed.append({"name": self.name, "kind": kind, "message": message})
        self._end()

    def _end(self) -> None:
        self._load.has_ended(self, self._loop.time() - self._began)
