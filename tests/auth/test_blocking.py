"""Blocking refreshes: in a thread, beside the loops that wait for them."""

import asyncio
import subprocess
import sys
import threading
import time
from contextvars import ContextVar
from functools import partial

import pytest

from rxlink.auth.blocking import blocking
from rxlink.auth.events import RefreshReason
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.errors import InvariantTypeError, SessionEnded, TokenRefreshError
from tests.auth.keychain import Keychain

OLD = TokenSet("a0", refresh_token="r0")
NEW = TokenSet("a1", refresh_token="r1", expires_in=100)
TENANT: ContextVar[str] = ContextVar("tenant", default="nobody")
EXPIRED = RefreshReason.EXPIRED


@pytest.fixture(autouse=True)
async def executor_ends(leaves_no_thread: None):
    """Ends the threads of `asyncio.to_thread`, which the tests themselves use."""
    yield
    await asyncio.get_running_loop().shutdown_default_executor()


async def test_runs_beside_the_loop():
    """E31: a blocking callable, marked as such, runs off the loop."""
    keychain = Keychain(NEW)
    refresh = blocking(keychain)

    waiting = asyncio.create_task(refresh(OLD, EXPIRED))
    await keychain.wait_for_start()
    assert not waiting.done(), "the loop goes on meanwhile"
    keychain.may_go_on.release()

    assert NEW is await waiting
    assert [OLD] == keychain.calls
    assert threading.main_thread() not in keychain.threads


async def test_runs_in_the_context_of_its_caller():
    """P11, E31: request ids and tenants are there, and what the function sets stays in its thread."""
    seen: list[str] = []

    def look(tokens, reason):
        seen.append(TENANT.get())
        TENANT.set("changed")
        return NEW

    TENANT.set("ada's")
    await blocking(look)(OLD, EXPIRED)

    assert ["ada's"] == seen
    assert "ada's" == TENANT.get()


@pytest.mark.parametrize("outcome", ["bare token", None, NEW])
async def test_returns_what_the_function_returns(outcome: object):
    assert outcome is await blocking(lambda tokens, reason: outcome)(None, EXPIRED)


@pytest.mark.parametrize("error", [SessionEnded(), LookupError("locked"), TokenRefreshError("x", retryable=True)])
async def test_raises_what_the_function_raises(error: Exception):
    def fail(tokens, reason):
        raise error

    with pytest.raises(type(error)) as caught:
        await blocking(fail)(OLD, EXPIRED)

    assert error is caught.value


@pytest.mark.parametrize("exit_", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit()])
async def test_an_exit_in_the_thread_fails_the_refresh_and_not_the_program(exit_: BaseException):
    """P10: whatever raises, the refresh ends with an error."""

    def leave(tokens, reason):
        raise exit_

    with pytest.raises(TokenRefreshError, match=type(exit_).__name__) as caught:
        await blocking(leave)(OLD, EXPIRED)

    assert exit_ is caught.value.__cause__
    assert not caught.value.retryable


def test_calls_on_several_loops_share_a_run():
    """P1, E55: two threads with a loop each, one run."""
    keychain = Keychain(NEW)
    refresh = blocking(keychain)
    got: list[object] = []
    threads = [
        threading.Thread(target=lambda: got.append(asyncio.run(refresh(OLD, EXPIRED)))),
        threading.Thread(target=lambda: got.append(asyncio.run(refresh(OLD, EXPIRED)))),
    ]

    threads[0].start()
    assert keychain.started.acquire(timeout=5)
    threads[1].start()
    while refresh._run is None or len(refresh._run.future._done_callbacks) < 2:
        time.sleep(0.001)  # nothing there tells
    keychain.may_go_on.release()
    for thread in threads:
        thread.join()

    assert [NEW, NEW] == got
    assert 1 == len(keychain.calls)


def test_a_run_is_joined_from_the_next_loop():
    """E54: two calls of `asyncio.run`; the first loop does not wait for the thread, and nothing complains."""
    keychain = Keychain(NEW)
    refresh = blocking(keychain)

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await refresh(OLD, EXPIRED)

    asyncio.run(give_up())
    keychain.may_go_on.release()

    assert "a1" == asyncio.run(refresh(OLD, EXPIRED)).access_token
    assert [OLD] == keychain.calls


def test_a_loop_that_closes_while_a_run_goes_on_is_left_alone(caplog: pytest.LogCaptureFixture):
    """P10: a loop that is closed without more ado is not called any more."""
    keychain = Keychain(NEW)
    refresh = blocking(keychain)
    loop = asyncio.new_event_loop()
    task = loop.create_task(refresh(OLD, EXPIRED))
    loop.run_until_complete(asyncio.sleep(0.01))
    task.cancel()
    loop.run_until_complete(asyncio.wait([task]))
    loop.close()

    keychain.may_go_on.release()
    keychain.threads[0].join()

    assert [] == caplog.records
    assert "a1" == asyncio.run(refresh(OLD, EXPIRED)).access_token


def test_a_run_that_never_ends_does_not_hold_up_the_program():
    """P10: neither the end of the loop nor that of the interpreter waits for it."""
    program = """
import asyncio, threading
from rxlink.auth.blocking import blocking

async def main():
    try:
        async with asyncio.timeout(0.05):
            await blocking(lambda tokens, reason: threading.Event().wait())(None, "expired")
    except TimeoutError:
        print("gave up")

asyncio.run(main())
"""

    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=20, check=False
    )

    assert (0, "gave up\n", "") == (finished.returncode, finished.stdout, finished.stderr)


class TestInASession:
    async def test_brings_its_tokens(self):
        """E31: the `refresh` of a session may block."""
        refresh = blocking(lambda tokens, reason: NEW)
        async with AuthSession(refresh=refresh, tokens=OLD) as session:
            await session.refresh(force=True)

            assert "a1" == await session.get_token()


class TestRefuses:
    @pytest.mark.parametrize("fn", [None, "text", 3, lambda: NEW, lambda tokens: NEW])
    def test_what_cannot_be_called_with_tokens_and_reason(self, fn: object):
        with pytest.raises(InvariantTypeError, match="`fn` of blocking"):
            blocking(fn)

    @pytest.mark.parametrize("wrap", [lambda fn: fn, partial])
    def test_a_coroutine_function(self, wrap):
        async def get_new_tokens(tokens, reason):
            return NEW

        with pytest.raises(InvariantTypeError, match="without blocking"):
            blocking(wrap(get_new_tokens))

    async def test_a_function_that_returns_a_coroutine(self):
        async def get_new_tokens():
            return NEW

        with pytest.raises(InvariantTypeError, match="give it to AuthSession as it is"):
            await blocking(lambda tokens, reason: get_new_tokens())(OLD, EXPIRED)


def test_shows_the_function_and_no_tokens():
    """P7: what a partial carries may be secret."""

    def ask(secret, tokens, reason):
        return NEW

    assert "blocking(a partial of test_shows_the_function_and_no_tokens.<locals>.ask)" == repr(
        blocking(partial(ask, "s3cret"))
    )
