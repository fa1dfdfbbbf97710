"""What is played through both links; `differs` says where rxlink does it right, and what it does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.oracle.legacy.story import Differs, Story
from tests.oracle.legacy.token_refresh_bodies import bodies
from tests.oracle.legacy.token_refresh_words import FAIL, GOOD, SECOND, A, B, C, checked, failed, link, op, sent, story


def stories() -> Iterator[Story]:
    yield from _passing()
    yield from bodies()
    yield from _failures()
    yield from _stuck_flags()
    yield from _late_checks()
    yield from _leaving()


def _passing() -> Iterator[Story]:
    yield story("a good token passes", A, op("b", 50), ends={})
    yield story("nobody signed in passes", A, token=None)
    yield story("the first refresh", A)
    yield story("one refresh for three, in order", A, B, C)
    yield story("who comes during the refresh waits with the others", A, op("b", 40), op("c", 99))
    yield story("who comes after the refresh passes", A, op("b", 101), op("c", 500))
    yield story(
        "each expiry has its refresh",
        A,
        op("b", 20_000),
        op("c", 20_050),
        op("d", 30_000),
        ends={"A0": 0, "A1": 10_000},
        fetches=[GOOD, SECOND],
    )
    yield story("a slow check delays its own operation only", A, op("b", 10), ends={}, checks=[{"after": 300}])
    yield story("a check that raises fails its own operation only", A, B, checks=[{"raises": "no clock"}])
    yield story(
        "a check that raises later fails its own operation only", A, B, checks=[{"after": 40, "raises": "no clock"}]
    )
    yield story("a check that answers during the refresh waits with the others", A, B, checks=[{}, {"after": 50}])
    yield story("the token of before is stored by somebody meanwhile", A, op("b", 50), ends={"A0": 40})


def _failures() -> Iterator[Story]:
    yield story("all who wait get the error", A, B, C, fetches=[FAIL])
    yield story("the next operation tries again", A, op("b", 200), fetches=[FAIL, SECOND])
    yield story("two failures", A, op("b", 200), op("c", 400), fetches=[FAIL, FAIL, SECOND])
    yield story("fetching that raises later", A, op("b", 50), fetches=[{"after": 100, "raises": "offline"}])
    yield story("fetching that raises in the same turn", A, fetches=[{"raises": "offline"}])
    yield story("storing that raises", A, B, store={"raises": "disk full"})
    yield story(
        "one broken operation among three (found by running it)",
        A,
        B,
        C,
        broken="b",
        differs=Differs(
            "an operation that fails while the queue is released concerns itself only",
            {
                "link": [link(0, "fetch"), link(100, "handle_fetch", ["A1", "a"])],
                "a": [checked("a", 0), *sent("a", 100, "A1")],
                "c": [checked("c", 0), *sent("c", 100, "A1")],
            },
        ),
    )
    yield story(
        "storing takes its time (E70)",
        A,
        B,
        store={"after": 30},
        differs=Differs(
            "`handle_fetch` is awaited before anyone goes on",
            {
                "a": [checked("a", 0), *sent("a", 130, "A1")],
                "b": [checked("b", 0), *sent("b", 130, "A1")],
            },
        ),
    )
    yield story(
        "storing that raises later",
        A,
        store={"after": 30, "raises": "disk full"},
        differs=Differs(
            "what `handle_fetch` raises later is the refresh's failure",
            {
                "link": [
                    link(0, "fetch"),
                    link(100, "handle_fetch", ["A1", "a"]),
                    link(130, "handle_error", ["raised: disk full", "a"]),
                ],
                "a": [checked("a", 0), failed("a", 130, "raised: disk full")],
            },
        ),
    )


def _stuck_flags() -> Iterator[Story]:
    """E18: nobody hangs, whatever raises."""
    why = "the flag is reset before anyone is released, whatever raises"

    def again(what: str, at: int) -> dict[str, list[Any]]:
        begin = [link(0, "fetch")]
        failure = f"raised: {what}"
        return {
            "link": [
                *begin,
                link(at, "handle_error", [failure, "a"]),
                link(200, "fetch"),
                link(300, "handle_fetch", ["A2", "b"]),
            ],
            "a": [checked("a", 0), failed("a", at, failure)],
            "b": [checked("b", 200), *sent("b", 300, "A2")],
        }

    yield story(
        "fetching that throws at once",
        A,
        op("b", 200),
        fetches=[{"throws": "no endpoint"}, SECOND],
        differs=Differs(why, {who: events for who, events in again("no endpoint", 0).items() if who != "a"}),
    )
    twice_read = {key: value for key, value in again("no reader", 100).items() if key == "a"}
    yield story(
        "reading that throws at once",
        A,
        op("b", 200),
        response={"throws": "no reader"},
        fetches=[GOOD, SECOND],
        differs=Differs(
            why,
            {
                **twice_read,
                "link": [
                    link(0, "fetch"),
                    link(100, "handle_error", ["raised: no reader", "a"]),
                    link(200, "fetch"),
                    link(300, "handle_error", ["raised: no reader", "b"]),
                ],
                "b": [checked("b", 200), failed("b", 300, "raised: no reader")],
            },
        ),
    )
    ours = again("offline", 100)
    ours["link"].insert(2, link(100, "unhandled", "logout failed"))
    yield story(
        "a handle_error that throws",
        A,
        op("b", 200),
        handle_error="logout failed",
        fetches=[{"after": 100, "raises": "offline"}, SECOND],
        differs=Differs(why, ours),
    )
    yield story(
        "a refresh that never ends (E18, E23)",
        A,
        op("b", 50),
        op("c", 40_000),
        fetches=[{"never": True}, SECOND],
        differs=Differs(
            "a refresh has a time limit",
            {
                "link": [
                    link(0, "fetch"),
                    link(30_000, "handle_error", ["timeout", "a"]),
                    link(40_000, "fetch"),
                    link(40_100, "handle_fetch", ["A2", "c"]),
                ],
                "a": [checked("a", 0), failed("a", 30_000, "timeout")],
                "b": [checked("b", 50), failed("b", 30_000, "timeout")],
                "c": [checked("c", 40_000), *sent("c", 40_100, "A2")],
            },
        ),
    )
    yield story(
        "a refresh through the same chain (E29)",
        A,
        fetches=[{"through_chain": True}],
        differs=Differs(
            "an operation that the refresh itself sends passes",
            {
                "link": [link(0, "fetch"), link(10, "handle_fetch", ["A1", "a"])],
                "refresh": [["refresh", 0, "send", None]],
                "a": [checked("a", 0), *sent("a", 10, "A1")],
            },
        ),
    )


def _late_checks() -> Iterator[Story]:
    yield story(
        "a check of before the refresh that answers after it (E11)",
        A,
        B,
        checks=[{}, {"after": 150}],
        fetches=[GOOD, SECOND],
        differs=Differs(
            "a check that a refresh has overtaken is asked again",
            {
                "link": [link(0, "fetch"), link(100, "handle_fetch", ["A1", "a"])],
                "b": [checked("b", 0), checked("b", 150), *sent("b", 150, "A1")],
            },
        ),
    )
    yield story(
        "a check of before a refresh that failed starts the next one",
        A,
        B,
        checks=[{}, {"after": 150}],
        fetches=[FAIL, SECOND],
    )
    yield story(
        "a check that answers in the last moment of the refresh (S13)",
        A,
        B,
        checks=[{}, {"with_response": True}],
        response={"path": ["access_token"]},
        differs=Differs(
            "nobody is queued behind the end of a refresh",
            {"b": [checked("b", 0), checked("b", 100), *sent("b", 100, "A1")]},
        ),
    )


def _leaving() -> Iterator[Story]:
    yield story("leaving while the server works aborts the request", op("a", leave=5), B, ends={})
    yield story(
        "leaving while the server works aborts the request of who has waited (found by running it)",
        op("a", leave=105),
        B,
        differs=Differs(
            "leaving aborts the request, also after a wait",
            {"a": [checked("a", 0), ["a", 100, "send", "A1"], ["a", 105, "abort", None]]},
        ),
    )
    yield story("leaving after the end", op("a", leave=500))
    yield story("leaving a slow check of a good token", op("a", leave=50), B, ends={}, checks=[{"after": 300}])
    yield story(
        "leaving the queue (E42)",
        op("a", leave=50),
        B,
        differs=Differs("who leaves is not sent", {"a": [checked("a", 0)]}),
    )
    yield story(
        "all leave the queue, and the refresh goes on",
        op("a", leave=50),
        op("b", leave=50),
        op("c", 200),
        differs=Differs("who leaves is not sent", {"a": [checked("a", 0)], "b": [checked("b", 0)]}),
    )
    yield story(
        "leaving during the check",
        op("a", leave=50),
        checks=[{"after": 60}],
        differs=Differs("who leaves during the check starts no refresh", {"link": []}),
    )
    yield story(
        "an operation that nobody subscribes",
        op("a", asleep=True),
        differs=Differs("nothing starts before an operation is subscribed", {"a": [], "link": []}),
    )
    yield story(
        "subscribing a good operation again",
        op("a", again=100),
        ends={},
        differs=Differs(
            "subscribing again asks again",
            {
                "a": [checked("a", 0), *sent("a", 0, "A0"), checked("a", 100), ["a", 100, "send", "A0"]],
            },
        ),
    )
    yield story(
        "subscribing again an operation that has waited",
        op("a", again=200),
        differs=Differs(
            "subscribing again asks again; there it hangs",
            {
                "a": [checked("a", 0), *sent("a", 100, "A1"), checked("a", 200), ["a", 200, "send", "A1"]],
                "a again": [["a again", 210, "next", {"echo": "a"}], ["a again", 210, "complete", None]],
            },
        ),
    )
    yield story(
        "two subscribers of one operation that waits",
        op("a", again=50),
        differs=Differs(
            "each subscription is an operation of its own; there the second takes the place of the first, twice",
            {
                "a": [checked("a", 0), checked("a", 50), ["a", 100, "send", "A1"], *sent("a", 100, "A1")],
            },
        ),
    )
