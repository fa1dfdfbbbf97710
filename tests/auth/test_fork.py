"""A session in a forked child: its refresh token is the parent's too, and must not be used by both.

Each program runs in an interpreter of its own: pytest's has threads, and must not be forked.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no process is forked on this system")

PATIENCE = 10
"""Real seconds for a child that should take a moment."""

BEGINNING = f"""
import asyncio, os, signal, sys, threading, time, traceback
from datetime import UTC, datetime, timedelta
from rxlink import AuthLink, AuthSession, GraphQLRequest, TokenSet, execute, from_
from rxlink.errors import InvariantError, SessionEnded
from tests.auth.scripted import ScriptedServer, ScriptedStorage

def ends_in(seconds):
    return datetime.now(UTC) + timedelta(seconds=seconds)

refreshed = []

async def refresh(tokens, reason):
    refreshed.append(os.getpid())
    return TokenSet("A1", refresh_token="R1")

def in_child(check):
    pid = os.fork()
    if pid == 0:
        signal.alarm({PATIENCE})
        try:
            outcome = asyncio.run(check())
            print(outcome, flush=True)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

async def said(awaitable):
    try:
        return await awaitable
    except Exception as error:
        return f"{{type(error).__name__}}: {{error}}"
"""

REFUSED = (
    "InvariantError: this AuthSession was made before the process was forked, and its refresh token may be used by the "
    "parent; make a session in each process, or give them a storage that they share"
)


def lines_of(program: str) -> list[str]:
    """What a program prints, its children's words included."""
    # From Python 3.12 on a fork beside threads is warned of; it is what is tested here.
    done = subprocess.run(
        [sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c", BEGINNING + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout.splitlines()


def test_a_token_that_is_good_is_used_and_no_refresh_is_made() -> None:
    """E72: the refresh token is single use, and the parent has it."""
    lines = lines_of("""
        session = AuthSession(refresh=refresh, tokens=TokenSet("A0", refresh_token="R0"))

        async def check():
            return await session.get_token(), await said(session.refresh(force=True)), refreshed

        in_child(check)
        token = asyncio.run(session.refresh(force=True)).access_token
        print(token, refreshed == [os.getpid()])
    """)

    assert [str(("A0", REFUSED, [])), "A1 True"] == lines


def test_operations_go_out_with_a_good_token_and_fail_where_it_would_have_to_be_replaced() -> None:
    """E72, P2."""
    lines = lines_of("""
        server = ScriptedServer("A0")

        def chain(seconds):
            tokens = TokenSet("A0", refresh_token="R0", expires_at=ends_in(seconds), expires_in=None)
            return from_([AuthLink(AuthSession(refresh=refresh, tokens=tokens)), server])

        good, ending, over = chain(3600), chain(30), chain(-1)

        async def check():
            request = GraphQLRequest("query Q { echo }")
            for link in (good, ending, over):
                print(await said(execute(link, request)))
            server.accept_only()
            print(await said(execute(good, request)))
            return server.tokens, refreshed

        in_child(check)
    """)

    assert [
        "{'data': {'echo': 'Q'}}",
        "{'data': {'echo': 'Q'}}",
        REFUSED,
        REFUSED,
        str((["Bearer A0"] * 3, [])),
    ] == lines


def test_a_shared_storage_permits_it() -> None:
    """E72, E68: then the processes settle it through the storage."""
    lines = lines_of("""
        storage = ScriptedStorage(TokenSet("A0", refresh_token="R0"))
        session = AuthSession(refresh=refresh, storage=storage)
        asyncio.run(session.get_token())

        async def check():
            tokens = await session.refresh(force=True)
            return tokens.access_token, storage.tokens.access_token, refreshed == [os.getpid()]

        in_child(check)
    """)

    assert [str(("A1", "A1", True))] == lines


def test_a_session_made_in_the_child_is_its_own() -> None:
    """E72: the cure that the error names."""
    lines = lines_of("""
        async def check():
            session = AuthSession(refresh=refresh, tokens=TokenSet("A0", refresh_token="R0"))
            return (await session.refresh(force=True)).access_token

        in_child(check)
    """)

    assert ["A1"] == lines


@pytest.mark.parametrize("where", ["load", "refresh", "save"])
def test_what_was_under_way_at_the_fork_holds_up_nobody(where: str) -> None:
    """E72, P2, P10: it goes on in the parent, and the child starts anew."""
    lines = lines_of(f"""
        where = {where!r}
        slow = lambda: asyncio.sleep(0.3)
        failures = {{where: [slow]}} if where != "refresh" else {{}}
        storage = ScriptedStorage(TokenSet("A0", refresh_token="R0"), **failures)
        calls = []

        async def refresh_slowly(tokens, reason):
            calls.append(os.getpid())
            if where == "refresh" and len(calls) == 1:
                await slow()
            return TokenSet(f"A{{len(calls)}}", refresh_token=f"R{{len(calls)}}")

        session = AuthSession(refresh=refresh_slowly, storage=storage)

        async def check():
            began = time.monotonic()
            tokens = await session.refresh(force=True)
            await session.set_tokens(TokenSet("B0"))
            await session.clear()
            await session.aclose()
            return tokens.access_token, storage.tokens, time.monotonic() - began < 5

        async def main():
            if where != "load":
                await session.get_token()
            waits = asyncio.ensure_future(session.refresh(force=True))
            await asyncio.sleep(0.1)
            in_child(check)
            print((await waits).access_token)
            await session.aclose()

        asyncio.run(main())
    """)

    assert {"load": ["A1", "A1"], "refresh": ["A2", "A1"], "save": ["A2", "A1"]}[where] == [
        lines[0][2:4],
        lines[1],
    ]
    assert lines[0].endswith(", None, True)")


def test_a_refresh_under_way_in_another_thread_holds_up_nobody_either() -> None:
    """E72, P2: with a session in memory the child is told, and does not wait for a thread that it has not got."""
    lines = lines_of("""
        tokens = TokenSet("A0", refresh_token="R0", expires_at=ends_in(-1))
        under_way, over = threading.Event(), threading.Event()

        async def refresh_slowly(tokens, reason):
            under_way.set()
            await asyncio.to_thread(over.wait, 10)
            return TokenSet("A1", refresh_token="R1")

        session = AuthSession(refresh=refresh_slowly, tokens=tokens)
        thread = threading.Thread(target=lambda: print(asyncio.run(session.get_token()), flush=True), daemon=True)
        thread.start()
        under_way.wait()

        async def check():
            return await said(session.get_token())

        in_child(check)
        over.set()
        thread.join()
    """)

    assert [REFUSED, "A1"] == lines


def test_listeners_of_the_parent_hear_nothing_of_the_child() -> None:
    """E78, E100: and the child's own hear of what is theirs."""
    lines = lines_of("""
        storage = ScriptedStorage(TokenSet("A0", refresh_token="R0"))
        session = AuthSession(refresh=refresh, storage=storage)

        async def check():
            heard = []
            session.events.subscribe(lambda event: heard.append(type(event).__name__))
            await session.refresh(force=True)
            return heard

        async def main():
            heard = []
            session.events.subscribe(heard.append)
            await session.get_token()
            in_child(check)
            await asyncio.sleep(0.1)
            print(heard)

        asyncio.run(main())
    """)

    assert ["['RefreshStarted', 'RefreshSucceeded', 'TokensSaved']", "[]"] == lines
