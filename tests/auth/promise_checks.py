"""The promises of auth as checks on a world: each compares what happened with the world's own books."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from rxlink.auth.events import Ended
from rxlink.errors import (
    AuthError,
    ClientClosed,
    InvariantError,
    InvariantTypeError,
    OperationCancelled,
    RxlinkError,
    ServerError,
    SessionEnded,
    TokenRefreshError,
    TokenRefreshTimeout,
)
from tests.auth.promise_events import (
    check_events_are_a_language,
    check_events_equal_the_books,
    check_states_equal_the_books,
    started_so_far,
)
from tests.auth.promise_operations import Op
from tests.auth.promise_records import (
    A_MOMENT,
    COOL_DOWN,
    LONGEST_PAUSE,
    MUCH_LATER,
    PLANTED,
    TIME_LIMIT,
    HookCall,
    HookRaised,
    ObserverRaised,
    RefreshCall,
    SetterRaised,
    causes,
)
from tests.auth.promise_world import World

MOST_SENDS = 2
FOR_GOOD = {"final", "nothing", "empty", "wrong type", "value error", "cancelled", "asks for a token"}
"""Outcomes of a refresh after which no other try follows."""
FINAL = {"final", "its operation is refused"}
TRANSIENT = {"transient", "retry after 5", "retry much later"}


def check_p1_one_refresh_at_a_time(world: World) -> None:
    assert world.issuer.most_at_a_time <= 1, f"{world.issuer.most_at_a_time} refreshes ran at a time"


def check_p2_every_operation_ends_once_with_its_own(world: World) -> None:
    for op in world.ops.values():
        assert not op.late_calls, f"{op.name} was called after its end: {op.late_calls}"
        assert len(op.ends) <= 1, f"{op.name} ended {len(op.ends)} times"
        _check_results(op)
        if op.ends:
            _check_end(world, op, op.ends[0])


def check_p2_nobody_waits_for_nothing(world: World) -> None:
    """Whoever is not at the server waits for something with a time limit."""
    waiting = world.waiting_ops
    timers = [left.when() for left in world.time.leftovers() if isinstance(left, asyncio.TimerHandle)]
    latest = world.time.monotonic() + world.longest_wait + A_MOMENT
    assert not waiting or any(when <= latest for when in timers), f"nothing will ever wake {_names(waiting)}"
    is_going_on = world.issuer.running or world.hook.running or world.storage.running or world.issuer.may_pause()
    assert not waiting or is_going_on, f"nothing is going on that {_names(waiting)} could wait for"


def check_p2_a_refresh_that_failed_for_good_ends_everyone(world: World, outcome: str, waited: dict[Op, int]) -> None:
    """For after a refresh was decided, with the operations that waited before, and how often they had been sent."""
    is_asked_again = world.options.signs_in_again and outcome in FINAL
    is_given_up = world.options.on_outage != "wait" and outcome in TRANSIENT
    if (outcome in FOR_GOOD or is_given_up) and not is_asked_again:
        # A token past its end may have served them, or one of them, and may have been refused: then they wait again.
        is_refused = world.current is not None and world.current.is_known_refused
        if is_refused and world.options.on_outage == "use_stale":
            return
        waiting = [op for op in world.waiting_ops if len(op.sends) == waited.get(op)]
        assert not waiting, f"{_names(waiting)} still wait after {outcome!r}"


def check_p2_nothing_is_left(world: World) -> None:
    """For the end of a world, when everything has run out and the session is closed."""
    assert not world.open_ops, f"never ended: {_names(world.open_ops)}"
    assert not world.tasks, f"calls of the session never returned: {world.tasks}"
    assert not world.time.leftovers(), f"left behind: {world.time.leftovers()}"


def check_p3_at_most_two_sends(world: World) -> None:
    for op in world.ops.values():
        assert len(op.sends) <= MOST_SENDS, f"{op.name} was sent {len(op.sends)} times"


def check_p4_saved_before_retried(world: World) -> None:
    for send in world.sends:
        is_retry = send is not send.op.sends[0]
        if is_retry and send.token is not None and send.token.is_refreshed:
            # A save that hangs counts as failed when the time limit has passed, begun or not.
            is_late = send.at - send.token.refresh_began >= send.token.save_limit - A_MOMENT
            is_saved = bool(send.saves_of_token) and send.saves_of_token[0] != "running"  # it may be saved again later
            assert is_saved or is_late, f"{send.op.name} was retried before its token was saved"


def check_p5_refreshes_have_a_reason(world: World) -> None:
    for call in world.issuer.calls:
        match call.reason:
            case "rejected":
                assert call.current is not None, "a refusal of no token started a refresh"
                assert call.current.is_known_refused, "a late refusal of an older token started a refresh"
            case "expired" | "expiring":
                assert call.current is not None, "no token has no end"
                assert call.current.mandatory_at is not None, "a token without known end was refreshed in advance"
            case "missing":
                assert world.options.obtain_first, "nobody wanted first tokens"
                assert call.refresh_token is None, "first tokens were paid with others"
            case _:
                assert call.was_forced, "nobody forced this refresh"
    for send in world.sends:
        assert not send.was_known_refused or send.may_cool_down, f"{send.op.name} was sent with a refused token"


def check_p5_goes_on_or_waits(op: Op, expected: str) -> None:
    """For an operation that has just started, with what the books said before."""
    if op.raises_in_setter_of_send == 1:
        return
    if expected.startswith("go on"):
        assert op.sends, f"{op.name} was held back although its token is good"
    if expected == "wait":
        assert not op.sends, f"{op.name} was sent with a token that is known to be refused or at its end"


def check_p5_refreshes_in_advance(op: Op, expected: str, started_before: int) -> None:
    """For an operation that has just started, with how many refreshes had been told of before."""
    is_same_login = op.login == op.world.login  # a subscriber may have signed out, and the refresh has gone with that
    if expected == "go on and refresh" and op.raises_in_setter_of_send != 1 and is_same_login:
        is_under_way = op.world.listener.is_refreshing or started_so_far(op.world) > started_before
        assert is_under_way, "a token inside its advisory window was not refreshed"


def check_p5_dead_refresh_tokens_are_never_sent(world: World) -> None:
    assert not world.issuer.sent_dead, "a refresh token that was refused for good was sent again"


def check_p5_what_is_not_to_be_sent_again_is_not(world: World) -> None:
    for op in world.ops.values():
        assert op.may_be_retried or len(op.sends) <= 1, f"{op.name} is a mutation, and was sent again"


def check_p6_leaving_is_a_private_matter(running_before: list[RefreshCall]) -> None:
    """For after an operation was disposed, with the refreshes that ran before."""
    cancelled = [call for call in running_before if call.was_cancelled]
    assert not cancelled, "leaving cancelled the refresh"


def check_p6_who_has_left_is_never_sent(world: World) -> None:
    for send in world.sends:
        assert not send.has_left, f"{send.op.name} was sent after its subscriber had left"
    for attempt in world.pending:
        assert attempt.send.op.is_open or attempt.send.op.is_inner, "the request of a leaver went on"


def check_p8_logins_never_mix(world: World) -> None:
    for send in world.sends:
        if send.op.is_untouched:
            assert send.header is None, f"{send.op.name} is none of the session's business, and carried {send.header}"
            continue
        assert send.header is None or send.token is not None, f"{send.op.name} carried no token but {send.header}"
        if send.token is None:
            assert not send.lacks_user, f"{send.op.name} went out without the token of its user"
        else:
            assert send.token.login == send.op.login, f"{send.op.name} carried the token of another login"
    for op in world.ops.values():
        strange = set(op.exits) - {op.login}
        assert op.is_untouched or not strange, f"{op.name} of login {op.login} was let pass in login {strange}"
    for call in world.storage.calls:
        # What a sign-in saves may be late: the sign-out that followed it is next in the queue of the storage.
        is_own = call.token is None or not call.token.is_refreshed or call.token.login == call.login
        assert is_own, "a refreshed token was saved after its login had ended"
    for what, login, outcome in world.returned:
        if what == "get_token" and isinstance(outcome, str):
            assert world.minted[outcome].login == login, "get_token returned the token of another login"


def check_p8_memory_and_storage_belong_to_the_login(world: World) -> None:
    if world.session is None:
        return
    held = world.session.wallet.tokens
    expected = None if world.current is None else world.current.text
    assert (None if held is None else held.access_token) == expected, f"the session holds {held}, not {expected}"
    calls = world.storage.calls
    if calls and calls[-1].state == "returned" and calls[-1].kind != "load":
        stored = world.storage.content
        login = None if stored is None else world.minted[stored.access_token].login
        assert login in {None, world.login}, f"the storage holds a token of login {login}"
        assert stored is None or expected is not None, "the storage holds a token although nobody is signed in"
    assert not world.storage.overlaps, "calls of the storage overlapped"


def check_e95_nobody_waits_for_another(others: list[World], before: list[tuple[tuple[Any, ...], list[Op]]]) -> None:
    """For after a refresh of somebody else was decided, with how everybody stood before."""
    after = [(other.session_facts(), other.waiting_ops) for other in others]
    assert before == after, "the refresh of one user has changed something for another"


def check_p9_only_final_failures_end_the_session(world: World) -> None:
    ended = [event for event in world.events if isinstance(event, Ended)]
    if not world.is_closed:
        assert len(ended) == world.endings, f"the listeners heard of {len(ended)} ends, not of {world.endings}"
    known = {id(error) for error in world.issuer.raised}
    for op in world.ops.values():
        if not op.ends or not isinstance(op.ends[0], AuthError):
            continue
        chain = causes(op.ends[0])
        assert len(chain) > 1, f"{op.name} was not told the cause of {chain[0]!r}"
        if isinstance(chain[0], TokenRefreshError) and not isinstance(chain[0], TokenRefreshTimeout):
            is_known = known & {id(error) for error in chain}
            assert is_known or any(map(_is_for_nothing, chain)), f"{op.name} was not told the cause: {chain}"
        if isinstance(chain[0], SessionEnded):
            reasons = {error.reason for error in world.issuer.raised if isinstance(error, SessionEnded)}
            reasons |= OF_A_DEAD_TOKEN if world.issuer.dead else set()
            reasons |= OF_A_HOOK
            assert chain[0].reason in reasons | OF_THE_USER, f"{op.name} was not told why its login has ended: {chain}"


def check_p9_the_cause_is_on_every_error(raised: list[Exception], outcome: str, waited: list[Op]) -> None:
    """For after a refresh was decided, with what was raised since and the operations that waited before."""
    if raised and outcome in {"final", "value error", "asks for a token"}:
        for end in [end for op in waited for end in op.ends]:
            assert end is not None and raised[0] in causes(end), f"somebody was not told the cause: {end!r}"  # noqa: PT018


def check_p9_a_transient_failure_ends_nobody(world: World, outcome: str, waited: list[Op]) -> None:
    """For after a refresh was decided, with the operations that waited before."""
    has_time = (
        world.options.on_outage == "wait" and world.time.monotonic() - world.refresh_began < TIME_LIMIT - LONGEST_PAUSE
    )
    if outcome == "transient" and has_time:
        ended = [op for op in waited if op.ends]
        assert not ended, f"{_names(ended)} ended with a failure that may pass"


def check_p9_who_is_not_signed_in_again_ends(world: World, call: HookCall, waited: list[Op]) -> None:
    """For after the hook was decided, with the operations that waited before."""
    assert not call.is_running, "the hook waits for its own session"
    if call.outcome in world.hook.GOOD:
        ended = [op for op in waited if op.ends and isinstance(op.ends[0], SessionEnded | TokenRefreshError)]
        reasons = {end.reason for op in ended for end in op.ends if isinstance(end, SessionEnded)}
        assert not ended or reasons <= OF_THE_USER, f"{_names(ended)} ended although somebody has signed in again"
    else:
        strange = [op for op in waited if not op.has_left and not _is_ended_by(op, SessionEnded)]
        assert not strange, f"{_names(strange)} did not end with the session: {[op.ends for op in strange]}"


def check_p10_a_refresh_that_was_told_to_end_ends(call: RefreshCall) -> None:
    assert not call.is_running, "a refresh waits for itself"


def check_p10_a_refresh_ends_within_its_limit(world: World) -> None:
    now = world.time.monotonic()
    for call in world.issuer.running:
        assert now - call.began <= TIME_LIMIT + A_MOMENT, f"a refresh has run for {now - call.began} s"
    for call in world.hook.running:
        assert now - call.began <= world.options.relogin_limit + A_MOMENT, "the hook has run for too long"
    assert world.hook.most_at_a_time <= 1, "two hooks ran at a time"
    assert not world.hook.was_called_amiss, (
        "the hook was called with another error, beside the refresh, or not for its time"
    )
    allowed = (ObserverRaised, SetterRaised, *(OF_HOOKS if world.options.signs_in_again else ()))
    for complaint in world.complaints:
        assert isinstance(complaint.get("exception"), allowed), f"the loop complained: {complaint}"


def check_p10_the_session_works(world: World) -> None:
    """For after an issuer, a storage and a server have healed: a new operation gets its result in time."""
    world.server_policy = "at once"
    if world.current is None:
        world.sign_in()
        world.time.settle()
    if world.realm.was_set:
        # The pause after a failure begins anew where the clock was set back: once, and with who hears of it first.
        world.revoke()
        world.start()
        world.time.advance(MUCH_LATER)
    world.start()  # its token is accepted: below it is not one more of the fresh tokens that were refused in a row
    world.time.advance(COOL_DOWN)
    world.revoke()
    op = world.start()
    world.time.advance(TIME_LIMIT)
    world.server_policy = "ask"
    assert op.ends == [None], f"after all healed, {op.name} got {op.ends or 'nothing'}"
    assert op.results == op.expected, f"after all healed, {op.name} got {op.results}"


def check_p11_everybody_sees_their_own_context(world: World) -> None:
    for op in world.ops.values():
        if not op.is_inner:
            strangers = [(where, seen) for where, seen in op.seen if seen != op.id]
            assert not strangers, f"{op.name} ran in the context of another: {strangers}"


def check_p7_no_token_is_told(world: World) -> None:
    told: list[object] = [*world.events, *world.states]
    told += [cause for op in world.ops.values() for end in op.ends if end is not None for cause in causes(end)]
    told += [outcome for what, _, outcome in world.returned if what != "get_token"]
    # What others said may be anything; it is kept as a cause, and quoted nowhere.
    own = [thing for thing in told if isinstance(thing, RxlinkError) or not isinstance(thing, Exception)]
    leaks = [thing for thing in own if PLANTED in f"{thing!r} {thing}"]
    assert not leaks, f"a token was told: {leaks}"


EVERY_STEP: tuple[Callable[[World], None], ...] = (
    check_p1_one_refresh_at_a_time,
    check_p2_every_operation_ends_once_with_its_own,
    check_p2_nobody_waits_for_nothing,
    check_p3_at_most_two_sends,
    check_p4_saved_before_retried,
    check_p5_refreshes_have_a_reason,
    check_p5_dead_refresh_tokens_are_never_sent,
    check_p5_what_is_not_to_be_sent_again_is_not,
    check_p6_who_has_left_is_never_sent,
    check_p7_no_token_is_told,
    check_p8_logins_never_mix,
    check_p8_memory_and_storage_belong_to_the_login,
    check_p9_only_final_failures_end_the_session,
    check_p10_a_refresh_ends_within_its_limit,
    check_p11_everybody_sees_their_own_context,
    check_events_are_a_language,
    check_events_equal_the_books,
    check_states_equal_the_books,
)


def check_all(world: World) -> None:
    for check in EVERY_STEP:
        check(world)
    world.listener.note_who_waits()


ABOUT_WHAT_IT_RETURNED = ("returned no token", "returned cannot be used")
OF_THE_USER = {"signed out", "another login"}
OF_A_DEAD_TOKEN = {"refresh token rejected"}
OF_A_HOOK = {"no, thanks"}
OF_HOOKS = (HookRaised, SessionEnded, InvariantError, InvariantTypeError, TimeoutError, TokenRefreshError)
"""What may end a hook, and is reported."""


def _check_results(op: Op) -> None:
    own = [result for result in op.results if result in op.expected]
    refusals = [result for result in op.results if result not in own]
    assert own == op.expected[: len(own)], f"{op.name} got {op.results}"
    assert all(result in op.refusals for result in refusals), f"{op.name} got what is not its own: {op.results}"
    assert len(refusals) <= 1, f"{op.name} was refused {len(refusals)} times over"


def _check_end(world: World, op: Op, end: Exception | None) -> None:
    if end is None:
        assert op.results, f"{op.name} completed empty"
        assert op.results == op.expected or op.results[-1] in op.refusals, f"{op.name} completed with {op.results}"
    elif isinstance(end, AuthError):
        assert end.operation_name == op.name, f"{op.name} got the error of {end.operation_name}"
    elif isinstance(end, ClientClosed):
        assert world.is_closed, f"{op.name} got {end!r} of a session that is open"
    else:
        assert any(end is own for own in op.own_errors) or isinstance(end, ObserverRaised), f"{op.name} got {end!r}"
    is_refused = end is None and op.results[-1] in op.refusals
    if is_refused or isinstance(end, ServerError):
        assert not op.must_be_retried or len(op.sends) == MOST_SENDS, f"{op.name} was refused, and not retried"


def _is_ended_by(op: Op, kind: type[Exception]) -> bool:
    return len(op.ends) == 1 and isinstance(op.ends[0], kind)


def _is_for_nothing(error: BaseException) -> bool:
    return isinstance(error, InvariantError | OperationCancelled) or any(
        text in str(error) for text in ABOUT_WHAT_IT_RETURNED
    )


def _names(ops: list[Op]) -> str:
    return ", ".join(op.name for op in ops)
