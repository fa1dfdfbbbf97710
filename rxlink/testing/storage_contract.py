"""What a shared storage of tokens has to do, as tests: for rxlink's own storages, and for yours."""

from __future__ import annotations

from rxlink.testing._storage_contract_changes import ChangesContract
from rxlink.testing._storage_contract_faults import FaultsContract
from rxlink.testing._storage_contract_keeping import KeepingContract
from rxlink.testing._storage_contract_lease import LeaseContract
from rxlink.testing._storage_contract_loop import LoopContract
from rxlink.testing._storage_contract_racing import RacingContract

__all__ = ["SharedTokenStorageContract"]


class SharedTokenStorageContract(
    KeepingContract, RacingContract, LeaseContract, ChangesContract, LoopContract, FaultsContract
):
    """The tests that every :class:`~rxlink.auth.storage.SharedTokenStorage` passes.

    Subclass it in a test module, under a name that pytest collects, and define ``make_storage``. The tests are plain
    methods that run event loops of their own: they need no plugin, and no pytest (a ``unittest.TestCase`` beside it
    as a base will do). Each test wants a place of its own, empty at first: make it in ``setup_method`` or in a fixture
    with ``autouse=True``. In a test ``make_storage`` is called several times, for storages over the same place, as
    several processes would have them; one that has no outside place, such as memory, may return the same object.

    These may be defined too; a test that needs one of them is skipped without it, and says which. They are called on a
    thread without an event loop:

    * ``spoil(content)`` puts bytes in the place of the tokens, past the storage; ``spoiled()`` returns what is there.
    * ``tear()`` cuts what is kept in the middle.
    * ``break_down()`` makes the backend fail; ``mend()`` makes it work again.

    Attributes:
        lease: Seconds, 0.5; give them to your storages: some tests wait for a lease to end.
        time_limit: Seconds, 10, that one call may take, also where the backend is down.
        garbage: What ``spoil`` is called with; leave out what your storage may rightly take for tokens, or for nothing.
        notices: Whether ``watch`` tells of changes; None: if the storage defines it.

    Example:
        >>> from rxlink.auth.storage import MemoryTokenStorage
        >>> class TestMyStorage(SharedTokenStorageContract):
        ...     def setup_method(self):
        ...         self.place = MemoryTokenStorage()
        ...
        ...     def make_storage(self):
        ...         return self.place
        >>> contract = TestMyStorage()
        >>> contract.setup_method()
        >>> contract.test_replace_wants_what_is_kept()
    """
