"""What the tests of threads share: threads with an event loop each, and ways to let things happen in between."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from rxlink.auth.events import RefreshReason
from rxlink.auth.tokens import TokenSet
from tests.auth.scripted import REQUEST_ID, Bench, Issuer
from tests.recording import Recorder

Main = Callable[[], Coroutine[Any, Any, Any]]
NEXT = TokenSet("B0", refresh_token="S0")
"""Tokens of the next user."""
MOMENT = 0.05  # real seconds for a thread to come as far as it gets


class Crew:
    """Threads with an event loop each; what they return or raise is kept in their order."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []
        self.outcomes: dict[int, Any] = {}

    def start(self, main: Main) -> threading.Thread:
        place = len(self.threads)

        def run() -> None:
            try:
                self.outcomes[place] = asyncio.run(main())
            except Exception as error:  # noqa: BLE001 - the test looks at it
                self.outcomes[place] = error

        # In a context of its own, whatever Python does with that of whoever starts it.
        thread = threading.Thread(target=contextvars.Context().run, args=(run,), daemon=True)
        self.threads.append(thread)
        thread.start()
        return thread

    def join(self) -> list[Any]:
        for thread in self.threads:
            thread.join(20)
        assert not [thread for thread in self.threads if thread.is_alive()], "a thread hangs"
        return [self.outcomes[place] for place in range(len(self.threads))]


def on_threads(*mains: Main) -> list[Any]:
    crew = Crew()
    for main in mains:
        crew.start(main)
    return crew.join()


def elsewhere(main: Main) -> Any:
    """Run something to its end on another thread, while this one stands still."""
    (outcome,) = on_threads(main)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


class Nudge:
    """Lets something happen on another thread, once, and waits for it only a moment: it may have to wait for a lock."""

    def __init__(self, main: Main) -> None:
        self._main = main
        self._crew = Crew()

    def __call__(self) -> None:
        if self.begin():
            self._crew.threads[0].join(MOMENT)

    def begin(self) -> bool:
        """Begin without waiting; tell whether it was not begun before."""
        is_first = not self._crew.threads
        if is_first:
            self._crew.start(self._main)
        return is_first

    def join(self) -> Any:
        (outcome,) = self._crew.join()
        return outcome


def before(owner: Any, name: str, happens: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let something happen whenever a method is called, before its first line."""
    method = getattr(owner, name)

    def watched(*args: Any, **options: Any) -> Any:
        happens()
        return method(*args, **options)

    monkeypatch.setattr(owner, name, watched)


def after(owner: Any, name: str, happens: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let something happen whenever a method has been called, before its caller goes on."""
    method = getattr(owner, name)

    def watched(*args: Any, **options: Any) -> Any:
        returned = method(*args, **options)
        happens()
        return returned

    monkeypatch.setattr(owner, name, watched)


class Ear(Recorder):
    """A recorder that also writes down on which thread and in which context it is called, and can be awaited."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: set[tuple[int, int | None]] = set()
        self.ended = asyncio.get_running_loop().create_future()

    def on_next(self, value: Any) -> None:
        self._note()
        super().on_next(value)

    def on_error(self, error: Exception) -> None:
        self._note()
        super().on_error(error)
        self.ended.set_result(None)

    def on_completed(self) -> None:
        self._note()
        super().on_completed()
        self.ended.set_result(None)

    def _note(self) -> None:
        self.heard.add((threading.get_ident(), REQUEST_ID.get()))


async def run_many(built: Bench, names: list[str]) -> tuple[list[list[Any]], list[set[Any]], int]:
    """Run operations, each with a request id of its own; return what they got, and where they heard of it."""
    ears = []
    for number, name in enumerate(names):
        ear = Ear()
        token = REQUEST_ID.set(number)
        ear.subscription = built.run(name).subscribe(ear)
        REQUEST_ID.reset(token)
        ears.append(ear)
    await asyncio.gather(*(ear.ended for ear in ears))
    return [ear.seen for ear in ears], [ear.heard for ear in ears], threading.get_ident()


class HeldIssuer(Issuer):
    """An issuer that answers when it is let go; `asked` is set as soon as somebody asks."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.asked = threading.Event()
        self.may_answer = threading.Event()

    async def __call__(self, tokens: TokenSet | None, reason: RefreshReason) -> Any:
        self.asked.set()
        await until(self.may_answer.is_set)
        return await super().__call__(tokens, reason)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - of another thread
        await asyncio.sleep(0.001)


def waiting(built: Bench) -> int:
    return built.session.keeper._refresher.flight.waiting


@contextmanager
def killed_loop(main: Main, is_far_enough: Callable[[], bool]) -> Iterator[None]:
    """Run a loop on this thread until a condition holds, and close it in the midst of everything."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)

    async def stop() -> None:
        await until(is_far_enough)
        loop.stop()

    tasks = [loop.create_task(main()), loop.create_task(stop())]
    loop.run_forever()
    tasks += asyncio.all_tasks(loop)
    loop.close()
    yield
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined] # dead with its loop, as intended
    del tasks
    gc.collect()
