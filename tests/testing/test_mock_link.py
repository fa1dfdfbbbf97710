"""MockLink: which mock answers, when, and what it notes."""

import gc
import math
from datetime import timedelta

import pytest
from reactivex.scheduler import ImmediateScheduler
from reactivex.testing import TestScheduler

from rxlink.core.chain import execute, from_
from rxlink.core.documents import parse_document
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import InvariantError, InvariantTypeError
from rxlink.links.context import SetContextLink
from rxlink.testing import MockedResponse, MockLink, realistic_delay
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.recording import DATA, END, REQUEST, answering, seen_of, subscribed


def raising(operation):
    raise OSError("no")


async def answer_later(_):
    return DATA


class TestMatching:
    def test_compares_queries_however_they_are_laid_out(self):
        spread = "query Viewer {\n  viewer {\n    name\n  }\n}"
        link = MockLink([MockedResponse(query=parse_document(spread), result=DATA)])

        seen = seen_of(execute(link, REQUEST))

        assert [DATA, END] == seen

    def test_finds_a_mock_by_the_name_of_the_operation(self):
        other = MockedResponse(operation_name="Other", result={"data": None})
        link = MockLink([other, MockedResponse(operation_name="Viewer", result=DATA)])

        seen = seen_of(execute(link, REQUEST))

        assert [DATA, END] == seen

    @pytest.mark.parametrize(
        ("variables", "answered"),
        [
            (None, True),
            ({"id": 1}, True),
            ({"id": 2}, False),
            ({}, False),
            (lambda variables: variables["id"] == 1, True),
            (lambda variables: False, False),
        ],
    )
    def test_compares_variables_or_asks_a_function(self, variables, answered):
        link = MockLink([MockedResponse(variables=variables, result=DATA)])
        request = GraphQLRequest("query Q($id: Int) { node(id: $id) }", {"id": 1})

        seen = seen_of(execute(link, request))

        assert answered == (seen == [DATA, END])

    @pytest.mark.parametrize("mocked", [None, {}, {"n": 3}, {"n": 3, "e": "RED"}])
    @pytest.mark.parametrize("given", [{}, {"n": 3}, {"n": 3, "e": "RED"}])
    def test_lets_the_defaults_that_a_query_declares_count_on_both_sides(self, mocked, given):
        query = "query ($n: Int = 3, $e: Color = RED, $x: Int) { a(n: $n, e: $e, x: $x) }"
        link = MockLink([MockedResponse(query=query, variables=mocked, result=DATA)])

        assert [DATA, END] == seen_of(execute(link, GraphQLRequest(query, given)))

    def test_does_not_take_a_default_for_another_value(self):
        query = "query ($n: Int = 3) { a(n: $n) }"
        link = MockLink([MockedResponse(variables={}, result=DATA)])

        [error] = seen_of(execute(link, GraphQLRequest(query, {"n": 4})))

        assert InvariantError is type(error)

    def test_answers_with_mocks_of_one_query_in_their_order_each_once(self):
        link = MockLink([MockedResponse(result={"data": n}) for n in (1, 2)])
        results = execute(link, REQUEST)

        seen = [seen_of(results), seen_of(results), seen_of(results)]

        assert [[{"data": 1}, END], [{"data": 2}, END]] == seen[:2]
        assert InvariantError is type(seen[2][0])

    def test_answers_as_often_as_it_may(self):
        link = MockLink([MockedResponse(result={"data": 1}, max_usage=2), MockedResponse(result=DATA, max_usage=None)])
        results = execute(link, REQUEST)

        seen = [seen_of(results)[0] for _ in range(5)]

        assert [{"data": 1}, {"data": 1}, DATA, DATA, DATA] == seen

    def test_says_what_it_expected_when_no_mock_is_for_the_operation(self):
        def only_odd(variables):
            return False

        link = MockLink(
            [
                MockedResponse(query="{ a }", result=DATA),
                MockedResponse(operation_name="Viewer", variables={"id": 7}, result=DATA),
                MockedResponse(variables=only_odd, result=DATA),
            ]
        )

        [error] = seen_of(execute(link, GraphQLRequest(REQUEST.query, {"id": 1})))

        assert [
            "no mocked response for <Operation query Viewer> with variables {'id': 1}:",
            "  query Viewer { viewer { name } }",
            "MockLink expected one of:",
            "  a mock for { a } with any variables",
            "  a mock for Viewer with variables {'id': 7}",
            f"  a mock for any operation with variables that {only_odd.__qualname__} likes",
        ] == str(error).splitlines()

    def test_says_which_mocks_were_used_up_and_that_there_were_none(self):
        used = MockLink([MockedResponse(result=DATA)])
        seen_of(execute(used, REQUEST))

        [first] = seen_of(execute(used, REQUEST))
        [second] = seen_of(execute(MockLink([]), REQUEST))

        assert "a mock for any operation with any variables (used up)" in str(first)
        assert str(second).endswith("MockLink has no mocks at all")

    def test_hands_on_what_a_matcher_raises(self):
        link = MockLink([MockedResponse(variables=lambda variables: variables["no"], result=DATA)])

        [error] = seen_of(execute(link, REQUEST))

        assert KeyError is type(error)


class TestAnswers:
    def test_copies_its_result_for_each_answer(self):
        link = MockLink([MockedResponse(result={"data": {"list": []}}, max_usage=None)])
        results = execute(link, REQUEST)

        seen_of(results)[0]["data"]["list"].append("changed")

        assert [{"data": {"list": []}}, END] == seen_of(results)

    def test_calls_a_function_with_the_operation(self):
        link = MockLink([MockedResponse(result=lambda operation: {"data": operation.operation_name})])

        seen = seen_of(execute(link, REQUEST))

        assert [{"data": "Viewer"}, END] == seen

    def test_ends_with_the_mocked_error(self):
        refused = ConnectionError("refused")
        link = MockLink([MockedResponse(error=refused)])

        seen = seen_of(execute(link, REQUEST))

        assert [refused] == seen

    @pytest.mark.parametrize(
        ("function", "failure"),
        [(lambda operation: 1 / 0, ZeroDivisionError), (lambda operation: [DATA], InvariantTypeError)],
    )
    def test_ends_with_what_the_function_does_wrong(self, function, failure):
        link = MockLink([MockedResponse(result=function)])

        [error] = seen_of(execute(link, REQUEST))

        assert failure is type(error)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({}, "has no answer"),
            ({"delay": 3}, "has no answer"),
            ({"result": DATA, "error": OSError()}, "has both"),
            ({"result": DATA, "max_usage": 0}, "`max_usage` is 0"),
            ({"result": DATA, "delay": -1}, "`delay` is -1"),
            ({"result": DATA, "query": "{ a"}, "the query is no GraphQL"),
            ({"result": DATA, "operation_name": ""}, "`operation_name` of a mock is ''; give a name, or None for any"),
        ],
    )
    def test_refuses_a_mock_that_makes_no_sense(self, options, message):
        with pytest.raises(InvariantError, match=message):
            MockedResponse(**options)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"query": 7}, "`query` of a mock is an int; give GraphQL text"),
            ({"variables": [1]}, "`variables` of a mock is a list; give a mapping"),
            ({"result": [DATA]}, "`result` of a mock is a list; give a dict"),
            ({"error": "refused"}, "`error` of a mock is a str; give an exception"),
            ({"error": OSError}, "`error` of a mock is the class OSError; give an exception"),
            ({"max_usage": "2"}, "`max_usage` of a mock is '2'; give a whole number, or None for always"),
            ({"max_usage": True}, "`max_usage` of a mock is True; give a whole number"),
            ({"max_usage": 1.5}, "`max_usage` of a mock is 1.5; give a whole number"),
            ({"delay": "2"}, "`delay` is .*; give seconds"),
            ({"operation_name": 5}, "`operation_name` of a mock is 5; give text, or None for any"),
            ({"operation_name": ["A"]}, r"`operation_name` of a mock is \['A'\]; give text, or None for any"),
            (
                {"result": lambda: DATA},
                r"`result` of a mock is .*, which takes other arguments; give a .*\(operation\)",
            ),
            ({"result": answer_later}, "`result` of a mock is the coroutine function answer_later; what it returns is"),
            ({"variables": lambda: True}, "`variables` of a mock is .*, which takes other arguments"),
            ({"variables": answer_later}, "`variables` of a mock is the coroutine function answer_later"),
            ({"delay": lambda: 1}, "`delay` of a mock is .*, which takes other arguments"),
            ({"delay": answer_later}, "`delay` of a mock is the coroutine function answer_later"),
        ],
    )
    def test_refuses_a_mock_of_wrong_types(self, options, message):
        with pytest.raises(InvariantTypeError, match=message):
            MockedResponse(**{"result": DATA, **options})

    def test_takes_mocks_that_are_added_later_behind_the_others(self):
        link = MockLink([MockedResponse(result={"data": 1})])
        link.add_mocked_response(MockedResponse(result={"data": 2}))
        results = execute(link, REQUEST)

        assert [{"data": 1}, {"data": 2}] == [seen_of(results)[0] for _ in range(2)]

    @pytest.mark.parametrize(
        ("mocks", "message"),
        [
            ([{"result": DATA}], r"a mocked response is a dict; give a MockedResponse\(...\)"),
            ([None], "a mocked response is None; give"),
            (MockedResponse(result=DATA), r"`mocked_responses` of MockLink is a MockedResponse; give a list of Mocked"),
            (None, "`mocked_responses` of MockLink is None; give a list"),
            (5, "`mocked_responses` of MockLink is an int; give a list"),
        ],
    )
    def test_refuses_what_are_no_mocks(self, mocks, message):
        with pytest.raises(InvariantTypeError, match=message):
            MockLink(mocks)

    def test_takes_mocks_from_any_iterable(self):
        link = MockLink(MockedResponse(result={"data": count}) for count in range(2))

        assert [{"data": 0}, {"data": 1}] == [seen_of(execute(link, REQUEST))[0] for _ in range(2)]

    def test_closes_the_coroutine_that_a_function_returned(self):
        [error] = seen_of(execute(MockLink([MockedResponse(result=lambda *_: answer_later(None))]), REQUEST))
        gc.collect()  # a warning "was never awaited" would fail the test

        assert "`result` returned a coroutine; return a dict" in str(error)

    def test_lets_nothing_stand_behind_it(self):
        with pytest.raises(InvariantError, match="never forwards"):
            from_([MockLink([]), answering(DATA)])


class TestDelay:
    @pytest.mark.parametrize("delay", [5, timedelta(seconds=5)])
    def test_is_the_schedulers_time(self, delay):
        scheduler = TestScheduler()
        link = MockLink([MockedResponse(result=DATA, delay=delay)])
        recorder = subscribed(execute(link, REQUEST), scheduler)

        scheduler.advance_by(4.9)
        before = list(recorder.seen)
        scheduler.advance_by(0.1)

        assert ([], [DATA, END]) == (before, recorder.seen)

    @virtual
    async def test_is_the_running_loops_time(self, time: VirtualTime):
        link = MockLink([MockedResponse(result=DATA, delay=5)])

        result = await execute(link, REQUEST)

        assert (DATA, 5.0) == (result, time.monotonic())

    async def test_of_zero_lets_the_loop_turn_first(self):
        link = MockLink([MockedResponse(result=DATA, delay=0)])
        recorder = subscribed(execute(link, REQUEST))
        before = list(recorder.seen)

        await execute(MockLink([MockedResponse(result=DATA, delay=0)]), REQUEST)

        assert ([], [DATA, END]) == (before, recorder.seen)

    def test_may_be_over_before_subscribe_returns(self):
        link = MockLink([MockedResponse(result=DATA, delay=0)])

        seen = seen_of(execute(link, REQUEST), ImmediateScheduler())

        assert ([DATA, END], []) == (seen, link.unsubscribed)

    @virtual
    async def test_may_be_forever(self):
        link = MockLink([MockedResponse(delay=math.inf)])
        recorder = subscribed(execute(link, REQUEST))

        recorder.subscription.dispose()

        assert ([], ["Viewer"]) == (recorder.seen, [left.operation_name for left in link.unsubscribed])

    def test_may_be_a_function_of_the_operation(self):
        scheduler = TestScheduler()
        link = MockLink([MockedResponse(result=DATA, delay=lambda operation: operation.variables["wait"])])
        recorder = subscribed(execute(link, GraphQLRequest("query Q($wait: Int) { a }", {"wait": 5})), scheduler)

        scheduler.advance_by(4.9)
        before = list(recorder.seen)
        scheduler.advance_by(0.1)

        assert ([], [DATA, END]) == (before, recorder.seen)

    @pytest.mark.parametrize(
        ("function", "failure"),
        [(lambda operation: -1, InvariantError), (lambda operation: "1", InvariantTypeError), (raising, OSError)],
    )
    def test_of_a_function_that_fails_is_the_operations_error(self, function, failure):
        seen = seen_of(execute(MockLink([MockedResponse(result=DATA, delay=function)]), REQUEST))

        assert [failure] == list(map(type, seen))

    @pytest.mark.parametrize("default", [5, lambda operation: 5, timedelta(seconds=5)])
    def test_has_a_default_for_mocks_without_one(self, default):
        scheduler = TestScheduler()
        own = MockedResponse(operation_name="Own", result=DATA, delay=1)
        link = MockLink([own, MockedResponse(result=DATA)], default_delay=default)
        without, with_own = [
            subscribed(execute(link, GraphQLRequest(query)), scheduler) for query in ("{ a }", "query Own { a }")
        ]

        scheduler.advance_by(1)
        before = (list(without.seen), list(with_own.seen))
        scheduler.advance_by(4)

        assert (([], [DATA, END]), [DATA, END]) == (before, without.seen)

    @pytest.mark.parametrize(
        ("default", "error"),
        [
            (-1, InvariantError),
            ("1", InvariantTypeError),
            (lambda: 1, InvariantTypeError),
            (answer_later, InvariantTypeError),
        ],
    )
    def test_refuses_a_default_that_makes_no_sense(self, default, error):
        with pytest.raises(error, match="`default_delay`"):
            MockLink([], default_delay=default)

    def test_may_be_as_random_as_apollos(self):
        delays = [realistic_delay()(None) for _ in range(100)] + [realistic_delay(1, timedelta(seconds=2))(None)]

        assert all(0.02 <= delay <= 0.05 for delay in delays[:100])
        assert (True, True) == (1 <= delays[100] <= 2, len(set(delays)) > 50)

    @pytest.mark.parametrize(("minimum", "maximum"), [(2, 1), (1, 1), (-1, 1)])
    def test_may_not_be_random_between_limits_that_make_no_sense(self, minimum, maximum):
        with pytest.raises(InvariantError, match="`minimum` is"):
            realistic_delay(minimum, maximum)

    def test_needs_a_loop_or_a_scheduler(self):
        link = MockLink([MockedResponse(result=DATA, delay=1)])

        [error] = seen_of(execute(link, REQUEST))

        assert "neither a running event loop nor a scheduler" in str(error)


class TestNotes:
    def test_keeps_operations_as_they_were_when_they_arrived(self):
        attempts = iter("ab")
        mocks = MockLink([MockedResponse(result=DATA, max_usage=None)])
        results = execute(from_([SetContextLink(lambda *_: {"attempt": next(attempts)}), mocks]), REQUEST)

        seen_of(results)
        seen_of(results)

        assert ["a", "b"] == [operation.get_context()["attempt"] for operation in mocks.operations]

    def test_tells_the_last_operation(self):
        link = MockLink([MockedResponse(result=DATA)])
        before = link.operation

        seen_of(execute(link, REQUEST))

        assert (None, "Viewer") == (before, link.operation.operation_name)

    def test_keeps_an_operation_that_no_mock_was_for(self):
        link = MockLink([])

        seen_of(execute(link, REQUEST))

        assert ["Viewer"] == [operation.operation_name for operation in link.operations]

    @virtual
    async def test_tells_who_left_before_the_answer(self):
        link = MockLink([MockedResponse(result=DATA, delay=1, max_usage=None)])
        requests = [GraphQLRequest(f"query {name} {{ a }}") for name in ("Left", "Stayed")]
        left, stayed = [subscribed(execute(link, request)) for request in requests]

        left.subscription.dispose()
        await execute(link, REQUEST)
        stayed.subscription.dispose()

        assert ([], [DATA, END]) == (left.seen, stayed.seen)
        assert ["Left"] == [operation.operation_name for operation in link.unsubscribed]
