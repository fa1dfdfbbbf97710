"""What does it cost to wait for a result, by each of the three ways to have it?

`await`, `.subscribe` with callbacks, and `async for`; beside them what RxPY does where an Observable is
awaited. Each goes through the four links: answered at once, and sent over connections inside the
process, which leaves the client's own work alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import aiohttp
from reactivex import Observable

from benchmarks._http_ways import NOWHERE
from benchmarks.four_links import ANSWER, REQUEST, Answering, four_links, nothing
from benchmarks.harness import Effort, Table, Variant, cpu_clock, drive, ratio_rows, rounds_of
from benchmarks.in_process import InProcessConnector
from rxlink.core.async_iteration import to_async_iterator
from rxlink.core.chain import execute
from rxlink.core.link import ApolloLink
from rxlink.transport.http import HttpLink

__all__ = ["measure"]

AWAITED = "await"
ALONE, TOGETHER = 1, 64  # at a time

Way: TypeAlias = Callable[[ApolloLink], Awaitable[Any]]


async def _await(link: ApolloLink) -> Any:
    return await execute(link, REQUEST)


async def _subscribe(link: ApolloLink) -> Any:
    """Subscribe callbacks, and wait for the last of them; a future is what tells that it has been called."""
    results: list[Any] = []
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    execute(link, REQUEST).subscribe(results.append, ended.set_exception, lambda: ended.set_result(None))
    await ended
    return results[-1]


async def _iterate(link: ApolloLink) -> Any:
    last = None
    async for result in to_async_iterator(execute(link, REQUEST)):
        last = result
    return last


async def _await_as_rxpy(link: ApolloLink) -> Any:
    return await _Stock(execute(link, REQUEST))


class _Stock(Observable[Any]):
    """An Observable as RxPY makes it, around one of rxlink's."""

    def __init__(self, observable: Observable[Any]) -> None:
        super().__init__(lambda observer, scheduler: observable.subscribe(observer, scheduler=scheduler))


async def _only_subscribe(link: ApolloLink) -> Any:
    """Subscribe a callback that is called before `subscribe` returns: nobody has to wait."""
    results: list[Any] = []
    execute(link, REQUEST).subscribe(results.append, nothing, nothing)
    return results[-1]


WAYS: Mapping[str, Way] = {
    AWAITED: _await,
    "subscribe, and a future": _subscribe,
    "async for": _iterate,
    "await, of a stock Observable": _await_as_rxpy,
}
WAYS_AT_ONCE: Mapping[str, Way] = {**WAYS, "subscribe alone": _only_subscribe}


async def measure(effort: Effort) -> list[Table]:
    """Compare the ways, without I/O and over connections inside the process."""
    tables = [await _compare("without I/O", WAYS_AT_ONCE, four_links(Answering()), ALONE, effort)]
    async with aiohttp.ClientSession(connector=InProcessConnector()) as session:
        link = four_links(HttpLink(NOWHERE, session=session))
        for parallel in (ALONE, TOGETHER):
            where = f"over HTTP inside the process, {parallel} at a time"
            tables.append(await _compare(where, WAYS, link, parallel, effort))
    return tables


async def _compare(where: str, ways: Mapping[str, Way], link: ApolloLink, parallel: int, effort: Effort) -> Table:
    variants: list[Variant] = []
    for name, way in ways.items():
        assert await way(link) == ANSWER
        variants.append(Variant(name, drive(partial(way, link), parallel)))
    times = await rounds_of(variants, effort, at_least=2 * parallel, clock=cpu_clock)
    return Table(f"Four links {where}; ratio: cost, {AWAITED} = 1", ratio_rows(times, AWAITED))
