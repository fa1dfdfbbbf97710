"""What a test of links needs in place of a server, and to look at what arrives."""

from __future__ import annotations

from rxlink.testing.mock_link import MockedResponse, MockLink
from rxlink.testing.observable_stream import ObservableStream

__all__ = ["MockLink", "MockedResponse", "ObservableStream"]
