"""What does a chain cost while nothing has to be waited for?

Each operation is made, goes through the chain, is answered in the process and completes.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from reactivex import Observable

from benchmarks._apollo import APOLLO, apollo_in_node
from benchmarks.four_links import (
    ANSWER,
    REQUEST,
    Answering,
    four_links,
    four_retrying_links,
    four_simple_links,
    nothing,
    plain_calls,
    set_tenant,
)
from benchmarks.harness import (
    Effort,
    Table,
    Times,
    Variant,
    Verdict,
    cpu_clock,
    ratio_between,
    ratio_rows,
    repeat,
    rounds_of,
)
from benchmarks.stock_links import (
    answer_by_hand,
    answer_of,
    links_by_hand,
    links_of_operators,
    retrying_links_by_hand,
)
from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.core.operation import Operation
from rxlink.core.result import FetchResult
from rxlink.links.context import SetContextLink

__all__ = ["measure"]

PLAIN = "the same work as plain calls"
FOUR = "four links"
ALONE = "terminating link only"
LENGTHS = (1, 2, 4, 8)

RETRYING = "four links: retry, error, context, end"
STOCK = "stock Observable(subscribe), reactivex.of at the end"
STOCK_ALONE = "stock Observable(subscribe), an end of its own"

OnNext: TypeAlias = Callable[[FetchResult], None]
Way: TypeAlias = Callable[[OnNext], Callable[[], object]]
"""Gets who takes the results, and makes what runs one operation."""


async def measure(effort: Effort) -> list[Table]:
    """Compare the ways to write four links, then chains of several lengths, then two chains on RxPY alone."""
    return [await _four_links(effort), await _lengths(effort), await _on_rxpy(effort)]


async def _four_links(effort: Effort) -> Table:
    four = four_links(Answering())
    with_handler = from_([ApolloLink(lambda operation, forward: forward(operation)), four])
    variants = _checked(
        {
            PLAIN: lambda on_next: lambda: plain_calls(REQUEST, on_next),
            ALONE: _through(Answering()),
            FOUR: _through(four),
            "two SetContextLink, no AuthLink": _through(four_simple_links(Answering())),
            "four links and a user's handler": _through(with_handler),
            "four stock Observable(subscribe)": _through_stock(links_by_hand(answer_by_hand)),
            "four links of RxPY operators": _through_stock(links_of_operators()),
        }
    )
    async with apollo_in_node(effort) as apollo:
        if apollo is not None:
            variants.append(Variant(APOLLO, apollo.run()))
        times = await rounds_of(variants, effort, clock=cpu_clock)
    title = "A chain without I/O; ratio: cost, plain calls = 1"
    return Table(title, ratio_rows(times, PLAIN), judged(times))


def judged(times: Times) -> list[Verdict]:
    """Return what the budget says of the four links; nothing about Node where it is not installed."""
    plain = Verdict(
        subject="four links without I/O: cost, plain calls = 1",
        measured=ratio_between(times, FOUR, PLAIN),
        bound=5.0,
        aim=3.0,
        is_headline=True,
    )
    if APOLLO not in times:
        return [plain]
    apollo = Verdict(
        subject=f"four links without I/O: speed, {APOLLO} = 1",
        measured=ratio_between(times, FOUR, APOLLO, of_speed=True),
        bound=0.5,
        aim=1.0,
        is_floor=True,
        is_headline=True,
    )
    return [plain, apollo]


async def _lengths(effort: Effort) -> Table:
    chains = {
        f"{length} SetContextLink before it": _through(from_([*[SetContextLink(set_tenant)] * length, Answering()]))
        for length in LENGTHS
    }
    times = await rounds_of(_checked({ALONE: _through(Answering()), **chains}), effort, clock=cpu_clock)
    return Table(f"A chain by its length; ratio: cost, {ALONE} = 1", ratio_rows(times, ALONE))


async def _on_rxpy(effort: Effort) -> Table:
    """Compare with the chain that stood as the example when the budget was made, on RxPY alone."""
    variants = _checked(
        {
            RETRYING: _through(four_retrying_links(Answering())),
            STOCK_ALONE: _through_stock(retrying_links_by_hand(answer_by_hand)),
            STOCK: _through_stock(retrying_links_by_hand(answer_of)),
        }
    )
    times = await rounds_of(variants, effort, clock=cpu_clock)
    verdict = Verdict(
        subject="four links without I/O: speed, stock Observable(subscribe) = 1",
        measured=ratio_between(times, RETRYING, STOCK, of_speed=True),
        bound=12.0,
        aim=25.0,
        is_floor=True,
        is_headline=True,
    )
    return Table("The same four links on RxPY alone; ratio: cost, rxlink = 1", ratio_rows(times, RETRYING), [verdict])


def _checked(ways: Mapping[str, Way]) -> list[Variant]:
    """Make the variants, each of which has answered once."""
    for name, way in ways.items():
        received: list[FetchResult] = []
        way(received.append)()
        assert received == [ANSWER], name
    return [Variant(name, repeat(way(nothing))) for name, way in ways.items()]


def _through(link: ApolloLink) -> Way:
    return lambda on_next: lambda: execute(link, REQUEST).subscribe(on_next, nothing, nothing)


def _through_stock(head: Callable[[Operation], Observable[FetchResult]]) -> Way:
    return lambda on_next: lambda: head(Operation(REQUEST)).subscribe(on_next, nothing, nothing)
