"""The root fields of subscriptions: which numbers are to be told, and when."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLError

from rxlink.testing._answers import unauthenticated_error
from rxlink.testing._auth_schema import AuthSchema, GraphQLCall, Resolver
from rxlink.testing._token_table import Verdict
from rxlink.testing._websocket_ticks import Leave, Listener, Ticks, count_down

__all__ = ["Source", "SubscriptionRefused", "read_source"]

Listen = Callable[[Ticks, Listener, Callable[[], None]], Leave]


class SubscriptionRefused(Exception):
    """A subscription that tells nothing.

    Attributes:
        errors: Why, as the wire's dicts.
        why: Why its token was not accepted; `None` if that is not what is wrong.
    """

    def __init__(self, errors: list[dict[str, Any]], why: str | None) -> None:
        """Make the refusal."""
        super().__init__("The subscription is refused.")
        self.errors = errors
        self.why = why


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the numbers of a subscription come from.

    Attributes:
        listen: Begins to tell them: to a listener, and the end to another.
    """

    listen: Listen
    response_key: str

    def result(self, number: int) -> dict[str, Any]:
        """Return the result that tells a number."""
        return {"data": {self.response_key: number}}


def read_source(schema: AuthSchema, call: GraphQLCall, verdict: Verdict) -> Source:
    """Return what a subscription asks for. One run of it tells its arguments and the name in the result.

    Raises:
        SubscriptionRefused: Its token is not accepted, or something is wrong with it.
    """
    fields = _Fields(verdict)
    result = schema.run(call, fields.by_name())
    if "errors" in result or fields.listen is None:
        errors = result.get("errors") or [{"message": "The subscription asks for nothing."}]
        raise SubscriptionRefused(errors, fields.refused_why)
    [response_key] = result["data"]
    return Source(listen=fields.listen, response_key=response_key)


class _Fields:
    def __init__(self, verdict: Verdict) -> None:
        self._verdict = verdict
        self.refused_why: str | None = None
        self.listen: Listen | None = None

    def by_name(self) -> Mapping[str, Resolver]:
        return {"ticks": self._ticks, "countdown": self._countdown}

    def _ticks(self, _info: object, *, every: float, key: str | None = None) -> int:
        self._require_token()
        _check("every", every)
        self.listen = lambda ticks, listener, _end: ticks.listen(key, every, listener)
        return 0

    def _countdown(self, _info: object, *, start: int, every: float) -> int:
        self._require_token()
        _check("start", start)
        _check("every", every)
        self.listen = lambda _ticks, listener, end: count_down(start, every, listener, end)
        return 0

    def _require_token(self) -> None:
        if self._verdict.why is not None:
            self.refused_why = self._verdict.why
            error = unauthenticated_error(self._verdict.why)
            raise GraphQLError(error["message"], extensions=error["extensions"])


def _check(argument: str, value: float) -> None:
    if value <= 0:
        raise GraphQLError(f"{argument} must be more than 0, not {value!r}.", extensions={"code": "BAD_USER_INPUT"})
