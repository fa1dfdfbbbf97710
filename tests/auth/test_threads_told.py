"""What listeners hear of a session that several threads use: everything, in order, each on its own loop."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import Any

import pytest

from rxlink.auth.events import AuthStatus
from rxlink.auth.signals import CurrentSignal, Signal
from tests.auth.crew import Ear, HeldIssuer, Nudge, elsewhere, on_threads, run_many, until, waiting
from tests.auth.scripted import bench, names_of
from tests.recording import subscribed

pytestmark = pytest.mark.timeout(30)


class TestListeners:
    def test_each_hears_everything_in_order_on_its_own_thread(self) -> None:
        """E55, E53, E100: of what operations on other threads set off, too."""
        issuer = HeldIssuer()
        built = bench(issuer=issuer)
        is_over = threading.Event()

        async def listen() -> tuple[list[str], list[str], bool]:
            events, states = Ear(), Ear()
            built.session.events.subscribe(events)
            built.session.states.subscribe(states)
            listening.wait()
            await until(is_over.is_set)
            await until(lambda: "TokensSaved" in names_of(events.seen))
            threads = {thread for thread, _ in events.heard | states.heard}
            return names_of(events.seen), [state.status for state in states.seen], threads == {threading.get_ident()}

        async def run() -> None:
            await asyncio.to_thread(listening.wait)
            await run_many(built, ["Q"])
            is_over.set()

        async def let_go() -> None:
            await until(lambda: waiting(built) == 1)
            issuer.may_answer.set()

        listening = threading.Barrier(4)
        *heard, _, _ = on_threads(listen, listen, listen, run, let_go)

        expected = ["RefreshStarted", "OperationQueued", "RefreshSucceeded", "TokensSaved"]
        for events, states, is_own_thread in heard:
            assert expected == events[:4]
            assert [AuthStatus.AUTHENTICATED, AuthStatus.REFRESHING, AuthStatus.AUTHENTICATED] == states
            assert is_own_thread


class TestListening:
    def test_what_another_thread_told_is_heard_before_what_this_one_tells_next(self) -> None:
        """E55, E100: in the order in which it happened."""

        async def run() -> list[Any]:
            signal = Signal[int]()
            heard = subscribed(signal)
            elsewhere(lambda: told(signal, 1))  # this loop stands still, and hears of it later
            signal.on_next(2)
            await asyncio.sleep(0)
            elsewhere(lambda: told(signal, 3))
            signal.on_completed()
            await asyncio.sleep(0)
            return heard.seen

        assert [1, 2, 3, "completed"] == asyncio.run(run())

    def test_a_change_during_the_first_look_is_heard(self) -> None:
        """E55, E100: none is lost between the current value and the next."""
        signal = CurrentSignal(1)
        heard: list[int] = []

        def hear(value: int) -> None:
            heard.append(value)
            if value == 1:
                elsewhere(lambda: told(signal, 2))

        async def run() -> None:
            signal.subscribe(hear)
            await asyncio.sleep(0)

        asyncio.run(run())

        assert [1, 2] == heard

    def test_one_that_is_called_while_it_is_busy_is_called_again_later(self) -> None:
        """Rx has one notification at a time for each observer."""
        busy: list[str] = []

        def hear(value: int) -> None:
            busy.append(f"begin {value}")
            if value == 1:
                elsewhere(lambda: told(signal, 2))
                signal.on_next(3)
            busy.append(f"end {value}")

        signal = Signal[int]()

        async def run() -> None:
            signal.subscribe(hear)
            elsewhere(lambda: told(signal, 1))
            await asyncio.sleep(0)
            await asyncio.sleep(0)

        asyncio.run(run())

        assert [f"{word} {value}" for value in (1, 2, 3) for word in ("begin", "end")] == busy

    def test_the_last_change_of_another_thread_is_heard_where_no_loop_runs(self) -> None:
        """E55, E100: what it tells in the very moment in which this thread is done with telling."""
        heard: list[int] = []
        signal = Signal[int]()
        signal.subscribe(heard.append)
        [listener] = signal.observers

        async def tell() -> None:
            listener.on_next(2)

        nudge = Nudge(tell)

        class Watched(deque[Any]):
            def __len__(self) -> int:
                length = super().__len__()
                if not length:
                    nudge()
                return length

        listener._to_call = Watched()  # type: ignore[attr-defined]

        listener.on_next(1)
        nudge.join()

        assert [1, 2] == heard


async def told(signal: Signal[int], value: int) -> None:
    signal.on_next(value)
