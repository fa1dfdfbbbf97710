"""Scripted faults of a shared storage: what goes wrong, in which calls, how many times."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import Literal, get_args

from rxlink.testing._durations import Duration, nonnegative_seconds

__all__ = ["StorageCall", "StorageFault", "StorageFaultScript"]

StorageCall = Literal["read", "replace", "acquire", "renew", "release"]
"""A call that a fault can strike; the last two are those of a lease."""

FaultKind = Literal["slow", "hang", "fail", "fail_after", "lose", "tear", "lease_lost"]

_ONLY_FOR: dict[FaultKind, StorageCall] = {"lose": "replace", "tear": "read", "lease_lost": "renew"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageFault:
    """One thing that goes wrong with a call of a storage. Make it with the named constructors.

    Attributes:
        kind: Which of the constructors made it.
        seconds: How long the call waits first.
        error: What is raised; None for a new ConnectionError each time.
    """

    kind: FaultKind
    seconds: float = 0.0
    error: Exception | None = None

    @classmethod
    def slow(cls, seconds: Duration) -> StorageFault:
        """Wait `seconds` on the event loop, then go on as usual."""
        return cls(kind="slow", seconds=nonnegative_seconds("seconds", seconds))

    @classmethod
    def hang(cls) -> StorageFault:
        """Never answer, until the caller leaves."""
        return cls(kind="hang")

    @classmethod
    def fail(cls, error: Exception | None = None) -> StorageFault:
        """Do nothing and raise, as where the storage is down."""
        return cls(kind="fail", error=error)

    @classmethod
    def fail_after(cls, error: Exception | None = None) -> StorageFault:
        """Do what was asked, then raise: the answer was lost.

        A lease that was got this way is nobody's until it ends; one without a duration is given back.
        """
        return cls(kind="fail_after", error=error)

    @classmethod
    def lose(cls) -> StorageFault:
        """Say that a record was kept, and keep nothing. For `replace`, also by way of `save` and `clear`."""
        return cls(kind="lose")

    @classmethod
    def tear(cls) -> StorageFault:
        """Find only a part of what is kept; nothing is damaged. For `read`."""
        return cls(kind="tear")

    @classmethod
    def lease_lost(cls) -> StorageFault:
        """Let a lease end although it is renewed: from then on, somebody else may have it. For `renew`."""
        return cls(kind="lease_lost")

    def raised(self) -> Exception:
        """Return what is to be raised."""
        return self.error or ConnectionError("the storage is out of reach, as the test wants it")


@dataclass(slots=True, kw_only=True)
class _Scripted:
    fault: StorageFault
    on: StorageCall | Literal["any"]
    times: int | None

    def strikes(self, call: StorageCall) -> bool:
        only = _ONLY_FOR.get(self.fault.kind, call)
        return self.times != 0 and self.on in ("any", call) and only == call


class StorageFaultScript:
    """The faults still to come. A call meets at most one: the first added that fits it."""

    def __init__(self) -> None:
        """Make an empty script."""
        self._scripted: list[_Scripted] = []
        self._lock = Lock()

    def add(self, fault: StorageFault, *, on: StorageCall | Literal["any"] = "any", times: int | None = 1) -> None:
        """Add a fault to the end of the script.

        Args:
            fault: What goes wrong.
            on: The call that it strikes; `any` for each that it can strike.
            times: How many calls it strikes; `None` for all from now on.

        Raises:
            ValueError: `times` is less than 1, `on` is none of the calls, or the fault cannot strike there.
        """
        if times is not None and times < 1:
            raise ValueError(f"times must be at least 1, or None for all calls, not {times!r}")
        if on not in ("any", *get_args(StorageCall)):
            raise ValueError(f"on must be 'read', 'replace', 'acquire', 'renew', 'release' or 'any', not {on!r}")
        if on not in ("any", only := _ONLY_FOR.get(fault.kind, on)):
            raise ValueError(f"on must be {only!r} or 'any' for StorageFault.{fault.kind}, not {on!r}")
        with self._lock:
            self._scripted.append(_Scripted(fault=fault, on=on, times=times))

    def clear(self) -> None:
        """Forget every fault. A call that already met one is not released."""
        with self._lock:
            self._scripted.clear()

    @property
    def remaining(self) -> tuple[StorageFault, ...]:
        """The faults that may strike again, in order; empty once the script has been played."""
        with self._lock:
            return tuple(scripted.fault for scripted in self._scripted if scripted.times != 0)

    def take(self, call: StorageCall) -> StorageFault | None:
        """Return the fault that a call meets and count it, or `None`. The storage calls this."""
        with self._lock:
            for scripted in self._scripted:
                if scripted.strikes(call):
                    if scripted.times is not None:
                        scripted.times -= 1
                    return scripted.fault
        return None
