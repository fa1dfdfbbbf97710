"""The contract of shared storages: right ones pass it, and each thing that can be wrong turns a test of it red."""

import os
import subprocess
import sys
import unittest
from pathlib import Path

import pytest

from rxlink.auth.storage import MemoryTokenStorage, SharedTokenStorage
from rxlink.testing.storage_contract import SharedTokenStorageContract
from tests.testing import blocking_storages, wrong_leases, wrong_storages
from tests.testing.paper_storage import (
    CannotTell,
    FallsBack,
    OutOfTime,
    PaperContract,
    PaperStorage,
    TellsAtOnceAlone,
)

WRONG = [
    (wrong_storages.FindsSomethingInNothing, "nothing_is_kept_at_first", "`read` of nothing is None"),
    (wrong_storages.LosesWrites, "what_was_replaced_is_read_by_every_object", "reads what was kept last"),
    (wrong_storages.RemembersInstead, "what_was_replaced_is_read_by_every_object", "reads what was kept last"),
    (wrong_storages.DropsMicroseconds, "tokens_come_back_as_they_were", "tokens come back as they were"),
    (wrong_storages.DropsLife, "tokens_come_back_as_they_were", "tokens come back as they were"),
    (wrong_storages.CutsLongTokens, "tokens_come_back_as_they_were", "tokens come back as they were"),
    (wrong_storages.ForgetsAtSignOut, "a_sign_out_is_kept", "is read as one, not as nothing"),
    (wrong_storages.ForgetsReasons, "the_reason_of_a_sign_out_is_kept", "`reason` comes back as it was"),
    (wrong_storages.GivesReasons, "the_reason_of_a_sign_out_is_kept", "`reason` comes back as it was"),
    (wrong_storages.ComparesNothing, "replace_wants_what_is_kept", "says False where something is kept"),
    (wrong_storages.ComparesNothing, "replace_of_something_wants_something", "and nothing is kept"),
    (wrong_storages.ComparesSerialsAlone, "replace_wants_what_is_kept", "of another `login` with the same `serial`"),
    (wrong_storages.LetsOlderPass, "replace_wants_what_is_kept", "of an older `serial`"),
    (wrong_storages.LetsSomethingReplaceNothing, "replace_of_something_wants_something", "and nothing is kept"),
    (wrong_storages.ComparesTokens, "replace_compares_login_and_serial_alone", "not tokens"),
    (wrong_storages.SavesUnderTheSameLogin, "scripts_load_save_and_clear", "`save` is a new sign-in"),
    (wrong_storages.BelongsToOneLoop, "an_object_serves_one_event_loop_after_another", "works on the next"),
    (wrong_storages.PrintsTokens, "no_secret_is_printed", "`repr` of PrintsTokens holds no token"),
    (wrong_leases.PrintsTokensOfTheLease, "no_secret_is_printed", "`repr` of Lease holds no token"),
    (wrong_storages.ComparesAndThenWrites, "of_those_who_replace_at_once_one_wins", "exactly one is told True"),
    (wrong_storages.ComparesWithoutLock, "of_threads_that_replace_at_once_one_wins", "exactly one is told True"),
    (wrong_storages.ComparesWithoutLock, "no_change_is_lost", "won by exactly one"),
    (wrong_storages.EmptiesBeforeItWrites, "who_reads_meanwhile_sees_whole_records", "reads a record"),
    (wrong_storages.ShowsWhatIsNotKept, "who_reads_meanwhile_sees_whole_records", "as somebody has kept it"),
    (wrong_leases.GivesTwoLeases, "one_has_the_lease_at_a_time", "one has the lease at a time"),
    (wrong_leases.TwoAskAndGet, "threads_have_the_lease_one_at_a_time", "two have held it at once"),
    (wrong_leases.KeepsTheLease, "one_has_the_lease_at_a_time", "somebody gets the lease where it is free"),
    (wrong_leases.SaysItIsLost, "one_has_the_lease_at_a_time", "`renew` tells True while"),
    (wrong_leases.ReleasesThatOfOthers, "release_twice_leaves_the_next_one_alone", "a second `release` leaves"),
    (wrong_leases.ReleasesThatOfOthers, "a_lease_that_is_not_renewed_ends", "leaves the lease of the next one alone"),
    (wrong_leases.RenewsSlowly, "a_lease_lasts_while_it_is_renewed", "`renew` answers well before"),
    (wrong_leases.RenewsNothing, "a_lease_lasts_while_it_is_renewed", "while"),
    (wrong_leases.SaysThatItLasts, "a_lease_lasts_while_it_is_renewed", "while"),
    (wrong_leases.NeverEnds, "a_lease_that_is_not_renewed_ends", "that is not renewed ends"),
    (wrong_leases.EndsEarly, "a_lease_that_is_not_renewed_ends", "lasts as long"),
    (wrong_leases.SaysItIsStillOurs, "a_lease_that_is_not_renewed_ends", "`renew` tells False once"),
    (wrong_leases.WaitsForTheLease, "try_acquire_never_waits", "answers at once"),
    (wrong_leases.WritesUnderTheLeaseAlone, "changes_do_not_wait_for_the_lease", "it does neither"),
    (wrong_storages.StampsEachTime, "the_stamp_stays_while_nothing_changes", "stays the same"),
    (wrong_storages.StampsSlowly, "the_stamp_stays_while_nothing_changes", "waits for nothing"),
    (wrong_storages.StampsWithAList, "the_stamp_stays_while_nothing_changes", "is hashable; it is list"),
    (wrong_storages.StampsItsOwnChanges, "the_stamp_tells_of_others_changes", "differs after each change"),
    (wrong_storages.StampsBySize, "the_stamp_tells_of_others_changes", "differs after each change"),
    (wrong_storages.StampsSignInsAlone, "the_stamp_tells_of_a_first_sign_in_and_a_sign_out", "or a sign-out too"),
    (wrong_storages.StampsNothing, "the_stamp_tells_of_others_changes", "or it is not defined, and sessions look"),
    (
        wrong_storages.StampsNothing,
        "the_stamp_tells_of_a_first_sign_in_and_a_sign_out",
        "or it is not defined, and sessions look",
    ),
    (wrong_storages.TellsNobody, "notice_is_called_where_it_was_asked_for", "is called once somebody else"),
    (wrong_storages.TellsOnTheWriter, "notice_is_called_where_it_was_asked_for", "on the event loop that watches"),
    (wrong_storages.TellsAfterStop, "notice_is_not_called_after_stop", "is not called after its watch"),
    (wrong_storages.StopsEverybody, "notice_is_not_called_after_stop", "does not stop the others"),
    (blocking_storages.ReadsOnTheLoop, "no_call_holds_up_the_event_loop", "`read` lets others on the event loop go on"),
    (blocking_storages.ReplacesOnTheLoop, "no_call_holds_up_the_event_loop", "`replace` lets others"),
    (blocking_storages.AcquiresOnTheLoop, "no_call_holds_up_the_event_loop", "`try_acquire` lets others"),
    (blocking_storages.RenewsOnTheLoop, "no_call_holds_up_the_event_loop", "`renew` lets others"),
    (blocking_storages.ReleasesOnTheLoop, "no_call_holds_up_the_event_loop", "`release` lets others"),
    (wrong_leases.TakesGarbageForNothing, "garbage_is_reported_and_left_alone", "`read` raises InvalidStoredTokens"),
    (wrong_leases.TakesGarbageForNothing, "a_torn_record_is_no_record", "or finds a whole one from before"),
    (wrong_leases.OverwritesGarbage, "garbage_is_reported_and_left_alone", "leaves alone what is not rxlink's"),
    (wrong_leases.ClearsGarbage, "garbage_is_reported_and_left_alone", "`clear` raises InvalidStoredTokens"),
    (wrong_leases.QuotesGarbage, "garbage_is_reported_and_left_alone", "holds no token and nothing of what was found"),
    (wrong_leases.QuotesGarbage, "a_torn_record_is_no_record", "holds no token and nothing of what was found"),
    (wrong_leases.HangsInAnOutage, "an_outage_passes", "it does neither"),
    (wrong_leases.WaitsForTheEndOfAnOutage, "an_outage_passes", "`try_acquire during an outage` answers or raises"),
    (wrong_leases.FindsNothingInAnOutage, "an_outage_passes", "raises during an outage"),
    (wrong_leases.TakesOutageForGarbage, "an_outage_passes", "and not InvalidStoredTokens"),
    (wrong_leases.QuotesTokensInAnOutage, "an_outage_passes", "holds no token"),
    (wrong_leases.ForgetsInAnOutage, "an_outage_passes", "what was kept before is read"),
    (wrong_leases.StaysBusy, "who_leaves_a_call_leaves_a_storage_that_works", "it does neither"),
    (wrong_leases.WritesHalfOfIt, "who_leaves_a_call_leaves_a_storage_that_works", "made or not; found something"),
    (wrong_leases.CannotBeLeft, "who_leaves_a_call_leaves_a_storage_that_works", "a call that is cancelled ends"),
    (wrong_leases.ForgetsWhoLeft, "who_leaves_while_it_acquires_does_not_keep_the_lease", "the lease can be had"),
]


class TestPaperStorage(PaperContract):
    """What the wrong storages are made of passes as it is, with every hook."""


class WrongContract(PaperContract):
    time_limit = 0.8


@pytest.mark.parametrize(
    ("storage", "name"),
    [
        (OutOfTime, "an_outage_passes"),
        (FallsBack, "a_torn_record_is_no_record"),
        (CannotTell, "the_stamp_stays_while_nothing_changes"),
        (CannotTell, "the_stamp_tells_of_others_changes"),
        (CannotTell, "the_stamp_tells_of_a_first_sign_in_and_a_sign_out"),
        (CannotTell, "notice_is_called_where_it_was_asked_for"),
        (CannotTell, "notice_is_not_called_after_stop"),
        (TellsAtOnceAlone, "the_stamp_tells_of_others_changes"),
        (TellsAtOnceAlone, "the_stamp_tells_of_a_first_sign_in_and_a_sign_out"),
        (blocking_storages.BlocksAtFirst, "no_call_holds_up_the_event_loop"),
        (blocking_storages.TakesItsTime, "no_call_holds_up_the_event_loop"),
    ],
)
def test_what_may_be_otherwise_passes(storage: type[PaperStorage], name: str) -> None:
    contract = WrongContract()
    contract.storage = storage
    contract.setup_method()

    getattr(contract, f"test_{name}")()


@pytest.mark.parametrize(("storage", "name", "wanted"), WRONG, ids=lambda value: getattr(value, "__name__", None))
def test_what_is_wrong_turns_its_test_red(
    storage: type[PaperStorage], name: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rxlink.testing._storage_contract_lease.SLACK", 0.2)
    contract = WrongContract()
    contract.storage = storage
    contract.setup_method()

    with pytest.raises(AssertionError) as caught:
        getattr(contract, f"test_{name}")()

    assert str(caught.value).startswith("the contract of shared storages wants that ")
    assert wanted in str(caught.value)


def test_each_test_of_the_contract_has_been_seen_red() -> None:
    names = {name for name in dir(SharedTokenStorageContract) if name.startswith("test_")}

    assert set() == names - {f"test_{name}" for _, name, _ in WRONG}


def test_a_storage_has_to_be_given() -> None:
    with pytest.raises(NotImplementedError, match="define `make_storage`"):
        SharedTokenStorageContract().test_nothing_is_kept_at_first()


def test_hooks_are_asked_for_where_they_are_defined() -> None:
    hooks = ("spoil", "spoiled", "tear", "break_down", "mend")

    assert not any(SharedTokenStorageContract().defines(hook) for hook in hooks)
    assert all(TestPaperStorage().defines(hook) for hook in hooks)


def test_it_runs_under_unittest_too() -> None:
    class Case(SharedTokenStorageContract, unittest.TestCase):
        def setUp(self) -> None:
            self.place = MemoryTokenStorage()

        def make_storage(self) -> SharedTokenStorage:
            return self.place

    result = unittest.TestResult()
    Case("test_replace_wants_what_is_kept").run(result)

    assert (1, True) == (result.testsRun, result.wasSuccessful())


class WithoutHooks(SharedTokenStorageContract):
    def setup_method(self) -> None:
        self.place = MemoryTokenStorage()

    def make_storage(self) -> SharedTokenStorage:
        return self.place


class WithHalfOfTheHooks(WithoutHooks):
    def spoil(self, content: bytes) -> None:
        raise NotImplementedError

    def mend(self) -> None:
        raise NotImplementedError


NEEDS_HOOKS = [
    (WithoutHooks, "garbage_is_reported_and_left_alone", "`spoil` and `spoiled` are"),
    (WithHalfOfTheHooks, "garbage_is_reported_and_left_alone", "`spoiled` is"),
    (WithoutHooks, "a_torn_record_is_no_record", "`tear` is"),
    (WithoutHooks, "an_outage_passes", "`break_down` and `mend` are"),
    (WithHalfOfTheHooks, "an_outage_passes", "`break_down` is"),
]


@pytest.mark.parametrize(("kind", "name", "missing"), NEEDS_HOOKS)
def test_a_test_without_its_hooks_is_skipped_and_names_them(kind: type[WithoutHooks], name: str, missing: str) -> None:
    class Case(kind, unittest.TestCase):
        def setUp(self) -> None:
            self.setup_method()

    result = unittest.TestResult()
    case = Case(f"test_{name}")
    case.run(result)

    assert ([(case, f"{missing} not defined")], True) == (result.skipped, result.wasSuccessful())


SKIPPING = """
from rxlink.auth.storage import MemoryTokenStorage
from rxlink.testing.storage_contract import SharedTokenStorageContract

class TestMine(SharedTokenStorageContract):
    def setup_method(self):
        self.place = MemoryTokenStorage()

    def make_storage(self):
        return self.place
"""


def test_pytest_says_which_tests_it_has_skipped(tmp_path: Path) -> None:
    """Else nobody notices that outages were never tried."""
    (tmp_path / "test_mine.py").write_text(SKIPPING)
    options = ["-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(tmp_path), "-rs", "-k", "torn or outage"]

    program = [sys.executable, "-m", "pytest", *options, str(tmp_path)]
    done = subprocess.run(program, check=False, capture_output=True, text=True, timeout=60)

    assert "2 skipped" in done.stdout
    for said in ("`tear` is not defined", "`break_down` and `mend` are not defined"):
        assert said in done.stdout


def test_it_needs_no_pytest_and_no_extra() -> None:
    program = "import sys, rxlink.testing.storage_contract, rxlink.testing.faulty_storage\n"
    program += "print({'pytest', 'redis', 'keyring', 'filelock'} & set(sys.modules))"

    printed = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout

    assert "set()\n" == printed
