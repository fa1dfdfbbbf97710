"""Who signs a user in again: an `on_session_ended` that does what it is told."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import reactivex

from rxlink.errors import SessionEnded
from tests.auth.promise_records import A_MOMENT, HookCall, HookRaised

if TYPE_CHECKING:
    from tests.auth.promise_world import World


class Hook:
    """The hook: what it does is decided while it runs, unless a policy has decided before."""

    #: What a call may come to.
    OUTCOMES = (
        *("tokens", "tokens", "tokens without life", "refused too", "dead tokens", "nothing", "raises", "ended"),
        *("wrong type", "asks for a token", "runs an operation"),
    )  # fmt: skip
    #: How it answers where nobody is asked.
    POLICIES = ("ask", "ask", "tokens at once", "tokens as stream", "nothing at once", "empty stream", "raises at once")
    #: Outcomes that leave its user signed in.
    GOOD = (
        *("tokens", "tokens without life", "refused too", "dead tokens", "runs an operation"),
        *("tokens at once", "tokens as stream"),
    )

    def __init__(self, world: World) -> None:
        self._world = world
        self.policy = "ask"
        self.calls: list[HookCall] = []
        self.most_at_a_time = 0
        self.was_called_amiss = 0

    @property
    def running(self) -> list[HookCall]:
        return [call for call in self.calls if call.is_running]

    def sign_in_again(self, ended: SessionEnded) -> Any:
        world = self._world
        call = HookCall(world.login, world.time.monotonic(), asyncio.get_running_loop().create_future())
        self.was_called_amiss += type(ended) is not SessionEnded or bool(world.issuer.running)
        self.calls.append(call)
        self.most_at_a_time = max(self.most_at_a_time, len(self.running))
        if self.policy == "ask":
            return self._run(call)
        call.is_running = False
        call.outcome = self.policy
        return self._answer_at_once(call)

    def is_late(self) -> None:
        """Hear that the session has waited long enough: it ends."""
        (call,) = self.running
        waited = self._world.time.monotonic() - call.began
        self.was_called_amiss += abs(waited - self._world.options.relogin_limit) > A_MOMENT
        self._world.note_end()

    def _answer_at_once(self, call: HookCall) -> Any:
        if call.outcome in self.GOOD:
            tokens = self._sign_in(call, 100)
            return tokens if call.outcome == "tokens at once" else reactivex.just(tokens)
        self._world.note_end()
        if call.outcome == "raises at once":
            raise HookRaised
        return None if call.outcome == "nothing at once" else reactivex.empty()

    async def _run(self, call: HookCall) -> Any:
        try:
            call.outcome = await call.decision
            return await self._come_to(call)
        except asyncio.CancelledError:
            call.was_cancelled = True
            raise
        finally:
            call.is_running = False

    async def _come_to(self, call: HookCall) -> Any:
        world = self._world
        if call.outcome == "runs an operation":
            await world.run_inside("accept")
        if call.outcome in self.GOOD:
            life = None if call.outcome == "tokens without life" else 100
            return self._sign_in(call, life, is_accepted=call.outcome != "refused too")
        world.note_end()
        match call.outcome:
            case "raises":
                raise HookRaised
            case "ended":
                raise SessionEnded("no, thanks")
            case "asks for a token":
                return await world.the_session.get_token()
            case "wrong type":
                return 7
            case _:
                return None

    def _sign_in(self, call: HookCall, life: float | None, *, is_accepted: bool = True) -> Any:
        world = self._world
        token = world.mint(is_refreshed=True, life=life)
        token.refresh_began = call.began
        token.save_limit = world.options.relogin_limit
        token.is_accepted = is_accepted
        tokens = world.note_current(token)
        # An application may hand out what it still had in some drawer.
        dead = min(world.issuer.dead, default=None) if call.outcome == "dead tokens" else None
        return tokens if dead is None else replace(tokens, refresh_token=dead)
