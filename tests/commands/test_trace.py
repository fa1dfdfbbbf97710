"""`--trace`: what happened is shown on standard error in the end, whatever the end was."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.children import unmeasured
from tests.transport.scripted_server import answer_json, answer_text

ROOT = Path(__file__).parents[2]
PUBLIC = "query Public { public }"
VIEWER = "query Viewer { viewer { name } }"


@pytest.fixture
def tokens(server, here):
    """The options of a login whose access token is refused, and its tokens."""
    pair = server.sign_in("ada")
    for name, text in (("access", pair.access_token), ("refresh", pair.refresh_token), ("secret", "s3cret")):
        (here / name).write_text(text)
    server.revoke_access("ada")
    options = ["--token-url", server.token_url, "--client-id", "app", "--client-secret-file", "secret"]
    options += ["--access-token-file", "access", "--refresh-token-file", "refresh", "--storage", "memory"]
    return options, (pair.access_token, pair.refresh_token, "s3cret")


def without_access_token(options):
    """The same login without its access token, which is got when a run begins."""
    at = options.index("--access-token-file")
    return options[:at] + options[at + 2 :]


def test_nothing_is_shown_without_it(run, server):
    assert "" == run("query", server.url, PUBLIC).err


def test_the_result_stays_alone_on_standard_output(run, server):
    ran = run("query", server.url, PUBLIC, "--trace")

    assert (0, '{"data":{"public":"open to everybody"}}\n') == (ran.code, ran.out)
    assert ran.err.startswith("rxlink: what happened\n\n")
    assert "1 Public" in ran.err


@pytest.mark.parametrize("scheme", ["http", "ws"])
def test_a_refresh_is_seen_and_no_secret(run, server, tokens, scheme):
    options, secrets = tokens

    ran = run("query", server.url.replace("http", scheme), VIEWER, "--trace", *options)

    assert (0, '{"data":{"viewer":{"name":"ada"}}}\n') == (ran.code, ran.out)
    assert "Refresh 1" in ran.err
    assert "Viewer" in ran.err
    assert not [secret for secret in secrets if secret in ran.err]


def test_the_refresh_that_a_run_begins_with_is_seen_too(run, server, tokens):
    options, _ = tokens

    ran = run("query", server.url, VIEWER, "--trace", *without_access_token(options))

    assert 0 == ran.code
    lines = ran.err.splitlines()
    assert re.match(r"refresh 1 +\[", lines[3])
    assert re.fullmatch(r"Refresh 1 \(it was asked for\) took \d\.\d+ s\.", lines[-1])


def test_a_refresh_that_keeps_it_from_beginning_is_seen(run, server, tokens):
    options, _ = tokens
    server.revoke_refresh("ada")

    ran = run("query", server.url, VIEWER, "--trace", *without_access_token(options))

    assert (1, "") == (ran.code, ran.out)
    assert "Refresh 1 (it was asked for) failed with SessionEnded" in ran.err
    assert "the session has ended" in ran.err.splitlines()[-1]


def test_the_data_stands_above_it_where_both_go_to_one_place(run, server, scripted, terminal, monkeypatch):
    refused = answer_json({"errors": [{"message": "too deep"}]}, 400)
    for command, uri, query, shown in (
        ("query", server.url, [PUBLIC], "{"),
        ("schema", server.url, [], "type Query"),
        ("query", scripted.uri, [PUBLIC], '{\n  "errors"'),
    ):
        scripted.answer = refused
        stream = terminal("stdout")
        monkeypatch.setattr(sys, "stderr", stream)

        run(command, uri, *query, "--trace")

        assert stream.text.startswith(shown)
        assert "\nrxlink: what happened\n" in stream.text


def test_of_a_failure_the_reason_stands_below(run, scripted):
    scripted.answer = answer_text("no", status=503)

    ran = run("query", scripted.uri, PUBLIC, "--trace", "--retry", "1")

    assert (1, "") == (ran.code, ran.out)
    assert "RetryLink" in ran.err
    assert "503" in ran.err.splitlines()[-1]


def test_a_subscription_has_it_when_it_ends(run, server, tokens):
    options, _ = tokens

    ran = run("subscribe", server.ws_url, "subscription Count { countdown(start: 2) }", "--trace", *options)

    assert (0, 2) == (ran.code, len(ran.out.splitlines()))
    assert "Count" in ran.err


def test_the_question_for_the_schema_has_it_too(run, server):
    ran = run("schema", server.url, "--trace")

    assert 0 == ran.code
    assert "IntrospectionQuery" in ran.err


def test_ctrl_c_shows_where_the_operation_was(server, here):
    (here / "token").write_text(server.sign_in("ada").access_token)
    command = [sys.executable, "-W", "error", "-m", "rxlink", "subscribe", server.ws_url, "--trace"]
    query = ["subscription Ticks { ticks(every: 0.01) }", "--access-token-file", str(here / "token")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*command, *query], cwd=ROOT, env=unmeasured(), **pipes) as program:
        assert b'{"data":{"ticks":' in program.stdout.readline()
        program.send_signal(signal.SIGINT)
        _, err = program.communicate(timeout=10)

    assert 130 == program.returncode
    assert b"1 Ticks" in err
    assert err.endswith(b"rxlink: interrupted\n")
