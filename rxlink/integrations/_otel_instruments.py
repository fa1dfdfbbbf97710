"""The names under which telemetry is told, and the instruments that tell it.

Attributes of metrics have few values each: the type of an operation, how it ended, the class of its error. The name of
an operation is for spans alone.
"""

from __future__ import annotations

from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from opentelemetry import metrics, trace

__all__ = [
    "ERROR_TYPE",
    "ConnectionInstruments",
    "OperationInstruments",
    "SessionInstruments",
    "tracer_of",
]

SCOPE: Final = "rxlink"
ERROR_TYPE: Final = "error.type"
"""The class of an error, of OpenTelemetry's own conventions."""
SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""The bounds of durations, those of the conventions for HTTP."""
LONGER_SECONDS: Final = (*SECONDS, 15.0, 30.0, 60.0)
"""The same for what may take as long as ``refresh_timeout``."""
COUNTS: Final = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
"""The bounds of waves."""


class OperationInstruments:
    """What an OpenTelemetryLink counts and measures.

    Attributes:
        operations: How many have ended.
        duration: How long they took.
        wait: How long those took of it that waited for a token.
    """

    __slots__ = ("duration", "operations", "wait")

    def __init__(self, provider: metrics.MeterProvider | None) -> None:
        meter = _meter_of(provider)
        self.operations = meter.create_counter(
            "rxlink.operations", unit="{operation}", description="GraphQL operations that have ended"
        )
        self.duration = meter.create_histogram(
            "rxlink.operation.duration",
            unit="s",
            description="How long GraphQL operations took, all their attempts and waits together",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self.wait = meter.create_histogram(
            "rxlink.operation.wait.duration",
            unit="s",
            description="How long GraphQL operations waited for a token to be loaded or refreshed",
            explicit_bucket_boundaries_advisory=LONGER_SECONDS,
        )


class SessionInstruments:
    """What is counted and measured of a session.

    Attributes:
        refreshes: How many refreshes have ended.
        duration: How long they took.
        waiting: How many operations waited for each.
        problems: What else went wrong.
    """

    __slots__ = ("duration", "problems", "refreshes", "waiting")

    def __init__(self, provider: metrics.MeterProvider | None) -> None:
        meter = _meter_of(provider)
        self.refreshes = meter.create_counter(
            "rxlink.refreshes", unit="{refresh}", description="Token refreshes that have ended"
        )
        self.duration = meter.create_histogram(
            "rxlink.refresh.duration",
            unit="s",
            description="How long token refreshes took, tries and pauses together",
            explicit_bucket_boundaries_advisory=LONGER_SECONDS,
        )
        self.waiting = meter.create_histogram(
            "rxlink.refresh.waiting",
            unit="{operation}",
            description="How many operations waited when a token refresh ended",
            explicit_bucket_boundaries_advisory=COUNTS,
        )
        self.problems = meter.create_counter(
            "rxlink.session.problems",
            unit="{problem}",
            description="What went wrong with a session beside its refreshes",
        )


class ConnectionInstruments:
    """What is counted of the connections of a link.

    Attributes:
        retries: How often a connection was lost or could not be made, and will be tried again.
        reconnects: How often one was made again.
    """

    __slots__ = ("reconnects", "retries")

    def __init__(self, provider: metrics.MeterProvider | None) -> None:
        meter = _meter_of(provider)
        self.retries = meter.create_counter(
            "rxlink.connection.retries",
            unit="{retry}",
            description="Connections that were lost or could not be made, and are tried again",
        )
        self.reconnects = meter.create_counter(
            "rxlink.connection.reconnects", unit="{reconnect}", description="Connections that were made again"
        )


def tracer_of(provider: trace.TracerProvider | None) -> trace.Tracer:
    """Return rxlink's tracer, of the given provider or the global one."""
    return trace.get_tracer(SCOPE, _version(), provider)


def _meter_of(provider: metrics.MeterProvider | None) -> metrics.Meter:
    return metrics.get_meter(SCOPE, _version() or "", provider)


def _version() -> str | None:
    with suppress(PackageNotFoundError):  # the files alone were copied somewhere
        return version(SCOPE)
    return None
