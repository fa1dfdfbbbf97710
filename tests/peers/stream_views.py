"""Strawberry's view in two other forms."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from strawberry.aiohttp.views import GraphQLView
from strawberry.http.streaming import MultipartSubscriptionTransport, SSETransport

LIVELY = 0.05  # seconds between heartbeats
PROTOCOLS = ("multipart-subscription", "graphql-sse")


class BareMultipart(MultipartSubscriptionTransport):
    """As the protocol's document has it: the headers of a part do not say its length."""

    def encode_multipart_data(self, data: object, encode_json: Any) -> str:
        return f"\r\nContent-Type: application/json\r\n\r\n{encode_json(data)}\r\n--{self.separator}"


class BareView(GraphQLView):
    stream_transport_classes_by_protocol = MappingProxyType({PROTOCOLS[0]: BareMultipart})


class LivelyMultipart(MultipartSubscriptionTransport):
    heartbeat_interval = LIVELY


class LivelySse(SSETransport):
    def __init__(self) -> None:
        super().__init__(heartbeat_interval=LIVELY)


class LivelyView(GraphQLView):
    """As the view is, with more heartbeats."""

    stream_transport_classes_by_protocol = MappingProxyType({PROTOCOLS[0]: LivelyMultipart, PROTOCOLS[1]: LivelySse})
