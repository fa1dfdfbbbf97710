"""What tests of links and services need: mocks in place of a server, an auth server with faults, virtual time."""

from __future__ import annotations

from rxlink.testing.auth_server import AuthServer, Fault, SocketRules
from rxlink.testing.faulty_storage import FaultyTokenStorage, StorageFault
from rxlink.testing.mock_link import MockLink
from rxlink.testing.mock_subscription_link import MockSubscriptionLink
from rxlink.testing.mocked_response import MockedResponse, realistic_delay
from rxlink.testing.observable_stream import ObservableStream
from rxlink.testing.storage_contract import SharedTokenStorageContract
from rxlink.testing.virtual_time import VirtualTime, virtual

__all__ = [
    "AuthServer",
    "Fault",
    "FaultyTokenStorage",
    "MockLink",
    "MockSubscriptionLink",
    "MockedResponse",
    "ObservableStream",
    "SharedTokenStorageContract",
    "SocketRules",
    "StorageFault",
    "VirtualTime",
    "realistic_delay",
    "virtual",
]
