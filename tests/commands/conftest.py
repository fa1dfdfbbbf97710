"""The program in this process, and servers beside it."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rxlink.testing import AuthServer
from tests.commands.hosting import Host, Ran, Terminal, hosting, runner
from tests.transport.scripted_server import ScriptedServer, scripted_server


@pytest.fixture
def host() -> Iterator[Host]:
    with hosting() as host:
        yield host


@pytest.fixture
def server(host: Host) -> AuthServer:
    """GraphQL over HTTP and WebSocket, with tokens."""
    return host.enter(AuthServer(client_id="app", client_secret="s3cret", token_life=600))


@pytest.fixture
def scripted(host: Host) -> ScriptedServer:
    """A server that answers what a test says."""
    return host.enter(scripted_server())


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs the program."""
    return runner(capsys)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | bytes], None]:
    """Puts text on standard input."""

    def type_in(text: str | bytes) -> None:
        content = text.encode() if isinstance(text, str) else text
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="ascii"))

    return type_in


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Terminal]:
    """Makes a terminal of standard output or standard error."""

    def make(name: str) -> Terminal:
        stream = Terminal()
        monkeypatch.setattr(sys, name, stream)
        return stream

    return make
