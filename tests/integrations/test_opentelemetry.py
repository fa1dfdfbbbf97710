"""OpenTelemetryLink: its options, its place, and a machine without OpenTelemetry."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from rxlink import (
    AuthSession,
    GraphQLWsLink,
    InvariantError,
    InvariantTypeError,
    OpenTelemetryLink,
    RetryLink,
    SseLink,
    TokenSet,
    execute,
    from_,
    instrument_connection,
    instrument_session,
    split,
)
from rxlink.core.operation import Operation
from rxlink.core.subscription import ResultObserver, Subscription
from tests.integrations.exported import Exported
from tests.recording import DATA, END, REQUEST, Worker, seen_of, sending

WITHOUT = """
import sys
sys.modules["opentelemetry"] = None
from rxlink import *
session = AuthSession(refresh=lambda tokens, reason: tokens, tokens=TokenSet("a"))
for make in (OpenTelemetryLink, lambda: instrument_session(session), lambda: instrument_connection(SseLink("http://x/"))):
    try:
        make()
    except InvariantError as error:
        print(error)
"""


def test_without_the_package_the_error_names_the_extra() -> None:
    process = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)

    needed = "needs the extra `otel`, which is not installed: pip install 'rxlink[otel]'"
    names = ("OpenTelemetryLink", "instrument_session", "instrument_connection")
    assert [f"{name} {needed}" for name in names] == process.stdout.splitlines()


def test_without_an_sdk_it_works_and_sends_no_header() -> None:
    contexts: list[Any] = []

    def answer(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
        contexts.append(dict(operation.get_context()))
        observer.on_next(DATA)
        observer.on_completed()

    link = from_([OpenTelemetryLink(), RetryLink(), OpenTelemetryLink(per="attempt"), Worker(answer)])

    assert [DATA, END] == seen_of(execute(link, REQUEST))
    assert [{}] == contexts


class TestOptions:
    def test_what_has_a_span_is_one_of_two_words(self) -> None:
        with pytest.raises(InvariantError, match="`per` is 'request'; give 'operation' or 'attempt'"):
            OpenTelemetryLink(per="request")  # type: ignore[arg-type]

    @pytest.mark.parametrize("name", ["name_spans", "propagate"])
    def test_switches_are_true_or_false(self, name: str) -> None:
        with pytest.raises(InvariantTypeError, match=f"`{name}` is 'no'; give True or False"):
            OpenTelemetryLink(**{name: "no"})

    @pytest.mark.parametrize("name", ["propagator", "tracer_provider", "meter_provider"])
    def test_what_comes_of_opentelemetry_is_looked_at(self, name: str) -> None:
        with pytest.raises(InvariantTypeError, match=f"`{name}` is a str; give one of OpenTelemetry's, or None"):
            OpenTelemetryLink(**{name: "secret"})

    @pytest.mark.parametrize("name", ["tracer_provider", "meter_provider"])
    def test_that_holds_for_sessions_and_connections_too(self, name: str) -> None:
        session = AuthSession(refresh=lambda tokens, reason: tokens, tokens=TokenSet("a"))

        with pytest.raises(InvariantTypeError, match=f"`{name}` is an int"):
            instrument_session(session, **{name: 1})
        if name == "meter_provider":
            with pytest.raises(InvariantTypeError, match=f"`{name}` is an int"):
                instrument_connection(SseLink("http://localhost/x"), meter_provider=1)  # type: ignore[arg-type]

    def test_what_can_be_instrumented_is_said(self) -> None:
        with pytest.raises(InvariantTypeError, match="instrument_session got a TokenSet; give it an AuthSession"):
            instrument_session(TokenSet("a"))  # type: ignore[arg-type]
        with pytest.raises(InvariantTypeError, match="instrument_connection got None; give it a GraphQLWsLink"):
            instrument_connection(None)  # type: ignore[arg-type]


class TestPlace:
    def test_a_second_one_that_counts_is_refused(self) -> None:
        with pytest.raises(InvariantError, match='give the lower one `per="attempt"`'):
            from_([OpenTelemetryLink(), RetryLink(), OpenTelemetryLink(), sending()])

    def test_one_on_each_side_of_a_split_is_fine(self, exported: Exported) -> None:
        sides = [from_([OpenTelemetryLink(**exported.providers), sending(DATA)]) for _ in range(2)]
        link = from_([RetryLink(), split(lambda operation: True, *sides)])

        assert [DATA, END] == seen_of(execute(link, REQUEST))
        assert 1 == len(exported.spans)

    def test_attempts_may_stand_alone(self, exported: Exported) -> None:
        link = from_([OpenTelemetryLink(per="attempt", **exported.providers), sending(DATA)])

        assert [DATA, END] == seen_of(execute(link, REQUEST))
        assert ("query attempt", None) == (exported.span.name, (exported.span.attributes or {}).get("rxlink.attempt"))
        assert {} == exported.metrics()


def test_links_that_were_made_twice_share_their_instruments(
    exported: Exported, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        seen_of(execute(from_([OpenTelemetryLink(**exported.providers), sending(DATA)]), REQUEST))
        instrument_connection(GraphQLWsLink("ws://localhost/x"), meter_provider=exported.meters).dispose()

    assert [2] == [count for _, count in exported.points("rxlink.operations")]
    assert [] == caplog.records
