"""What ``rxlink demo`` runs: one chapter for each token that ends, each with waves of operations before and at its end.

A chapter goes on when something has happened (a wave has ended, the ledger shows the token replaced), never because
it should have happened by now; the clock only says when a wave begins. So a slow machine makes a slower story, and
where a stall lets a token end earlier than planned, that is the chapter's end, and it is counted as it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from time import monotonic
from typing import Final

from reactivex import operators as ops

from rxlink import AuthState, AuthStatus
from rxlink.demo.calls import PASSWORD, USER, Call, Outcome, wave_of
from rxlink.demo.display import Mood
from rxlink.demo.plan import Chapter, Plan, Twist, chapters_of
from rxlink.demo.service import Service
from rxlink.demo.summary import Tally
from rxlink.demo.timeline import Timeline, token_name
from rxlink.errors import AuthError
from rxlink.testing.auth_server import AuthServer, Fault, Generation
from rxlink.trace.recorder import Trace

__all__ = ["Story"]

CALM_AT: Final = (0.1, 0.25)
LAST_AT: Final = {Twist.ENDED: 1.0, Twist.OUTAGE: 1.0, Twist.REVOKED: 0.4, Twist.ENDS_SOON: 0.84}
"""When waves begin, in lives of their token. Its session refreshes it in the background from 0.75 on, or a little
later; from 0.9 on operations wait for that."""
OUTAGE_TRIES: Final = 2
"""How many tries of a refresh meet a server that is down."""
PATIENCE: Final = 100.0
"""Seconds after which a wave, or the end of a token, is given up: longer than every timeout of session and link."""
PAUSE: Final = 0.02
"""Seconds between two looks at whether a token may be refreshed."""


class Story:
    """The demo, on a server that runs.

    Args:
        server: The server.
        plan: What is run.
        timeline: What is told.
        trace: What the chain is recorded in, None for nothing.

    Attributes:
        tally: The operations that have ended.
    """

    def __init__(self, server: AuthServer, plan: Plan, timeline: Timeline, trace: Trace | None = None) -> None:
        self._server = server
        self._plan = plan
        self._timeline = timeline
        self._service = Service(server.url, trace)
        self._waves = 0
        self._is_broken = False
        self.tally = Tally()

    async def run(self) -> None:
        """Run every chapter; stop after the first in which something goes wrong."""
        async with aclosing(self._service):
            self._service.session.events.subscribe(self._timeline.tell_event)
            await self._service.sign_in(USER, PASSWORD)
            life = f"{self._plan.token_life:g} s"
            self._timeline.tell(USER, f"signed in and has token 1; access tokens live {life}")
            for number, chapter in enumerate(chapters_of(self._plan), 1):
                self._timeline.title(f"{number} of {self._plan.expiries}: {chapter.twist.value}")
                await self._play(chapter)
                if self._is_broken:
                    break

    async def _play(self, chapter: Chapter) -> None:
        token = self._server.ledger.generations[-1]
        if chapter.twist is Twist.OUTAGE:
            self._server.faults.add(Fault.status(503), on="refresh", times=OUTAGE_TRIES)
            self._timeline.tell("server", f"will answer 503 to {OUTAGE_TRIES} tries of a refresh", Mood.WAITING)
        for share, calls in zip(CALM_AT, chapter.calm, strict=False):
            await self._reach(share, token)
            await self._run_wave(calls)
        await self._reach(LAST_AT[chapter.twist], token)
        if chapter.twist is Twist.REVOKED:
            await self._run_wave(chapter.last, in_flight=lambda: self._revoke(token))
        else:
            await self._run_wave(chapter.last)
        await self._see_replaced(token)

    async def _reach(self, share: float, token: Generation) -> None:
        """Wait for a moment in a token's life; not if it has been replaced before."""
        if not self._is_broken and token.replaced_at is None:
            await asyncio.sleep(max(0.0, token.issued + share * token.life - monotonic()))

    async def _run_wave(self, calls: Sequence[Call], in_flight: Callable[[], None] | None = None) -> None:
        """Send a wave, and tell how it went when each of its operations has ended."""
        if self._is_broken:
            return
        self._waves += 1
        name = f"wave {self._waves}"
        ledger = self._server.ledger
        token, sends_before = ledger.generations[-1], len(ledger.all_sends)
        self._timeline.tell_start(name, calls, token)
        try:
            async with asyncio.timeout(PATIENCE):
                outcomes = await self._send(calls, in_flight)
        except TimeoutError:
            self._give_up(f"{name} has not ended after {PATIENCE:g} s")
        else:
            self._timeline.tell_outcomes(name, outcomes, ledger.all_sends[sends_before:], token)
            self._is_broken = bool(self.tally.failed)

    async def _send(self, calls: Sequence[Call], in_flight: Callable[[], None] | None) -> list[Outcome]:
        outcomes: list[Outcome] = []
        has_ended = asyncio.Event()

        def take(outcome: Outcome) -> None:
            outcomes.append(outcome)
            self.tally.count(outcome)
            self._timeline.advance(self.tally.ended)

        wave = wave_of(self._service.chain, calls).subscribe(take, on_completed=has_ended.set)
        try:
            # Subscribed without a scheduler, so each has got its token, and none has reached the server.
            if in_flight is not None:
                in_flight()
            await has_ended.wait()
        finally:
            wave.dispose()
        return outcomes

    def _revoke(self, token: Generation) -> None:
        """Revoke the token of this chapter; if it has been replaced already, the chapter has had its end."""
        if token.replaced_at is None and self._server.revoke_access(USER):
            self._timeline.tell(
                "server", f"revokes {token_name(token)}, with the operations on their way", Mood.WAITING
            )

    async def _see_replaced(self, token: Generation) -> None:
        """Wait until a token has been replaced; where the wave came too early for that, ask for it."""
        session = self._service.session
        try:
            async with asyncio.timeout(PATIENCE):
                while token.replaced_at is None and not self._is_broken:
                    state = await session.states.pipe(ops.first(_is_settled))
                    if state.status is AuthStatus.UNAUTHENTICATED:
                        self._give_up("nobody is signed in any more")
                    elif token.replaced_at is None:
                        await session.refresh()
                        await asyncio.sleep(PAUSE)
        except (AuthError, TimeoutError) as error:
            self._give_up(f"{token_name(token)} was not replaced ({type(error).__name__})")

    def _give_up(self, why: str) -> None:
        self._is_broken = True
        self._timeline.tell("demo", f"gives up: {why}", Mood.BAD)


def _is_settled(state: AuthState) -> bool:
    return state.status is not AuthStatus.REFRESHING
