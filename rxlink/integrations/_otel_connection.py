"""The connections of WebSocket and SSE links as metrics, and as events of the subscriptions that they carry."""

from __future__ import annotations

from rxlink.integrations._otel_instruments import ConnectionInstruments
from rxlink.integrations._otel_operation import live_spans
from rxlink.transport.sse import SseEvent, SseResumed, SseRetrying
from rxlink.transport.websocket import Resubscribed, WebSocketConnected, WebSocketEvent, WebSocketRetrying

__all__ = ["ConnectionTelemetry"]


class ConnectionTelemetry:
    """Hears the events of a link.

    Args:
        instruments: What is counted.
        transport: What the link is called in metrics.
    """

    def __init__(self, instruments: ConnectionInstruments, transport: str) -> None:
        self._instruments = instruments
        self._told = {"rxlink.transport": transport}

    def hear(self, event: WebSocketEvent | SseEvent) -> None:
        """Tell of an event."""
        match event:
            case WebSocketRetrying() | SseRetrying():
                self._instruments.retries.add(1, self._told)
            case WebSocketConnected(was_retry=True):
                self._instruments.reconnects.add(1, self._told)
            case SseResumed():
                self._instruments.reconnects.add(1, self._told)
                for span in live_spans(event.operation):
                    span.resume({"rxlink.may_have_gap": event.may_have_gap})
            case Resubscribed():
                told = {
                    "rxlink.may_have_gap": event.may_have_gap,
                    "rxlink.may_have_duplicates": event.may_have_duplicates,
                }
                for span in {span: None for operation in event.operations for span in live_spans(operation)}:
                    span.resume(told)
            case _:
                pass
