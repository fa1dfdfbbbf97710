"""SetContextLink: what a setter may return, who owns it while it waits, and in whose context it runs."""

import asyncio
import gc
from contextvars import ContextVar, copy_context
from types import MappingProxyType

import pytest
import reactivex
from reactivex import Observable, Subject
from reactivex.disposable import Disposable
from reactivex.testing import TestScheduler

from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.core.observables import from_future
from rxlink.core.operation import GraphQLRequest
from rxlink.core.options import kind_of
from rxlink.errors import InvariantError, InvariantTypeError, OperationCancelled
from rxlink.links.context import SetContextLink, set_context
from rxlink.links.error import ErrorLink
from tests.recording import DATA, END, REQUEST, seen_of, sending, subscribed


async def turns(count=4):
    for _ in range(count):
        await asyncio.sleep(0)


def echoing():
    """A terminal that answers with the context, and notes that it was asked."""
    asked = []

    def answer(operation, forward):
        asked.append(operation)
        return reactivex.of(dict(operation.get_context()))

    link = ApolloLink(answer)
    link.asked = asked
    return link


def coroutine_of(value):
    async def give():
        await asyncio.sleep(0)
        return value

    return give()


def raising():
    raise OSError("x")


async def coroutine_raising():
    raise OSError("x")


class TestSetters:
    @pytest.mark.parametrize(
        "make",
        [
            lambda value: value,
            coroutine_of,
            reactivex.of,
            lambda value: reactivex.of({"not": "the last"}, value),
            lambda value: from_future(coroutine_of(value)),
            MappingProxyType,
        ],
    )
    async def test_give_values_at_once_or_later(self, make):
        link = from_([SetContextLink(lambda context, operation: make({"n": 1})), echoing()])

        assert {"n": 1} == await execute(link, REQUEST)

    async def test_may_be_coroutine_functions(self):
        async def setter(context, operation):
            await asyncio.sleep(0)
            return {"n": context["n"] + 1}

        link = from_([SetContextLink(setter), echoing()])

        assert {"n": 2} == await execute(link, GraphQLRequest("{ a }", context={"n": 1}))

    @pytest.mark.parametrize("make", [lambda value: value, coroutine_of, reactivex.of])
    async def test_that_give_none_change_nothing(self, make):
        link = from_([SetContextLink(lambda *_: make(None)), echoing()])

        assert {"n": 1} == await execute(link, GraphQLRequest("{ a }", context={"n": 1}))

    def test_see_the_context_so_far_and_the_operation(self):
        seen = []
        link = from_(
            [
                SetContextLink(lambda *_: {"a": 1}),
                SetContextLink(lambda context, operation: seen.append((dict(context), operation)) or {"b": 2}),
                echo := echoing(),
            ]
        )

        got = seen_of(execute(link, GraphQLRequest("query Q { a }", {"v": 1}, context={"z": 0})))

        assert ([{"z": 0, "a": 1, "b": 2}, END], [({"z": 0, "a": 1}, echo.asked[0])]) == (got, seen)

    def test_merge_shallowly(self):
        link = from_([SetContextLink(lambda *_: {"headers": {"b": 2}}), echoing()])

        assert {"headers": {"b": 2}} == seen_of(execute(link, GraphQLRequest("{ a }", context={"headers": {"a": 1}})))[
            0
        ]

    def test_need_no_loop_where_they_do_not_wait(self):
        link = from_([SetContextLink(lambda *_: reactivex.of({"n": 1})), echoing()])

        assert [{"n": 1}, END] == seen_of(execute(link, REQUEST))

    def test_wait_by_the_scheduler_of_the_subscriber(self):
        scheduler = TestScheduler()
        link = from_([SetContextLink(lambda *_: reactivex.timer(5.0).map(lambda _: {"n": 1})), echoing()])
        recorder = subscribed(execute(link, REQUEST), scheduler)

        scheduler.advance_by(4)
        before = list(recorder.seen)
        scheduler.advance_by(1)

        assert ([], [{"n": 1}, END]) == (before, recorder.seen)

    def test_run_for_each_attempt(self):
        attempts = iter([{"n": 1}, {"n": 2}])
        results = execute(from_([SetContextLink(lambda *_: next(attempts)), echoing()]), REQUEST)

        assert [{"n": 1}, {"n": 2}] == [seen_of(results)[0], seen_of(results)[0]]

    def test_of_the_older_order_get_the_operation_first(self):
        link = from_([set_context(lambda operation, context: {"name": operation.operation_name, **context}), echoing()])

        assert {"name": "Viewer"} == seen_of(execute(link, REQUEST))[0]


class TestFailures:
    @pytest.mark.parametrize("make", [raising, coroutine_raising, lambda: reactivex.throw(OSError("x"))])
    async def test_of_a_setter_are_the_operations_error_and_nothing_is_sent(self, make):
        echo = echoing()
        recorder = subscribed(execute(from_([SetContextLink(lambda *_: make()), echo]), REQUEST))

        await turns()

        assert ([OSError], []) == (list(map(type, recorder.seen)), echo.asked)

    @pytest.mark.parametrize("make", [lambda value: value, coroutine_of, reactivex.of])
    @pytest.mark.parametrize("value", ["text", 7, [("a", 1)], False])
    async def test_of_the_wrong_type_name_the_setter(self, make, value):
        def token_setter(context, operation):
            return make(value)

        recorder = subscribed(execute(from_([SetContextLink(token_setter), echoing()]), REQUEST))
        await turns()

        [error] = recorder.seen
        assert isinstance(error, TypeError)
        assert f"token_setter returned {kind_of(value)}; return a mapping" in str(error)

    def test_of_an_observable_without_a_value_are_errors_and_no_silence(self):
        [error] = seen_of(execute(from_([SetContextLink(lambda *_: reactivex.empty()), echoing()]), REQUEST))

        assert InvariantTypeError is type(error)
        assert "returned an Observable without a value" in str(error)

    def test_reach_an_error_link_above(self):
        asked = []
        link = from_([ErrorLink(lambda r: asked.append(type(r.error))), SetContextLink(lambda *_: 1 / 0), echoing()])

        seen_of(execute(link, REQUEST))

        assert [ZeroDivisionError] == asked

    def test_of_a_consumer_are_not_the_setters(self):
        asked, errors = [], []
        link = from_([ErrorLink(asked.append), SetContextLink(lambda *_: reactivex.of({})), sending(DATA)])

        with pytest.raises(ZeroDivisionError):
            execute(link, REQUEST).subscribe(lambda _: 1 / 0, lambda error: errors.append(error) or 1 / 0)

        assert ([], [ZeroDivisionError]) == (asked, list(map(type, errors)))

    def test_an_awaitable_where_no_loop_runs_says_what_to_do_and_is_closed(self):
        [error] = seen_of(execute(from_([SetContextLink(lambda *_: coroutine_of({})), echoing()]), REQUEST))
        gc.collect()  # a warning "was never awaited" would fail the test

        assert InvariantError is type(error)

    @pytest.mark.parametrize("make", [SetContextLink, set_context])
    @pytest.mark.parametrize(
        ("setter", "shown"),
        [
            (None, "None"),
            ({"headers": {"authorization": "planted"}}, "a dict"),
            (lambda: None, ".*<lambda>, which takes other arguments"),
            (lambda context: {}, ".*<lambda>, which takes other arguments"),
        ],
    )
    def test_a_setter_that_cannot_be_called_with_both_is_refused(self, make, setter, shown):
        with pytest.raises(InvariantTypeError, match=f"`setter` of .* is {shown}; give a function of ") as caught:
            make(setter)

        order = r"(context, operation)" if make is SetContextLink else "(operation, context)"
        assert order in str(caught.value)
        assert "planted" not in str(caught.value)


class TestLeaving:
    async def test_while_the_setter_waits_stops_it_and_sends_nothing(self):
        gate = asyncio.Event()
        cancelled = []

        async def setter(context, operation):
            try:
                await gate.wait()
            except asyncio.CancelledError:
                cancelled.append(1)
                raise

        echo = echoing()
        recorder = subscribed(execute(from_([SetContextLink(setter), echo]), REQUEST))
        await turns()

        recorder.subscription.dispose()
        gate.set()
        await turns()

        assert ([1], [], []) == (cancelled, echo.asked, recorder.seen)

    async def test_before_the_setter_has_started_leaves_nothing_unawaited(self):
        echo = echoing()
        link = from_([SetContextLink(lambda *_: coroutine_of({})), echo])

        subscribed(execute(link, REQUEST)).subscription.dispose()
        await turns()
        gc.collect()  # a warning "was never awaited" would fail the test

        assert [] == echo.asked

    async def test_sends_nothing_even_where_the_setter_swallows_its_cancellation(self):
        async def stubborn(context, operation):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return {}

        echo = echoing()
        recorder = subscribed(execute(from_([SetContextLink(stubborn), echo]), REQUEST))
        await turns()

        recorder.subscription.dispose()
        await turns()

        assert ([], []) == (echo.asked, recorder.seen)

    def test_disposes_an_observable_that_the_setter_returned(self):
        disposed = []
        source = Observable(lambda *_: Disposable(lambda: disposed.append(1)))
        recorder = subscribed(execute(from_([SetContextLink(lambda *_: source), echoing()]), REQUEST))

        recorder.subscription.dispose()

        assert [1] == disposed

    def test_after_the_setter_has_decided_disposes_what_is_below(self):
        update, below = Subject(), Subject()
        recorder = subscribed(
            execute(from_([SetContextLink(lambda *_: update), ApolloLink(lambda *_: below)]), REQUEST)
        )
        update.on_next({})
        update.on_completed()
        held = len(below.observers)

        recorder.subscription.dispose()

        assert (1, []) == (held, below.observers)

    async def test_by_somebody_else_cancelling_the_task_is_a_defined_error(self):
        """E49."""
        before = asyncio.all_tasks()
        recorder = subscribed(execute(from_([SetContextLink(lambda *_: coroutine_of({})), echoing()]), REQUEST))
        [task] = asyncio.all_tasks() - before

        task.cancel()
        await turns()

        assert [OperationCancelled] == list(map(type, recorder.seen))


class TestContextVariables:
    async def test_of_a_hundred_operations_stay_apart(self):
        """P11: setters, links and observers see the values of their own subscription."""
        variable = ContextVar("variable")
        gate = asyncio.Event()

        async def waiting(context, operation):
            await gate.wait()
            return {"waiting": variable.get()}

        shared = from_future(gate.wait())
        seen = {}
        link = from_(
            [
                SetContextLink(lambda *_: {"plain": variable.get()}),
                SetContextLink(waiting),
                SetContextLink(lambda *_: shared.map(lambda _: {"observable": variable.get()})),
                SetContextLink(lambda *_: {"after": variable.get()}),
                echoing(),
            ]
        )

        def start(name):
            variable.set(name)
            execute(link, REQUEST).subscribe(
                lambda context: seen.setdefault(name, (variable.get(), set(context.values())))
            )

        for name in range(100):
            copy_context().run(start, name)
        await turns()
        gate.set()
        await turns(10)

        assert {name: (name, {name}) for name in range(100)} == seen
