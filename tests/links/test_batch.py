"""BatchLink: when a batch goes out, who gets which answer, and that leaving or failing touches nobody else."""

import asyncio
import gc
from contextlib import suppress
from contextvars import ContextVar
from datetime import timedelta

import pytest
import reactivex
from reactivex import Observable, Subject
from reactivex import operators as ops
from reactivex.disposable import Disposable
from reactivex.scheduler.eventloop import AsyncIOScheduler
from reactivex.testing import TestScheduler as Scheduler

from rxlink.core.chain import execute, from_
from rxlink.core.chain_observable import ChainObservable
from rxlink.core.link import ApolloLink
from rxlink.core.observables import from_future
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import (
    ClientClosed,
    CombinedGraphQLErrors,
    InvariantError,
    InvariantTypeError,
    NetworkTimeout,
    RxlinkError,
    ServerError,
)
from rxlink.links.batch import BatchLink
from rxlink.links.error import ErrorLink
from rxlink.testing import MockedResponse, MockLink
from rxlink.testing.virtual_time import virtual
from tests.recording import DATA, END, FAILED, REQUEST, Recorder, garbage_of, source_of, subscribed

TENANT = ContextVar("tenant", default="nobody")


class Handler:
    """Writes down the batches that it gets, with their time; each is answered through a Subject of its own.

    Attributes:
        batches: The names of the operations of each batch, and when it came.
        answers: A Subject for each batch.
        stopped: The places of the batches whose Subject is no longer listened to.
    """

    def __init__(self, answer=None):
        self.batches = []
        self.answers = []
        self.stopped = []
        self.contexts = []
        self._answer = answer

    def __call__(self, operations, forwards):
        self.contexts.append(TENANT.get())
        self.batches.append((now(), [operation.operation_name for operation in operations]))
        if self._answer is not None:
            return self._answer(operations, forwards)
        place, answer = len(self.answers), Subject()
        self.answers.append(answer)
        return answer.pipe(ops.finally_action(lambda: self.stopped.append(place)))

    @property
    def names(self):
        return [names for _, names in self.batches]

    def reply(self, place, *results):
        self.answers[place].on_next(list(results))
        self.answers[place].on_completed()


def now():
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return None


def ask(name, link, scheduler=None, **context):
    return subscribed(execute(link, GraphQLRequest(f"query {name} {{ a }}", context=context)), scheduler)


def result_of(name):
    return {"data": name}


def answer_all(operations, forwards):
    """Answer at once, before `subscribe` returns."""
    return reactivex.of([result_of(operation.operation_name) for operation in operations])


def forward_all(operations, forwards):
    """Hand each operation on by itself."""
    streams = [forward(operation) for forward, operation in zip(forwards, operations, strict=True)]
    return reactivex.zip(*streams).pipe(ops.map(list))


class TestABatch:
    @virtual
    async def test_goes_out_an_interval_after_its_first_operation(self):
        handler = Handler()
        link = BatchLink(batch_handler=handler, batch_interval=0.5)

        ask("A", link)
        await asyncio.sleep(0.4)
        ask("B", link)
        await asyncio.sleep(0.2)
        ask("C", link)
        await asyncio.sleep(1)

        assert [(0.5, ["A", "B"]), (1.1, ["C"])] == [(pytest.approx(time), names) for time, names in handler.batches]

    @virtual
    async def test_waits_ten_milliseconds_unless_it_is_told_otherwise(self):
        handler = Handler()

        ask("A", BatchLink(batch_handler=handler))
        await asyncio.sleep(1)

        assert [(0.01, ["A"])] == handler.batches

    @virtual
    async def test_has_any_number_of_operations_unless_it_is_told_otherwise(self):
        handler = Handler()
        link = BatchLink(batch_handler=handler)

        for number in range(50):
            ask(f"Q{number}", link)
        await asyncio.sleep(1)

        assert [[f"Q{number}" for number in range(50)]] == handler.names

    @pytest.mark.parametrize("interval", [0, 0.0, timedelta(0)])
    @virtual
    async def test_of_no_interval_waits_for_one_turn_of_the_loop(self, interval):
        handler = Handler()
        link = BatchLink(batch_handler=handler, batch_interval=interval)

        ask("A", link)
        ask("B", link)
        before = list(handler.batches)
        await asyncio.sleep(0.001)

        assert ([], [(0, ["A", "B"])]) == (before, handler.batches)

    async def test_of_no_interval_waits_for_no_more_than_one_turn_of_the_loop(self):
        handler = Handler()

        ask("A", BatchLink(batch_handler=handler, batch_interval=0))
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # in the turn of the batch, behind it

        assert [["A"]] == handler.names

    @virtual
    async def test_takes_its_interval_as_a_timedelta_too(self):
        handler = Handler()

        ask("A", BatchLink(batch_handler=handler, batch_interval=timedelta(minutes=1)))
        await asyncio.sleep(61)

        assert [(60, ["A"])] == handler.batches

    @virtual
    async def test_that_is_debounced_waits_for_an_interval_without_operations(self):
        handler = Handler()
        link = BatchLink(batch_handler=handler, batch_interval=0.5, batch_debounce=True)

        for name in "ABC":
            ask(name, link)
            await asyncio.sleep(0.4)
        await asyncio.sleep(1)

        assert [(pytest.approx(1.3), ["A", "B", "C"])] == handler.batches

    @pytest.mark.parametrize("is_debounced", [False, True])
    @virtual
    async def test_that_is_full_goes_out_at_once_and_the_next_has_an_interval_of_its_own(self, is_debounced, time):
        handler = Handler()
        link = BatchLink(batch_handler=handler, batch_interval=1, batch_max=2, batch_debounce=is_debounced)

        ask("A", link)
        await asyncio.sleep(0.6)
        ask("B", link)
        left = time.leftovers()
        ask("C", link)
        await asyncio.sleep(2)

        assert ([(0.6, ["A", "B"]), (1.6, ["C"])], []) == (handler.batches, left)

    @virtual
    async def test_of_one_goes_out_at_once(self):
        handler = Handler(answer_all)
        link = BatchLink(batch_handler=handler, batch_max=1)

        seen = [ask(name, link).seen for name in "AB"]

        assert ([["A"], ["B"]], [[{"data": "A"}, END], [{"data": "B"}, END]]) == (handler.names, seen)

    @virtual
    async def test_holds_only_operations_with_the_same_key(self):
        handler = Handler()
        link = BatchLink(
            batch_handler=handler,
            batch_interval=1,
            batch_max=2,
            batch_key=lambda operation: operation.get_context()["tenant"],
        )

        ask("A", link, tenant="red")
        await asyncio.sleep(0.5)
        ask("B", link, tenant="blue")
        ask("C", link, tenant="red")
        await asyncio.sleep(2)

        assert [(0.5, ["A", "C"]), (1.5, ["B"])] == handler.batches

    @virtual
    async def test_that_ends_leaves_the_next_one_alone(self):
        """In Apollo, finishing one batch sends the next one early."""
        handler = Handler()
        link = BatchLink(batch_handler=handler, batch_interval=1)

        ask("A", link)
        await asyncio.sleep(1.5)
        ask("B", link)
        handler.reply(0, result_of("A"))
        await asyncio.sleep(0.3)
        ask("C", link)
        await asyncio.sleep(2)

        assert [(1, ["A"]), (2.5, ["B", "C"])] == handler.batches

    @virtual
    async def test_goes_by_the_time_of_the_subscribers_scheduler(self):
        handler, scheduler = Handler(), Scheduler()
        link = BatchLink(batch_handler=handler, batch_interval=5)

        ask("A", link, scheduler)
        ask("B", link)
        ask("C", link, scheduler)
        scheduler.advance_to(4)
        before = list(handler.names)
        scheduler.advance_to(6)
        after = list(handler.names)
        await asyncio.sleep(6)

        assert ([], [["A", "C"]], [["A", "C"], ["B"]]) == (before, after, handler.names)

    def test_hands_the_scheduler_on_to_the_handlers_stream(self):
        scheduler = Scheduler()
        link = BatchLink(
            batch_handler=lambda *_: reactivex.timer(3.0).pipe(ops.map(lambda _: [DATA])), batch_interval=5
        )

        recorder = ask("A", link, scheduler)
        scheduler.advance_to(7.5)
        before = list(recorder.seen)
        scheduler.advance_to(8.5)

        assert ([], [DATA, END]) == (before, recorder.seen)

    @virtual
    async def test_is_one_for_all_schedulers_of_the_same_loop(self):
        handler, loop = Handler(), asyncio.get_running_loop()
        link = BatchLink(batch_handler=handler)

        ask("A", link, AsyncIOScheduler(loop))
        ask("B", link, AsyncIOScheduler(loop))
        ask("C", link)
        await asyncio.sleep(1)

        assert [["A", "B", "C"]] == handler.names

    def test_needs_no_loop_with_a_scheduler(self):
        handler, scheduler = Handler(answer_all), Scheduler()

        recorder = ask("A", BatchLink(batch_handler=handler), scheduler)
        scheduler.start()

        assert [{"data": "A"}, END] == recorder.seen

    def test_says_so_where_there_is_no_time(self):
        recorder = ask("A", BatchLink(batch_handler=answer_all))

        assert [InvariantError] == list(map(type, recorder.seen))
        assert "no event loop runs" in str(recorder.seen[0])

    def test_is_not_left_to_a_loop_that_is_over(self):
        handler = Handler(answer_all)
        link = BatchLink(batch_handler=handler, batch_interval=0.01)
        recorders = []

        async def only_begin():
            recorders.append(ask("A", link))

        async def finish():
            recorders.append(ask("B", link))
            await asyncio.sleep(0.05)

        asyncio.run(only_begin())
        asyncio.run(finish())

        assert ([["B"]], [[], [{"data": "B"}, END]]) == (handler.names, [recorder.seen for recorder in recorders])
        assert 1 == len(link._batcher._waiting)

    @virtual
    async def test_has_a_place_for_each_subscription_also_of_one_observable(self):
        """In Apollo the second subscriber shares the first one's place."""
        handler = Handler()
        link = BatchLink(batch_handler=handler)
        results = execute(link, GraphQLRequest("query A { a }"))

        first, second = subscribed(results), subscribed(results)
        await asyncio.sleep(1)
        handler.reply(0, result_of("first"), result_of("second"))
        third = subscribed(results)
        await asyncio.sleep(1)
        handler.reply(1, result_of("third"))

        assert [["A", "A"], ["A"]] == handler.names
        assert [[{"data": "first"}, END], [{"data": "second"}, END], [{"data": "third"}, END]] == [
            recorder.seen for recorder in (first, second, third)
        ]

    @virtual
    async def test_gathers_from_every_place_of_the_link(self):
        handler = Handler()
        link = BatchLink(batch_handler=handler)
        untouched = ApolloLink(lambda operation, forward: forward(operation))

        ask("A", from_([untouched, link]))
        ask("B", link)
        await asyncio.sleep(1)

        assert [["A", "B"]] == handler.names


class TestAnswers:
    @virtual
    async def test_come_to_each_operation_in_its_place(self):
        link = BatchLink(batch_handler=answer_all)

        recorders = [ask(name, link) for name in "ABC"]
        await asyncio.sleep(1)

        assert [[{"data": name}, END] for name in "ABC"] == [recorder.seen for recorder in recorders]

    @virtual
    async def test_may_be_a_stream_of_lists(self):
        handler = Handler()
        link = BatchLink(batch_handler=handler)
        recorders = [ask(name, link) for name in "AB"]
        await asyncio.sleep(1)

        handler.answers[0].on_next([1, 2])
        between = [list(recorder.seen) for recorder in recorders]
        handler.reply(0, 3, 4)

        assert ([[1], [2]], [[1, 3, END], [2, 4, END]]) == (between, [recorder.seen for recorder in recorders])

    @pytest.mark.parametrize("answer", [[DATA], (DATA,), DATA])
    @virtual
    async def test_for_one_may_be_any_sequence_or_the_result_itself(self, answer):
        recorder = ask("A", BatchLink(batch_handler=lambda *_: reactivex.of(answer)))

        await asyncio.sleep(1)

        assert [DATA, END] == recorder.seen

    @virtual
    async def test_may_be_none_at_all(self):
        recorder = ask("A", BatchLink(batch_handler=lambda *_: reactivex.empty()))

        await asyncio.sleep(1)

        assert [END] == recorder.seen

    @pytest.mark.parametrize(("answer", "count"), [([], 0), ([1], 1), ([1, 2, 3], 3), (DATA, 1), (None, 1)])
    @virtual
    async def test_of_the_wrong_number_are_an_error_and_stop_the_stream(self, answer, count):
        handler = Handler()
        link = BatchLink(batch_handler=handler)
        recorders = [ask(name, link) for name in "AB"]
        await asyncio.sleep(1)

        handler.answers[0].on_next(answer)
        handler.answers[0].on_next([1, 2])

        assert [[InvariantError]] * 2 == [list(map(type, recorder.seen)) for recorder in recorders]
        assert f"answered 2 operations with {count} results" in str(recorders[0].seen[0])
        assert ([0], []) == (handler.stopped, handler.answers[0].observers)

    @virtual
    async def test_that_are_an_error_come_to_each(self):
        error = OSError("down")
        link = BatchLink(batch_handler=lambda *_: reactivex.throw(error))

        recorders = [ask(name, link) for name in "ABC"]
        await asyncio.sleep(1)

        assert [[error]] * 3 == [recorder.seen for recorder in recorders]

    @virtual
    async def test_that_are_an_error_of_ours_are_made_anew_for_each(self):
        """Each raise adds to the traceback of an error, and with it the frames of other operations."""
        errors = [
            ServerError("no", status_code=503, headers={"a": "b"}, body_text="text"),
            NetworkTimeout("batch", seconds=3),
            CombinedGraphQLErrors({"errors": [{"message": "x"}]}),
        ]
        for error in errors:
            error.__cause__ = OSError("why")
            with suppress(RxlinkError):
                raise error
            link = BatchLink(batch_handler=lambda *_, error=error: reactivex.throw(error))

            recorders = [ask(name, link) for name in "ABC"]
            await asyncio.sleep(1)
            actual = [recorder.seen[0] for recorder in recorders]

            assert 4 == len({id(error), *map(id, actual)})
            for own in actual:
                expected = (type(error), str(error), vars(error), error.__cause__, error.__traceback__)
                assert expected == (type(own), str(own), vars(own), own.__cause__, own.__traceback__)

    @virtual
    async def test_that_are_an_error_of_a_class_not_made_like_ours_come_as_they_are(self):
        class OwnError(RxlinkError):
            def __new__(cls, code):
                return super().__new__(cls)

        error = OwnError(7)
        recorder = ask("A", BatchLink(batch_handler=lambda *_: reactivex.throw(error)))
        await asyncio.sleep(1)

        assert [error] == recorder.seen

    @virtual
    async def test_may_hold_an_exception_for_one_operation(self):
        handler, error = Handler(), OSError("this one")
        link = BatchLink(batch_handler=handler)
        recorders = [ask(name, link) for name in "ABC"]
        await asyncio.sleep(1)

        handler.answers[0].on_next([1, error, 3])
        handler.answers[0].on_next([4, 5, 6])
        before = list(handler.stopped)
        handler.answers[0].on_next([OSError(), 8, 9])
        handler.answers[0].on_next([0, 0, error])

        assert [4, error, [3, 6, 9, error]] == [recorders[0].seen[1], recorders[1].seen[0], recorders[2].seen]
        assert ([], [0]) == (before, handler.stopped)

    @pytest.mark.parametrize("end", ["exception", "error", "completion"])
    @virtual
    async def test_are_over_for_an_operation_that_has_ended_and_its_slot_is_free(self, end):
        """Whatever a link above does next, with the same subscription."""
        handler, recorder, busy = Handler(), Recorder(), []

        class Above(ApolloLink):
            def connect(self, forward):
                def start(operation, observer, root):
                    note = recorder.on_error
                    recorder.on_error = lambda error: busy.append(root.is_busy) or note(error)
                    recorder.on_completed = lambda: busy.append(root.is_busy) or recorder.seen.append(END)
                    forward.connect(operation, recorder, root)

                return start

        link = BatchLink(batch_handler=handler)
        subscription = execute(from_([Above(), link]), REQUEST).subscribe()
        ask("B", link)
        await asyncio.sleep(1)
        error = OSError()
        if end == "exception":
            handler.answers[0].on_next([error, 2])
        elif end == "error":
            handler.answers[0].on_error(error)
        handler.reply(0, 3, 4)
        subscription.dispose()

        assert ([3, END] if end == "completion" else [error], [False]) == (recorder.seen, busy)

    @pytest.mark.parametrize("make", ["raises", "returns"])
    @virtual
    async def test_that_the_handler_fails_to_give_are_its_error_for_each(self, make):
        """In Apollo the operations hang."""

        def broken(operations, forwards):
            if make == "raises":
                raise KeyError("broken")

        recorders = [ask(name, BatchLink(batch_handler=broken, batch_max=2)) for name in "A"]
        link = BatchLink(batch_handler=broken)
        recorders += [ask(name, link) for name in "BC"]
        await asyncio.sleep(1)

        expected = KeyError if make == "raises" else InvariantTypeError
        assert [[expected]] * 3 == [list(map(type, recorder.seen)) for recorder in recorders]

    @pytest.mark.parametrize("returned", [None, [DATA], "coroutine"])
    @virtual
    async def test_that_are_no_observable_are_named(self, returned):
        def own_handler(operations, forwards):
            return asyncio.sleep(0) if returned == "coroutine" else returned

        recorder = ask("A", BatchLink(batch_handler=own_handler))
        await asyncio.sleep(1)
        gc.collect()  # a warning "was never awaited" would fail the test

        [error] = recorder.seen
        assert "own_handler returned " in str(error)
        assert "instead of an Observable" in str(error)

    @virtual
    async def test_that_raise_while_they_are_subscribed_are_the_error_of_each(self):
        class Broken(ApolloLink):
            def connect(self, forward):
                return lambda *_: 1 / 0

        handler = Handler(lambda operations, forwards: forwards[0](operations[0]))
        recorder = ask("A", from_([BatchLink(batch_handler=handler), Broken()]))
        await asyncio.sleep(1)

        assert [ZeroDivisionError] == list(map(type, recorder.seen))

    @pytest.mark.parametrize("kind", [OSError, asyncio.CancelledError])
    @pytest.mark.parametrize("moment", ["on_next", "on_error", "on_completed"])
    @virtual
    async def test_go_on_to_the_others_when_one_observer_raises(self, moment, kind):
        handler, complaints = Handler(), []
        asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
        link = BatchLink(batch_handler=handler)

        def fail(*_):
            raise kind("the consumer's own")

        first = Recorder()
        setattr(first, moment, fail)
        execute(link, REQUEST).subscribe(first)
        second = ask("B", link)
        await asyncio.sleep(1)
        handler.answers[0].on_next([1, 2])
        if moment == "on_error":
            handler.answers[0].on_error(KeyError())
        else:
            handler.answers[0].on_completed()

        assert ["the consumer's own"] == [str(complaint["exception"]) for complaint in complaints]
        assert [2] == second.seen[:1]
        assert {"on_next": [END], "on_error": [1], "on_completed": [1]}[moment] == first.seen
        assert 2 == len(second.seen)

    @virtual
    async def test_leave_nothing_for_the_collector(self, time):
        link = BatchLink(batch_handler=lambda *_: ChainObservable(send_two), batch_max=2)
        results = execute(link, REQUEST)

        def send_two(operation, observer, root):
            observer.on_next([1, 2])
            observer.on_completed()

        def both():
            results.subscribe()
            results.subscribe()

        actual = garbage_of(both, 20)

        assert (0, []) == (actual, time.leftovers())

    @virtual
    async def test_leave_nothing_for_the_collector_where_all_have_left(self):
        link = BatchLink(batch_handler=lambda *_: ChainObservable(lambda *_: None), batch_max=2)
        results = execute(link, REQUEST)

        def both():
            for subscription in [results.subscribe(), results.subscribe()]:
                subscription.dispose()

        assert 0 == garbage_of(both, 20)


class TestForward:
    @virtual
    async def test_leads_each_operation_to_the_links_behind(self):
        server = MockLink([MockedResponse(operation_name=name, result=result_of(name), delay=1) for name in "AB"])
        link = from_([BatchLink(batch_handler=forward_all), server])

        recorders = [ask(name, link) for name in "AB"]
        await asyncio.sleep(3)

        assert [[{"data": name}, END] for name in "AB"] == [recorder.seen for recorder in recorders]

    @virtual
    async def test_can_be_awaited_in_a_coroutine(self):
        async def one_by_one(operations, forwards):
            return [await forward(operation) for forward, operation in zip(forwards, operations, strict=True)]

        server = MockLink([MockedResponse(result=result_of(name), delay=1) for name in "AB"])
        handler = Handler(lambda operations, forwards: from_future(lambda: one_by_one(operations, forwards)))
        link = from_([BatchLink(batch_handler=handler), server])

        recorders = [ask(name, link) for name in "AB"]
        await asyncio.sleep(3)

        assert [[{"data": name}, END] for name in "AB"] == [recorder.seen for recorder in recorders]

    @virtual
    async def test_says_where_the_chain_has_no_end(self):
        recorder = ask("A", BatchLink(batch_handler=forward_all))

        await asyncio.sleep(1)

        assert "reached the end of the chain" in str(recorder.seen[0])

    @virtual
    async def test_stops_what_it_started_when_the_last_one_leaves(self):
        server = MockLink([MockedResponse(result=DATA, delay=10)] * 2)
        link = from_([BatchLink(batch_handler=forward_all), server])
        recorders = [ask(name, link) for name in "AB"]
        await asyncio.sleep(1)

        recorders[0].subscription.dispose()
        before = len(server.unsubscribed)
        recorders[1].subscription.dispose()

        assert (0, 2) == (before, len(server.unsubscribed))


class TestLeaving:
    @pytest.mark.parametrize("leaver", [0, 1, 2])
    @virtual
    async def test_before_the_batch_goes_out_is_no_part_of_it(self, leaver):
        handler = Handler()
        link = BatchLink(batch_handler=handler, batch_interval=1)
        recorders = [ask(name, link) for name in "ABC"]
        await asyncio.sleep(0.5)

        recorders[leaver].subscription.dispose()
        await asyncio.sleep(1)

        assert [(1, [name for place, name in enumerate("ABC") if place != leaver])] == handler.batches

    @virtual
    async def test_of_all_before_the_batch_goes_out_leaves_nothing(self, time):
        handler = Handler()
        link = BatchLink(batch_handler=handler, batch_interval=1)

        for recorder in [ask(name, link) for name in "AB"]:
            recorder.subscription.dispose()
        left = time.leftovers()
        await asyncio.sleep(0.5)
        ask("C", link)
        await asyncio.sleep(2)

        assert ([], [(1.5, ["C"])]) == (left, handler.batches)

    @virtual
    async def test_makes_room_in_a_batch_that_has_a_largest_size(self):
        handler = Handler()
        link = BatchLink(batch_handler=handler, batch_interval=1, batch_max=2)

        ask("A", link).subscription.dispose()
        ask("B", link)
        before = list(handler.names)
        ask("C", link)

        assert ([], [["B", "C"]]) == (before, handler.names)

    @virtual
    async def test_later_leaves_the_others_alone_and_the_last_one_stops_the_stream(self):
        handler = Handler()
        link = BatchLink(batch_handler=handler)
        recorders = [ask(name, link) for name in "ABC"]
        await asyncio.sleep(1)

        recorders[0].subscription.dispose()
        handler.answers[0].on_next([1, 2, 3])
        recorders[2].subscription.dispose()
        before = list(handler.stopped)
        recorders[1].subscription.dispose()
        handler.answers[0].on_next([4, 5, 6])

        assert [[], [2], [3]] == [recorder.seen for recorder in recorders]
        assert ([], [0]) == (before, handler.stopped)

    @pytest.mark.parametrize("moment", ["on_next", "on_error", "on_completed"])
    @pytest.mark.parametrize("leaver", [0, 1, 2])
    @virtual
    async def test_at_the_word_of_another_member_takes_effect_at_once(self, moment, leaver):
        handler = Handler()
        link = BatchLink(batch_handler=handler)
        recorders = [Recorder() for _ in range(3)]

        def leave(*_):
            recorders[leaver].subscription.dispose()

        setattr(recorders[0], moment, leave)
        for recorder in recorders:
            recorder.subscription = execute(link, REQUEST).subscribe(recorder)
        await asyncio.sleep(1)
        handler.answers[0].on_next([1, 2, 3])
        if moment == "on_error":
            handler.answers[0].on_error(KeyError())
        else:
            handler.answers[0].on_completed()

        expected = 2 if moment != "on_next" else 0
        for place in (1, 2):
            had = len(recorders[place].seen)
            assert (expected and 1 if place == leaver else 2) == had
        assert [0] == handler.stopped

    @virtual
    async def test_of_all_while_the_handler_makes_its_stream_subscribes_nothing(self):
        recorders, subscribed_to = [], []

        def leave_all(operations, forwards):
            for recorder in recorders:
                recorder.subscription.dispose()
            return Observable(lambda observer, scheduler: subscribed_to.append(1) or Disposable())

        link = BatchLink(batch_handler=leave_all)
        recorders += [ask(name, link) for name in "AB"]
        await asyncio.sleep(1)

        assert ([], [[], []]) == (subscribed_to, [recorder.seen for recorder in recorders])

    @virtual
    async def test_of_all_before_the_handler_raises_is_reported_and_not_swallowed(self):
        recorders, complaints = [], []
        asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))

        def leave_and_raise(operations, forwards):
            recorders[0].subscription.dispose()
            raise KeyError("broken")

        recorders.append(ask("A", BatchLink(batch_handler=leave_and_raise)))
        await asyncio.sleep(1)

        assert ([KeyError], []) == ([type(complaint["exception"]) for complaint in complaints], recorders[0].seen)

    @virtual
    async def test_in_the_teardown_of_the_stream_that_has_just_been_stopped_changes_nothing(self):
        recorders, answer = [], Subject()

        def subscribe(observer, scheduler=None):
            inner = answer.subscribe(observer)
            return Disposable(lambda: inner.dispose() or recorders[0].subscription.dispose())

        recorders.append(ask("A", BatchLink(batch_handler=lambda *_: Observable(subscribe))))
        await asyncio.sleep(1)
        answer.on_next([OSError()])

        assert ([], []) == (recorders[0].seen, answer.observers)

    @virtual
    async def test_by_a_link_above_that_turns_to_another_stream_is_leaving(self):
        handler = Handler()
        failed = {"errors": [{"message": "no"}]}
        link = from_([ErrorLink(lambda _: reactivex.of(DATA)), BatchLink(batch_handler=handler)])
        first, second = ask("A", link), ask("B", link)
        await asyncio.sleep(1)

        handler.answers[0].on_next([failed, {"data": 2}])
        handler.reply(0, {"data": 3}, {"data": 4})

        assert ([DATA, END], [{"data": 2}, {"data": 4}, END]) == (first.seen, second.seen)

    @virtual
    async def test_at_once_when_the_key_is_asked_for_is_leaving_too(self, time):
        handler, roots = Handler(), []

        class Capturing(ApolloLink):
            def connect(self, forward):
                def start(operation, observer, root):
                    roots.append(root)
                    forward.connect(operation, observer, root)

                return start

        def leave(operation):
            roots[0].dispose()
            return ""

        recorder = ask("A", from_([Capturing(), BatchLink(batch_handler=handler, batch_key=leave)]))
        left = time.leftovers()
        await asyncio.sleep(1)

        assert ([], [], []) == (recorder.seen, left, handler.batches)


class TestContexts:
    """P11: a batch is sent because of somebody's timer or arrival, and answered by somebody's handler."""

    @pytest.mark.parametrize("batch_max", [0, 2])
    @pytest.mark.parametrize("moment", ["result", "error", "own error"])
    @virtual
    async def test_of_each_observer_is_that_of_its_subscription(self, batch_max, moment):
        handler, seen = Handler(), []
        link = BatchLink(batch_handler=handler, batch_max=batch_max)

        async def run(tenant):
            TENANT.set(tenant)
            execute(link, REQUEST).subscribe(
                lambda _: seen.append(("result", tenant, TENANT.get())),
                lambda _: seen.append(("error", tenant, TENANT.get())),
                lambda: seen.append(("end", tenant, TENANT.get())),
            )

        for tenant in ("red", "blue"):
            await asyncio.create_task(run(tenant))
        await asyncio.sleep(1)
        if moment == "result":
            handler.reply(0, 1, 2)
        elif moment == "error":
            handler.answers[0].on_error(OSError())
        else:
            handler.answers[0].on_next([OSError(), OSError()])

        assert {"red", "blue"} == {tenant for _, tenant, _ in seen}
        assert all(tenant == actual for _, tenant, actual in seen)
        assert (["red"], "nobody") == (handler.contexts, TENANT.get())

    @virtual
    async def test_of_the_links_behind_is_that_of_the_operation(self):
        seen = []

        def look(operation, forward):
            seen.append((operation.operation_name, TENANT.get()))
            return Observable(
                lambda observer, scheduler: seen.append((operation.operation_name, TENANT.get())) or Disposable()
            )

        link = from_([BatchLink(batch_handler=forward_all), ApolloLink(look)])

        async def run(tenant):
            TENANT.set(tenant)
            ask(tenant, link)

        for tenant in ("red", "blue"):
            await asyncio.create_task(run(tenant))
        await asyncio.sleep(1)

        assert 4 == len(seen)
        assert all(name == tenant for name, tenant in seen)

    @virtual
    async def test_of_what_is_sent_again_on_the_trampoline_of_another_is_that_of_the_operation(self):
        seen = []

        def zipped(operations, forwards):
            answers = [forward(operation) for operation, forward in zip(operations, forwards, strict=True)]
            return reactivex.zip(*answers).pipe(ops.map(list))

        def answer(operation, forward):
            seen.append((operation.operation_name, TENANT.get()))
            return reactivex.of(DATA if len(seen) > 2 else FAILED)

        again = ErrorLink(lambda response: response.forward(response.operation))
        link = from_([BatchLink(batch_handler=zipped), again, ApolloLink(answer)])

        async def run(tenant):
            TENANT.set(tenant)
            return ask(tenant, link)

        recorders = [await asyncio.create_task(run(tenant)) for tenant in ("red", "blue")]
        await asyncio.sleep(1)

        assert [[DATA, END]] * 2 == [recorder.seen for recorder in recorders]
        assert ["blue", "blue", "red", "red"] == sorted(name for name, _ in seen)
        assert all(name == tenant for name, tenant in seen)

    @virtual
    async def test_of_the_handler_is_that_of_the_first_operation_left(self):
        handler = Handler()
        link = BatchLink(batch_handler=handler, batch_debounce=True)
        recorders = []

        async def run(tenant):
            TENANT.set(tenant)
            recorders.append(ask(tenant, link))

        for tenant in ("red", "blue", "green"):
            await asyncio.create_task(run(tenant))
        recorders[0].subscription.dispose()
        await asyncio.sleep(1)

        assert ["blue"] == handler.contexts


class TestClosing:
    @virtual
    async def test_twice_is_fine(self):
        link = BatchLink(batch_handler=Handler())
        recorder = ask("A", link)

        await link.aclose()
        await link.aclose()

        assert [ClientClosed] == list(map(type, recorder.seen))

    @virtual
    async def test_ends_those_who_wait_and_those_who_come_later(self, time):
        handler = Handler()
        link = BatchLink(batch_handler=handler, batch_key=lambda operation: operation.operation_name)
        recorders = [ask(name, link) for name in "AB"]

        await link.aclose()
        left = time.leftovers()
        recorders.append(ask("C", link))

        assert [[ClientClosed]] * 3 == [list(map(type, recorder.seen)) for recorder in recorders]
        assert ([], []) == (handler.batches, left)

    @virtual
    async def test_lets_a_batch_that_is_under_way_come_to_its_end(self):
        handler = Handler()
        link = BatchLink(batch_handler=handler)
        recorder = ask("A", link)
        await asyncio.sleep(1)

        await link.aclose()
        handler.reply(0, DATA)

        assert [DATA, END] == recorder.seen

    @virtual
    async def test_ends_those_on_a_scheduler_too(self):
        link, scheduler = BatchLink(batch_handler=Handler()), Scheduler()
        recorder = ask("A", link, scheduler)

        await link.aclose()

        assert [ClientClosed] == list(map(type, recorder.seen))

    def test_on_another_loop_leaves_a_loop_to_itself(self):
        link = BatchLink(batch_handler=Handler())
        recorders = []

        async def begin():
            recorders.append(ask("A", link))

        asyncio.run(begin())
        asyncio.run(link.aclose())

        assert [] == recorders[0].seen


class TestBadOptions:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"batch_interval": -1}, "`batch_interval` is -1; give 0 or more seconds"),
            ({"batch_interval": float("inf")}, "`batch_interval` is inf; give 0 or more seconds"),
            ({"batch_max": -1}, "`batch_max` is -1; give 1 or more, or 0"),
        ],
    )
    def test_out_of_range_are_refused(self, options, message):
        with pytest.raises(InvariantError) as caught:
            BatchLink(**{"batch_handler": answer_all, **options})

        assert message in str(caught.value)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"batch_interval": "1"}, "`batch_interval` is '1'; give seconds or a timedelta"),
            ({"batch_max": 2.5}, "`batch_max` is 2.5; give a whole number"),
            ({"batch_max": True}, "`batch_max` is True; give a whole number"),
            ({"batch_key": "key"}, "`batch_key` is 'key'; give a function"),
            ({"batch_handler": None}, "`batch_handler` is None; give a function"),
        ],
    )
    def test_of_a_wrong_type_are_refused(self, options, message):
        with pytest.raises(InvariantTypeError) as caught:
            BatchLink(**{"batch_handler": answer_all, **options})

        assert message in str(caught.value)

    @pytest.mark.parametrize(
        ("name", "cure"), [("batch_handler", "wrap it: .*from_future"), ("batch_key", "into the context")]
    )
    def test_that_are_coroutine_functions_are_refused_with_the_cure(self, name, cure):
        async def later(*_):
            """Answer nothing."""

        with pytest.raises(InvariantTypeError, match=f"`{name}` is the coroutine function .*later; .*{cure}"):
            BatchLink(**{"batch_handler": answer_all, name: later})

    @pytest.mark.parametrize("returned", [None, 7, "coroutine"])
    @virtual
    async def test_keys_of_a_wrong_type_are_the_error_of_their_operation(self, returned):
        def own_key(operation):
            return asyncio.sleep(0) if returned == "coroutine" else returned

        recorder = ask("A", BatchLink(batch_handler=answer_all, batch_key=own_key))
        gc.collect()

        assert [InvariantTypeError] == list(map(type, recorder.seen))
        assert "own_key returned " in str(recorder.seen[0])

    @virtual
    async def test_a_key_that_raises_ends_its_operation_alone(self):
        asked = []
        batches = BatchLink(batch_handler=answer_all, batch_key=lambda operation: operation.get_context()["tenant"])
        link = from_([ErrorLink(lambda response: asked.append(response.error)), batches])

        recorders = [ask("A", link, tenant="red"), ask("B", link), ask("C", link, tenant="red")]
        await asyncio.sleep(1)

        assert [[{"data": "A"}, END], asked, [{"data": "C"}, END]] == [recorder.seen for recorder in recorders]
        assert [KeyError] == list(map(type, asked))


def test_a_source_that_answers_through_the_trampoline_is_heard():
    scheduler = Scheduler()
    terminal = source_of(reactivex.from_iterable([DATA]))
    link = from_([BatchLink(batch_handler=forward_all), terminal])

    recorder = ask("A", link, scheduler)
    scheduler.start()

    assert [DATA, END] == recorder.seen


class TestAStrangersBatch:
    @virtual
    async def test_is_not_withdrawn_when_the_end_of_one_makes_its_last_member_leave(self):
        async def fail():
            await asyncio.sleep(1)
            raise OSError("down")

        link = BatchLink(batch_handler=lambda operations, forwards: from_future(fail))
        one, two, three = (execute(link, GraphQLRequest(f"{{ {name} }}")) for name in "abc")
        reactivex.zip(one, two).subscribe(on_error=lambda error: None)
        await asyncio.sleep(1.005)
        ends = []

        three.subscribe(ends.append, ends.append)
        await asyncio.sleep(3600)

        assert [OSError] == [type(end) for end in ends]
