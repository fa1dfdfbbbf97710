"""Which failure means that the access token is no longer accepted."""

from typing import Any

import pytest

from rxlink.auth.answer import Answer
from rxlink.auth.classify import is_auth_error
from rxlink.errors import ClientClosed, CombinedGraphQLErrors, NetworkError, ServerError, ServerParseError
from tests.auth.refusals import CODED, INVALID, LACKING, OTHER, answer_of, server_error


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


class TestBothShapesOfA401:
    @pytest.mark.parametrize("body", [{"errors": [OTHER]}, {"data": None}, {"data": {"a": None}}, {"errors": "x"}])
    def test_are_refused_alike(self, body: dict[str, Any]) -> None:
        """E01, E02: an exception or a result, depending on the content type; with errors or without."""
        assert (True, True) == (is_auth_error(answer_of(body, 401)), is_auth_error(server_error(401, body)))

    @pytest.mark.parametrize("status", [200, 400, 403, 500])
    def test_no_other_status_is_one_of_them(self, status: int) -> None:
        """E04: also not 403."""
        body = {"data": None, "errors": [OTHER]}

        assert (False, False) == (is_auth_error(answer_of(body, status)), is_auth_error(server_error(status, body)))

    def test_a_body_that_is_no_json_changes_nothing(self) -> None:
        """E01: a proxy's page with the type of a GraphQL response."""
        assert is_auth_error(ServerParseError("no", status_code=401, headers={}, body_text="<html>"))

    def test_what_came_without_a_response_has_no_status(self) -> None:
        assert not is_auth_error(Answer.of({"data": None}))


class TestChallenges:
    @pytest.mark.parametrize("status", [200, 400, 403])
    def test_invalid_token_is_an_auth_error_whatever_the_status(self, status: int) -> None:
        """E05: RFC 6750 wants 401 with it, and servers send others."""
        result = {"data": None, "errors": [OTHER]}

        assert is_auth_error(server_error(status, challenge=INVALID))
        assert is_auth_error(answer_of(result, status, INVALID))

    @pytest.mark.parametrize("status", [200, 401, 403])
    def test_insufficient_scope_is_none_whatever_else_is_said(self, status: int) -> None:
        """E05: a refresh cannot widen a scope."""
        refused = {"data": None, "errors": [CODED]}

        for challenge in (LACKING, f"{INVALID}, {LACKING}", 'Bearer error="insufficient_scope"'):
            assert not is_auth_error(server_error(status, refused, challenge))
            assert not is_auth_error(answer_of(refused, status, challenge))
        assert not is_auth_error(ServerError("", status_code=401, headers={}, body_text="", required_scopes=["admin"]))

    def test_a_challenge_without_an_error_says_nothing(self) -> None:
        """E04."""
        assert not is_auth_error(server_error(403, challenge='Bearer realm="a"'))

    def test_a_success_is_one_whatever_its_headers_say(self) -> None:
        assert not is_auth_error(answer_of({"data": {"a": None}}, 200, INVALID))
