"""Apollo Client takes its turns in the benchmarks; no time is asserted."""

import dataclasses

import pytest

from benchmarks import _apollo, http
from benchmarks._asking import answer
from benchmarks.harness import QUICK
from tests.oracle.node import node_in

TINY = dataclasses.replace(QUICK, rounds=2, round_seconds=0.001, parallel=(1, 64))


@pytest.fixture(autouse=True)
def _node():
    node_in(_apollo.FOLDER)


async def test_its_chain_is_timed_beside_ours():
    first, *_ = await answer("chain", TINY)

    assert _apollo.APOLLO in [row["variant"] for row in first.rows]
    assert any(_apollo.APOLLO in verdict.subject for verdict in first.verdicts)


async def test_it_is_asked_over_loopback_and_not_inside_the_process():
    tables = await answer("http", TINY)

    titles = [table.title for table in tables if _apollo.APOLLO in [row["variant"] for row in table.rows]]
    assert [True, True] == [http.LOOPBACK in title for title in titles]


async def test_it_does_as_many_operations_as_was_asked_for():
    async with _apollo.apollo_in_node(TINY) as apollo:
        answers = [await apollo.ask(count=count, parallel=64) for count in (1, 64, 200)]

    assert [1, 64, 200] == [answer["results"] for answer in answers]
    assert all(answer["wall"] > 0 for answer in answers)
