"""The guard counts the same each time, and sees a link that has become slow, heavy or cyclic."""

import asyncio
import gc
import sys

import pytest

import rxlink
from benchmarks import __main__ as command
from benchmarks import _allowances as allowances
from benchmarks import _asking, _counting, _guarded_links, _guarded_transports, guard
from benchmarks._counting import calls_of
from benchmarks.four_links import REQUEST, Silent
from benchmarks.harness import Effort
from rxlink import ApolloLink, ErrorLink, HttpLink, execute
from rxlink.auth.pending import PendingRequests
from rxlink.transport._sse_parser import SseParser

TINY = Effort(waiting=(300, 600))
on_judged_version = pytest.mark.skipif(
    sys.version_info[:2] != allowances.JUDGED_VERSION, reason="the allowances are for 3.11"
)
SLOW = """
def planted(self, *args):
    len(())
    return original(self, *args)
"""
SLOW_WORKER = """
def planted(self, forward):
    start = original(self, forward)
    def slow_start(*args):
        len(())
        start(*args)
    return slow_start
"""
HEAVY_WORKER = """
def planted(self, forward):
    start = original(self, forward)
    def heavy_start(operation, observer, root):
        operation.set_context({"ballast": [bytes(1_000), {"more": ["and more"]}]})
        start(operation, observer, root)
    return heavy_start
"""
CYCLIC_WORKER = """
def planted(self, forward):
    start = original(self, forward)
    def cyclic_start(*args):
        knot = []
        knot.append(knot)
        start(*args)
    return cyclic_start
"""
GROWING = """
def planted(self, place):
    for _ in range(self.waiting):
        len(())
    return original(self, place)
"""


@pytest.fixture
def plant(monkeypatch):
    """Put other code in the place of a method, as if it stood in rxlink's own files."""

    def put(owner, name, source):
        names = {"original": getattr(owner, name)}
        exec(compile(source, f"{_counting.OWN_FOLDER}planted.py", "exec"), names)  # noqa: S102 - written above
        monkeypatch.setattr(owner, name, names["planted"])

    return put


def _answer_here(question, effort, *, on_uvloop):
    """Answer in this process, where code can be planted."""
    return asyncio.run(_asking.answer(question, effort))


@pytest.fixture
def ask(monkeypatch, capsys):
    """Run the command for a few of the links; return its exit code, and what it complains of."""

    def run(*, links=("split",), transports=("SchemaLink",), streams=("GraphQLWsLink",), waiting=TINY.waiting):
        for name, chosen in (("LINKS", links), ("TRANSPORTS", transports), ("STREAMS", streams)):
            known = getattr(guard, name)
            monkeypatch.setattr(guard, name, {each: known[each] for each in chosen})
        monkeypatch.setattr(command, "NORMAL", Effort(waiting=waiting))
        monkeypatch.setattr(command, "answer_alone", _answer_here)
        code = command.main(["guard"])
        return code, capsys.readouterr().err

    return run


@pytest.fixture(scope="module")
def answers():
    """Two answers of the guard: it takes some seconds."""
    return [asyncio.run(_asking.answer("guard", TINY)) for _ in range(2)]


def test_it_counts_the_same_in_each_run(answers):
    first, second = answers

    assert [table.rows for table in first] == [table.rows for table in second]


def test_it_does_not_count_who_listens_to_the_cycle_collector():
    often = gc.get_threshold()

    def listener(phase, info):
        len(())

    def run():
        return [[] for _ in range(100)]

    before = calls_of(run)
    gc.callbacks.append(listener)
    gc.set_threshold(5)
    try:
        beside = calls_of(run)
    finally:
        gc.set_threshold(*often)
        gc.callbacks.remove(listener)

    assert before == beside
    assert gc.isenabled()


def test_it_finds_no_cyclic_garbage(answers):
    *_, garbage = answers[0]

    assert {row["chain"] for row in garbage.rows if row["objects"] > 0} <= set(allowances.GARBAGE)
    assert [] == [str(verdict) for verdict in garbage.verdicts if not verdict.is_kept]


def test_there_is_an_allowance_for_each_count():
    assert {"four links", *_guarded_links.LINKS} == set(allowances.LINKS)
    assert set(_guarded_transports.TRANSPORTS) == set(allowances.TRANSPORTS)
    assert set(_guarded_transports.STREAMS) == set(allowances.STREAMS)


def test_each_public_link_is_guarded():
    found = {name: getattr(rxlink, name) for name in rxlink.__all__}
    links = {name for name, each in found.items() if isinstance(each, type) and issubclass(each, ApolloLink)}
    guarded = {name.partition(",")[0] for name in (*_guarded_links.LINKS, *_guarded_transports.TRANSPORTS)}

    assert set() == links - guarded - {
        "ApolloLink",
        "WebSocketLink",  # GraphQLWsLink with other words
        "OpenTelemetryLink",  # most of it is OpenTelemetry's own code, which differs between its versions
    }


@on_judged_version
def test_it_complains_of_a_link_that_does_more(plant, ask):
    plant(ErrorLink, "connect", SLOW_WORKER)

    code, complaints = ask(links=["ErrorLink", "RetryLink"])

    assert 1 == code
    assert "ErrorLink: calls per operation" in complaints
    assert "RetryLink" not in complaints


@on_judged_version
def test_it_complains_of_a_link_that_holds_more(plant, ask):
    plant(ErrorLink, "connect", HEAVY_WORKER)

    code, complaints = ask(links=["ErrorLink", "RetryLink"])

    assert 1 == code
    assert guard.is_traced() or "ErrorLink: blocks per operation" in complaints
    assert guard.is_traced() or "ErrorLink: bytes per operation" in complaints
    assert "RetryLink" not in complaints


def test_it_complains_of_a_link_that_leaves_a_cycle(plant, ask):
    plant(ErrorLink, "connect", CYCLIC_WORKER)

    code, complaints = ask(links=["ErrorLink", "RetryLink"])

    assert 1 == code
    assert f"ErrorLink: cyclic garbage: {_counting.OPERATIONS:,}, must be at most 0" in complaints
    assert "RetryLink" not in complaints


@on_judged_version
def test_it_complains_of_a_transport_that_does_more(plant, ask):
    plant(HttpLink, "connect", SLOW_WORKER)

    code, complaints = ask(transports=["HttpLink", "SchemaLink"])

    assert 1 == code
    assert "HttpLink: calls per operation" in complaints
    assert "SchemaLink" not in complaints


def test_it_complains_of_a_transport_that_leaves_a_cycle(plant, ask):
    plant(HttpLink, "connect", CYCLIC_WORKER)

    code, complaints = ask(transports=["HttpLink"])

    assert 1 == code
    assert "HttpLink: cyclic garbage" in complaints


@on_judged_version
def test_it_complains_of_a_stream_that_does_more_for_each_result(plant, ask):
    plant(SseParser, "_end_event", SLOW)

    code, complaints = ask(streams=["SseLink", "GraphQLWsLink"])

    assert 1 == code
    assert "SseLink: calls for a result" in complaints
    assert "GraphQLWsLink" not in complaints


def test_it_complains_of_work_that_grows_with_the_number_who_wait(plant, ask):
    plant(PendingRequests, "_settle", GROWING)

    code, complaints = ask(waiting=(20, 40))

    assert 1 == code
    assert "calls to let one of 40 go" in complaints


def test_it_has_nothing_to_complain_of_where_nothing_is_planted(ask):
    code, complaints = ask()

    assert (0, "") == (code, complaints)


async def test_it_sees_cyclic_garbage():
    async def tie_a_knot():
        knot = []
        knot.append(knot)

    assert _counting.OPERATIONS == await _counting.garbage_of(tie_a_knot)


def test_it_counts_each_call():
    assert 3 == _counting.calls_of(lambda: [len("a"), abs(1)])


def test_it_sees_what_is_held():
    blocks, size = _counting.held_by(lambda: [bytes(100)])

    assert 2 <= blocks <= 4
    assert 100 < size < 300


async def test_it_sees_what_rxlinks_own_code_holds():
    async def start():
        return [execute(Silent(), REQUEST).subscribe() for _ in range(10)]

    (blocks, size), waiting = await _counting.own_held(start)

    assert 10 == len(waiting)
    assert 2 <= blocks <= 20
    assert 200 < size < 2_000
