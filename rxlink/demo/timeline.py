"""What the demo prints as it goes: who did what, and when since the start."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from time import monotonic
from typing import Final

from rxlink.auth.events import (
    AuthEvent,
    Ended,
    OperationQueued,
    RefreshFailed,
    RefreshReason,
    RefreshStarted,
    RefreshSucceeded,
    RefreshTryFailed,
)
from rxlink.demo.calls import AT_ONCE, Call, Outcome
from rxlink.demo.display import Display, Line, Mood
from rxlink.testing.auth_server import Generation, Send

__all__ = ["Timeline", "token_name"]

EXAMPLES: Final = 2
"""How many operations are named where many did the same."""

WHY: Final = {
    RefreshReason.EXPIRING: "the token ends soon; operations go on with it",
    RefreshReason.EXPIRED: "the token has ended, or is about to; operations wait",
    RefreshReason.REJECTED: "the server has refused the token",
    RefreshReason.FORCED: "it was asked for",
}


class Timeline:
    """Tells a story line by line, on any number of displays."""

    def __init__(self, displays: Sequence[Display]) -> None:
        self._displays = list(displays)
        self._started = monotonic()
        self._queued = 0
        self._has_begun = False

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return monotonic() - self._started

    def add(self, display: Display) -> None:
        """Go on here as well."""
        self._displays.append(display)

    def title(self, text: str) -> None:
        """Begin a chapter, or the end."""
        if self._has_begun:
            self._show(Line("", "", Mood.PLAIN))
        self._show(Line("", text, Mood.TITLE))

    def tell(self, who: str, text: str, mood: Mood = Mood.PLAIN) -> None:
        """Say what happens now."""
        self._show(Line(f"{self.seconds:6.2f} s  {who:<9}", text, mood))

    def conclude(self, lines: Iterable[str], mood: Mood) -> None:
        """Say what came of it."""
        for line in lines:
            self._show(Line("", line, mood))

    def advance(self, ended: int) -> None:
        """Say how many operations have ended."""
        for display in self._displays:
            display.advance(ended)

    def tell_start(self, wave: str, calls: Sequence[Call], token: Generation) -> None:
        """Say what a wave is made of, and whether its token is still good."""
        mutations = sum(call.is_mutation for call in calls)
        kinds = f"{_count(len(calls) - mutations, 'query', 'queries')}, {_count(mutations, 'mutation', 'mutations')}"
        pace = "at once" if len(calls) <= AT_ONCE else f"in turn, {AT_ONCE} at a time"
        ended = f"; {token_name(token)} has ended" if monotonic() >= token.ends else ""
        self.tell(wave, f"{_count(len(calls))} {pace}: {kinds}{ended}")

    def tell_outcomes(self, wave: str, outcomes: Iterable[Outcome], sends: Iterable[Send], token: Generation) -> None:
        """Say how a wave went, in groups: straight through, waited, or sent again.

        Args:
            wave: Its name.
            outcomes: How its operations ended.
            sends: What the server saw meanwhile.
            token: The token in use at its beginning.
        """
        by_operation: dict[str, list[Send]] = {}
        for send in sends:
            by_operation.setdefault(send.operation_id, []).append(send)
        groups: dict[tuple[str, Mood], list[str]] = {}
        for outcome in outcomes:
            path = _path(outcome, by_operation.get(outcome.call.name, []), token)
            groups.setdefault(path, []).append(outcome.call.name)
        for (path, mood), names in groups.items():
            self.tell(wave, f"{len(names)} {path}: {_examples(names)}", mood)

    def tell_event(self, event: AuthEvent) -> None:
        """Say what the session does; operations that begin to wait are counted."""
        match event:
            case OperationQueued():
                self._queued += 1
            case RefreshStarted(reason=reason):
                self._queued = 0
                self.tell("refresh", f"starts: {WHY[reason]}", Mood.REFRESH)
            case RefreshTryFailed(error_type=error, delay=delay):
                text = f"fails ({error}), next try in {delay:.2f} s; {_count(self._queued)} waiting"
                self.tell("refresh", text, Mood.WAITING)
            case RefreshSucceeded(seconds=seconds, waiting=waiting):
                text = f"done after {seconds:.2f} s; {_count(waiting)} waiting for it"
                self.tell("refresh", text, Mood.REFRESH)
            case RefreshFailed(error_type=error, waiting=waiting):
                self.tell("refresh", f"given up ({error}); {_count(waiting)} waiting", Mood.BAD)
            case Ended(reason=reason):
                self.tell("session", f"has ended: {reason}", Mood.BAD)
            case _:
                pass

    def _show(self, line: Line) -> None:
        for display in self._displays:
            self._has_begun = True
            display.show(line)


def token_name(generation: Generation | None) -> str:
    """Name a token without showing it: the first is ``token 1``."""
    return "no token" if generation is None else f"token {generation.index + 1}"


def _path(outcome: Outcome, sends: Sequence[Send], token: Generation) -> tuple[str, Mood]:
    """Say which way an operation went."""
    if outcome.failure is not None:
        return f"failed ({outcome.failure})", Mood.BAD
    first, last = sends[0].generation, sends[-1].generation
    if len(sends) > 1:
        return f"refused with {token_name(first)}, then accepted with {token_name(last)}", Mood.GOOD
    has_waited = first is not None and first.index > token.index
    return f"{'waited, sent' if has_waited else 'straight through'} with {token_name(first)}", Mood.GOOD


def _examples(names: Sequence[str]) -> str:
    return ", ".join(names[:EXAMPLES]) + (" ..." if len(names) > EXAMPLES else "")


def _count(number: int, one: str = "operation", many: str = "operations") -> str:
    return f"{number or 'no'} {one if number == 1 else many}"
