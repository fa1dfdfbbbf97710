"""The protocols that a command speaks, by the scheme of the address."""

from __future__ import annotations

from typing import Final

__all__ = ["LEGACY_WS", "MULTIPART", "OVER_WEBSOCKET", "PROTOCOLS", "SPOKEN", "SSE"]

MULTIPART: Final = "multipart"
SSE: Final = "sse"
TRANSPORT_WS: Final = "graphql-transport-ws"
LEGACY_WS: Final = "graphql-ws"
OVER_HTTP: Final = (MULTIPART, SSE)
OVER_WEBSOCKET: Final = (TRANSPORT_WS, LEGACY_WS)
SPOKEN: Final = {"http": OVER_HTTP, "https": OVER_HTTP, "ws": OVER_WEBSOCKET, "wss": OVER_WEBSOCKET}
"""What can be spoken at an address, by its scheme; the first is the default."""
PROTOCOLS: Final = (*OVER_HTTP, *OVER_WEBSOCKET)
