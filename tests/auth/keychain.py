"""A blocking refresh that tests hold and let go."""

import asyncio
import threading

from rxlink.auth.events import RefreshReason
from rxlink.auth.tokens import TokenSet


class Keychain:
    """Blocks until it is let go, and says how often and where it was called."""

    def __init__(self, *outcomes: object) -> None:
        self.outcomes = list(outcomes)
        self.calls: list[TokenSet | None] = []
        self.threads: list[threading.Thread] = []
        self.at_once = 0
        self.most_at_once = 0
        self.started = threading.Semaphore(0)
        self.may_go_on = threading.Semaphore(0)

    def __call__(self, tokens: TokenSet | None, reason: RefreshReason) -> TokenSet | None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.calls.append(tokens)
        self.threads.append(threading.current_thread())
        self.started.release()
        try:
            assert self.may_go_on.acquire(timeout=5), "nobody lets this run end"
            outcome = self.outcomes.pop(0)
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome
        finally:
            self.at_once -= 1

    async def wait_for_start(self) -> None:
        assert await asyncio.to_thread(self.started.acquire, timeout=5), "the function was not called"

    async def let_end(self) -> None:
        """Let a run end, and wait until its thread has."""
        thread = self.threads[-1]
        self.may_go_on.release()
        await asyncio.to_thread(thread.join)
