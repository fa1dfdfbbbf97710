"""`to_async_iterator` and sources that send from other loops, threads and contexts."""

import asyncio
import contextlib
import gc
import subprocess
import sys
import threading
from contextvars import ContextVar, copy_context

import pytest
import reactivex
from reactivex import Subject

from rxlink.core.async_iteration import to_async_iterator
from rxlink.errors import BufferOverflow, InvariantError
from tests.core.iterating import Source, rest_of, settle
from tests.recording import END

user = ContextVar("user", default="nobody")


class TestLoops:
    def test_another_loop_gets_what_waits_and_then_an_error(self):
        source = Source()
        values = to_async_iterator(source)
        asyncio.run(values.__aenter__())
        # Sent by hand: from a loop that is closed the iterator takes no more.
        values._inbox._values.append("waits")

        assert "waits" == asyncio.run(values.__anext__())
        with pytest.raises(InvariantError, match="was begun in another event loop"):
            asyncio.run(values.__anext__())
        asyncio.run(values.aclose())

        assert 1 == source.left

    def test_a_source_that_goes_on_after_its_loop_is_left_at_its_next_value(self):
        source = Source()
        values = to_async_iterator(source)
        asyncio.run(values.__aenter__())

        source.send(1)

        assert (1, [END]) == (source.left, asyncio.run(rest_of(values)))

    @pytest.mark.parametrize("send", [lambda source: source.send(1), lambda source: source.finish()])
    def test_nobody_is_woken_on_a_loop_that_was_closed_by_force(self, send):
        source = Source()
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda _, complaint: None)  # of a task that was still pending
        waiting = loop.create_task(rest_of(to_async_iterator(source)))
        loop.run_until_complete(settle())
        loop.close()

        send(source)

        assert (1, False) == (source.left, waiting.done())
        waiting._log_destroy_pending = False  # the test's own doing
        waiting.get_coro().close()

    @pytest.mark.parametrize(
        "end",
        [
            "async for value in values: return",
            "asyncio.create_task(rest_of(values)); await asyncio.sleep(0.001)",
            "kept.append(values); await anext(values)",
            "kept.append(asyncio.create_task(rest_of(values))); await asyncio.sleep(0.001)",
            "kept.append(values); await values.aclose()",
        ],
    )
    def test_the_end_of_the_program_is_quiet(self, end):
        program = f"""
import asyncio, reactivex
from rxlink.core.async_iteration import to_async_iterator
kept = []
async def rest_of(values):
    async for value in values: pass
async def main():
    values = to_async_iterator(reactivex.interval(0.0001))
    {end}
asyncio.run(main(), debug=True)
"""
        command = [sys.executable, "-X", "dev", "-W", "error", "-c", program]

        finished = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

        assert (0, "") == (finished.returncode, finished.stderr)


@pytest.fixture
async def strict_loop():
    """A loop that refuses what is not safe from another thread."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    return loop


@pytest.mark.usefixtures("strict_loop")
class TestThreads:
    async def test_a_source_may_send_from_any_thread(self):
        def subscribe(observer, scheduler=None):
            def send():
                for number in range(1000):
                    observer.on_next(number)
                observer.on_completed()

            threading.Thread(target=send).start()

        assert [*range(1000), END] == await rest_of(to_async_iterator(reactivex.create(subscribe)))

    @pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest"])
    async def test_each_value_is_taken_or_dropped_whoever_is_faster(self, overflow):
        source = Source()
        async with to_async_iterator(source, max_buffer=3, overflow=overflow) as values:
            sending = asyncio.create_task(asyncio.to_thread(lambda: [source.send(number) for number in range(5000)]))
            sending.add_done_callback(lambda _: source.finish())
            *taken, _end = await rest_of(values)
            await sending

            assert 5000 == len(taken) + values.dropped
            assert sorted(set(taken)) == taken

    async def test_the_bound_holds_there_too(self):
        """Also while the loop has no time to look; a source that overflows is left on the loop's thread."""
        loop_thread, seen_by = threading.get_ident(), []
        source = Source(teardown=lambda: seen_by.append(threading.get_ident()))
        async with to_async_iterator(source, max_buffer=2) as values:
            sender = threading.Thread(target=lambda: [source.send(number) for number in range(5)])
            sender.start()
            sender.join()  # the loop stands still meanwhile
            before = list(seen_by)
            *taken, error = await rest_of(values)
            await settle()

            assert ([], [0, 1], BufferOverflow, 1) == (before, taken, type(error), values.dropped)
            assert [loop_thread] == seen_by

    async def test_a_value_is_taken_before_another_comes_or_after_it_but_not_in_between(self, strict_loop):
        """Where the loop took the old one when the buffer has been found full, the new one would be dropped."""
        source, taking = Source(), []

        class Bound(int):
            """While it is compared, the loop has a moment to take a value."""

            def __le__(self, length):
                if length == self and not taking:
                    taking.append(asyncio.run_coroutine_threadsafe(values.__anext__(), strict_loop))
                    with contextlib.suppress(TimeoutError):
                        taking[0].result(0.05)
                return super().__le__(length)

        async with to_async_iterator(source, max_buffer=Bound(1), overflow="drop_oldest") as values:
            source.send("old")
            await asyncio.to_thread(source.send, "new")

            assert "new" == await asyncio.wrap_future(taking[0])

    async def test_a_loop_that_stands_still_is_woken_once(self, strict_loop, monkeypatch):
        """What else waits for its turn there would grow without a bound."""
        source, woken, call = Source(), [], strict_loop.call_soon_threadsafe
        async with to_async_iterator(source) as values:
            waiting = asyncio.create_task(anext(values))
            await settle()
            monkeypatch.setattr(strict_loop, "call_soon_threadsafe", lambda *args: woken.append(call(*args)))

            sender = threading.Thread(target=lambda: [source.send(number) for number in range(100)])
            sender.start()
            sender.join()

            assert (0, 1) == (await waiting, len(woken))

    @pytest.mark.parametrize("in_a_thread", [False, True])
    @pytest.mark.parametrize("send", [lambda source: source.send(1), lambda source: source.finish()])
    async def test_what_comes_when_the_loop_is_about_to_wait_is_not_missed(self, strict_loop, send, in_a_thread):
        """The garbage collector may run somebody's teardown there, which sends."""
        source, make = Source(), strict_loop.create_future

        def create_future():
            strict_loop.create_future = make
            sender = threading.Thread(target=send, args=[source])
            (sender.start if in_a_thread else sender.run)()
            if in_a_thread:
                sender.join()
            return make()

        async with to_async_iterator(source) as values:
            strict_loop.create_future = create_future

            assert await anext(values, END) in {1, END}

    async def test_an_error_comes_from_any_thread(self):
        source, down = Source(), OSError("down")
        waiting = asyncio.create_task(rest_of(to_async_iterator(source)))
        await settle()

        await asyncio.to_thread(source.fail, down)

        assert [down] == await waiting

    async def test_an_iterator_that_is_dropped_on_another_thread_leaves_on_its_own(self):
        loop_thread, seen_by = threading.get_ident(), []
        source = Source(teardown=lambda: seen_by.append(threading.get_ident()))
        held = [to_async_iterator(source)]
        await held[0].__aenter__()

        await asyncio.to_thread(held.clear)
        gc.collect()
        await settle()

        assert [loop_thread] == seen_by

    def test_a_thread_that_sends_after_the_loop_is_closed_leaves_the_source_itself(self):
        source = Source()
        values = to_async_iterator(source)
        asyncio.run(values.__aenter__())

        sender = threading.Thread(target=source.send, args=[1])
        sender.start()
        sender.join()

        assert (1, [END]) == (source.left, asyncio.run(rest_of(values)))


class TestContexts:
    """P11: nobody's context leaks into another's."""

    async def test_p11_what_a_source_sets_is_not_set_for_the_consumer(self):
        def subscribe(observer, scheduler=None):
            user.set("the source's")
            observer.on_next(1)
            asyncio.get_running_loop().call_soon(observer.on_completed, context=copy_context())

        user.set("ada")
        seen = [user.get() async for _ in to_async_iterator(reactivex.create(subscribe))]

        assert (["ada"], "ada") == (seen, user.get())

    async def test_p11_a_hundred_consumers_of_one_source_keep_their_own(self):
        source, seen, subscribed_as = Subject(), [], []
        shared = reactivex.defer(lambda _: subscribed_as.append(user.get()) or source)

        async def consume(name):
            user.set(name)
            async for _ in to_async_iterator(shared):
                seen.append(user.get())  # noqa: PERF401 - the list is everybody's

        names = [f"user {number}" for number in range(100)]
        tasks = [asyncio.create_task(consume(name)) for name in names]
        await settle()
        user.set("the sender")
        source.on_next(1)
        await settle()
        source.on_completed()
        await asyncio.gather(*tasks)

        assert (names, names) == (seen, subscribed_as)

    async def test_p11_a_source_is_left_in_the_context_that_subscribed_it(self):
        left_as = []
        user.set("ada")
        values = to_async_iterator(Source(teardown=lambda: left_as.append(user.get())))
        await values.__aenter__()

        user.set("bob")
        await values.aclose()

        assert ["ada"] == left_as
