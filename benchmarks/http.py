"""What does a chain cost over HTTP, against the bare aiohttp call and against other clients?

Asked twice: of connections that answer inside the process, which leaves the client's own work alone and is
the less noisy of the two, and of a server in a second process on loopback.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks._apollo import APOLLO, Apollo, apollo_in_node
from benchmarks._http_ways import (
    BARE,
    FOUR,
    GQL,
    NOWHERE,
    TUNED,
    WAYS,
    Connector,
    Way,
    installed,
    no_sockets,
    sockets,
)
from benchmarks.canned_server import canned_server
from benchmarks.four_links import ANSWER
from benchmarks.harness import (
    Clock,
    Effort,
    Table,
    Times,
    Variant,
    Verdict,
    cpu_clock,
    drive,
    ratio_between,
    ratio_rows,
    rounds_of,
    wall_clock,
)

__all__ = ["measure"]

MOST_REQUESTS = 2_000  # in one round
MOST_IN_NODE = 64  # at a time
MANY = 512  # at a time
LOOPBACK, IN_PROCESS = "over loopback", "inside the process"


@dataclass(frozen=True, slots=True)
class Budget:
    """How fast the four links are to be, times the speed of another way.

    Attributes:
        where: The name of the place.
        against: The other way.
        speeds: What must be (None: only reported) and what is wanted, by the number of operations at a time.
    """

    where: str
    against: str
    speeds: Mapping[int, tuple[float | None, float]]

    def judge(self, times: Times, parallel: int) -> Verdict:
        """Compare with what was measured."""
        bound, aim = self.speeds[parallel]
        return Verdict(
            subject=f"HTTP {self.where}, {parallel} at a time: speed of four links, {self.against} = 1",
            measured=ratio_between(times, FOUR, self.against, of_speed=True),
            bound=bound,
            aim=aim,
            is_floor=True,
            is_headline=True,
        )


BUDGETS = (
    Budget(IN_PROCESS, BARE, {1: (0.85, 1.0), 64: (0.90, 1.0), 512: (0.75, 1.0)}),
    Budget(IN_PROCESS, TUNED, {1: (0.75, 0.9), 64: (0.75, 0.9), 512: (0.75, 0.9)}),
    Budget(IN_PROCESS, GQL, {1: (1.4, 1.8), 64: (1.7, 2.3)}),
    Budget(LOOPBACK, BARE, {1: (None, 1.0), 64: (None, 1.0)}),
    Budget(LOOPBACK, GQL, {1: (None, 2.0), 64: (None, 2.0)}),
    Budget(LOOPBACK, APOLLO, {1: (None, 3.5), 64: (None, 3.5)}),
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the requests go.

    Attributes:
        name: In words.
        uri: The address.
        connector: Makes connections that lead there.
        clock: What the work is measured with.
        apollo: Apollo Client in Node, where it is there and can go there too.
    """

    name: str
    uri: str
    connector: Connector
    clock: Clock
    apollo: Apollo | None = None


async def measure(effort: Effort) -> list[Table]:
    """Compare the ways to send an operation, at several numbers at a time."""
    ways = installed(WAYS)
    in_process = Place(IN_PROCESS, NOWHERE, no_sockets, cpu_clock)
    # First, as long as the memory is not yet in pieces: what a chain has more than a call is objects.
    tables = [await _compare(in_process, ways, parallel, effort) for parallel in effort.parallel]
    async with canned_server() as uri, apollo_in_node(effort, uri) as apollo:
        loopback = Place(LOOPBACK, uri, sockets, wall_clock, apollo)
        return tables + [await _compare(loopback, ways, parallel, effort) for parallel in effort.parallel]


async def _compare(place: Place, ways: Sequence[Way], parallel: int, effort: Effort) -> Table:
    async with contextlib.AsyncExitStack() as stack:
        variants: list[Variant] = []
        for way in ways:
            if way.is_asked(parallel, in_process=place.name == IN_PROCESS):
                call = await stack.enter_async_context(way.open(place.uri, place.connector))
                assert way.data_of(await call()) == ANSWER["data"], way.name
                variants.append(Variant(way.name, drive(call, parallel)))
        if place.apollo is not None and parallel <= MOST_IN_NODE:
            variants.append(Variant(APOLLO, place.apollo.run(parallel)))
        if parallel >= MANY:  # whose rounds differ most: the memory of that many does not fit into the caches
            effort = replace(effort, rounds=3 * effort.rounds)
        times = await rounds_of(variants, effort, at_least=2 * parallel, at_most=MOST_REQUESTS, clock=place.clock)
    title = f"HTTP {place.name}, {parallel} at a time; ratio: speed, {BARE} = 1"
    return Table(title, ratio_rows(times, BARE, of_speed=True), judged(times, place.name, parallel))


def judged(times: Times, where: str, parallel: int) -> list[Verdict]:
    """Return what the budget says of these; nothing about a way that is not installed."""
    return [
        budget.judge(times, parallel)
        for budget in BUDGETS
        if budget.where == where and parallel in budget.speeds and budget.against in times
    ]
