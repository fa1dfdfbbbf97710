"""What endpoints answer to a refresh."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.oracle.legacy.story import Differs, Story
from tests.oracle.legacy.token_refresh_words import SECOND, A, checked, failed, link, op, sent, story


def bodies() -> Iterator[Story]:
    def answered(name: str, *, differs: Differs | None = None, status: int = 200, **answer: Any) -> Story:
        fetches = [{"after": 100, "status": status, **answer}, SECOND]
        return story(name, A, op("b", 50), differs=differs, fetches=fetches)

    yield answered("a token in the data of a GraphQL result", body={"data": {"access_token": "A1"}})
    yield answered(
        "GraphQL errors instead of a token",
        body={"data": None, "errors": [{"message": "no"}]},
        differs=Differs(
            "the errors of a GraphQL result are the cause, and not lost",
            {
                "link": [link(0, "fetch"), link(100, "handle_error", ["raised: no", "a"])],
                "a": [checked("a", 0), failed("a", 100, "raised: no")],
                "b": [checked("b", 50), failed("b", 100, "raised: no")],
            },
        ),
    )
    yield answered("a body with another field", body={"token": "A1"})
    yield answered("data with another field", body={"data": {"token": "A1"}})
    yield answered("an empty token", body={"access_token": ""})
    yield answered("no token", body={"access_token": None})
    yield answered("a body that is null", body=None)
    yield answered("an empty body", text="")
    yield answered("a list", body=["A1"])
    yield answered("a body that is no JSON", text="<html>")
    yield answered("status 401 with a body", status=401, body={"error": "invalid_grant"})
    yield answered("status 503 with a token", status=503, body={"access_token": "A1"})
    yield answered("status 300", status=300, body={"access_token": "A1"})
    yield answered("status 299", status=299, body={"access_token": "A1"})
    yield answered(
        "an outage page",
        status=503,
        text="<html>",
        differs=Differs(
            "a status of 300 or more counts before a body that is no JSON",
            {
                "link": [link(0, "fetch"), link(100, "handle_error", ["status 503", "a"])],
                "a": [checked("a", 0), failed("a", 100, "status 503")],
                "b": [checked("b", 50), failed("b", 100, "status 503")],
            },
        ),
    )
    yield answered(
        "a token beside data",
        body={"access_token": "A1", "data": {"user": 1}},
        differs=Differs(
            "a token beside `data` is found",
            {
                "link": [link(0, "fetch"), link(100, "handle_fetch", ["A1", "a"])],
                "a": [checked("a", 0), *sent("a", 100, "A1")],
                "b": [checked("b", 50), *sent("b", 100, "A1")],
            },
        ),
    )
    named = {"after": 100, "body": {"jwt": "A1"}}
    yield story("a field of another name", A, field="jwt", fetches=[named])
    pair = {"after": 100, "body": {"auth": {"token": "A1", "refresh_token": "R1"}}}
    yield story("a field that holds a pair", A, field="auth", fetches=[pair])
    nested = {"after": 100, "body": {"auth": {"token": "A1"}}}
    yield story("a response of the application's own", A, response={"path": ["auth", "token"]}, fetches=[nested])
    yield story("a reading that raises", A, op("b", 50), response={"raises": "not ours"})
