"""What is played through DedupLink and PollingLink and their originals; milliseconds, as in token_refresh_scenarios."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.oracle.legacy.story import Differs, Story


def op(id: str, at: int = 0, **more: Any) -> dict[str, Any]:
    return {"id": id, "at": at, **more}


def dedup(name: str, *operations: dict[str, Any], differs: Differs | None = None, **scenario: Any) -> Story:
    common = {"player": "apollo-link", "link": "dedup", "until": 1000, "operations": list(operations)}
    return Story(f"dedup: {name}", differs, {**common, **scenario})


def polling(name: str, *operations: dict[str, Any], differs: Differs | None = None, **scenario: Any) -> Story:
    common = {"player": "apollo-link", "link": "polling", "until": 450, "operations": list(operations)}
    return Story(f"polling: {name}", differs, {**common, "intervals": {"Q": 100}, **scenario})


def stories() -> Iterator[Story]:
    yield from _dedup()
    yield from _polling()


def _dedup() -> Iterator[Story]:
    yield dedup("one alone", op("a"))
    yield dedup("three at once", op("a"), op("b"), op("c", 5))
    yield dedup("another name", op("a"), op("b", name="R"))
    yield dedup("other variables", op("a", variables={"n": 1}), op("b", variables={"n": 2}))
    yield dedup("equal variables", op("a", variables={"n": 1}), op("b", variables={"n": 1}))
    yield dedup("after the answer", op("a"), op("b", 50))
    yield dedup("an error for all", op("a"), op("b", 5), answers=[{"error": "down"}])
    yield dedup("after an error", op("a"), op("b", 50), answers=[{"error": "down"}])
    yield dedup("one leaves", op("a", leave=5), op("b"))
    yield dedup("the last one leaves", op("a", leave=5), op("b", leave=7))
    yield dedup("one comes after all have left", op("a", leave=5), op("b", 20))
    yield dedup("nobody answers", op("a"), op("b", leave=100), answers=[{"never": True}])
    yield dedup(
        "mutations",
        op("a", kind="mutation"),
        op("b", kind="mutation"),
        differs=Differs(
            "only queries are shared",
            {
                "request 2": [["request 2", 0, "send", "Q"]],
                "b": [["b", 10, "next", 20], ["b", 10, "complete", None]],
            },
        ),
    )
    yield dedup(
        "other headers",
        op("a", context={"headers": {"authorization": "A"}}),
        op("b", context={"headers": {"authorization": "B"}}),
        differs=Differs(
            "two users never get one answer",
            {
                "request 2": [["request 2", 0, "send", "Q"]],
                "b": [["b", 10, "next", 20], ["b", 10, "complete", None]],
            },
        ),
    )
    yield dedup(
        "several results",
        op("a"),
        op("b"),
        answers=[{"results": 2}],
        differs=Differs(
            "an answer of several results is shared to its end",
            {who: [[who, 10, "next", 10], [who, 10, "next", 11], [who, 10, "complete", None]] for who in ("a", "b")},
        ),
    )
    yield dedup(
        "an answer without a result",
        op("a"),
        op("b"),
        answers=[{"results": 0}],
        differs=Differs(
            "an answer without a result completes", {who: [[who, 10, "complete", None]] for who in ("a", "b")}
        ),
    )
    yield dedup(
        "subscribing again after the answer",
        op("a", again=50),
        differs=Differs(
            "subscribing again sends again",
            {
                "request 2": [["request 2", 50, "send", "Q"]],
                "a again": [["a again", 60, "next", 20], ["a again", 60, "complete", None]],
            },
        ),
    )


def _polling() -> Iterator[Story]:
    yield polling("until the subscriber leaves", op("a", leave=250))
    yield polling("an error ends it", op("a"), answers=[{}, {"error": "down"}])
    yield polling("an error of the first attempt", op("a"), answers=[{"error": "down"}])
    yield polling("an answer slower than the interval", op("a"), answers=[{"after": 150}, {"after": 20}])
    yield polling("leaving while the server works", op("a", leave=105))
    yield polling("several results an attempt", op("a", leave=150), answers=[{"results": 2}])
    yield polling("an error of the function", op("a"), intervals={"Q": "no interval"})
    yield polling("another one after the first has left", op("a", leave=120), op("b", 200, leave=350))
    yield polling(
        "two at the same time",
        op("a", leave=150),
        op("b", 50, leave=200),
        differs=Differs(
            "each subscription has a timer and a request of its own; there the timer of the first goes on for ever",
            {
                "b": [["b", 60, "next", 20], ["b", 160, "next", 40]],
                "request 4": [["request 4", 150, "send", "Q"]],
                "request 5": [],
                "request 6": [],
            },
        ),
    )
    yield polling(
        "without an interval",
        op("a"),
        intervals={"Q": None},
        differs=Differs(
            "without an interval the operation passes, and completes",
            {"a": [["a", 10, "next", 10], ["a", 10, "complete", None]]},
        ),
    )
