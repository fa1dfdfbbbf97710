"""What ``--trace`` shows: the way of the operation through the links, and what it waited for."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from rxlink.commands.output import say
from rxlink.trace.explain import explain
from rxlink.trace.recorder import Trace
from rxlink.trace.text import to_text

__all__ = ["showing"]

NARROWEST: Final = 60
WIDEST: Final = 160
"""Columns."""


@contextmanager
def showing(trace: Trace | None) -> Generator[None]:
    """Write a trace to standard error at the end of a block, however that comes; nothing where there is none."""
    try:
        yield
    finally:
        if trace is not None:
            _show(trace)


def _show(trace: Trace) -> None:
    width = min(max(shutil.get_terminal_size((100, 24)).columns, NARROWEST), WIDEST)
    say(f"what happened\n\n{to_text(trace, width=width)}\n\n{explain(trace)}")
