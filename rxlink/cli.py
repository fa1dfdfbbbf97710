"""The program ``rxlink``.

It exits with 0 if all went well, 1 if an operation failed, 2 if it was called wrongly or an extra is missing, 130 if it
was interrupted, and 141 if nobody read its output.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from rxlink.commands.failures import FAILED, INTERRUPTED, MISUSED
from rxlink.commands.parsers import CommandParser, add_commands

__all__ = ["main"]

MOST_OPERATIONS: Final = 100_000
SHORTEST_LIFE, LONGEST_LIFE = 0.2, 600.0
"""Seconds: a shorter token may end before a wave is answered, and nobody watches for longer."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program.

    Args:
        argv: The arguments after the program's name; None for those of the process.

    Returns:
        The exit code.
    """
    try:
        return _run(argv)
    except KeyboardInterrupt:
        print("rxlink: interrupted", file=sys.stderr)
        return INTERRUPTED
    except SystemExit as leaving:  # argparse has said why
        return leaving.code if isinstance(leaving.code, int) else MISUSED


def _run(argv: Sequence[str] | None) -> int:
    parser = CommandParser(
        prog="rxlink", description="GraphQL operations whose access token stays fresh.", allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", metavar="command", required=True, parser_class=CommandParser)
    add_commands(commands.add_parser)
    demo = _add_demo(commands.add_parser)
    options = parser.parse_args(argv)
    if options.command != "demo":
        return options.work(options)
    if options.operations < options.expiries:
        demo.error(
            f"argument --operations: {options.operations} cannot meet --expiries {options.expiries}; "
            "give at least one operation for each"
        )
    return _demo(demo, options)


def _add_demo(add_parser: Callable[..., argparse.ArgumentParser]) -> argparse.ArgumentParser:
    text = "Run operations on a server on this machine while its access tokens keep ending, and tell what happens."
    demo = add_parser("demo", help="watch operations live through token expiries", description=text, allow_abbrev=False)
    demo.add_argument(
        "--operations",
        type=_count,
        default=300,
        metavar="N",
        help="how many queries and mutations, all in all (default: 300)",
    )
    demo.add_argument(
        "--expiries",
        type=_count,
        default=3,
        metavar="K",
        help="how many tokens are to be replaced; more are if the operations take longer (default: 3)",
    )
    demo.add_argument(
        "--token-life",
        type=_life,
        default=2.0,
        metavar="S",
        help="seconds for which an access token is accepted (default: 2)",
    )
    demo.add_argument(
        "--seed", type=_integer, default=1, metavar="N", help="chooses which operations are mutations (default: 1)"
    )
    demo.add_argument(
        "--json",
        action="store_true",
        help="print the summary as one JSON object on standard output, and all else on standard error",
    )
    demo.add_argument("--quiet", action="store_true", help="print the summary only")
    demo.add_argument(
        "--trace", action="store_true", help="also draw what happened to the operations, as text, and say why"
    )
    demo.add_argument(
        "--html",
        type=_new_file,
        metavar="FILE",
        help="also write it as a page to zoom and filter, which needs no server",
    )
    demo.add_argument("--svg", type=_new_file, metavar="FILE", help="also draw it into an SVG file")
    return demo


def _demo(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    # Imported here: `--help` and a wrong option need no server.
    from rxlink.demo.performance import Stage, perform
    from rxlink.demo.plan import Plan
    from rxlink.demo.views import Views
    from rxlink.errors import RxlinkError

    if options.html is not None and options.html == options.svg:
        parser.error(f"argument --svg: {str(options.svg)!r} is the file of --html too; give two files")
    views = Views(is_text=options.trace, html=options.html, svg=options.svg)
    plan = Plan(
        operations=options.operations, expiries=options.expiries, token_life=options.token_life, seed=options.seed
    )
    try:
        is_good = perform(plan, Stage(is_quiet=options.quiet, is_json=options.json, views=views))
    except (OSError, RxlinkError) as error:
        print(f"rxlink demo: {error}", file=sys.stderr)
        return FAILED
    return 0 if is_good else FAILED


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None


def _count(text: str) -> int:
    number = _integer(text)
    if not 1 <= number <= MOST_OPERATIONS:
        raise argparse.ArgumentTypeError(f"{text!r} is out of range; give 1 to {MOST_OPERATIONS}")
    return number


def _life(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not SHORTEST_LIFE <= seconds <= LONGEST_LIFE:
        raise argparse.ArgumentTypeError(
            f"{text!r} is out of range; give {SHORTEST_LIFE:g} to {LONGEST_LIFE:g} seconds"
        )
    return seconds


def _new_file(text: str) -> Path:
    path = Path(text)
    try:
        if path.exists() and not path.is_file() and not path.is_dir():  # such as a pipe
            return path
        is_new = not os.path.lexists(path)
        with path.open("ab"):  # what is there stays until there is something to write
            pass
        if is_new:
            path.unlink()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise argparse.ArgumentTypeError(
            f"{text!r} cannot be written ({why}); give a file in a directory that exists"
        ) from None
    return path
