"""What OpenTelemetry's SDK exports to memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

Points = dict[tuple[tuple[str, Any], ...], Any]


class Exported:
    """An SDK of a test's own, and all that was exported with it.

    Attributes:
        providers: Its providers, as links take them.
    """

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meters = MeterProvider([self._reader])
        self.providers: Mapping[str, Any] = {"tracer_provider": self.tracers, "meter_provider": self.meters}
        self.tracer = self.tracers.get_tracer("application")

    @property
    def spans(self) -> list[ReadableSpan]:
        """All that have ended, in the order in which they did."""
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    @property
    def span(self) -> ReadableSpan:
        """The only one that has ended."""
        (span,) = self.spans
        return span

    def metrics(self) -> dict[str, Any]:
        data = self._reader.get_metrics_data()
        resources = () if data is None else data.resource_metrics
        return {metric.name: metric for each in resources for scope in each.scope_metrics for metric in scope.metrics}

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """What a metric has come to: by its attributes a count, or of a histogram how many and their sum."""
        metric = self.metrics().get(name)
        found = () if metric is None else metric.data.data_points
        return [
            (dict(point.attributes), point.value if hasattr(point, "value") else (point.count, round(point.sum, 3)))
            for point in found
        ]

    def everything(self) -> str:
        """All of it as text."""
        data = self._reader.get_metrics_data()
        return "\n".join([*(span.to_json() for span in self.spans), "" if data is None else data.to_json()])


def events_of(span: ReadableSpan) -> list[str]:
    return [event.name for event in span.events]


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})
