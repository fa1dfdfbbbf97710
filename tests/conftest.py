"""What holds for every test: how hypothesis runs, and that nothing is left behind.

Hypothesis profiles: `default` is quick and random; `ci` (when `CI=true`) draws the same examples
on every run; `soak` (with `-m soak`) draws 2,000, or 200 with `RXLINK_SOAK=short`, and prints its
seed; the state machine of the promises draws 5,000 by itself.
"""

import asyncio
import gc
import os
import random
import threading
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
from hypothesis import settings

from rxlink.transport._running import Running
from tests.tables import pytest_terminal_summary  # noqa: F401 - prints the tables that tests fill

IN_CI = os.environ.get("CI") == "true"
SHORT_SOAK = os.environ.get("RXLINK_SOAK") == "short"
SOAK_TIMEOUT = 600  # seconds a test, unless it says otherwise
THREAD_GRACE = 1.0  # seconds for a thread that is on its way out
SETTLING_TURNS = 20  # turns of the loop for what was just cancelled or closed

settings.register_profile("default", deadline=None, print_blob=True, max_examples=50)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, database=None)
settings.register_profile(
    "soak",
    settings.get_profile("default"),
    derandomize=IN_CI,
    database=None,
    max_examples=200 if SHORT_SOAK else 2_000,
)


def is_soak(config: pytest.Config) -> bool:
    return config.option.markexpr == "soak"


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    profile = "soak" if is_soak(config) else "ci" if IN_CI else "default"
    settings.load_profile(profile)  # --hypothesis-profile comes later and wins
    if is_soak(config) and not IN_CI and config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(random.SystemRandom().getrandbits(32))


def pytest_report_header(config: pytest.Config) -> str | None:
    seed = config.option.hypothesis_seed
    return f"hypothesis seed: {seed} (again: --hypothesis-seed={seed})" if seed else None


def pytest_collection_finish(session: pytest.Session) -> None:
    """Keep the imported world out of what each test's end collects and looks through."""
    for item in session.items:
        if item.get_closest_marker("soak") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SOAK_TIMEOUT))
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def leaves_no_thread() -> Iterator[None]:
    """Fails a test after which a thread runs that did not run before."""
    before = set(threading.enumerate())
    yield
    started = [thread for thread in threading.enumerate() if thread not in before]
    for thread in started:
        thread.join(THREAD_GRACE)
    left = [thread for thread in started if thread.is_alive()]
    assert not left, f"threads left behind: {left}"


@pytest.fixture(autouse=True)
def leaves_no_session() -> Iterator[None]:
    """Fails a test that leaves an aiohttp session open, whichever loop it was opened on."""
    gc.freeze()  # what there is already, thousands of reports by and by, is not looked through once more
    yield
    gc.collect()  # what was dropped open warns now, and every warning is an error
    kept = [thing for thing in gc.get_objects() if type(thing) is aiohttp.ClientSession]
    left = [session for session in kept if not session.closed]
    for session in left:
        session.detach()  # closed, as it were: the next test is not to blame
    assert not left, f"aiohttp sessions left open: {left}"


@pytest.fixture(autouse=True)
def leaves_no_task(leaves_no_thread: None, leaves_no_session: None, request: pytest.FixtureRequest) -> None:
    """Guards pytest's loop where a test runs on it; other tests are spared the making of one.

    A test on a loop of its own looks after it: `@virtual` does, and `VirtualTime.leftovers` tells.
    """
    if request.node.get_closest_marker("asyncio"):
        request.getfixturevalue("guarded_loop")


def _is_idle(timer: asyncio.TimerHandle) -> bool:
    """Tell whether this is the one timer of a link that has no requests, which ends by itself."""
    running = getattr(getattr(timer, "_callback", None), "__self__", None)
    return isinstance(running, Running) and len(running) == 0


@pytest.fixture
async def guarded_loop() -> AsyncIterator[None]:
    """Fails a test after which its loop holds a task or a timer.

    So does a complaint to the loop's exception handler: there ends an exception that nobody took.
    Set up before the test's other async fixtures, so it looks after they have cleaned up.
    """
    loop = asyncio.get_running_loop()
    complaints: list[dict[str, object]] = []
    loop.set_exception_handler(lambda _, complaint: complaints.append(complaint))
    yield
    this = asyncio.current_task()
    for _ in range(SETTLING_TURNS):
        tasks = asyncio.all_tasks() - {this}
        timers = [timer for timer in getattr(loop, "_scheduled", ()) if not (timer.cancelled() or _is_idle(timer))]
        if not tasks and not timers:
            break
        await asyncio.sleep(0)
    gc.collect()  # a task complains when it is collected
    assert not tasks, f"tasks left behind: {tasks}"
    assert not timers, f"timers left behind: {timers}"
    assert not complaints, f"exceptions that nobody took: {complaints}"
