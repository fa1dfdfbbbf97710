"""What ``--trace`` shows: the way of the operation through the links, and what it waited for."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from rxlink.auth.session import AuthSession
from rxlink.commands.output import say
from rxlink.core.link import ApolloLink
from rxlink.trace.explain import explain
from rxlink.trace.link import traced
from rxlink.trace.recorder import Trace
from rxlink.trace.text import to_text

__all__ = ["showing_trace"]

NARROWEST: Final = 60
WIDEST: Final = 160
"""Columns."""


@contextmanager
def showing_trace(link: ApolloLink, auth: AuthSession | None) -> Generator[ApolloLink]:
    """Record what goes through a chain in a block, and write it to standard error at the end, however that comes.

    Args:
        link: The chain; what is to be recorded goes through the one that is yielded.
        auth: The session whose refreshes are recorded too; None where there is none.
    """
    trace = Trace()
    if auth is not None:
        trace.watch(auth)
    try:
        yield traced(link, trace)
    finally:
        _show(trace)


def _show(trace: Trace) -> None:
    width = min(max(shutil.get_terminal_size((100, 24)).columns, NARROWEST), WIDEST)
    say(f"what happened\n\n{to_text(trace, width=width)}\n\n{explain(trace)}")
