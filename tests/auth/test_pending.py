"""The pending-request subject: operations that wait for one refresh."""

import asyncio
import gc
import sys
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest
from reactivex import Subject, abc
from reactivex import operators as ops
from reactivex.internal.exceptions import SequenceContainsNoElementsError
from reactivex.testing import TestScheduler

from rxlink.auth import pending
from rxlink.auth.pending import SLICE, Callbacks, PendingRequests, Places
from rxlink.core.subscription import Subscription
from rxlink.testing.virtual_time import virtual
from tests.recording import END, Recorder, subscribed

WHO: ContextVar[str] = ContextVar("who", default="nobody")


class Operation:
    """One operation that waits, as a worker does it: in the slot of its root."""

    def __init__(self, wave: PendingRequests[Any], on_next: Callable[[Any], None] | None = None) -> None:
        self.seen: list[Any] = []
        seen = self.seen
        self.root = Subscription(seen.append, seen.append, lambda: seen.append(END), None)
        self.callback = on_next or partial(seen.append)
        wave.wait(Callbacks(self.root, self.callback, self.root.on_error))


def finish(wave: PendingRequests[Any], value: Any = "A1") -> None:
    wave.on_next(value)
    wave.on_completed()


def calls_of(function: Callable[[], Any]) -> int:
    """Count the calls, Python's and C's, that a function leads to."""
    count = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


class TestAsASubject:
    def test_it_is_one(self) -> None:
        assert isinstance(PendingRequests(), Subject)

    def test_a_subscriber_gets_the_value_and_the_end(self) -> None:
        wave = PendingRequests[str]()
        recorder = subscribed(wave)

        finish(wave)

        assert ["A1", END] == recorder.seen

    def test_it_can_be_composed(self) -> None:
        """The recipe's `filter`, `take(1)`, `flatMap` on the pending subject."""
        wave = PendingRequests[str]()
        mapped = subscribed(wave.map(str.lower))
        taken = subscribed(wave.pipe(ops.filter(bool), ops.take(1)))
        flat = subscribed(
            wave.flat_map(lambda token: PendingRequests[str]().pipe(ops.start_with(f"sent with {token}")))
        )
        merged = subscribed(wave.pipe(ops.merge(wave), ops.to_list()))

        finish(wave)

        assert [["a1", END], ["A1", END], ["sent with A1"], [["A1", "A1"], END]] == [
            recorder.seen for recorder in (mapped, taken, flat, merged)
        ]

    def test_an_error_reaches_all(self) -> None:
        wave = PendingRequests[str]()
        error = ValueError()
        recorders = [subscribed(wave) for _ in range(3)]
        operation = Operation(wave)

        wave.on_error(error)

        assert [[error]] * 4 == [*(recorder.seen for recorder in recorders), operation.seen]

    def test_a_completion_without_a_value_is_an_error_for_operations(self) -> None:
        """S10: the recipe's leader completed empty; P2."""
        wave = PendingRequests[str]()
        recorder, operation = subscribed(wave), Operation(wave)

        wave.on_completed()

        assert [END] == recorder.seen
        assert [SequenceContainsNoElementsError] == [type(error) for error in operation.seen]

    def test_it_can_be_awaited(self) -> None:
        wave = PendingRequests[str]()

        async def story() -> str:
            asyncio.get_running_loop().call_soon(finish, wave)
            return await wave

        assert "A1" == asyncio.run(story())

    def test_it_works_with_a_scheduler_of_the_subscriber(self) -> None:
        wave = PendingRequests[str]()
        scheduler = TestScheduler()
        recorder = subscribed(wave.pipe(ops.delay(5.0)), scheduler)

        finish(wave)
        scheduler.advance_to(4.0)
        before = list(recorder.seen)
        scheduler.advance_to(6.0)

        assert ([], ["A1", END]) == (before, recorder.seen)

    def test_a_disposed_subscriber_hears_nothing(self) -> None:
        """E41, E42."""
        wave = PendingRequests[str]()
        gone, stays = subscribed(wave), subscribed(wave)

        gone.subscription.dispose()
        finish(wave)

        assert ([], ["A1", END]) == (gone.seen, stays.seen)


class TestPlaces:
    def test_operations_are_released_in_the_order_in_which_they_came(self) -> None:
        """S08, S29: the leader too."""
        wave = PendingRequests[str]()
        order: list[int] = []
        operations = [Operation(wave, lambda _, number=number: order.append(number)) for number in range(5)]
        recorder = subscribed(wave.do_action(lambda _: order.append(5)))

        operations[2].root.dispose()
        finish(wave)

        assert [0, 1, 3, 4, 5] == order
        assert ["A1", END] == recorder.seen

    def test_who_waits_is_counted(self) -> None:
        wave = PendingRequests[str]()
        operations = [Operation(wave) for _ in range(3)]
        before = wave.waiting

        operations[0].root.dispose()
        after = wave.waiting
        finish(wave)

        assert (3, 2, 0) == (before, after, wave.waiting)

    def test_the_slot_is_empty_when_an_operation_goes_on(self) -> None:
        wave = PendingRequests[str]()
        is_busy: list[bool] = []
        operation = Operation(wave, lambda _: is_busy.append(operation.root.is_busy))
        waited = operation.root.is_busy

        finish(wave)

        assert (True, [False]) == (waited, is_busy)

    def test_leaving_costs_the_same_however_many_wait(self) -> None:
        """E45: RxPY's Subject scans a list; here a place knows its own key."""

        def cost(count: int) -> list[int]:
            wave = PendingRequests[str]()
            operations = [Operation(wave) for _ in range(count)]
            subscriptions = [wave.subscribe(lambda _: None) for _ in range(count)]
            leavers = [operations[count // 2].root, operations[-1].root, subscriptions[count // 2]]
            return [calls_of(leaver.dispose) for leaver in leavers]

        assert not hasattr(PendingRequests(), "__len__")
        assert cost(10) == cost(1000)

    def test_leaving_compares_no_place_with_another(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """E45: neither a scan of a list nor equality in a dict's bucket."""
        wave = PendingRequests[str]()
        operations = [Operation(wave) for _ in range(500)]
        place = type(next(iter(wave._slices[0])))  # the structure is the point
        monkeypatch.setattr(place, "__eq__", lambda *_: pytest.fail("compared"), raising=False)
        monkeypatch.setattr(place, "__hash__", object.__hash__, raising=False)

        for operation in operations:
            operation.root.dispose()

        assert (0, []) == (wave.waiting, wave.observers)

    def test_a_subscriber_leaves_its_place_too(self) -> None:
        """E45: whatever operators are in between."""
        wave = PendingRequests[str]()
        subscriptions = [wave.subscribe(lambda _: None), wave.map(str.lower).subscribe(lambda _: None)]
        before = wave.waiting

        for subscription in subscriptions:
            subscription.dispose()

        assert (2, 0) == (before, wave.waiting)

    def test_who_has_left_is_not_kept(self) -> None:
        """E45: ten thousand leavers are no memory."""
        wave = PendingRequests[str]()
        operation = Operation(wave)
        kept = weakref.ref(operation.callback)

        operation.root.dispose()
        del operation

        assert kept() is None

    def test_nobody_is_kept_after_the_end(self) -> None:
        """What runs in the flight's context may live on, and the wave with it."""
        wave = PendingRequests[str]()
        for _ in range(3 * SLICE):
            Operation(wave)
        last = weakref.ref(Operation(wave, lambda _: None).callback)

        finish(wave)
        gc.collect()

        assert (0, None) == (wave.waiting, last())

    def test_who_comes_and_goes_leaves_nothing_behind(self) -> None:
        """However long the refresh takes."""
        wave = PendingRequests[str]()
        waiting = deque(Operation(wave) for _ in range(SLICE))
        for _ in range(10 * SLICE):
            waiting.append(Operation(wave))
            waiting.popleft().root.dispose()

        assert len(wave._slices) <= 3
        assert SLICE == wave.waiting
        finish(wave)
        assert all(["A1"] == operation.seen for operation in waiting)

    def test_who_has_left_leaves_nothing_behind_while_one_stays_for_long(self) -> None:
        """However long the refresh takes, and whoever waits in the first slice."""
        wave = PendingRequests[str]()
        patient = Operation(wave)
        waiting = deque(Operation(wave) for _ in range(SLICE))
        for _ in range(50 * SLICE):
            waiting.append(Operation(wave))
            waiting.popleft().root.dispose()

        assert len(wave._slices) <= 2 * 3 + 1
        assert SLICE + 1 == wave.waiting
        finish(wave)
        assert all(["A1"] == operation.seen for operation in [patient, *waiting])

    def test_joining_costs_the_same_however_many_wait(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whether places of those who have left can be dropped is not asked too often."""
        monkeypatch.setattr(pending, "SLICE", 2)

        def cost(count: int) -> int:
            wave = PendingRequests[str]()
            return calls_of(lambda: [Operation(wave) for _ in range(count)])

        assert cost(1000) < 11 * cost(100)

    def test_who_is_released_no_longer_holds_the_others_places(self) -> None:
        """A stream that has waited may go on for long."""
        wave = PendingRequests[str]()
        operations = [Operation(wave) for _ in range(SLICE)]
        places = wave._slices[0]

        finish(wave)

        assert all(["A1"] == operation.seen for operation in operations)
        assert [] == places

    def test_counting_them_goes_through_the_slices_alone(self) -> None:
        """It is asked when a refresh ends, in the turn of the loop in which the first slice goes."""

        class Counted(Places[str]):
            def __iter__(self) -> Iterator[Any]:
                pytest.fail("went through all")

        wave = PendingRequests[str]()
        wave._slices.append(Counted())
        operations = [Operation(wave) for _ in range(3)]
        operations[1].root.dispose()

        assert 2 == wave.waiting

    def test_another_thread_may_ask_how_many_wait(self) -> None:
        wave = PendingRequests[str]()
        Operation(wave)

        class Joined(Places[str]):
            @property
            def waiting(self) -> int:
                wave._slices.append(Places())  # as by another thread, in the midst of counting
                return super().waiting

        wave._slices.appendleft(Joined())

        assert 1 == wave.waiting

    @pytest.mark.parametrize("end", ["finish", "fail", "leave"])
    def test_nobody_is_left_for_the_cycle_collector(self, end: str) -> None:
        wave = PendingRequests[str]()
        operations = [Operation(wave) for _ in range(2 * SLICE)]
        gc.collect()
        gc.disable()
        try:
            if end == "finish":
                finish(wave)
            elif end == "fail":
                wave.on_error(ValueError())
            else:
                for operation in operations:
                    operation.root.dispose()
            del operations
            assert 0 == gc.collect()
        finally:
            gc.enable()


class TestIsolation:
    def test_one_that_raises_does_not_stop_the_others(self, caplog: pytest.LogCaptureFixture) -> None:
        """E50: without a loop it is logged."""
        wave = PendingRequests[str]()

        def fail(_: str) -> None:
            raise LookupError("mine")

        raising = Operation(wave, fail)
        wave.subscribe(fail, lambda _: None)
        others = [Operation(wave), subscribed(wave)]

        finish(wave)

        assert [["A1"], ["A1", END]] == [other.seen for other in others]
        assert [] == raising.seen
        assert ["rxlink: a callback raised LookupError"] * 2 == [record.getMessage() for record in caplog.records]

    @virtual
    async def test_on_a_loop_its_exception_handler_is_told(self) -> None:
        """E51."""
        complaints: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
        wave = PendingRequests[str]()
        error = LookupError("mine")

        def fail(_: Exception) -> None:
            raise error

        wave.subscribe(lambda _: None, fail)
        other = Operation(wave)
        wave.on_error(ValueError())

        assert [ValueError] == [type(value) for value in other.seen]
        assert [error] == [complaint["exception"] for complaint in complaints]

    def test_each_goes_on_in_its_own_context(self) -> None:
        """P11: on_next, on_error and on_completed."""
        seen: list[str] = []

        def note(*_: object) -> None:
            seen.append(WHO.get())

        def waiting(end: Callable[[PendingRequests[Any]], None]) -> None:
            wave = PendingRequests[Any]()
            for name in ("Ada", "Bob"):
                token = WHO.set(name)
                root = Subscription(note, note, note, None)
                wave.wait(Callbacks(root, note, note))
                wave.subscribe(note, note, note)
                WHO.reset(token)
            WHO.set("refresher")
            end(wave)

        waiting(finish)
        waiting(lambda wave: wave.on_error(ValueError()))
        waiting(lambda wave: wave.on_completed())

        ada_and_bob = ["Ada", "Ada", "Bob", "Bob"]
        assert [*["Ada"] * 3, *["Bob"] * 3, *ada_and_bob, *ada_and_bob] == seen


class TestTheEnd:
    @pytest.mark.parametrize("value", ["A1", None, 0, ""])
    def test_who_joins_after_the_end_gets_the_value_at_once(self, value: Any) -> None:
        """S13: no one can fall between draining and resetting; falsy values count."""
        wave = PendingRequests[Any]()
        finish(wave, value)

        late = [subscribed(wave), Operation(wave)]

        assert [[value, END], [value]] == [one.seen for one in late]
        assert 0 == wave.waiting

    def test_who_joins_after_an_error_gets_the_error_at_once(self) -> None:
        wave = PendingRequests[str]()
        error = ValueError()
        wave.on_error(error)

        late: list[Any] = [subscribed(wave), Operation(wave)]

        assert [[error], [error]] == [one.seen for one in late]

    def test_who_joins_during_the_drain_gets_the_value_behind_the_others(self) -> None:
        """S13: an operation that fails inside the drain, on a synchronous transport."""
        wave = PendingRequests[str]()
        order: list[str] = []

        def join(_: str) -> None:
            order.append("first")
            Operation(wave, lambda _: order.append("joined"))

        Operation(wave, join)
        Operation(wave, lambda _: order.append("second"))

        finish(wave)

        assert ["first", "second", "joined"] == order

    def test_the_last_of_the_drain_may_join_too(self) -> None:
        wave = PendingRequests[str]()
        joined: list[Operation] = []
        Operation(wave, lambda _: joined.append(Operation(wave)))

        finish(wave)

        assert [["A1"]] == [operation.seen for operation in joined]

    def test_who_is_sent_away_during_the_drain_is_not_released(self) -> None:
        """E42, P6: who has left is never sent."""
        wave = PendingRequests[str]()
        Operation(wave, lambda _: second.root.dispose())
        second, third = Operation(wave), Operation(wave)

        finish(wave)

        assert ([], ["A1"]) == (second.seen, third.seen)

    def test_later_values_and_ends_change_nothing(self) -> None:
        wave = PendingRequests[str]()
        recorder = subscribed(wave)
        wave.on_error(error := ValueError())

        finish(wave)
        wave.on_error(KeyError())

        assert [error] == recorder.seen
        assert [error] == subscribed(wave).seen

    def test_a_value_alone_releases_nobody(self) -> None:
        """Those who wait are released at the end: the flag is reset in between."""
        wave = PendingRequests[str]()
        operation = Operation(wave)

        wave.on_next("A1")
        before = list(operation.seen)
        wave.on_completed()

        assert ([], ["A1"]) == (before, operation.seen)


class TestSlices:
    @virtual
    async def test_the_loop_gets_its_turn_between_slices(self) -> None:
        """A thousand waiters never stall the loop."""
        loop = asyncio.get_running_loop()
        released = 0
        seen_by_others: list[int] = []
        wave = PendingRequests[str]()

        def count(_: str) -> None:
            nonlocal released
            released += 1

        def look() -> None:
            seen_by_others.append(released)
            if released < 1000:
                loop.call_soon(look)

        for _ in range(1000):
            Operation(wave, count)
        loop.call_soon(look)

        finish(wave)
        at_once = released
        await asyncio.sleep(0.001)

        assert SLICE == at_once
        assert [SLICE, 2 * SLICE, 3 * SLICE, 1000] == seen_by_others

    @virtual
    async def test_a_few_that_are_left_of_many_are_released_at_once(self) -> None:
        wave = PendingRequests[str]()
        operations = [Operation(wave) for _ in range(100 * SLICE)]
        stayed = operations[::SLICE]
        for operation in operations:
            if operation not in stayed:
                operation.root.dispose()

        finish(wave)

        assert [["A1"]] * 100 == [operation.seen for operation in stayed]

    @virtual
    async def test_those_who_join_again_and_again_do_not_keep_the_loop(self) -> None:
        wave = PendingRequests[str]()
        joined = 0

        def join(_: str) -> None:
            nonlocal joined
            joined += 1
            if joined < 10 * SLICE:
                Operation(wave, join)

        Operation(wave, join)
        finish(wave)
        at_once = joined
        await asyncio.sleep(0.001)

        assert at_once <= 2 * SLICE
        assert 10 * SLICE == joined

    @virtual
    async def test_who_joins_or_leaves_between_slices_is_served_or_not(self) -> None:
        wave = PendingRequests[str]()
        operations = [Operation(wave) for _ in range(2 * SLICE)]

        finish(wave)
        operations[-1].root.dispose()
        late = Operation(wave)
        waits = wave.waiting
        await asyncio.sleep(0.001)

        assert ([], ["A1"], ["A1"]) == (operations[-1].seen, operations[-2].seen, late.seen)
        assert (SLICE, 0) == (waits, wave.waiting)

    @virtual
    async def test_all_may_leave_between_slices(self) -> None:
        wave = PendingRequests[str]()
        operations = [Operation(wave) for _ in range(2 * SLICE)]

        finish(wave)
        for operation in operations[SLICE:]:
            operation.root.dispose()
        late = Operation(wave)
        await asyncio.sleep(0.001)

        assert [["A1"]] * SLICE + [[]] * SLICE + [["A1"]] == [one.seen for one in [*operations, late]]

    def test_without_a_loop_all_are_released_at_once(self) -> None:
        wave = PendingRequests[str]()
        operations = [Operation(wave) for _ in range(1500 * 2)]

        finish(wave)

        assert all(operation.seen == ["A1"] for operation in operations)

    @virtual
    async def test_an_error_comes_in_slices_too(self) -> None:
        wave = PendingRequests[str]()
        operations = [Operation(wave) for _ in range(1000)]

        wave.on_error(error := ValueError())
        at_once = sum(bool(operation.seen) for operation in operations)
        await asyncio.sleep(0.001)

        assert SLICE == at_once
        assert all(operation.seen == [error] for operation in operations)


def test_observers_of_any_kind_fit() -> None:
    wave = PendingRequests[str]()
    recorder = Recorder()

    subscription = wave.subscribe(recorder)
    finish(wave)

    assert isinstance(subscription, abc.DisposableBase)
    assert ["A1", END] == recorder.seen
