"""DedupLink: which operations share a request, and which must never."""

import asyncio
from types import MappingProxyType

import pytest
from graphql import parse
from hypothesis import given
from hypothesis import strategies as st

from rxlink.auth.link import AuthLink
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute, from_, split
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest, Operation
from rxlink.links.context import SetContextLink
from rxlink.links.dedup import DedupLink, _content
from rxlink.testing import MockedResponse, MockLink
from rxlink.testing.virtual_time import virtual
from tests.recording import DATA, END, REQUEST, subscribed

REFUSED = {"data": None, "errors": [{"message": "no", "extensions": {"code": "UNAUTHENTICATED"}}]}
QUERY = "query Q($a: Int) { a(a: $a) }"


def slow():
    return MockLink([MockedResponse(result=DATA, delay=1, max_usage=None)])


async def sent_for(*requests):
    """Subscribe to all at once, and tell how many requests were made."""
    server = slow()
    link = from_([DedupLink(), server])
    recorders = [subscribed(execute(link, request)) for request in requests]
    await asyncio.sleep(2)
    assert [[DATA, END]] * len(requests) == [recorder.seen for recorder in recorders]
    return len(server.operations)


class TestOneRequest:
    @pytest.mark.parametrize("count", [1, 2, 300])
    @virtual
    async def test_serves_all_who_ask_the_same_while_it_is_under_way(self, count):
        assert 1 == await sent_for(*[GraphQLRequest(QUERY, {"a": 1})] * count)

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ({"variables": {"a": 1, "b": [{"c": 2, "d": 3}]}}, {"variables": {"b": ({"d": 3, "c": 2},), "a": 1}}),
            ({"query": "{ a }"}, {"query": "{\n  a\n}"}),
            ({"query": "{ a }"}, {"query": parse("{ a }")}),
            ({"context": {"headers": {"x": "1", "y": "2"}}}, {"context": {"headers": {"y": "2", "x": "1"}}}),
            ({"context": {"headers": {"x": "1"}}}, {"context": {"headers": MappingProxyType({"x": "1"})}}),
            ({"context": {}}, {"context": None}),
            ({"context": {"response": "the head of an answer before"}}, {}),
            ({"extensions": {"clientLibrary": {"name": "rxlink"}}}, {}),
            ({"variables": {"a": float("nan")}}, {"variables": {"a": float("nan")}}),
        ],
    )
    @virtual
    async def test_serves_operations_that_say_the_same_in_other_words(self, first, second):
        requests = [GraphQLRequest(**{"query": QUERY, **request}) for request in (first, second)]

        assert 1 == await sent_for(*requests)

    @pytest.mark.parametrize("shared", [object(), asyncio.Event, {1, 2}])
    @virtual
    async def test_serves_contexts_that_hold_the_very_same_object(self, shared):
        assert 1 == await sent_for(*[GraphQLRequest(QUERY, context={"client": shared})] * 2)

    @virtual
    async def test_serves_chains_that_call_request_themselves(self):
        dedup, server = DedupLink(), slow()
        link = from_([ApolloLink(dedup.request), server])

        recorders = [subscribed(execute(link, GraphQLRequest(QUERY))) for _ in range(2)]
        await asyncio.sleep(2)

        assert ([[DATA, END]] * 2, 1) == ([recorder.seen for recorder in recorders], len(server.operations))


class TestRequestsOfTheirOwn:
    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ({"variables": {"a": 1}}, {"variables": {"a": 2}}),
            ({"variables": {"a": 1}}, {"variables": {"a": True}}),
            ({"variables": {"a": 1}}, {"variables": {"a": 1.0}}),
            ({"variables": {"a": 0.0}}, {"variables": {"a": -0.0}}),
            ({"variables": {"a": 1}}, {"variables": {"a": "1"}}),
            ({"variables": {"a": None}}, {"variables": {}}),
            ({"variables": {"a": [1, 2]}}, {"variables": {"a": [2, 1]}}),
            ({"variables": {"a": []}}, {"variables": {"a": {}}}),
            ({"variables": {"a": {1, 2}}}, {"variables": {"a": {1, 2}}}),
            ({"query": "query Q { a }"}, {"query": "query P { a }"}),
            ({"query": "{ a }"}, {"query": "{ b }"}),
            ({"extensions": {"a": 1}}, {"extensions": {"a": 2}}),
            ({"context": {"headers": {"authorization": "a"}}}, {"context": {"headers": {"authorization": "b"}}}),
            ({"context": {"headers": {"authorization": "a"}}}, {"context": None}),
            ({"context": {"uri": "http://a"}}, {"context": {"uri": "http://b"}}),
            ({"context": {"tenant": object()}}, {"context": {"tenant": object()}}),
        ],
    )
    @virtual
    async def test_go_to_operations_that_differ_in_anything(self, first, second):
        requests = [GraphQLRequest(**{"query": QUERY, **request}) for request in (first, second)]

        assert 2 == await sent_for(*requests)

    @virtual
    async def test_go_to_operations_of_one_document_with_another_name(self):
        document = parse("query A { a } query B { a }")

        assert 2 == await sent_for(
            GraphQLRequest(document, operation_name="A"), GraphQLRequest(document, operation_name="B")
        )

    @pytest.mark.parametrize("query", ["mutation M { a }", "subscription S { a }"])
    @virtual
    async def test_go_to_mutations_and_subscriptions(self, query):
        assert 2 == await sent_for(*[GraphQLRequest(query)] * 2)

    @pytest.mark.parametrize("context", [{"query_deduplication": False}, {"force_fetch": True}])
    @virtual
    async def test_go_to_those_who_ask_for_them(self, context):
        assert 2 == await sent_for(GraphQLRequest("{ a }"), GraphQLRequest("{ a }", context=context))
        assert 2 == await sent_for(*[GraphQLRequest("{ a }", context=context)] * 2)

    @pytest.mark.parametrize("context", [{"query_deduplication": True}, {"force_fetch": False}])
    @virtual
    async def test_do_not_go_to_those_who_ask_for_the_opposite(self, context):
        assert 1 == await sent_for(*[GraphQLRequest("{ a }", context=context)] * 2)

    @virtual
    async def test_go_to_operations_that_hold_themselves(self):
        variables = {}
        variables["a"] = variables

        assert 2 == await sent_for(*[GraphQLRequest(QUERY, {"a": variables})] * 2)

    @virtual
    async def test_go_to_each_chain_that_the_link_stands_in(self):
        dedup, servers, sides = DedupLink(), [slow() for _ in range(3)], iter([True, False])
        first, second, third = (from_([dedup, server]) for server in servers)

        for link in (split(lambda operation: next(sides), first, second), third):
            subscribed(execute(link, GraphQLRequest(QUERY)))
            subscribed(execute(link, GraphQLRequest(QUERY)))
        await asyncio.sleep(2)

        assert [1, 1, 1] == [len(server.operations) for server in servers]

    @virtual
    async def test_are_made_for_what_a_refresh_asks(self, time):
        """It would wait for the answer to an operation that waits for the refresh."""

        async def refresh(tokens, reason):
            await execute(link, REQUEST)
            return TokenSet("new")

        def answer(operation):
            is_new = operation.get_context().get("headers") == {"authorization": "Bearer new"}
            return DATA if is_new else REFUSED

        async with AuthSession(refresh=refresh, tokens=TokenSet("old")) as session:
            server = MockLink([MockedResponse(result=answer, delay=1, max_usage=None)])
            link = from_([DedupLink(), AuthLink(session), server])
            results = [execute(link, REQUEST).to_future() for _ in range(2)]

            assert [DATA, DATA] == await asyncio.gather(*results)

        # One for both, the refresh's own, and one for both again.
        assert (3, 3) == (len(server.operations), asyncio.get_running_loop().time())

    @virtual
    async def test_are_not_made_any_more_when_the_refresh_is_over_in_which_it_all_began(self, time):
        results = []

        async def refetch():
            await asyncio.sleep(5)
            results.extend(await asyncio.gather(*(execute(link, REQUEST).to_future() for _ in range(3))))

        async def refresh(tokens, reason):
            tasks.append(asyncio.create_task(refetch()))
            return TokenSet("new")

        tasks = []
        async with AuthSession(refresh=refresh, tokens=TokenSet("old")) as session:
            server = slow()
            link = from_([DedupLink(), AuthLink(session), server])
            await session.refresh(force=True)
            await asyncio.gather(*tasks)

        assert ([DATA] * 3, 1) == (results, len(server.operations))


class TestTwoUsers:
    """They never share an answer where the link stands behind what tells them apart."""

    @virtual
    async def test_of_two_sessions_get_an_answer_each(self):
        server = MockLink(
            [
                MockedResponse(
                    result=lambda operation: {"data": operation.get_context()["headers"]["authorization"]},
                    delay=1,
                    max_usage=None,
                )
            ]
        )
        behind = from_([DedupLink(), server])
        seen = {}
        for name in ("ada", "bob") * 3:
            async with AuthSession(refresh=lambda *_: None) as session:
                await session.set_tokens(TokenSet(name))
                link = from_([AuthLink(session), behind])
                execute(link, GraphQLRequest("{ viewer }")).subscribe(
                    lambda result, name=name: seen.setdefault(name, []).append(result["data"])
                )
        await asyncio.sleep(2)

        assert {"ada": ["Bearer ada"] * 3, "bob": ["Bearer bob"] * 3} == seen

    @virtual
    async def test_who_follow_one_another_in_one_session_get_an_answer_each(self):
        server = slow()
        async with AuthSession(refresh=lambda *_: None) as session:
            link = from_([AuthLink(session), DedupLink(), server])
            for name in ("ada", "bob"):
                await session.set_tokens(TokenSet(name))
                for _ in range(2):
                    subscribed(execute(link, GraphQLRequest("{ viewer }")))
            await asyncio.sleep(2)

        sent = [operation.get_context()["headers"]["authorization"] for operation in server.operations]
        assert ["Bearer ada", "Bearer bob"] == sent

    @virtual
    async def test_whom_a_setter_tells_apart_get_an_answer_each(self):
        server, names = slow(), iter(["ada", "bob", "ada"])
        link = from_([SetContextLink(lambda *_: {"headers": {"x-user": next(names)}}), DedupLink(), server])

        for _ in range(3):
            subscribed(execute(link, GraphQLRequest("{ viewer }")))
        await asyncio.sleep(2)

        assert ["ada", "bob"] == [operation.get_context()["headers"]["x-user"] for operation in server.operations]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.0, -0.0, 1.0, "", "1", "a"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
    max_leaves=5,
)


@given(first=JSON, second=JSON)
def test_contents_are_equal_where_their_json_is(first, second):
    def spelled(value):
        if isinstance(value, dict):
            return "{" + ",".join(sorted(f"{name}:{spelled(member)}" for name, member in value.items())) + "}"
        return "[" + ",".join(map(spelled, value)) + "]" if isinstance(value, list) else repr(value)

    assert (spelled(first) == spelled(second)) == (_content(first) == _content(second))


def test_contents_ask_no_users_class_what_equal_means():
    class Sly(dict):
        def __eq__(self, other):
            raise AssertionError("asked")

        def __hash__(self):
            raise AssertionError("asked")

    first, second = (Operation(GraphQLRequest("{ a }", {"a": Sly()})) for _ in range(2))

    assert _content(first.variables) != _content(second.variables)


@virtual
async def test_what_holds_a_stream_is_never_shared():
    class Stream:
        def __aiter__(self):
            return self

    class Wrapped:
        def __init__(self, source):
            self.source = source

    stream = Stream()
    for value in (stream, Wrapped(stream), [{"b": stream}]):
        assert 2 == await sent_for(*[GraphQLRequest(QUERY, {"a": value})] * 2)


def test_what_a_closed_loop_left_behind_is_forgotten():
    link = DedupLink()
    chain = from_([link, slow()])

    async def begin():
        execute(chain, GraphQLRequest(QUERY, {"a": 1})).subscribe()

    for _ in range(5):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(begin())
        loop.close()

    assert 1 == len(link._in_flight)
