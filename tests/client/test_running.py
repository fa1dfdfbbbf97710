"""What a client's operation runs in: a subscription inside another one, which keeps its slot and its grammar."""

import asyncio
from contextvars import ContextVar, copy_context

import pytest

from rxlink import Client, DedupLink, NetworkError, RetryLink, execute, from_
from rxlink.client.running import RunningOperations
from rxlink.core.link import ApolloLink
from rxlink.core.subscription import Subscription
from rxlink.testing import MockedResponse, MockLink
from rxlink.testing.virtual_time import virtual
from tests.recording import END, REQUEST, Recorder, failing, sending

ANSWER = {"data": {"answer": 42}}
REFUSED = {"errors": [{"message": "no"}]}


def inside(observable):
    """What an observer gets that does not enforce the grammar itself."""
    recorder = Recorder()
    root = Subscription(print, print, print, None)
    observable.run_inside(recorder, root)
    return recorder.seen, root


@pytest.mark.parametrize("values", [(REFUSED, ANSWER), (REFUSED, REFUSED), (None, ANSWER)])
def test_nothing_follows_an_error(values):
    seen, root = inside(Client(sending(*values)).query("{ answer }"))

    assert 1 == len(seen)
    assert isinstance(seen[0], Exception)
    assert not root.is_busy


def test_the_slot_is_free_after_an_error_that_became_a_result():
    seen, root = inside(Client(failing(NetworkError("down"))).query("{ answer }", error_policy="all"))

    assert ["down", END] == [str(seen[0].error), *seen[1:]]
    assert not root.is_busy


def test_an_operation_is_refused_once():
    operations, recorder = RunningOperations(), Recorder()
    root = Subscription(print, print, print, None)
    run = operations.begin(recorder, root)

    run.refuse(ValueError("first"))
    root.hold(_Next())
    run.refuse(ValueError("second"))

    assert ["first"] == [str(error) for error in recorder.seen]
    assert root.is_busy  # with what came next


def test_an_operation_whose_subscriber_has_left_does_not_begin():
    operations, link = RunningOperations(), MockLink([])
    client = Client(link)
    root = Subscription(print, print, print, None)
    root.dispose()
    recorder = Recorder()

    client.query("{ answer }").run_inside(recorder, root)

    assert None is operations.begin(recorder, root)
    assert ([], []) == (recorder.seen, link.operations)


@virtual
async def test_what_stands_above_goes_on_with_the_slot():
    inner = Client(MockLink([MockedResponse(error=NetworkError("down")), MockedResponse(result=ANSWER)]))
    link = from_([RetryLink(delay=lambda *_: 1), ApolloLink(lambda operation, forward: inner.query("{ answer }"))])

    result = await execute(link, REQUEST)

    assert ANSWER["data"] == result.data


@virtual
async def test_results_arrive_in_the_context_of_their_own_subscriber():
    tenant, seen = ContextVar("tenant"), []
    client = Client(from_([DedupLink(), MockLink([MockedResponse(result=ANSWER, delay=1)])]))

    for name in ("ada", "grace"):
        context = copy_context()
        context.run(tenant.set, name)
        context.run(client.query("{ answer }").subscribe, lambda _: seen.append(tenant.get()))
    await asyncio.sleep(2)

    assert ["ada", "grace"] == seen


class _Next:
    def cancel(self):
        pass
