"""What does a chain cost while nothing has to be waited for?

Each operation is made, goes through the chain, is answered in the process and completes.
"""

from collections.abc import Callable

from reactivex import Observable

from benchmarks.four_links import (
    REQUEST,
    Answering,
    four_links,
    four_simple_links,
    nothing,
    plain_calls,
)
from benchmarks.harness import (
    Effort,
    Table,
    Variant,
    Verdict,
    cpu_clock,
    ratio_of,
    ratio_rows,
    repeat,
    rounds_of,
)
from benchmarks.stock_links import links_by_hand, links_of_operators
from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.core.operation import Operation
from rxlink.core.result import FetchResult

__all__ = ["measure"]

PLAIN = "the same work as plain calls"
FOUR = "four links"
BUDGET = 6.0  # times the plain calls


async def measure(effort: Effort) -> list[Table]:
    """Compare the ways to write four links."""
    times = await rounds_of(_variants(), effort, clock=cpu_clock)
    rows = ratio_rows(times, PLAIN)
    verdict = Verdict(subject="four links, times the plain calls", measured=ratio_of(rows, FOUR), bound=BUDGET)
    return [Table("A chain without I/O; ratio: cost, plain calls = 1", rows, [verdict])]


def _variants() -> list[Variant]:
    four = four_links(Answering())
    with_handler = from_([ApolloLink(lambda operation, forward: forward(operation)), four])
    return [
        Variant(PLAIN, repeat(lambda: plain_calls(REQUEST, nothing))),
        Variant("terminating link only", repeat(_through(Answering()))),
        Variant(FOUR, repeat(_through(four))),
        Variant("two SetContextLink, no AuthLink", repeat(_through(four_simple_links(Answering())))),
        Variant("four links and a user's handler", repeat(_through(with_handler))),
        Variant("four stock Observable(subscribe)", repeat(_through_stock(links_by_hand()))),
        Variant("four links of RxPY operators", repeat(_through_stock(links_of_operators()))),
    ]


def _through(link: ApolloLink) -> Callable[[], object]:
    return lambda: execute(link, REQUEST).subscribe(nothing, nothing, nothing)


def _through_stock(head: Callable[[Operation], Observable[FetchResult]]) -> Callable[[], object]:
    return lambda: head(Operation(REQUEST)).subscribe(nothing, nothing, nothing)
