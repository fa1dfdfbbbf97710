"""GraphQLWsLink after its socket is gone: after what it connects anew, when, and how often."""

import asyncio
from datetime import timedelta
from unittest.mock import patch

import pytest

from rxlink import NetworkError, ServerError, SocketClosed, WebSocketLink
from rxlink.testing.virtual_time import VirtualTime, virtual
from rxlink.transport.websocket import WebSocketConnecting, WebSocketRetrying
from tests.recording import END
from tests.transport.websocket_bench import Bench, bench, settle, ticks, unused_url

RETRIED = (1000, 1001, 1012, 1013, 1014, 3000, 4000, 4205, 4403, 4408, 4499, 4504, 4999)
FATAL = (1002, 1003, 1007, 1008, 1009, 1010, 1011, 4004, 4005, 4400, 4401, 4406, 4409, 4429, 4500)
NO_CODE = b"\x88\x00"
"""A close frame with nothing in it."""
A_QUARTER = 0.25
"""Seconds that chance adds to each wait here."""

no_chance = patch("rxlink.transport._retry_wait.random.uniform", return_value=A_QUARTER)


def nowhere() -> str:
    """Fail as a connection does that cannot be made, without one."""
    raise NetworkError("there is no way")


def times_of_tries(link: Bench, time: VirtualTime) -> list[float]:
    """Return a list of when the link begins to connect, which grows."""
    times: list[float] = []
    link.link.events.subscribe(
        lambda event: times.append(round(time.monotonic(), 3)) if isinstance(event, WebSocketConnecting) else None
    )
    return times


@pytest.mark.parametrize("code", RETRIED)
@virtual
async def test_after_these_close_codes_it_connects_anew_and_sends_what_ran_again(code: int) -> None:
    async with bench() as link:
        seen = link.start("A").seen
        first, ids = await link.accept("A")
        await first.deliver(ids["A"], tick=1)

        await first.close(code, "see you")
        second, ids = await link.accept("A")
        await second.deliver(ids["A"], tick=2)
        await settle()

        assert ticks(1, 2) == seen


@pytest.mark.parametrize("code", FATAL)
@virtual
async def test_after_these_close_codes_operations_end(code: int) -> None:
    async with bench(should_retry=lambda error: True) as link:
        recorders = [link.start("A"), link.start("B", "query")]
        connection, _ = await link.accept("A", "B")

        await connection.close(code, "never")
        await asyncio.sleep(60)

        errors = [error for recorder in recorders for error in recorder.seen]
        assert [code, code] == [error.code for error in errors]
        assert errors[0] is not errors[1]
        assert f"Socket closed with event {code} never" in str(errors[0])
        assert 1 == len(link.server.handshakes)
        assert "idle" == link.states[-1]


@virtual
async def test_a_close_without_a_code_and_a_cut_are_retried_too() -> None:
    async with bench() as link:
        seen = link.start("A").seen
        connection, _ = await link.accept("A")

        connection.send_raw(NO_CODE)
        connection, _ = await link.accept("A")
        connection.abort()
        connection, _ = await link.accept("A")
        connection.hang_up()
        connection, ids = await link.accept("A")
        await connection.deliver(ids["A"], tick=1)
        await settle()

        assert ticks(1) == seen
        assert [1005, 1006, 1006] == [event.code for event in link.events if hasattr(event, "code")]


@virtual
async def test_it_waits_by_default_as_graphql_ws_does_and_gives_up_after_five_tries(time: VirtualTime) -> None:
    with no_chance as chance:
        async with bench(url=unused_url()) as link:
            times = times_of_tries(link, time)

            seen = link.start("A").seen
            await asyncio.sleep(100)

            assert [0.0, 1.25, 3.5, 7.75, 16.0, 32.25] == times
            assert [(0.3, 3.0)] * 5 == [call.args for call in chance.call_args_list]
            assert [NetworkError] == [type(error).__mro__[0] for error in seen]
            assert [0, 1, 2, 3, 4] == [event.retries for event in link.events if isinstance(event, WebSocketRetrying)]
            assert "idle" == link.states[-1]


@pytest.mark.parametrize(("attempts", "tries"), [(0, 1), (1, 2), (3, 4), (None, 101)])
@virtual
async def test_it_tries_so_often_in_a_row(attempts: int | None, tries: int, time: VirtualTime) -> None:
    async with bench(url=nowhere, retry_attempts=attempts, retry_wait=lambda retries: 1.0) as link:
        times = times_of_tries(link, time)

        seen = link.start("A").seen
        await asyncio.sleep(100.5)

        assert [float(number) for number in range(tries)] == times
        assert (attempts is None) == (seen == [])


@virtual
async def test_tries_count_from_the_last_connection_that_has_brought_a_result(time: VirtualTime) -> None:
    asked: list[int] = []
    async with bench(retry_attempts=1, retry_wait=lambda retries: asked.append(retries) or 1.0) as link:
        seen = link.start("A").seen

        for number in range(5):
            connection, ids = await link.accept("A")
            await connection.deliver(ids["A"], tick=number)
            await settle()
            connection.abort()
        await link.accept("A")

        assert ticks(*range(5)) == seen
        assert [0] * 5 == asked


@virtual
async def test_a_connection_that_is_never_acknowledged_counts_as_a_failure() -> None:
    async with bench(retry_attempts=2, retry_wait=lambda retries: 0) as link:
        seen = link.start("A").seen

        for _ in range(3):
            connection = await link.server.connection()
            await connection.expect("connection_init")
            await connection.close(1013, "busy")
        await settle()

        assert [1013] == [error.code for error in seen]
        assert 3 == len(link.server.handshakes)


@virtual
async def test_the_wait_may_be_a_number_a_timedelta_or_an_awaitable(time: VirtualTime) -> None:
    async def wait(seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def wait_for_it() -> float:
        await asyncio.sleep(1)
        return 7.0

    answers = [2, timedelta(seconds=3), wait(4), wait_for_it(), 0]
    async with bench(url=nowhere, retry_wait=lambda retries: answers[retries]) as link:
        times = times_of_tries(link, time)

        link.start("A")
        await asyncio.sleep(100)

        assert [0.0, 2.0, 5.0, 9.0, 17.0, 17.0] == times


@pytest.mark.parametrize("answer", ["soon", -1, float("nan")])
@virtual
async def test_a_wait_that_is_none_ends_operations_with_an_error(answer: object) -> None:
    async with bench(url=unused_url(), retry_wait=lambda retries: answer) as link:
        seen = link.start("A").seen

        await asyncio.sleep(10)

        assert ["`retry_wait`" in str(error) for error in seen] == [True]


@virtual
async def test_should_retry_decides_about_what_is_not_fatal_in_any_case() -> None:
    asked: list[Exception] = []
    async with bench(should_retry=lambda error: asked.append(error) or False) as link:
        seen = link.start("A").seen
        connection, _ = await link.accept("A")

        await connection.close(1001, "going away")
        await asyncio.sleep(60)

        assert [1001] == [error.code for error in seen]
        assert [1001] == [error.code for error in asked if isinstance(error, SocketClosed)]
        assert 1 == len(link.server.handshakes)


@virtual
async def test_should_retry_may_try_again_what_seems_hopeless() -> None:
    async with bench(should_retry=lambda error: isinstance(error, ServerError)) as link:
        link.server.refusal = 404
        recorder = link.start("A", "query")
        await link.server.handshake()
        link.server.refusal = None

        connection, ids = await link.accept("A")
        await connection.deliver(ids["A"], tick=1)
        await connection.complete(ids["A"])
        await settle()

        assert [*ticks(1), END] == recorder.seen


@pytest.mark.parametrize(
    ("status", "is_retried"), [(400, False), (404, False), (429, True), (500, True), (501, False), (503, True)]
)
@virtual
async def test_a_refused_handshake_is_retried_where_that_may_help(status: int, is_retried: bool) -> None:
    async with bench(retry_attempts=2) as link:
        link.server.refusal = status

        seen = link.start("A").seen
        await asyncio.sleep(60)

        assert [status] == [error.status_code for error in seen if isinstance(error, ServerError)]
        assert (3 if is_retried else 1) == len(link.server.handshakes)


@virtual
async def test_is_fatal_connection_problem_ends_what_else_would_be_retried() -> None:
    async with bench(is_fatal_connection_problem=lambda error: True, should_retry=lambda error: True) as link:
        seen = link.start("A").seen
        connection, _ = await link.accept("A")

        await connection.close(1001)
        await asyncio.sleep(60)

        assert [1001] == [error.code for error in seen]
        assert 1 == len(link.server.handshakes)


@pytest.mark.parametrize("name", ["should_retry", "is_fatal_connection_problem", "retry_wait"])
@virtual
async def test_functions_that_raise_end_operations_with_what_they_raised(name: str) -> None:
    mistake = ZeroDivisionError("of the application")

    def raises(_: object) -> bool:
        raise mistake

    async with bench(**{name: raises}) as link:
        recorders = [link.start("A"), link.start("B")]
        connection, _ = await link.accept("A", "B")

        await connection.close(1001)
        await asyncio.sleep(60)

        assert [[mistake], [mistake]] == [recorder.seen for recorder in recorders]
        assert 1 == len(link.server.handshakes)
        assert "idle" == link.states[-1]


@virtual
async def test_after_it_has_given_up_the_next_operation_connects_at_once(time: VirtualTime) -> None:
    async with bench(retry_attempts=0) as link:
        link.start("A")
        connection, _ = await link.accept("A")
        await connection.close(1001)
        gone = time.monotonic()

        seen = link.start("B").seen
        connection, ids = await link.accept("B")
        await connection.deliver(ids["B"], tick=1)
        await settle()

        assert ticks(1) == seen
        assert 0.5 > time.monotonic() - gone


@virtual
async def test_the_older_protocol_connects_anew_by_the_same_rules() -> None:
    async with bench(link=WebSocketLink, subprotocol="graphql-ws") as link:
        seen = link.start("A").seen
        connection, _ = await link.accept("A")

        connection.abort()
        connection, ids = await link.accept("A")
        await connection.deliver(ids["A"], tick=1)
        await settle()

        assert ticks(1) == seen
