"""Who leaves is not sent and harms nobody."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import good
from tests.auth.token_desk import Desk, expire
from tests.recording import END, Recorder


class TestLeaving:
    @virtual
    async def test_the_queue_takes_out_who_leaves_and_nobody_else(self) -> None:
        """E42, E43, P6."""
        desk = Desk()
        recorders = desk.start_many(5)
        await asyncio.sleep(0.5)

        for number in (0, 2, 3):
            recorders[number].subscription.dispose()
        await asyncio.sleep(2)

        assert [[], good("Q1"), [], [], good("Q4")] == [recorder.seen for recorder in recorders]
        assert (["Q1", "Q4"], 1) == ([send.name for send in desk.server.sends], desk.fetches)

    @virtual
    async def test_as_the_last_one_stores_the_token_all_the_same(self) -> None:
        """E44."""
        desk = Desk()
        desk.start().subscription.dispose()

        await asyncio.sleep(2)
        later_one = desk.start("later")
        await asyncio.sleep(1)

        assert (1, "A1", good("later")) == (desk.fetches, desk.token, later_one.seen)

    @virtual
    async def test_during_the_check_stops_it_and_starts_no_refresh(self) -> None:
        cancelled = []

        async def check(operation: Any) -> bool:
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                cancelled.append(operation.operation_name)
                raise
            return False

        desk = Desk(is_token_valid_or_undefined=check)
        recorders = desk.start_many(2)
        await asyncio.sleep(0.5)

        recorders[0].subscription.dispose()
        await asyncio.sleep(5)

        assert (["Q0"], [], good("Q1"), [("A1", "Q1")]) == (
            cancelled,
            recorders[0].seen,
            recorders[1].seen,
            desk.stored,
        )

    @virtual
    async def test_a_check_that_swallows_its_cancellation_sends_nothing(self) -> None:
        async def stubborn(operation: Any) -> bool:
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                return False
            return False

        desk = Desk(is_token_valid_or_undefined=stubborn)
        recorder = desk.start()
        await asyncio.sleep(0.5)

        recorder.subscription.dispose()
        await asyncio.sleep(5)

        assert (0, []) == (desk.fetches, desk.server.sends)

    @pytest.mark.parametrize("is_good", [False, True])
    @virtual
    async def test_while_the_server_works_aborts_the_request(self, is_good: bool) -> None:
        """E41."""
        desk = Desk(server_delay=5, is_token_valid_or_undefined=lambda operation: is_good)
        recorder = desk.start()
        await asyncio.sleep(3)

        recorder.subscription.dispose()
        await asyncio.sleep(5)

        assert (["Q"], []) == (desk.server.aborted, recorder.seen)

    @virtual
    async def test_in_the_midst_of_the_release_of_others(self) -> None:
        desk = Desk(server_delay=None)
        recorders: list[Any] = []
        desk.run("a").subscribe(lambda _: recorders[0].subscription.dispose())
        recorders += [desk.start("b"), desk.start("c")]

        await asyncio.sleep(2)

        assert [[], good("c")] == [recorder.seen for recorder in recorders]
        assert ["a", "c"] == [send.name for send in desk.server.sends]


class Storm:
    """Operations that come and leave, tokens that end and refreshes that fail, at drawn moments."""

    def __init__(self, time: VirtualTime, failures: list[bool], check_delay: float) -> None:
        self.running = self.most = 0
        self.check_delay = check_delay
        self.desk = Desk(
            *(OSError() if fails else None for fails in failures),
            is_token_valid_or_undefined=self.check if check_delay else lambda operation: self.desk.is_good(),
            fetch_access_token=self.fetch,
        )
        self.time = time
        self.recorders: dict[str, Recorder] = {}

    async def check(self, operation: Any) -> bool:
        is_good = self.desk.is_good()
        await asyncio.sleep(self.check_delay)
        return is_good

    async def fetch(self) -> Any:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            return await self.desk.fetch()
        finally:
            self.running -= 1

    def plan(self, name: str, start: float, stay: float | None) -> None:
        self.time.loop.call_later(start, self.start, name)
        if stay is not None:
            self.time.loop.call_later(start + stay, self.leave, name)

    def start(self, name: str) -> None:
        self.recorders[name] = self.desk.start(name)

    def leave(self, name: str) -> None:
        self.recorders[name].subscription.dispose()

    def has_ended(self, name: str) -> bool:
        last = self.recorders[name].seen[-1:]
        return last == [END] or isinstance(last[0] if last else None, Exception)


@given(
    visits=st.lists(st.tuples(st.floats(0, 6), st.none() | st.floats(0, 4)), min_size=1, max_size=8),
    expiries=st.lists(st.floats(0, 6), max_size=3),
    failures=st.lists(st.booleans(), max_size=4),
    check_delay=st.sampled_from([0.0, 0.3, 1.5]),
)
def test_whatever_happens_all_end_or_leave_each_sent_at_most_once_and_nothing_is_left_behind(
    visits: list[tuple[float, float | None]], expiries: list[float], failures: list[bool], check_delay: float
) -> None:
    """P1, P2, P3, P6."""
    with VirtualTime() as time:
        storm = Storm(time, failures, check_delay)
        for number, (start, stay) in enumerate(visits):
            storm.plan(f"Q{number}", start, stay)
        for moment in expiries:
            time.loop.call_later(moment, expire, storm.desk)

        time.advance(30)

        lost = [number for number, (_, stay) in enumerate(visits) if stay is None and not storm.has_ended(f"Q{number}")]
        assert [] == lost
        assert max(storm.most, *storm.desk.server.per_operation.values(), 0) <= 1
        assert [] == time.leftovers()
