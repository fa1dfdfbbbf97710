"""A shared storage that goes wrong on command, for tests of sessions and of applications."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar

from rxlink.auth.storage import SharedTokenStorage, StoredTokens, TokenLease
from rxlink.core.options import kind_of
from rxlink.errors import InvalidStoredTokens, InvariantTypeError
from rxlink.testing._storage_faults import StorageCall, StorageFault, StorageFaultScript

__all__ = ["FaultyTokenStorage", "StorageFault"]

T = TypeVar("T")


class FaultyTokenStorage(SharedTokenStorage):
    """Does what another storage does, but for the faults in its script.

    Give each session, or each "process", one of its own over the same storage, and only that one suffers.
    ``load``, ``save`` and ``clear`` are made of ``read`` and ``replace``, and meet the faults of those.

    Attributes:
        faults: What goes wrong.
        calls: The names of the calls, in order, those that meet a fault too; without ``stamp`` and ``watch``.

    Example:
        >>> import asyncio
        >>> from rxlink.auth.storage import MemoryTokenStorage
        >>> storage = FaultyTokenStorage(MemoryTokenStorage())
        >>> storage.faults.add(StorageFault.fail(), on="read")
        >>> asyncio.run(storage.load())
        Traceback (most recent call last):
        ConnectionError: the storage is out of reach, as the test wants it
        >>> asyncio.run(storage.load())
        >>> storage.calls
        ['read', 'read']
    """

    def __init__(self, storage: SharedTokenStorage) -> None:
        """Wrap a storage.

        Raises:
            InvariantTypeError: It is no SharedTokenStorage.
        """
        if not isinstance(storage, SharedTokenStorage):  # pyright: ignore[reportUnnecessaryIsInstance] - may be untyped
            raise InvariantTypeError(f"`storage` is {kind_of(storage)}; give a SharedTokenStorage")
        super().__init__(lease=storage.lease)
        self.faults = StorageFaultScript()
        self.calls: list[StorageCall] = []
        self._stage = _Stage(self.faults, self.calls)
        self._storage = storage

    async def read(self) -> StoredTokens | None:
        """Return what is kept, unless a fault strikes."""
        return await self._stage.meet("read", self._storage.read)

    async def replace(self, old: StoredTokens | None, new: StoredTokens, /) -> bool:
        """Keep ``new`` if ``old`` is what is kept, unless a fault strikes."""
        return await self._stage.meet(
            "replace", lambda: self._storage.replace(old, new), lost=lambda: self._pretend(old)
        )

    async def try_acquire(self) -> TokenLease | None:
        """Return the right to refresh, unless a fault strikes."""
        return await self._stage.meet("acquire", self._acquire, wasted=_let_go)

    def stamp(self) -> Hashable:
        """Return the other storage's stamp; no fault strikes here."""
        return self._storage.stamp()

    def watch(self, notice: Callable[[], None], /) -> Callable[[], None]:
        """Watch the other storage; no fault strikes here."""
        return self._storage.watch(notice)

    def __repr__(self) -> str:
        """Name the kind of storage inside, and nothing that it holds."""
        return f"<FaultyTokenStorage over {type(self._storage).__name__}>"

    async def _acquire(self) -> TokenLease | None:
        lease = await self._storage.try_acquire()
        return None if lease is None else _FaultyLease(self._stage, lease)

    async def _pretend(self, old: StoredTokens | None) -> bool:
        kept = await self._storage.read()
        return kept is None if old is None else old.is_same_as(kept)


class _Stage:
    """Where the calls of a storage and of its leases meet their faults."""

    def __init__(self, faults: StorageFaultScript, calls: list[StorageCall]) -> None:
        self._faults = faults
        self._calls = calls

    async def meet(
        self,
        call: StorageCall,
        do: Callable[[], Awaitable[T]],
        *,
        lost: Callable[[], Awaitable[T]] | None = None,
        wasted: Callable[[T], Awaitable[None]] | None = None,
    ) -> T:
        """Note a call, and make it as the script wants it.

        Args:
            call: Its name.
            do: What makes it.
            lost: What is done instead, where the fault is one of this call's own.
            wasted: What is done with an answer that is not given.
        """
        self._calls.append(call)
        fault = self._faults.take(call)
        if fault is None:
            return await do()
        await _wait_for(fault)
        if fault.kind == "fail":
            raise fault.raised()
        if fault.kind == "tear":
            raise InvalidStoredTokens("the faulty storage", "it is no JSON, or only a part of it")
        if fault.kind in ("lose", "lease_lost") and lost is not None:
            return await lost()
        answer = await do()
        if fault.kind == "fail_after":
            if wasted is not None:
                await wasted(answer)
            raise fault.raised()
        return answer


class _FaultyLease(TokenLease):
    """Another's lease, which may be lost."""

    def __init__(self, stage: _Stage, lease: TokenLease) -> None:
        self.duration = lease.duration
        self._stage = stage
        self._lease = lease
        self._is_lost = False

    async def renew(self) -> bool:
        return await self._stage.meet("renew", self._renew, lost=self._lose)

    async def release(self) -> None:
        await self._stage.meet("release", self.let_go)

    async def let_go(self) -> None:
        await self._lease.release()

    async def _renew(self) -> bool:
        return not self._is_lost and await self._lease.renew()

    async def _lose(self) -> bool:
        await self.let_go()
        self._is_lost = True
        return False


async def _let_go(lease: TokenLease | None) -> None:
    if isinstance(lease, _FaultyLease) and lease.duration is None:
        await lease.let_go()


async def _wait_for(fault: StorageFault) -> None:
    if fault.kind == "hang":
        await asyncio.get_running_loop().create_future()
    if fault.seconds:
        await asyncio.sleep(fault.seconds)
