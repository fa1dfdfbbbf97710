"""One demo from curtain to curtain: the server, the story, what is printed where, and whether it was a success."""

from __future__ import annotations

import asyncio
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field

from rxlink.demo.display import Display, Mood, PlainLines, display_on
from rxlink.demo.plan import Plan
from rxlink.demo.story import Story
from rxlink.demo.summary import Summary, problems_of
from rxlink.demo.timeline import Timeline
from rxlink.demo.views import Views
from rxlink.testing.auth_server import AuthServer
from rxlink.trace.recorder import Trace

__all__ = ["Stage", "perform"]

SHOWN = 5
"""How many of many problems are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What is printed where.

    Attributes:
        is_quiet: No timeline, only the summary.
        is_json: The summary goes to standard output as JSON, all else to standard error.
        views: What the trace is shown in, in the end.
    """

    is_quiet: bool = False
    is_json: bool = False
    views: Views = field(default_factory=Views)


def perform(plan: Plan, stage: Stage) -> bool:
    """Run a demo and print it.

    Returns:
        Whether every operation ended with its own right result, and no token was refreshed more than once or too early.

    Raises:
        OSError: The server could not listen, or a view could not be written.
    """
    stream = sys.stderr if stage.is_json else sys.stdout
    displays: list[Display] = [] if stage.is_quiet else [display_on(stream, plan.operations)]
    timeline = Timeline(displays)
    trace = stage.views.new_trace(plan.operations)
    with ExitStack() as closing:
        for display in displays:
            closing.callback(display.close)
        summary, problems = asyncio.run(_run(plan, timeline, trace))
    if stage.is_quiet and (problems or not stage.is_json):
        timeline.add(PlainLines(stream))
    _conclude(timeline, plan, summary, problems)
    if trace is not None:
        stage.views.show(trace, stream)
    if stage.is_json:
        print(summary.to_json(), flush=True)
    return not problems


async def _run(plan: Plan, timeline: Timeline, trace: Trace | None) -> tuple[Summary, list[str]]:
    async with AuthServer(token_life=plan.token_life, seed=plan.seed) as server:
        story = Story(server, plan, timeline, trace)
        await story.run()
    summary = Summary.of(plan.operations, story.tally, server.ledger, timeline.seconds)
    return summary, problems_of(summary, story.tally, server.ledger)


def _conclude(timeline: Timeline, plan: Plan, summary: Summary, problems: list[str]) -> None:
    timeline.title(f"After {summary.seconds:.1f} s")
    timeline.conclude(summary.lines(), Mood.PLAIN)
    if summary.expiries > plan.expiries:
        more = f"{summary.expiries} instead of {plan.expiries} tokens ended, because the operations took longer"
        timeline.conclude([more], Mood.WAITING)
    if problems:
        timeline.conclude(problems[:SHOWN], Mood.BAD)
        timeline.conclude([f"and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else [], Mood.BAD)
    else:
        timeline.conclude(["Every operation has its own right result; each token was refreshed once."], Mood.GOOD)
