"""The handlers of both formats, and the one that takes any: piece by piece."""

from typing import Any

import pytest

from rxlink import Defer20220824Handler, GraphQL17Alpha9Handler, GraphQLRequest
from rxlink.core.documents import document_of, parse_document
from rxlink.incremental.detecting import DetectingHandler
from rxlink.incremental.merging import BadIncrement

HANDLERS = {"2022": Defer20220824Handler, "v0.2": GraphQL17Alpha9Handler, "any": DetectingHandler}
OF_2022 = pytest.mark.parametrize("handler", ["2022", "any"])
OF_V0_2 = pytest.mark.parametrize("handler", ["v0.2", "any"])


def results_of(handler: str, *chunks: dict[str, Any]) -> list[Any]:
    request = HANDLERS[handler]().start_request()
    return [request.handle({"hasNext": True, **chunk}) for chunk in chunks]


class TestAnyFormat:
    @pytest.mark.parametrize("handler", HANDLERS)
    def test_the_first_payload_is_the_result_so_far(self, handler: str):
        first = {"data": {"a": 1}, "errors": [{"message": "no"}], "extensions": {"x": 1}}

        assert [first] == results_of(handler, first)

    @pytest.mark.parametrize("handler", HANDLERS)
    def test_a_payload_without_data_has_none(self, handler: str):
        assert [{"errors": [{"message": "no"}]}] == results_of(
            handler, {"errors": [{"message": "no"}], "hasNext": False}
        )

    @pytest.mark.parametrize("handler", HANDLERS)
    def test_null_as_data_stays(self, handler: str):
        assert [{"data": None}, {"data": None}] == results_of(handler, {"data": None}, {"hasNext": False})

    @pytest.mark.parametrize("handler", HANDLERS)
    def test_what_is_empty_or_null_says_nothing(self, handler: str):
        nothing = {"incremental": None, "errors": None, "extensions": None}

        assert [{"data": {}}, {"data": {}}] == results_of(handler, {"data": {}}, nothing)

    @pytest.mark.parametrize("handler", HANDLERS)
    @pytest.mark.parametrize("has_next", [None, 1, "true"])
    def test_has_next_is_a_boolean(self, handler: str, has_next: Any):
        with pytest.raises(BadIncrement, match="its `hasNext` is neither true nor false"):
            results_of(handler, {"hasNext": has_next})

    @pytest.mark.parametrize("handler", HANDLERS)
    @pytest.mark.parametrize("entries", [{}, [1], "a"])
    def test_entries_are_a_list_of_objects(self, handler: str, entries: Any):
        with pytest.raises(BadIncrement, match="its `incremental` is no list of objects"):
            results_of(handler, {"data": {}}, {"incremental": entries})

    @pytest.mark.parametrize(
        ("query", "is_incremental"),
        [
            ("{ a }", False),
            ("{ a @include(if: true) }", False),
            ("{ ... @defer { a } }", True),
            ("{ a @stream }", True),
            ("{ ...F } fragment F on Query { ... @defer(if: false) { a } }", True),
        ],
    )
    def test_documents_know_whether_they_ask_for_it(self, query: str, is_incremental: bool):
        assert is_incremental == document_of(parse_document(GraphQLRequest(query).query)).is_incremental


class TestFormatWithPaths:
    @OF_2022
    def test_data_goes_to_its_path(self, handler: str):
        entry = {"path": ["hero", "friends", 1], "label": "L", "data": {"age": 2}, "extensions": {"x": 1}}

        _, result = results_of(
            handler, {"data": {"hero": {"friends": [{}, {"name": "Leia"}]}}}, {"incremental": [entry]}
        )

        assert {
            "data": {"hero": {"friends": [{}, {"name": "Leia", "age": 2}]}},
            "extensions": {"x": 1},
        } == result

    @OF_2022
    def test_data_without_a_path_is_for_the_root(self, handler: str):
        assert {"data": {"a": 1, "b": 2}} == results_of(
            handler, {"data": {"a": 1}}, {"incremental": [{"data": {"b": 2}}]}
        )[1]

    @OF_2022
    def test_items_go_to_their_index_and_are_merged_with_what_is_there(self, handler: str):
        chunks = [
            {"data": {"list": [{"a": 0}, {"a": 1}]}},
            {"incremental": [{"path": ["list", 1], "items": [{"b": 1}, {"b": 2}]}]},
            {"incremental": [{"path": ["list", 3], "items": []}]},
        ]

        assert {"data": {"list": [{"a": 0}, {"a": 1, "b": 1}, {"b": 2}]}} == results_of(handler, *chunks)[-1]

    @OF_2022
    def test_a_fragment_that_failed_leaves_its_errors(self, handler: str):
        failed = {"path": ["hero"], "data": None, "errors": [{"message": "no"}]}

        _, result = results_of(handler, {"data": {"hero": {"name": "R2"}}}, {"incremental": [failed]})

        assert {"data": {"hero": {"name": "R2"}}, "errors": [{"message": "no"}]} == result

    @OF_2022
    def test_a_list_that_failed_gets_no_more_items(self, handler: str):
        chunks = [
            {"data": {"list": ["a"]}},
            {"incremental": [{"path": ["list", 1], "items": None, "errors": [{"message": "no"}]}]},
            {"incremental": [{"path": ["list", 2], "items": ["c"]}]},
        ]

        assert {"data": {"list": ["a"]}, "errors": [{"message": "no"}]} == results_of(handler, *chunks)[-1]

    @OF_2022
    @pytest.mark.parametrize(
        ("entry", "message"),
        [
            ({"path": "a", "data": {}}, "the `path` of an entry is no list"),
            ({"path": [True], "data": {}}, "the `path` of an entry is no list"),
            ({"path": [-1], "data": {}}, "the `path` of an entry is no list"),
            ({"path": ["list"], "items": []}, "does not end with an index"),
            ({"path": [], "items": []}, "does not end with an index"),
            ({"path": ["list", 5], "items": []}, "no list that is long enough"),
            ({"path": ["list", 0], "items": {}}, "its `items` are no list"),
            ({"path": ["other", 0], "items": []}, "no list that is long enough"),
        ],
    )
    def test_what_does_not_fit_is_an_error(self, handler: str, entry: dict[str, Any], message: str):
        with pytest.raises(BadIncrement, match=message):
            results_of(handler, {"data": {"list": []}}, {"incremental": [entry]})

    @pytest.mark.parametrize("chunk", [{"pending": []}, {"completed": [{"id": "0"}]}])
    def test_its_own_handler_takes_no_other(self, chunk: dict[str, Any]):
        with pytest.raises(BadIncrement, match=r"in the format v0\.2, and the link asks for that of August 2022"):
            results_of("2022", chunk)


class TestFormatWithIds:
    @OF_V0_2
    def test_data_goes_to_what_is_pending_and_below(self, handler: str):
        chunks = [
            {"data": {"hero": {}}, "pending": [{"id": "0", "path": ["hero"]}]},
            {
                "incremental": [
                    {"id": "0", "data": {"friends": [{}, {}]}},
                    {"id": "0", "subPath": ["friends", 1], "data": {"a": 1}},
                ]
            },
        ]

        assert {"data": {"hero": {"friends": [{}, {"a": 1}]}}} == results_of(handler, *chunks)[-1]

    @OF_V0_2
    def test_items_go_to_the_end_of_their_list_however_that_came(self, handler: str):
        chunks = [
            {"data": {}, "pending": [{"id": "0", "path": []}]},
            {
                "pending": [{"id": "1", "path": ["a", "list"]}],
                "incremental": [{"id": "0", "data": {"a": {"list": [1]}}}, {"id": "1", "items": [2]}],
            },
            {"incremental": [{"id": "1", "items": [3, 4]}], "completed": [{"id": "0"}, {"id": "1"}]},
        ]

        assert {"data": {"a": {"list": [1, 2, 3, 4]}}} == results_of(handler, *chunks)[-1]

    @OF_V0_2
    def test_what_completes_with_errors_leaves_them(self, handler: str):
        chunks = [
            {"data": {"a": 1}, "pending": [{"id": "0", "path": []}]},
            {"completed": [{"id": "0", "errors": [{"message": "no"}]}], "hasNext": False},
        ]

        results = results_of(handler, *chunks)

        assert {"data": {"a": 1}, "errors": [{"message": "no"}]} == results[-1]
        assert [(), ({"message": "no"},)] == [result.new_errors for result in results]

    @OF_V0_2
    @pytest.mark.parametrize(
        ("chunk", "message"),
        [
            ({"incremental": [{"id": "9", "data": {}}]}, "an id that is not pending"),
            ({"incremental": [{"id": "0", "data": {}, "subPath": "a"}]}, "the `subPath` of an entry"),
            ({"incremental": [{"id": "0", "items": {}}]}, "its `items` are no list"),
            (
                {"incremental": [{"id": "0", "subPath": ["a"], "items": []}]},
                "step 2 of a path leads to where nothing is",
            ),
            ({"incremental": [{"id": 0, "data": {}}]}, "an entry has no id"),
            ({"pending": [{"path": []}]}, "an entry has no id"),
            ({"pending": [{"id": "1", "path": {}}]}, "the `path` of an entry"),
            ({"completed": [{}]}, "an entry has no id"),
        ],
    )
    def test_what_does_not_fit_is_an_error(self, handler: str, chunk: dict[str, Any], message: str):
        with pytest.raises(BadIncrement, match=message):
            results_of(handler, {"data": {"list": []}, "pending": [{"id": "0", "path": ["list"]}]}, chunk)

    def test_its_own_handler_takes_no_other(self):
        with pytest.raises(BadIncrement, match=r"the format is not v0\.2, which the link asks for"):
            results_of("v0.2", {"data": {}}, {"incremental": [{"path": [], "data": {}}]})


def test_strawberrys_mixture_is_read_by_its_ids():
    chunks = [
        {"data": {"list": ["a"]}, "pending": [{"id": "0", "path": ["list"], "label": None}], "extensions": None},
        {"incremental": [{"id": "0", "path": ["list"], "label": None, "items": ["b"]}], "completed": [{"id": "0"}]},
    ]

    assert {"data": {"list": ["a", "b"]}} == results_of("any", *chunks)[-1]
