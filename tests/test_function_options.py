"""Functions given as options are asked, when the link is made, whether they can take what they will get."""

import functools
import re

import pytest
from graphql import build_schema

from rxlink import (
    AttemptsOptions,
    AuthLink,
    AuthSession,
    BatchHttpLink,
    BatchLink,
    ErrorLink,
    GraphQLWsLink,
    HttpLink,
    PersistedQueryLink,
    PollingLink,
    RetryLink,
    SchemaLink,
    SetContextLink,
    set_context,
    split,
)
from rxlink.core.chain import empty
from rxlink.errors import InvariantTypeError

URI = "http://localhost/graphql"
WS_URL = "ws://localhost/graphql"


def session(**options):
    return AuthSession(refresh=lambda tokens, reason: None, **options)


def make_socket_link(name, function):
    return GraphQLWsLink(WS_URL, **{name: function})


@pytest.mark.parametrize(
    ("make", "where", "arguments"),
    [
        (lambda function: AuthLink(session(), is_auth_error=function), "`is_auth_error`", "(answer)"),
        (lambda function: AuthSession(refresh=function), "`refresh`", "(tokens, reason)"),
        (lambda function: BatchHttpLink(URI, batch_key=function), "`batch_key`", "(operation)"),
        (lambda function: BatchLink(batch_handler=function), "`batch_handler`", "(operations, forwards)"),
        (ErrorLink, "`handler` of ErrorLink", "(response)"),
        *(
            (functools.partial(make_socket_link, name), f"`{name}` of GraphQLWsLink", arguments)
            for name, arguments in (
                ("auth_params", "(token)"),
                ("dedup_key", "(result), or None"),
                ("encode", "(body), or None"),
                ("generate_id", "(payload), or None"),
                ("is_auth_error", "(answer)"),
                ("is_fatal_connection_problem", "(error), or None"),
                ("on_non_lazy_error", "(error), or None"),
                ("retry_wait", "(retries), or None"),
                ("should_retry", "(error), or None"),
            )
        ),
        (HttpLink, "`uri` of HttpLink", "(operation)"),
        (lambda function: HttpLink(URI, decode=function), "`decode` of HttpLink", "(body)"),
        (lambda function: HttpLink(URI, print=function), "`print` of HttpLink", "(document, default_printer), or None"),
        (lambda function: PersistedQueryLink(sha256=function), "`sha256`", "(text)"),
        (lambda function: PersistedQueryLink(generate_hash=function), "`generate_hash`", "(document)"),
        (lambda function: PersistedQueryLink(disable=function), "`disable`", "(options)"),
        (PollingLink, "`poll_interval`", "(operation)"),
        (lambda function: RetryLink(attempts=function), "`attempts`", "(attempt, operation, error)"),
        (
            lambda function: RetryLink(attempts=AttemptsOptions(retry_if=function)),
            "`attempts.retry_if`",
            "(error, operation), or None",
        ),
        (
            lambda function: SchemaLink(build_schema("type Query { a: Int }"), context=function),
            "`context` of SchemaLink",
            "(operation)",
        ),
        (set_context, "`setter` of set_context", "(operation, context)"),
        (SetContextLink, "`setter` of SetContextLink", "(context, operation)"),
        (lambda function: split(function, empty()), "the test of split", "(operation)"),
    ],
)
def test_that_take_others_are_named(make, where, arguments):
    def too_many(one, two, three, four):
        raise AssertionError("it is not called")

    with pytest.raises(InvariantTypeError) as refused:
        make(too_many)

    told = str(refused.value)
    assert told.startswith(where)
    assert f"{where} is {too_many.__qualname__}, which takes other arguments; give a function of {arguments}" in told


@pytest.mark.parametrize("name", ["connection_params", "url"])
def test_those_that_take_none_are_named(name):
    options = {"url": WS_URL, name: lambda operation: None}

    with pytest.raises(
        InvariantTypeError, match=rf"`{name}` of .*which takes other arguments; give a function without"
    ):
        GraphQLWsLink(**options)


def test_the_clock_takes_none():
    with pytest.raises(InvariantTypeError, match=re.escape("takes other arguments; give a function without arguments")):
        session(clock=lambda zone: None)
