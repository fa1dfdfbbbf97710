"""The commands on the page about the command line do what stands there, on a terminal."""

from __future__ import annotations

import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from rxlink import cli
from rxlink.testing import AuthServer
from tests.commands.hosting import Terminal, hosting

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/command-line.md"
OPERATORS = {"|", ">", ";", "<"}
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STEP = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
STEPS = [step for block in BLOCK.findall(PAGE.read_text(encoding="utf-8")) for step in STEP.findall(block)]


@pytest.fixture
def server() -> Iterator[AuthServer]:
    with hosting() as host:
        yield host.enter(AuthServer(client_id="app", client_secret="s3cret", token_life=600))


def test_each_command_prints_what_the_page_says(
    server: AuthServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.chdir(tmp_path)
    pair = server.sign_in("ada")
    files = {
        "token.txt": server.sign_in("ada").access_token,
        "refresh.txt": pair.refresh_token,
        "secret.txt": "s3cret",
        "headers.txt": f"authorization: Bearer {pair.access_token}",
        "echo.graphql": "query Echo($value: String!) { echo(value: $value) }",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(f"{text}\n")
    addresses = {
        "https://api.example.com/graphql": server.url,
        "wss://api.example.com/graphql": server.ws_url,
        "https://id.example.com/token": server.token_url,
    }
    (tmp_path / "rxlink").write_text(f'#!/bin/sh\nexec "{sys.executable}" -W error -m rxlink "$@"\n')
    (tmp_path / "rxlink").chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}",
    }

    # when
    printed: list[tuple[str, str]] = []
    for command, _ in STEPS:
        real = command
        for written, address in addresses.items():
            real = real.replace(written, address)
        words = words_of(real)
        shown = on_a_terminal(real, tmp_path, environment) if words is None else in_this_process(words, monkeypatch)
        printed.append((command, shown))

    # then
    assert len(STEPS) > 10  # the page has not lost them all
    assert STEPS == printed


def words_of(command: str) -> list[str] | None:
    """Return the arguments of the program, None where it takes a shell to run the command."""
    reader = shlex.shlex(command, posix=True, punctuation_chars=True)
    reader.whitespace_split = True
    program, *words = reader
    needs_shell = program != "rxlink" or any(word in OPERATORS for word in words)
    return None if needs_shell else words


def in_this_process(words: list[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what a terminal shows of a run; a process takes a second to import all that it needs."""
    terminal = Terminal()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", terminal)
        patch.setattr(sys, "stderr", terminal)
        cli.main(words)
    return terminal.text


def on_a_terminal(command: str, folder: Path, environment: dict[str, str]) -> str:
    """Return what a shell shows of a command."""
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            ["bash", "-c", command], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
        ):
            os.close(theirs)
            shown = b""
            with suppress(OSError):  # how Linux says that nobody has the other side any more
                while chunk := os.read(ours, 65_536):
                    shown += chunk
    finally:
        os.close(ours)
    return shown.decode().replace("\r\n", "\n")
