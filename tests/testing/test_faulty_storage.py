"""A storage that goes wrong on command."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from rxlink.auth.storage import MemoryTokenStorage, SharedTokenStorage, StoredTokens
from rxlink.auth.tokens import TokenSet
from rxlink.errors import InvalidStoredTokens, InvariantTypeError
from rxlink.testing.faulty_storage import FaultyTokenStorage, StorageFault
from rxlink.testing.storage_contract import SharedTokenStorageContract
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.testing.paper_storage import Paper, PaperStorage

A0, A1 = TokenSet("A0"), TokenSet("A1")
FIRST, SECOND = StoredTokens(A0, "ada", 1), StoredTokens(A1, "ada", 2)


class TestFaultyTokenStorage(SharedTokenStorageContract):
    """Without a fault it is a shared storage like any, and with one it has an outage like any."""

    notices = False

    def setup_method(self) -> None:
        self.memory = MemoryTokenStorage()
        self.made: list[FaultyTokenStorage] = []
        self.is_down = False

    def make_storage(self) -> SharedTokenStorage:
        storage = FaultyTokenStorage(self.memory)
        self.made.append(storage)
        if self.is_down:
            storage.faults.add(StorageFault.fail(), times=None)
        return storage

    def break_down(self) -> None:
        self.is_down = True
        for storage in self.made:
            storage.faults.add(StorageFault.fail(), times=None)

    def mend(self) -> None:
        self.is_down = False
        for storage in self.made:
            storage.faults.clear()


@pytest.fixture
def storage() -> FaultyTokenStorage:
    return FaultyTokenStorage(MemoryTokenStorage())


async def everything(storage: SharedTokenStorage) -> list[Any]:
    """Each of the calls once, and what they answer; an error where they raise."""
    answers: list[Any] = [await storage.replace(None, FIRST), await storage.read()]
    lease = await storage.try_acquire()
    assert lease is not None
    return [*answers, await lease.renew(), await lease.release()]


async def test_without_a_fault_it_does_what_the_other_does_and_notes_the_calls(storage: FaultyTokenStorage) -> None:
    answers = await everything(storage)
    await storage.save(A1)

    assert [True, FIRST, True, None] == answers
    assert ["replace", "read", "acquire", "renew", "release", "read", "replace"] == storage.calls
    assert () == storage.faults.remaining


@pytest.mark.parametrize("on", ["read", "replace", "acquire", "renew", "release"])
async def test_a_call_fails_as_often_as_it_was_told_to_and_no_other_does(on: Any) -> None:
    storage = FaultyTokenStorage(PaperStorage(paper := Paper(), 9))
    storage.faults.add(StorageFault.fail(), on=on, times=2)

    struck = [name for name in await tried(storage, paper) if name.endswith("failed")]
    remaining = len(storage.faults.remaining)
    struck += [name for name in await tried(storage, paper) if name.endswith("failed")]

    assert ([f"{on} failed"] * 2, 1) == (struck, remaining)
    assert not [name for name in await tried(storage, paper) if name.endswith("failed")]
    assert () == storage.faults.remaining


async def test_a_fault_strikes_any_call_unless_it_was_said_which() -> None:
    storage = FaultyTokenStorage(PaperStorage(paper := Paper(), 9))
    storage.faults.add(StorageFault.fail(), times=3)

    first = await tried(storage, paper)

    assert ["read failed", "replace failed", "acquire failed"] == first[:3]
    assert not [name for name in await tried(storage, paper) if name.endswith("failed")]


async def tried(storage: SharedTokenStorage, paper: Paper) -> list[str]:
    """Each of the calls once, those of a lease where there is one, and which failed."""
    names: list[str] = []

    async def note(name: str, call: Awaitable[Any]) -> Any:
        try:
            answer = await call
        except ConnectionError:
            names.append(f"{name} failed")
            return None
        names.append(name)
        return answer

    await note("read", storage.read())
    await note("replace", storage.replace(FIRST, SECOND))
    lease = await note("acquire", storage.try_acquire())
    if lease is not None:
        await note("renew", lease.renew())
        await note("release", lease.release())
    paper.holder = None
    return names


async def test_the_error_may_be_given_and_the_fault_stays_until_it_is_cleared(storage: FaultyTokenStorage) -> None:
    error = OSError("disk full")
    storage.faults.add(fault := StorageFault.fail(error), on="replace", times=None)

    caught = [await asyncio.gather(storage.replace(None, FIRST), return_exceptions=True) for _ in range(3)]
    remaining = storage.faults.remaining
    storage.faults.clear()

    assert [[error]] * 3 == caught
    assert (fault,) == remaining
    assert await storage.replace(None, FIRST)


async def test_a_call_meets_one_fault_the_first_that_fits(storage: FaultyTokenStorage) -> None:
    storage.faults.add(StorageFault.fail(KeyError()), on="read")
    storage.faults.add(StorageFault.fail(TimeoutError()), on="any")

    with pytest.raises(TimeoutError):
        await storage.replace(None, FIRST)
    with pytest.raises(KeyError):
        await storage.read()

    assert await storage.read() is None


async def test_an_answer_is_lost(storage: FaultyTokenStorage) -> None:
    storage.faults.add(StorageFault.fail_after(TimeoutError()), on="replace")

    with pytest.raises(TimeoutError):
        await storage.replace(None, FIRST)

    assert FIRST == await storage.read()


async def test_a_lease_whose_answer_is_lost_can_be_had_again(storage: FaultyTokenStorage) -> None:
    """At once where it would last for ever, else after its duration."""
    paper = FaultyTokenStorage(PaperStorage(Paper(), 0.05))
    for one in (storage, paper):
        one.faults.add(StorageFault.fail_after(), on="acquire")
        with pytest.raises(ConnectionError):
            await one.try_acquire()

    at_once = [await storage.try_acquire(), await paper.try_acquire()]
    await asyncio.sleep(0.06)
    later = await paper.try_acquire()

    assert [True, False, True] == [lease is not None for lease in [*at_once, later]]


async def test_a_fault_after_nothing_was_got_is_only_a_fault(storage: FaultyTokenStorage) -> None:
    await storage.try_acquire()
    storage.faults.add(StorageFault.fail_after(), on="acquire")

    with pytest.raises(ConnectionError):
        await storage.try_acquire()

    assert await storage.try_acquire() is None


@virtual
async def test_a_slow_call_takes_its_time_and_a_hanging_one_all_of_it(time: VirtualTime) -> None:
    storage = FaultyTokenStorage(MemoryTokenStorage(A0))
    storage.faults.add(StorageFault.slow(2.5), on="read")
    storage.faults.add(StorageFault.hang(), on="read")
    loop = asyncio.get_running_loop()
    began = loop.time()

    tokens = await storage.load()
    took = loop.time() - began
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1000):
            await storage.load()

    assert (A0, 2.5) == (tokens, took)
    assert A0 == await storage.load()


async def test_a_write_is_lost(storage: FaultyTokenStorage) -> None:
    await storage.replace(None, FIRST)
    storage.faults.add(StorageFault.lose(), times=2)

    answers = await storage.replace(None, SECOND), await storage.replace(FIRST, SECOND)

    assert (False, True) == answers
    assert FIRST == await storage.read()


async def test_a_first_write_is_lost(storage: FaultyTokenStorage) -> None:
    storage.faults.add(StorageFault.lose())

    await storage.save(A0)

    assert await storage.read() is None


async def test_a_torn_record_is_found_once(storage: FaultyTokenStorage) -> None:
    await storage.replace(None, FIRST)
    storage.faults.add(StorageFault.tear())

    with pytest.raises(InvalidStoredTokens, match="only a part of it"):
        await storage.read()

    assert FIRST == await storage.read()


async def test_a_lost_lease_is_somebody_elses_and_left_alone(storage: FaultyTokenStorage) -> None:
    lost = await storage.try_acquire()
    storage.faults.add(StorageFault.lease_lost())
    assert lost is not None

    told = await lost.renew(), await lost.renew()
    other = await storage.try_acquire()
    await lost.release()

    assert (False, False) == told
    assert other is not None
    assert await storage.try_acquire() is None
    assert storage.calls[-2:] == ["release", "acquire"]


def test_stamps_notices_and_the_lease_are_the_others() -> None:
    async def tell() -> list[str]:
        heard: list[str] = []
        stop = storage.watch(lambda: heard.append("changed"))
        await inner.replace(None, FIRST)
        await asyncio.sleep(0.01)
        stop()
        await inner.replace(FIRST, SECOND)
        await asyncio.sleep(0.01)
        return heard

    inner = PaperStorage(Paper(), 7)
    storage = FaultyTokenStorage(inner)

    heard = asyncio.run(tell())

    assert ["changed"] == heard
    assert (2, 7) == (storage.stamp(), storage.lease)
    assert [] == storage.calls
    assert "<FaultyTokenStorage over PaperStorage>" == repr(storage)


@pytest.mark.parametrize(
    ("fault", "options", "message"),
    [
        (StorageFault.fail(), {"times": 0}, "times must be at least 1, or None for all calls, not 0"),
        (StorageFault.fail(), {"on": "save"}, "or 'any', not 'save'"),
        (StorageFault.lose(), {"on": "read"}, "on must be 'replace' or 'any' for StorageFault.lose, not 'read'"),
        (StorageFault.tear(), {"on": "replace"}, "on must be 'read' or 'any' for StorageFault.tear"),
        (StorageFault.lease_lost(), {"on": "release"}, "on must be 'renew' or 'any' for StorageFault.lease_lost"),
    ],
)
def test_what_cannot_be_is_refused(
    fault: StorageFault, options: Any, message: str, storage: FaultyTokenStorage
) -> None:
    with pytest.raises(ValueError, match=message):
        storage.faults.add(fault, **options)

    assert () == storage.faults.remaining


def test_bad_values_are_refused() -> None:
    plain: Any = {}
    with pytest.raises(InvariantTypeError, match="`storage` is a dict; give a SharedTokenStorage"):
        FaultyTokenStorage(plain)
    with pytest.raises(ValueError, match="seconds must be a finite number of seconds, at least 0, not -1"):
        StorageFault.slow(-1)
