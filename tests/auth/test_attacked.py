"""What testers found who attacked the session: each is a way in which something was lost, crossed or hung."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import pytest

from rxlink.auth.blocking import blocking
from rxlink.auth.events import RefreshReason
from rxlink.auth.link import AuthLink
from rxlink.auth.session import AuthSession
from rxlink.auth.sessions import AuthSessions
from rxlink.auth.storage import MemoryTokenStorage
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute, from_
from rxlink.errors import ClientClosed, InvariantTypeError, SessionEnded, TokenStorageError
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import UNAUTHENTICATED, Issuer, ScriptedServer, ScriptedStorage, bench, good, request
from tests.recording import END, subscribed

A0 = TokenSet("A0", refresh_token="R0")
TENANT: ContextVar[str] = ContextVar("tenant")


@virtual
async def test_a_session_that_is_being_closed_is_still_the_one_of_its_key(time: VirtualTime) -> None:
    """E72, E95, P1: another one would send its refresh token a second time, and sign the user out."""
    issuer, storage = Issuer(delay=5), MemoryTokenStorage(A0)
    sessions = AuthSessions(
        lambda _: AuthSession(refresh=issuer, storage=storage, clock=time.clock),
        key=lambda operation: operation.get_context()["user"],
    )
    link = from_([AuthLink(sessions), ScriptedServer("A1")])
    first = subscribed(execute(link, request("First", context={"user": "ada"})))
    await asyncio.sleep(1)
    closing = asyncio.ensure_future(sessions.close("ada"))
    await asyncio.sleep(1)

    meanwhile = subscribed(execute(link, request("Meanwhile", context={"user": "ada"})))
    await closing
    after = subscribed(execute(link, request("After", context={"user": "ada"})))
    await asyncio.sleep(10)

    assert [[ClientClosed], [ClientClosed]] == [[type(error) for error in one.seen] for one in (first, meanwhile)]
    assert (good("After"), 1) == (after.seen, len(issuer.calls))


@virtual
async def test_one_blocking_function_in_many_sessions_crosses_no_tokens() -> None:
    """E94, E96, P8: also where there are no tokens yet that would tell whose they are."""

    def of_the_tenant(tokens: TokenSet | None, reason: RefreshReason) -> str:
        return f"token-of-{TENANT.get()}"

    refresh = blocking(of_the_tenant)
    sessions = {name: AuthSession(refresh=refresh, obtain_first=True) for name in ("ada", "bob", "cyd")}

    async def token_of(name: str) -> str | None:
        TENANT.set(name)
        return await sessions[name].get_token()

    tokens = await asyncio.gather(*(asyncio.create_task(token_of(name)) for name in sessions))

    assert [f"token-of-{name}" for name in sessions] == tokens


class Broken(logging.Handler):
    """A handler whose disk is full."""

    def emit(self, record: logging.LogRecord) -> None:
        raise OSError("disk full")


@virtual
async def test_a_log_that_cannot_be_written_loses_no_operation_and_no_token(time: VirtualTime) -> None:
    """E51, P2, P10: the loop's handler hears of it."""
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint["exception"]))
    log = logging.getLogger("rxlink.auth.session")
    handler, level = Broken(), log.level
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    try:
        built = bench(time=time)
        results = built.start_many(3)
        await asyncio.sleep(1)
        await built.session.clear()
    finally:
        log.removeHandler(handler)
        log.setLevel(level)

    assert [good(f"Q{number}") for number in range(3)] == [result.seen for result in results]
    assert {OSError} == set(map(type, complaints))


@pytest.mark.parametrize("error", [asyncio.CancelledError, GeneratorExit])
@virtual
async def test_a_predicate_that_asks_a_cancelled_future_has_seen_no_auth_error(
    error: type[BaseException], time: VirtualTime
) -> None:
    """E08, E49, P2."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)

    def judge(answer: Any) -> bool:
        raise error

    built = bench(time=time, link={"is_auth_error": judge})
    result = built.start()
    await asyncio.sleep(1)

    assert [UNAUTHENTICATED, END] == result.seen


@virtual
async def test_a_result_without_data_and_without_errors_is_asked_about_too(time: VirtualTime) -> None:
    """E02: such as with a status of 401."""
    seen: list[Any] = []
    built = bench(time=time, link={"is_auth_error": lambda answer: seen.append(answer.result) or False})
    built.server.refusal = lambda: {"data": None}

    built.start()
    await asyncio.sleep(1)

    assert [{"data": None}] == seen


class TestClosing:
    @virtual
    async def test_no_further_try_is_made(self, time: VirtualTime) -> None:
        """E57."""
        issuer = Issuer(script=[OSError("down")] * 50)
        built = bench(time=time, issuer=issuer)
        built.start()
        await asyncio.sleep(1)
        tries, at = len(issuer.calls), time.monotonic()

        await built.session.aclose()
        closed_at = time.monotonic()
        await asyncio.sleep(60)

        assert (at, tries) == (closed_at, len(issuer.calls))

    @virtual
    async def test_nobody_is_asked_to_sign_in_again(self, time: VirtualTime) -> None:
        """E57, E83."""
        asked: list[Any] = []
        built = bench(time=time, issuer=Issuer(delay=2, script=[SessionEnded()]), on_session_ended=asked.append)
        built.start()
        await asyncio.sleep(1)

        await built.session.aclose()

        assert [] == asked


class TestLeavingACall:
    @virtual
    async def test_a_sign_out_goes_on(self, time: VirtualTime) -> None:
        """E79, P8: memory and storage agree, also where the request that signs out was cut off."""
        storage = ScriptedStorage(A0, clear=[lambda: asyncio.sleep(1)])
        session = AuthSession(refresh=Issuer(), storage=storage, clock=time.clock)
        await session.get_token()
        leaving = asyncio.ensure_future(session.clear())
        await asyncio.sleep(0.5)

        leaving.cancel()
        with suppress(asyncio.CancelledError):
            await leaving
        await asyncio.sleep(2)

        assert (None, None) == (storage.tokens, await session.get_token())

    @virtual
    async def test_a_sign_in_goes_on(self, time: VirtualTime) -> None:
        """E80, P8."""
        storage = ScriptedStorage(A0, save=[lambda: asyncio.sleep(1)])
        session = AuthSession(refresh=Issuer(), storage=storage, clock=time.clock)
        leaving = asyncio.ensure_future(session.set_tokens(TokenSet("B0")))
        await asyncio.sleep(0.5)

        leaving.cancel()
        with suppress(asyncio.CancelledError):
            await leaving
        await asyncio.sleep(2)

        assert (TokenSet("B0"), "B0") == (storage.tokens, await session.get_token())


class TestStoragesThatAreNone:
    @virtual
    async def test_one_with_plain_functions_is_told_so_and_not_tried_again(self) -> None:
        """P10: it looked like an outage."""

        class Plain:
            def load(self) -> TokenSet | None:
                return A0

            save = clear = load

        storage: Any = Plain()
        session = AuthSession(refresh=Issuer(), storage=storage)

        with pytest.raises(TokenStorageError, match="let `load`, `save` and `clear` be coroutine functions") as caught:
            await session.get_token()

        assert (False, InvariantTypeError) == (caught.value.retryable, type(caught.value.__cause__))


class TestNames:
    @virtual
    async def test_a_name_stands_in_the_log_and_in_the_repr(
        self, time: VirtualTime, caplog: pytest.LogCaptureFixture
    ) -> None:
        """E94, E100: of several sessions one wants to know which it was."""
        caplog.set_level(logging.INFO, "rxlink.auth.session")
        session = AuthSession(refresh=Issuer(), tokens=A0, name="100%ada", clock=time.clock)

        await session.refresh(force=True)
        shown = repr(session)
        await session.aclose()

        assert {"100%ada: RefreshStarted", "100%ada: RefreshSucceeded"} == {
            record.getMessage().partition("(")[0] for record in caplog.records
        }
        assert "<AuthSession 100%ada: authenticated, generation 2>" == shown
        assert "closed" in repr(session)


class TestContexts:
    @virtual
    async def test_a_word_in_the_place_of_yes_or_no_is_refused(self, time: VirtualTime) -> None:
        """E37: "no" is true in Python, and the mutation would run twice."""
        built = bench(time=time)
        pay = request("Pay", kind="mutation", context={"retry_mutations": "no"})
        result = subscribed(execute(built.link, pay))
        await asyncio.sleep(1)

        assert [InvariantTypeError] == [type(error) for error in result.seen]
        assert {"Pay": 1} == built.server.per_operation

    @virtual
    async def test_false_opts_out_as_none_does(self, time: VirtualTime) -> None:
        """S39: what one would guess."""
        built = bench(time=time)
        subscribed(execute(built.link, request("Login", context={"auth": False})))
        await asyncio.sleep(1)

        assert ([None], []) == (built.server.tokens, built.issuer.calls)
