"""Ask before each operation whether its token is good, and get a new one first where it is not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import REQUEST_ID, good, request
from tests.auth.token_desk import Desk, expire
from tests.recording import seen_of


class TestOneRefresh:
    @pytest.mark.parametrize("count", [1, 50, 1000])
    @virtual
    async def test_serves_all_who_wait_each_sent_once_and_in_order(self, count: int) -> None:
        """S07, S08, S15, E13."""
        desk = Desk()
        recorders = desk.start_many(count)

        await asyncio.sleep(2)

        assert [good(f"Q{number}") for number in range(count)] == [recorder.seen for recorder in recorders]
        assert [f"Q{number}" for number in range(count)] == [send.name for send in desk.server.sends]
        assert ({"Bearer A1"}, 1, [("A1", "Q0")]) == (set(desk.server.tokens), desk.fetches, desk.stored)

    @virtual
    async def test_is_joined_by_who_comes_meanwhile_and_started_anew_after_the_next_expiry(self) -> None:
        """S16, E10, E47."""
        desk = Desk()
        seen = []
        for wave in range(3):
            recorders = [desk.start(f"a{wave}")]
            await asyncio.sleep(0.5)
            recorders.append(desk.start(f"b{wave}"))
            await asyncio.sleep(1)
            seen += [recorder.seen for recorder in recorders]
            expire(desk)

        assert [good(f"{name}{wave}") for wave in range(3) for name in "ab"] == seen
        assert (3, 6) == (desk.fetches, len(desk.server.sends))

    @virtual
    async def test_is_shared_by_the_chains_in_which_the_link_stands(self) -> None:
        """E15."""
        desk = Desk()
        other = from_([desk.refresh_link, desk.server])
        results = [desk.run("a"), execute(other, request("b"))]

        for result in results:
            result.subscribe(on_error=lambda _: None)
        await asyncio.sleep(2)

        assert (1, ["a", "b"]) == (desk.fetches, [send.name for send in desk.server.sends])

    @virtual
    async def test_concerns_nobody_whose_token_is_good(self) -> None:
        """E16."""
        desk = Desk(is_token_valid_or_undefined=lambda operation: operation.operation_name != "a")
        waiting, passing = desk.start("a"), desk.start("b")

        await asyncio.sleep(0.5)

        assert ([], good("b")) == (waiting.seen, passing.seen)
        await asyncio.sleep(1)
        assert good("a") == waiting.seen

    @virtual
    async def test_is_not_disturbed_by_an_operation_that_fails_when_it_is_released(self, time: VirtualTime) -> None:
        """E50; in the original it fails all the others."""
        complaints: list[type] = []
        time.loop.set_exception_handler(lambda _, told: complaints.append(type(told["exception"])))
        desk = Desk(server_delay=None)
        desk.run("a").subscribe(lambda _: 1 / 0)
        recorders = [desk.start("b"), desk.start("c")]

        await asyncio.sleep(2)

        assert ([good("b"), good("c")], [ZeroDivisionError]) == ([one.seen for one in recorders], complaints)
        assert [] == desk.errors

    @virtual
    async def test_lets_the_operations_pass_that_it_sends_itself(self) -> None:
        """S38, E29."""

        async def fetch() -> Any:
            await asyncio.sleep(1)
            result = await desk.run("Refresh")
            return result["data"]["echo"]

        desk = Desk(fetch_access_token=fetch)
        desk.server.accept_only("A0", "Refresh")  # the echo is the token
        recorders = desk.start_many(2)

        await asyncio.sleep(2)

        assert [good("Q0"), good("Q1")] == [recorder.seen for recorder in recorders]
        assert (["Refresh", "Q0", "Q1"], "Refresh") == ([send.name for send in desk.server.sends], desk.token)

    @virtual
    async def test_may_be_an_operation_through_the_same_chain_by_itself(self) -> None:
        desk = Desk(fetch_access_token=lambda: desk.run("Refresh"), access_token_field="echo")

        await desk.run()

        assert ["Refresh", "Q"] == [send.name for send in desk.server.sends]

    @virtual
    async def test_is_gone_through_by_who_retries_after_a_failure(self) -> None:
        desk = Desk(OSError("offline"))

        def again(operation: Any, forward: Any) -> Any:
            return forward(operation).catch(lambda error, _: forward(operation))

        result = await execute(from_([ApolloLink(again), desk.link]), request())

        assert (good()[0], 2) == (result, desk.fetches)


class TestContexts:
    @virtual
    async def test_each_operation_goes_on_in_its_own_whoever_released_it(self) -> None:
        """P11."""
        desk = Desk()
        heard: list[Any] = []
        for number in range(3):
            token = REQUEST_ID.set(number)
            desk.run(f"Q{number}").subscribe(lambda _, number=number: heard.append((number, REQUEST_ID.get())))
            REQUEST_ID.reset(token)

        await asyncio.sleep(2)

        assert [(number, number) for number in range(3)] == heard
        assert [0, 1, 2] == [send.request_id for send in desk.server.sends]

    @virtual
    async def test_each_error_is_delivered_in_its_own(self) -> None:
        """P11."""
        desk = Desk(OSError())
        heard: list[Any] = []
        for number in range(3):
            token = REQUEST_ID.set(number)
            desk.run().subscribe(on_error=lambda _, number=number: heard.append((number, REQUEST_ID.get())))
            REQUEST_ID.reset(token)

        await asyncio.sleep(2)

        assert [(number, number) for number in range(3)] == heard

    @virtual
    async def test_a_check_runs_in_that_of_its_operation_and_the_refresh_in_that_of_who_set_it_off(self) -> None:
        """P11."""
        checks: list[Any] = []
        fetched: list[Any] = []

        async def check(operation: Any) -> bool:
            await asyncio.sleep(0.1)
            checks.append((operation.operation_name, REQUEST_ID.get()))
            return False

        async def fetch() -> str:
            await asyncio.sleep(0.1)
            fetched.append(REQUEST_ID.get())
            return "A1"

        desk = Desk(is_token_valid_or_undefined=check, fetch_access_token=fetch)
        desk.start_many(2)

        await asyncio.sleep(2)

        assert ([("Q0", 0), ("Q1", 1)], [0], [0, 1]) == (
            checks,
            fetched,
            [send.request_id for send in desk.server.sends],
        )


class TestPlaceInTheChain:
    def test_at_the_end_is_an_error_that_says_so(self) -> None:
        desk = Desk()
        desk.bad.clear()

        [error] = seen_of(execute(from_([desk.refresh_link]), request()))

        assert "reached the end of the chain" in str(error)

    def test_prints_no_secret(self) -> None:
        assert "<TokenRefreshLink>" == repr(Desk().refresh_link)
