"""What users' own code may do to a refresh: every operation ends all the same, and the session works again."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import pytest
from reactivex.scheduler import TimeoutScheduler

from rxlink.auth.link import AuthLink
from rxlink.auth.pacing import CoolDown, asked_pause, is_transient
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute, from_
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import RxlinkError, ServerError, SessionEnded, TokenRefreshError, TokenStorageError
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import Issuer, bench, good

NOW = datetime(2026, 1, 1, tzinfo=UTC)
REFUSED = TokenSet("A0", refresh_token="R0")


class WithoutSuper(SessionEnded):
    def __init__(self) -> None:
        self.code = 1


class WithArgument(TokenRefreshError):
    def __new__(cls, code: int) -> Self:
        return super().__new__(cls)

    def __init__(self, code: int) -> None:
        super().__init__("no", retryable=False)


class Unprintable(SessionEnded):
    def __str__(self) -> str:
        raise ValueError


class Status(Exception):
    def __init__(self, status: int, headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers or {}


async def _errors(built: Any, count: int = 3) -> list[BaseException]:
    operations = [built.run() for _ in range(count)]
    answers = await asyncio.wait_for(asyncio.gather(*operations, return_exceptions=True), 60)
    return [answer for answer in answers if isinstance(answer, BaseException)]


@pytest.mark.parametrize(
    "error", [WithoutSuper(), WithArgument(1), Unprintable()], ids=lambda error: type(error).__name__
)
@virtual
async def test_errors_of_a_users_own_class_reach_everyone_who_waits(error: Exception, time: VirtualTime) -> None:
    """P2, P10: whatever their class lacks."""
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    built = bench(time=time, issuer=Issuer(script=[error]))

    errors = await _errors(built)

    assert 3 == len(errors)
    assert all(isinstance(error, RxlinkError) for error in errors)


@virtual
async def test_a_clock_that_raises_while_a_refresh_fails_reaches_everyone_who_waits(time: VirtualTime) -> None:
    """P2, P10."""
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    broken = False

    def clock() -> Any:
        if broken:
            raise OSError
        return time.clock()

    async def refresh(tokens: TokenSet | None, reason: str) -> TokenSet:
        nonlocal broken
        await asyncio.sleep(1)
        broken = True
        raise ValueError

    built = bench(clock=clock, refresh=refresh)

    errors = await _errors(built)
    broken = False

    assert [TokenRefreshError] * 3 == [type(error) for error in errors]


@virtual
async def test_a_timer_that_cannot_be_set_leaves_a_session_that_works_again(time: VirtualTime) -> None:
    """P10: such as one on the scheduler of a loop that was closed."""

    class Broken(TimeoutScheduler):
        is_broken = True

        def schedule_relative(self, *arguments: Any) -> Any:
            if self.is_broken:
                raise RuntimeError("closed")
            return time.scheduler.schedule_relative(*arguments)

    scheduler: Any = Broken()
    built = bench(time=time, scheduler=scheduler)

    first = await _errors(built, 1)
    scheduler.is_broken = False
    second = await built.run()

    assert [RuntimeError] == [type(error) for error in first]
    assert good()[0] == second


@virtual
async def test_a_storage_that_cancels_its_own_save_fails_no_operation(time: VirtualTime) -> None:
    """P4."""

    class Storage:
        async def load(self) -> TokenSet:
            return REFUSED

        async def save(self, tokens: TokenSet) -> None:
            raise asyncio.CancelledError

        async def clear(self) -> None:
            """Do nothing."""

    built = bench(tokens=None, storage=Storage(), time=time)

    assert [] == await _errors(built)


@pytest.mark.parametrize("call", ["set_tokens", "clear"])
@virtual
async def test_a_storage_that_hangs_ends_within_the_time_limit(call: str, time: VirtualTime) -> None:
    """P10."""

    class Storage:
        async def load(self) -> TokenSet:
            return REFUSED

        async def save(self, tokens: TokenSet) -> None:
            await asyncio.Event().wait()

        async def clear(self) -> None:
            await asyncio.Event().wait()

    session = AuthSession(refresh=Issuer(), storage=Storage(), clock=time.clock, refresh_timeout=5)
    arguments = [TokenSet("B0")] if call == "set_tokens" else []

    with pytest.raises(TokenStorageError) as failure:
        await getattr(session, call)(*arguments)

    assert (5, TimeoutError) == (time.monotonic(), type(failure.value.__cause__))


def test_the_cool_down_ends_where_the_clock_is_set_back() -> None:
    """E62."""
    now = NOW
    cool_down = CoolDown()
    for _ in range(3):
        cool_down.count_rejection(now)

    assert [True, False, False] == [
        cool_down.is_on(now + timedelta(seconds=1)),
        cool_down.is_on(now + timedelta(seconds=31)),
        cool_down.is_on(now - timedelta(hours=2)),
    ]


@pytest.mark.parametrize(("status", "expected"), [(400, False), (401, False), (408, True), (429, True), (503, True)])
def test_a_status_on_a_foreign_exception_says_whether_trying_again_may_help(status: int, expected: bool) -> None:
    """E19: the session is kept in any case."""
    assert expected is is_transient(Status(status))


def test_a_pause_is_read_from_the_headers_of_an_error() -> None:
    """E22."""
    now = NOW
    date = (now + timedelta(seconds=90)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    server = ServerError("busy", status_code=429, headers={"retry-after": "7"}, body_text="")

    pauses = [
        asked_pause(error, now)
        for error in (server, Status(429, {"Retry-After": " 12 "}), Status(503, {"Retry-After": date}), Status(503))
    ]

    assert [7, 12, 90, None] == pauses


def test_a_pause_until_a_date_is_measured_by_the_clock_that_said_it() -> None:
    """E22, E61: ours may be an hour slow."""
    says = {"Retry-After": "Thu, 01 Jan 2026 01:01:30 GMT", "Date": "Thu, 01 Jan 2026 01:00:00 GMT"}

    assert 90 == asked_pause(Status(503, says), NOW)


def test_an_advisory_refresh_that_no_loop_can_run_keeps_no_operation_back() -> None:
    """E27, P5."""
    with VirtualTime() as time:
        issuer = Issuer()
        ends = time.clock() + timedelta(seconds=20)
        session = AuthSession(refresh=issuer, tokens=TokenSet("A0", expires_in=200, expires_at=ends), clock=time.clock)
        built = bench(valid=["A0"], delay=None)
        seen: list[Any] = []

        link = from_([AuthLink(session), built.server])
        execute(link, GraphQLRequest("query Q { echo }")).subscribe(seen.append)

    assert good()[:1] == seen
