"""Pongs: which question one answers, where servers also send some that nobody has asked for."""

import asyncio
from typing import Any

import pytest

from rxlink.testing.virtual_time import VirtualTime, virtual
from rxlink.transport._ws_pings import PongHabits, Questions
from tests.transport.websocket_bench import settle, ticks
from tests.transport.websocket_overlap import Overlap, overlap
from tests.transport.websocket_server import Connection


class Asked:
    """Three questions: two with a number, and one without between them."""

    def __init__(self) -> None:
        self.answered: list[str] = []
        self.questions = Questions(PongHabits())
        self.first = self.questions.add(lambda: self.answered.append("first"))
        self.questions.add_unnumbered()
        self.second = self.questions.add(lambda: self.answered.append("second"))


class TestAPong:
    def test_with_the_number_of_a_question_answers_that_one(self) -> None:
        asked = Asked()

        asked.questions.answer(asked.first)

        assert ["first"] == asked.answered

    def test_answers_those_before_it_too(self) -> None:
        asked = Asked()

        asked.questions.answer(asked.second)
        asked.questions.answer(asked.first)

        assert ["first", "second"] == asked.answered

    @pytest.mark.parametrize("payload", [{"rxlink": 7}, {"rxlink": None}, {"rxlink": [1]}, {"load": 1}])
    def test_with_anything_else_answers_none(self, payload: dict[str, Any]) -> None:
        asked = Asked()

        for _ in range(5):
            asked.questions.answer(payload)

        assert [] == asked.answered

    @pytest.mark.parametrize("payload", [None, {}])
    def test_with_nothing_answers_the_oldest_one(self, payload: dict[str, Any] | None) -> None:
        asked = Asked()
        seen = []

        for _ in range(4):
            asked.questions.answer(payload)
            seen.append([*asked.answered])

        assert [["first"], ["first"], ["first", "second"], ["first", "second"]] == seen

    def test_with_the_number_of_one_that_was_answered_answers_none(self) -> None:
        asked = Asked()

        asked.questions.answer(None)
        asked.questions.answer(asked.first)

        assert ["first"] == asked.answered

    def test_with_nothing_answers_no_number_of_a_server_that_says_it(self) -> None:
        asked = Asked()
        asked.questions.answer(asked.first)

        asked.questions.answer(None)
        asked.questions.answer(None)
        before = [*asked.answered]
        asked.questions.answer(asked.second)

        assert [["first"], ["first", "second"]] == [before, asked.answered]

    def test_that_nobody_has_asked_for_shows_that_the_next_ones_prove_nothing(self) -> None:
        answered: list[str] = []
        questions = Questions(PongHabits())
        questions.answer(None)
        number = questions.add(lambda: answered.append("it"))

        questions.answer(None)
        before = [*answered]
        questions.answer(number)

        assert [[], ["it"]] == [before, answered]


async def echo(both: Overlap, connection: Connection) -> None:
    """Answer the next ping with what came with it."""
    while (message := await connection.hear())["type"] != "ping":
        pass
    await connection.send({"type": "pong", "payload": message["payload"]})
    await settle()


@virtual
async def test_one_that_nobody_asked_for_does_not_end_an_overlap(time: VirtualTime) -> None:
    async with overlap(time) as both:
        for _ in range(5):
            await both.new.send({"type": "pong", "payload": {"load": 1}})
            await both.old.send({"type": "pong", "payload": {"load": 1}})
        await both.tell(both.new, 3)
        await both.tell(both.old, 1, 2)
        before = [*both.seen]
        for connection in (both.new, both.old):
            await echo(both, connection)

        assert ticks(1, 2) == before
        assert ticks(1, 2, 3) == both.seen
        await echo(both, both.new)
        assert (1000, "Normal Closure") == await both.old.closed()
        assert [("A", False, True)] == both.resubscribed()


@virtual
async def test_where_pongs_prove_nothing_an_overlap_ends_in_time_and_tells_of_a_gap(time: VirtualTime) -> None:
    async with overlap(time, keep_alive=None, keep_alive_timeout=3.0) as both:
        await both.old.send({"type": "pong"})  # also of the newer socket it is known then
        await settle()
        for connection in (both.new, both.old, both.new):
            await connection.send({"type": "pong"})
            await settle()
        await asyncio.sleep(8.9)
        before = both.resubscribed()
        await asyncio.sleep(0.2)

        assert [[], [("A", True, True)]] == [before, both.resubscribed()]
