"""Several sessions that share a storage, as several processes do, beside a strict issuer that rotates."""

from __future__ import annotations

import asyncio
from typing import Any

from rxlink.auth.events import AuthEvent, AuthState, RefreshReason
from rxlink.auth.session import AuthSession
from rxlink.auth.storage import MemoryTokenStorage, SharedTokenStorage
from rxlink.auth.tokens import TokenSet
from rxlink.errors import SessionEnded
from rxlink.testing.virtual_time import VirtualTime


class StrictIssuer:
    """Each refresh token is good once; one that comes again ends the whole family.

    Attributes:
        delay: Seconds on the way to the issuer, and as many back.
        life: Of its access tokens, in seconds.
        script: What to raise instead, call by call, before anything is processed; None for nothing.
        granted: The refresh tokens that were traded in, in order.
        reused: Those that came once more.
    """

    def __init__(self, *, delay: float = 0.1, life: float = 100.0) -> None:
        self.delay = delay
        self.life = life
        self.script: list[Exception | None] = []
        self.granted: list[str] = []
        self.reused: list[str] = []
        self.calls: list[tuple[str | None, RefreshReason]] = []
        self.is_revoked = False
        self._current = {"R0"}
        self._number = 0

    def sign_in(self, name: str) -> TokenSet:
        """Hand out tokens of another sign-in."""
        self._current.add(f"R-{name}")
        return TokenSet(f"A-{name}", refresh_token=f"R-{name}", expires_in=self.life)

    async def __call__(self, tokens: TokenSet | None, reason: RefreshReason) -> TokenSet:
        presented = None if tokens is None else tokens.refresh_token
        self.calls.append((presented, reason))
        await asyncio.sleep(self.delay)
        if self.script and (error := self.script.pop(0)) is not None:
            raise error
        if presented is None or self.is_revoked or presented not in self._current:
            if presented in self.granted:
                self.reused.append(presented)
                self.is_revoked = True
            raise SessionEnded
        self._current.discard(presented)
        self.granted.append(presented)
        self._number += 1
        self._current.add(f"R{self._number}")
        new = TokenSet(f"A{self._number}", refresh_token=f"R{self._number}", expires_in=self.life)
        await asyncio.sleep(self.delay)
        return new


class Host:
    """One session among those who share the storage."""

    def __init__(self, storage: SharedTokenStorage, issuer: Any, time: Any, **options: Any) -> None:
        self.session = AuthSession(refresh=issuer, storage=storage, clock=time.clock, **options)
        self.events: list[AuthEvent] = []
        self.states: list[AuthState] = []
        self.session.events.subscribe(self.events.append)
        self.session.states.subscribe(self.states.append)

    @property
    def heard(self) -> list[str]:
        return [type(event).__name__ for event in self.events]

    async def token(self) -> str | None:
        return await self.session.get_token()

    async def outcome(self) -> str | Exception | None:
        """Return the token, or the error."""
        try:
            return await self.token()
        except Exception as error:  # noqa: BLE001 - the test judges it
            return error


class Fleet:
    """Hosts around one storage, which has the tokens A0 and R0."""

    def __init__(
        self, time: VirtualTime, count: int = 2, *, storage: SharedTokenStorage | None = None, **options: Any
    ) -> None:
        self.time = time
        self.issuer = StrictIssuer()
        self.memory = MemoryTokenStorage(self.fresh(time))
        self.storage = storage or self.memory
        options.setdefault("jitter", 0.0)
        self.hosts = [Host(self.storage, self.issuer, time, **options) for _ in range(count)]

    def fresh(self, time: VirtualTime) -> TokenSet:
        return TokenSet("A0", refresh_token="R0", expires_in=100.0).received(time.clock())

    async def tokens(self) -> list[str | Exception | None]:
        return await asyncio.gather(*(host.outcome() for host in self.hosts))

    async def aclose(self) -> None:
        await asyncio.gather(*(host.session.aclose() for host in self.hosts))


class Telling(MemoryTokenStorage):
    """Tells at once, and at once only."""

    def __init__(self) -> None:
        super().__init__()
        self.watchers: list[Any] = []
        self.told = 0

    async def replace(self, old: Any, new: Any, /) -> bool:
        is_done = await super().replace(old, new)
        self.told += 1
        for notice in self.watchers:
            asyncio.get_running_loop().call_soon(notice)
        return is_done

    def stamp(self) -> int:
        return self.told if self.watchers else 0

    def watch(self, notice: Any, /) -> Any:
        self.watchers.append(notice)
        return lambda: self.watchers.remove(notice)
