"""Virtual time: one for loop, scheduler and clock, with real sockets and threads inside it."""

import asyncio
import gc
import inspect
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from time import perf_counter
from typing import Any

import pytest
import reactivex
from aiohttp import ClientSession, ClientTimeout, web
from hypothesis import given, settings
from hypothesis import strategies as st
from reactivex import operators as ops

from rxlink.testing.virtual_time import VirtualTime, virtual

HOUR = 3600.0


@pytest.fixture
def time() -> Iterator[VirtualTime]:
    with VirtualTime() as time:
        yield time


class TestTime:
    """E101: hours pass without waiting."""

    def test_stands_at_the_start_until_something_lets_it_pass(self) -> None:
        start = datetime(2027, 5, 4, 12, tzinfo=timezone(timedelta(hours=2)))

        with VirtualTime(start=start) as time:
            seen = (time.monotonic(), time.loop.time(), time.clock(), time.scheduler.now)

        ten_utc = datetime(2027, 5, 4, 10, tzinfo=UTC)
        assert (0.0, 0.0, ten_utc, ten_utc) == seen
        assert seen[2].tzinfo is UTC

    def test_refuses_a_start_without_time_zone(self) -> None:
        with pytest.raises(ValueError, match=r"start=2027-05-04T00:00:00 has no time zone"):
            VirtualTime(start=datetime(2027, 5, 4))  # noqa: DTZ001 - the mistake under test

    def test_moves_loop_scheduler_and_clock_together(self, time: VirtualTime) -> None:
        begin = time.clock()

        time.advance(90.5)

        moved = begin + timedelta(seconds=90.5)
        assert (90.5, 90.5, moved, moved) == (
            time.monotonic(),
            time.loop.time(),
            time.clock(),
            time.scheduler.now,
        )

    def test_passes_an_hour_of_timers_in_a_moment(self, time: VirtualTime) -> None:
        ticks: list[float] = []

        async def tick() -> None:
            for _ in range(3600):
                await asyncio.sleep(1)
                ticks.append(time.monotonic())

        begin = perf_counter()
        time.run(tick())
        took = perf_counter() - begin

        assert [float(second) for second in range(1, 3601)] == ticks
        assert took < 5  # real seconds; 0.1 on a quiet machine

    @pytest.mark.parametrize("begin", [0.0, 1e7, 1e9, 1e11])
    def test_fires_timers_however_far_it_has_gone(self, time: VirtualTime, begin: float) -> None:
        time.advance(begin)

        time.run(asyncio.wait_for(asyncio.sleep(0.25), 1))

        assert begin + 0.25 == time.monotonic()

    def test_adds_up_as_decimal_fractions_do(self, time: VirtualTime) -> None:
        fired: list[float] = []

        async def wait() -> None:
            await asyncio.sleep(0.1)
            await asyncio.sleep(0.2)
            fired.append(time.monotonic())
            await asyncio.sleep(0.7)
            fired.append(time.monotonic())

        time.call(lambda: time.loop.create_task(wait()))
        for _ in range(10):
            time.advance(0.1)

        assert [0.3, 1.0] == fired
        assert 1.0 == time.monotonic()

    def test_passes_even_for_waits_shorter_than_its_step(self, time: VirtualTime) -> None:
        async def wait_until(deadline: float) -> None:
            while time.loop.time() < deadline:  # noqa: ASYNC110 - the code under test
                await asyncio.sleep(deadline - time.loop.time())

        time.run(wait_until(1 / 3))

        assert pytest.approx(1 / 3, abs=2e-9) == time.monotonic()

    def test_treats_an_endless_sleep_as_no_timer(self, time: VirtualTime) -> None:
        sleeper = time.loop.create_task(asyncio.sleep(float("inf")))

        time.run(asyncio.sleep(HOUR))

        assert not sleeper.done()
        assert HOUR == time.monotonic()


class TestTimers:
    def test_fire_in_the_order_they_were_set_when_due_at_one_moment(self, time: VirtualTime) -> None:
        fired: list[int] = []
        for number in range(50):
            time.loop.call_at(1.0, fired.append, number)

        time.advance(1)

        assert list(range(50)) == fired

    def test_fire_by_time_first_and_then_by_the_order_they_were_set(self, time: VirtualTime) -> None:
        fired: list[str] = []
        for name, when in [
            ("late", 2.0),
            ("one", 1.0),
            ("soon", 0.5),
            ("two", 1.0),
            ("at once", 0.0),
        ]:
            time.loop.call_at(when, fired.append, name)

        time.advance(2)

        assert ["at once", "soon", "one", "two", "late"] == fired

    def test_do_not_fire_when_cancelled(self, time: VirtualTime) -> None:
        fired: list[str] = []
        time.loop.call_later(1, fired.append, "cancelled").cancel()
        time.loop.call_later(2, fired.append, "kept")

        time.advance(2)

        assert ["kept"] == fired

    @given(delays=st.lists(st.floats(0, 1e6), max_size=30))
    def test_see_exactly_the_time_they_were_set_for(self, delays: list[float]) -> None:
        with VirtualTime() as time:
            seen: list[tuple[float, float]] = []

            def look(handle: Callable[[], asyncio.TimerHandle]) -> None:
                seen.append((handle().when(), time.monotonic()))

            handles: list[asyncio.TimerHandle] = []
            for number, delay in enumerate(delays):
                handles.append(time.loop.call_later(delay, look, lambda n=number: handles[n]))

            time.advance(1e6)

            assert len(delays) == len(seen)
            assert [when for when, _ in seen] == [now for _, now in seen]
            assert sorted(now for _, now in seen) == [now for _, now in seen]


class TestAdvance:
    def test_runs_what_is_due_at_its_last_moment_and_nothing_later(self, time: VirtualTime) -> None:
        fired: list[str] = []
        time.loop.call_later(9.999999999, fired.append, "before")
        time.loop.call_later(10, fired.append, "at")
        time.loop.call_later(10.000000001, fired.append, "after")

        time.advance(10)

        assert ["before", "at"] == fired
        assert 10.0 == time.monotonic()

    def test_settles_what_its_last_moment_makes_ready(self, time: VirtualTime) -> None:
        seen: list[str] = []

        async def work() -> None:
            await asyncio.sleep(10)
            for _ in range(5):
                await asyncio.sleep(0)
            seen.append("done")

        time.call(lambda: time.loop.create_task(work()))
        time.advance(10)

        assert ["done"] == seen

    def test_runs_timers_that_timers_set_on_the_way(self, time: VirtualTime) -> None:
        fired: list[float] = []

        def again() -> None:
            fired.append(time.monotonic())
            time.loop.call_later(1, again)

        time.loop.call_later(1, again)
        time.advance(timedelta(seconds=3.5))

        assert [1.0, 2.0, 3.0] == fired
        assert 3.5 == time.monotonic()

    @pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
    def test_refuses_a_step_that_is_negative_or_not_finite(self, time: VirtualTime, seconds: float) -> None:
        with pytest.raises(ValueError, match=f"time cannot advance by {seconds} s"):
            time.advance(seconds)

    def test_is_for_code_outside_the_loop(self, time: VirtualTime) -> None:
        called: list[str] = []

        async def inside(step: Callable[[], object]) -> None:
            step()

        for step in (lambda: time.advance(1), time.settle, lambda: time.call(called.append, "x")):
            with pytest.raises(RuntimeError):
                time.run(inside(step))
        time.settle()

        assert ([], []) == (called, time.leftovers())


class TestSettle:
    def test_runs_all_that_is_ready_without_letting_time_pass(self, time: VirtualTime) -> None:
        seen: list[str] = []

        def chain(left: int) -> None:
            if left:
                time.loop.call_soon(chain, left - 1)
            else:
                seen.append("ready")

        time.loop.call_soon(chain, 100)
        time.loop.call_later(0, seen.append, "due now")
        time.loop.call_later(1e-9, seen.append, "not yet")
        time.settle()

        assert ["due now", "ready"] == seen
        assert 0.0 == time.monotonic()

    def test_does_nothing_when_nothing_is_ready(self, time: VirtualTime) -> None:
        time.settle()
        time.settle()

        assert 0.0 == time.monotonic()

    def test_waits_for_executor_jobs(self, time: VirtualTime) -> None:
        task = time.loop.create_task(asyncio.to_thread(threading.Event().wait, 0.05))

        time.settle()

        assert task.done()
        assert 0.0 == time.monotonic()


class TestCall:
    def test_runs_the_function_inside_the_loop_and_returns_its_result(self, time: VirtualTime) -> None:
        def function(word: str, *, times: int) -> tuple[object, str]:
            return asyncio.get_running_loop(), word * times

        result = time.call(function, "ab", times=2)

        assert (time.loop, "abab") == result

    def test_settles_before_it_returns(self, time: VirtualTime) -> None:
        seen: list[str] = []

        async def work() -> None:
            for _ in range(5):
                await asyncio.sleep(0)
            seen.append("worked")

        task = time.call(lambda: asyncio.get_running_loop().create_task(work()))

        assert ["worked"] == seen
        assert task.done()

    @pytest.mark.parametrize("error", [ValueError("no"), StopIteration(), asyncio.CancelledError()])
    def test_raises_what_the_function_raises(self, time: VirtualTime, error: BaseException) -> None:
        def fail() -> None:
            raise error

        with pytest.raises(type(error)) as caught:
            time.call(fail)

        assert error is caught.value


class TestRun:
    def test_returns_the_result_and_can_be_used_again(self, time: VirtualTime) -> None:
        results = [time.run(asyncio.sleep(HOUR, number)) for number in range(3)]

        assert [0, 1, 2] == results
        assert 3 * HOUR == time.monotonic()

    def test_raises_what_the_coroutine_raises(self, time: VirtualTime) -> None:
        async def fail() -> None:
            await asyncio.sleep(1)
            raise LookupError("gone")

        with pytest.raises(LookupError, match="gone"):
            time.run(fail())

    def test_leaves_other_tasks_to_the_next_run(self, time: VirtualTime) -> None:
        async def start() -> asyncio.Task[str]:
            return asyncio.create_task(asyncio.sleep(10, "late"))

        async def finish(task: asyncio.Task[str]) -> str:
            return await task

        task = time.run(start())
        assert not task.done()

        assert "late" == time.run(finish(task))
        assert 10.0 == time.monotonic()

    def test_honours_asyncio_timeouts(self, time: VirtualTime) -> None:
        async def impatient() -> None:
            async with asyncio.timeout(30):
                await asyncio.sleep(31)

        with pytest.raises(TimeoutError):
            time.run(impatient())
        assert 30.0 == time.monotonic()


class TestStandstill:
    def test_is_an_error_that_lists_the_waiting_tasks(self, time: VirtualTime) -> None:
        async def wait_for_nobody() -> None:
            await asyncio.sleep(12)
            await asyncio.Event().wait()

        with pytest.raises(RuntimeError) as caught:
            time.run(wait_for_nobody())

        message = str(caught.value)
        assert message.startswith("virtual time stands still at 12 s: no callback is ready, no timer is set, so")
        assert "wait_for_nobody in " in message
        assert __file__ in message

    def test_is_found_after_silent_sockets_were_given_their_patience(self) -> None:
        async def listen_to_silence() -> None:
            server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
            async with server:
                await asyncio.Event().wait()

        with (
            VirtualTime(patience=0.01) as time,
            pytest.raises(RuntimeError, match=r"no socket had anything for 0\.01 real seconds"),
        ):
            time.run(listen_to_silence())

    def test_does_not_spoil_what_comes_after(self, time: VirtualTime) -> None:
        event = asyncio.Event()

        with pytest.raises(RuntimeError, match="stands still"):
            time.run(event.wait())
        time.call(event.set)

        assert [] == time.leftovers()
        assert "fine" == time.run(asyncio.sleep(5, "fine"))

    def test_is_no_error_for_settle_and_advance(self, time: VirtualTime) -> None:
        task = time.loop.create_task(asyncio.Event().wait())

        time.settle()
        time.advance(HOUR)

        assert [task] == time.leftovers()


class TestThreads:
    def test_hold_time_while_a_job_runs(self, time: VirtualTime) -> None:
        fired: list[float] = []
        time.loop.call_later(1, lambda: fired.append(time.monotonic()))

        result = time.run(asyncio.to_thread(lambda: (threading.Event().wait(0.05), "worked")[1]))

        assert "worked" == result
        assert [] == fired
        assert 0.0 == time.monotonic()

    def test_raise_what_the_job_raises(self, time: VirtualTime) -> None:
        def fail() -> None:
            raise OSError("disk")

        with pytest.raises(OSError, match="disk"):
            time.run(asyncio.to_thread(fail))

    def test_let_time_go_on_after_the_job(self, time: VirtualTime) -> None:
        async def work() -> None:
            for _ in range(20):
                await asyncio.to_thread(int)
                await asyncio.sleep(1)

        time.run(work())

        assert 20.0 == time.monotonic()

    def test_end_with_the_time_that_started_them(self) -> None:
        with VirtualTime() as time:
            thread = time.run(asyncio.to_thread(threading.current_thread))

        assert not thread.is_alive()


async def serve(handler: Callable[[web.Request], Any]) -> tuple[web.AppRunner, str]:
    application = web.Application()
    application.router.add_get("/", handler)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    return runner, f"http://{host}:{port}/"


@pytest.fixture
def late_bytes() -> Iterator[socket.socket]:
    """A socket that gets a byte a few real milliseconds from now, from a thread."""
    near, far = socket.socketpair()
    near.setblocking(False)
    sender = threading.Timer(0.02, far.send, [b"x"])
    sender.start()
    yield near
    sender.join()
    near.close()
    far.close()


class TestSockets:
    def test_have_their_grace_before_time_moves_on(self, late_bytes: socket.socket) -> None:
        async def receive() -> bytes:
            async with asyncio.timeout(1):
                return await asyncio.get_running_loop().sock_recv(late_bytes, 1)

        with VirtualTime(io_grace=30) as time:
            received = time.run(receive())

        assert (b"x", 0.0) == (received, time.monotonic())

    def test_have_patience_when_there_is_no_timer(self, time: VirtualTime, late_bytes: socket.socket) -> None:
        received = time.run(time.loop.sock_recv(late_bytes, 1))

        assert b"x" == received

    def test_are_heard_while_callbacks_keep_the_loop_busy(self, time: VirtualTime) -> None:
        near, far = socket.socketpair()
        heard: list[bytes] = []

        async def be_busy() -> None:
            for _ in range(10):
                await asyncio.sleep(0)
            heard.append(b"end")

        with near, far:
            time.loop.add_reader(near, lambda: heard.append(near.recv(1)))
            far.send(b"x")
            time.run(be_busy())
            time.loop.remove_reader(near)

        assert [b"x", b"end"] == heard

    def test_serve_and_ask_over_loopback_through_virtual_hours(self, time: VirtualTime) -> None:
        async def answer(request: web.Request) -> web.Response:
            await asyncio.sleep(HOUR)
            return web.json_response({"at": time.monotonic()})

        async def ask() -> list[float]:
            runner, url = await serve(answer)
            times: list[float] = []
            async with ClientSession(timeout=ClientTimeout(total=2 * HOUR)) as session:
                for _ in range(2):
                    async with session.get(url) as response:
                        times.append((await response.json())["at"])
                    await asyncio.sleep(HOUR)
            await runner.cleanup()
            return times

        times = time.run(ask())
        time.settle()

        assert [1 * HOUR, 3 * HOUR] == times
        assert 4 * HOUR == time.monotonic()
        assert [] == time.leftovers()

    def test_bring_bytes_before_the_next_timer(self, time: VirtualTime) -> None:
        size = 2**20

        async def answer(request: web.Request) -> web.Response:
            return web.Response(body=bytes(size))

        async def ask() -> list[int]:
            runner, url = await serve(answer)
            async with ClientSession(timeout=ClientTimeout(total=0.001)) as session:

                async def get() -> int:
                    async with session.get(url) as response:
                        return len(await response.read())

                sizes = await asyncio.gather(*(get() for _ in range(20)))
            await runner.cleanup()
            return sizes

        sizes = time.run(ask())

        assert [size] * 20 == sizes
        assert time.monotonic() < 0.001

    def test_time_out_in_virtual_time(self, time: VirtualTime) -> None:
        async def hang(request: web.Request) -> web.Response:
            await asyncio.Event().wait()
            raise AssertionError

        async def ask() -> float:
            runner, url = await serve(hang)
            async with ClientSession(timeout=ClientTimeout(total=30)) as session:
                with pytest.raises(TimeoutError):
                    await session.get(url)
            at = time.monotonic()
            await runner.cleanup()
            return at

        assert 30.0 == time.run(ask())

    def test_are_served_from_outside_the_loop_too(self, time: VirtualTime) -> None:
        async def answer(request: web.Request) -> web.Response:
            await asyncio.sleep(10)
            return web.Response(text="late")

        runner, url = time.run(serve(answer))

        async def ask() -> str:
            async with ClientSession() as session, session.get(url) as response:
                return await response.text()

        task = time.call(lambda: asyncio.get_running_loop().create_task(ask()))
        time.advance(9.999)
        early = task.done()
        time.advance(0.001)

        assert (False, True, "late") == (early, task.done(), task.result())
        time.run(runner.cleanup())


class TestScheduler:
    def test_runs_relative_and_absolute_actions_at_their_times(self, time: VirtualTime) -> None:
        seen: list[tuple[str, float]] = []

        def note(name: str) -> Callable[..., None]:
            return lambda scheduler, state: seen.append((name, time.monotonic()))

        time.scheduler.schedule_absolute(time.clock() + timedelta(hours=1), note("absolute"))
        time.scheduler.schedule_relative(timedelta(seconds=2.5), note("timedelta"))
        time.scheduler.schedule_relative(2.0, note("seconds"))
        time.scheduler.schedule_absolute(time.clock() - timedelta(hours=1), note("past"))
        time.scheduler.schedule(note("now"))
        time.advance(HOUR)

        assert [
            ("past", 0.0),
            ("now", 0.0),
            ("seconds", 2.0),
            ("timedelta", 2.5),
            ("absolute", HOUR),
        ] == seen

    def test_times_operators(self, time: VirtualTime) -> None:
        seen: list[tuple[float, int]] = []
        begin = time.clock()

        time.call(
            lambda: (
                reactivex.interval(10.0)
                .pipe(ops.delay(0.5), ops.timestamp(), ops.take(3))
                .subscribe(
                    lambda item: seen.append(((item.timestamp - begin).total_seconds(), item.value)),
                    scheduler=time.scheduler,
                )
            )
        )
        time.advance(HOUR)

        assert [(10.5, 0), (20.5, 1), (30.5, 2)] == seen

    def test_leaves_no_timer_when_disposed(self, time: VirtualTime) -> None:
        subscription = time.call(lambda: reactivex.timer(60.0).subscribe(scheduler=time.scheduler))
        assert 1 == len(time.leftovers())

        time.call(subscription.dispose)

        assert [] == time.leftovers()


class TestLeftovers:
    def test_are_the_pending_tasks_and_timers(self, time: VirtualTime) -> None:
        waiting = time.loop.create_task(asyncio.Event().wait())
        late = time.loop.call_later(2, print)
        early = time.loop.call_later(1, print)
        time.loop.call_later(1, print).cancel()

        assert [waiting, early, late] == time.leftovers()

    def test_do_not_count_the_task_that_asks(self, time: VirtualTime) -> None:
        async def ask() -> list[object]:
            return [*time.leftovers()]

        assert [] == time.run(ask())


class TestClose:
    def test_cancels_what_is_left_and_lets_it_clean_up(self) -> None:
        cleaned: list[float] = []

        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(3)
                cleaned.append(time.monotonic())

        with VirtualTime() as time:
            task = time.call(lambda: asyncio.get_running_loop().create_task(work()))

        assert [3.0] == cleaned
        assert task.cancelled()
        assert time.loop.is_closed()

    def test_reports_what_a_cancelled_task_raises(self) -> None:
        reports: list[dict[str, Any]] = []

        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                raise ValueError("while leaving")

        with VirtualTime() as time:
            time.loop.set_exception_handler(lambda loop, report: reports.append(report))
            time.call(lambda: asyncio.get_running_loop().create_task(work()))

        assert ["while leaving"] == [str(report["exception"]) for report in reports]

    def test_happens_once(self) -> None:
        time = VirtualTime()

        time.close()
        time.close()

        assert time.loop.is_closed()

    def test_closes_the_loop_even_when_a_task_refuses_to_end(self) -> None:
        async def stubborn() -> None:
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    if time.loop.is_closed():  # the interpreter takes it down
                        raise

        time = VirtualTime()
        task = time.call(lambda: asyncio.get_running_loop().create_task(stubborn()))
        with pytest.raises(RuntimeError, match="stands still"):
            time.close()

        assert time.loop.is_closed()
        # Pending for good by design: keep asyncio from reporting it later.
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        task.get_coro().close()  # type: ignore[union-attr]
        del task
        gc.collect()


@pytest.fixture
def word() -> str:
    return "fixture"


class TestVirtual:
    @virtual
    async def test_runs_a_test_on_a_time_of_its_own(self, time: VirtualTime) -> None:
        await asyncio.sleep(HOUR)

        assert time.loop is asyncio.get_running_loop()
        assert HOUR == time.monotonic()

    @virtual
    async def test_needs_no_parameter(self) -> None:
        await asyncio.sleep(HOUR)

        assert HOUR == asyncio.get_running_loop().time()

    @pytest.mark.parametrize("number", [1, 2])
    @virtual
    async def test_leaves_fixtures_and_parameters_to_pytest(self, word: str, time: VirtualTime, number: int) -> None:
        await asyncio.sleep(number)

        assert ("fixture", float(number)) == (word, time.monotonic())

    @settings(max_examples=20)
    @given(seconds=st.integers(0, 10**6))
    @virtual
    async def test_gives_each_hypothesis_example_a_new_time(self, time: VirtualTime, seconds: int) -> None:
        await asyncio.sleep(seconds)

        assert float(seconds) == time.monotonic()

    def test_makes_a_sync_function_with_the_same_name_and_other_parameters(self) -> None:
        async def sample(word: str, time: VirtualTime) -> None:
            """Say a word."""

        made = virtual(sample)

        assert not inspect.iscoroutinefunction(made)
        assert (sample.__name__, "Say a word.", ["word"]) == (
            made.__name__,
            made.__doc__,
            list(inspect.signature(made).parameters),
        )

    def test_passes_failures_on(self) -> None:
        @virtual
        async def failing() -> None:
            pytest.fail("on purpose")

        with pytest.raises(pytest.fail.Exception, match="on purpose"):
            failing()

    def test_fails_when_tasks_are_left_pending(self) -> None:
        @virtual
        async def careless(time: VirtualTime) -> None:
            time.loop.create_task(asyncio.sleep(1), name="forgotten")

        with pytest.raises(AssertionError, match=r"careless left tasks pending: forgotten \(sleep in "):
            careless()

    def test_lets_tasks_finish_that_only_need_another_turn(self) -> None:
        @virtual
        async def tidy(time: VirtualTime) -> None:
            time.loop.create_task(asyncio.sleep(0))

        tidy()

    def test_refuses_a_function_that_is_not_async(self) -> None:
        def plain() -> None: ...

        with pytest.raises(TypeError, match="@virtual needs an async def function"):
            virtual(plain)  # type: ignore[arg-type]


async def test_in_a_loop_that_runs_it_says_where_to_make_it() -> None:
    with pytest.raises(RuntimeError, match=r"an event loop runs here already.* let `@virtual` run the whole test"):
        VirtualTime()
