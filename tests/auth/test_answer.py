"""One view of what an operation was answered, whichever shape it came in."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from graphql import GraphQLError
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from rxlink.auth.answer import Answer
from rxlink.auth.classify import AuthErrorClassifier, is_auth_error
from rxlink.core.operation import GraphQLRequest, Operation
from rxlink.errors import (
    CombinedGraphQLErrors,
    CombinedProtocolErrors,
    NetworkError,
    RxlinkError,
    ServerError,
    ServerParseError,
)

CODED = {"message": "no", "extensions": {"code": "UNAUTHENTICATED"}}
PLANTED = "planted-secret"


class StartFailedError(Exception):
    """What a WebSocket library raises: what it was told, as `extensions`."""

    extensions = {"code": "start-failed"}  # noqa: RUF012 - as such libraries have it
    message = "Start failed."


class HandshakeError(Exception):
    """What an HTTP library raises: status and headers of its own."""

    status = 401
    headers = {"WWW-Authenticate": "Bearer"}  # noqa: RUF012 - as such libraries have it


def operation(**context: Any) -> Operation:
    return Operation(GraphQLRequest("{ a }", context=context))


def answered(status: object, headers: object = None) -> Operation:
    """An operation in whose context a transport has put a response."""
    return operation(response=SimpleNamespace(status=status, headers=headers))


def server_error(status: int = 401, result: Any = None, **headers: str) -> ServerError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ServerError("no", status_code=status, headers=named, body_text=PLANTED, result=result)


@pytest.mark.parametrize(
    "answer",
    [
        {"errors": [None, CODED, "text"]},
        server_error(result={"errors": [None, CODED, "text"]}),
        CombinedGraphQLErrors({"errors": [None, CODED, "text"]}),
        CombinedProtocolErrors([None, CODED, "text"]),
    ],
    ids=lambda answer: type(answer).__name__,
)
def test_errors_are_found_in_every_shape(answer: Any) -> None:
    """E02, S12, S18: a result, the body of an exception, a list that is an exception."""
    seen = Answer.of(answer)

    assert ((CODED,), ("UNAUTHENTICATED",), ("no", "text")) == (seen.errors, seen.codes, seen.messages)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (StartFailedError(), "start-failed", "Start failed."),
        (GraphQLError("no", extensions={"code": "UNAUTHENTICATED"}), "UNAUTHENTICATED", "no"),
    ],
    ids=repr,
)
def test_an_exception_with_extensions_is_an_error_itself(error: Exception, code: str, message: str) -> None:
    """S18: no `graphQLErrors`, and a network error in their place."""
    seen = Answer.of(error)

    assert ((code,), (message,), error) == (seen.codes, seen.messages, seen.error)


def test_an_exception_of_another_library_has_its_own_status_and_headers() -> None:
    """S18, E01."""
    seen = Answer.of(HandshakeError())

    assert (401, ["bearer"]) == (seen.status, [challenge.scheme for challenge in seen.challenges])


@pytest.mark.parametrize("make", [ServerError, ServerParseError])
def test_our_errors_say_what_the_server_said(make: type[Exception]) -> None:
    """E01: names of headers in lower case, whoever made the error."""
    error = make("no", status_code=403, headers={"X-A": "b"}, body_text="")  # type: ignore[call-arg]

    seen = Answer.of(error)

    assert (403, {"x-a": "b"}, None, error) == (seen.status, seen.headers, seen.result, seen.error)


def test_a_result_has_the_status_and_the_headers_of_its_response() -> None:
    """E02: a 401 of `application/graphql-response+json` is a result; of a header that came twice both count."""
    headers = CIMultiDictProxy(CIMultiDict([("WWW-Authenticate", "Basic"), ("www-authenticate", "Bearer a=b")]))
    result: dict[str, Any] = {"data": None}

    seen = Answer.of(result, answered(401, headers))

    assert (401, {"www-authenticate": "Basic, Bearer a=b"}) == (seen.status, seen.headers)
    assert ["basic", "bearer"] == [challenge.scheme for challenge in seen.challenges]
    assert (result, None) == (seen.result, seen.error)


@pytest.mark.parametrize(
    "error", [NetworkError("reset"), ConnectionResetError(), CombinedGraphQLErrors({"errors": []}), RxlinkError()],
    ids=repr,
)  # fmt: skip
def test_an_exception_has_nothing_of_an_earlier_attempts_response(error: Exception) -> None:
    """S09: the connection was reset on the second attempt; that the first was a 401 is over."""
    earlier = answered(401, {"www-authenticate": 'Bearer error="invalid_token"'})

    seen = Answer.of(error, earlier)

    assert (None, {}, False) == (seen.status, seen.headers, is_auth_error(seen))


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"response": None},
        {"response": "401"},
        {"response": SimpleNamespace(status="401", headers="x")},
        {"response": SimpleNamespace(status=True, headers={1: "a", "b": 2})},
    ],
    ids=str,
)
def test_a_context_may_hold_anything_as_its_response(context: dict[str, Any]) -> None:
    seen = Answer.of({"data": None}, operation(**context))

    assert (None, {}) == (seen.status, seen.headers)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"data": {"a": None, "b": 0}}, True),
        ({"data": {"a": None}}, False),
        ({}, False),
        (server_error(result={"data": {"a": 1}}), True),
        (CombinedGraphQLErrors({"data": {"a": 1}, "errors": []}), True),
        (CombinedProtocolErrors([]), False),
        (NetworkError("reset"), False),
    ],
    ids=str,
)
def test_data_is_seen_wherever_it_stands(answer: Any, expected: bool) -> None:
    """E07."""
    assert expected is Answer.of(answer).has_data


@pytest.mark.parametrize(
    ("status", "answer", "expected"),
    [
        (None, {"data": {}}, True),
        (200, {"data": None}, True),
        (299, {"data": {}, "errors": []}, True),
        (300, {"data": {}}, False),
        (199, {"data": {}}, False),
        (200, {"data": {}, "errors": [None]}, False),
        (200, {"data": {}, "errors": "text"}, True),
        (200, NetworkError("reset"), False),
    ],
    ids=str,
)
def test_a_success_is_a_result_without_errors_and_without_another_status(
    status: int | None, answer: Any, expected: bool
) -> None:
    assert expected is Answer.of(answer, answered(status)).is_success


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (server_error(403, www_authenticate='Bearer error="insufficient_scope", scope="a b"'), ("a", "b")),
        (server_error(403, www_authenticate='Bearer error="invalid_token", scope="a b"'), ()),
        (ServerError("no", status_code=403, headers={}, body_text="", required_scopes=["a"]), ("a",)),
        (NetworkError("reset"), ()),
    ],
    ids=repr,
)
def test_the_scopes_that_the_token_lacks_are_at_hand(error: Exception, expected: tuple[str, ...]) -> None:
    """E05."""
    assert expected == Answer.of(error).required_scopes


def test_codes_are_text_or_numbers() -> None:
    """S12, E03: and nothing that is neither, such as true, which equals 1."""
    codes = ["a", 401, True, None, 4.5, [], {}]

    seen = Answer.of({"errors": [{"extensions": {"code": code}} for code in codes]})

    assert ("a", 401) == seen.codes


def test_its_repr_shows_status_and_codes_and_nothing_else() -> None:
    """E98, P7."""
    body = {"data": {"a": PLANTED}, "errors": [{**CODED, "message": PLANTED}]}

    assert "<Answer status=401 codes=('UNAUTHENTICATED',)>" == repr(Answer.of(server_error(result=body, x=PLANTED)))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
extensions = anything | st.fixed_dictionaries({"code": anything})
error_likes = st.fixed_dictionaries({}, optional={"message": anything, "extensions": extensions})
results = st.fixed_dictionaries(
    {}, optional={"data": anything, "errors": anything | st.lists(anything | error_likes, max_size=3)}
)
headers = st.dictionaries(st.sampled_from(["WWW-Authenticate", "x"]), st.text(), max_size=2)


def shapes(result: dict[str, Any], status: int, named: dict[str, str]) -> Iterator[Answer]:
    """All shapes in which the same answer may come."""
    yield Answer.of(result)
    yield Answer.of(result, answered(status, named))
    yield Answer.of(ServerError("no", status_code=status, headers=named, body_text="", result=result))
    if isinstance(result.get("errors"), list):
        yield Answer.of(CombinedGraphQLErrors(result))
        yield Answer.of(CombinedProtocolErrors(result["errors"]))


@given(results, st.sampled_from([200, 401, 500]), headers)
def test_nothing_that_a_server_sends_makes_anybody_raise(
    result: dict[str, Any], status: int, named: dict[str, str]
) -> None:
    """S12: errors that are null, text or lists, extensions that are null, headers that are junk."""
    eager = AuthErrorClassifier(messages=["x"], predicate=lambda answer: bool(answer.messages), partial_data="retry")

    for seen in shapes(result, status, named):
        assert all(isinstance(error, dict) for error in seen.errors)
        assert all(isinstance(text, str) for text in seen.messages)
        assert repr(seen)
        assert {is_auth_error(seen), eager(seen)} <= {True, False}
