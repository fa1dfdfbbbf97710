"""Ways to follow subscriptions whose results come as fast as they are taken, and how these are compared."""

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any, TypeAlias

from benchmarks.four_links import ANSWER, nothing
from benchmarks.harness import NORMAL, Clock, Effort, Run, Times, Variant, rounds_of
from rxlink.core.chain import execute
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest

__all__ = ["Follow", "Take", "Way", "compare", "follow_chain", "installed"]

MOST_ROUNDS = 21

Take: TypeAlias = Callable[[Any], object]
"""Takes a result."""

Follow: TypeAlias = Callable[[int, Take], Awaitable[None]]
"""Subscribe, take about so many results in all, and wait for the end."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to follow subscriptions.

    Attributes:
        name: What its row is called.
        opened: Opens what is needed, and is used once.
        last: The last result that it gives.
    """

    name: str
    opened: contextlib.AbstractAsyncContextManager[Follow]
    last: object = dataclasses.field(default_factory=lambda: ANSWER)


def installed(question: str, *modules: str) -> set[str]:
    """Return which of them can be imported, and say which cannot."""
    found = {module for module in modules if find_spec(module) is not None}
    for module in modules:
        if module not in found:
            print(f"\n== {question} with {module}: not installed")
    return found


async def follow_chain(chain: ApolloLink, requests: Sequence[GraphQLRequest], take: Take) -> None:
    """Subscribe to all of them, and wait until all have completed.

    Raises:
        Exception: One has failed.
    """
    ends: list[asyncio.Future[None]] = [asyncio.get_running_loop().create_future() for _ in requests]
    for request, end in zip(requests, ends, strict=True):
        execute(chain, request).subscribe(take, end.set_exception, partial(end.set_result, None))
    await asyncio.gather(*ends)


async def compare(ways: Sequence[Way], effort: Effort, clock: Clock, *, count: int, beside: int = 1) -> Times:
    """Let the ways take turns; each takes as many results in a round, so that beginning has the same share in it.

    Args:
        ways: What to compare.
        effort: How long.
        clock: What the work is measured with.
        count: How many results there are in a round of the usual length.
        beside: How many subscriptions there are at least.
    """
    count = max(beside, round(count * effort.round_seconds / NORMAL.round_seconds))
    effort = dataclasses.replace(effort, rounds=min(effort.rounds, MOST_ROUNDS))
    async with contextlib.AsyncExitStack() as stack:
        variants: list[Variant] = []
        for way in ways:
            follow = await stack.enter_async_context(way.opened)
            await _check(way, follow, 2 * beside)
            variants.append(Variant(way.name, _run_of(follow)))
        return await rounds_of(variants, effort, at_least=count, at_most=count, clock=clock)


def _run_of(follow: Follow) -> Run:
    return lambda count: follow(count, nothing)


async def _check(way: Way, follow: Follow, count: int) -> None:
    answers: list[Any] = []
    await follow(count, answers.append)
    assert len(answers) >= count, f"{way.name} got {len(answers)} results"
    assert answers[-1] == way.last, f"{way.name} got {answers[-1]}"
