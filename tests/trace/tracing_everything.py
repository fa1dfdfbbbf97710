"""A pytest plugin: every chain that is executed is traced, so that other tests say whether that changes anything."""

import pytest

from rxlink.core import chain
from rxlink.errors import InvariantError
from rxlink.trace.link import traced
from rxlink.trace.recorder import Trace

untraced_execute = chain.execute
traces = []


def execute(link, request):
    """`execute`, through the traced twin of the chain: one twin for each chain, as links share what is on them."""
    if isinstance(link, chain.ApolloLink):
        twin = link.__dict__.get("traced_twin")
        if twin is None:
            try:
                twin = traced(link, Trace(max_events=100))
            except InvariantError:  # of the very chain that a test wants to see refused
                twin = link
            else:
                traces.append(twin)
            link.__dict__["traced_twin"] = twin
        link = twin
    return untraced_execute(link, request)


chain.execute = execute


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(f"{len(traces)} traced chains")
