"""The fleet simulation counts right, and its fleets do as is documented; in virtual time, from a fixed seed."""

import asyncio
import dataclasses
import gc
from xml.etree import ElementTree as ET

import pytest

from benchmarks import __main__ as command
from benchmarks import _asking, _fleet_run, fleet, harness
from benchmarks._fleet_plot import Panel, draw
from benchmarks._fleet_run import BINS, Issuer, Outage, Plan, Run, Unavailable, run_fleet
from benchmarks.fleet import A_THIRD, FULL_JITTER, NO_JITTER, NO_WINDOWS, Story
from rxlink.auth.events import RefreshReason
from rxlink.errors import SessionEnded
from rxlink.testing.virtual_time import VirtualTime, virtual

HOUR = 3600.0


def seen(*moments, **of):
    """A run in which requests came at these moments."""
    run = Run(Plan(name="seen", logins=1, **of))
    run.requests.extend(moments)
    return run


class TestFleets:
    @pytest.mark.parametrize("windows", [NO_WINDOWS, NO_JITTER], ids=["no windows", "no jitter"])
    def test_without_jitter_one_that_signs_in_at_once_refreshes_at_once_for_ever(self, windows):
        """E17."""
        story = fleet.story_of(Plan(name="", logins=100, lives=4, **windows))

        assert fleet.peak(story) > 8
        assert fleet.spread_after(story) is None

    def test_with_jitter_it_spreads(self):
        """E17: few logins, so that chance has its part; the command judges with 1,000 and more."""
        story = fleet.story_of(Plan(name="", logins=250, lives=18, **FULL_JITTER))

        early = max(story.rates(HOUR, 2 * HOUR))

        assert fleet.peak(story) < 1.8
        assert early > 2.5

    @pytest.mark.parametrize("windows", [NO_WINDOWS, NO_JITTER, A_THIRD, FULL_JITTER])
    def test_of_those_who_share_a_login_one_refreshes(self, windows):
        """E72, P1: no stored token is used twice, and each is replaced once."""
        run = run_fleet(Plan(name="", logins=15, sharers=10, lives=3.5, **windows))

        assert (0, 0, 0) == (run.reuses, run.early, run.ended)
        assert 1 == run.refreshes_per_expiry
        assert len(run.requests) == len(run.refreshes)
        assert 15 * 3 <= len(run.refreshes) <= 15 * 4

    def test_an_outage_shorter_than_the_windows_holds_up_nobody_and_ends_no_login(self):
        """E22, E27, P9."""
        plan = Plan(name="", logins=30, sharers=5, lives=2.5, starts_within=HOUR / 2, outage=Outage(HOUR), **A_THIRD)

        run = run_fleet(plan)

        assert (0, 0, 0, 0) == (run.held_up, run.reuses, run.early, run.ended)
        assert 0 == len([moment for moment in run.refreshes if HOUR <= moment < HOUR + 600])
        assert len(run.requests) > len(run.refreshes) > 30

    def test_after_an_outage_they_do_not_come_all_at_once(self):
        """E17, E22: few logins, so bins of ten minutes."""
        plan = Plan(name="", logins=600, lives=3.5, starts_within=0.8 * HOUR, outage=Outage(2 * HOUR), **A_THIRD)

        run = run_fleet(plan)

        before = run.mean(HOUR, 2 * HOUR)
        assert max(run.rates(2 * HOUR + 600, 3.5 * HOUR, width=300)) < 2.3 * before
        assert max(run.rates(2 * HOUR + 600, 3.5 * HOUR - 300, width=600)) < 2 * before
        assert max(run.rates(2 * HOUR, 2 * HOUR + 600, width=300)) < 2 * before

    def test_without_windows_it_holds_up_those_whose_tokens_end(self):
        run = run_fleet(
            Plan(name="", logins=30, lives=2, starts_within=HOUR, outage=Outage(1.5 * HOUR, 120), **NO_WINDOWS)
        )

        assert run.held_up > 0
        assert (0, 0) == (run.reuses, run.ended)

    def test_a_run_can_be_repeated(self):
        plan = Plan(name="", logins=8, sharers=3, lives=2, outage=Outage(HOUR, 60), **FULL_JITTER)

        assert run_fleet(plan).requests == run_fleet(plan).requests
        assert run_fleet(plan).requests != run_fleet(dataclasses.replace(plan, seed=2)).requests


class TestIssuer:
    @virtual
    async def test_it_revokes_a_login_of_which_a_refresh_token_comes_twice(self, time: VirtualTime):
        run = Run(Plan(name="", logins=2))
        issuer = Issuer(run, time.monotonic)
        first = issuer.sign_in(0, 0, time)
        await asyncio.sleep(HOUR)

        second = await issuer.refresh(first, RefreshReason.EXPIRED)
        for used in (first, second):
            with pytest.raises(SessionEnded):
                await issuer.refresh(used, RefreshReason.EXPIRED)

        assert (2, 1, 0, 3) == (run.reuses, len(run.refreshes), run.early, len(run.requests))

    @virtual
    async def test_it_counts_tokens_that_are_replaced_in_the_first_half_of_their_life(self, time: VirtualTime):
        run = Run(Plan(name="", logins=1))
        issuer = Issuer(run, time.monotonic)
        await asyncio.sleep(10)

        second = await issuer.refresh(issuer.sign_in(0, 0, time), RefreshReason.FORCED)
        await asyncio.sleep(HOUR)
        await issuer.refresh(second, RefreshReason.EXPIRED)

        assert (1, 2, 2) == (run.early, len(run.refreshes), run.refreshes_per_expiry)

    @virtual
    async def test_in_an_outage_requests_are_counted_and_refused(self, time: VirtualTime):
        run = Run(Plan(name="", logins=1, outage=Outage(100, 50)))
        issuer = Issuer(run, time.monotonic)
        tokens = issuer.sign_in(0, 0, time)
        await asyncio.sleep(120)

        with pytest.raises(Unavailable):
            await issuer.refresh(tokens, RefreshReason.EXPIRED)
        await asyncio.sleep(50)
        await issuer.refresh(tokens, RefreshReason.EXPIRED)

        assert (2, 1, 0) == (len(run.requests), len(run.refreshes), run.reuses)


class TestFigures:
    def test_rates_are_counted_in_bins_of_a_twelfth_of_a_life(self):
        run = seen(-1, 0, 299, 300, 3599, 3600, 3900)

        rates = run.rates(0, HOUR)

        assert BINS == len(rates)
        assert [2 / 300, 1 / 300, 0, 1 / 300] == [*rates[:3], rates[-1]]
        assert 4 / HOUR == run.mean(0, HOUR)

    def test_the_peak_of_a_fleet_without_outage_is_that_of_its_last_lives(self):
        story = Story(seen(*[5] * 9, *(HOUR * 4 - 1,) * 2, lives=4.0), mean=1 / 300)

        assert 2 == fleet.peak(story)

    def test_the_peak_of_one_with_an_outage_is_that_after_it(self):
        story = Story(seen(*[1000] * 9, *[1700] * 3, lives=1.0, outage=Outage(900, 600)), mean=1 / 300)

        assert 3 == fleet.peak(story)

    def test_it_has_spread_after_the_last_life_with_a_rate_above_the_budget(self):
        busy = [10, 10, HOUR + 10, 2 * HOUR + 10, 2 * HOUR + 10, 3 * HOUR + 10]

        assert 3 == fleet.spread_after(Story(seen(*busy, lives=5.0), mean=1 / 300))
        assert fleet.spread_after(Story(seen(*busy, lives=3.0), mean=1 / 300)) is None
        assert 0 == fleet.spread_after(Story(seen(10, lives=2.0), mean=1 / 300))


class TestCommand:
    async def test_tables_are_complete_and_the_plot_is_drawn(self, monkeypatch, tmp_path):
        monkeypatch.setattr(fleet, "LIVES", 4.0)
        effort = harness.Effort(clients=20, plot=tmp_path / "fleet.svg")

        tables = await _asking.answer("fleet", effort)

        assert [len(fleet.NAMES), 3] == [len(table.rows) for table in tables]
        for table in tables:
            assert all(set(row) == set(table.rows[0]) for row in table.rows)
            assert {0} == {row["reuses"] for row in table.rows}
            assert {1.0} == {row["an expiry"] for row in table.rows}
            assert table.title in harness.format_table(table)
        assert len(fleet.NAMES) + 3 == (tmp_path / "fleet.svg").read_text().count('class="rate"')

    @pytest.mark.parametrize(
        ("arguments", "clients", "plot"),
        [
            ([], 10_000, None),
            (["--full"], 100_000, None),
            (["--clients", "500"], 500, None),
            (["--full", "--clients", "70"], 70, None),
            (["--plot", "a.svg"], 10_000, "a.svg"),
        ],
    )
    def test_its_size_and_its_plot_are_options(self, monkeypatch, capsys, arguments, clients, plot):
        efforts = []

        def answer(question, effort, *, on_uvloop):
            efforts.append(effort)
            return []

        monkeypatch.setattr(command, "answer_alone", answer)

        command.main(["fleet", *arguments])

        assert [(clients, plot)] == [(effort.clients, effort.plot and str(effort.plot)) for effort in efforts]

    def test_what_chance_may_miss_does_not_make_the_command_fail(self):
        few, many = (Story(seen(lives=1.0), mean=1.0) for _ in range(2))
        many.run.plan = dataclasses.replace(many.run.plan, logins=fleet.JUDGED_LOGINS)

        assert [False, True] == [fleet._budget("peak", story, 3, 1.3).is_exact for story in (few, many)]


def test_a_plot_shows_each_rate_and_tells_what_it_cuts_off():
    panel = Panel("a <title>", [1.0, 8.0, 0.5], bins=4, lives=1, most=4, shaded=(1, 2))

    svg = draw([[panel], [panel]])

    root = ET.fromstring(svg)  # noqa: S314 - our own
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert 2 == texts.count("a <title> (up to 8)")
    assert 2 == svg.count('class="out"')
    assert "H0.0V67.5H100.0 H100.0V0.0H200.0 H200.0V78.8H300.0" in svg


def test_what_others_have_frozen_stays_so():
    gc.freeze()

    run_fleet(Plan(name="", logins=1, lives=1.5))

    assert gc.get_freeze_count() > 0


def test_the_random_numbers_of_others_are_left_alone():
    import random

    random.seed(5)
    expected = random.random()  # noqa: S311 - no secret
    random.seed(5)

    run_fleet(Plan(name="", logins=1, lives=1.5))

    assert expected == random.random()  # noqa: S311 - no secret
    assert 0.1 == _fleet_run.LATENCY
