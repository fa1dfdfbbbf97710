"""Which failure means that the access token is no longer accepted."""

from typing import Any

import pytest

from rxlink.auth.classify import is_auth_error
from rxlink.errors import ClientClosed, CombinedGraphQLErrors, NetworkError, ServerError

CODED = {"message": "no", "extensions": {"code": "UNAUTHENTICATED"}}
OTHER = {"message": "no", "extensions": {"code": "BAD_USER_INPUT"}}


def server_error(status: int, result: dict[str, Any] | None = None) -> ServerError:
    return ServerError("no", status_code=status, headers={}, body_text="no", result=result)


@pytest.mark.parametrize(
    "answer",
    [
        {"errors": [CODED]},
        {"errors": [CODED], "data": None},
        {"errors": [CODED], "data": {"viewer": None, "other": None}},
        {"errors": [CODED], "data": {}},
        {"errors": [OTHER, CODED]},
        {"errors": [CODED, OTHER]},
        {"errors": [None, "text", CODED]},
    ],
    ids=str,
)
def test_the_code_counts_wherever_it_stands_in_the_list(answer: dict[str, Any]) -> None:
    """S11, S26, E03: a question about the result, and nobody loops over errors himself."""
    assert is_auth_error(answer)


@pytest.mark.parametrize(
    "answer",
    [
        server_error(401),
        server_error(401, {"errors": [OTHER]}),
        server_error(400, {"errors": [CODED]}),
        server_error(403, {"errors": [CODED]}),
        server_error(200, {"errors": [OTHER, CODED], "data": None}),
    ],
    ids=lambda error: f"{error.status_code} {error.result}",
)
def test_status_and_errors_are_both_seen_where_the_transport_raised(answer: ServerError) -> None:
    """E01, E02, E03: HTTP 401 whatever the body, and the code whatever the status."""
    assert is_auth_error(answer)


@pytest.mark.parametrize(
    "answer",
    [
        {"data": {"viewer": {}}},
        {"data": None},
        {},
        {"errors": None},
        {"errors": []},
        {"errors": {}},
        {"errors": "UNAUTHENTICATED"},
        {"errors": [{"message": "x"}]},
        {"errors": [{"message": "x", "extensions": None}]},
        {"errors": [{"message": "x", "extensions": "UNAUTHENTICATED"}]},
        {"errors": [{"message": "x", "extensions": ["code", "UNAUTHENTICATED"]}]},
        {"errors": [{"message": "UNAUTHENTICATED", "extensions": {"code": None}}]},
        {"errors": [{"message": "x", "code": "UNAUTHENTICATED"}]},
        {"errors": [None, 5, "text", []]},
    ],
    ids=str,
)
def test_errors_of_any_shape_are_no_accident(answer: dict[str, Any]) -> None:
    """S12: errors without extensions, extensions that are null, and what else servers send."""
    assert not is_auth_error(answer)


@pytest.mark.parametrize(
    "answer",
    [
        {"errors": [{"message": "no", "extensions": {"code": "FORBIDDEN"}}]},
        server_error(403),
        server_error(403, {"errors": [{"message": "no", "extensions": {"code": "FORBIDDEN"}}]}),
    ],
    ids=str,
)
def test_permission_denied_is_none_of_it(answer: Any) -> None:
    """E04: a new token would not help."""
    assert not is_auth_error(answer)


@pytest.mark.parametrize(
    "error",
    [
        NetworkError("reset"),
        ConnectionResetError(),
        server_error(500),
        server_error(503),
        ClientClosed("x"),
        ValueError(),
    ],
    ids=repr,
)
def test_plain_failures_are_none_of_it(error: Exception) -> None:
    """S09."""
    assert not is_auth_error(error)


@pytest.mark.parametrize("data", [{"viewer": None, "news": []}, {"news": 0}, {"ok": False}, {"name": ""}, "scalar", []])
def test_partial_data_is_delivered_as_it_is(data: Any) -> None:
    """E07: the default; falsy values are data too."""
    assert not is_auth_error({"errors": [CODED], "data": data})


@pytest.mark.parametrize("data", [None, {"viewer": None}, {"viewer": {"name": "Ada"}}, {"viewer": None, "other": 0}])
def test_the_errors_of_a_result_as_one_exception_are_judged_as_the_result(data: Any) -> None:
    """An error link hands on what it was told instead of the result: partial data is no refusal either way."""
    result = {"data": data, "errors": [CODED]}

    assert is_auth_error(result) is is_auth_error(CombinedGraphQLErrors(result))


@pytest.mark.parametrize(
    "answer", [OSError(), NetworkError("reset"), server_error(500), {"errors": [None]}, {"data": {}}]
)
def test_the_answer_is_a_bool_for_whoever_combines_it(answer: Any) -> None:
    assert is_auth_error(answer) is False
