"""How a refresh of TokenRefreshLink ends: told to the application, in time, by closing, with its loop."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from rxlink.errors import ClientClosed, SessionEnded, TokenRefreshError, TokenRefreshTimeout
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import good, never
from tests.auth.token_desk import Desk, expire, later


def complaints_of(time: VirtualTime) -> list[type]:
    seen: list[type] = []
    time.loop.set_exception_handler(lambda _, told: seen.append(type(told["exception"])))
    return seen


class TestHandleError:
    @pytest.mark.parametrize("raised", [RuntimeError, SessionEnded])
    @virtual
    async def test_that_raises_is_reported_and_nobody_hangs(self, raised: Any, time: VirtualTime) -> None:
        complaints = complaints_of(time)

        def logout(error: Exception, operation: Any) -> None:
            raise raised

        desk = Desk(OSError(), handle_error=logout)
        recorder = desk.start()
        await asyncio.sleep(2)
        again = desk.start("again")
        await asyncio.sleep(2)

        assert ([TokenRefreshError], [raised], good("again")) == (
            list(map(type, recorder.seen)),
            complaints,
            again.seen,
        )

    @virtual
    async def test_may_take_its_time_while_the_operations_do_not_wait(self, time: VirtualTime) -> None:
        done: list[float] = []

        async def logout(error: Exception, operation: Any) -> None:
            await asyncio.sleep(5)
            done.append(time.monotonic())

        desk = Desk(OSError(), handle_error=logout)
        recorder = desk.start()
        await asyncio.sleep(1.5)
        seen = list(map(type, recorder.seen))
        await asyncio.sleep(10)

        assert ([TokenRefreshError], [6.0]) == (seen, done)
        assert not desk.refresh_link.renewal._chores

    @virtual
    async def test_that_raises_later_is_reported(self, time: VirtualTime) -> None:
        complaints = complaints_of(time)
        desk = Desk(OSError(), handle_error=later(RuntimeError("logout failed")))
        desk.start()

        await asyncio.sleep(5)

        assert [RuntimeError] == complaints

    @virtual
    async def test_may_start_the_next_refresh(self) -> None:
        recorders: list[Any] = []
        desk = Desk(OSError(), handle_error=lambda *_: recorders.append(desk.start("next")))
        desk.start()

        await asyncio.sleep(5)

        assert ([good("next")], 2) == ([recorder.seen for recorder in recorders], desk.fetches)


class TestTimeLimit:
    @pytest.mark.parametrize("limit", [4, timedelta(seconds=4)])
    @pytest.mark.parametrize("stalled", ["fetch_access_token", "handle_fetch", "handle_response"])
    @virtual
    async def test_ends_a_refresh_that_stalls_and_leaves_a_link_that_works(
        self, stalled: str, limit: Any, time: VirtualTime
    ) -> None:
        """P10, E18, E23."""
        hang: Any = (lambda *_: never) if stalled == "handle_response" else never
        desk = Desk(refresh_timeout=limit, delay=0, **{stalled: hang})
        recorders = desk.start_many(3)

        await asyncio.sleep(4.1)

        assert [[TokenRefreshTimeout]] * 3 == [list(map(type, recorder.seen)) for recorder in recorders]
        assert [TokenRefreshTimeout] == [type(error) for error, _ in desk.errors]
        assert "did not end within 4 s" in str(desk.errors[0][0])
        again = desk.start("again")
        await asyncio.sleep(4.1)
        assert [TokenRefreshTimeout] == list(map(type, again.seen))

    @virtual
    async def test_is_that_of_the_scheduler_where_one_is_given(self, time: VirtualTime) -> None:
        desk = Desk(never, scheduler=time.scheduler)
        recorder = desk.start()

        await asyncio.sleep(30.1)

        assert [TokenRefreshTimeout] == list(map(type, recorder.seen))

    @virtual
    async def test_is_not_what_an_endpoint_calls_a_timeout(self) -> None:
        desk = Desk(TimeoutError("connect"))

        with pytest.raises(TokenRefreshError) as raised:
            await desk.run()

        assert (TokenRefreshError, TimeoutError, True) == (
            type(raised.value),
            type(desk.errors[0][0]),
            raised.value.retryable,
        )


class TestClosing:
    @virtual
    async def test_ends_those_who_wait_and_stores_what_still_comes(self, time: VirtualTime) -> None:
        """E57."""
        desk = Desk()
        recorders = desk.start_many(2)
        await asyncio.sleep(0.5)

        await desk.link.aclose()

        assert [[ClientClosed]] * 2 == [list(map(type, recorder.seen)) for recorder in recorders]
        assert recorders[0].seen[0] is not recorders[1].seen[0]
        assert "TokenRefreshLink" in str(recorders[0].seen[0])
        assert (1.0, "A1", []) == (time.monotonic(), desk.token, desk.server.sends)

    @virtual
    async def test_lets_no_later_operation_start_a_refresh(self) -> None:
        desk = Desk()
        await desk.refresh_link.aclose()
        await desk.refresh_link.aclose()

        with pytest.raises(ClientClosed):
            await desk.run()

        assert 0 == desk.fetches

    @pytest.mark.parametrize(("seconds", "expected"), [(5.0, ["done"]), (100.0, [])])
    @virtual
    async def test_waits_for_the_error_handler_but_not_for_ever(self, seconds: float, expected: Any) -> None:
        done: list[str] = []

        async def logout(error: Exception, operation: Any) -> None:
            await asyncio.sleep(seconds)
            done.append("done")

        desk = Desk(OSError(), handle_error=logout)
        desk.start()
        await asyncio.sleep(2)

        await desk.refresh_link.aclose()

        assert expected == done

    @virtual
    async def test_from_inside_the_refresh_is_refused(self) -> None:
        desk = Desk(handle_fetch=lambda token, operation: desk.refresh_link.aclose())

        with pytest.raises(TokenRefreshError):
            await desk.run()

        assert "closed from inside its own refresh" in str(desk.errors[0][0])


class TestLoops:
    def test_one_link_serves_one_loop_after_another(self) -> None:
        """E54; also where the first died in the midst of a refresh."""
        desk = Desk(never, delay=0)

        async def leave_early() -> None:
            desk.start()
            await asyncio.sleep(0.01)

        asyncio.run(leave_early())
        result = asyncio.run(_await(desk))
        expire(desk)
        again = asyncio.run(_await(desk))

        assert (good()[0], good()[0], 3) == (result, again, desk.fetches)


async def _await(desk: Desk) -> Any:
    return await desk.run()
