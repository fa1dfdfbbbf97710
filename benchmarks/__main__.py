"""The command: ``python -m benchmarks [question ...] [--json FILE] [--quick]``."""

import argparse
import asyncio
import dataclasses
import importlib
import json
import sys
from pathlib import Path

from benchmarks.harness import NORMAL, QUICK, Effort, Table, environment, format_table

QUESTIONS = ("chain", "http", "storm", "guard", "fleet")
HUGE_WAVE = 100_000
HUGE_FLEET = 100_000


def main(arguments: list[str] | None = None) -> int:
    """Answer the questions; 1 if an exact budget was missed, times never count."""
    options = _parser().parse_args(arguments)
    print(", ".join(f"{name} {value}" for name, value in environment().items()))
    answers: dict[str, list[Table]] = {}
    for name in options.questions or QUESTIONS:
        answers[name] = asyncio.run(answer(name, _effort(options)))
        print(*map(format_table, answers[name]), sep="\n", flush=True)
    if options.json:
        options.json.write_text(json.dumps(_report(answers), indent=2) + "\n")
    return _exit_code(answers)


async def answer(question: str, effort: Effort) -> list[Table]:
    """Answer one question."""
    return await importlib.import_module(f"benchmarks.{question}").measure(effort)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("questions", nargs="*", metavar="question", help=", ".join(QUESTIONS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, wider spread")
    parser.add_argument("--full", action="store_true", help="a storm of 100,000 too, and a fleet of 100,000")
    parser.add_argument("--clients", type=int, metavar="N", help="the size of the fleet")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the fleet's refreshes there, as SVG")
    return parser


def _effort(options: argparse.Namespace) -> Effort:
    effort = QUICK if options.quick else NORMAL
    if options.full:
        effort = dataclasses.replace(effort, waiting=(*effort.waiting, HUGE_WAVE), clients=HUGE_FLEET)
    return dataclasses.replace(effort, clients=options.clients or effort.clients, plot=options.plot)


def _report(answers: dict[str, list[Table]]) -> dict[str, object]:
    return {
        "environment": environment(),
        "answers": {name: [_plain(table) for table in tables] for name, tables in answers.items()},
    }


def _plain(table: Table) -> dict[str, object]:
    verdicts = [{**dataclasses.asdict(verdict), "is_kept": verdict.is_kept} for verdict in table.verdicts]
    return {"title": table.title, "rows": list(table.rows), "verdicts": verdicts}


def _exit_code(answers: dict[str, list[Table]]) -> int:
    missed = [
        verdict
        for tables in answers.values()
        for table in tables
        for verdict in table.verdicts
        if verdict.is_exact and not verdict.is_kept
    ]
    for verdict in missed:
        print(f"guard: {verdict}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
