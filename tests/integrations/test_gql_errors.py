"""Which of gql's exceptions each error of rxlink becomes, and that the page says the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import gql
import pytest
from gql.transport import exceptions

from rxlink import errors
from rxlink.integrations._gql_errors import gql_error
from rxlink.integrations.gql import LinkTransport, TransportTimeout
from rxlink.testing import MockedResponse, MockLink

PAGE = Path(__file__).parents[2] / "docs" / "coming-from-gql.md"
ANSWER: dict[str, Any] = {"headers": {}, "body_text": "s3cret"}
UNTOUCHED = None

EXAMPLES: list[tuple[errors.RxlinkError, str | None, int | None]] = [
    (errors.AbortError("x"), "TransportError", None),
    (errors.AuthError("x"), "TransportConnectionFailed", None),
    (errors.BufferOverflow(max_buffer=1), "TransportError", None),
    (errors.ClientClosed("x"), "TransportClosed", None),
    (errors.CombinedGraphQLErrors({"errors": [{"message": "x"}]}), "TransportQueryError", None),
    (errors.CombinedProtocolErrors([{"message": "x"}]), "TransportServerError", None),
    (errors.InvalidStoredTokens("x", "y"), "TransportConnectionFailed", None),
    (errors.InvariantError("x"), UNTOUCHED, None),
    (errors.InvariantTypeError("x"), UNTOUCHED, None),
    (errors.NetworkError("x"), "TransportConnectionFailed", None),
    (errors.NetworkTimeout("x", seconds=1), "TransportTimeout", None),
    (errors.OperationCancelled("x"), "TransportConnectionFailed", None),
    (errors.ResponseTooLarge("x", limit=1), "TransportProtocolError", None),
    (errors.RxlinkError("x"), "TransportError", None),
    (errors.SerializationError(path="x", type_name="set", operation_name=None), "TransportError", None),
    (errors.ServerError("x", status_code=503, **ANSWER), "TransportServerError", 503),
    (errors.ServerError("x", status_code=200, **ANSWER), "TransportProtocolError", None),
    (errors.ServerParseError("x", status_code=500, **ANSWER), "TransportServerError", 500),
    (errors.ServerParseError("x", status_code=200, **ANSWER), "TransportProtocolError", None),
    (errors.SessionEnded(), "TransportServerError", 401),
    (errors.SocketClosed(1006), "TransportConnectionFailed", None),
    (errors.SocketClosed(4400), "TransportProtocolError", None),
    (errors.SocketClosed(4403), "TransportServerError", 4403),
    (errors.SocketClosed(4504), "TransportTimeout", None),
    (errors.TokenRefreshError("x", retryable=True), "TransportConnectionFailed", None),
    (errors.TokenRefreshTimeout(seconds=1), "TransportTimeout", None),
    (errors.TokenStorageError("loaded"), "TransportConnectionFailed", None),
    (errors.UploadError("x", path="y", operation_name=None), "TransportError", None),
]


def named(error: errors.RxlinkError) -> str:
    code = getattr(error, "status_code", getattr(error, "code", ""))
    return f"{type(error).__name__}-{code}".rstrip("-")


def test_all_of_rxlinks_errors_are_here() -> None:
    assert set(errors.__all__) == {type(error).__name__ for error, _, _ in EXAMPLES}


@pytest.mark.parametrize(("error", "kind", "code"), EXAMPLES, ids=[named(error) for error, _, _ in EXAMPLES])
async def test_an_error_becomes_one_of_gqls_with_its_cause(
    error: errors.RxlinkError, kind: str | None, code: int | None
) -> None:
    link = MockLink([MockedResponse(error=error)])

    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is asserted below
        async with gql.Client(transport=LinkTransport(link)) as session:
            await session.execute(gql.gql("{ a }"))

    if kind is UNTOUCHED:
        assert error is caught.value
        return
    assert (kind, code) == (type(caught.value).__name__, getattr(caught.value, "code", None))
    assert error is caught.value.__cause__
    assert str(error) in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_timeout_is_one_to_python_and_a_failed_connection_to_gql() -> None:
    made = gql_error(errors.NetworkTimeout("x", seconds=1))

    assert isinstance(made, TransportTimeout)
    assert isinstance(made, TimeoutError)
    assert isinstance(made, exceptions.TransportConnectionFailed)


@pytest.mark.parametrize(
    ("kind", "content_type", "expected"),
    [
        (errors.ServerParseError, "text/html", "Unexpected content-type: text/html: no JSON"),
        (errors.ServerParseError, "application/graphql-response+json", "no JSON"),
        (errors.ServerParseError, "multipart/mixed; boundary=-", "no JSON"),
        (errors.ServerParseError, "", "no JSON"),
        (errors.ServerError, "text/html", "no JSON"),  # it was JSON, and no result
    ],
)
def test_what_came_instead_of_json_is_named(kind: Any, content_type: str, expected: str) -> None:
    made = gql_error(kind("no JSON", status_code=200, headers={"content-type": content_type}, body_text="<p>"))

    assert f"Server did not return a valid GraphQL result: {expected}" == str(made)


def test_the_errors_of_a_result_go_along() -> None:
    result = {"errors": [{"message": "no"}], "data": {"a": None}, "extensions": {"cost": 1}}

    made = gql_error(errors.CombinedGraphQLErrors(result))

    assert isinstance(made, exceptions.TransportQueryError)
    assert (result["errors"], result["data"], result["extensions"]) == (made.errors, made.data, made.extensions)


def test_the_page_has_a_row_for_each_error_with_what_it_becomes() -> None:
    rows = re.findall(r"^\| (`.*?) \| (`?\w+`?.*?) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    said = {
        name: set(re.findall(r"`(Transport\w+)`", becomes))
        for left, becomes in rows
        for name in re.findall(r"`(\w+)`", left)
        if name in errors.__all__
    }

    expected: dict[str, set[str]] = {}
    for error, kind, _ in EXAMPLES:
        expected.setdefault(type(error).__name__, set()).update({kind} if kind else set())
    assert expected == said
