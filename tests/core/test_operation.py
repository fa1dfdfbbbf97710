"""Operations: what a request becomes, and the context that links talk through."""

import copy
import gc
import pickle

import pytest
from graphql import parse

from rxlink.core.documents import OperationType
from rxlink.core.operation import GraphQLRequest, Operation
from rxlink.errors import InvariantError, InvariantTypeError


def operation(**parts):
    return Operation(GraphQLRequest("query Viewer { viewer }", **parts))


class TestParts:
    @pytest.mark.parametrize(
        ("text", "name", "kind"),
        [
            ("{ a }", None, OperationType.QUERY),
            ("query Q { a }", "Q", OperationType.QUERY),
            ("mutation M { a }", "M", OperationType.MUTATION),
            ("subscription S { a }", "S", OperationType.SUBSCRIPTION),
        ],
    )
    @pytest.mark.parametrize("form", [str, parse])
    def test_name_and_type_come_from_the_document(self, text, name, kind, form):
        made = Operation(GraphQLRequest(form(text)))

        assert (name, kind) == (made.operation_name, made.operation_type)

    def test_the_name_chooses_among_several(self):
        made = Operation(GraphQLRequest("query A { a } mutation B { b }", operation_name="B"))

        assert ("B", OperationType.MUTATION) == (made.operation_name, made.operation_type)

    def test_are_copies_that_a_link_may_change(self):
        given = {"variables": {"v": 1}, "extensions": {"e": 2}, "context": {"c": 3}}
        made = operation(**given)

        made.variables["v"] = made.extensions["e"] = 0
        made.set_context({"c": 0})

        assert {"variables": {"v": 1}, "extensions": {"e": 2}, "context": {"c": 3}} == given

    def test_are_empty_where_nothing_was_given(self):
        made = operation()

        assert ({}, {}, {}) == (made.variables, made.extensions, dict(made.get_context()))

    @pytest.mark.parametrize("part", ["variables", "extensions", "context"])
    def test_of_the_wrong_type_are_named(self, part):
        with pytest.raises(TypeError, match=f"`{part}` is a list; give a mapping") as failure:
            operation(**{part: ["a"]})

        assert isinstance(failure.value, InvariantError)


class TestContext:
    def test_is_merged_shallowly(self):
        made = operation(context={"a": 1, "headers": {"x": 1}})

        made.set_context({"headers": {"y": 2}, "b": 3})

        assert {"a": 1, "headers": {"y": 2}, "b": 3} == dict(made.get_context())

    def test_can_be_changed_by_a_function_of_what_it_was(self):
        made = operation(context={"headers": {"x": 1}})

        made.set_context(lambda context: {"headers": {**context["headers"], "y": 2}})

        assert {"headers": {"x": 1, "y": 2}} == dict(made.get_context())

    def test_once_handed_out_stays_as_it_was_and_cannot_be_written(self):
        made = operation(context={"a": 1})
        before = made.get_context()

        made.set_context({"a": 2})

        assert (1, 2) == (before["a"], made.get_context()["a"])
        with pytest.raises(TypeError):
            before["a"] = 3

    @pytest.mark.parametrize("update", ["text", None, lambda context: None, lambda context: [1]])
    def test_refuses_what_is_no_mapping_and_stays(self, update):
        made = operation(context={"a": 1})

        with pytest.raises(InvariantTypeError, match=r"set_context got .*give a mapping"):
            made.set_context(update)

        assert {"a": 1} == dict(made.get_context())


class TestRepr:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [("{ a }", "<Operation query (anonymous)>"), ("mutation M { a }", "<Operation mutation M>")],
    )
    def test_names_the_operation(self, text, shown):
        assert shown == repr(Operation(GraphQLRequest(text)))

    def test_shows_no_variables_and_no_context(self):
        made = operation(variables={"password": "planted"}, context={"headers": "planted"}, extensions={"x": "planted"})

        assert "planted" not in repr(made)


def test_an_operation_can_be_sent_again_until_it_is_spent():
    operation = Operation(GraphQLRequest("{ a }"))
    before = operation.is_spent

    operation.spend()

    assert (False, True) == (before, operation.is_spent)


@pytest.mark.parametrize("name", [5, {"headers": {}}, b"Q"])
def test_a_name_that_is_no_text_is_refused(name):
    with pytest.raises(InvariantTypeError, match=r"`operation_name` is .*; give text, or None; a context is"):
        Operation(GraphQLRequest("query Q { a }", {}, name))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda operation: pickle.loads(pickle.dumps(operation))])  # noqa: S301 - its own
def test_a_copy_knows_its_own_document(copied):
    operation = Operation(GraphQLRequest(parse("query Q($a: Int) { f(a: $a) }"), {"a": 1}))

    other = copied(operation)
    del operation
    gc.collect()

    assert {"a": 1} == other.variables
    assert {"a"} == other.known_document().used_variables


def test_a_request_can_be_changed_and_what_runs_stays():
    request = GraphQLRequest("{ a }", {"n": 1})
    operation = Operation(request)

    request.variables = {"n": 2}

    assert {"n": 1} == operation.variables
    assert hash(GraphQLRequest("{ a }")) == hash(GraphQLRequest("{ a }"))
