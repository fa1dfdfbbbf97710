"""The promises of auth among several processes, as checks on the books of their world."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from rxlink.auth.events import Ended
from rxlink.errors import (
    AuthError,
    ClientClosed,
    ServerError,
    SessionEnded,
    TokenRefreshError,
    TokenRefreshTimeout,
    TokenStorageError,
)
from tests.auth.shared_records import A_MOMENT, LEASE, LONGEST_WAIT, LOOK_AGAIN, TIME_LIMIT, LeaseBook, Minted, Request

if TYPE_CHECKING:
    from tests.auth.shared_host import Host
    from tests.auth.shared_operations import Op
    from tests.auth.shared_world import World

OWN_ERRORS = (TokenRefreshError, TokenRefreshTimeout, TokenStorageError, SessionEnded, ClientClosed, ServerError)
SIGN_IN_LIMIT = TIME_LIMIT + LEASE + TIME_LIMIT
CLOSING_LIMIT = 4 * TIME_LIMIT + 2 * LEASE + TIME_LIMIT


def p1_one_request_at_a_time(world: World, request: Request) -> None:
    """For a request that is about to leave its host."""
    if request.lease is None or request.lease.host is not request.host:
        world.object_to(f"P1: {request} leaves without the lease")
    for other in world.issuer.requests:
        if other is request or not other.is_in_flight or other.pair.family != request.pair.family:
            continue
        holds = other.lease is not None and world.store.holder() is other.lease and other.lease.host is other.host
        if other.host.gate.is_open and (holds and other.host is not request.host):
            world.object_to(f"P1: {request} leaves while {other} is in flight")
        if other.host is request.host:
            world.object_to(f"P1: {request} leaves while its own {other} is in flight")
    if request.reason != "forced" and not request.pair.is_due(world.now):
        world.object_to(f"P1: {request} trades in tokens that are good ({request.reason})")


def p1_a_refresh_token_comes_again(world: World, request: Request) -> None:
    """For a request whose refresh token was used up before."""
    for other in request.pair.uses:
        first, second = sorted([other, request], key=lambda request: request.order)
        if (why := _why_again(world, second, first)) is None:
            world.object_to(f"P1: {request} comes after {other}, which has used it up, for no reason in the books")
        else:
            world.tell(f"{request} comes again, since {why}")


def _why_again(world: World, request: Request, earlier: Request) -> str | None:
    """Return why a request was sent after another; it may have arrived before that."""
    new, host = earlier.granted, earlier.host
    if any(earlier.sent <= disaster for disaster in world.store.disasters):
        return "the storage had a disaster"
    if new is not None and new.kept_order is not None and new.kept_order < request.order:
        return "an answer was lost" if _is_replay(world, request) else None
    reasons = {
        "its answer was lost": earlier.is_lost or _is_replay(world, request),
        "its process was killed": host.gate.is_dead,
        "it was closed with its tokens unsaved": host.is_closing and new is not None and new.save_failed,
        "its lease ended against its will": request.host is not host and _has_lost(earlier.lease, host),
    }
    return next((why for why, holds in reasons.items() if holds), None)


def _has_lost(lease: LeaseBook | None, host: Host) -> bool:
    """Tell whether the books know what has cost a host its lease."""
    if lease is None or lease.state == "alive" or lease.was_given_back:
        return False
    return lease.state == "released" or _was_disturbed(lease.ends, host)


def _is_replay(world: World, request: Request) -> bool:
    """Tell whether a request is made at once after the same one, whose answer was lost; allowed once."""
    before = [other for other in world.issuer.requests if other.lease is request.lease and other.order < request.order]
    return sum(other.is_lost and other.pair is request.pair for other in before) == 1


def _was_disturbed(ends: float, host: Host) -> bool:
    """Tell whether the books know what has kept a host from renewing its lease."""
    then = ends - LEASE - A_MOMENT
    lease_was_disturbed = any(
        lease.host is host and lease.ends == ends and lease.disturbed_at >= then for lease in host.world.store.leases
    )
    return lease_was_disturbed or host.troubles.any_since(then, host.world.now)


def p2_nobody_waits_too_long(world: World) -> None:
    for op in world.ops.values():
        if op.waits and op.host.gate.is_open:
            waited = op.host.awake - op.waits_since
            assert waited <= LONGEST_WAIT, f"P2: {op} has waited for {waited:g} s"
    for host in world.hosts:
        late = [what for what, since in host.since.items() if host.awake - since > CLOSING_LIMIT]
        assert not late or not host.gate.is_open, f"P10: {late} of {host} has not returned"


def p2_every_operation_ends_once(world: World) -> None:
    for op in world.ops.values():
        assert len(op.ends) <= 1, f"P2: {op} has ended {len(op.ends)} times"
        assert op.ends != [None] or len(op.results) == 1, f"P2: {op} has completed with {op.results}"
        assert len(op.sends) <= 2, f"P3: {op} was sent {len(op.sends)} times"


def p4_saved_before_retried(world: World, op: Op, pair: Minted | None) -> None:
    """For an operation that is sent again."""
    if pair is None or pair.is_of_sign_in or len(op.sends) == 1 or pair.kept_at is not None or pair.save_failed:
        return
    if not op.host.troubles.any_since(pair.born, world.now):
        world.object_to(f"P4: {op} goes again with {pair.access}, which nobody has tried to keep")


def p8_one_login(world: World, op: Op, pair: Minted | None) -> None:
    """For an operation that is sent."""
    families = {sent.family for _, sent in op.sends if sent is not None}
    if len(families) > 1:
        world.object_to(f"P8: {op} was sent under the logins {families}")
    if len(op.sends) > 1 or (pair is not None and pair.is_of_sign_in and op.host.own_login_at >= 0):
        return
    expected = _expected_family(world, op)
    if expected is not None and expected != (0 if pair is None else pair.family):
        world.object_to(f"P8: {op} goes out with {pair and pair.access}, and the storage has login {expected}")


def _expected_family(world: World, op: Op) -> int | None:
    """Return as whom an operation must go that begins now; 0 for nobody, None where the books cannot tell."""
    store, host, then = world.store, op.host, op.began - LOOK_AGAIN - A_MOMENT
    pair, record = store.pair, store.record
    is_quiet = not host.troubles.any_since(then, world.now) and host.own_login_at < then and not host.wants_own_login
    is_whole = record is not None and not store.is_garbage and not any(when >= then for when in store.disasters)
    if not (is_quiet and is_whole) or store.changed_login_at >= op.began or host.calls or store.disasters:
        return None
    if pair is None:
        return 0
    return None if pair.family in host.refused_families else pair.family


def p9_why_it_ends(world: World, host: Host, event: Ended) -> None:
    """For a session that tells that it has ended."""
    if host.has_ended and not host.cleared:
        world.object_to(f"P9: {host} has ended twice")
    records = [change.record for change in world.store.history if change.record is not None]
    was_told = any(record.tokens is None and (record.reason or "signed out") == event.reason for record in records)
    if not was_told and not host.was_refused and not host.cleared:
        world.object_to(f"P9: {host} has ended, and nobody has left or was refused ({event.reason})")
    host.cleared = False


def p9_why_it_fails(world: World, op: Op, error: Exception) -> None:
    """For an operation that fails."""
    if not isinstance(error, OWN_ERRORS):
        world.object_to(f"P2: {op} has failed with {error!r}")
    elif isinstance(error, ClientClosed) and not op.host.is_closing:
        world.object_to(f"P2: {op} was told that the session is closed")
    elif isinstance(error, SessionEnded) and not op.host.was_refused and op.host.changed_at < op.began - A_MOMENT:
        world.object_to(f"P9: {op} was told that the session has ended, and nobody has left")
    elif isinstance(error, TokenRefreshError) and not error.retryable:
        world.object_to(f"P9: {op} was told that the refresh failed for good: {error}")


def check_call(world: World, host: Host, what: str, error: Exception) -> None:
    """For a call of the session that raised."""
    if not isinstance(error, AuthError | ClientClosed) or what == "close":
        world.object_to(f"P10: {what} of {host} has raised {error!r}")


def p10_all_works_again(world: World) -> None:
    """For after everything was healed."""
    open_ops = [str(op) for op in world.ops.values() if op.is_open and op.host.gate.is_open]
    assert not open_ops, f"P2: {open_ops} have never ended"
    for host in world.usable:
        ops = [host.start()]
        world.settle()
        assert ops[0].ends, f"P10: {ops[0]} on {host} does not end"
        if ops[0].ends != [None]:  # a clear end, which the next one does not have
            assert isinstance(ops[0].ends[0], SessionEnded), f"P10: {ops[0]} on {host} ends with {ops[0].ends}"
            ops.append(host.start())
            world.settle()
        assert ops[-1].ends == [None], f"P10: {ops[-1]} on {host} ends with {ops[-1].ends}"
        sent, store = ops[-1].sends[-1][1], world.store
        if store.record is None or store.disasters:
            continue
        kept = store.pair
        is_same = (0 if sent is None else sent.family) == (0 if kept is None else kept.family)
        assert is_same, f"P8: {host} uses {sent and sent.access}, and the storage has {kept and kept.access}"


def p10_nothing_is_left(world: World) -> None:
    """For after everything was closed."""
    for host in world.hosts:
        if host.gate.is_dead:
            continue
        tasks = [task for task in world.tasks_of(host) if not task.done()]
        assert not tasks, f"P10: {host} has left behind {[_where(task) for task in tasks]}"
        assert not host.timers.pending, f"P10: {host} has left timers behind"
    lease = world.store.holder()
    assert lease is None or lease.host.gate.is_dead, f"P10: {lease} was not given back"
    assert not world.store.watchers, (
        f"P10: somebody still watches: {[str(host) for host in world.store.watchers.values()]}"
    )
    assert not world.complaints, f"P10: exceptions that nobody took: {world.complaints}"


def _where(task: asyncio.Task[object]) -> str:
    """Tell what a task waits in."""
    place: Any = task.get_coro()
    names = []
    while (inner := getattr(place, "cr_await", None)) is not None:
        names.append(place.__qualname__)
        place = inner
    return " > ".join(names)
