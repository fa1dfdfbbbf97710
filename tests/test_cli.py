"""The program: exit codes, what goes to which stream, and bad input."""

import io
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial

import pytest

from rxlink import cli
from rxlink.auth import session
from rxlink.auth.pacing import BackoffOptions
from rxlink.demo import performance
from rxlink.errors import NetworkError
from rxlink.testing._token_mint import TokenMint
from rxlink.testing.auth_server import AuthServer, Fault
from tests.children import unmeasured

ONE = ("demo", "--token-life", "0.2", "--operations", "8", "--expiries", "1")
THREE = ("demo", "--token-life", "0.5", "--operations", "24")
COUNTS = ["operations", "results", "errors", "unfinished", "expiries", "refreshes", "retries"]
KEYS = [*COUNTS, "max_sends_per_operation", "seconds"]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    """Tries of a refresh follow one another at once."""
    monkeypatch.setattr(session, "BackoffOptions", partial(BackoffOptions, initial=0.01))


def test_the_demo_prints_a_timeline_and_a_summary(capsys):
    # when
    code = cli.main(ONE)

    # then
    out, err = capsys.readouterr()
    assert 0 == code
    assert "" == err
    assert re.search(r"^  \d\.\d\d s  wave 1 ", out, re.MULTILINE)
    assert "operations: 8, with their own result: 8, errors: 0, unfinished: 0\n" in out
    assert out.endswith("Every operation has its own right result; each token was refreshed once.\n")
    assert "\x1b" not in out


def test_with_json_standard_output_is_one_object(capsys):
    # when
    code = cli.main((*THREE, "--json"))

    # then
    out, err = capsys.readouterr()
    summary = json.loads(out)
    assert 0 == code
    assert KEYS == list(summary)
    expected = {"operations": 24, "results": 24, "errors": 0, "unfinished": 0, "expiries": 3, "refreshes": 3}
    assert expected == {name: summary[name] for name in expected}
    assert 2 == summary["max_sends_per_operation"]
    assert "wave 1" in err


def test_quiet_prints_the_summary_only(capsys):
    assert 0 == cli.main((*ONE, "--quiet"))

    out, err = capsys.readouterr()
    assert "" == err
    assert out.startswith("After ")
    assert "wave" not in out


def test_quiet_json_prints_nothing_else(capsys):
    assert 0 == cli.main((*ONE, "--quiet", "--json"))

    out, err = capsys.readouterr()
    assert "" == err
    assert 8 == json.loads(out)["results"]


def test_no_token_is_printed_or_logged(capsys, caplog, monkeypatch):
    # given
    texts = []

    def remembering(make):
        def make_and_remember(*args, **options):
            texts.append(make(*args, **options))
            return texts[-1]

        return make_and_remember

    for name in ("access_token", "refresh_token"):
        monkeypatch.setattr(TokenMint, name, remembering(getattr(TokenMint, name)))
    caplog.set_level("DEBUG")

    # when
    cli.main(ONE)

    # then
    out, err = capsys.readouterr()
    assert 4 == len(texts)
    assert not [text for text in texts if text in out + err + caplog.text]


def test_a_failed_operation_makes_the_program_fail(capsys, monkeypatch):
    # given
    class Refusing(AuthServer):
        def __init__(self, **options):
            super().__init__(**options)
            self.faults.add(Fault.invalid_grant(), times=None)

    monkeypatch.setattr(performance, "AuthServer", Refusing)

    # when
    code = cli.main((*ONE, "--operations", "30", "--quiet", "--json"))

    # then
    out, err = capsys.readouterr()
    assert 1 == code
    errors = json.loads(out)["errors"]  # 15; on a machine that lags behind fewer operations come after the refusal
    assert 5 < errors <= 15
    assert "SessionEnded" in err
    assert f"and {errors - 5} more\n" in err


def test_more_expiries_than_asked_for_are_told(capsys, monkeypatch):
    # given: what large numbers of operations lead to
    summary_of = performance.Summary.of
    monkeypatch.setattr(performance.Summary, "of", lambda *args: replace(summary_of(*args), expiries=9))

    # when
    code = cli.main((*ONE, "--quiet"))

    # then
    assert 0 == code
    assert "9 instead of 1 tokens ended" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--operations", "0"], "--operations: '0'"),
        (["--operations", "-5"], "--operations: '-5'"),
        (["--operations", "many"], "--operations: 'many'"),
        (["--operations", "100001"], "--operations: '100001'"),
        (["--operations", "2"], "--operations: 2 cannot meet --expiries 3"),
        (["--expiries", "0"], "--expiries: '0'"),
        (["--expiries", "1.5"], "--expiries: '1.5'"),
        (["--token-life", "0"], "--token-life: '0'"),
        (["--token-life", "0.1"], "--token-life: '0.1'"),
        (["--token-life", "-1"], "--token-life: '-1'"),
        (["--token-life", "nan"], "--token-life: 'nan'"),
        (["--token-life", "inf"], "--token-life: 'inf'"),
        (["--token-life", "soon"], "--token-life: 'soon'"),
        (["--seed", "x"], "--seed: 'x'"),
        (["--svg", "/no/such/place/demo.svg"], "--svg: '/no/such/place/demo.svg'"),
        (["--svg", "/"], "--svg: '/'"),
        (["--html", "/no/such/place/demo.html"], "--html: '/no/such/place/demo.html'"),
        (["--waves", "7"], "--waves"),
        (["--op", "7"], "--op;"),
    ],
)
def test_bad_input_is_refused_with_option_and_value(capsys, arguments, told):
    assert 2 == cli.main(["demo", *arguments])

    out, err = capsys.readouterr()
    assert "" == out
    assert told in err


@pytest.mark.parametrize("arguments", [[], ["dance"]])
def test_an_unknown_command_is_refused(capsys, arguments):
    assert 2 == cli.main(arguments)

    assert "command" in capsys.readouterr().err


def test_help_is_no_mistake(capsys):
    assert 0 == cli.main(["demo", "--help"])

    assert "--token-life" in capsys.readouterr().out


def test_the_three_views_of_a_trace_come_from_one_command(capsys, tmp_path):
    # given
    html, svg = tmp_path / "demo.html", tmp_path / "demo.svg"

    # when
    code = cli.main((*ONE, "--trace", "--html", str(html), "--svg", str(svg)))

    # then: the second half of the operations came when the token had ended
    out = capsys.readouterr().out
    assert 0 == code
    assert re.search(r"^refresh 1 .*\[", out, re.MULTILINE)
    assert re.search(r"^8 (Look|Count) .*>.*o\|", out, re.MULTILINE)
    waited = re.search(r"^Operations? .* waited .* for refresh 1 \(", out, re.MULTILINE)
    assert waited is not None, out
    assert waited[0] in html.read_text()
    assert "waiting for refresh 1 (AuthLink)" in svg.read_text()


@pytest.mark.parametrize("option", ["--html", "--svg"])
def test_a_view_is_written_also_where_only_the_summary_is_printed(capsys, monkeypatch, tmp_path, option):
    monkeypatch.setitem(sys.modules, "rich", None)
    path = tmp_path / "file"
    path.write_text("of before")

    assert 0 == cli.main((*ONE, "--quiet", "--json", option, str(path)))

    assert 8 == json.loads(capsys.readouterr().out)["results"]
    assert "refresh 1" in path.read_text().lower()
    assert "of before" not in path.read_text()


def test_with_json_the_trace_goes_to_standard_error(capsys):
    assert 0 == cli.main((*ONE, "--json", "--trace"))

    out, err = capsys.readouterr()
    assert 8 == json.loads(out)["results"]
    assert "waits for a refresh" in err


@pytest.mark.parametrize("option", ["--html", "--svg"])
def test_a_file_that_cannot_be_written_is_refused_before_the_demo_runs(capsys, tmp_path, option):
    (tmp_path / "file").write_text("of before")
    for name in ("", "none/demo", "file/demo", "a\0b"):
        assert 2 == cli.main((*ONE, option, f"{tmp_path}/{name}"))

        out, err = capsys.readouterr()
        assert "" == out
        [told] = [line for line in err.splitlines() if "error" in line]
        assert f"argument {option}: " in told
        assert "cannot be written (" in told


def test_a_refused_call_leaves_no_file(capsys, tmp_path):
    path, kept = tmp_path / "demo.html", tmp_path / "kept.svg"
    kept.write_text("of before")

    assert 2 == cli.main((*ONE, "--html", str(path), "--svg", str(kept), "--operations", "0"))
    assert 2 == cli.main((*ONE, "--html", str(kept), "--svg", str(kept)))

    assert "give two files" in capsys.readouterr().err
    assert not path.exists()
    assert "of before" == kept.read_text()


@pytest.mark.parametrize("refusal", [OSError("no port left"), NetworkError("no port left")])
def test_what_keeps_it_from_beginning_is_told_in_one_line(capsys, monkeypatch, refusal):
    async def refuse(_):
        raise refusal

    monkeypatch.setattr(AuthServer, "start", refuse)

    assert 1 == cli.main(ONE)

    assert "rxlink demo: no port left\n" == capsys.readouterr().err


def test_it_runs_as_a_module():
    # when
    program = subprocess.run(
        [sys.executable, "-W", "error", "-m", "rxlink", *ONE, "--json"], capture_output=True, text=True, check=False
    )

    # then
    assert 0 == program.returncode, program.stderr
    assert 8 == json.loads(program.stdout.splitlines()[-1])["results"]
    assert "\x1b" not in program.stdout + program.stderr


def test_an_interrupted_demo_ends_at_once_and_cleanly():
    # given
    arguments = [sys.executable, "-W", "error", "-m", "rxlink", "demo", "--token-life", "600"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(arguments, env=unmeasured(), **pipes) as program:
        assert "signed in" in program.stdout.readline()

        # when
        program.send_signal(signal.SIGINT)
        _, err = program.communicate()

    # then
    assert 130 == program.returncode, err
    assert "rxlink: interrupted\n" == err


def test_an_interrupted_demo_gives_the_terminal_back(capsys, monkeypatch):
    # given
    async def interrupt(_):
        raise KeyboardInterrupt

    class Tty(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(performance.Story, "run", interrupt)
    monkeypatch.setattr(sys, "stdout", Tty())
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)

    # when
    code = cli.main(ONE)

    # then
    output = sys.stdout.getvalue()
    assert 130 == code
    assert output.rindex("\x1b[?25h") > output.rindex("\x1b[?25l")
    assert "rxlink: interrupted\n" == capsys.readouterr().err


@pytest.mark.soak
def test_the_acceptance_run_again_and_again_on_a_busy_machine():
    # given
    runs = 2 if os.environ.get("RXLINK_SOAK") == "short" else 20
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    command = [sys.executable, "-m", "rxlink", "demo", "--json", "--operations", "500", "--expiries", "4"]

    # when
    try:
        outputs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(runs)]
    finally:
        for process in busy:
            process.kill()
            process.wait()

    # then
    expected = {"operations": 500, "results": 500, "errors": 0, "unfinished": 0, "expiries": 4, "refreshes": 4}
    for output in outputs:
        summary = json.loads(output.splitlines()[-1])
        assert expected == {name: summary[name] for name in expected}
        assert 2 == summary["max_sends_per_operation"]
