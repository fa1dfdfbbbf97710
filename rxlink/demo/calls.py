"""The operations of the demo: what each asks, the only right answer to it, and a wave of them as one stream."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import reactivex
from reactivex import Observable
from reactivex import operators as ops

from rxlink import ApolloLink, FetchResult, GraphQLRequest, execute

__all__ = ["AT_ONCE", "PASSWORD", "USER", "Call", "Outcome", "wave_of"]

USER: Final = "ada"
PASSWORD: Final = "any will do"
AT_ONCE: Final = 100
"""How many operations of a wave are on their way together: aiohttp opens so many connections."""

QUERY: Final = "query Look($value: String!) { viewer { name } echo(value: $value) }"
MUTATION: Final = "mutation Count($key: String!) { increment(key: $key) }"


@dataclass(frozen=True, slots=True)
class Call:
    """One operation, unlike all others.

    Attributes:
        number: Counts from 1.
        is_mutation: Whether it counts something on the server, or only looks.
    """

    number: int
    is_mutation: bool

    @property
    def name(self) -> str:
        """How the timeline calls it, and the ledger too."""
        return f"{'mutation' if self.is_mutation else 'query'} {self.number}"

    def request(self) -> GraphQLRequest:
        """Return what is sent."""
        context = {"headers": {"x-operation-id": self.name}}
        if self.is_mutation:
            return GraphQLRequest(MUTATION, {"key": self.name}, context=context)
        return GraphQLRequest(QUERY, {"value": self.name}, context=context)

    def right_answer(self) -> FetchResult:
        """Return its own result: a query gets its value back, a mutation has run exactly once."""
        if self.is_mutation:
            return {"data": {"increment": 1}}
        return {"data": {"viewer": {"name": USER}, "echo": self.name}}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an operation ended.

    Attributes:
        call: The operation.
        failure: What went wrong, None if it got its own right result.
    """

    call: Call
    failure: str | None = None


def wave_of(chain: ApolloLink, calls: Iterable[Call]) -> Observable[Outcome]:
    """Send operations all at once, or at most ``AT_ONCE`` at a time, and tell how each ends."""
    return reactivex.from_iterable(calls).pipe(
        ops.map(lambda call: _run(chain, call)),
        ops.merge(max_concurrent=AT_ONCE),
    )


def _run(chain: ApolloLink, call: Call) -> Observable[Outcome]:
    return execute(chain, call.request()).pipe(
        ops.to_list(),
        ops.map(lambda results: _judge(call, results)),
        ops.catch(lambda error, _: reactivex.just(_failed(call, error))),
    )


def _judge(call: Call, results: list[FetchResult]) -> Outcome:
    if results == [call.right_answer()]:
        return Outcome(call)
    if len(results) != 1:
        return Outcome(call, f"got {len(results)} results instead of one")
    return Outcome(call, "got errors" if results[0].get("errors") else "got a wrong result")


def _failed(call: Call, error: Exception) -> Outcome:
    return Outcome(call, f"{type(error).__name__}: {error}")
