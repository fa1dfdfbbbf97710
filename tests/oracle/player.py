"""Plays one scenario through rxlink and returns its trace; `js/play.mjs` does the same with Apollo Client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from contextvars import Context, ContextVar, copy_context
from typing import Any

import aiohttp
from reactivex import Observable, abc
from reactivex.subject import ReplaySubject

from rxlink import ApolloLink, GraphQLRequest, execute
from rxlink.errors import RxlinkError
from tests.oracle.calls import call, described
from tests.oracle.clock import SettlingLoop
from tests.oracle.randomness import scripted_randomness
from tests.oracle.registry import chain_of
from tests.oracle.scenario import Scenario, Trace
from tests.oracle.server import Server
from tests.oracle.spelling import context_of
from tests.oracle.vocabulary import ScriptedError, describe_error
from tests.oracle.world import Owner

__all__ = ["LeftBehind", "play"]

DEFAULT_LIMIT = 10_000  # virtual milliseconds
GOODBYE = 100  # virtual seconds in which sockets close by themselves when everybody has left
NOBODY = Owner("", 0)

_owner: ContextVar[Owner] = ContextVar("owner", default=NOBODY)


class LeftBehind(AssertionError):
    """Something still runs when every subscriber has left."""


def play(scenario: Scenario) -> Trace:
    """Run a scenario on a loop of its own and return what happened.

    Raises:
        LeftBehind: A task or a timer is left when every subscriber has left.
    """
    with closing(SettlingLoop()) as loop, scripted_randomness(scenario.get("random", [0.5])):
        world = loop.run_until_complete(_open(scenario))
        loop.set_exception_handler(world.note_complaint)
        try:
            loop.run_until_complete(world.plan())
            loop.run_until_ms(scenario.get("until", DEFAULT_LIMIT))
            world.finish()
            loop.run_until(loop.time() + (GOODBYE if world.latest_socket().attempt else 0))
        finally:
            loop.run_until_complete(world.close())
        _check_that_nothing_is_left(loop)
        return world.trace


async def _open(scenario: Scenario) -> OracleWorld:
    return OracleWorld(scenario)


def _check_that_nothing_is_left(loop: SettlingLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    if tasks or loop.timers():
        raise LeftBehind(f"tasks: {tasks}; timers: {loop.timers()}")


class OracleWorld:
    """What the parts of a scenario share: the trace, the clock, the server."""

    def __init__(self, scenario: Scenario) -> None:
        self.loop = asyncio.get_running_loop()
        self.trace: Trace = []
        self._scenario = scenario
        self._players: dict[str, _Player] = {}
        self._is_over = False
        self._server = Server(scenario, self)
        self._entering: list[Callable[[], Awaitable[object]]] = []
        self._closing: list[Callable[[], Awaitable[object]]] = []
        self.session: aiohttp.ClientSession = self._server.session()

    async def plan(self) -> None:
        """Set the timers of what the scenario says; before anything runs, as the worker does."""
        try:
            chain = chain_of(self._scenario["chain"], self)
        except (RxlinkError, ScriptedError) as error:
            self.note_for(NOBODY, "refused", error=describe_error(error))
            return
        for enter in self._entering:
            await enter()
        for operation in self._scenario["operations"]:
            player = self._players[operation["id"]] = _Player(self, chain, operation, self._scenario.get("client"))
            player.plan()

    def at(self, moment: float, action: Callable[[], None]) -> None:
        """Call something at a moment of the scenario, in milliseconds."""
        self.loop.call_at(moment / 1000, action)

    def owner(self, name: str | None = None) -> Owner:
        """Return for whom the code runs now, or the latest subscription to a named operation."""
        here = _owner.get()
        if name is None or name not in self._players or here.operation == name:
            return here
        return Owner(name, self._players[name].attempts)

    def latest_socket(self) -> Owner:
        """Return the owner of what happens to the WebSocket that was opened last."""
        return self._server.sockets.latest()

    def at_start(self, enter: Callable[[], Awaitable[object]]) -> None:
        """Let something begin before the first operation."""
        self._entering.append(enter)

    def at_end(self, close: Callable[[], Awaitable[object]]) -> None:
        """Let something be closed when the scenario is over."""
        self._closing.append(close)

    def note_for(self, owner: Owner, event: str, **fields: Any) -> None:
        """Write an event into the trace."""
        if not self._is_over:
            at = round(self.loop.time() * 1000, 3)
            at = int(at) if at.is_integer() else at
            self.trace.append(
                {"at": at, "operation": owner.operation, "attempt": owner.attempt, "event": event, **fields}
            )

    def note_complaint(self, loop: asyncio.AbstractEventLoop, complaint: dict[str, Any]) -> None:
        """Write down what went to the loop's exception handler."""
        error = complaint.get("exception") or RuntimeError(complaint["message"])
        self.note_for(self.owner(), "unhandled", error=describe_error(error))

    def finish(self) -> None:
        """Let everybody leave who is still there, without a word in the trace."""
        self._is_over = True
        for player in self._players.values():
            player.leave()

    async def close(self) -> None:
        """Close what was asked for, and the session."""
        for close in self._closing:
            await close()
        await self.session.close()


class _Player:
    """One operation and its subscriptions."""

    def __init__(
        self, world: OracleWorld, chain: ApolloLink, operation: Scenario, client_options: Scenario | None
    ) -> None:
        self._world = world
        self._chain = chain
        self._operation = operation
        self._client_options = client_options
        self._observable: Observable[Any] | None = None
        self.attempts = 0
        self._leavers: list[Callable[[], None]] = []

    def plan(self) -> None:
        operation, world = self._operation, self._world
        world.at(operation.get("start", 0), self._execute)
        for moment in operation.get("resubscribe", []):
            world.at(moment, self._subscribe)
        unsubscribe = operation.get("unsubscribe")
        for index, moment in enumerate(unsubscribe if isinstance(unsubscribe, list) else [unsubscribe]):
            if moment is not None:
                world.at(moment, lambda index=index: self._leave(index))

    def leave(self) -> None:
        for leave in self._leavers:
            leave()

    def _execute(self) -> None:
        operation = self._operation
        request = GraphQLRequest(
            operation.get("query") or f"query {operation['id']} {{ a }}",
            operation.get("variables"),
            extensions=operation.get("extensions"),
            context=self._first_context(),
        )
        owner = Owner(operation["id"], 1)
        try:
            self._observable = self._context(owner).run(self._observable_of, request)
        except (RxlinkError, ScriptedError) as error:
            self._world.note_for(owner, "throw", error=describe_error(error))
        self._subscribe()

    def _observable_of(self, request: GraphQLRequest) -> Observable[Any]:
        asked = self._operation.get("call")
        return (
            execute(self._chain, request) if asked is None else call(self._chain, self._client_options, asked, request)
        )

    def _first_context(self) -> dict[str, Any] | None:
        """Return the operation's context; a signal in it comes when the scenario says."""
        context = context_of(self._operation.get("context"))
        signal = (context or {}).get("fetch_options", {}).get("signal")
        if context is None or signal is None:
            return context
        aborted: ReplaySubject[object] = ReplaySubject(1)
        self._world.loop.call_later(signal["abortAfter"] / 1000, aborted.on_next, "aborted")
        return {**context, "fetch_options": {**context["fetch_options"], "signal": aborted}}

    def _subscribe(self) -> None:
        if self._observable is None:
            return
        self.attempts += 1
        owner = Owner(self._operation["id"], self.attempts)
        context = self._context(owner)
        recorder = _Recorder(self._world, owner, self._operation.get("take"))
        self._leavers.append(lambda: context.copy().run(recorder.leave))
        self._world.note_for(owner, "start")
        recorder.hold(context.run(self._observable.subscribe, recorder))

    def _leave(self, index: int) -> None:
        if index < len(self._leavers):
            self._leavers[index]()

    def _context(self, owner: Owner) -> Context:
        context = copy_context()
        context.run(_owner.set, owner)
        return context


class _Recorder:
    """One subscriber; with `take` it leaves inside its n-th result."""

    def __init__(self, world: OracleWorld, owner: Owner, take: int | None) -> None:
        self._world = world
        self._owner = owner
        self._left = take
        self._is_over = False
        self._subscription: abc.DisposableBase | None = None

    def hold(self, subscription: abc.DisposableBase) -> None:
        self._subscription = subscription
        if self._is_over:
            subscription.dispose()

    def leave(self) -> None:
        if not self._is_over:
            self._end("unsubscribe")
            if self._subscription is not None:
                self._subscription.dispose()

    def on_next(self, value: Any) -> None:
        if self._is_over:
            return
        self._world.note_for(self._owner, "next", value=described(value))
        if self._left is not None:
            self._left -= 1
            if self._left == 0:
                self.leave()

    def on_error(self, error: Exception) -> None:
        self._end("error", error=describe_error(error))

    def on_completed(self) -> None:
        self._end("complete")

    def _end(self, event: str, **fields: Any) -> None:
        if not self._is_over:
            self._is_over = True
            self._world.note_for(self._owner, event, **fields)
