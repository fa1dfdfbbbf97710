"""The words in which scenarios of TokenRefreshLink are told; milliseconds.

A scenario has a `token` in the store, the times at which tokens `end`, what the `checks` and `fetches` do call by call,
how tokens are stored (`store`), and `operations`: when each is executed (`at`), when its subscriber leaves (`leave`, as
of then) or subscribes the same results `again`; `asleep` is one that nobody subscribes.
"""

from __future__ import annotations

from typing import Any

from tests.oracle.legacy.story import Differs, Story


def story(name: str, *operations: dict[str, Any], differs: Differs | None = None, **scenario: Any) -> Story:
    scenario = {
        "player": "token-refresh",
        "token": "A0",
        "ends": {"A0": 0},
        "fetches": [{"after": 100, "body": {"access_token": "A1"}}],
        "until": 60_000,
        "operations": list(operations),
        **scenario,
    }
    return Story(name, differs, scenario)


def op(name: str, at: int = 0, **more: Any) -> dict[str, Any]:
    return {"id": name, "at": at, **more}


def checked(who: str, at: int) -> list[Any]:
    return [who, at, "check", None]


def sent(who: str, at: int, token: str | None, *, name: str = "") -> list[Any]:
    """The operation from its sending to its end."""
    ends = at + 10
    subscriber = name or who
    return [
        [who, at, "send", token],
        [subscriber, ends, "next", {"echo": who}],
        [subscriber, ends, "complete", None],
    ]


def failed(who: str, at: int, kind: str) -> list[Any]:
    return [who, at, "error", kind]


def link(at: int, what: str, detail: Any = None) -> list[Any]:
    return ["link", at, what, detail]


A, B, C = op("a"), op("b"), op("c")
FAIL = {"after": 100, "status": 401, "body": {"error": "invalid_grant"}}
GOOD = {"after": 100, "body": {"access_token": "A1"}}
SECOND = {"after": 100, "body": {"access_token": "A2"}}
