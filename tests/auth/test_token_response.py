"""What the default handle_response makes of an answer, and where in it the token is."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxlink.auth.token_response import parse_and_check_response, token_in
from rxlink.core.operation import Operation
from rxlink.errors import CombinedGraphQLErrors, ServerError, ServerParseError, TokenRefreshError
from tests.auth.scripted import request
from tests.auth.token_desk import Answer

SECRET = "planted-secret"
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


async def read(answer: object) -> Any:
    return await parse_and_check_response(Operation(request()), "access_token")(answer)


class TestReading:
    @pytest.mark.parametrize("status", [200, 204, 299])
    async def test_a_response_is_its_body(self, status: int) -> None:
        assert {"access_token": "A1"} == await read(Answer(status, '{"access_token": "A1"}'))

    @pytest.mark.parametrize(
        "answer",
        [{"access_token": "A1"}, "A1", None, [1], SimpleNamespace(status=401), SimpleNamespace(status="401", text=str)],
    )
    async def test_what_is_no_response_is_the_body_already(self, answer: Any) -> None:
        assert answer == await read(answer)

    async def test_an_empty_body_holds_nothing(self) -> None:
        assert {} == await read(Answer(200, ""))

    @pytest.mark.parametrize("status", [300, 401, 503])
    @pytest.mark.parametrize(
        ("text", "result"), [('{"error": "invalid_grant"}', {"error": "invalid_grant"}), ("<html>", None), ("[]", None)]
    )
    async def test_a_status_of_300_or_more_is_an_error_with_what_came(
        self, status: int, text: str, result: Any
    ) -> None:
        with pytest.raises(ServerError) as raised:
            await read(Answer(status, text))

        error = raised.value
        assert (status, text, result, {"retry-after": "7"}) == (
            error.status_code,
            error.body_text,
            error.result,
            error.headers,
        )
        assert (status == 503) == error.retryable

    async def test_a_body_that_is_no_json_is_an_error_without_its_text(self) -> None:
        with pytest.raises(ServerParseError) as raised:
            await read(Answer(200, SECRET))

        assert isinstance(raised.value.__cause__, json.JSONDecodeError)
        assert SECRET not in f"{raised.value}{raised.value!r}"


class TestLookingForTheToken:
    @pytest.mark.parametrize(
        ("body", "token"),
        [
            ({"access_token": "A1"}, "A1"),
            ({"data": {"access_token": "A1"}}, "A1"),
            ({"data": {"access_token": "A1"}, "access_token": "A2"}, "A1"),
            ({"data": {"user": 1}, "access_token": "A1"}, "A1"),
            ({"data": None, "access_token": "A1"}, "A1"),
            ({"data": [1], "access_token": "A1"}, "A1"),
            ({"access_token": {}}, {}),
            ({"access_token": {"token": "A1"}}, {"token": "A1"}),
            ("A1", "A1"),
        ],
    )
    def test_it_is_found(self, body: Any, token: Any) -> None:
        assert token == token_in(body, "access_token")

    @pytest.mark.parametrize(
        "body",
        [
            None,
            "",
            [],
            ["A1"],
            5,
            {},
            {"token": "A1"},
            {"data": {}},
            {"data": {"access_token": None}, "access_token": "A1"},
            {"access_token": ""},
            {"access_token": None},
            {"access_token": False},
        ],
    )
    def test_it_is_missing(self, body: Any) -> None:
        with pytest.raises(TokenRefreshError, match="holds no 'access_token'; name the field") as raised:
            token_in(body, "access_token")

        assert (False, None) == (raised.value.retryable, raised.value.__cause__)

    @pytest.mark.parametrize(("body", "named"), [({}, "token refresh holds"), ([], r"token refresh \(a list\) holds")])
    def test_the_kind_of_what_came_is_told_where_it_cannot_hold_one(self, body: Any, named: str) -> None:
        with pytest.raises(TokenRefreshError, match=named):
            token_in(body, "access_token")

    def test_the_errors_of_a_graphql_result_say_why(self) -> None:
        with pytest.raises(TokenRefreshError) as raised:
            token_in({"data": None, "errors": [{"message": "revoked"}]}, "access_token")

        assert "the token refresh was answered with errors: revoked" in str(raised.value)
        assert isinstance(raised.value.__cause__, CombinedGraphQLErrors)
        assert "revoked" == str(raised.value.__cause__)

    def test_what_else_the_body_holds_is_not_printed(self) -> None:
        with pytest.raises(TokenRefreshError) as raised:
            token_in({"refresh_token": SECRET}, "access_token")

        assert SECRET not in f"{raised.value}{raised.value!r}"

    @given(body=json_values, field=st.text(min_size=1))
    def test_any_json_holds_a_token_or_ends_with_that_error(self, body: Any, field: str) -> None:
        try:
            token = token_in(body, field)
        except TokenRefreshError:
            return
        assert token not in (None, "")
