"""How many refreshes a second does an issuer see of a whole fleet?

Asked of a fleet that signs in within a minute, and of one that has spread and is without its issuer for ten minutes;
with and without windows and jitter. The time is virtual, so all figures are counts, the same in each run.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks._fleet_plot import Panel, draw
from benchmarks._fleet_run import BINS, Outage, Plan, Run, run_fleet
from benchmarks.harness import Effort, Row, Table, Verdict

__all__ = ["JUDGED_LOGINS", "measure", "outages", "peak", "starts"]

HOSTS = 200
SHARERS = 10  # hosts on which each login is used
JUDGED_LOGINS = 1_000
"""With fewer, chance alone fills one of so many bins more than a budget allows."""
LIVES = 24.0  # of its tokens, through which a fleet that spreads is followed
LAST_LIVES = 3  # in which a fleet that signed in at once is judged
MOST_ONCE_SPREAD = 1.3  # times the mean
MOST_AFTER_OUTAGE = 2.0
LIFE = 3600.0  # seconds, as all below
TEN_MINUTES = 600.0

NO_WINDOWS = {"advisory": 0.0, "mandatory": 0.0, "jitter": 0.0}
DEFAULTS = {"advisory": 60.0, "mandatory": 10.0, "jitter": 0.1}
NO_JITTER = {"advisory": LIFE / 4, "mandatory": 10.0, "jitter": 0.0}
A_THIRD = {"advisory": LIFE / 4, "mandatory": 10.0, "jitter": 1 / 3}
FULL_JITTER = {"advisory": LIFE / 4, "mandatory": 10.0, "jitter": 1.0}

NAMES = {
    "no windows": NO_WINDOWS,
    "the defaults: 60 s, jitter 0.1": DEFAULTS,
    "15 minutes, no jitter": NO_JITTER,
    "15 minutes, jitter 1/3": A_THIRD,
    "15 minutes, jitter 1": FULL_JITTER,
}


@dataclass(frozen=True, slots=True)
class Story:
    """What became of a fleet.

    Attributes:
        run: What was seen.
        mean: Requests a second, on average, while all is well.
    """

    run: Run
    mean: float

    def rates(self, begins: float, ends: float) -> list[float]:
        """Return the rate in each bin, the mean being 1."""
        return [rate / self.mean for rate in self.run.rates(begins, ends)]


async def measure(effort: Effort) -> list[Table]:
    """Let the fleets live, one after another; beside the tables there may be a plot."""
    # In a thread, which has no event loop yet: virtual time runs one of its own.
    return await asyncio.to_thread(_measure, effort)


def _measure(effort: Effort) -> list[Table]:
    logins = max(1, effort.clients // SHARERS)
    started = [story_of(plan) for plan in starts(logins, SHARERS)]
    cut_off = [story_of(plan) for plan in outages(logins, SHARERS)]
    if effort.plot is not None:
        effort.plot.write_text(draw(_panels(started, cut_off)))
    size = f"{logins * SHARERS:,} clients on {HOSTS} hosts, {logins:,} logins, each on {SHARERS}"
    return [
        Table(
            f"All sign in within a minute ({size}); refreshes, mean = 1", _start_rows(started), _judge_starts(started)
        ),
        Table(
            f"Ten minutes without the issuer ({size}); requests, mean = 1",
            _outage_rows(cut_off),
            _judge_outages(cut_off),
        ),
    ]


def starts(logins: int, sharers: int) -> Iterator[Plan]:
    """Return fleets of which all sign in within a minute; without jitter, nothing changes after a few lives."""
    for name, windows in NAMES.items():
        lives = LIVES if windows["jitter"] > DEFAULTS["jitter"] else LAST_LIVES + 1.0
        yield Plan(name=name, logins=logins, sharers=sharers, life=LIFE, lives=lives, **windows)


def outages(logins: int, sharers: int) -> Iterator[Plan]:
    """Return fleets that have spread, and lose their issuer in the third life.

    Where tokens end meanwhile, all hosts of a login wait, and ask the storage many times a second: that is no matter of
    the issuer, and takes hours to simulate. There each login is on one host.
    """
    outage = Outage(2 * LIFE, TEN_MINUTES)
    for name in ("no windows", "15 minutes, jitter 1/3", "15 minutes, jitter 1"):
        windows = NAMES[name]
        is_judged = windows is A_THIRD
        period = LIFE - windows["advisory"] * (1 - windows["jitter"] / 2)
        yield Plan(
            name=name if is_judged else f"{name} (on one host)",
            logins=logins,
            sharers=sharers if is_judged else 1,
            life=LIFE,
            lives=4.0,
            starts_within=period,
            outage=outage,
            **windows,
        )


def story_of(plan: Plan) -> Story:
    """Let a fleet live, and find its mean rate: over its last lives, or over the one before the outage."""
    run = run_fleet(plan)
    if plan.outage is None:
        return Story(run, run.mean(*_last(plan)))
    return Story(run, run.mean(plan.outage.begins - plan.life, plan.outage.begins))


def peak(story: Story) -> float:
    """Return the highest rate of the time that counts: the last lives, or all after the outage."""
    plan = story.run.plan
    if plan.outage is None:
        return max(story.rates(*_last(plan)))
    return max(story.rates(plan.outage.ends, plan.lives * plan.life))


def spread_after(story: Story) -> int | None:
    """Return after how many lives no rate is above the budget any more; None for never."""
    plan = story.run.plan
    highest = [max(story.rates(life * plan.life, (life + 1) * plan.life)) for life in range(int(plan.lives))]
    lives = next((len(highest) - n for n, rate in enumerate(reversed(highest)) if rate > MOST_ONCE_SPREAD), 0)
    return None if lives == len(highest) else lives


def _last(plan: Plan) -> tuple[float, float]:
    return (plan.lives - LAST_LIVES) * plan.life, plan.lives * plan.life


def _start_rows(stories: Sequence[Story]) -> list[Row]:
    return [
        {
            "sessions with": story.run.plan.name,
            "lives": int(story.run.plan.lives),
            "refreshes": len(story.run.refreshes),
            "a second": story.mean,
            "peak": peak(story),
            "spread after": "never" if (lives := spread_after(story)) is None else f"{lives} lives",
            **_ledger(story.run),
        }
        for story in stories
    ]


def _outage_rows(stories: Sequence[Story]) -> list[Row]:
    return [
        {
            "sessions with": story.run.plan.name,
            "a second": story.mean,
            "before": max(story.rates(LIFE, 2 * LIFE)),
            "meanwhile": max(story.rates(2 * LIFE, 2 * LIFE + TEN_MINUTES)),
            "after": peak(story),
            "held up": story.run.held_up,
            **_ledger(story.run),
        }
        for story in stories
    ]


def _ledger(run: Run) -> Row:
    return {"an expiry": run.refreshes_per_expiry, "reuses": run.reuses, "logins lost": run.ended}


def _judge_starts(stories: Sequence[Story]) -> list[Verdict]:
    judged = [_budget("peak once spread", story, peak(story), MOST_ONCE_SPREAD) for story in stories if _is(story, 1.0)]
    return [*judged, *_judge_ledgers(stories)]


def _judge_outages(stories: Sequence[Story]) -> list[Verdict]:
    judged = [story for story in stories if _is(story, 1 / 3)]
    before = [
        _budget("peak before the outage", story, max(story.rates(LIFE, 2 * LIFE)), MOST_ONCE_SPREAD) for story in judged
    ]
    after = [_budget("peak after the outage", story, peak(story), MOST_AFTER_OUTAGE) for story in judged]
    return [*before, *after, *_judge_ledgers(stories)]


def _judge_ledgers(stories: Sequence[Story]) -> list[Verdict]:
    reuses = sum(story.run.reuses for story in stories)
    most = max(story.run.refreshes_per_expiry for story in stories)
    return [
        Verdict(subject="refresh tokens that came twice", measured=reuses, bound=0, is_exact=True),
        Verdict(subject="refreshes an expiry", measured=most, bound=1, is_exact=True),
    ]


def _budget(subject: str, story: Story, measured: float, bound: float) -> Verdict:
    plan = story.run.plan
    is_exact = plan.logins >= JUDGED_LOGINS
    return Verdict(subject=f"{subject}, {plan.name}", measured=measured, bound=bound, is_exact=is_exact)


def _is(story: Story, jitter: float) -> bool:
    return story.run.plan.jitter == jitter


def _panels(started: Sequence[Story], cut_off: Sequence[Story]) -> list[list[Panel]]:
    return [
        [
            Panel(
                f"{story.run.plan.name}: all sign in at once",
                story.rates(0, story.run.plan.lives * LIFE),
                BINS,
                int(LIVES),
                13,
            )
            for story in started
        ],
        [
            Panel(
                f"{story.run.plan.name}: ten minutes without the issuer",
                story.rates(LIFE, story.run.plan.lives * LIFE),
                BINS,
                3,
                6,
                shaded=(BINS, BINS + TEN_MINUTES / LIFE * BINS),
            )
            for story in cut_off
        ],
    ]
