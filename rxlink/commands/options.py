"""The options that the commands share, and what their ``--help`` says of them."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Final, TypeAlias

from rxlink.commands.protocols import PROTOCOLS

__all__ = ["AddParser", "add_address", "add_connection", "add_operation", "add_output", "seconds"]

AddParser: TypeAlias = Callable[..., argparse.ArgumentParser]

DEFAULT_TIMEOUT: Final = 30.0  # seconds
MOST_TRIES: Final = 1000


def add_address(parser: argparse.ArgumentParser) -> None:
    """Add where to send to."""
    parser.add_argument("url", metavar="URL", help="the endpoint: http(s)://... or ws(s)://...")


def add_connection(parser: argparse.ArgumentParser) -> None:
    """Add how to send, and as whom."""
    _add_sending(parser.add_argument_group("how it is sent"))
    _add_tls(parser.add_argument_group("TLS"))
    _add_tokens(
        parser.add_argument_group(
            "access token", "Kept fresh, and sent to the endpoint alone. Tokens and secrets are never arguments."
        )
    )


def _add_sending(group: argparse._ArgumentGroup) -> None:  # pyright: ignore[reportPrivateUsage] - argparse has no other name for it
    group.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="a header; a VALUE of @FILE or env:NAME is read there, and no secret on the command line; repeatable",
    )
    group.add_argument("--header-file", metavar="FILE", help="headers, one a line; # begins a comment")
    group.add_argument(
        "--connection-params",
        metavar="JSON",
        help="what a WebSocket server is told first, as JSON, @FILE or env:NAME",
    )
    group.add_argument(
        "--protocol",
        choices=PROTOCOLS,
        help="http(s): multipart (default) or sse; ws(s): graphql-transport-ws (default), or graphql-ws, the older one",
    )
    group.add_argument(
        "--timeout",
        type=seconds,
        default=DEFAULT_TIMEOUT,
        metavar="S",
        help="seconds for an answer, sign-in and retries included, or for a subscription to be connected; 0 for no "
        "limit (default: %(default)g)",
    )
    group.add_argument(
        "--retry",
        type=_tries,
        default=0,
        metavar="N",
        help="how often to try again after a failure that may pass; a mutation only where it cannot have arrived "
        "(default: 0)",
    )


def _add_tls(group: argparse._ArgumentGroup) -> None:  # pyright: ignore[reportPrivateUsage] - as above
    group.add_argument("--ca-file", metavar="FILE", help="whose certificates to trust (PEM), instead of the system's")
    group.add_argument("--insecure", action="store_true", help="trust any certificate; never with tokens")


def _add_tokens(group: argparse._ArgumentGroup) -> None:  # pyright: ignore[reportPrivateUsage] - as above
    group.add_argument("--access-token-file", metavar="FILE", help="the token to begin with, if none are stored")
    group.add_argument(
        "--refresh-token-file", metavar="FILE", help="what new tokens are got with, if none are stored; needs --storage"
    )
    group.add_argument(
        "--storage",
        metavar="STORAGE",
        help="where tokens are kept: FILE, keyring:SERVICE/USER, redis://HOST:PORT/DB#KEY, or memory to keep none; "
        "@FILE or env:NAME where it has a password in it",
    )
    group.add_argument("--token-url", metavar="URL", help="the OAuth2 token endpoint that refreshes them")
    group.add_argument("--client-id", metavar="ID", help="the OAuth2 client")
    group.add_argument("--client-secret-file", metavar="FILE", help="its secret; none for a public client")
    group.add_argument("--scope", help="what to ask for, separated by spaces")
    group.add_argument(
        "--grant-type",
        choices=("refresh_token", "client_credentials"),
        default="refresh_token",
        help="client_credentials is for a client that acts for itself (default: %(default)s)",
    )


def add_operation(parser: argparse.ArgumentParser) -> None:
    """Add what to run."""
    parser.add_argument("query", nargs="?", metavar="QUERY", help="GraphQL text; - for standard input")
    group = parser.add_argument_group("operation")
    group.add_argument("--file", metavar="FILE", help="where the GraphQL text is, instead of QUERY")
    group.add_argument("--operation-name", metavar="NAME", help="which operation to run, where there are several")
    group.add_argument("--variables", metavar="JSON", help="the variables as a JSON object, @FILE or env:NAME")
    group.add_argument("--variables-file", metavar="FILE", help="a file of such an object")
    group.add_argument(
        "--variable",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="one variable, over the others: JSON, or text where it is none; the text of @FILE or env:NAME; repeatable",
    )


def add_output(parser: argparse.ArgumentParser, shown: str) -> None:
    """Add how results look.

    Args:
        parser: Of the command.
        shown: What ``json`` gives.
    """
    parser.add_argument(
        "--output",
        choices=("json", "pretty"),
        help=f"json: {shown}; pretty: indented (default: pretty on a terminal, else json)",
    )
    parser.add_argument(
        "--trace",
        action="store_true",
        help="in the end, show on standard error how the operation went through the links, and what it waited for",
    )


def seconds(text: str) -> float:
    """Read a time.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; give seconds, or 0 for no limit")
    return number


def _tries(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= MOST_TRIES):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of tries; give 0 to {MOST_TRIES}")
    return int(text)
