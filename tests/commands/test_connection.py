"""The chain that the options make."""

import argparse

import pytest

from rxlink.commands.connection import chain_of, connection_of
from rxlink.commands.parsers import CommandParser, add_commands
from rxlink.commands.sources import Sources
from rxlink.transport.websocket import GraphQLWsLink, WebSocketLink


def connection(*arguments):
    parser = CommandParser()
    add_commands(parser.add_subparsers().add_parser)
    options: argparse.Namespace = parser.parse_args(arguments)
    return connection_of(options, Sources(), pytest.fail)


@pytest.mark.parametrize(("option", "kind"), [([], GraphQLWsLink), (["--protocol", "graphql-ws"], WebSocketLink)])
def test_the_options_of_a_socket(option, kind):
    asked = connection(
        "subscribe", "WSS://api.example.com/", "subscription { s }", "--timeout", "7", "--idle-timeout", "0",
        "--retry", "2", *option,
    )  # fmt: skip

    link = chain_of(asked, None, None, pytest.fail)

    assert type(link) is kind
    options = link._options
    assert (7.0, None, 2, False) == (
        options.ack_timeout,
        options.keep_alive,
        options.retry_attempts,
        options.retries_mutations,
    )
    assert 32 * 1024 * 1024 == options.max_msg_size


def test_no_limit_is_none_for_a_request_too():
    asked = connection("query", "HTTPS://api.example.com/", "{ q }", "--timeout", "0")

    assert (None, 60.0, "multipart") == (asked.timeout, asked.idle_timeout, asked.protocol)
