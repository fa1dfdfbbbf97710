"""The refresh stream: one flight at a time, shared by everyone who needs its outcome."""

import asyncio
import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest
from reactivex.testing import TestScheduler

from rxlink.auth.single_flight import NothingReturned, SingleFlight
from rxlink.errors import InvariantError, OperationCancelled
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import never
from tests.recording import END, Recorder, subscribed

WHO: ContextVar[str] = ContextVar("who", default="nobody")
LIMIT = 30.0


class Failed(Exception):
    """What waiters get, made of what ended the flight."""

    def __init__(self, error: Exception) -> None:
        super().__init__(repr(error))
        self.error = error


class Hangar:
    """A flight whose run and keep do what their scripts say, and that writes everything down."""

    def __init__(self, *runs: Any, keep: Any = None, scheduler: Any = None) -> None:
        self.runs = list(runs)
        self.keep_step = keep
        self.begun: list[Any] = []
        self.kept: list[Any] = []
        self.failures: list[Exception] = []
        self.flight: SingleFlight[str, Any] = SingleFlight(
            self._run, keep=self._keep, time_limit=LIMIT, failed=self._failed, scheduler=scheduler
        )

    def join(self, argument: str = "why") -> Recorder:
        return subscribed(self.flight.join(argument))

    async def _run(self, argument: str) -> Any:
        self.begun.append(argument)
        return await _done(self.runs.pop(0) if self.runs else "A1")

    async def _keep(self, argument: str, outcome: Any) -> Any:
        kept = await _done(outcome if self.keep_step is None else self.keep_step)
        self.kept.append(kept)
        return kept

    def _failed(self, argument: str, error: Exception, waiting: int) -> Exception:
        self.failures.append(error)
        return Failed(error)


async def _done(step: Any) -> Any:
    if isinstance(step, Exception):
        raise step
    if isinstance(step, float):
        await asyncio.sleep(step)
        return f"after {step:g} s"
    return await step() if callable(step) else step


def causes(recorder: Recorder) -> list[Any]:
    return [value.error if isinstance(value, Failed) else value for value in recorder.seen]


class TestOneFlight:
    @virtual
    async def test_who_asks_meanwhile_shares_the_outcome(self) -> None:
        """S07, S40, S42, S50, P1."""
        hangar = Hangar(5.0)

        recorders = [hangar.join(f"reason {number}") for number in range(50)]
        await asyncio.sleep(6)

        assert ["reason 0"] == hangar.begun
        assert [["after 5 s", END]] * 50 == [recorder.seen for recorder in recorders]

    @virtual
    async def test_nothing_runs_before_somebody_asks_and_anew_for_each_who_asks_later(self) -> None:
        """S16, E47, E48: two waves, two runs; `share()` gives an empty completion or the old value."""
        hangar = Hangar("A1", "A2")
        await asyncio.sleep(1)
        before = list(hangar.begun)

        first = hangar.join()
        await asyncio.sleep(1)
        second = hangar.join()
        await asyncio.sleep(1)

        assert [] == before
        assert [["A1", END], ["A2", END]] == [first.seen, second.seen]

    @virtual
    async def test_the_wave_is_there_while_the_flight_is_and_no_longer(self) -> None:
        hangar = Hangar(5.0)
        waves: list[Any] = [hangar.flight.wave]

        hangar.join()
        waves.append(hangar.flight.wave)
        await asyncio.sleep(6)
        waves.append(hangar.flight.wave)

        assert [False, True, False] == [wave is not None for wave in waves]

    @virtual
    async def test_it_goes_on_when_all_have_left(self) -> None:
        """E43, E44, P6: refresh tokens are single use; who comes next joins it."""
        hangar = Hangar(5.0)
        leaver = hangar.join()
        await asyncio.sleep(1)

        leaver.subscription.dispose()
        joined = hangar.join()
        joined.subscription.dispose()
        await asyncio.sleep(5)

        assert (1, ["after 5 s"]) == (len(hangar.begun), hangar.kept)
        assert ([], []) == (leaver.seen, joined.seen)

    @virtual
    async def test_ten_thousand_leavers_leave_nothing_on_the_shared_work(self) -> None:
        """E45."""
        hangar = Hangar(5.0)
        recorders = [hangar.join() for _ in range(10_000)]
        (task,) = (task for task in asyncio.all_tasks() if task is not asyncio.current_task())
        await asyncio.sleep(0)

        for recorder in recorders:
            recorder.subscription.dispose()

        wave = hangar.flight.wave
        assert 1 == len(task._callbacks)  # type: ignore[attr-defined] # asyncio's own list of what to call at the end
        assert wave is not None
        assert 0 == wave.waiting
        await asyncio.sleep(6)
        assert ["after 5 s"] == hangar.kept

    @virtual
    async def test_the_flag_is_reset_before_anyone_is_released(self) -> None:
        """S13: who fails in the midst of the release starts a new flight, and gets its outcome."""
        hangar = Hangar("A1", "A2", ValueError())
        again: list[Recorder] = []

        def fail_again(*_: object) -> None:
            again.append(hangar.join())

        hangar.flight.join("first").subscribe(fail_again, fail_again)
        await asyncio.sleep(1)
        again[0].subscription.dispose()
        hangar.flight.join("third").subscribe(fail_again, fail_again)
        await asyncio.sleep(1)

        assert ["A2", END] == again[0].seen
        assert ["A1", END] == again[1].seen
        assert 4 == len(hangar.begun)


class TestFailures:
    @virtual
    async def test_a_run_that_raises_fails_all_who_wait_and_the_next_flight_is_free(self) -> None:
        """S10, S23, S31, E14, E18, P10: one run, five errors, none completes empty."""
        error = ValueError()
        hangar = Hangar(error, "A2")
        recorders = [hangar.join() for _ in range(5)]
        await asyncio.sleep(1)

        after = hangar.join()
        await asyncio.sleep(1)

        assert [[error]] * 5 == [causes(recorder) for recorder in recorders]
        assert ([error], ["A2", END]) == (hangar.failures, after.seen)

    @virtual
    async def test_a_run_that_returns_nothing_fails_all_who_wait(self) -> None:
        """S10, S21: `filter(Boolean)` alone completes the leader empty and forgets the followers."""
        hangar = Hangar(lambda: asyncio.sleep(1))

        recorders = [hangar.join() for _ in range(5)]
        await asyncio.sleep(2)

        assert [[NothingReturned]] * 5 == [[type(error) for error in causes(recorder)] for recorder in recorders]
        assert (1, []) == (len(hangar.failures), hangar.kept)

    @pytest.mark.parametrize("falsy", ["", 0, False, (), {}])
    @virtual
    async def test_only_none_is_nothing(self, falsy: Any) -> None:
        hangar = Hangar(falsy)

        recorder = hangar.join()
        await asyncio.sleep(1)

        assert [falsy, END] == recorder.seen

    @virtual
    async def test_a_keep_that_raises_fails_all_who_wait(self) -> None:
        hangar = Hangar("A1", keep=(error := ValueError()))

        recorder = hangar.join()
        await asyncio.sleep(1)

        assert [error] == causes(recorder)
        assert hangar.flight.wave is None

    @virtual
    async def test_work_that_somebody_cancels_is_an_error(self) -> None:
        """E49: neither silence nor a CancelledError in `on_error`."""

        async def cancelled() -> None:
            task = asyncio.get_running_loop().create_task(never())
            await asyncio.sleep(0)
            task.cancel()
            await task

        hangar = Hangar(cancelled)
        recorder = hangar.join()
        await asyncio.sleep(1)

        assert [OperationCancelled] == [type(error) for error in causes(recorder)]
        assert hangar.flight.wave is None

    def test_a_flight_cannot_start_where_no_loop_runs_and_leaves_nothing(self) -> None:
        hangar = Hangar()

        with pytest.raises(InvariantError, match="no event loop runs; subscribe or await inside a coroutine"):
            hangar.flight.join("why")

        assert hangar.flight.wave is None
        assert [] == hangar.begun


class TestTimeLimit:
    @virtual
    async def test_a_run_that_hangs_ends_within_the_limit_and_the_next_flight_is_free(self, time: VirtualTime) -> None:
        """E23, P10."""
        hangar = Hangar(never, "A2")
        recorder = hangar.join()

        await asyncio.sleep(LIMIT - 0.001)
        before = list(recorder.seen)
        await asyncio.sleep(0.002)
        after = hangar.join()
        await asyncio.sleep(1)

        assert ([], [TimeoutError]) == (before, [type(error) for error in causes(recorder)])
        assert ["A2", END] == after.seen
        assert 1 == len(hangar.failures)

    @virtual
    async def test_the_work_is_cancelled_at_the_limit(self) -> None:
        ends: list[type] = []

        async def hang() -> None:
            try:
                await never()
            except BaseException as error:
                ends.append(type(error))
                raise

        hangar = Hangar(hang)
        hangar.join()
        await asyncio.sleep(LIMIT + 1)

        assert [asyncio.CancelledError] == ends

    @virtual
    async def test_work_that_will_not_be_cancelled_is_not_listened_to(self) -> None:
        """P10: a callback that swallows its cancellation."""

        async def stubborn() -> str:
            try:
                await never()
            except asyncio.CancelledError:
                await asyncio.sleep(10)
            return "too late"

        hangar = Hangar(stubborn, 20.0)
        first = hangar.join()
        await asyncio.sleep(LIMIT + 1)
        second = hangar.join()
        await asyncio.sleep(LIMIT)

        assert [TimeoutError] == [type(error) for error in causes(first)]
        assert ["after 20 s", END] == second.seen
        assert ["after 20 s"] == hangar.kept

    @virtual
    async def test_an_outcome_counts_even_if_keeping_it_does_not_end(self, time: VirtualTime) -> None:
        """P4, P10: the tokens are good all the same, and the refresh token is spent."""
        hangar = Hangar("A1", keep=never)
        recorder = hangar.join()

        await asyncio.sleep(LIMIT - 1)
        before = list(recorder.seen)
        await asyncio.sleep(2)

        assert ([], ["A1", END]) == (before, recorder.seen)
        assert ([], []) == (hangar.failures, hangar.kept)
        assert [] == [item for item in time.leftovers() if isinstance(item, asyncio.Task)]

    @virtual
    async def test_run_and_keep_share_the_limit(self) -> None:
        hangar = Hangar(20.0, keep=20.0)
        recorder = hangar.join()

        await asyncio.sleep(LIMIT + 0.001)

        assert ["after 20 s", END] == recorder.seen
        assert [] == hangar.kept

    @virtual
    async def test_no_timer_is_left_when_the_flight_has_ended(self, time: VirtualTime) -> None:
        hangar = Hangar("A1", ValueError())

        hangar.join()
        await asyncio.sleep(1)
        hangar.join()
        await asyncio.sleep(1)

        assert [] == time.leftovers()

    @virtual
    async def test_the_limit_is_in_the_time_of_the_scheduler(self) -> None:
        """E53."""
        scheduler = TestScheduler()
        hangar = Hangar(never, scheduler=scheduler)
        recorder = hangar.join()

        await asyncio.sleep(10 * LIMIT)
        scheduler.advance_to(LIMIT - 1)
        before = list(recorder.seen)
        scheduler.advance_to(LIMIT + 1)

        assert ([], [TimeoutError]) == (before, [type(error) for error in causes(recorder)])


class TestAbandon:
    @virtual
    async def test_those_who_wait_get_the_error_and_the_work_is_cancelled(self, time: VirtualTime) -> None:
        """E79, P8."""
        hangar = Hangar(never)
        recorder = hangar.join()
        await asyncio.sleep(1)

        hangar.flight.abandon(error := ValueError("signed out"))
        seen = list(recorder.seen)
        await asyncio.sleep(0)

        assert [error] == seen
        assert ([], [], None) == (hangar.failures, time.leftovers(), hangar.flight.wave)

    @virtual
    async def test_an_outcome_that_comes_all_the_same_is_dropped(self) -> None:
        """E79: nothing is kept."""

        async def stubborn() -> str:
            try:
                await never()
            except asyncio.CancelledError:
                await asyncio.sleep(1)
            return "too late"

        hangar = Hangar(stubborn)
        recorder = hangar.join()
        await asyncio.sleep(1)

        hangar.flight.abandon(error := ValueError())
        await asyncio.sleep(5)

        assert ([error], []) == (recorder.seen, hangar.kept)

    @virtual
    async def test_a_flight_that_is_keeping_its_outcome_is_abandoned_too(self) -> None:
        hangar = Hangar("A1", keep=never)
        recorder = hangar.join()
        await asyncio.sleep(1)

        hangar.flight.abandon(error := ValueError())
        await asyncio.sleep(LIMIT)

        assert [error] == recorder.seen

    @virtual
    async def test_without_a_flight_nothing_happens(self) -> None:
        hangar = Hangar()

        hangar.flight.abandon(ValueError())
        await hangar.flight.ended()

        assert [] == hangar.failures

    @virtual
    async def test_ended_waits_for_the_flight(self, time: VirtualTime) -> None:
        """E57."""
        hangar = Hangar(5.0)
        hangar.join()

        await hangar.flight.ended()

        assert (5, None) == (time.monotonic(), hangar.flight.wave)


class TestInside:
    @virtual
    async def test_the_run_and_all_that_it_calls_and_starts_are_inside(self) -> None:
        """S38, S39, E29, P10: a run that comes back need not wait for itself."""
        seen: dict[str, bool] = {}
        hangar = Hangar()

        async def note(where: str) -> None:
            await asyncio.sleep(0)
            seen[where] = hangar.flight.is_inside()

        async def run() -> str:
            await note("called")
            await asyncio.get_running_loop().create_task(note("task"))
            await asyncio.gather(note("gathered"))
            asyncio.get_running_loop().call_soon(lambda: seen.update(callback=hangar.flight.is_inside()))
            await asyncio.sleep(1)
            return "A1"

        hangar.runs = [run]
        hangar.join()
        await asyncio.sleep(0.5)
        seen["outside"] = hangar.flight.is_inside()
        await asyncio.sleep(1)

        assert {"called": True, "task": True, "gathered": True, "callback": True, "outside": False} == seen

    @virtual
    async def test_what_outlives_the_run_is_outside_again_even_of_the_next_flight(self) -> None:
        hangar = Hangar()
        seen: list[bool] = []

        async def linger() -> None:
            for _ in range(3):
                await asyncio.sleep(2)
                seen.append(hangar.flight.is_inside())

        async def run() -> str:
            tasks.append(asyncio.get_running_loop().create_task(linger()))
            await asyncio.sleep(3)
            return "A1"

        tasks: list[asyncio.Task[None]] = []
        hangar.runs = [run, 10.0]
        hangar.join()
        await asyncio.sleep(3.5)
        hangar.join()
        await asyncio.sleep(11)

        assert [True, False, False] == seen

    @virtual
    async def test_flights_nest(self) -> None:
        """A refresh that needs another session's token, whose refresh goes through the first session's chain."""
        seen: list[tuple[bool, bool]] = []
        inner, outer = Hangar(), Hangar()

        def where() -> None:
            seen.append((outer.flight.is_inside(), inner.flight.is_inside()))

        async def run_inner() -> str:
            where()
            return "B1"

        async def run_outer() -> Any:
            where()
            inner.runs = [run_inner]
            token = await inner.flight.join("needed")
            where()
            return token

        outer.runs = [run_outer]
        recorder = outer.join()
        await asyncio.sleep(1)
        where()

        assert [(True, False), (True, True), (True, False), (False, False)] == seen
        assert ["B1", END] == recorder.seen

    @virtual
    async def test_those_who_wait_are_outside(self) -> None:
        hangar = Hangar("A1")
        seen: list[bool] = []

        hangar.flight.join("why").subscribe(lambda _: seen.append(hangar.flight.is_inside()))
        await asyncio.sleep(1)

        assert [False] == seen

    @virtual
    async def test_the_run_has_a_copy_of_the_context_of_who_started_it(self) -> None:
        """P11: what the run sets stays with it."""
        seen: list[str] = []

        async def run() -> str:
            seen.append(WHO.get())
            WHO.set("the run")
            return "A1"

        hangar = Hangar(run)
        WHO.set("leader")
        hangar.flight.join("why").subscribe(lambda _: seen.append(WHO.get()))
        WHO.set("later")
        await asyncio.sleep(1)

        assert (["leader", "leader"], "later") == (seen, WHO.get())


class TestLoops:
    @pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in Python 3.12")
    @pytest.mark.parametrize("fails", [False, True])
    @virtual
    async def test_tasks_that_run_at_once_make_no_difference(self, fails: bool) -> None:
        """The stream may end before `subscribe` has returned: one outcome, one end."""
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        hangar = Hangar(ValueError() if fails else "A1")
        recorders = [hangar.join()]
        await asyncio.sleep(0)

        recorders.append(hangar.join())
        await asyncio.sleep(1)

        assert ([ValueError] if fails else ["A1", END]) == [
            type(value) if isinstance(value, Exception) else value for value in causes(recorders[0])
        ]
        assert ["A1", END] == recorders[1].seen
        assert (2, int(fails)) == (len(hangar.begun), len(hangar.failures))

    def test_one_flight_object_serves_one_loop_after_another(self) -> None:
        """E54: two successive `asyncio.run`, both contended."""
        hangar = Hangar(0.01, 0.01)

        async def contended() -> list[Any]:
            return await asyncio.gather(*(hangar.flight.join("why") for _ in range(5)))

        outcomes = [asyncio.run(contended()) for _ in range(2)]

        assert [["after 0.01 s"] * 5] * 2 == outcomes
        assert 2 == len(hangar.begun)

    def test_a_flight_ends_with_the_run_of_its_loop(self) -> None:
        """E54: `asyncio.run` cancels what is left, and those who wait are told."""
        hangar = Hangar(never)
        recorders: list[Recorder] = []

        async def leave_it() -> None:
            recorders.append(hangar.join())
            await asyncio.sleep(0)

        asyncio.run(leave_it())

        assert [OperationCancelled] == [type(error) for error in causes(recorders[0])]
        assert hangar.flight.wave is None

    @pytest.mark.parametrize(
        "act",
        [
            lambda hangar: hangar.flight.abandon(ValueError()),
            lambda hangar: hangar.flight.wave,
            lambda hangar: hangar.flight.is_inside(),
        ],
        ids=["abandon", "wave", "is_inside"],
    )
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # asyncio's, of the killed task
    def test_a_flight_that_died_with_its_loop_is_no_flight(self, act: Callable[[Hangar], Any]) -> None:
        """E54: a loop that was closed in the midst of everything, such as a crashed worker thread's."""
        hangar = Hangar(never, "A2")
        loop = asyncio.new_event_loop()
        loop.call_soon(lambda: (hangar.join(), loop.call_soon(loop.stop)))
        loop.run_forever()
        tasks = asyncio.all_tasks(loop)
        loop.close()

        act(hangar)

        async def again() -> Any:
            await hangar.flight.ended()
            return await hangar.flight.join("again")

        assert "A2" == asyncio.run(again())
        for task in tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined] # dead with its loop, as intended
