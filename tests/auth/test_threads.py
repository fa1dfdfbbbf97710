"""One session on several event loops, in several threads, at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from rxlink.auth.events import OperationQueued
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.errors import ClientClosed, SessionEnded, TokenRefreshError
from tests.auth.crew import NEXT, Crew, HeldIssuer, elsewhere, killed_loop, on_threads, run_many, until, waiting
from tests.auth.scripted import Issuer, ScriptedStorage, bench, good

pytestmark = pytest.mark.timeout(30)  # whoever waits for ever is red soon


# -- one refresh for all ----------------------------------------------------------------------------------------------


class TestOneRefresh:
    def test_eight_threads_of_twenty_operations_that_are_refused_at_once(self) -> None:
        """E55, P1, P2, P11, E53: one refresh; each its own result, on its own thread and in its own context."""
        queued: list[Any] = []
        issuer = HeldIssuer()
        built = bench(issuer=issuer)
        answer_later = built.server._answer_later

        async def answer_when_all_are_there(*sent: Any) -> None:
            await until(lambda: len(built.server.sends) >= 160)
            await answer_later(*sent)

        built.server._answer_later = answer_when_all_are_there
        built.session.events.subscribe(lambda event: queued.append(event) if type(event) is OperationQueued else None)
        names = [[f"Q{thread}x{number}" for number in range(20)] for thread in range(8)]

        async def let_go() -> None:
            await until(lambda: len(queued) == 160)
            issuer.may_answer.set()

        *outcomes, _ = on_threads(*(lambda own=own: run_many(built, own) for own in names), let_go)

        assert [[good(name) for name in own] for own in names] == [seen for seen, _, _ in outcomes]
        assert 1 == len(issuer.calls)
        assert {2} == set(built.server.per_operation.values())
        for _, heard, thread in outcomes:
            assert [{(thread, number)} for number in range(20)] == heard

    def test_two_runs_of_a_loop_and_then_a_thread(self) -> None:
        """E54, E55: whichever loops come and go, nothing is bound to one that is gone."""
        built = bench(issuer=Issuer(delay=0.001))

        async def contended() -> list[Any]:
            built.server.accept_only()
            seen, _, _ = await run_many(built, ["Q", "R", "S"])
            return seen

        expected = [good("Q"), good("R"), good("S")]
        assert [expected] * 3 == [asyncio.run(contended()), asyncio.run(contended()), elsewhere(contended)]
        assert 3 == len(built.issuer.calls)

    @pytest.mark.parametrize("ask", [lambda session: session.get_token(), lambda session: session.refresh(force=True)])
    def test_those_who_ask_for_a_token_share_one_as_well(self, ask: Callable[[AuthSession], Any]) -> None:
        """E55, P1: `get_token` and `refresh` from many threads are one flight."""
        issuer = HeldIssuer()
        built = bench(issuer=issuer)
        with built.session.keeper._lock:  # as after an answer with 401
            built.session.keeper.wallet.credential.is_rejected = True

        async def one() -> str:
            got = await ask(built.session)
            return got if isinstance(got, str) else got.access_token

        async def let_go() -> None:
            await until(lambda: waiting(built) == 8)
            issuer.may_answer.set()

        assert ["A1"] * 8 == on_threads(*[one] * 8, let_go)[:8]
        assert 1 == len(issuer.calls)

    def test_the_first_load_is_one_as_well(self) -> None:
        """E55, E15: eight threads wait for one call of the storage."""
        may_load = threading.Event()

        async def hold() -> None:
            await until(may_load.is_set)

        storage = ScriptedStorage(TokenSet("A0"), load=[hold])
        built = bench(None, storage=storage, valid=["A0"])

        async def let_go() -> None:
            await until(lambda: built.session.keeper._vault.loading.waiting == 16)
            may_load.set()

        *outcomes, _ = on_threads(*[lambda: run_many(built, ["Q", "R"])] * 8, let_go)

        assert [[good("Q"), good("R")]] * 8 == [seen for seen, _, _ in outcomes]
        assert ["load"] == storage.log


class TestTheEndOfTheRefreshingLoop:
    def test_it_ends_early_and_the_others_get_an_error_at_once(self) -> None:
        """E54, E55, P2: `asyncio.run` cancels the refresh of those who did not wait for it."""
        issuer = HeldIssuer()
        built = bench(issuer=issuer)

        async def leave_early() -> None:
            built.start("Leader")
            await until(lambda: waiting(built) == 3)

        async def follow() -> list[Any]:
            await until(issuer.asked.is_set)
            return (await run_many(built, ["Q", "R"]))[0]

        _, seen = on_threads(leave_early, follow)

        assert [TokenRefreshError, TokenRefreshError] == [type(error) for (error,) in seen]
        issuer.may_answer.set()
        assert [good("Again")] == elsewhere(lambda: run_many(built, ["Again"]))[0]

    def test_it_ends_while_it_saves_and_the_others_go_on_with_the_new_token(self) -> None:
        """E54, E55, P4: the tokens are there, whatever becomes of their saving."""

        async def never() -> None:
            saving.set()
            await asyncio.Event().wait()

        saving = threading.Event()
        storage = ScriptedStorage(TokenSet("A0", refresh_token="R0"), save=[never])
        issuer = HeldIssuer()
        built = bench(None, storage=storage, issuer=issuer)

        async def leave_early() -> None:
            built.start("Leader")
            await until(lambda: saving.is_set() and waiting(built) == 3)

        async def follow() -> list[Any]:
            await until(issuer.asked.is_set)
            asyncio.get_running_loop().call_later(0.01, issuer.may_answer.set)
            return (await run_many(built, ["Q", "R"]))[0]

        _, seen = on_threads(leave_early, follow)

        assert [good("Q"), good("R")] == seen
        assert 1 == len(issuer.calls)

    def test_it_is_closed_in_the_midst_and_the_next_who_asks_frees_the_others(self) -> None:
        """E54, E55, P2: nobody waits for what died with its loop."""
        issuer = HeldIssuer()
        built = bench(issuer=issuer)
        is_dead = threading.Event()

        async def lead() -> None:
            built.start("Leader")
            await asyncio.Event().wait()

        async def follow() -> list[Any]:
            await until(issuer.asked.is_set)
            return (await run_many(built, ["Q", "R"]))[0]

        async def come_later() -> list[Any]:
            await until(is_dead.is_set)
            issuer.may_answer.set()
            return (await run_many(built, ["Later"]))[0]

        def run_followers() -> None:
            outcomes.extend(on_threads(follow, come_later))

        outcomes: list[Any] = []
        followers = threading.Thread(target=run_followers)
        followers.start()
        with killed_loop(lead, lambda: waiting(built) == 3):
            is_dead.set()
            followers.join()

        followed, later = outcomes
        assert ["TokenRefreshTimeout"] * 2 == [type(error).__name__ for (error,) in followed]
        assert [good("Later")] == later

    def test_it_is_closed_in_the_midst_and_nobody_asks(self) -> None:
        """E54, P2, P10: those on other loops wait no longer than a refresh may take."""
        issuer = HeldIssuer()
        built = bench(issuer=issuer, refresh_timeout=1)

        async def lead() -> None:
            built.start("Leader")
            await asyncio.Event().wait()

        async def follow() -> list[Any]:
            await until(issuer.asked.is_set)
            return (await run_many(built, ["Q", "R"]))[0]

        crew = Crew()
        crew.start(follow)
        with killed_loop(lead, lambda: waiting(built) == 3):
            (followed,) = crew.join()

        assert ["TokenRefreshTimeout"] * 2 == [type(error).__name__ for (error,) in followed]

    def test_it_stands_still_and_the_others_wait_no_longer_than_a_refresh_may_take(self) -> None:
        """E55, P2, P10: their own loop has a time limit of its own."""
        issuer = HeldIssuer()
        built = bench(issuer=issuer, refresh_timeout=1)
        may_end = threading.Event()

        async def stand_still() -> bool:
            built.start("Leader")
            await until(lambda: waiting(built) == 3)
            return may_end.wait(10)

        async def follow() -> list[Any]:
            await until(issuer.asked.is_set)
            seen, _, _ = await run_many(built, ["Q", "R"])
            may_end.set()
            return seen

        were_freed_meanwhile, seen = on_threads(stand_still, follow)

        assert were_freed_meanwhile
        assert ["TokenRefreshTimeout"] * 2 == [type(error).__name__ for (error,) in seen]


class TestAnotherLogin:
    @pytest.mark.parametrize("ending", ["clear", "set_tokens"])
    def test_from_another_thread_ends_those_who_wait_and_the_storage_holds_the_last_word(self, ending: str) -> None:
        """P8, E55: sign-out and sign-in win over a refresh, also over its slow saving."""
        storage = ScriptedStorage(TokenSet("A0", refresh_token="R0"), delay=0.005)
        issuer = HeldIssuer()
        built = bench(None, storage=storage, issuer=issuer)

        async def run() -> list[Any]:
            return (await run_many(built, ["Q", "R"]))[0]

        async def end() -> None:
            await until(lambda: waiting(built) == 4)
            issuer.may_answer.set()  # it answers in the same moment
            await (built.session.clear() if ending == "clear" else built.session.set_tokens(NEXT))

        *seen, _ = on_threads(run, run, end)

        assert [[SessionEnded, SessionEnded]] * 2 == [[type(error) for (error,) in own] for own in seen]
        assert {"Bearer A0"} == set(built.server.tokens)
        assert (None if ending == "clear" else NEXT) == storage.tokens == built.session.wallet.tokens

    def test_comes_while_the_tokens_of_the_one_before_are_saved(self) -> None:
        """P8, E55: the turns of the storage are taken in the order in which the tokens changed."""
        saving = threading.Event()

        async def slowly() -> None:
            saving.set()
            await asyncio.sleep(0.02)

        storage = ScriptedStorage(TokenSet("A0", refresh_token="R0"), save=[slowly])
        built = bench(None, storage=storage, valid=["B0"])

        async def lead() -> list[Any]:
            return (await run_many(built, ["Q"]))[0]

        async def sign_in() -> list[Any]:
            await until(saving.is_set)
            await built.session.set_tokens(NEXT)
            built.server.accept_only("B0")
            return (await run_many(built, ["Next"]))[0]

        ((led,),), ((followed),) = on_threads(lead, sign_in)

        assert (SessionEnded, good("Next")) == (type(led), followed)
        assert ("B0", "saved B0") == (storage.tokens.access_token, storage.log[-1])

    def test_closing_from_another_thread_waits_for_the_refresh_and_turns_away_who_waits(self) -> None:
        """E57, E55, P2: its tokens are saved, and nobody is left behind."""
        storage = ScriptedStorage(TokenSet("A0", refresh_token="R0"))
        issuer = HeldIssuer()
        built = bench(None, storage=storage, issuer=issuer)

        async def run() -> list[Any]:
            seen = (await run_many(built, ["Q", "R"]))[0]
            issuer.may_answer.set()
            await until(lambda: "saved A1" in storage.log)
            return seen

        async def close() -> list[str]:
            await until(lambda: waiting(built) == 2)
            await built.session.aclose()
            return list(storage.log)

        seen, log = on_threads(run, close)

        assert [ClientClosed, ClientClosed] == [type(error) for (error,) in seen]
        assert "saved A1" == log[-1]
