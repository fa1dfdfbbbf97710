"""The values and the predicate by which a classifier is told what a server does."""

import re
from functools import partial
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxlink.auth.answer import Answer
from rxlink.auth.classify import AuthErrorClassifier, is_auth_error
from rxlink.errors import CombinedGraphQLErrors, InvariantError, InvariantTypeError
from tests.auth.refusals import CODED, INVALID, LACKING, OTHER, answer_of, server_error


def named(value: object) -> str:
    """Return the name of a parameter; the same in each process, as the address of a function is not."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))


def has_secret(secret: str, answer: Answer) -> bool:
    return secret in answer.messages


class TestValues:
    @pytest.mark.parametrize(
        ("options", "answer"),
        [
            ({"statuses": {419}}, server_error(419)),
            ({"statuses": [HTTPStatus.FORBIDDEN]}, server_error(403)),
            ({"codes": ["invalid-jwt"]}, server_error(400, {"errors": [{"extensions": {"code": "invalid-jwt"}}]})),
            ({"codes": {"FORBIDDEN"}}, {"errors": [OTHER, {"extensions": {"code": "FORBIDDEN"}}]}),
            ({"codes": {4401}}, {"errors": [{"extensions": {"code": 4401}}]}),
            ({"messages": ("Login session expired.",)}, {"errors": [OTHER, {"message": "Login session expired."}]}),
            ({"messages": ["expired"]}, {"errors": ["expired"]}),
            ({"messages": [re.compile("EXPIRED", re.IGNORECASE)]}, {"errors": [{"message": "It has expired, sorry"}]}),
            ({"predicate": lambda answer: answer.status == 407}, server_error(407)),
            ({"predicate": lambda answer: "login" in answer.result["data"]}, {"data": {"login": "needed"}}),
        ],
        ids=named,
    )
    def test_each_works_alone(self, options: dict[str, Any], answer: Any) -> None:
        """E03, S22: the others are empty."""
        nothing: dict[str, Any] = {"statuses": (), "codes": (), "messages": ()}

        assert AuthErrorClassifier(**(nothing | options))(answer)
        assert not AuthErrorClassifier(**nothing)(answer)

    @pytest.mark.parametrize(
        "answer",
        [
            server_error(401),
            {"errors": [CODED]},
            {"errors": [{"message": "expired"}]},
            answer_of({"data": {}}, 498),
            {"data": {}},
        ],
        ids=named,
    )
    def test_all_work_together(self, answer: Any) -> None:
        """E03: what is not given stays the usual."""
        is_refused = AuthErrorClassifier(
            statuses={401, 498}, messages=["expired"], predicate=lambda seen: seen.result == {"data": {}}
        )

        assert is_refused(answer)

    @pytest.mark.parametrize("message", ["Login session expired. Bye", "login session expired.", "", None])
    def test_a_text_is_the_whole_message(self, message: Any) -> None:
        """S22."""
        assert not AuthErrorClassifier(messages=["Login session expired."])({"errors": [{"message": message}]})

    def test_what_was_given_may_change_afterwards(self) -> None:
        statuses = {419}
        is_refused = AuthErrorClassifier(statuses=statuses)

        statuses.clear()

        assert is_refused(server_error(419))
        assert is_refused == AuthErrorClassifier(statuses=[419])
        assert is_refused != AuthErrorClassifier()

    def test_its_repr_leaves_out_what_a_predicate_carries(self) -> None:
        """P7."""
        is_refused = AuthErrorClassifier(predicate=partial(has_secret, "planted"))

        assert "planted" not in repr(is_refused)


class TestPredicate:
    def test_gets_one_view_whichever_shape_the_answer_has(self) -> None:
        """S26, E02: a question that is answered with yes or no, and nobody loops or returns observables."""
        seen: list[Answer] = []
        is_refused = AuthErrorClassifier(predicate=lambda answer: bool(seen.append(answer)))

        for answer in ({"data": {}}, server_error(403), answer_of({"data": None}, 403)):
            assert is_refused(answer) is False

        assert [None, 403, 403] == [answer.status for answer in seen]

    def test_may_say_yes_where_the_values_never_do(self) -> None:
        """E05, E07: a lack of scopes, partial data, a success."""
        is_refused = AuthErrorClassifier(predicate=lambda answer: True)

        for answer in (server_error(403, challenge=LACKING), {"data": {"a": 1}, "errors": [CODED]}, {"data": {}}):
            assert is_refused(answer) is True

    def test_that_raises_takes_nothing_away_from_the_values(self) -> None:
        """E08: it is not asked about what they know; else what it raises is the caller's to report."""
        is_refused = AuthErrorClassifier(predicate=lambda answer: answer.result["nothing"])

        assert is_refused(server_error(401))
        with pytest.raises(KeyError):
            is_refused({"data": {}})


class TestPartialData:
    PARTIAL = {"data": {"viewer": None, "news": []}, "errors": [CODED]}  # noqa: RUF012 - nobody changes it

    @pytest.mark.parametrize(
        "answer",
        [PARTIAL, CombinedGraphQLErrors(PARTIAL), answer_of(PARTIAL, 401), answer_of(PARTIAL, 200, INVALID)],
        ids=named,
    )
    def test_is_retried_if_so_wanted(self, answer: Any) -> None:
        """E07: the policy decides, whatever it was that said no."""
        assert (False, True) == (is_auth_error(answer), AuthErrorClassifier(partial_data="retry")(answer))

    @pytest.mark.parametrize("status", [400, 401])
    def test_in_the_body_of_an_exception_is_delivered_to_nobody(self, status: int) -> None:
        """E07, E01: whoever asked gets no data from it, so there is none to keep."""
        assert is_auth_error(server_error(status, self.PARTIAL))


class TestWhichResultsNeedNoQuestion:
    def test_are_told_by_whether_there_is_a_predicate(self) -> None:
        assert AuthErrorClassifier(statuses=range(300, 600), partial_data="retry").looks_only_at_errors
        assert not AuthErrorClassifier(predicate=lambda answer: False).looks_only_at_errors

    @given(
        st.dictionaries(st.sampled_from(["data", "extensions"]), st.none() | st.dictionaries(st.text(), st.none())),
        st.none() | st.integers(200, 299),
        st.sampled_from([None, INVALID, LACKING]),
        st.sampled_from(["deliver", "retry"]),
    )
    def test_are_those_without_errors_and_with_no_other_status(
        self, result: dict[str, Any], status: int | None, challenge: str | None, partial_data: Any
    ) -> None:
        is_refused = AuthErrorClassifier(
            statuses=range(300, 600), codes={"x"}, messages=[re.compile("")], partial_data=partial_data
        )

        assert not is_refused(answer_of(result, status, challenge))


class TestBadOptions:
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"statuses": 401}, "`statuses` is 401; give a collection, such as {401, 419}"),
            ({"statuses": "401"}, "`statuses` is a str; give a collection"),
            ({"statuses": None}, "`statuses` is None; give a collection"),
            ({"statuses": ["401"]}, "`statuses` holds a str; give HTTP statuses"),
            ({"statuses": [True]}, "`statuses` holds a bool"),
            ({"codes": "UNAUTHENTICATED"}, "`codes` is a str; give a collection, such as {'UNAUTHENTICATED'}"),
            ({"codes": {"UNAUTHENTICATED": 1}}, "`codes` is a dict; give a collection"),
            ({"codes": [None]}, "`codes` holds None; give values"),
            ({"codes": [True]}, "`codes` holds a bool; give values"),
            ({"codes": [["a"]]}, "`codes` holds a list; give values"),
            ({"messages": "expired"}, "`messages` is a str; give a collection, such as ['Expired.']"),
            ({"messages": re.compile("a")}, "`messages` is a Pattern; give a collection"),
            ({"messages": [re.compile(b"a")]}, "`messages` holds a Pattern; give text"),
            ({"messages": [5]}, "`messages` holds an int; give text"),
            ({"predicate": "expired"}, "is a str; give a function of (answer), or None"),
            ({"predicate": lambda: True}, "takes other arguments"),
        ],
        ids=named,
    )
    def test_of_a_wrong_type_are_refused_by_name(self, options: dict[str, Any], words: str) -> None:
        with pytest.raises(InvariantTypeError, match=re.escape(words)):
            AuthErrorClassifier(**options)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"statuses": [200]}, "`statuses` holds 200; give statuses of failures, 300 to 599"),
            ({"statuses": [600]}, "`statuses` holds 600"),
            ({"codes": [""]}, "`codes` holds an empty text"),
            ({"messages": [""]}, "`messages` holds an empty text"),
            ({"partial_data": "keep"}, "`partial_data` is 'keep'; give 'deliver' or 'retry'"),
            ({"partial_data": None}, "`partial_data` is None; give"),
        ],
        ids=named,
    )
    def test_of_a_wrong_value_are_refused_by_name(self, options: dict[str, Any], words: str) -> None:
        with pytest.raises(InvariantError, match=re.escape(words)):
            AuthErrorClassifier(**options)

    def test_a_predicate_that_nobody_awaits_is_one(self) -> None:
        async def ask(answer: Answer) -> bool:
            return True

        with pytest.raises(InvariantTypeError, match="coroutine function"):
            AuthErrorClassifier(predicate=ask)  # type: ignore[arg-type]
