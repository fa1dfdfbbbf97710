"""What a session tells, read as a language: which event may follow which, and what each must count."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from rxlink.auth.events import (
    AuthEvent,
    AuthState,
    AuthStatus,
    CallbackFailed,
    Ended,
    OperationRetried,
    RefreshFailed,
    RefreshStarted,
    RefreshSucceeded,
    RefreshTryFailed,
    SaveFailed,
    SignedInAgain,
    TokensSaved,
)
from tests.auth.promise_records import A_MOMENT, PLANTED

if TYPE_CHECKING:
    from tests.auth.promise_operations import Op
    from tests.auth.promise_world import World


class Listener:
    """Hears a session's events and states, and notes what is wrong with them.

    Attributes:
        events: All of them.
        states: All of them.
        problems: What was wrong.
        is_refreshing: Whether a refresh has been told to begin, and nothing yet of its end.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.events: list[AuthEvent] = []
        self.states: list[AuthState] = []
        self.problems: list[str] = []
        self.is_refreshing = False
        self.has_completed = False
        self._has_signed_in_again = False
        self._generation = 0
        self._saved_generation = 0
        self._waited: tuple[set[Op], set[object]] = (set(), set())

    def hear(self, event: AuthEvent) -> None:
        self.events.append(event)
        if PLANTED in repr(event):
            self.problems.append(f"{event} tells a token")
        self._hear_generation(event)
        match event:
            case RefreshStarted():
                self._hear_start(event)
            case RefreshTryFailed():
                self._require(self.is_refreshing, event, "while no refresh runs")
            case SignedInAgain():
                self._require(self.is_refreshing and not self._has_signed_in_again, event, "out of turn")
                self._require(self._world.options.signs_in_again, event, "where there is no hook")
                self._has_signed_in_again = True
            case RefreshSucceeded() | RefreshFailed():
                self._hear_end(event)
            case CallbackFailed():
                self._require(event.callback == "on_session_ended", event, "of no callback here")
            case Ended():
                self._require(not self.is_refreshing, event, "during a refresh")
            case _:
                pass

    def hear_completion(self) -> None:
        self.has_completed = True

    def part(self) -> None:
        """Hear from the user that the login is over: a refresh of it is told of no more."""
        self.is_refreshing = False

    def note_who_waits(self) -> None:
        """For moments when all is quiet: whoever is held while a refresh runs waits for it."""
        if self.is_refreshing:
            self._waited = (set(self._world.held_ops), set(self._world.waiting_calls))

    def _hear_generation(self, event: AuthEvent) -> None:
        if isinstance(event, TokensSaved | SaveFailed):
            self._require(event.generation <= self._newest, event, "of tokens that are still to come")
        else:
            self._require(event.generation >= self._generation, event, f"after generation {self._generation}")
            self._generation = event.generation
        if isinstance(event, TokensSaved):
            self._require(event.generation >= self._saved_generation, event, "after newer ones were saved")
            self._saved_generation = event.generation

    @property
    def _newest(self) -> int:
        return self._world.the_session.wallet.generation

    def _hear_start(self, event: RefreshStarted) -> None:
        world, token = self._world, self._world.current
        self._require(not self.is_refreshing, event, "during another refresh")
        self.is_refreshing, self._has_signed_in_again = True, False
        self._waited = (set(), set())
        match event.reason:
            case "rejected":
                self._require(token is not None and token.is_known_refused, event, "without a refusal of the token")
            case "expired" | "expiring":
                begin = token and (token.mandatory_at if event.reason == "expired" else token.advisory_at)
                early = A_MOMENT if begin is None else (begin - world.now).total_seconds()
                self._require(early < A_MOMENT, event, f"{early} s before its window, or without one")
            case "missing":
                self._require(world.wants_first_tokens, event, "although nobody wants first tokens")
            case _:
                self._require(world.forced_refreshes > 0, event, "although nobody forced it")

    def _hear_end(self, event: RefreshSucceeded | RefreshFailed) -> None:
        self._require(self.is_refreshing, event, "while no refresh runs")
        is_good = isinstance(event, RefreshSucceeded)
        self._require(is_good or not self._has_signed_in_again, event, "although somebody has signed in again")
        self.is_refreshing = False
        if self._world.is_closed:
            return  # who waited was turned away
        ops, calls = set(self._world.held_ops), set(self._world.waiting_calls)
        least = len(ops & self._waited[0]) + len(calls & self._waited[1])
        is_right = least <= event.waiting <= len(ops) + len(calls)
        self._require(is_right, event, f"while {least} to {len(ops) + len(calls)} wait")
        token = self._world.current
        if isinstance(event, RefreshFailed) and event.reason == "expiring" and token is not None:
            token.advisory_surely_at = token.mandatory_at  # put off, to a moment between that comes from the token

    def _require(self, is_right: bool, event: AuthEvent, problem: str) -> None:
        if not is_right:
            self.problems.append(f"{event} {problem}")


def started_so_far(world: World) -> int:
    return sum(isinstance(event, RefreshStarted) for event in world.events)


def check_events_are_a_language(world: World) -> None:
    assert not world.listener.problems, f"the session told {world.listener.problems}"


def check_events_equal_the_books(world: World) -> None:
    """For moments when all is quiet."""
    listener = world.listener
    if listener.has_completed or world.session is None:
        return
    told = sum(isinstance(event, TokensSaved) for event in listener.events)
    saves = [call for call in world.storage.calls if call.kind == "save"]
    saved = sum(call.state == "returned" for call in saves)
    assert told == saved, f"{saved} saves, and {told} times `TokensSaved`"
    told = sum(isinstance(event, SaveFailed) for event in listener.events)
    # A save that was cancelled may have been another try, which newer tokens have made pointless.
    failed = sum(call.token.is_refreshed and call.state == "failed" for call in saves if call.token)
    assert told >= failed, f"{failed} saves have failed, and {told} times `SaveFailed`"
    told = sum(isinstance(event, OperationRetried) for event in listener.events)
    retried = sum(max(0, len(op.exits) - 1) for op in world.ops.values() if not op.is_untouched)
    assert told == retried, f"{retried} operations were sent again, and {told} times `OperationRetried`"
    good = sum(call.outcome in world.hook.GOOD and not call.was_cancelled for call in world.hook.calls)
    told = sum(isinstance(event, SignedInAgain) for event in listener.events)
    assert told == good, f"{good} times somebody signed in again, and {told} times `SignedInAgain`"


def check_states_equal_the_books(world: World) -> None:
    """For moments when all is quiet."""
    states = world.listener.states
    pairs = list(pairwise(states))
    assert all(before != after for before, after in pairs), f"a state was told twice: {states}"
    again = [after for _, after in pairs if after.status is AuthStatus.LOADING]
    assert not again, "a session that knows who is signed in loads no more"
    for state in states:
        assert (state.status is AuthStatus.UNAUTHENTICATED) == (state.reason is not None), f"a reason: {state}"
    if world.is_closed or world.session is None:
        return
    if not world.is_loaded:
        expected = AuthStatus.LOADING
    elif world.listener.is_refreshing:
        expected = AuthStatus.REFRESHING
    else:
        expected = AuthStatus.UNAUTHENTICATED if world.current is None else AuthStatus.AUTHENTICATED
    assert states[-1].status is expected, f"the state is {states[-1]}, and should be {expected}"
    is_seeking = bool(world.issuer.running or world.hook.running)
    assert world.listener.is_refreshing or not is_seeking, "an issuer or a hook runs, and nobody was told"
