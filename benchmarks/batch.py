"""What does an operation cost that shares its POST with nine others?

Against the bare aiohttp call with a POST for each operation, over connections that answer inside the process. Beside
it stand those who write the list of ten themselves: one with aiohttp, one with gql.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Any

import aiohttp

from benchmarks._http_ways import (
    BARE,
    HEADERS,
    NOWHERE,
    OWN_HEADERS,
    VARIABLES,
    WITH_AUTH,
    Call,
    bare,
    is_installed,
    no_sockets,
    through,
)
from benchmarks.canned_server import RESPONSE_TO_TEN
from benchmarks.four_links import ANSWER, QUERY, four_links, four_retrying_links
from benchmarks.harness import (
    Effort,
    Run,
    Table,
    Times,
    Variant,
    Verdict,
    cpu_clock,
    drive,
    ratio_between,
    ratio_rows,
    rounds_of,
)
from benchmarks.in_process import InProcessConnector
from rxlink.core.link import ApolloLink
from rxlink.transport.batch_http import BatchHttpLink

__all__ = ["measure"]

TEN = 10
BATCHES = (1, 6)  # under way at the same time
JUDGED_BATCHES = 6
MOST_BATCHES = 500  # in one round
FOUR = "four links over BatchHttpLink"

_connector = partial(InProcessConnector, RESPONSE_TO_TEN)


async def measure(effort: Effort) -> list[Table]:
    """Compare, with one batch under way and with several."""
    has_gql = is_installed("gql")
    return [await _compare(batches, effort, has_gql=has_gql) for batches in BATCHES]


async def _compare(batches: int, effort: Effort, *, has_gql: bool) -> Table:
    async with contextlib.AsyncExitStack() as stack:
        single = await stack.enter_async_context(bare(NOWHERE, no_sockets))
        linked = await stack.enter_async_context(_links(four_retrying_links))
        with_auth = await stack.enter_async_context(_links(four_links))
        lists = {f"{BARE}, a list of ten": await stack.enter_async_context(_bare_list())}
        if has_gql:
            lists["gql, execute_batch of ten"] = await stack.enter_async_context(_gql_batch())
        assert await single() == ANSWER
        for call in (linked, with_auth):
            assert await asyncio.gather(*(call() for _ in range(TEN))) == [ANSWER] * TEN
        for call in lists.values():
            assert await call() == [ANSWER["data"]] * TEN
        variants = [
            Variant(BARE, _in_tens(single, batches)),
            Variant(FOUR, _in_tens(linked, batches)),
            Variant(WITH_AUTH, _in_tens(with_auth, batches)),
            *(Variant(name, drive(call, batches)) for name, call in lists.items()),
        ]
        times = await rounds_of(variants, effort, at_least=2 * batches, at_most=MOST_BATCHES, clock=cpu_clock)
    each = {name: [seconds / TEN for seconds in rounds] for name, rounds in times.items()}
    operations = batches * TEN
    title = f"Ten operations in a POST, {operations} operations at a time; ratio: speed of one, {BARE} = 1"
    verdicts = [judged(each)] if batches == JUDGED_BATCHES else []
    return Table(title, ratio_rows(each, BARE, of_speed=True), verdicts)


def judged(times: Times) -> Verdict:
    """Return what the budget says."""
    return Verdict(
        subject=f"batch of ten: speed of an operation through four links, {BARE} = 1",
        measured=ratio_between(times, FOUR, BARE, of_speed=True),
        bound=4.0,
        aim=4.7,
        is_floor=True,
        is_headline=True,
    )


def _in_tens(call: Call, batches: int) -> Run:
    """Make a run of ten times as many operations: those of one batch end together, so the next ten fill another."""
    run = drive(call, batches * TEN)
    return lambda count: run(count * TEN)


@contextlib.asynccontextmanager
async def _links(put_before: Callable[[ApolloLink], ApolloLink]) -> AsyncGenerator[Call]:
    async with aiohttp.ClientSession(connector=_connector()) as session:
        yield through(put_before(BatchHttpLink(NOWHERE, batch_max=TEN, session=session)))


@contextlib.asynccontextmanager
async def _bare_list() -> AsyncGenerator[Call]:
    """The list as a user writes it."""
    async with aiohttp.ClientSession(connector=_connector()) as session:

        async def call() -> Any:
            payload = [{"query": QUERY, "operationName": "Viewer", "variables": VARIABLES} for _ in range(TEN)]
            data = json.dumps(payload).encode()
            async with session.post(NOWHERE, data=data, headers=HEADERS) as response:
                return [result["data"] for result in json.loads(await response.read())]

        yield call


@contextlib.asynccontextmanager
async def _gql_batch() -> AsyncGenerator[Call]:
    import gql
    from gql.transport.aiohttp import AIOHTTPTransport

    transport = AIOHTTPTransport(NOWHERE, headers=OWN_HEADERS, client_session_args={"connector": _connector()})
    document = gql.gql(QUERY).document
    async with gql.Client(transport=transport) as session:
        yield lambda: session.execute_batch(
            [gql.GraphQLRequest(document, variable_values=VARIABLES) for _ in range(TEN)]
        )
