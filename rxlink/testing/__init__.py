"""What tests of links and services need: mocks in place of a server, an auth server with faults, virtual time."""

from __future__ import annotations

from rxlink.testing.auth_server import AuthServer, Fault
from rxlink.testing.mock_link import MockedResponse, MockLink
from rxlink.testing.observable_stream import ObservableStream
from rxlink.testing.virtual_time import VirtualTime, virtual

__all__ = ["AuthServer", "Fault", "MockLink", "MockedResponse", "ObservableStream", "VirtualTime", "virtual"]
