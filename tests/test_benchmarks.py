"""The benchmarks run, and their arithmetic is right. No time is asserted here or anywhere."""

import asyncio
import json

import pytest
import reactivex
from reactivex.testing import TestScheduler

from benchmarks import __main__ as command
from benchmarks import _apollo, _asking, _headline, _http_ways, batch, chain, documents, harness, http, stock_links
from benchmarks.four_links import ANSWER, REQUEST
from benchmarks.harness import Effort, Table, Variant, Verdict
from rxlink.core.operation import Operation
from tests.oracle.node import CannotInstall

COUNTED = {"guard", "fleet"}  # these do not time
TINY = Effort(rounds=2, round_seconds=0.001, parallel=(1, 64), waiting=(20, 40), node=False)


@pytest.mark.parametrize("question", [name for name in command.QUESTIONS if name not in COUNTED])
async def test_each_question_is_answered_with_complete_tables(question):
    tables = await _asking.answer(question, TINY)

    assert tables
    for table in tables:
        assert all(set(row) == set(table.rows[0]) for row in table.rows)
        assert all(row["us/op"] > 0 for row in table.rows)
        assert table.title in harness.format_table(table)


def test_a_question_is_asked_in_a_process_of_its_own(monkeypatch):
    monkeypatch.setattr(documents, "measure", None)  # in this one

    tables = _asking.answer_alone("documents", TINY)

    assert tables
    assert all(row["us/op"] > 0 for table in tables for row in table.rows)


def test_a_question_that_fails_says_why(capfd):
    with pytest.raises(RuntimeError, match="the question 'nosuch' has failed"):
        _asking.answer_alone("nosuch", TINY)

    assert "No module named 'benchmarks.nosuch'" in capfd.readouterr().err


@pytest.mark.parametrize(("has_uvloop", "asked"), [(True, [False, True]), (False, [False])])
def test_http_is_asked_on_uvloop_too_where_that_is_installed(monkeypatch, capsys, has_uvloop, asked):
    on_uvloop = []
    monkeypatch.setattr(command, "has_uvloop", lambda: has_uvloop)
    monkeypatch.setattr(command, "answer_alone", lambda *_, **how: on_uvloop.append(how["on_uvloop"]) or [])

    command.main(["http"])

    assert asked == on_uvloop
    assert has_uvloop == ("http on uvloop: not installed" not in capsys.readouterr().out)


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


async def test_a_variant_may_measure_itself():
    async def run(count):
        return count * 0.5

    times = await harness.rounds_of([Variant("elsewhere", run)], TINY, at_least=2)

    assert {"elsewhere": [0.5, 0.5]} == times


def test_any_two_variants_can_be_compared():
    times = {"base": [1.0, 1.0], "one": [2.0, 4.0], "other": [4.0, 4.0]}

    assert 0.75 == harness.ratio_between(times, "one", "other")
    assert 1.5 == harness.ratio_between(times, "one", "other", of_speed=True)


async def test_as_many_operations_are_under_way_as_was_asked_for():
    # given
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


@pytest.mark.parametrize(("measured", "outcome"), [(3.5, "aim reached"), (3.4, "below aim")])
def test_without_a_bound_it_is_only_reported(measured, outcome):
    verdict = Verdict(subject="speed", measured=measured, bound=None, aim=3.5, is_floor=True)

    assert verdict.is_kept
    assert f"reported: speed: {measured:.2f}, aim at least 3.50" == str(verdict)
    assert [("reported", outcome)] == [(row["must"], row[""]) for row in _headline.headline([verdict]).rows]
    assert 'class="reported"' in _headline.draw([verdict])


def test_the_budget_is_judged_on_asyncio_alone(monkeypatch, capsys):
    # given
    def answer(question, effort, *, on_uvloop):
        verdict = Verdict(subject="the speed", measured=1, bound=1, is_headline=True)
        return [Table("a title", [{"way": "one"}], [verdict])]

    monkeypatch.setattr(command, "answer_alone", answer)
    monkeypatch.setattr(command, "_asked", lambda _: [("http", "http", False), ("http on uvloop", "http", True)])

    # when
    command.main([])

    # then
    tables, budget = capsys.readouterr().out.split("The budget")
    assert (2, 1) == (tables.count("the speed"), budget.count("the speed"))


def test_four_links_over_http_are_judged_against_those_that_are_there():
    # given
    times = {"bare aiohttp": [2.0, 2.0], "tuned aiohttp": [1.0, 1.0], http.FOUR: [2.0, 2.0]}
    with_gql = {**times, "gql on aiohttp": [5.0, 5.0]}

    # when
    verdicts = http.judged(with_gql, http.IN_PROCESS, 64)

    # then
    assert [(1.0, 0.90, 1.0), (0.5, 0.75, 0.9), (2.5, 1.7, 2.3)] == [
        (verdict.measured, verdict.bound, verdict.aim) for verdict in verdicts
    ]
    assert [True, False, True] == [verdict.is_kept for verdict in verdicts]
    assert 2 == len(http.judged(times, http.IN_PROCESS, 64))
    assert [None, None] == [verdict.bound for verdict in http.judged(with_gql, http.LOOPBACK, 1)]
    assert [] == http.judged(with_gql, http.LOOPBACK, 512)


def test_four_links_without_io_are_judged_against_node_where_it_is_there():
    times = {chain.PLAIN: [1.0, 1.0], chain.FOUR: [3.0, 3.0]}

    verdicts = chain.judged({**times, _apollo.APOLLO: [1.5, 1.5]})

    assert [(3.0, True), (0.5, True)] == [(verdict.measured, verdict.is_kept) for verdict in verdicts]
    assert verdicts[:1] == chain.judged(times)


def test_an_operation_of_a_batch_is_judged_by_itself():
    verdict = batch.judged({"bare aiohttp": [4.0, 4.0], batch.FOUR: [1.0, 1.0]})

    assert (4.0, True, False) == (verdict.measured, verdict.is_kept, verdict.reaches_aim)


def test_who_is_not_installed_has_a_line_and_no_row(capsys):
    ways = [http.Way(name="here", open=http_way), http.Way(name="away", open=http_way, module="not_there")]

    there = _http_ways.installed(ways)

    assert ["here"] == [way.name for way in there]
    assert "not_there: not installed\n" == capsys.readouterr().out


def http_way(uri, connector):
    raise AssertionError("it is not opened")


async def test_without_node_there_is_a_line_and_no_row(monkeypatch, capsys):
    def installed(folder):
        raise CannotInstall("`node` is not on the PATH")

    monkeypatch.setattr(_apollo, "installed", installed)

    async with _apollo.apollo_in_node(harness.NORMAL) as apollo:
        assert apollo is None
    assert "Apollo Client in Node: not installed (`node` is not on the PATH)\n" == capsys.readouterr().out


@pytest.mark.parametrize(("failures", "ends_with"), [(2, ANSWER), (9, "down")])
def test_the_stock_chain_that_is_compared_with_sends_again(failures, ends_with):
    # given
    left = [reactivex.throw(OSError("down"))] * failures + [reactivex.of(ANSWER)]
    head = stock_links.retrying_links_by_hand(lambda _: left.pop(0))
    scheduler, seen = TestScheduler(), []

    # when
    head(Operation(REQUEST)).subscribe(seen.append, lambda error: seen.append(str(error)), scheduler=scheduler)
    scheduler.start()

    # then
    assert [ends_with] == seen


@pytest.mark.parametrize(("is_exact", "code"), [(True, 1), (False, 0)])
def test_only_a_missed_count_makes_the_command_fail(monkeypatch, capsys, is_exact, code):
    # given
    missed = Verdict(subject="calls of a chain", measured=9, bound=8, is_exact=is_exact)

    def answer(question, effort, *, on_uvloop):
        return [Table("a title", [{"chain": "one", "calls": 9}], [missed])]

    monkeypatch.setattr(command, "answer_alone", answer)

    # when
    given = command.main(["guard"])

    # then
    printed = capsys.readouterr()
    assert code == given
    assert "MISSED: calls of a chain: 9, must be at most 8" in printed.out
    assert is_exact == ("calls of a chain" in printed.err)


def test_a_question_that_there_is_not_is_refused_before_any_is_asked(capsys):
    with pytest.raises(SystemExit) as left:
        command.main(["chain", "nosuch"])

    assert 2 == left.value.code
    told = capsys.readouterr()
    assert ("", True) == (told.out, "there is no 'nosuch'; ask chain, http, batch," in told.err)


def test_figures_are_written_as_json(monkeypatch, tmp_path):
    # given
    def answer(question, effort, *, on_uvloop):
        return [Table("a title", [{"chain": "one", "calls": 9}])]

    monkeypatch.setattr(command, "answer_alone", answer)

    # when
    command.main(["guard", "--json", str(tmp_path / "figures.json")])

    # then
    report = json.loads((tmp_path / "figures.json").read_text())
    assert {"title": "a title", "rows": [{"chain": "one", "calls": 9}], "verdicts": []} == (
        report["answers"]["guard"][0]
    )
    assert "reactivex" in report["environment"]


@pytest.mark.parametrize(("arguments", "largest"), [([], 100_000), (["--quick"], 10_000)])
def test_a_huge_wave_is_measured_unless_it_has_to_be_quick(monkeypatch, capsys, arguments, largest):
    # given
    efforts = []

    def answer(question, effort, *, on_uvloop):
        efforts.append(effort)
        return []

    monkeypatch.setattr(command, "answer_alone", answer)

    # when
    command.main(["storm", *arguments])

    # then
    assert [largest] == [max(effort.waiting) for effort in efforts]
