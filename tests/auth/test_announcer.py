"""What is told, and to whom: observers in a context of their own, watchers where it happens."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rxlink.auth.events import AuthEvent, OperationQueued, RefreshReason, RefreshStarted, RefreshSuperseded
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.errors import ClientClosed, SessionEnded
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import REFUSED, REQUEST_ID, Issuer, bench, good, names_of
from tests.recording import END, subscribed


def session_of(issuer: Issuer) -> AuthSession:
    return AuthSession(refresh=issuer, tokens=REFUSED)


class TestWatching:
    @virtual
    async def test_a_watcher_is_called_in_the_context_of_the_operation_that_it_is_about(
        self, time: VirtualTime
    ) -> None:
        """P11: also where another operation's event lets it go on."""
        built = bench(time=time)
        told: list[tuple[str, int | None]] = []
        built.session.keeper.announcer.watch(lambda event: told.append((type(event).__name__, REQUEST_ID.get())))

        for number in range(3):
            built.start(f"Op{number}", request_id=number)
        await asyncio.sleep(1)

        of_operations = {(name, number) for name, number in told if name.startswith("Operation")}
        assert {(name, n) for name in ("OperationQueued", "OperationRetried") for n in range(3)} == of_operations
        assert ("RefreshStarted", 0) in told

    @virtual
    async def test_it_hears_each_event_at_once_although_an_observer_sets_off_another(self, time: VirtualTime) -> None:
        built = bench(time=time)
        order: list[str] = []

        def start_another(event: AuthEvent) -> None:
            order.append(f"observer {type(event).__name__}")
            if isinstance(event, RefreshStarted):
                built.start("Another")

        built.session.keeper.announcer.watch(lambda event: order.append(type(event).__name__))
        built.session.events.subscribe(start_another)
        built.start("First")
        await asyncio.sleep(0.001)

        assert order.index("OperationQueued") < order.index("observer OperationQueued")

    @virtual
    async def test_one_that_raises_changes_nothing_and_one_that_left_hears_no_more(self, time: VirtualTime) -> None:
        complaints: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint["exception"]))
        built = bench(time=time)
        heard: list[AuthEvent] = []

        def fail(_: AuthEvent) -> None:
            raise LookupError

        leaving = built.session.keeper.announcer.watch(fail)
        built.session.keeper.announcer.watch(heard.append)
        running = built.start()
        await asyncio.sleep(1)
        seen = len(complaints)
        leaving.dispose()
        leaving.dispose()
        await built.session.refresh(force=True)

        assert good() == running.seen
        assert [
            "RefreshStarted", "OperationQueued", "RefreshSucceeded", "TokensSaved", "OperationRetried",
        ] == names_of(heard[:seen])  # fmt: skip
        assert {LookupError} == {type(complaint) for complaint in complaints}
        assert seen == len(complaints)

    @virtual
    async def test_without_observers_and_without_a_log_it_is_told_all_the_same(
        self, time: VirtualTime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("rxlink.auth.announcer.logger.disabled", True)
        built = bench(time=time)
        heard: list[AuthEvent] = []
        built.session.keeper.announcer.watch(heard.append)

        built.start("Named")
        await asyncio.sleep(1)

        assert OperationQueued(1, "Named") in heard


class TestSuperseded:
    @virtual
    async def test_a_refresh_that_a_sign_in_makes_needless_is_told_to_have_ended(self, time: VirtualTime) -> None:
        session = session_of(Issuer(delay=5))
        events = subscribed(session.events)
        refreshing = asyncio.ensure_future(session.refresh(force=True))
        await asyncio.sleep(2)

        await session.set_tokens(TokenSet("B0"))

        with pytest.raises(SessionEnded):
            await refreshing
        assert ["RefreshStarted", "RefreshSuperseded", "TokensSaved"] == names_of(events.seen)
        assert RefreshSuperseded(2, RefreshReason.FORCED, 2.0, 1, is_adopted=False) == events.seen[1]

    @virtual
    async def test_so_is_one_that_a_sign_out_ends(self, time: VirtualTime) -> None:
        session = session_of(Issuer(delay=5))
        events = subscribed(session.events)
        refreshing = asyncio.ensure_future(session.refresh(force=True))
        await asyncio.sleep(2)

        await session.clear()

        with pytest.raises(SessionEnded):
            await refreshing
        assert ["RefreshStarted", "RefreshSuperseded", "Ended"] == names_of(events.seen)[:3]

    @virtual
    async def test_so_is_one_that_pauses_when_the_session_is_closed(self, time: VirtualTime) -> None:
        session = session_of(Issuer(script=[TimeoutError()]))
        events = subscribed(session.events)
        refreshing = asyncio.ensure_future(session.refresh(force=True))
        await asyncio.sleep(0.0001)

        await session.aclose()

        with pytest.raises(ClientClosed):
            await refreshing
        assert ["RefreshStarted", "RefreshTryFailed", "RefreshSuperseded"] == names_of(events.seen[:-1])
        assert END == events.seen[-1]

    @virtual
    async def test_a_sign_in_while_nothing_runs_ends_nothing(self, time: VirtualTime) -> None:
        session = session_of(Issuer())
        events = subscribed(session.events)

        await session.set_tokens(TokenSet("B0"))

        assert ["TokensSaved"] == names_of(events.seen)
