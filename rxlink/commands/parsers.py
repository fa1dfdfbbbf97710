"""The parsers. What the commands need to run is not imported for ``--help`` or a wrong option."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn, TypeAlias

from rxlink.commands.failures import MISUSED, one_line
from rxlink.commands.options import AddParser, add_address, add_connection, add_operation, add_output, seconds

__all__ = ["CommandParser", "add_commands"]

Work: TypeAlias = Callable[[argparse.Namespace], int]

DEFAULT_IDLE_TIMEOUT: Final = 60.0  # seconds
SOURCES: Final = "A FILE may be - for standard input, or env:NAME for a variable of the environment."
EXIT_CODES: Final = """\
exit code:
  0 if all went well, 1 if the operation failed or its result has errors, 2 if the command was called wrongly,
  130 if it was interrupted, 141 if nobody read its output"""
URL: Final = "https://api.example.com/graphql"


class CommandParser(argparse.ArgumentParser):
    """A parser that finds QUERY behind options too, as in ``URL --get QUERY``, and refuses in one line."""

    _is_inside = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride] - its overloads
        """Parse what argparse can parse; see there."""
        if self._is_inside:
            return super().parse_known_args(args, namespace)
        self._is_inside = True  # what is called next calls this method
        try:
            has_query = any(action.dest == "query" for action in self._actions)
            parse = self.parse_known_intermixed_args if has_query else super().parse_known_args
            known, unknown = parse(args, namespace)
        finally:
            self._is_inside = False
        if unknown:  # a command tells of it under its own name; argparse leaves it to the program
            self.error(_unknown_line(unknown))
        return known, unknown

    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line, and exit."""
        self.exit(MISUSED, f"{self.prog}: error: {one_line(message)}; see {self.prog} --help\n")


def add_commands(add_parser: AddParser) -> None:
    """Add the commands to those of the program; each sets ``work``, which gets the options and gives the exit code."""
    _add_query(add_parser)
    _add_subscribe(add_parser)
    _add_schema(add_parser)


def _add_query(add_parser: AddParser) -> None:
    parser = _command(
        add_parser,
        "query",
        "URL [QUERY]",
        summary="run a query or a mutation",
        description="Run a query or a mutation, and print its result as JSON.",
        examples=[
            f"rxlink query {URL} '{{ viewer {{ name }} }}'",
            f"rxlink query {URL} --file user.graphql --variable id=4 --header-file headers.txt",
            f"echo '{{ viewer {{ name }} }}' | rxlink query {URL} - | jq .data.viewer",
        ],
        work=_query,
    )
    add_address(parser)
    add_operation(parser)
    add_connection(parser)
    parser.add_argument("--get", action="store_true", help="send queries with GET; their variables stand in the URL")
    add_output(parser, "on one line")
    parser.set_defaults(idle_timeout=DEFAULT_IDLE_TIMEOUT)


def _add_subscribe(add_parser: AddParser) -> None:
    parser = _command(
        add_parser,
        "subscribe",
        "URL [QUERY]",
        summary="print the results of a subscription as they come",
        description="Run a subscription, and print each result as JSON when it comes, until it ends or Ctrl-C.",
        examples=[
            "rxlink subscribe wss://api.example.com/graphql 'subscription { prices { amount } }'",
            f"rxlink subscribe {URL} --protocol sse --file prices.graphql --retry 5",
            f"rxlink subscribe {URL} --file prices.graphql | jq --unbuffered .data.prices.amount",
        ],
        work=_subscribe,
    )
    add_address(parser)
    add_operation(parser)
    add_connection(parser)
    parser.add_argument(
        "--idle-timeout",
        type=seconds,
        default=DEFAULT_IDLE_TIMEOUT,
        metavar="S",
        help="seconds that the server may be silent, heartbeats too, before it is given up (http) or asked whether it "
        "is there (ws); 0 for no limit (default: %(default)g)",
    )
    add_output(parser, "a line for each result")
    parser.set_defaults(get=False)


def _add_schema(add_parser: AddParser) -> None:
    parser = _command(
        add_parser,
        "schema",
        "URL",
        summary="print the schema of an endpoint",
        description="Ask an endpoint for its schema (introspection), and print it in GraphQL's schema language.",
        examples=[f"rxlink schema {URL} > schema.graphql", f"rxlink schema {URL} --json > schema.json"],
        work=_schema,
    )
    add_address(parser)
    add_connection(parser)
    parser.add_argument("--get", action="store_true", help="send the query with GET")
    parser.add_argument("--json", action="store_true", help="print what the endpoint has answered, as JSON")
    add_output(parser, "with --json, on one line")
    parser.set_defaults(idle_timeout=DEFAULT_IDLE_TIMEOUT)


def _command(
    add_parser: AddParser,
    name: str,
    arguments: str,
    *,
    summary: str,
    description: str,
    examples: Sequence[str],
    work: Work,
) -> argparse.ArgumentParser:
    shown = "\n".join(f"  {example}" for example in examples)
    parser = add_parser(
        name,
        usage=f"rxlink {name} {arguments} [options]",
        help=summary,
        description=description,
        epilog=f"{SOURCES}\n\nexamples:\n{shown}\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(work=work)
    return parser


def _unknown_line(arguments: Sequence[str]) -> str:
    """Say what is not known; of options the names alone, since a value may be a secret."""
    options = [argument.partition("=")[0] for argument in arguments if argument.startswith("-")]
    return f"unrecognized arguments: {' '.join(options or arguments)}"


def _query(options: argparse.Namespace) -> int:
    from rxlink.commands.query import query

    return query(options)


def _subscribe(options: argparse.Namespace) -> int:
    from rxlink.commands.subscribe import subscribe

    return subscribe(options)


def _schema(options: argparse.Namespace) -> int:
    from rxlink.commands.schema import schema

    return schema(options)
