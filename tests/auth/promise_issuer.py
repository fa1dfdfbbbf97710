"""Where tokens come from and where they are kept: an issuer and a storage that do what they are told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import reactivex

from rxlink.auth.tokens import TokenSet
from rxlink.errors import SessionEnded, TokenRefreshError
from tests.auth.promise_records import LONGEST_PAUSE, MUCH_LATER, PLANTED, Minted, RefreshCall, StorageCall

if TYPE_CHECKING:
    from tests.auth.promise_world import World


class Storage:
    """A storage whose calls end when told to."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.policy = {"load": "at once", "save": "at once", "clear": "at once"}
        self.calls: list[StorageCall] = []
        self.content: TokenSet | None = None
        self.overlaps = 0

    @property
    def running(self) -> list[StorageCall]:
        return [call for call in self.calls if call.state == "running"]

    async def load(self) -> TokenSet | None:
        await self._run("load", None)
        self._world.note_load(self.content)
        return self.content

    async def save(self, tokens: TokenSet, /) -> None:
        await self._run("save", self._world.minted[tokens.access_token])
        self.content = tokens

    async def clear(self) -> None:
        await self._run("clear", None)
        self.content = None

    async def _run(self, kind: str, token: Minted | None) -> None:
        decision: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        call = StorageCall(kind, token, self._world.login, decision)
        self.overlaps += bool(self.running)
        self.calls.append(call)
        if self.policy[kind] != "ask":
            decision.set_result(self.policy[kind] == "at once")
        try:
            is_good = await decision
        except asyncio.CancelledError:
            call.state = "cancelled"
            raise
        call.state = "returned" if is_good else "failed"
        if not is_good:
            raise OSError(f"no {kind}")


class Issuer:
    """The refresh callback: what it does is decided while it runs, unless a policy has decided before."""

    #: What a run may come to.
    OUTCOMES = (
        "good", "good without life", "short", "already ended", "refused too", "transient", "retry after 5",
        "retry much later", "final", "nothing", "empty", "wrong type", "value error", "cancelled",
        "asks for a token", "runs an operation", "its operation is refused",
    )  # fmt: skip
    #: How it is answered where nobody is asked.
    POLICIES = ("ask", "good at once", "good as text", "good as stream", "raises at once", "value error at once")

    def __init__(self, world: World) -> None:
        self._world = world
        self.policy = "ask"
        self.says = f"a bad token: {PLANTED}"
        self.calls: list[RefreshCall] = []
        self.most_at_a_time = 0
        self.raised: list[Exception] = []
        self.dead: set[str] = set()
        self.sent_dead = 0

    @property
    def running(self) -> list[RefreshCall]:
        return [call for call in self.calls if call.is_running]

    def may_pause(self) -> bool:
        """Whether the next try may still wait because of one that failed."""
        now = self._world.time.monotonic()
        pauses = {"retry much later": MUCH_LATER}
        ended = [call for call in self.calls if not call.is_running]
        # Where somebody has set the clock back, a pause begins anew with the refresh that hears of it.
        began = self._world.refresh_began if self._world.realm.was_set else 0.0
        return any(now - max(call.ended_at, began) <= pauses.get(call.outcome or "", LONGEST_PAUSE) for call in ended)

    def refresh(self, tokens: TokenSet | None, reason: str) -> Any:
        world = self._world
        decision: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        call = RefreshCall(
            world.login,
            str(reason),
            world.time.monotonic(),
            world.current,
            decision,
            world.forced_refreshes > 0,
            None if tokens is None else tokens.refresh_token,
        )
        self.sent_dead += call.refresh_token in self.dead
        self.calls.append(call)
        self.most_at_a_time = max(self.most_at_a_time, len(self.running))
        if self.policy == "ask":
            return self._run(call)
        call.is_running = False
        call.ended_at = call.began
        call.outcome = self.policy
        if self.policy == "raises at once":
            raise self._note(ConnectionError("the issuer is down"))
        if self.policy == "value error at once":
            raise self._note(ValueError(self.says))
        token = self._hand_out(100)
        if self.policy == "good as text":
            token.told_life = token.told_life if token.form == "jwt" else None
            world.note_current(token)
            return token.text
        returned = world.note_current(token)
        return reactivex.just(returned) if self.policy == "good as stream" else returned

    async def _run(self, call: RefreshCall) -> Any:
        try:
            call.outcome = await call.decision
            return await self._come_to(call.outcome)
        except asyncio.CancelledError:
            call.was_cancelled = call.outcome != "cancelled"
            raise
        except SessionEnded:
            if call.refresh_token is not None:
                self.dead.add(call.refresh_token)
            if not self._world.options.signs_in_again or self._world.is_closed:  # then nobody is asked
                self._world.note_end()
            raise
        finally:
            call.is_running = False
            call.ended_at = self._world.time.monotonic()

    async def _come_to(self, outcome: str) -> Any:  # noqa: C901, PLR0912 - a table would hide the order
        world = self._world
        match outcome:
            case "nothing":
                return None
            case "empty":
                return ""
            case "wrong type":
                return 7
            case "transient":
                raise self._note(ConnectionError("the issuer is down"))
            case "retry after 5":
                raise self._note(TokenRefreshError("busy", retryable=True, retry_after=5))
            case "retry much later":
                raise self._note(TokenRefreshError("busy", retryable=True, retry_after=MUCH_LATER))
            case "value error":
                raise self._note(ValueError(self.says))
            case "final":
                raise self._note(SessionEnded("invalid_grant"))
            case "cancelled":
                raise asyncio.CancelledError
            case "asks for a token":
                try:
                    return await world.the_session.get_token()
                except Exception as error:
                    self._note(error)
                    raise
            case "runs an operation":
                await world.run_inside("accept")
            case "its operation is refused":
                await world.run_inside("refuse by result")
                raise self._note(SessionEnded("the refresh operation was refused"))
            case _:
                pass
        life = {"good without life": None, "short": 1, "already ended": 0}.get(outcome, 100)
        return world.note_current(self._hand_out(life, is_accepted=outcome != "refused too"))

    def _hand_out(self, life: float | None, *, is_accepted: bool = True) -> Minted:
        token = self._world.mint(is_refreshed=True, life=life)
        token.is_accepted = is_accepted
        return token

    def _note(self, error: Exception) -> Exception:
        self.raised.append(error)
        return error
