"""Blocking refreshes that outlive those who wait: never twice at once, and nothing that they bring is lost."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from rxlink.auth.blocking import blocking
from rxlink.auth.events import RefreshReason
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.errors import SessionEnded, TokenRefreshTimeout
from tests.auth.keychain import Keychain

OLD = TokenSet("a0", refresh_token="r0")
NEW = TokenSet("a1", refresh_token="r1", expires_in=100)
EXPIRED = RefreshReason.EXPIRED


@pytest.fixture(autouse=True)
async def executor_ends(leaves_no_thread: None):
    """Ends the threads of `asyncio.to_thread`, which the tests themselves use."""
    yield
    await asyncio.get_running_loop().shutdown_default_executor()


async def test_a_call_joins_the_run_that_nobody_waits_for_any_more():
    """P1, E43: a run that outlives its refresh is not doubled."""
    keychain = Keychain(NEW)
    refresh = blocking(keychain)
    first = asyncio.create_task(refresh(OLD, EXPIRED))
    await keychain.wait_for_start()
    first.cancel()
    await asyncio.wait([first])

    second = asyncio.create_task(refresh(OLD, EXPIRED))
    await asyncio.sleep(0)
    keychain.may_go_on.release()

    assert NEW is await second
    assert [OLD] == keychain.calls


async def test_tokens_that_came_too_late_are_used_by_the_next_call():
    """P1, E68: a rotated pair is not lost, and the used refresh token not sent again."""
    keychain = Keychain(NEW, NEW)
    refresh = blocking(keychain)
    first = asyncio.create_task(refresh(OLD, EXPIRED))
    await keychain.wait_for_start()
    first.cancel()
    await asyncio.wait([first])
    await keychain.let_end()

    second = await refresh(OLD, EXPIRED)

    assert ("a1", "r1") == (second.access_token, second.refresh_token)
    assert [OLD] == keychain.calls


async def test_what_was_left_over_is_used_once():
    keychain = Keychain(NEW, TokenSet("a2"))
    refresh = blocking(keychain)
    first = asyncio.create_task(refresh(OLD, EXPIRED))
    await keychain.wait_for_start()
    first.cancel()
    await asyncio.wait([first])
    await keychain.let_end()

    await refresh(OLD, EXPIRED)
    again = asyncio.create_task(refresh(OLD, EXPIRED))
    await keychain.wait_for_start()
    keychain.may_go_on.release()

    assert "a2" == (await again).access_token
    assert 2 == len(keychain.calls)


async def test_tokens_that_waited_have_lived_that_long(monkeypatch: pytest.MonkeyPatch):
    """E65: `expires_in` counts from when they were handed out."""
    now = 1000.0
    monkeypatch.setattr("rxlink.auth.blocking.time.monotonic", lambda: now)
    issued_at = datetime(2030, 1, 1, tzinfo=UTC)
    keychain = Keychain(TokenSet("a1", expires_in=100, issued_at=issued_at))
    refresh = blocking(keychain)
    first = asyncio.create_task(refresh(OLD, EXPIRED))
    await keychain.wait_for_start()
    first.cancel()
    await asyncio.wait([first])
    await keychain.let_end()

    now += 40
    late = await refresh(OLD, EXPIRED)

    assert 60 == late.expires_in
    assert issued_at + timedelta(seconds=40) == late.issued_at


async def test_tokens_that_ended_while_they_waited_are_not_taken_for_ones_of_unknown_life(
    monkeypatch: pytest.MonkeyPatch,
):
    now = 1000.0
    monkeypatch.setattr("rxlink.auth.blocking.time.monotonic", lambda: now)
    keychain = Keychain(NEW)
    refresh = blocking(keychain)
    first = asyncio.create_task(refresh(OLD, EXPIRED))
    await keychain.wait_for_start()
    first.cancel()
    await asyncio.wait([first])
    await keychain.let_end()

    now += 1000
    late = await refresh(OLD, EXPIRED)

    assert 0 < late.expires_in < 0.1


async def test_a_dead_refresh_token_that_was_found_out_too_late_is_not_sent_again():
    """E21: `invalid_grant` is final, whoever heard of it."""
    keychain = Keychain(SessionEnded())
    refresh = blocking(keychain)
    first = asyncio.create_task(refresh(OLD, EXPIRED))
    await keychain.wait_for_start()
    first.cancel()
    await asyncio.wait([first])
    await keychain.let_end()

    with pytest.raises(SessionEnded):
        await refresh(OLD, EXPIRED)

    assert [OLD] == keychain.calls


@pytest.mark.parametrize("useless", [OSError("down"), None])
async def test_a_failure_that_nobody_heard_of_is_forgotten(useless: object):
    """E22: the next call is a try of its own."""
    keychain = Keychain(useless, NEW)
    refresh = blocking(keychain)
    first = asyncio.create_task(refresh(OLD, EXPIRED))
    await keychain.wait_for_start()
    first.cancel()
    await asyncio.wait([first])
    await keychain.let_end()

    second = asyncio.create_task(refresh(OLD, EXPIRED))
    await keychain.wait_for_start()
    keychain.may_go_on.release()

    assert NEW is await second


@pytest.mark.parametrize("ends_first", [True, False])
async def test_nobody_gets_what_was_made_from_the_tokens_of_another_login(ends_first: bool):
    """P8, E80: the run for the old login ends first, and its outcome is dropped."""
    keychain = Keychain(NEW, TokenSet("bob-1"))
    refresh = blocking(keychain)
    first = asyncio.create_task(refresh(OLD, EXPIRED))
    await keychain.wait_for_start()
    first.cancel()
    await asyncio.wait([first])

    if ends_first:
        await keychain.let_end()
    bobs = asyncio.create_task(refresh(TokenSet("bob-0"), EXPIRED))
    if not ends_first:
        await asyncio.sleep(0)
        assert 1 == len(keychain.calls), "not two at once"
        keychain.may_go_on.release()
    await keychain.wait_for_start()
    keychain.may_go_on.release()

    assert TokenSet("bob-1") == await bobs
    assert 1 == keychain.most_at_once


async def test_what_comes_after_the_time_limit_is_used_by_the_next_refresh():
    """P1, E23: the refresh ends with its time limit, the run with its own."""
    keychain = Keychain(NEW)
    async with AuthSession(refresh=blocking(keychain), tokens=OLD, refresh_timeout=0.02) as session:
        with pytest.raises(TokenRefreshTimeout):
            await session.refresh(force=True)
        await keychain.let_end()

        await session.refresh(force=True)

        assert "a1" == await session.get_token()
        assert 1 == len(keychain.calls)
