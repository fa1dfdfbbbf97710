"""What every command does around its operation: reads options, opens the chain, tells of failures, cleans up."""

from __future__ import annotations

import argparse
import asyncio
import logging
import ssl
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from rxlink.auth.origins import is_loopback
from rxlink.commands.connection import Connection, chain_of, connection_of
from rxlink.commands.failures import (
    FAILED,
    READER_LEFT,
    CommandFailed,
    Misuse,
    code_of,
    errors_line,
    line_of,
    one_line,
    result_of,
)
from rxlink.commands.output import Output, ReaderLeft, say
from rxlink.commands.sources import Sources, valid_text
from rxlink.commands.time_limit import TimeLimit
from rxlink.commands.tokens import Login, login_of, signed_in
from rxlink.commands.tracing import showing
from rxlink.commands.variables import variables_of
from rxlink.commands.waiting import Waiting
from rxlink.core.documents import SUBSCRIPTION, parsed
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest
from rxlink.core.result import FetchResult
from rxlink.errors import RxlinkError
from rxlink.trace.link import traced
from rxlink.trace.recorder import Trace

__all__ = ["Setting", "operation_of", "run", "setting_of", "written"]

UNENCRYPTED: Final = ("http", "ws")
NO_CERTIFICATE: Final = "none"
"""Is refused, where nothing at all would stand for the system's certificates."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)  # which would show secrets
class Setting:
    """All that a command needs to reach its endpoint.

    Attributes:
        connection: How it is reached.
        login: As whom; None for nobody.
        trust: Whose certificates count; None for the usual ones.
        shows_trace: Whether to show what happened.
    """

    connection: Connection
    login: Login | None
    trust: ssl.SSLContext | None
    shows_trace: bool = False

    @asynccontextmanager
    async def opened(
        self, awaited: str, output: Output, limit: TimeLimit | None = None
    ) -> AsyncGenerator[tuple[ApolloLink, Waiting]]:
        """Open the chain for a block; results are written in the block, so that a trace stands below them.

        Args:
            awaited: What the block waits for.
            output: Gets the result of an operation that ends with an error, where the server has sent one.
            limit: Of the time that the block may take; None where it has none.

        Returns:
            The chain, and who tells that it takes long: it is to be ended before something is written.

        Raises:
            RxlinkError: The tokens to begin with could not be got, or an option makes no sense.
        """
        trace = Trace() if self.shows_trace else None
        with showing(trace), _telling_result(output):
            async with (
                Waiting(awaited) as waiting,
                _web_session(self.trust) as session,
                signed_in(self.login, session, waiting.tell, limit, trace) as auth,
                chain_of(self.connection, auth, session, waiting.tell) as link,
            ):
                yield (link if trace is None else traced(link, trace)), waiting


def setting_of(options: argparse.Namespace, sources: Sources) -> Setting:
    """Return what the options say of the endpoint.

    Raises:
        Misuse: It cannot work.
        InvariantError: The same.
    """
    connection = connection_of(options, sources, say)
    login = login_of(options, sources, say)
    if login is not None and _is_open_to_all(connection.url):
        raise Misuse("argument URL: a token would go over plain http, where everybody on the way can read it; use TLS")
    chain_of(connection, None, None, say)  # what is wrong with it is told before a token is asked for
    return Setting(connection=connection, login=login, trust=_trust_of(options, sources), shows_trace=options.trace)


def operation_of(options: argparse.Namespace, sources: Sources, *, is_subscription: bool) -> GraphQLRequest:
    """Return the operation to run.

    Args:
        options: What was given.
        sources: Reads what they name.
        is_subscription: Whether it has to be one.

    Raises:
        Misuse: There is none, or one of the other kind.
        InvariantError: It is no GraphQL.
    """
    if (options.query is None) == (options.file is None):
        given = "no query was given" if options.query is None else "a query was given twice"
        raise Misuse(f"arguments QUERY, --file: {given}; give one, as text, as - for standard input, or as --file FILE")
    if options.file is not None:
        text = sources.content("--file", options.file)
    else:
        text = sources.content("QUERY", "-") if options.query == "-" else valid_text("QUERY", options.query)
    document = parsed(text)[1]
    name, kind = document.choose(options.operation_name)
    if (kind == SUBSCRIPTION) != is_subscription:
        command = "query" if is_subscription else "subscribe"
        raise Misuse(f"argument QUERY: the operation is a {kind}; run it with `rxlink {command}`")
    variables = variables_of(options, sources, document.variable_types[name], say)
    return GraphQLRequest(text, variables, options.operation_name)


def run(prepare: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Run a command to its end.

    Args:
        prepare: Reads what the options name, and returns what is to run.

    Returns:
        Its exit code; where it fails, one line on standard error says why.

    Raises:
        KeyboardInterrupt: It was interrupted, and everything is closed.
    """
    try:
        with _silenced():
            return asyncio.run(prepare())
    except ReaderLeft:
        return READER_LEFT
    except (RxlinkError, Misuse, CommandFailed) as error:
        say(line_of(error))
        return code_of(error)


@contextmanager
def _telling_result(output: Output) -> Generator[None]:
    """Write the result of an operation that ends with an error, where the server has sent one."""
    try:
        yield
    except RxlinkError as error:
        result = result_of(error)
        if result is not None:
            output.write_json(result)
        raise


def written(result: FetchResult, output: Output) -> int:
    """Write a result, and tell what is wrong with it; return the exit code that it stands for."""
    output.write_json(result)
    errors = result.get("errors")
    if errors:
        say(errors_line(errors))
    elif "data" not in result:
        say("the answer is none: it has neither data nor errors")
    elif not isinstance(result["data"], dict | None):
        say("the answer is none: its data is no object")
    else:
        return 0
    return FAILED


def _is_open_to_all(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False  # the link will say what is wrong with it
    return parts.scheme in UNENCRYPTED and not is_loopback(parts.hostname or "")


def _trust_of(options: argparse.Namespace, sources: Sources) -> ssl.SSLContext | None:
    if options.ca_file is not None:
        if options.insecure:
            raise Misuse("argument --insecure: not together with --ca-file")
        certificates = sources.content("--ca-file", options.ca_file)
        try:
            return ssl.create_default_context(cadata=certificates.strip() or NO_CERTIFICATE)
        except (OSError, ValueError) as error:
            raise Misuse("argument --ca-file: there are no certificates in it; give some as PEM") from error
    if not options.insecure:
        return None
    say("warning: --insecure trusts any certificate: whoever answers can read and change everything")
    trust = ssl.create_default_context()
    trust.check_hostname = False
    trust.verify_mode = ssl.CERT_NONE
    return trust


@asynccontextmanager
async def _web_session(trust: ssl.SSLContext | None) -> AsyncGenerator[aiohttp.ClientSession | None]:
    """Open a session that trusts others than the usual ones; None where links may open their own."""
    if trust is None:
        yield None
        return
    connector = aiohttp.TCPConnector(ssl=trust, limit=0)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session


@contextmanager
def _silenced() -> Generator[None]:
    """Keep the log from standard error: a command tells of failures in its own words, but for those of storages."""
    handlers = {"rxlink": logging.NullHandler(), "rxlink.auth.storage": _Telling(logging.WARNING)}
    for name, handler in handlers.items():
        logging.getLogger(name).addHandler(handler)
    try:
        yield
    finally:
        for name, handler in handlers.items():
            logging.getLogger(name).removeHandler(handler)


class _Telling(logging.Handler):
    """Writes what is logged to standard error, as the command's own lines."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        say(one_line(f"warning: {record.getMessage()}"))
