"""Ctrl-C while tokens are refreshed: a login that is kept is not lost, and nobody waits for more than that."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest

from tests.children import unmeasured
from tests.commands.hosting import PATIENCE
from tests.transport.scripted_server import answer_json

ROOT = Path(__file__).parents[2]
WAITS = (
    b"rxlink: interrupted; waiting for the token refresh that is under way, so that the login is not lost; "
    b"Ctrl-C once more leaves at once\n"
)
INTERRUPTED = b"rxlink: interrupted\n"


class Issuer:
    """Answers when it is told to.

    Attributes:
        is_asked: Set when a refresh has arrived.
    """

    def __init__(self, loop):
        self.is_asked = Event()
        self._answers = asyncio.Event()
        self._loop = loop

    async def __call__(self, request):
        self.is_asked.set()
        await self._answers.wait()
        return await answer_json({"access_token": "a1", "refresh_token": "r1", "expires_in": 3600})(request)

    def answer(self):
        self._loop.call_soon_threadsafe(self._answers.set)


@pytest.fixture
def issuer(host, scripted):
    issuer = scripted.answer = Issuer(host.loop)
    return issuer


@pytest.fixture
def start(scripted, issuer, here):
    """Starts a command that begins with a refresh, and waits until that is under way."""
    (here / "refresh").write_text("r0")
    started = []

    def start(storage, *options, command=("query", "{ a }")):
        words = [sys.executable, "-W", "error", "-m", "rxlink", command[0], scripted.uri, command[1]]
        words += ["--token-url", f"{scripted.origin}/token", "--client-id", "app"]
        words += ["--refresh-token-file", str(here / "refresh"), "--storage", storage, *options]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen(words, cwd=ROOT, env=unmeasured(), **pipes))
        assert issuer.is_asked.wait(PATIENCE)
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("command", [("query", "{ a }"), ("subscribe", "subscription { a }")])
def test_a_login_that_is_kept_nowhere_is_left_at_once(start, command):
    process = start("memory", command=command)

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)

    assert (130, b"", INTERRUPTED) == (process.returncode, out, err)


def test_a_refresh_that_is_under_way_is_seen_to_its_end_and_kept(start, issuer, here):
    # given
    process = start(str(here / "tokens.json"))

    # when
    process.send_signal(signal.SIGINT)
    told = process.stderr.readline()
    issuer.answer()
    out, err = process.communicate(timeout=PATIENCE)

    # then
    assert (130, b"", WAITS, INTERRUPTED) == (process.returncode, out, told, err)
    assert '"r1"' in (here / "tokens.json").read_text()


def test_a_second_ctrl_c_leaves_at_once(start, here):
    process = start(str(here / "tokens.json"))

    process.send_signal(signal.SIGINT)
    told = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)

    assert (130, WAITS, INTERRUPTED) == (process.returncode, told, err)


def test_the_wait_ends_with_the_time_that_the_command_has(start, here):
    process = start(str(here / "tokens.json"), "--timeout", "1")

    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)

    assert (130, WAITS + INTERRUPTED) == (process.returncode, err)
