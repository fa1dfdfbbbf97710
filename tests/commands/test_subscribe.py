"""`rxlink subscribe`: each result when it comes, over every protocol, until somebody has had enough."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rxlink.commands.output import Output
from rxlink.testing import Fault
from tests.children import unmeasured
from tests.transport.pieces import SUBSCRIPTION, answer_in_pieces, body_of, tick
from tests.transport.scripted_server import answer_text
from tests.transport.sse_server import event

ROOT = Path(__file__).parents[2]
TICKS = "subscription Ticks { tick }"
COUNTDOWN = "subscription { countdown(start: 3) }"


@pytest.fixture
def token(server, here):
    """Options that sign in."""
    (here / "token").write_text(server.sign_in("ada").access_token)
    return ["--access-token-file", here / "token"]


def events(*payloads):
    return b"".join(event(payload) for payload in payloads) + event(kind="complete")


@pytest.mark.parametrize("protocol", ["graphql-transport-ws", "graphql-ws"])
def test_results_over_a_socket_are_lines(run, server, token, protocol):
    ran = run("subscribe", server.ws_url, COUNTDOWN, "--protocol", protocol, *token)

    assert (0, "") == (ran.code, ran.err)
    assert [3, 2, 1] == [json.loads(line)["data"]["countdown"] for line in ran.out.splitlines()]
    assert [protocol] == [socket.protocol for socket in server.ledger.sockets]


@pytest.mark.parametrize("option", [[], ["--protocol", "multipart"]])
def test_results_over_http_come_as_parts(run, scripted, option):
    parts = body_of({"payload": tick(1)}, {}, {"payload": tick(2)})
    scripted.answer = answer_in_pieces(parts, content_type=SUBSCRIPTION)

    ran = run("subscribe", scripted.uri, TICKS, *option)

    assert (0, '{"data":{"tick":1}}\n{"data":{"tick":2}}\n', "") == (ran.code, ran.out, ran.err)


def test_results_over_http_come_as_events_if_wanted(run, scripted):
    scripted.answer = answer_text(events(tick(1), tick(2)), content_type="text/event-stream")

    ran = run("subscribe", scripted.uri, TICKS, "--protocol", "sse")

    assert (0, '{"data":{"tick":1}}\n{"data":{"tick":2}}\n', "") == (ran.code, ran.out, ran.err)
    assert "text/event-stream" == scripted.headers["accept"]


def test_a_terminal_shows_them_indented(run, server, token, terminal):
    stream = terminal("stdout")

    run("subscribe", server.ws_url, COUNTDOWN, *token)

    assert json.dumps({"data": {"countdown": 3}}, indent=2) + "\n" == stream.text[: len(stream.text) // 3]


def test_a_result_with_errors_is_printed_and_fails_the_program_in_the_end(run, scripted):
    bad = {"data": None, "errors": [{"message": "bad"}]}
    scripted.answer = answer_text(events(tick(1), bad, tick(3)), content_type="text/event-stream")

    ran = run("subscribe", scripted.uri, TICKS, "--protocol", "sse")

    assert 1 == ran.code
    assert [tick(1), bad, tick(3)] == [json.loads(line) for line in ran.out.splitlines()]
    assert "the result has an error: bad" == ran.line


def test_a_result_that_is_none_fails_the_program_in_the_end(run, scripted):
    scripted.answer = answer_text(events(tick(1), {"data": [1]}, tick(3)), content_type="text/event-stream")

    ran = run("subscribe", scripted.uri, TICKS, "--protocol", "sse")

    assert (1, 3, "the answer is none: its data is no object") == (ran.code, ran.out.count("\n"), ran.line)


def test_more_results_at_once_than_a_buffer_usually_holds_are_all_printed(run, scripted):
    scripted.answer = answer_text(events(*map(tick, range(5000))), content_type="text/event-stream")

    ran = run("subscribe", scripted.uri, TICKS, "--protocol", "sse")

    assert (0, list(range(5000))) == (ran.code, [json.loads(line)["data"]["tick"] for line in ran.out.splitlines()])


def test_silence_has_an_end(run, scripted):
    async def never():
        await asyncio.Event().wait()

    parts = body_of({"payload": tick(1)})[:-4]
    scripted.answer = answer_in_pieces(parts, never, content_type=SUBSCRIPTION)

    ran = run("subscribe", scripted.uri, TICKS, "--idle-timeout", "0.1")

    assert (1, '{"data":{"tick":1}}\n') == (ran.code, ran.out)
    assert "raise --idle-timeout" in ran.line


def test_a_server_that_has_done_with_it_is_told_without_a_hint_at_tries(run, server):
    ran = run("subscribe", server.ws_url, COUNTDOWN)

    expected = "the server does not accept what it was told: see --connection-params, or --access-token-file"
    assert (1, f"Socket closed with event 4403 Forbidden ({expected})") == (ran.code, ran.line)


def test_a_query_is_refused(run, server):
    ran = run("subscribe", server.ws_url, "{ public }")

    assert (2, "argument QUERY: the operation is a query; run it with `rxlink query`") == (ran.code, ran.line)


def test_a_socket_that_cannot_be_had_ends_it_unless_it_may_be_opened_again(run, server, token, monkeypatch):
    monkeypatch.setattr("rxlink.transport._ws_options.default_retry_wait", lambda retries: 0.01)
    server.faults.add(Fault.drop(), on="websocket", times=2)

    lost = run("subscribe", server.ws_url, COUNTDOWN, *token)
    kept = run("subscribe", server.ws_url, COUNTDOWN, "--retry", "1", *token)

    assert (1, "") == (lost.code, lost.out)
    assert "Socket closed with event 1006; with --retry N it is tried again" == lost.line
    assert (0, [3, 2, 1]) == (kept.code, [json.loads(line)["data"]["countdown"] for line in kept.out.splitlines()])
    assert "the connection is lost, or could not be made; trying again" == kept.line


def test_results_that_may_be_missing_after_a_loss_are_told(run, server, host, token, monkeypatch):
    # given
    monkeypatch.setattr("rxlink.transport._ws_options.default_retry_wait", lambda retries: 0.01)
    write = Output.write_json

    async def strike():
        server.strike_sockets(Fault.drop())

    def strike_after_the_first(output, value):
        write(output, value)
        if value == {"data": {"countdown": 5}} and len(server.ledger.sockets) == 1:
            host.call(strike())

    monkeypatch.setattr(Output, "write_json", strike_after_the_first)

    # when
    ran = run("subscribe", server.ws_url, "subscription { countdown(start: 5) }", "--retry", "1", *token)

    # then
    numbers = [json.loads(line)["data"]["countdown"] for line in ran.out.splitlines()]
    assert (0, 5, [5, 4, 3, 2, 1]) == (ran.code, numbers[0], numbers[-5:])
    expected = [
        "rxlink: the connection is lost, or could not be made; trying again",
        "rxlink: connected again; results of meanwhile may be missing",
    ]
    assert expected == ran.err.splitlines()


def test_a_lost_event_stream_is_opened_again(run, scripted, monkeypatch):
    monkeypatch.setattr("rxlink.transport._sse_operation.default_retry_wait", lambda retries: 0.01)
    answers = [
        answer_text(event(tick(1)), content_type="text/event-stream"),
        answer_text(events(tick(2)), content_type="text/event-stream"),
    ]

    async def answer(request):
        return await answers.pop(0)(request)

    scripted.answer = answer

    ran = run("subscribe", scripted.uri, TICKS, "--protocol", "sse", "--retry", "1")

    assert (0, '{"data":{"tick":1}}\n{"data":{"tick":2}}\n') == (ran.code, ran.out)
    first, second = ran.err.splitlines()
    assert first.endswith("; trying again")
    assert "rxlink: connected again; results of meanwhile may be missing" == second


def test_an_event_stream_is_opened_as_often_as_was_asked_for(run, scripted, monkeypatch):
    monkeypatch.setattr("rxlink.transport._sse_operation.default_retry_wait", lambda retries: 0.01)
    scripted.answer = answer_text("busy", 503)

    ran = run("subscribe", scripted.uri, TICKS, "--protocol", "sse", "--retry", "1")

    assert (1, 2) == (ran.code, len(scripted.requests))


# -- as a process -------------------------------------------------------------------------------------------------


@pytest.fixture
def program(server, token):
    """A process that prints ticks without an end."""
    command = [sys.executable, "-W", "error", "-m", "rxlink", "subscribe", server.ws_url]
    ticks = "subscription { ticks(every: 0.01) }"
    with subprocess.Popen(
        [*command, ticks, *token], cwd=ROOT, env=unmeasured(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert b'{"data":{"ticks":' in process.stdout.readline()
        yield process
        process.kill()


def closed(server):
    """How the sockets of the server were closed."""
    return [socket.code for socket in server.ledger.sockets]


def test_ctrl_c_ends_the_subscription_and_the_socket(program, server):
    program.send_signal(signal.SIGINT)
    _, err = program.communicate(timeout=10)

    assert (130, b"rxlink: interrupted\n") == (program.returncode, err)
    assert [1000] == closed(server)


def test_a_reader_who_leaves_ends_it_without_a_word(program, server):
    program.stdout.close()
    err = program.stderr.read()

    assert (141, b"") == (program.wait(10), err)
    assert [1000] == closed(server)


def test_an_output_that_is_full_is_one_line(server):
    command = [sys.executable, "-W", "error", "-m", "rxlink", "query", server.url, "{ public }"]
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)

    assert (1, b"rxlink: standard output cannot be written: No space left on device\n") == (
        done.returncode,
        done.stderr,
    )
