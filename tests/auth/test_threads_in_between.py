"""What another thread may do between two lines of a session: each is made to happen there."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from rxlink.auth.credential import Wallet
from rxlink.auth.session import AuthSession
from rxlink.auth.sessions import AuthSessions
from rxlink.auth.storage import MemoryTokenStorage, StoredTokens
from rxlink.auth.storage.depot import Kept, OwnDepot
from rxlink.auth.storage.serial import SerialDepot
from rxlink.auth.tokens import TokenSet
from rxlink.auth.unsaved import Unsaved
from rxlink.errors import SessionEnded
from tests.auth.crew import MOMENT, NEXT, Crew, Nudge, after, before, elsewhere, on_threads, run_many, until
from tests.auth.scripted import REFUSED, Bench, ScriptedStorage, bench

pytestmark = pytest.mark.timeout(30)


async def one(built: Bench) -> list[Any]:
    (seen,), _, _ = await run_many(built, ["Q"])
    return seen


class TestReading:
    def test_a_token_during_a_sign_in_is_of_the_one_or_of_the_other(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """E55, E97: nobody reads the moment in between, in which there is none."""
        session = bench(TokenSet("A0")).session
        half_way = threading.Event()
        after(Wallet, "start_epoch", lambda: (half_way.set(), time.sleep(MOMENT)), monkeypatch)
        signing_in = Nudge(lambda: session.set_tokens(NEXT))
        after(session.keeper.gate, "wave", lambda: (signing_in.begin(), half_way.wait()), monkeypatch)

        token = asyncio.run(session.get_token())
        signing_in.join()

        assert "B0" == token

    def test_tokens_that_go_while_they_are_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """E55, E97: one look at them, not two."""
        wallet = bench(TokenSet("A0")).session.wallet
        seen = [wallet.credential, None]
        monkeypatch.setattr(Wallet, "credential", property(lambda _: seen.pop(0)), raising=False)

        assert "A0" == wallet.tokens.access_token


class TestSigningOut:
    def test_before_the_first_send_leaves_nothing_to_send(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """P8, E55: an operation of somebody never goes out as nobody's."""
        built = bench(None, storage=ScriptedStorage(TokenSet("A0")), valid=["A0"])
        calls: list[None] = []

        def sign_out() -> None:
            calls.append(None)
            if len(calls) == 2:  # the first is for the load
                elsewhere(built.session.clear)

        after(built.session.keeper.gate, "wave", sign_out, monkeypatch)

        (error,) = asyncio.run(one(built))

        assert (SessionEnded, []) == (type(error), built.server.sends)

    def test_before_the_second_send_leaves_nothing_to_send(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """P8, E55: an operation of somebody never goes out as nobody's the second time either."""
        built = bench()
        calls: list[None] = []

        def sign_out() -> None:
            calls.append(None)
            if len(calls) == 2:  # the first is for the refusal
                elsewhere(built.session.clear)

        after(built.session.keeper.gate, "wave", sign_out, monkeypatch)

        (error,) = asyncio.run(one(built))

        assert (SessionEnded, ["Bearer A0"]) == (type(error), built.server.tokens)


class TestSigningIn:
    def test_while_a_refusal_for_good_is_on_its_way_keeps_the_storage(self) -> None:
        """P8, E83: what is forgotten is the login before, and nobody is asked to sign in again."""
        storage = MemoryTokenStorage()
        asked: list[Any] = []

        async def refresh(*_: object) -> None:
            elsewhere(lambda: session.set_tokens(NEXT))
            raise SessionEnded("revoked")

        session = AuthSession(refresh=refresh, storage=storage, on_session_ended=asked.append)

        async def run() -> None:
            await session.set_tokens(REFUSED)
            with pytest.raises(SessionEnded, match="somebody else has signed in"):
                await session.refresh(force=True)

        asyncio.run(run())

        assert (NEXT, NEXT, []) == (session.wallet.tokens, asyncio.run(storage.load()), asked)

    def test_while_a_session_ends_is_not_ended_with_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """P8, E55: the end is that of the login that was refused."""
        built = bench(refresh=lambda *_: (_ for _ in ()).throw(SessionEnded("revoked")))
        keeper = built.session.keeper
        signing_in = Nudge(lambda: built.session.set_tokens(NEXT))
        before(keeper, "_end", signing_in, monkeypatch)

        (error,) = asyncio.run(one(built))
        signing_in.join()

        assert (SessionEnded, NEXT) == (type(error), built.session.wallet.tokens)

    def test_after_a_sign_out_elsewhere_does_not_make_it_undone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """E76, E55: who signed out last has the last word, also about getting tokens by oneself."""
        built = bench(None, obtain_first=True, valid=["B0"])
        keeper = built.session.keeper
        before(keeper, "publish", Nudge(built.session.clear), monkeypatch)

        asyncio.run(built.session.set_tokens(NEXT))
        seen = asyncio.run(one(built))

        assert ("completed", [None], []) == (seen[-1], built.server.tokens, built.issuer.calls)


class TestClosing:
    def test_while_an_operation_asks_leaves_no_refresh_behind(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """E57, E55: either it is turned away, or its refresh is waited for."""
        built = bench()

        async def close() -> int:
            await built.session.aclose()
            return len(built.issuer.calls)

        closing = Nudge(close)
        after(built.session.keeper, "refuse_closed", closing, monkeypatch)

        asyncio.run(one(built))

        assert len(built.issuer.calls) == closing.join()


def kept_of(tokens: TokenSet | None, generation: int) -> Kept:
    return Kept(StoredTokens(tokens, "login", generation), generation)


class TestSavingLater:
    async def test_newer_tokens_are_still_to_be_saved_when_older_ones_turn_out_to_be_of_no_use(self) -> None:
        """E55, P4: another loop's refresh may fail to save meanwhile."""
        saved: list[int] = []

        async def save(kept: Kept, turn: Any) -> bool:
            saved.append(kept.generation)
            return True

        async def note_newer() -> None:
            unsaved.note(kept_of(NEXT, 2))

        def claim(kept: Kept) -> Any:
            if kept.generation == 1:
                elsewhere(note_newer)
                return None
            return object()

        unsaved = Unsaved(save, claim, None)
        unsaved.note(kept_of(REFUSED, 1))

        await unsaved.aclose()
        await unsaved.aclose()

        assert [2] == saved


class TestTheStorage:
    @pytest.mark.parametrize("uses_it", [True, False])
    def test_a_turn_of_a_loop_that_has_ended_lets_nobody_overtake_those_before_it(self, uses_it: bool) -> None:
        """P8, E54, E55: a save that is slow, a turn that comes to nothing, and the save of the next login."""
        may_end = threading.Event()

        async def slowly() -> None:
            await until(may_end.is_set)

        storage = ScriptedStorage(save=[slowly])
        serial = SerialDepot(OwnDepot(storage))

        async def end_early() -> None:
            turn = serial.take_turn()
            clearing = asyncio.create_task(turn.save(kept_of(None, 1))) if uses_it else None
            await asyncio.sleep(0)
            assert clearing is None or not clearing.done()

        crew = Crew()
        crew.start(lambda: serial.save(kept_of(REFUSED, 1))).join(MOMENT)
        elsewhere(end_early)
        crew.start(lambda: serial.save(kept_of(NEXT, 2))).join(MOMENT)
        may_end.set()
        crew.join()

        assert ["save", "saved A0", "save", "saved B0"] == storage.log


class TestMaking:
    def test_one_session_out_of_another_does_not_wait_for_itself(self) -> None:
        """E95: an audience whose token is exchanged for that of a user."""

        def make(key: str) -> AuthSession:
            if key == "api":
                sessions.get("user")
            return AuthSession(refresh=lambda *_: None, tokens=TokenSet(key))

        sessions = AuthSessions(make, key=lambda operation: "api")

        def ask() -> None:
            asked.append(sessions.get("api"))

        asked: list[AuthSession] = []
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(5)

        assert 1 == len(asked)

    def test_is_done_once_for_all_threads(self) -> None:
        """E55, E15: one session for a user, whoever asks first."""
        made: list[str] = []
        both = threading.Barrier(8)

        def make(key: str) -> AuthSession:
            made.append(key)
            time.sleep(MOMENT)
            return AuthSession(refresh=lambda *_: None, tokens=TokenSet(key))

        sessions = AuthSessions(make, key=lambda operation: "ada")

        async def ask() -> AuthSession:
            both.wait()
            return sessions.get("ada")

        assert 1 == len(set(map(id, on_threads(*[ask] * 8))))
        assert ["ada"] == made
