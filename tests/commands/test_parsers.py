"""What `--help` says, and how a command line is read."""

import subprocess
import sys

import pytest

COMMANDS = ["query", "subscribe", "schema"]


def test_the_program_lists_its_commands(run):
    ran = run("--help")

    assert (0, "") == (ran.code, ran.err)
    assert all(f"    {command}" in ran.out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples_and_exit_codes(run, command):
    ran = run(command, "--help")

    assert (0, "") == (ran.code, ran.err)
    assert f"examples:\n  rxlink {command} " in ran.out
    assert "exit code:\n  0 if all went well" in ran.out
    assert "--access-token-file FILE" in ran.out


def test_help_needs_none_of_what_a_command_needs():
    script = (
        "import sys; from rxlink.cli import main; main(['query', '--help']); "
        "print({'aiohttp', 'graphql', 'reactivex', 'rich', 'asyncio'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert "set()" == done.stdout.splitlines()[-1]


def test_options_may_stand_anywhere(run, server):
    for arguments in (
        ["--timeout", "9", server.url, "{ public }"],
        [server.url, "--timeout", "9", "{ public }"],
        [server.url, "{ public }", "--timeout", "9"],
    ):
        assert 0 == run("query", *arguments).code


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["query"], "URL"),
        (["schema"], "URL"),
        (["query", "http://h/", "{ a }", "{ b }"], "unrecognized arguments: { b }"),
        (["query", "http://h/", "--nothing"], "unrecognized arguments: --nothing"),
        (["query", "http://h/", "{ a }", "--varia", "a=1"], "unrecognized arguments: --varia a=1"),
        (["schema", "http://h/", "{ a }"], "unrecognized arguments: { a }"),
        (["subscribe", "http://h/", "--get"], "unrecognized arguments: --get"),
        (["query", "http://h/", "{ a }", "--output", "xml"], "argument --output: invalid choice: 'xml'"),
    ],
)
def test_a_wrong_command_line_is_refused(run, arguments, told):
    ran = run(*arguments)

    assert (2, "") == (ran.code, ran.out)
    assert told in ran.err
