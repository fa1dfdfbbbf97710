"""The options of a session, once they are checked."""

from __future__ import annotations

from dataclasses import dataclass

from reactivex import abc

from rxlink.auth.clock import Clock
from rxlink.auth.expiry import Windows
from rxlink.auth.pacing import BackoffOptions, CoolDownOptions, OnRefreshOutage
from rxlink.auth.relogin import Relogin

__all__ = ["SessionOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """The options of a session, checked; durations in seconds."""

    windows: Windows
    time_limit: float
    backoff: BackoffOptions
    cool_down: CoolDownOptions
    on_outage: OnRefreshOutage
    relogin: Relogin
    name: str | None
    obtains_first: bool
    clock: Clock
    scheduler: abc.SchedulerBase | None
