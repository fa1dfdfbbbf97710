"""`RetryLink`, whose delays are milliseconds in a scenario."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st

from rxlink import ApolloLink
from rxlink.core.operation import Operation
from rxlink.links.retry import AttemptsOptions, DelayOptions, RetryLink
from tests.oracle.registry import Builder, Options
from tests.oracle.vocabulary import asker
from tests.oracle.world import World

__all__ = ["BUILDERS", "MIDDLE"]


def _retry(options: Options, world: World) -> ApolloLink:
    return RetryLink(delay=_delay(options.get("delay")), attempts=_attempts(options.get("attempts")))


def _delay(delay: Any) -> Any:
    """Apollo's options, or a list with a delay for each retry."""
    if isinstance(delay, list):
        return lambda attempt, operation, error: delay[min(attempt, len(delay)) - 1] / 1000
    if delay is None:
        return None
    times = {name: delay[name] / 1000 for name in ("initial", "max") if name in delay}
    return DelayOptions(**times, jitter=delay.get("jitter", True))


def _attempts(attempts: Any) -> Any:
    """Apollo's options with a predicate as `retryIf`, or a predicate in the place of the whole function."""
    if isinstance(attempts, list):
        ask = asker(attempts)
        return lambda attempt, operation, error: ask(error=error, operation=operation)
    if attempts is None:
        return None
    return AttemptsOptions(**_retry_if(attempts), **({"max": attempts["max"]} if "max" in attempts else {}))


def _retry_if(attempts: Mapping[str, Any]) -> dict[str, Callable[[Exception, Operation], Any]]:
    if "retryIf" not in attempts:
        return {}
    ask = asker(attempts["retryIf"])
    return {"retry_if": lambda error, operation: ask(error=error, operation=operation)}


BUILDERS: dict[str, Builder] = {"retry": _retry}

_DELAYS: list[Any] = [{"initial": 10, "jitter": False}, {"initial": 4, "max": 6}, {"initial": 20}, [5], [3, 0, 7]]
_ATTEMPTS: list[Any] = [
    {"max": 3, "retryIf": ["always"]},
    {"max": 2, "retryIf": ["not", ["status-is", 401]]},
    {"retryIf": ["after", 3, ["class-is", "NetworkError"]]},
    ["first", 2],
    {"max": 3, "retryIf": ["after", 2, ["always"]]},
]

MIDDLE: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "retry": st.sampled_from([{"delay": delay, "attempts": attempts} for delay in _DELAYS for attempts in _ATTEMPTS])
}
