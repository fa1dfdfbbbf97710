"""One subscription: its grammar, its slot, its scopes, borders to foreign Observables, awaiting, contexts."""

import asyncio
import gc
import sys
from contextlib import suppress
from contextvars import ContextVar, copy_context

import pytest
import reactivex
from reactivex import Observable, Subject
from reactivex import operators as ops
from reactivex.disposable import Disposable
from reactivex.internal.exceptions import SequenceContainsNoElementsError
from reactivex.scheduler import CurrentThreadScheduler
from reactivex.scheduler.eventloop import AsyncIOScheduler
from reactivex.testing import TestScheduler

from rxlink.core.chain import execute, from_
from rxlink.core.chain_observable import ChainObservable, subscribe_foreign
from rxlink.core.link import ApolloLink
from rxlink.core.observables import from_future
from rxlink.core.subscription import Subscription
from rxlink.core.work import report_callback_error
from rxlink.errors import InvariantError, OperationCancelled
from rxlink.links.context import SetContextLink
from rxlink.links.error import ErrorLink
from tests.recording import (
    DATA,
    END,
    FAILED,
    REQUEST,
    Recorder,
    Worker,
    answering,
    garbage_of,
    seen_of,
    sending,
    source_of,
    streaming,
    subscribed,
)


class Resource:
    def __init__(self):
        self.cancelled = 0

    def cancel(self):
        self.cancelled += 1


def root_for(recorder):
    return Subscription(recorder.on_next, recorder.on_error, recorder.on_completed, None)


async def turn():
    await asyncio.sleep(0)


class Gate:
    """What a coroutine waits at until the test opens it."""

    def __init__(self):
        self.event = asyncio.Event()
        self.reached = asyncio.Event()
        self.was_cancelled = False

    async def wait(self):
        self.reached.set()
        try:
            await self.event.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise


class TestGrammar:
    @pytest.mark.parametrize("ending", ["on_error", "on_completed", "dispose"])
    def test_nothing_comes_after_the_end(self, ending):
        recorder = Recorder()
        root = root_for(recorder)
        root.on_next(1)

        getattr(root, ending)(*[OSError()] if ending == "on_error" else [])
        after = list(recorder.seen)
        root.on_next(2)
        root.on_error(OSError())
        root.on_completed()

        assert (after, True) == (recorder.seen, root.is_stopped)

    def test_leaving_inside_on_next_stops_a_source_that_goes_on(self):
        seen = []

        def leave(value):
            seen.append(value)
            subscription.dispose()

        subject = Subject()
        subscription = execute(source_of(subject), REQUEST).subscribe(leave)
        subject.on_next(1)
        subject.on_next(2)

        assert ([1], []) == (seen, subject.observers)

    def test_an_end_is_delivered_even_where_a_foreign_teardown_raises(self):
        recorder = Recorder()
        root = root_for(recorder)

        class Bad:
            def cancel(self):
                raise ZeroDivisionError

        root.hold(Bad())
        with pytest.raises(ZeroDivisionError):
            root.on_completed()

        assert [END] == recorder.seen


class TestConsumersExceptions:
    """A consumer's exception goes back into the producer; no link takes it for a failure of the operation."""

    @pytest.mark.parametrize("terminal", [answering(DATA), sending(DATA), source_of(reactivex.of(DATA).map(dict))])
    def test_raised_in_on_next_by_a_synchronous_source_reaches_the_consumers_own_on_error_only(self, terminal):
        asked, errors = [], []
        boom = ValueError("consumer")

        def raise_boom(value):
            raise boom

        link = from_([ErrorLink(asked.append), terminal])
        execute(link, REQUEST).subscribe(raise_boom, errors.append)

        assert ([], [boom]) == (asked, errors)

    def test_raised_in_on_next_by_a_later_source_is_raised_into_that_source(self):
        subject = Subject()
        asked, errors = [], []
        execute(from_([ErrorLink(asked.append), source_of(subject)]), REQUEST).subscribe(lambda _: 1 / 0, errors.append)

        with pytest.raises(ZeroDivisionError):
            subject.on_next(DATA)

        assert ([], []) == (asked, errors)

    def test_handed_back_as_the_sources_own_failure_still_ends_the_operation_past_every_link(self):
        subject = Subject()
        asked, errors = [], []
        execute(from_([ErrorLink(asked.append), source_of(subject)]), REQUEST).subscribe(lambda _: 1 / 0, errors.append)

        with pytest.raises(ZeroDivisionError) as failure:
            subject.on_next(DATA)
        subject.on_error(failure.value)

        assert ([], [failure.value]) == (asked, errors)

    async def test_raised_in_the_midst_of_a_stream_ends_it_in_the_consumers_own_on_error(self):
        asked, errors = [], []

        link = from_([ErrorLink(asked.append), streaming([DATA, DATA], turn)])
        subscription = execute(link, REQUEST).subscribe(lambda _: 1 / 0, errors.append)
        for _ in range(5):
            await turn()

        assert ([], [ZeroDivisionError], True) == (asked, list(map(type, errors)), subscription.is_stopped)

    def test_raised_in_on_error_leaves_subscribe(self):
        def raise_again(error):
            raise ValueError("consumer") from error

        link = from_([ErrorLink(lambda _: None), source_of(reactivex.throw(OSError()))])

        with pytest.raises(ValueError, match="consumer"):
            execute(link, REQUEST).subscribe(on_error=raise_again)

    def test_an_error_that_nobody_takes_is_raised_as_by_rxpy(self):
        with pytest.raises(OSError, match="down"):
            execute(source_of(reactivex.throw(OSError("down"))), REQUEST).subscribe()

    async def test_reported_exceptions_go_to_the_loops_handler(self):
        complaints = []
        loop = asyncio.get_running_loop()
        before = loop.get_exception_handler()
        loop.set_exception_handler(lambda _, complaint: complaints.append(complaint["exception"]))
        error = ValueError("callback")

        report_callback_error(error)
        loop.set_exception_handler(before)

        assert [error] == complaints

    def test_reported_exceptions_are_logged_without_a_loop(self, caplog):
        report_callback_error(ValueError("callback"))

        assert ["rxlink: a callback raised ValueError"] == [record.getMessage() for record in caplog.records]


class TestSlot:
    def test_what_is_held_is_cancelled_once_when_the_subscriber_leaves(self):
        root, resource = root_for(Recorder()), Resource()
        root.hold(resource)

        root.dispose()
        root.dispose()

        assert 1 == resource.cancelled

    @pytest.mark.parametrize("ending", ["on_error", "on_completed"])
    def test_what_is_held_is_cancelled_at_the_end(self, ending):
        root, resource = root_for(Recorder()), Resource()
        root.hold(resource)

        getattr(root, ending)(*[OSError()] if ending == "on_error" else [])

        assert 1 == resource.cancelled

    def test_what_was_released_is_let_alone(self):
        root, resource = root_for(Recorder()), Resource()
        root.hold(resource)
        busy = root.is_busy

        root.release()
        root.dispose()

        assert (True, False, 0) == (busy, root.is_busy, resource.cancelled)

    def test_what_is_put_in_after_leaving_is_cancelled_at_once(self):
        root, resource = root_for(Recorder()), Resource()
        root.dispose()

        root.hold(resource)

        assert (1, False) == (resource.cancelled, root.is_busy)

    def test_takes_one_thing_at_a_time(self):
        root = root_for(Recorder())
        root.hold(Resource())

        with pytest.raises(AssertionError, match="the slot is taken by"):
            root.hold(Resource())
        with pytest.raises(AssertionError, match="the slot is taken by"):
            root.open_scope()

    def test_can_be_emptied_for_something_else(self):
        root, first, second = root_for(Recorder()), Resource(), Resource()
        root.hold(first)

        root.cancel_resource()
        root.hold(second)
        root.dispose()

        assert (1, 1) == (first.cancelled, second.cancelled)

    def test_is_empty_while_what_was_in_it_is_cancelled(self):
        root = root_for(Recorder())
        inner = Resource()

        class Restless:
            def cancel(self):
                root.dispose()
                root.hold(inner)

        root.hold(Restless())
        root.dispose()

        assert 1 == inner.cancelled


class TestScopes:
    def test_share_the_slot_and_are_cancelled_with_it(self):
        root = root_for(Recorder())
        resources = [Resource() for _ in range(3)]
        scopes = [root.open_scope() for _ in resources]
        for scope, resource in zip(scopes, resources, strict=True):
            scope.hold(resource)

        root.dispose()

        assert ([1, 1, 1], [True] * 3) == ([r.cancelled for r in resources], [s.is_stopped for s in scopes])

    @pytest.mark.parametrize("count", [1, 2, 3])
    def test_give_the_slot_back_when_all_are_closed(self, count):
        root = root_for(Recorder())
        scopes = [root.open_scope() for _ in range(count)]
        resources = [Resource() for _ in scopes]
        for scope, resource in zip(scopes, resources, strict=True):
            scope.hold(resource)

        busy = []
        for scope in scopes:
            scope.close()
            scope.close()
            busy.append(root.is_busy)

        assert ([1] * count, [True] * (count - 1) + [False]) == ([r.cancelled for r in resources], busy)

    def test_closing_one_leaves_the_others(self):
        root = root_for(Recorder())
        first, second = root.open_scope(), root.open_scope()
        kept = Resource()
        second.hold(kept)

        first.close()
        before = kept.cancelled
        root.dispose()

        assert (0, 1) == (before, kept.cancelled)

    def test_closing_one_that_was_cancelled_meanwhile_leaves_what_took_its_place(self):
        root, later = root_for(Recorder()), Resource()
        old = root.open_scope()
        root.cancel_resource()
        root.hold(later)

        old.close()

        assert (True, 0) == (root.is_busy, later.cancelled)

    def test_may_stand_in_scopes(self):
        root, resource = root_for(Recorder()), Resource()
        outer = root.open_scope()
        outer.open_scope().hold(resource)

        root.dispose()

        assert 1 == resource.cancelled

    def test_opened_after_leaving_cancel_what_they_are_given(self):
        root, resource = root_for(Recorder()), Resource()
        root.dispose()

        root.open_scope().hold(resource)

        assert (1, False) == (resource.cancelled, root.is_busy)

    def test_have_the_scheduler_and_the_context_of_their_subscription(self):
        variable = ContextVar("variable", default="nobody")
        seen = []
        scheduler = TestScheduler()

        def make():
            variable.set("mine")
            return Subscription(print, print, print, scheduler)

        root = copy_context().run(make)
        scope = root.open_scope().open_scope()
        scope.resume(lambda: seen.append(variable.get()))

        assert (["mine"], scheduler) == (seen, scope.scheduler)

    def test_leave_no_garbage(self):
        def use():
            root = Subscription(print, print, print, None)
            root.open_scope().hold(Resource())
            root.open_scope().open_scope()
            root.dispose()

        assert 0 == garbage_of(use, 10)


class TestBorders:
    """The three traps of performance.md, section 1, and what else happens where a foreign Observable begins."""

    def test_a_source_that_answers_at_once_may_put_the_next_thing_into_the_slot(self):
        """Trap 1: the placeholder is in the slot before the source is subscribed."""
        resource = Resource()

        class Next:
            def __init__(self, root):
                self.root = root

            def on_next(self, value):
                pass

            def on_error(self, error):
                self.root.hold(resource)

            def on_completed(self):
                pass

        root = root_for(Recorder())
        subscribe_foreign(reactivex.throw(OSError()), Next(root), root)
        busy = root.is_busy
        root.dispose()

        assert (True, 1) == (busy, resource.cancelled)

    def test_a_handler_that_answers_with_another_stream_cancels_and_mutes_the_first(self):
        """Trap 2; E52."""
        first, second = Subject(), Subject()
        recorder = subscribed(execute(from_([ErrorLink(lambda _: second), source_of(first)]), REQUEST))

        first.on_next(FAILED)
        gone = list(first.observers)
        first.on_next(DATA)
        second.on_next(DATA)
        recorder.subscription.dispose()

        assert ([], [DATA], []) == (gone, recorder.seen, second.observers)

    def test_observables_of_chains_are_recognised_without_asking_their_abstract_class(self):
        """Trap 3: `isinstance(x, ObserverBase)` costs a quarter of a microsecond each."""
        pass_on = ApolloLink(lambda operation, forward: forward(operation))
        link = from_([ErrorLink(lambda _: None), SetContextLink(lambda *_: {}), pass_on, sending(DATA)])
        recorder, called = Recorder(), []
        sys.setprofile(lambda frame, event, _: called.append(frame.f_code.co_name))
        execute(link, REQUEST).subscribe(recorder)
        sys.setprofile(None)

        assert [DATA, END] == recorder.seen
        assert "hold" not in called
        assert "on_next" in called
        assert "__instancecheck__" not in called

    def test_leaving_before_a_source_has_said_anything_disposes_it(self):
        disposed = []
        source = Observable(lambda observer, scheduler: Disposable(lambda: disposed.append(1)))
        recorder = subscribed(execute(source_of(source), REQUEST))

        recorder.subscription.dispose()

        assert [1] == disposed

    def test_leaving_inside_a_synchronous_answer_disposes_the_source_when_its_handle_arrives(self):
        disposed = []

        def subscribe(observer, scheduler):
            observer.on_next(1)
            observer.on_next(2)
            return Disposable(lambda: disposed.append(1))

        results = execute(source_of(Observable(subscribe)), REQUEST)

        seen = seen_of(results.pipe(ops.take(1)))

        assert ([1, END], [1]) == (seen, disposed)

    def test_a_source_that_breaks_the_grammar_is_silenced(self):
        class Rude(Observable):
            def subscribe(self, on_next=None, on_error=None, on_completed=None, *, scheduler=None):
                on_next.on_completed()
                on_next.on_next(1)
                on_next.on_error(OSError())
                on_next.on_completed()
                return Disposable()

        assert [END] == seen_of(execute(source_of(Rude()), REQUEST))

    def test_the_scheduler_of_the_subscriber_reaches_the_source(self):
        scheduler = TestScheduler()
        recorder = subscribed(execute(source_of(reactivex.timer(5.0)), REQUEST), scheduler)

        scheduler.advance_by(5)

        assert [0, END] == recorder.seen

    def test_the_trampoline_is_set_up_for_a_source_of_scheduled_items(self):
        endless = reactivex.repeat_value(1)

        assert [1, 1, END] == seen_of(execute(source_of(endless), REQUEST).pipe(ops.take(2)))
        assert CurrentThreadScheduler.singleton().schedule_required()

    def test_who_has_left_subscribes_nothing(self):
        asked = []
        root = root_for(Recorder())
        root.dispose()

        subscribe_foreign(reactivex.defer(lambda _: asked.append(1) or reactivex.empty()), root, root)
        subscribe_foreign(ChainObservable(lambda *_: asked.append(2)), root, root)

        assert [] == asked

    def test_what_a_subscribe_function_raises_is_the_operations_error(self):
        asked = []
        link = from_([ErrorLink(asked.append), source_of(Observable(lambda *_: 1 / 0))])

        [error] = seen_of(execute(link, REQUEST))

        assert (ZeroDivisionError, [error]) == (type(error), [response.error for response in asked])


class TestSpawning:
    async def test_leaving_cancels_the_work(self):
        gate = Gate()
        recorder = subscribed(execute(streaming([1], gate.wait), REQUEST))
        await gate.reached.wait()

        recorder.subscription.dispose()
        await turn()

        assert ([], True) == (recorder.seen, gate.was_cancelled)

    @pytest.mark.parametrize("turns", [0, 1])
    async def test_an_external_cancel_of_the_task_ends_the_subscriber_with_a_defined_error(self, turns):
        """E49: neither a CancelledError in on_error, nor silence; also before the task's first step."""
        gate = Gate()
        tasks = asyncio.all_tasks()
        recorder = subscribed(execute(streaming([1], gate.wait), REQUEST))
        [task] = asyncio.all_tasks() - tasks
        for _ in range(turns):
            await turn()

        task.cancel()
        for _ in range(3):
            await turn()

        assert [OperationCancelled] == list(map(type, recorder.seen))

    async def test_an_external_cancel_reaches_an_error_link_above_as_any_error(self):
        asked = []
        gate = Gate()
        tasks = asyncio.all_tasks()
        link = from_([ErrorLink(lambda r: asked.append(type(r.error)) or reactivex.of(DATA)), streaming([], gate.wait)])
        recorder = subscribed(execute(link, REQUEST))
        [task] = asyncio.all_tasks() - tasks

        task.cancel()
        for _ in range(3):
            await turn()

        assert ([OperationCancelled], [DATA, END]) == (asked, recorder.seen)

    def test_without_a_loop_and_a_scheduler_says_what_to_do(self):
        [error] = seen_of(execute(streaming([1], turn), REQUEST))

        assert InvariantError is type(error)
        assert "pass scheduler=AsyncIOScheduler(loop)" in str(error)

    def test_goes_on_the_loop_of_the_subscribers_scheduler(self):
        loop = asyncio.new_event_loop()
        recorder = subscribed(execute(streaming([1], turn), REQUEST), AsyncIOScheduler(loop))

        loop.run_until_complete(asyncio.sleep(0))
        for _ in range(3):
            loop.run_until_complete(asyncio.sleep(0))
        loop.close()

        assert [1, END] == recorder.seen

    async def test_a_coroutine_handed_to_work_that_never_ran_is_closed(self):
        async def never_awaited():
            pass

        async def work(observer, coroutine):
            await coroutine

        root = root_for(Recorder())
        coroutine = never_awaited()
        root.spawn(work(root, coroutine), root, coroutine)
        root.dispose()
        await turn()
        gc.collect()  # a warning "was never awaited" would fail the test

    def test_without_a_loop_the_error_has_no_other_in_its_context(self):
        recorder = Recorder()

        async def work(observer):
            pass

        root = root_for(recorder)
        root.spawn(work(root), root)

        assert [(InvariantError, None)] == [(type(error), error.__context__) for error in recorder.seen]

    async def test_a_task_factory_need_not_take_a_name(self):
        loop = asyncio.get_running_loop()
        create_task = loop.create_task

        def create(coroutine, **options):
            assert "name" not in options, "newer Pythons hand it on to the factory"
            return create_task(coroutine, **options)

        async def work(observer):
            root.release()
            observer.on_completed()

        loop.set_task_factory(lambda loop, coroutine, context=None: asyncio.Task(coroutine, loop=loop))
        loop.create_task = create
        recorder = Recorder()
        root = root_for(recorder)
        root.spawn(work(root), root)
        await asyncio.sleep(0)

        assert [END] == recorder.seen

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in Python 3.12")
    async def test_an_eager_task_that_is_done_leaves_the_slot_to_what_it_began(self):
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        recorder = Recorder()

        async def later(observer):
            await asyncio.sleep(0)
            root.release()
            observer.on_next(1)
            observer.on_completed()

        async def at_once(observer):
            root.spawn(later(observer), observer)

        root = root_for(recorder)
        root.spawn(at_once(root), root)
        assert root.is_busy
        await asyncio.sleep(0.01)

        assert [1, END] == recorder.seen


class TestFinishing:
    @pytest.mark.parametrize("is_dismissed", [False, True])
    async def test_leaves_the_end_of_the_task_to_the_work_once_that_dismisses_itself(self, is_dismissed):
        complaints = []
        loop = asyncio.get_running_loop()
        before = loop.get_exception_handler()
        loop.set_exception_handler(lambda _, complaint: complaints.append(complaint["message"]))

        async def work(observer):
            finished = root.finish()
            assert not root.is_busy
            if is_dismissed:
                finished.dismiss()
            raise LookupError("who looks?")

        root = root_for(Recorder())
        root.spawn(work(root), root)
        for _ in range(3):
            await turn()
        gc.collect()
        loop.set_exception_handler(before)

        told = "Task exception was never retrieved" if is_dismissed else "rxlink: a callback raised LookupError"
        assert [told] == complaints

    def test_empties_the_slot_whatever_is_in_it(self):
        root, resource = root_for(Recorder()), Resource()
        root.hold(resource)

        work = root.finish()

        assert (None, False, 0) == (work, root.is_busy, resource.cancelled)

    async def test_after_the_subscriber_has_left_finds_nothing_to_do(self):
        gate, recorder = Gate(), Recorder()

        async def work(observer):
            try:
                await gate.wait()
            except asyncio.CancelledError:
                root.finish()
                observer.on_next(1)

        root = root_for(recorder)
        root.spawn(work(root), root)
        await gate.reached.wait()
        root.dispose()
        for _ in range(3):
            await turn()

        assert ([], False) == (recorder.seen, root.is_busy)


class TestAwaiting:
    async def test_gives_the_last_value(self):
        assert 3 == await execute(sending(1, 2, 3), REQUEST)

    async def test_raises_the_error(self):
        error = OSError("down")

        with pytest.raises(OSError, match="down") as failure:
            await execute(source_of(reactivex.throw(error)), REQUEST)

        assert error is failure.value

    async def test_of_nothing_raises_as_rxpy_does(self):
        with pytest.raises(SequenceContainsNoElementsError):
            await execute(sending(), REQUEST)

    async def test_waits_for_a_later_end(self):
        assert 2 == await execute(streaming([1, 2], turn), REQUEST)

    async def test_cancelled_disposes_the_subscription(self):
        gate = Gate()

        async def wait():
            await execute(streaming([1], gate.wait), REQUEST)

        waiting = asyncio.ensure_future(wait())
        await gate.reached.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await turn()

        assert gate.was_cancelled

    async def test_in_a_timeout_disposes_the_subscription(self):
        disposed = []
        source = Observable(lambda *_: Disposable(lambda: disposed.append(1)))

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await execute(source_of(source), REQUEST)

        assert [1] == disposed

    @pytest.mark.parametrize("times", [1, 2])
    async def test_again_is_a_new_attempt(self, times):
        sent = []
        results = execute(
            Worker(lambda o, observer, r: (sent.append(1), observer.on_next(1), observer.on_completed())), REQUEST
        )

        for _ in range(times):
            await results

        assert times == len(sent)

    def test_an_error_leaves_no_garbage(self):
        broken = Worker(lambda operation, observer, root: observer.on_error(OSError()))

        async def fail():
            with suppress(OSError):
                await execute(broken, REQUEST)

        def run():
            with suppress(StopIteration):
                fail().send(None)

        assert 0 == garbage_of(run, 10)


class TestAsAnObservable:
    def test_is_one(self):
        results = execute(sending(1), REQUEST)

        assert isinstance(results, Observable)
        assert results.lock is results.lock

    def test_takes_callbacks_as_well_as_an_observer(self):
        seen = []

        execute(sending(1), REQUEST).subscribe(seen.append, seen.append, lambda: seen.append(END))

        assert [1, END] == seen

    def test_may_be_subscribed_with_nothing(self):
        assert execute(sending(1), REQUEST).subscribe().is_stopped

    def test_works_as_the_source_of_operators_and_of_fluent_methods(self):
        results = execute(sending(1, 2), REQUEST)

        assert [[2, 3, END], [2, 3, END]] == [
            seen_of(results.pipe(ops.map(lambda n: n + 1))),
            seen_of(results.map(lambda n: n + 1)),
        ]


class TestContexts:
    """P11: what goes on because of somebody else's event goes on in the subscriber's own context."""

    def test_resume_runs_in_the_context_of_the_subscription(self):
        variable = ContextVar("variable", default="somebody else")
        seen = []

        def subscribe(name):
            variable.set(name)
            return root_for(Recorder())

        roots = [copy_context().run(subscribe, name) for name in "ab"]
        for root in roots:
            root.resume(lambda: seen.append(variable.get()))

        assert ["a", "b"] == seen

    @pytest.mark.parametrize("source", [reactivex.of(1), reactivex.timer(0).pipe(ops.map(lambda _: 1))])
    async def test_what_one_callback_sets_another_sees_behind_a_foreign_observable_too(self, source):
        variable, seen = ContextVar("variable", default="nothing"), []
        link = ApolloLink(lambda operation, forward: source.pipe(ops.do_action(lambda _: variable.set("by the link"))))
        over = asyncio.Event()

        def look(_):
            seen.append(variable.get())
            variable.set("by on_next")

        def end():
            seen.append(variable.get())
            over.set()

        execute(link, REQUEST).subscribe(look, on_completed=end, scheduler=AsyncIOScheduler(asyncio.get_running_loop()))
        await over.wait()

        assert ["by the link", "by on_next"] == seen

    def test_resume_does_nothing_for_who_has_left(self):
        root, seen = root_for(Recorder()), []
        root.dispose()

        root.resume(seen.append, 1)

        assert [] == seen

    def test_resume_may_happen_inside_a_resume_of_the_same_subscription(self):
        root, seen = root_for(Recorder()), []

        root.resume(root.resume, seen.append, 1)

        assert [1] == seen


class TestGarbage:
    """1,000 operations leave nothing for the cycle collector."""

    @staticmethod
    def chain(terminal):
        return from_(
            [
                ErrorLink(lambda response: None),
                SetContextLink(lambda context, operation: {"n": 1}),
                ApolloLink(lambda operation, forward: forward(operation)),
                terminal,
            ]
        )

    def test_synchronous_operations_leave_none(self):
        link = self.chain(sending(DATA))

        assert 0 == garbage_of(lambda: execute(link, REQUEST).subscribe(), 1000)

    @pytest.mark.parametrize(
        "terminal",
        [
            streaming([DATA], turn),
            streaming([FAILED], turn),
            ApolloLink(lambda operation, forward: from_future(lambda: asyncio.sleep(0, DATA))),
        ],
    )
    async def test_asynchronous_operations_leave_none(self, terminal):
        link = self.chain(terminal)
        for _ in range(10):
            await execute(link, REQUEST)
        gc.collect()
        gc.disable()
        try:
            for _ in range(1000):
                await execute(link, REQUEST)
            left = gc.collect()
        finally:
            gc.enable()

        assert 0 == left

    async def test_operations_that_are_left_or_answered_anew_leave_none(self):
        async def handler(response):
            await turn()
            return response.forward(response.operation)

        answers = iter([FAILED, DATA] * 1010)
        link = from_(
            [
                ErrorLink(handler),
                Worker(lambda o, observer, r: (observer.on_next(next(answers)), observer.on_completed())),
            ]
        )
        left_alone = self.chain(streaming([DATA], turn))
        await execute(link, REQUEST)
        gc.collect()
        gc.disable()
        try:
            for _ in range(100):
                await execute(link, REQUEST)
                execute(left_alone, REQUEST).subscribe().dispose()
                await turn()
            left = gc.collect()
        finally:
            gc.enable()

        assert 0 == left
