"""The command: ``python -m benchmarks [question ...] [--json FILE] [--svg FILE] [--quick]``."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks._asking import answer_alone, has_uvloop
from benchmarks._headline import draw, headline
from benchmarks.harness import NORMAL, QUICK, Effort, Table, Verdict, environment, format_table

QUESTIONS = (
    "chain", "http", "batch", "storm", "websocket", "streams", "documents", "awaiting", "imports", "guard", "fleet",
)  # fmt: skip
ON_UVLOOP = frozenset({"http"})
"""Those that are asked once more on uvloop, where that is installed."""
HUGE_FLEET = 100_000


def main(arguments: list[str] | None = None) -> int:
    """Answer the questions; 1 if an exact budget was missed, times never count."""
    options = _parser().parse_args(arguments)
    print(", ".join(f"{name} {value}" for name, value in environment().items()), flush=True)
    answers: dict[str, Sequence[Table]] = {}
    for name, question, on_uvloop in _asked(options.questions or QUESTIONS):
        answers[name] = answer_alone(question, _effort(options), on_uvloop=on_uvloop)
        print(f"\n== {name}", *map(format_table, answers[name]), sep="\n", flush=True)
    if judged := _headlines(answers):
        print(format_table(headline(judged)))
        if options.svg:
            options.svg.write_text(draw(judged))
    if options.json:
        options.json.write_text(json.dumps(_report(answers), indent=2) + "\n")
    return _exit_code(answers)


def _asked(questions: Sequence[str]) -> Iterator[tuple[str, str, bool]]:
    """Give each question: what its section is called, its name, and whether it is asked on uvloop."""
    for question in questions:
        yield question, question, False
        if question in ON_UVLOOP:
            if has_uvloop():
                yield f"{question} on uvloop", question, True
            else:
                print(f"\n== {question} on uvloop: not installed")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("questions", nargs="*", type=_question, metavar="question", help=", ".join(QUESTIONS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the headline table there")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, wider spread")
    parser.add_argument("--full", action="store_true", help="a fleet of 100,000")
    parser.add_argument("--clients", type=int, metavar="N", help="the size of the fleet")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the fleet's refreshes there, as SVG")
    return parser


def _question(name: str) -> str:
    if name not in QUESTIONS:
        raise argparse.ArgumentTypeError(f"there is no {name!r}; ask {', '.join(QUESTIONS)}")
    return name


def _effort(options: argparse.Namespace) -> Effort:
    effort = QUICK if options.quick else NORMAL
    if options.full:
        effort = dataclasses.replace(effort, clients=HUGE_FLEET)
    return dataclasses.replace(effort, clients=options.clients or effort.clients, plot=options.plot)


def _report(answers: Mapping[str, Sequence[Table]]) -> dict[str, object]:
    return {
        "environment": environment(),
        "answers": {name: [_plain(table) for table in tables] for name, tables in answers.items()},
    }


def _plain(table: Table) -> dict[str, object]:
    verdicts = [{**dataclasses.asdict(verdict), "is_kept": verdict.is_kept} for verdict in table.verdicts]
    return {"title": table.title, "rows": list(table.rows), "verdicts": verdicts}


def _verdicts(answers: Mapping[str, Sequence[Table]]) -> list[Verdict]:
    return [verdict for tables in answers.values() for table in tables for verdict in table.verdicts]


def _headlines(answers: Mapping[str, Sequence[Table]]) -> list[Verdict]:
    """Return the verdicts of the budget: of each question as it was asked on asyncio, not once more on uvloop."""
    on_asyncio = {question: answers[question] for question in QUESTIONS if question in answers}
    return [verdict for verdict in _verdicts(on_asyncio) if verdict.is_headline]


def _exit_code(answers: Mapping[str, Sequence[Table]]) -> int:
    missed = [verdict for verdict in _verdicts(answers) if verdict.is_exact and not verdict.is_kept]
    for verdict in missed:
        print(f"guard: {verdict}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
