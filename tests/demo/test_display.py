"""Where the demo prints: plain lines, a terminal."""

import io
import os
import sys

import pytest

from rxlink.demo.display import Line, Mood, PlainLines, Terminal, display_on

LINE = Line("  0.10 s  wave 1   ", "50 operations at once", Mood.GOOD)


class Tty(io.StringIO):
    """Says that it is a terminal."""

    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def ordinary_environment(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def shown_on(stream):
    display = display_on(stream, operations=40)
    display.show(LINE)
    display.advance(20)
    display.close()
    return stream.getvalue()


def test_a_file_or_pipe_gets_plain_lines():
    assert f"{LINE}\n" == shown_on(io.StringIO())


def test_a_file_gets_no_colours_even_where_they_are_forced(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")

    assert f"{LINE}\n" == shown_on(io.StringIO())


def test_a_terminal_gets_colours_and_a_bar():
    output = shown_on(Tty())

    assert "\x1b[32m50 operations at once" in output
    assert "20/40" in output
    assert output.endswith("\x1b[2K")  # the bar is gone


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_that_wants_no_colours_gets_plain_lines(monkeypatch, name, value):
    monkeypatch.setenv(name, value)

    assert f"{LINE}\n" == shown_on(Tty())


def test_a_terminal_gets_plain_lines_without_rich(monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.console", None)

    assert f"{LINE}\n" == shown_on(Tty())


def test_a_terminal_gets_its_cursor_back_when_it_is_closed_early():
    stream = Tty()
    Terminal(stream, operations=40).close()

    assert stream.getvalue().rindex("\x1b[?25h") > stream.getvalue().rindex("\x1b[?25l")


def test_a_reader_who_leaves_does_not_stop_the_demo(capfd):
    # given
    read, write = os.pipe()
    os.close(read)

    # when
    with os.fdopen(write, "w") as stream:
        lines = PlainLines(stream)
        lines.show(LINE)
        lines.show(LINE)

    # then: closing, which flushes, did not raise
    assert ("", "") == capfd.readouterr()
