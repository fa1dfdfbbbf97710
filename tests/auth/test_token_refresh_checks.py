"""What the check of an operation may be and may do, and that one which a refresh has overtaken is asked again."""

from __future__ import annotations

import asyncio
import gc
import itertools
from typing import Any

import pytest
import reactivex
from reactivex import Observer

from rxlink.auth.token_refresh import TokenRefreshLink
from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink, Forward
from rxlink.core.observables import from_future
from rxlink.core.operation import Operation
from rxlink.core.subscription import Connect, ResultObserver, Subscription
from rxlink.errors import InvariantError, InvariantTypeError, TokenRefreshError
from rxlink.testing.virtual_time import virtual
from tests.auth.scripted import ScriptedServer, good, never, request
from tests.auth.token_desk import Desk, expire, later
from tests.recording import seen_of, subscribed

GOOD_CHECKS = [
    lambda operation: True,
    lambda operation: 1,
    later(True),
    lambda operation: from_future(later(True)),
    lambda operation: reactivex.of(False, True),
    lambda operation: asyncio.ensure_future(later(True)()),
]
BAD_CHECKS = [
    lambda operation: False,
    lambda operation: None,
    later(False),
    later(None),
    lambda operation: reactivex.of(False),
    lambda operation: reactivex.empty(),
]


class TestChecks:
    @pytest.mark.parametrize("check", GOOD_CHECKS)
    @virtual
    async def test_that_say_yes_let_the_operation_pass(self, check: Any) -> None:
        desk = Desk(is_token_valid_or_undefined=check)

        result = await desk.run()

        assert (good()[0], 0, ["Bearer A0"]) == (result, desk.fetches, desk.server.tokens)

    @pytest.mark.parametrize("check", BAD_CHECKS)
    @virtual
    async def test_that_say_no_or_nothing_lead_to_a_refresh(self, check: Any) -> None:
        desk = Desk(is_token_valid_or_undefined=check)

        result = await desk.run()

        assert (good()[0], 1, ["Bearer A1"]) == (result, desk.fetches, desk.server.tokens)

    @pytest.mark.parametrize("check", [lambda operation: 1 / 0, later(ZeroDivisionError())])
    @virtual
    async def test_that_raise_fail_their_own_operation_only(self, check: Any) -> None:
        desk = Desk(is_token_valid_or_undefined=lambda op: check(op) if op.operation_name == "Q1" else desk.is_good())
        recorders = desk.start_many(3)

        await asyncio.sleep(5)

        assert [good("Q0"), [ZeroDivisionError], good("Q2")] == [
            [type(event) if isinstance(event, Exception) else event for event in recorder.seen]
            for recorder in recorders
        ]

    @virtual
    async def test_that_raise_later_can_be_answered_by_a_link_above_which_finds_the_slot_empty(self) -> None:
        busy: list[bool] = []
        first = iter([OSError("no clock")])

        async def check(operation: Any) -> bool:
            await asyncio.sleep(0.1)
            for error in first:
                raise error
            return True

        desk = Desk(is_token_valid_or_undefined=check)
        recorder = subscribed(execute(from_([Again(busy), desk.link]), request()))

        await asyncio.sleep(1)

        assert (good(), [False]) == (recorder.seen, busy)

    def test_need_no_event_loop_where_nothing_waits(self) -> None:
        desk = Desk(server_delay=None)
        desk.bad.clear()

        assert good() == seen_of(desk.run())

    @pytest.mark.parametrize("check", [None, later(True)])
    def test_that_need_an_event_loop_say_so_where_none_runs(self, check: Any) -> None:
        desk = Desk(**({} if check is None else {"is_token_valid_or_undefined": check}))

        seen = seen_of(desk.run())
        gc.collect()  # a warning "was never awaited" would fail the test

        assert [InvariantError] == list(map(type, seen))

    @pytest.mark.parametrize(
        ("check", "shown"),
        [
            (None, "None"),
            (True, "True"),
            ("token", "a str"),
            (lambda: True, ".*<lambda>, which takes other arguments"),
        ],
    )
    def test_that_are_no_function_of_an_operation_are_refused(self, check: Any, shown: str) -> None:
        message = rf"`is_token_valid_or_undefined` is {shown}; give a function of \(operation\)"

        with pytest.raises(InvariantTypeError, match=message):
            Desk(is_token_valid_or_undefined=check)

    @virtual
    async def test_get_the_operation_with_its_context(self) -> None:
        asked: list[Any] = []
        link = from_([ApolloLink(_with_tenant), TokenRefreshLink(**_options(asked.append)), ScriptedServer("A0")])

        execute(link, request("Tenants")).subscribe(on_error=lambda _: None)
        await asyncio.sleep(1)

        assert [("Tenants", "blue")] == [(op.operation_name, op.get_context()["tenant"]) for op in asked]

    @virtual
    async def test_are_made_once_for_each_subscription_and_not_before(self) -> None:
        """E48."""
        checks = itertools.count()
        desk = Desk(is_token_valid_or_undefined=lambda operation: next(checks) >= 0)
        results = desk.run()
        before = next(checks)

        first, second = await results, await results

        assert (0, good()[0], good()[0], 3, 2) == (before, first, second, next(checks), len(desk.server.sends))


class Again(ApolloLink):
    """Starts the rest of the chain once more on an error, and notes whether the slot was free for that."""

    def __init__(self, busy: list[bool]) -> None:
        super().__init__()
        self._busy = busy

    def connect(self, forward: Forward) -> Connect:
        def start(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
            def again(_: Exception) -> None:
                self._busy.append(root.is_busy)
                forward.connect(operation, observer, root)

            forward.connect(operation, Observer(observer.on_next, again, observer.on_completed), root)

        return start


def _with_tenant(operation: Any, forward: Any) -> Any:
    operation.set_context({"tenant": "blue"})
    return forward(operation)


def _options(check: Any) -> dict[str, Any]:
    return {
        "is_token_valid_or_undefined": lambda operation: check(operation) is None,
        "fetch_access_token": never,
        "handle_fetch": never,
    }


class TestChecksThatARefreshOvertakes:
    """E11: what they say is about the token of before."""

    def desk(self, *delays: float, **options: Any) -> tuple[Desk, list[str]]:
        asked: list[str] = []
        left = iter(delays)

        async def check(operation: Any) -> bool:
            asked.append(operation.operation_name)
            is_good = desk.is_good()
            await asyncio.sleep(next(left, 0))
            return is_good

        desk = Desk(is_token_valid_or_undefined=check, **options)
        return desk, asked

    @virtual
    async def test_are_asked_again_and_nobody_refreshes_twice_for_one_token(self) -> None:
        desk, asked = self.desk(0, 1.5)
        recorders = [desk.start("a"), desk.start("b")]

        await asyncio.sleep(3)

        assert ([good("a"), good("b")], 1, ["a", "b", "b"]) == ([one.seen for one in recorders], desk.fetches, asked)

    @virtual
    async def test_lead_to_the_next_refresh_where_the_new_token_has_ended_too(self) -> None:
        desk, _ = self.desk(0, 1.5)
        recorders = [desk.start("a"), desk.start("b")]
        await asyncio.sleep(1.2)
        expire(desk)

        await asyncio.sleep(3)

        assert ([good("a"), good("b")], 2) == ([one.seen for one in recorders], desk.fetches)
        assert ["Bearer A1", "Bearer A2"] == desk.server.tokens

    @virtual
    async def test_again_and_again_end_nevertheless(self) -> None:
        desk, asked = self.desk(0, 1.5, 3)
        slow = desk.start("a"), desk.start("slow")
        await asyncio.sleep(1.2)
        expire(desk)
        await asyncio.sleep(0.4)  # "slow" is asked again, and takes longer than the next refresh
        desk.start("c")

        await asyncio.sleep(5)

        assert ([good("a"), good("slow")], 2) == ([one.seen for one in slow], desk.fetches)
        assert 2 == asked.count("slow")

    @virtual
    async def test_that_say_yes_pass(self) -> None:
        desk, _ = self.desk(0, 1.5)
        desk.bad.clear()
        recorder = desk.start("a"), desk.start("b")

        await asyncio.sleep(3)

        assert ([good("a"), good("b")], 0) == ([one.seen for one in recorder], desk.fetches)

    @virtual
    async def test_join_the_refresh_that_is_still_under_way(self) -> None:
        desk, asked = self.desk(0, 0.5)
        recorders = [desk.start("a"), desk.start("b")]

        await asyncio.sleep(3)

        assert ([good("a"), good("b")], 1, ["a", "b"]) == ([one.seen for one in recorders], desk.fetches, asked)

    @virtual
    async def test_of_a_refresh_that_failed_start_another(self) -> None:
        desk, _ = self.desk(0, 1.5)
        desk.script.append(OSError())
        recorders = [desk.start("a"), desk.start("b")]

        await asyncio.sleep(5)

        assert ([TokenRefreshError], good("b"), 2) == (
            list(map(type, recorders[0].seen)),
            recorders[1].seen,
            desk.fetches,
        )
