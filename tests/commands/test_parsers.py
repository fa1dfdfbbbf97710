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
        (["query"], "the following arguments are required: URL"),
        (["schema"], "the following arguments are required: URL"),
        (["query", "http://h/", "{ a }", "{ b }"], "unrecognized arguments: { b }"),
        (["query", "http://h/", "--nothing"], "unrecognized arguments: --nothing"),
        (["query", "http://h/", "{ a }", "--varia", "a=1"], "unrecognized arguments: --varia"),
        (["query", "http://h/", "--headr", "x: s3cret"], "unrecognized arguments: --headr"),
        (["query", "http://h/", "--headr=s3cret", "-H", "x"], "unrecognized arguments: --headr -H"),
        (
            ["query", "http://h/", "--timeout", "a\nb"],
            "argument --timeout: 'a\\nb' is no time; give seconds, or 0 for no limit",
        ),
        (["schema", "http://h/", "{ a }"], "unrecognized arguments: { a }"),
        (["subscribe", "http://h/", "--get"], "unrecognized arguments: --get"),
        (["demo", "--waves", "7"], "unrecognized arguments: --waves"),
    ],
)
def test_a_wrong_command_line_is_refused_in_one_line_under_the_commands_name(run, arguments, told):
    ran = run(*arguments)

    command = arguments[0]
    expected = f"rxlink {command}: error: {told}; see rxlink {command} --help\n"
    assert (2, "", expected) == (ran.code, ran.out, ran.err)


def test_a_choice_that_is_none_is_refused_in_one_line(run):
    ran = run("query", "http://h/", "{ a }", "--output", "xml")

    assert (2, "", 1) == (ran.code, ran.out, ran.err.count("\n"))
    assert ran.err.startswith("rxlink query: error: argument --output: invalid choice: 'xml' (choose from ")


@pytest.mark.parametrize("arguments", [[], ["dance"], ["--nothing", "query", "http://h/"]])
def test_where_no_command_is_known_the_program_says_so_in_one_line(run, arguments):
    ran = run(*arguments)

    assert (2, "", 1) == (ran.code, ran.out, ran.err.count("\n"))
    assert ran.err.startswith("rxlink: error: ")
    assert ran.err.endswith("; see rxlink --help\n")
