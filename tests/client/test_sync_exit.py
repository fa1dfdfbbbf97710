"""SyncClient at the end of a program, in a storm, at Ctrl-C and in a forked child: programs, looked at from outside."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.children import unmeasured

STORM = Path(__file__).parent / "sync_storm.py"

SILENT = """
import atexit, os, signal, sys, threading, warnings
from rxlink import ApolloLink, ClientClosed, InvariantError, SyncClient
from rxlink.testing import MockedResponse, MockLink

class Silent(ApolloLink):
    is_terminating = True
    asked = threading.Event()
    left = threading.Event()
    def connect(self, forward):
        return self.start
    def start(self, operation, observer, root):
        root.hold(self)
        self.asked.set()
    def cancel(self):
        self.left.set()
    async def aclose(self):
        print("closed", flush=True)

link = Silent()
client = SyncClient(link)
"""

WAITING = """
threads, told = [], []

@atexit.register  # comes after that of the client
def tell():
    for thread in threads:
        thread.join(5)
    print(*told)

def wait(call):
    try:
        call()
    except ClientClosed:
        told.append("told")

for call in (lambda: client.query("{ a }"), lambda: list(client.subscribe("subscription { a }"))):
    link.asked.clear()
    threads.append(threading.Thread(target=wait, args=(call,), daemon=True))
    threads[-1].start()
    link.asked.wait()
"""

INTERRUPTED = """
def interrupt():
    link.asked.wait()
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

threading.Thread(target=interrupt).start()
try:
    client.query("{ a }", timeout=50)
except KeyboardInterrupt:
    print("interrupted", link.left.wait(5))
"""

FORKED = """
warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12, about forks beside threads
used = SyncClient(MockLink([MockedResponse(result={"data": {"a": 1}}, max_usage=None)]))
unused = SyncClient(MockLink([MockedResponse(result={"data": {"a": 2}}, max_usage=None)]))
used.query("{ a }")
sys.stdout.flush()
child = os.fork()
answer = unused.query("{ a }").data["a"]
if child == 0:
    print(answer, flush=True)
    try:
        used.query("{ a }")
    except Exception as error:
        print(type(error).__name__, str(error), flush=True)
    used.close()
    sys.exit(0)
print(os.waitpid(child, 0)[1], answer, used.query("{ a }").data["a"])
"""

FORKED_AMID_A_CALL = """
import asyncio, contextlib

class SlowRunner(asyncio.Runner):  # the first call holds what others wait for, until there is a loop
    def __enter__(self):
        forking.set()
        forked.wait()
        return super().__enter__()

warnings.simplefilter("ignore", DeprecationWarning)
forking, forked = threading.Event(), threading.Event()
asyncio.Runner = SlowRunner
client = SyncClient(MockLink([MockedResponse(result={"data": {"a": 1}})]))
ticks = client.subscribe("subscription { a }")
first = threading.Thread(target=client.query, args=("{ a }",))
first.start()
forking.wait()

def query():
    with contextlib.suppress(InvariantError):
        client.query("{ a }")
        os._exit(1)

def forget():
    global client, ticks
    del client, ticks

for way in (query, client.close, ticks.close, forget, lambda: None):
    child = os.fork()
    if child == 0:
        signal.alarm(5)
        way()
        sys.exit()
    print(os.waitpid(child, 0)[1])
forked.set()
first.join()
"""


def run(*arguments):
    """Run a program with every warning as an error, and return what it printed; it has to end well, and quietly."""
    command = [sys.executable, "-W", "error", *arguments]
    finished = subprocess.run(command, env=unmeasured(), capture_output=True, text=True, timeout=30, check=False)
    assert (0, "") == (finished.returncode, finished.stderr)
    return finished.stdout


def test_eight_threads_with_200_calls_each_live_through_expiries_with_one_refresh_each():
    outcome = json.loads(run(str(STORM)))

    assert (1600, []) == (outcome["answered"], outcome["violations"])
    assert outcome["refreshes"] == outcome["expiries"] >= 1


def test_a_program_that_leaves_calls_behind_ends_well_and_tells_them():
    said = run("-c", SILENT + WAITING)

    assert ["closed", "told", "told"] == said.split()


def test_a_program_that_was_never_asked_ends_well():
    assert "" == run("-c", SILENT)


def test_what_interrupts_the_wait_cancels_the_operation():
    assert ["interrupted True", "closed"] == run("-c", SILENT + INTERRUPTED).splitlines()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_forked_child_needs_a_client_of_its_own():
    in_child, refusal, in_parent = run("-c", SILENT + FORKED).splitlines()

    assert ("2", "0 2 1") == (in_child, in_parent)
    assert refusal.startswith("InvariantError this SyncClient was used before the process was forked")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_child_that_was_forked_amid_a_call_of_another_thread_never_hangs():
    assert ["0"] * 5 == run("-c", SILENT + FORKED_AMID_A_CALL).split()
