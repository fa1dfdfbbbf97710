"""ErrorLink: what its handler sees and may answer, and that no event is lost, reordered or left running meanwhile."""

import asyncio
import contextlib
import functools
import gc

import pytest
import reactivex
from reactivex import Observable, Subject
from reactivex import operators as ops
from reactivex.disposable import Disposable

from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.core.observables import from_error, from_future
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import (
    CombinedGraphQLErrors,
    CombinedProtocolErrors,
    InvariantError,
    InvariantTypeError,
    OperationCancelled,
)
from rxlink.links.context import SetContextLink
from rxlink.links.error import ErrorLink, ErrorResponse, on_error
from rxlink.links.retry import DelayOptions, RetryLink
from rxlink.testing import MockedResponse, MockLink
from rxlink.testing.virtual_time import virtual
from tests.recording import (
    DATA,
    END,
    FAILED,
    REQUEST,
    answering,
    failing,
    seen_of,
    sending,
    source_of,
    streaming,
    subscribed,
)

OTHER = {"data": "other"}


async def turns(count=5):
    for _ in range(count):
        await asyncio.sleep(0)


def retry(response):
    return response.forward(response.operation)


async def retry_later(response):
    await asyncio.sleep(0)
    return response.forward(response.operation)


async def pass_later(response):
    await asyncio.sleep(0)


def twice(first, second):
    """A terminal that answers one thing and then another."""
    return MockLink([MockedResponse(**first), MockedResponse(**second)])


class Thinker:
    """An asynchronous handler that answers when the test says so; it counts who asked."""

    def __init__(self):
        self.asked = []
        self.answers = asyncio.Queue()
        self.cancelled = 0

    async def __call__(self, response):
        self.asked.append(response)
        try:
            return await self.answers.get()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


class EndedAtOnce(asyncio.Future):
    """In the place of an eager task that never had to wait."""

    def set_name(self, name):
        pass


class TestWhatTheHandlerSees:
    def test_of_a_result_with_errors_in_both_vocabularies(self):
        asked = []
        result = {"data": {"a": None}, "errors": [{"message": "no"}, {"message": "never"}], "extensions": {"x": 1}}

        seen = seen_of(execute(from_([ErrorLink(asked.append), sending(result)]), REQUEST))

        [response] = asked
        assert [result, END] == seen
        assert (result["errors"], None, None, result) == (
            response.graphql_errors,
            response.network_error,
            response.protocol_errors,
            response.result,
        )
        assert CombinedGraphQLErrors is type(response.error)
        assert ("no\nnever", result["errors"], {"a": None}, {"x": 1}) == (
            str(response.error),
            response.error.errors,
            response.error.data,
            response.error.extensions,
        )

    @pytest.mark.parametrize("make", [failing, lambda error: source_of(from_error(error))])
    def test_of_an_exception_in_both_vocabularies(self, make):
        asked, error = [], OSError("down")

        seen = seen_of(execute(from_([ErrorLink(asked.append), make(error)]), REQUEST))

        [response] = asked
        assert [error] == seen
        assert (error, error, None, None, None) == (
            response.error,
            response.network_error,
            response.graphql_errors,
            response.protocol_errors,
            response.result,
        )

    def test_of_a_protocol_error_in_both_vocabularies(self):
        asked, error = [], CombinedProtocolErrors([{"message": "gone"}])

        seen_of(execute(from_([ErrorLink(asked.append), failing(error)]), REQUEST))

        [response] = asked
        assert (error, None, [{"message": "gone"}]) == (
            response.error,
            response.network_error,
            response.protocol_errors,
        )

    def test_is_the_operation_as_the_links_below_left_it(self):
        asked = []
        link = from_([ErrorLink(asked.append), SetContextLink(lambda *_: {"n": 1}), sending(FAILED)])

        seen_of(execute(link, REQUEST))

        assert ("Viewer", 1) == (asked[0].operation.operation_name, asked[0].operation.get_context()["n"])

    def test_is_nothing_where_all_is_well(self):
        asked = []

        seen = seen_of(execute(from_([ErrorLink(asked.append), sending(DATA, OTHER)]), REQUEST))

        assert ([DATA, OTHER, END], []) == (seen, asked)

    def test_is_what_a_later_link_raises_at_once(self):
        asked = []

        [error] = seen_of(execute(from_([ErrorLink(asked.append), ApolloLink(lambda *_: 1 / 0)]), REQUEST))

        assert (ZeroDivisionError, [error]) == (type(error), [response.error for response in asked])

    @pytest.mark.parametrize(
        "errors",
        [[{"message": "x"}], [{"message": "x", "extensions": None}], [{"extensions": None}], [None, "text", {}]],
    )
    def test_survives_errors_without_extensions(self, errors):
        """S12."""
        asked = []

        seen = seen_of(execute(from_([ErrorLink(asked.append), sending({"errors": errors})]), REQUEST))

        assert ([{"errors": errors}, END], [errors]) == (seen, [response.graphql_errors for response in asked])

    def test_of_an_empty_list_of_errors_is_asked_for_as_in_javascript_where_it_is_true(self):
        asked = []

        seen = seen_of(execute(from_([ErrorLink(asked.append), sending({"data": 1, "errors": []})]), REQUEST))

        assert ([{"data": 1, "errors": []}, END], [[]]) == (seen, [response.graphql_errors for response in asked])

    def test_of_errors_that_are_null_is_nothing(self):
        asked = []

        seen = seen_of(execute(from_([ErrorLink(asked.append), sending({"data": 1, "errors": None})]), REQUEST))

        assert ([{"data": 1, "errors": None}, END], []) == (seen, asked)

    def test_comes_for_each_error_of_a_stream(self):
        asked = []
        link = from_(
            [on_error(lambda response: asked.append(response.result["errors"])), answering(FAILED, DATA, FAILED)]
        )

        seen = seen_of(execute(link, REQUEST))

        assert ([FAILED, DATA, FAILED, END], [FAILED["errors"]] * 2) == (seen, asked)

    async def test_can_be_made_by_hand_in_a_test_of_a_handler(self):
        operation = next(iter(await operations_of(REQUEST)))

        response = ErrorResponse(OSError(), operation, lambda operation: reactivex.of(DATA))

        assert DATA == await retry(response)

    @pytest.mark.parametrize("value", [None, 5, "text", ["errors"], reactivex.never()])
    def test_not_what_is_no_result(self, value):
        """A link of a user's sent it; an Observable would be asked for its items without an end."""
        link = from_([ErrorLink(lambda response: pytest.fail("asked")), sending(value)])

        assert [value, END] == seen_of(execute(link, REQUEST))


class TestAnswers:
    """The pattern that the project grew from: refresh, filter, flat_map, forward."""

    @pytest.mark.parametrize("first", [{"result": FAILED}, {"error": OSError()}])
    @pytest.mark.parametrize(
        "handler",
        [
            retry,
            retry_later,
            functools.partial(retry_later),
            lambda response: retry_later(response),  # noqa: PLW0108 - no coroutine function to look at
            lambda response: asyncio.ensure_future(retry_later(response)),
            lambda response: (
                from_future(lambda: asyncio.sleep(0, "token")).filter(bool).flat_map(lambda _: retry(response))
            ),
            lambda response: reactivex.of("token").pipe(ops.flat_map(lambda _: retry(response))),
        ],
    )
    @pytest.mark.parametrize("delay", [None, 0])
    async def test_take_the_place_of_the_error(self, first, handler, delay):
        terminal = twice({**first, "delay": delay}, {"result": DATA, "delay": delay})
        recorder = subscribed(execute(from_([ErrorLink(handler), terminal]), REQUEST))

        await turns(9)

        assert ([DATA, END], 2) == (recorder.seen, len(terminal.operations))

    @pytest.mark.parametrize("handler", [lambda _: None, lambda _: asyncio.sleep(0, None)])
    @pytest.mark.parametrize(
        ("terminal", "expected"),
        [(answering(FAILED, DATA), [FAILED, DATA, END]), (sending(FAILED, DATA), [FAILED, DATA, END])],
    )
    async def test_of_none_let_the_error_pass(self, handler, terminal, expected):
        recorder = subscribed(execute(from_([ErrorLink(handler), terminal]), REQUEST))

        await turns()

        assert expected == recorder.seen

    @pytest.mark.parametrize("query", ["query Q { a }", "subscription S { a }"])
    @pytest.mark.parametrize("handler", [lambda _: None, pass_later])
    @virtual
    async def test_of_none_leave_the_slot_to_a_retry_link_above(self, query, handler):
        terminal = twice({"error": OSError("down")}, {"result": DATA})
        link = from_([RetryLink(delay=DelayOptions(initial=0.5)), ErrorLink(handler), terminal])
        recorder = subscribed(execute(link, GraphQLRequest(query)))

        await asyncio.sleep(2)

        assert [DATA, END] == recorder.seen

    def test_need_no_loop_where_nothing_waits(self):
        terminal = twice({"result": FAILED}, {"result": DATA})

        assert [DATA, END] == seen_of(execute(from_([ErrorLink(retry), terminal]), REQUEST))

    @pytest.mark.parametrize("second", [{"result": FAILED}, {"error": OSError()}])
    def test_do_not_come_back_to_the_same_handler(self, second):
        asked = []
        terminal = twice({"result": FAILED}, second)

        seen = seen_of(execute(from_([ErrorLink(lambda r: asked.append(r) or retry(r)), terminal]), REQUEST))

        assert (list(second.values()), 1) == (seen[:1], len(asked))

    def test_come_to_the_handler_of_an_error_link_above(self):
        asked = []
        terminal = twice({"result": FAILED}, {"result": {"errors": [{"message": "second"}]}})

        seen_of(execute(from_([ErrorLink(lambda r: asked.append(str(r.error))), ErrorLink(retry), terminal]), REQUEST))

        assert ["second"] == asked

    def test_may_be_empty(self):
        assert [END] == seen_of(
            execute(from_([ErrorLink(lambda _: reactivex.empty()), sending(FAILED, DATA)]), REQUEST)
        )

    def test_are_new_for_each_subscription(self):
        terminal = MockLink([MockedResponse(result=FAILED), MockedResponse(result=DATA)] * 2)
        results = execute(from_([ErrorLink(retry), terminal]), REQUEST)

        assert [[DATA, END]] * 2 == [seen_of(results), seen_of(results)]


class TestBadHandlers:
    @pytest.mark.parametrize("make", [ErrorLink, on_error])
    @pytest.mark.parametrize(
        ("handler", "shown"),
        [
            (None, "None"),
            ("text", "a str"),
            (lambda: None, ".*<lambda>, which takes other arguments"),
            (lambda graphql_errors, network_error: None, ".*<lambda>, which takes other arguments"),
        ],
    )
    def test_that_cannot_be_called_with_a_response_are_refused(self, make, handler, shown):
        with pytest.raises(InvariantTypeError, match=rf"ErrorLink is {shown}; give a function of \(response\)"):
            make(handler)

    @pytest.mark.parametrize("terminal", [sending(FAILED), failing(OSError()), answering(FAILED, DATA)])
    @pytest.mark.parametrize("is_async", [False, True])
    async def test_that_raise_end_the_operation_with_what_they_raised(self, terminal, is_async):
        """E08, E51: the exception is not lost, and the operation does not hang as in Apollo."""

        def broken(response):
            raise KeyError("extensions")

        async def broken_later(response):
            await asyncio.sleep(0)
            raise KeyError("extensions")

        link = from_([ErrorLink(broken_later if is_async else broken), terminal])
        recorder = subscribed(execute(link, REQUEST))
        await turns()

        assert [KeyError] == list(map(type, recorder.seen))

    @pytest.mark.parametrize("is_async", [False, True])
    @pytest.mark.parametrize("returned", [DATA, True, [], "text"])
    async def test_that_return_something_else_are_named(self, is_async, returned):
        def on_auth_error(response):
            return asyncio.sleep(0, returned) if is_async else returned

        recorder = subscribed(execute(from_([ErrorLink(on_auth_error), sending(FAILED)]), REQUEST))
        await turns()

        [error] = recorder.seen
        assert isinstance(error, TypeError)
        assert f"on_auth_error returned a {type(returned).__name__}; return an Observable" in str(error)

    def test_that_wait_where_no_loop_runs_end_with_the_cure_and_leave_nothing_unawaited(self):
        seen = seen_of(execute(from_([ErrorLink(retry_later), sending(FAILED)]), REQUEST))
        gc.collect()  # a warning "was never awaited" would fail the test

        assert [InvariantError] == list(map(type, seen))

    def test_that_wait_where_no_loop_runs_leave_the_subscribers_exception_alone(self):
        def raise_it(error):
            raise LookupError("the subscriber's own") from error

        results = execute(from_([ErrorLink(pass_later), failing(FAILED)]), REQUEST)

        with pytest.raises(LookupError, match="the subscriber's own"):
            results.subscribe(on_error=raise_it)
        with pytest.raises(InvariantError, match="loop"):  # RxPY raises what nobody takes
            results.subscribe()

    async def test_that_somebody_cancels_end_the_operation_and_the_first_stream(self):
        """E49; also before the handler's first step."""
        first = Subject()
        before = asyncio.all_tasks()
        recorder = subscribed(execute(from_([ErrorLink(retry_later), source_of(first)]), REQUEST))
        first.on_next(FAILED)
        [task] = asyncio.all_tasks() - before

        task.cancel()
        await turns()

        assert ([OperationCancelled], []) == (list(map(type, recorder.seen)), first.observers)

    async def test_that_somebody_cancels_can_be_answered_by_an_error_link_above(self):
        first = Subject()
        before = asyncio.all_tasks()
        link = from_([ErrorLink(lambda _: reactivex.of(DATA)), ErrorLink(retry_later), source_of(first)])
        recorder = subscribed(execute(link, GraphQLRequest("subscription S { a }")))
        first.on_next(FAILED)
        [task] = asyncio.all_tasks() - before

        task.cancel()
        await turns()

        assert ([DATA, END], []) == (recorder.seen, first.observers)


class TestStreams:
    """A first stream that goes on while the handler thinks: order kept, nothing lost, nothing left."""

    @pytest.mark.parametrize("query", ["subscription S { a }", "query Q { a }"])
    async def test_keep_what_comes_meanwhile_in_order(self, query):
        first, thinker = Subject(), Thinker()
        recorder = subscribed(execute(from_([ErrorLink(thinker), source_of(first)]), GraphQLRequest(query)))

        first.on_next(DATA)
        first.on_next(FAILED)
        await turns()
        first.on_next(OTHER)
        first.on_completed()
        before = list(recorder.seen)
        thinker.answers.put_nowait(None)
        await turns()

        assert ([DATA], [DATA, FAILED, OTHER, END]) == (before, recorder.seen)

    async def test_ask_again_for_each_error_kept(self):
        first, thinker = Subject(), Thinker()
        recorder = subscribed(execute(from_([ErrorLink(thinker), source_of(first)]), REQUEST))
        error = OSError("last")
        for result in (FAILED, DATA, FAILED, OTHER):
            first.on_next(result)
        first.on_error(error)

        asked, seen = [], []
        for _ in range(3):
            await turns()
            asked.append(len(thinker.asked))
            seen.append(list(recorder.seen))
            thinker.answers.put_nowait(None)
        await turns()

        assert [1, 2, 3] == asked
        assert [[], [FAILED, DATA], [FAILED, DATA, FAILED, OTHER]] == seen
        assert [FAILED, DATA, FAILED, OTHER, error] == recorder.seen

    async def test_stay_in_order_when_the_consumer_makes_the_source_go_on(self):
        first, thinker = Subject(), Thinker()
        seen = []

        def consume(result):
            seen.append(result)
            if result is FAILED:
                first.on_next({"data": "pushed"})

        execute(from_([ErrorLink(thinker), source_of(first)]), REQUEST).subscribe(consume)
        first.on_next(FAILED)
        await turns()
        first.on_next(OTHER)
        thinker.answers.put_nowait(None)
        await turns()
        first.on_next(DATA)

        assert [FAILED, OTHER, {"data": "pushed"}, DATA] == seen

    async def test_stay_in_order_where_the_next_error_comes_when_an_eager_task_has_ended(self):
        first, failures = Subject(), [{**FAILED, "extensions": {"number": number}} for number in range(3)]
        loop = asyncio.get_running_loop()
        answers = []

        def handler(response):
            answers.append(loop.create_future())
            if len(answers) == 2:
                answers[-1].set_result(None)
            return answers[-1]

        def run_the_second_at_once(loop, work, **_):
            if len(answers) != 2:
                return asyncio.Task(work, loop=loop)
            with contextlib.suppress(StopIteration):
                work.send(None)
            first.on_next(failures[2])
            ended = EndedAtOnce(loop=loop)
            ended.set_result(None)
            return ended

        link = from_([ErrorLink(handler), source_of(first)])
        recorder = subscribed(execute(link, GraphQLRequest("subscription S { a }")))
        first.on_next(failures[0])
        await turns()
        first.on_next(failures[1])
        loop.set_task_factory(run_the_second_at_once)
        answers[0].set_result(None)
        await turns()
        first.on_next(DATA)
        first.on_completed()
        before = list(recorder.seen)
        answers[2].set_result(None)
        await turns()

        assert (failures[:2], [*failures, DATA, END]) == (before, recorder.seen)

    @pytest.mark.parametrize("is_async", [False, True])
    async def test_are_cancelled_and_muted_when_the_handler_answers_in_the_midst(self, is_async):
        """E52."""
        first, second = Subject(), Subject()

        async def later(response):
            return second

        handler = later if is_async else lambda response: second
        recorder = subscribed(execute(from_([ErrorLink(handler), source_of(first)]), REQUEST))

        first.on_next(DATA)
        first.on_next(FAILED)
        first.on_next(OTHER)
        await turns()
        gone = list(first.observers)
        second.on_next(DATA)
        second.on_completed()

        assert ([], [DATA, DATA, END]) == (gone, recorder.seen)

    async def test_that_sent_their_last_before_the_answer_came_are_not_missed(self):
        terminal = MockLink([MockedResponse(result=FAILED), MockedResponse(result=DATA, delay=0)])
        recorder = subscribed(execute(from_([ErrorLink(retry_later), terminal]), REQUEST))

        await turns(9)

        assert [DATA, END] == recorder.seen

    async def test_of_workers_are_cancelled_too(self):
        sent = []

        async def turn():
            await asyncio.sleep(0)
            sent.append(1)

        endless = streaming([FAILED] * 100, turn)
        recorder = subscribed(execute(from_([ErrorLink(lambda _: reactivex.of(DATA)), endless]), REQUEST))
        await turns(10)

        assert ([DATA, END], 1) == (recorder.seen, len(sent))

    async def test_reported_a_consumers_exception_and_went_on(self):
        complaints = []
        asyncio.get_running_loop().set_exception_handler(lambda _, c: complaints.append(type(c["exception"])))
        first, thinker = Subject(), Thinker()
        seen = []

        def consume(result):
            if result is FAILED:
                raise ValueError("consumer")
            seen.append(result)

        link = from_([ErrorLink(thinker), source_of(first)])
        execute(link, REQUEST).subscribe(consume, on_completed=lambda: seen.append(END))
        first.on_next(FAILED)
        await turns()
        first.on_next(DATA)
        first.on_completed()
        thinker.answers.put_nowait(None)
        await turns()

        assert ([DATA, END], [ValueError]) == (seen, complaints)

    async def test_may_go_through_two_thinking_links(self):
        first, upper, lower = Subject(), Thinker(), Thinker()
        recorder = subscribed(execute(from_([ErrorLink(upper), ErrorLink(lower), source_of(first)]), REQUEST))
        first.on_next(FAILED)
        first.on_next(DATA)
        first.on_next(FAILED)
        await turns()

        lower.answers.put_nowait(None)
        await turns()
        lower.answers.put_nowait(reactivex.of(OTHER))
        await turns()
        before = list(recorder.seen)
        upper.answers.put_nowait(None)
        await turns()

        assert ([], [FAILED, DATA, OTHER, END]) == (before, recorder.seen)
        assert ([1, 2], []) == ([len(upper.asked), len(lower.asked)], first.observers)

    async def test_an_answer_of_the_lower_link_leaves_the_thinking_of_the_upper_alone(self):
        upper = Thinker()
        link = from_([ErrorLink(upper), ErrorLink(lambda r: reactivex.of(DATA) if r.result is None else None)])
        recorder = subscribed(execute(link.concat(source_of(first := Subject())), REQUEST))

        first.on_next(FAILED)
        first.on_error(OSError())
        await turns()
        upper.answers.put_nowait(None)
        await turns()

        assert ([FAILED, DATA, END], 0) == (recorder.seen, upper.cancelled)


class TestLeaving:
    async def test_while_the_handler_thinks_cancels_it_and_the_first_stream(self):
        first, thinker = Subject(), Thinker()
        recorder = subscribed(execute(from_([ErrorLink(thinker), source_of(first)]), REQUEST))
        first.on_next(FAILED)
        await turns()

        recorder.subscription.dispose()
        thinker.answers.put_nowait(reactivex.of(DATA))
        await turns()

        assert (1, [], []) == (thinker.cancelled, first.observers, recorder.seen)

    async def test_before_the_handler_has_started_leaves_nothing_unawaited(self):
        recorder = subscribed(execute(from_([ErrorLink(retry_later), sending(FAILED)]), REQUEST))

        recorder.subscription.dispose()
        await turns()
        gc.collect()  # a warning "was never awaited" would fail the test

        assert [] == recorder.seen

    async def test_sends_nothing_even_where_the_handler_swallows_its_cancellation(self):
        async def stubborn(response):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return retry(response)

        terminal = MockLink([MockedResponse(result=FAILED, max_usage=None)])
        recorder = subscribed(execute(from_([ErrorLink(stubborn), terminal]), REQUEST))
        await turns()

        recorder.subscription.dispose()
        await turns()

        assert (1, []) == (len(terminal.operations), recorder.seen)

    async def test_while_the_retry_is_under_way_aborts_it(self):
        """E41, E52."""
        disposed = []
        answer = Observable(lambda *_: Disposable(lambda: disposed.append(1)))
        recorder = subscribed(execute(from_([ErrorLink(lambda _: answer), sending(FAILED)]), REQUEST))

        recorder.subscription.dispose()

        assert [1] == disposed

    def test_inside_on_next_asks_no_handler_any_more(self):
        asked, seen = [], []
        first = Subject()

        def leave(result):
            seen.append(result)
            subscription.dispose()

        link = from_([ErrorLink(asked.append), source_of(first)])
        subscription = execute(link, REQUEST).subscribe(leave)
        first.on_next(DATA)
        first.on_next(FAILED)

        assert ([DATA], []) == (seen, asked)

    async def test_in_the_midst_of_catching_up_stops_it(self):
        first, thinker = Subject(), Thinker()
        asked, seen = [], []

        async def ask(response):
            asked.append(response)
            return await thinker(response)

        def leave(result):
            seen.append(result)
            subscription.dispose()

        subscription = execute(from_([ErrorLink(ask), source_of(first)]), REQUEST).subscribe(leave)
        for result in (FAILED, DATA, FAILED):
            first.on_next(result)
        await turns()
        thinker.answers.put_nowait(None)
        await turns()

        assert ([FAILED], 1) == (seen, len(asked))

    async def test_inside_the_handler_ends_all(self):
        terminal = MockLink([MockedResponse(result=FAILED, max_usage=None, delay=0)])

        def leave(response):
            subscription.dispose()
            return retry(response)

        subscription = execute(from_([ErrorLink(leave), terminal]), REQUEST).subscribe(pytest.fail)
        await turns()

        assert 1 == len(terminal.operations)


async def operations_of(request):
    seen = []
    link = ApolloLink(lambda operation, forward: seen.append(operation) or reactivex.of(DATA))
    await execute(link, request)
    return seen


class TestPlainFunctionsThatReturnAwaitables:
    """They are awaited at once, and decide when the first stream has ended."""

    async def test_are_awaited_after_the_first_stream_and_nothing_is_lost(self):
        first = Subject()
        answered = asyncio.get_running_loop().create_future()
        link = from_([ErrorLink(lambda response: answered), source_of(first)])
        recorder = subscribed(execute(link, REQUEST))

        first.on_next(FAILED)
        first.on_next(DATA)
        answered.set_result(None)
        await turns()
        before = list(recorder.seen)
        first.on_completed()
        await turns()

        assert ([], [FAILED, DATA, END]) == (before, recorder.seen)

    async def test_run_to_their_end_where_the_subscriber_leaves_before(self):
        first = Subject()
        link = from_([ErrorLink(lambda response, retry=retry_later: retry(response)), source_of(first)])
        recorder = subscribed(execute(link, REQUEST))

        first.on_next(FAILED)
        recorder.subscription.dispose()
        await turns()
        gc.collect()  # a warning "was never awaited" would fail the test

        assert ([], []) == (recorder.seen, first.observers)
