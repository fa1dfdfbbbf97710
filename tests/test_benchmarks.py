"""The benchmarks run, and their arithmetic is right. No time is asserted here or anywhere."""

import json
import sys

import pytest

from benchmarks import __main__ as command
from benchmarks import guard, harness
from benchmarks.harness import Effort, Table, Variant, Verdict

COUNTED = {"guard", "fleet"}  # these do not time
TINY = Effort(rounds=2, round_seconds=0.001, parallel=(1, 64), waiting=(20, 40))


@pytest.mark.parametrize("question", [name for name in command.QUESTIONS if name not in COUNTED])
async def test_each_question_is_answered_with_complete_tables(question):
    tables = await command.answer(question, TINY)

    assert tables
    for table in tables:
        assert all(set(row) == set(table.rows[0]) for row in table.rows)
        assert all(row["us/op"] > 0 for row in table.rows)
        assert table.title in harness.format_table(table)


async def test_the_guard_counts_the_same_in_each_run():
    first, second = await command.answer("guard", TINY), await command.answer("guard", TINY)

    assert [table.rows for table in first] == [table.rows for table in second]


async def test_nothing_of_an_operation_is_left_for_the_cycle_collector():
    *_, garbage = await command.answer("guard", TINY)

    assert {row["objects"] for row in garbage.rows} == {0}


async def test_variants_take_turns_and_the_baseline_is_one():
    # given
    counts = {"slow": [], "fast": []}

    def counting(name):
        async def run(count):
            counts[name].append(count)

        return Variant(name, run)

    # when
    times = await harness.rounds_of([counting("slow"), counting("fast")], TINY, at_least=3, at_most=5)
    rows = harness.ratio_rows(times, "slow")

    # then
    assert {"slow": 2, "fast": 2} == {name: len(each) for name, each in times.items()}
    assert all(3 <= count <= 5 for each in counts.values() for count in each)
    assert harness.ratio_of(rows, "slow") == 1


def test_a_ratio_is_the_median_of_the_ratios_of_each_round():
    times = {"base": [1.0, 2.0, 10.0], "twice": [2.0, 4.0, 10.0]}

    cost = harness.ratio_rows(times, "base")[1]
    speed = harness.ratio_rows(times, "base", of_speed=True)[1]

    assert (2.0, 1.5, 2.0) == (cost["ratio"], cost["quartile 1"], cost["quartile 3"])
    assert 0.5 == speed["ratio"]
    assert 4_000_000 == cost["us/op"]


async def test_as_many_operations_are_under_way_as_was_asked_for():
    # given
    import asyncio

    now, most, total = 0, 0, 0

    async def operation():
        nonlocal now, most, total
        now, total = now + 1, total + 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1

    # when
    await harness.drive(operation, 4)(10)

    # then
    assert (4, 10) == (most, total)


@pytest.mark.parametrize(
    ("is_floor", "measured", "is_kept"),
    [(False, 6.0, True), (False, 6.1, False), (True, 6.0, True), (True, 5.9, False)],
)
def test_a_budget_is_kept_up_to_its_bound(is_floor, measured, is_kept):
    verdict = Verdict(subject="cost", measured=measured, bound=6.0, is_floor=is_floor)

    assert is_kept == verdict.is_kept
    assert ("kept" if is_kept else "MISSED") == str(verdict).partition(":")[0]


@pytest.mark.parametrize(("is_exact", "code"), [(True, 1), (False, 0)])
def test_only_a_missed_count_makes_the_command_fail(monkeypatch, capsys, is_exact, code):
    # given
    missed = Verdict(subject="calls of a chain", measured=9, bound=8, is_exact=is_exact)

    async def answer(question, effort):
        return [Table("a title", [{"chain": "one", "calls": 9}], [missed])]

    monkeypatch.setattr(command, "answer", answer)

    # when
    given = command.main(["guard"])

    # then
    printed = capsys.readouterr()
    assert code == given
    assert "MISSED: calls of a chain: 9, must be at most 8" in printed.out
    assert is_exact == ("calls of a chain" in printed.err)


@pytest.mark.skipif(sys.version_info[:2] != guard.JUDGED_VERSION, reason="counts are for 3.11")
def test_the_guard_fails_when_a_bound_is_passed(monkeypatch, capsys):
    monkeypatch.setattr(guard, "FOUR_LINKS", guard.Bounds(calls=1, blocks=10**6, bytes=10**6))

    code = command.main(["guard"])

    assert 1 == code
    assert "four links: calls per operation" in capsys.readouterr().err


async def test_the_guard_sees_cyclic_garbage():
    async def tie_a_knot():
        knot = []
        knot.append(knot)

    assert guard.OPERATIONS == await guard.garbage_of(tie_a_knot)


def test_the_guard_counts_each_call():
    assert 3 == guard.calls_of(lambda: [len("a"), abs(1)])


def test_the_guard_sees_what_is_held():
    held = guard.held_by(lambda: [bytes(100)])

    assert 2 <= held["blocks"] <= 4
    assert 100 < held["bytes"] < 300


def test_figures_are_written_as_json(monkeypatch, tmp_path):
    # given
    async def answer(question, effort):
        return [Table("a title", [{"chain": "one", "calls": 9}])]

    monkeypatch.setattr(command, "answer", answer)

    # when
    command.main(["guard", "--json", str(tmp_path / "figures.json")])

    # then
    report = json.loads((tmp_path / "figures.json").read_text())
    assert {"title": "a title", "rows": [{"chain": "one", "calls": 9}], "verdicts": []} == (
        report["answers"]["guard"][0]
    )
    assert "reactivex" in report["environment"]


@pytest.mark.parametrize(("arguments", "waiting"), [([], (1_000, 10_000)), (["--full"], (1_000, 10_000, 100_000))])
def test_a_huge_wave_is_measured_when_asked_for(monkeypatch, capsys, arguments, waiting):
    # given
    efforts = []

    async def answer(question, effort):
        efforts.append(effort)
        return []

    monkeypatch.setattr(command, "answer", answer)

    # when
    command.main(["storm", *arguments])

    # then
    assert [waiting] == [effort.waiting for effort in efforts]
