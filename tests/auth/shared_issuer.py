"""A strict issuer: each refresh token is good once, and one that comes again ends its whole family."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rxlink.auth.tokens import TokenSet
from rxlink.errors import SessionEnded
from tests.auth.shared_records import ISSUER_LATENCY, LIFE, Minted, Request

if TYPE_CHECKING:
    from tests.auth.shared_host import Host
    from tests.auth.shared_world import World

OUTCOMES = ("good", "good", "good", "good", "transient", "answer lost", "invalid grant", "good and slow", "slow")


class Issuer:
    """Answers each request as it is told to, or at once.

    Attributes:
        policy: `ask`, or `at once`.
        requests: All that came.
        dead: The families that were revoked.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.policy = "ask"
        self.requests: list[Request] = []
        self.dead: set[int] = set()
        self._families = 0
        self._pairs = 0

    @property
    def undecided(self) -> list[Request]:
        return [request for request in self.requests if not request.is_processed and not request.answer.done()]

    def sign_in(self) -> Minted:
        self._families += 1
        return self.mint(self._families)

    def mint(self, family: int) -> Minted:
        self._pairs += 1
        name = f"{self._pairs}-of-{family}"
        pair = Minted(f"A{name}", f"R{name}", family, self._world.now)
        self._world.minted[pair.access] = self._world.minted[pair.refresh] = pair
        return pair

    async def refresh(self, host: Host, tokens: TokenSet | None, reason: object) -> TokenSet:
        world = self._world
        await host.gate.passage()
        if tokens is None or tokens.refresh_token is None:
            raise SessionEnded("nobody is signed in")
        pair = world.minted[tokens.refresh_token]
        answer: asyncio.Future[TokenSet] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        number, lease, place = len(self.requests), world.store.holder(), world.story.place()
        request = Request(number, host, pair, str(reason), world.now, lease, answer, place)
        self.requests.append(request)
        world.tell(f"{request} is sent ({reason})")
        world.check_request(request)
        if self.policy == "at once":
            world.time.loop.call_later(ISSUER_LATENCY, self.decide, request, "good")
        try:
            new = await self._delivered(request)
        except asyncio.CancelledError:
            request.is_lost = True
            world.tell(f"{host} waits no longer for {request}")
            raise
        except SessionEnded:
            host.hear_refusal(pair)
            raise
        return new

    def decide(self, request: Request, outcome: str) -> None:
        """Process a request, or do not, and answer it."""
        if request.is_processed:
            return
        self._world.tell(f"the issuer: {outcome}, to {request}")
        if outcome == "slow":
            self._world.time.loop.call_later(20.0, self.decide, request, "good")
        elif outcome == "transient":
            request.is_processed = True
            self._answer(request, ConnectionError("the issuer is down"))
        elif outcome == "invalid grant":
            request.is_processed = True
            self.dead.add(request.pair.family)
            self._answer(request, SessionEnded("invalid_grant"))
        else:
            self._process(request, outcome)

    def _process(self, request: Request, outcome: str) -> None:
        request.is_processed = True
        answer = self._trade(request)
        if outcome == "answer lost":
            request.is_lost = True
            self._answer(request, ConnectionResetError("the answer is lost"))
        elif outcome == "good and slow":
            self._world.time.loop.call_later(5.0, self._answer, request, answer)
        else:
            self._answer(request, answer)

    def _trade(self, request: Request) -> TokenSet | Exception:
        pair, now = request.pair, self._world.now
        is_spent = pair.used_at is not None and now - pair.used_at >= self._world.options.grace
        if pair.used_at is not None:
            self._world.check_reuse(request)
        if is_spent:
            self._world.tell(f"{pair.refresh} comes again: family {pair.family} is revoked")
            self.dead.add(pair.family)
        if pair.family in self.dead:
            return SessionEnded("invalid_grant")
        pair.used_at = now if pair.used_at is None else pair.used_at
        pair.uses.append(request)
        new = request.granted = self.mint(pair.family)
        return TokenSet(new.access, refresh_token=new.refresh, expires_in=LIFE)

    def _answer(self, request: Request, answer: TokenSet | Exception) -> None:
        if request.answer.done():
            request.is_lost = True
        elif isinstance(answer, Exception):
            request.answer.set_exception(answer)
        else:
            request.answer.set_result(answer)

    async def _delivered(self, request: Request) -> TokenSet:
        gate = request.host.gate
        try:
            answer = await request.answer
        except Exception:
            await gate.passage()
            request.is_delivered = True
            raise
        await gate.passage()
        request.is_delivered = True
        return answer
