"""MockSubscriptionLink: who gets what the test sends, when, and who is told that a subscription is over."""

import asyncio
from contextvars import ContextVar, copy_context
from datetime import timedelta

import pytest
from reactivex.testing import TestScheduler

from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import InvariantError, InvariantTypeError
from rxlink.links.context import SetContextLink
from rxlink.testing import MockedResponse, MockSubscriptionLink
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.recording import DATA, END, REQUEST, answering, garbage_of, seen_of, subscribed

TICKS = GraphQLRequest("subscription Ticks { tick }")
ONE, TWO = {"data": {"tick": 1}}, {"data": {"tick": 2}}
FAILURE = ConnectionError("lost")


async def listen_later(): ...


class SpyLink(ApolloLink):
    """Notes the results that arrive, whether or not somebody still wants them."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def connect(self, forward):
        def start(operation, observer, root):
            forward.connect(operation, SpyWorker(self.seen, observer), root)

        return start


class SpyWorker:
    def __init__(self, seen, observer):
        self.seen = seen
        self.on_error = observer.on_error
        self.on_completed = lambda: None  # as a link does that goes on with another stream

    def on_next(self, result):
        self.seen.append(result)


class TestSimulating:
    def test_a_result_sends_it_to_each_open_subscription_before_it_returns(self):
        link = MockSubscriptionLink()
        recorders = [subscribed(execute(link, TICKS)) for _ in range(2)]

        link.simulate_result(ONE)

        assert [[ONE], [ONE]] == [recorder.seen for recorder in recorders]

    def test_results_goes_on_until_the_end(self):
        link = MockSubscriptionLink()
        recorder = subscribed(execute(link, TICKS))

        link.simulate_result(ONE)
        link.simulate_result(TWO, complete=True)

        assert ([ONE, TWO, END], 0) == (recorder.seen, link.subscribers)

    def test_an_error_ends_with_it(self):
        link = MockSubscriptionLink()
        recorder = subscribed(execute(link, TICKS))

        link.simulate_result(error=FAILURE)

        assert ([FAILURE], 0) == (recorder.seen, link.subscribers)

    def test_a_result_with_an_error_sends_both_and_no_completion(self):
        link = MockSubscriptionLink()
        recorder = subscribed(execute(link, TICKS))

        link.simulate_result(ONE, error=FAILURE, complete=True)

        assert [ONE, FAILURE] == recorder.seen

    def test_the_completion_ends_each(self):
        link = MockSubscriptionLink()
        recorders = [subscribed(execute(link, TICKS)) for _ in range(2)]

        link.simulate_complete()

        assert ([[END], [END]], 0) == ([recorder.seen for recorder in recorders], link.subscribers)

    def test_a_result_gives_each_a_copy_of_its_own(self):
        link = MockSubscriptionLink()
        first, second = [subscribed(execute(link, TICKS)) for _ in range(2)]
        link.simulate_result(ONE)

        first.seen[0]["data"]["tick"] = "changed"

        assert ([ONE], 1) == (second.seen, ONE["data"]["tick"])

    def test_reaches_who_subscribed_again(self):
        link = MockSubscriptionLink()
        results = execute(link, TICKS)
        first = subscribed(results)
        link.simulate_complete()

        second = subscribed(results)
        link.simulate_result(TWO)

        assert ([END], [TWO]) == (first.seen, second.seen)

    @pytest.mark.parametrize(
        "simulate", [lambda link: link.simulate_result(ONE), lambda link: link.simulate_complete()]
    )
    @pytest.mark.parametrize("earlier", [[], ["left"], ["ended"]])
    def test_for_nobody_is_an_error(self, simulate, earlier):
        link = MockSubscriptionLink()
        for how in earlier:
            recorder = subscribed(execute(link, TICKS))
            recorder.subscription.dispose() if how == "left" else link.simulate_complete()

        with pytest.raises(InvariantError, match="has nobody to send to"):
            simulate(link)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"result": [ONE]}, "`result` of simulate_result is a list; give a dict, such as {'data': ...}"),
            ({"result": "text"}, "`result` of simulate_result is a str; give a dict"),
            ({"result": 0}, "`result` of simulate_result is an int; give a dict"),
            ({"result": MockedResponse(result=ONE)}, "`result` of simulate_result is a MockedResponse; give a dict"),
            ({"result": OSError("down")}, "`result` of simulate_result is an OSError; give a dict"),
            ({"error": "down"}, "`error` of simulate_result is a str; give an exception"),
            ({"error": OSError}, "`error` of simulate_result is the class OSError; give an exception"),
            ({"error": asyncio.CancelledError()}, "`error` of simulate_result is a CancelledError; give an exception"),
            ({"result": ONE, "complete": "yes"}, "`complete` is 'yes'; give True or False"),
            ({"result": ONE, "scheduler": 5}, "`scheduler` is 5; give a scheduler of RxPY"),
            ({"result": ONE, "delay": 1, "scheduler": "loop"}, "`scheduler` is a str; give a scheduler of RxPY"),
        ],
    )
    def test_of_a_wrong_type_is_refused_and_nobody_gets_it(self, options, message):
        link = MockSubscriptionLink()
        recorder = subscribed(execute(link, TICKS))

        with pytest.raises(InvariantTypeError) as caught:
            link.simulate_result(**options)

        assert (True, [], 1) == (str(caught.value).startswith(message), recorder.seen, link.subscribers)

    def test_nothing_is_an_error(self):
        with pytest.raises(InvariantError, match="nothing to simulate; give `result`, `error` or `complete=True`"):
            MockSubscriptionLink().simulate_result()

    def test_passes_through_the_links_above(self):
        link = MockSubscriptionLink()
        chain = from_([SetContextLink(lambda *_: {"tenant": "blue"}), link])
        recorder = subscribed(execute(chain, TICKS))

        link.simulate_result(ONE)

        assert ([ONE], "blue") == (recorder.seen, link.operation.get_context()["tenant"])


class TestDelay:
    @pytest.mark.parametrize("delay", [5, timedelta(seconds=5)])
    def test_is_the_given_schedulers_time(self, delay):
        scheduler = TestScheduler()
        link = MockSubscriptionLink()
        recorder = subscribed(execute(link, TICKS))

        link.simulate_result(ONE, delay=delay, scheduler=scheduler)
        scheduler.advance_by(4.9)
        before = list(recorder.seen)
        scheduler.advance_by(0.1)

        assert ([], [ONE]) == (before, recorder.seen)

    @virtual
    async def test_is_the_running_loops_time(self, time: VirtualTime):
        link = MockSubscriptionLink()
        seen = []
        execute(link, TICKS).subscribe(lambda result: seen.append((time.monotonic(), result)))

        link.simulate_result(ONE, delay=5, complete=True)
        await asyncio.sleep(6)

        assert [(5.0, ONE)] == seen

    @virtual
    async def test_sends_to_those_who_are_there_by_then(self):
        link = MockSubscriptionLink()
        leaver = subscribed(execute(link, TICKS))

        link.simulate_result(ONE, delay=5)
        leaver.subscription.dispose()
        late = subscribed(execute(link, TICKS))
        await asyncio.sleep(6)

        assert ([], [ONE]) == (leaver.seen, late.seen)

    async def test_of_zero_lets_the_loop_turn_first(self):
        link = MockSubscriptionLink()
        recorder = subscribed(execute(link, TICKS))

        link.simulate_result(ONE, delay=0)
        before = list(recorder.seen)
        await asyncio.sleep(0.001)

        assert ([], [ONE]) == (before, recorder.seen)

    @virtual
    async def test_tells_the_loop_that_nobody_is_left(self):
        complaints = []
        asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))

        MockSubscriptionLink().simulate_result(ONE, delay=1)
        await asyncio.sleep(2)

        assert [InvariantError] == [type(complaint["exception"]) for complaint in complaints]

    def test_needs_a_loop_or_a_scheduler(self):
        with pytest.raises(InvariantError, match="neither a running event loop nor a scheduler"):
            MockSubscriptionLink().simulate_result(ONE, delay=1)

    @pytest.mark.parametrize(("delay", "error"), [(-1, InvariantError), ("1", InvariantTypeError)])
    def test_that_makes_no_sense_is_refused(self, delay, error):
        with pytest.raises(error, match="`delay`"):
            MockSubscriptionLink().simulate_result(ONE, delay=delay, scheduler=TestScheduler())


class TestListeners:
    def test_hear_of_each_subscription_and_of_its_end_in_apollos_order(self):
        link, order = MockSubscriptionLink(), []
        link.on_setup(lambda: order.append("setup"))
        link.on_unsubscribe(lambda: order.append("over"))

        def subscribe():
            return execute(link, TICKS).subscribe(
                order.append, lambda error: order.append("error"), lambda: order.append("completed")
            )

        subscribe().dispose()
        subscribe()
        link.simulate_result(ONE, complete=True)
        subscribe()
        link.simulate_result(error=FAILURE)

        left, completed = ["setup", "over"], ["setup", ONE, "completed", "over"]
        assert [*left, *completed, "setup", "error", "over"] == order

    def test_hear_of_an_end_once(self):
        link, over = MockSubscriptionLink(), []
        link.on_unsubscribe(lambda: over.append(1))
        recorder = subscribed(execute(link, TICKS))
        link.simulate_complete()

        recorder.subscription.dispose()

        assert [1] == over

    def test_at_setup_come_before_the_subscription_is_open(self):
        link, open_ = MockSubscriptionLink(), []
        link.on_setup(lambda: open_.append(link.subscribers))

        subscribed(execute(link, TICKS))

        assert ([0], 1) == (open_, link.subscribers)

    def test_that_raise_at_setup_are_the_operations_error(self):
        link = MockSubscriptionLink()
        link.on_setup(lambda: 1 / 0)

        seen = seen_of(execute(link, TICKS))

        assert ([ZeroDivisionError], 0) == (list(map(type, seen)), link.subscribers)

    @pytest.mark.parametrize("name", ["on_setup", "on_unsubscribe"])
    @pytest.mark.parametrize(
        ("listener", "message"),
        [
            (7, "is 7; give a function without arguments"),
            (None, "is None; give a function without arguments"),
            (lambda link: None, "is .*<lambda>, which takes other arguments; give a function without arguments"),
            (listen_later, "is the coroutine function listen_later; what it returns is not awaited"),
        ],
    )
    def test_that_cannot_be_called_are_refused(self, name, listener, message):
        with pytest.raises(InvariantTypeError, match=f"`{name}` {message}"):
            getattr(MockSubscriptionLink(), name)(listener)


class TestLeaving:
    def test_stops_the_results_for_the_leaver_only(self):
        link = MockSubscriptionLink()
        leaver, stayer = [subscribed(execute(link, TICKS)) for _ in range(2)]

        leaver.subscription.dispose()
        link.simulate_result(ONE)

        assert ([], [ONE], 1) == (leaver.seen, stayer.seen, link.subscribers)

    def test_while_a_result_is_taken_delivers_neither_more_nor_the_end(self):
        link, seen = MockSubscriptionLink(), []
        subscription = execute(link, TICKS).subscribe(
            lambda result: seen.append(result) or subscription.dispose(), on_completed=lambda: seen.append(END)
        )

        link.simulate_result(ONE, complete=True)

        assert ([ONE], 0) == (seen, link.subscribers)

    def test_of_one_through_the_callback_of_another(self):
        link = MockSubscriptionLink()
        other = None
        execute(link, TICKS).subscribe(lambda _: other.subscription.dispose())
        other = subscribed(execute(link, TICKS))

        link.simulate_result(ONE, complete=True)

        assert [] == other.seen

    def test_is_over_for_one_who_was_ended_through_the_callback_of_another(self):
        link, spy = MockSubscriptionLink(), SpyLink()
        execute(link, TICKS).subscribe(lambda _: link.simulate_complete())
        execute(from_([spy, link]), TICKS).subscribe()

        link.simulate_result(ONE)

        assert [] == spy.seen

    def test_leaves_no_garbage(self):
        link = MockSubscriptionLink()

        def story():
            execute(link, TICKS).subscribe().dispose()
            execute(link, TICKS).subscribe()
            link.simulate_result(ONE, complete=True)

        assert 0 == garbage_of(story, times=5)


class TestCallbacksThatRaise:
    def test_do_not_keep_the_result_from_the_others_and_are_raised_to_the_test(self):
        link, errors = MockSubscriptionLink(), []
        execute(link, TICKS).subscribe(lambda _: 1 / 0, errors.append)
        other = subscribed(execute(link, TICKS))

        with pytest.raises(ZeroDivisionError):
            link.simulate_result(ONE)

        assert ([ONE], []) == (other.seen, errors)

    def test_are_raised_together_where_there_are_several(self):
        link = MockSubscriptionLink()
        for _ in range(2):
            execute(link, TICKS).subscribe(lambda _: 1 / 0)

        with pytest.raises(ExceptionGroup) as raised:
            link.simulate_result(ONE)

        assert [ZeroDivisionError] * 2 == list(map(type, raised.value.exceptions))

    def test_do_not_keep_the_end_from_their_own_subscription(self):
        link, seen = MockSubscriptionLink(), []
        execute(link, TICKS).subscribe(lambda _: 1 / 0, on_completed=lambda: seen.append(END))

        with pytest.raises(ZeroDivisionError):
            link.simulate_result(ONE, complete=True)

        assert ([END], 0) == (seen, link.subscribers)


class TestNotes:
    def test_keep_operations_as_they_were_when_they_arrived(self):
        attempts, link = iter("ab"), MockSubscriptionLink()
        results = execute(from_([SetContextLink(lambda *_: {"attempt": next(attempts)}), link]), TICKS)

        subscribed(results)
        subscribed(results)

        assert ["a", "b"] == [operation.get_context()["attempt"] for operation in link.operations]

    def test_tell_the_last_operation(self):
        link = MockSubscriptionLink()
        before = link.operation

        subscribed(execute(link, TICKS))
        subscribed(execute(link, REQUEST))

        assert (None, "Viewer") == (before, link.operation.operation_name)

    def test_say_that_nothing_was_asked_before_somebody_subscribes(self):
        link = MockSubscriptionLink()

        execute(link, TICKS)

        assert ([], 0) == (link.operations, link.subscribers)

    def test_nothing_may_stand_behind_the_link(self):
        with pytest.raises(InvariantError, match="never forwards"):
            from_([MockSubscriptionLink(), answering(DATA)])


def test_context_variables_of_a_hundred_subscriptions_stay_apart():
    """P11: what the test sends is taken in the context of each subscription."""
    variable, link, seen = ContextVar("variable"), MockSubscriptionLink(), {}

    def start(number):
        variable.set(number)
        execute(link, TICKS).subscribe(
            lambda _: seen.setdefault(number, [variable.get()]),
            on_completed=lambda: seen[number].append(variable.get()),
        )

    for number in range(100):
        copy_context().run(start, number)
    link.simulate_result(ONE, complete=True)

    assert {number: [number, number] for number in range(100)} == seen
