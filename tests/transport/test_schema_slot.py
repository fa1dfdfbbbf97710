"""SchemaLink: it has finished before it tells so, and whoever hears of an end may begin the next thing at once."""

import asyncio

import pytest
from graphql import build_schema

from rxlink.core.chain import execute, from_
from rxlink.core.operation import GraphQLRequest
from rxlink.links.retry import DelayOptions, RetryLink
from rxlink.testing.virtual_time import VirtualTime, virtual
from rxlink.transport.schema import SchemaLink
from tests.recording import END, subscribed
from tests.sending_twice import TwiceLink

SCHEMA = build_schema("""
    type Query { slow: Int }
    type Subscription { tick: Int }
""")
QUERY = GraphQLRequest("{ slow }")
SUBSCRIPTION = GraphQLRequest("subscription { tick }")
DOWN = OSError("down")


async def slow(info):
    await asyncio.sleep(1)
    return 7


async def ticking(info):
    await asyncio.sleep(1)
    yield {"tick": 7}


async def no_stream(info):
    await asyncio.sleep(1)
    return 7


async def failing(*_):
    await asyncio.sleep(1)
    raise DOWN


async def failing_stream(info):
    await asyncio.sleep(1)
    raise DOWN
    yield


async def user(operation):
    await asyncio.sleep(1)
    return "Ada"


def sent_twice(request, root, context=None):
    return subscribed(execute(from_([TwiceLink(), SchemaLink(SCHEMA, root_value=root, context=context)]), request))


@pytest.mark.parametrize(
    ("request_", "root", "context", "expected"),
    [
        (QUERY, {"slow": slow}, None, [{"data": {"slow": 7}}, END]),
        (QUERY, {"slow": slow}, user, [{"data": {"slow": 7}}, END]),
        (QUERY, {"slow": 7}, user, [{"data": {"slow": 7}}, END]),
        (QUERY, {"slow": slow}, failing, [DOWN]),
        (SUBSCRIPTION, {"tick": ticking}, user, [{"data": {"tick": 7}}, END]),
        (SUBSCRIPTION, {"tick": failing_stream}, user, [DOWN]),
    ],
    ids=["result", "context and result", "context", "context fails", "stream", "stream fails"],
)
@virtual
async def test_a_link_above_may_send_again_where_it_hears_of_the_end(request_, root, context, expected):
    recorder = sent_twice(request_, root, context)
    await asyncio.sleep(9)

    assert [*expected[:1], *expected] == recorder.seen


@virtual
async def test_a_link_above_may_send_again_where_the_subscription_is_refused():
    recorder = sent_twice(SUBSCRIPTION, {"tick": no_stream})
    await asyncio.sleep(9)

    assert [["errors"], ["errors"], END] == [value if value == END else list(value) for value in recorder.seen]


@pytest.mark.parametrize(
    ("request_", "function"), [(QUERY, "graphql.execute"), (SUBSCRIPTION, "graphql.create_source_event_stream")]
)
@virtual
async def test_a_link_above_may_send_again_where_graphql_core_fails(request_, function, monkeypatch):
    monkeypatch.setattr(function, lambda *args, **options: failing())

    recorder = sent_twice(request_, {"slow": slow, "tick": ticking})
    await asyncio.sleep(9)

    assert [DOWN, DOWN] == recorder.seen


@virtual
async def test_a_retry_waits_in_the_place_of_what_has_failed(time: VirtualTime):
    """A pause takes the slot of the subscription, in which the context was waited for."""
    contexts = iter([failing, failing, user])

    async def context(operation):
        return await next(contexts)(operation)

    link = from_(
        [
            RetryLink(delay=DelayOptions(initial=1, jitter=False)),
            SchemaLink(SCHEMA, root_value={"slow": 7}, context=context),
        ]
    )

    recorder = subscribed(execute(link, QUERY))
    await asyncio.sleep(30)

    assert ([{"data": {"slow": 7}}, END], []) == (recorder.seen, time.leftovers())
