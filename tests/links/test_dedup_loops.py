"""DedupLink: those of one event loop share; others, and those without a loop, neither share nor disturb them."""

import asyncio

from reactivex import Subject

from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.links.dedup import DedupLink
from tests.recording import DATA, END, REQUEST, subscribed


def test_flights_stay_while_operations_begin_elsewhere():
    requests = []

    def ask(operation, forward):
        requests.append(Subject())
        return requests[-1]

    results = execute(from_([DedupLink(), ApolloLink(ask)]), REQUEST)

    async def begin():
        return subscribed(results)

    with asyncio.Runner() as one, asyncio.Runner() as other:
        recorders = [subscribed(results), one.run(begin()), other.run(begin()), one.run(begin()), subscribed(results)]
        for request in requests:
            request.on_next(DATA)
            request.on_completed()

    assert (3, [[DATA, END]] * 5) == (len(requests), [recorder.seen for recorder in recorders])
