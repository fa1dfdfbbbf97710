"""Documents: read, printed and named once each."""

import gc

import pytest
from graphql import parse

from rxlink.core import documents
from rxlink.core.documents import OperationType, document_of, parse_document
from rxlink.core.options import kind_of
from rxlink.errors import InvariantError, InvariantTypeError

FRAGMENT = "fragment F on User { name }"


@pytest.fixture
def calls(monkeypatch):
    """How often graphql-core was asked to print and to parse."""
    counted = []

    def counting(function):
        def call(*args, **named):
            counted.append(function.__name__)
            return function(*args, **named)

        return call

    monkeypatch.setattr(documents, "print_ast", counting(documents.print_ast))
    monkeypatch.setattr(documents, "parse", counting(documents.parse))
    return counted


class TestParsing:
    def test_takes_a_parsed_document_as_it_is(self):
        node = parse("{ a }")

        assert node is parse_document(node)

    def test_reads_one_text_once(self, calls):
        first = parse_document("query ReadOnce { a }")

        second = parse_document("query ReadOnce { a }")

        assert (True, ["parse"]) == (first is second, calls)

    def test_says_where_text_is_no_graphql(self):
        with pytest.raises(InvariantError, match=r"the query is no GraphQL: .* at line 2, column 3") as failure:
            parse_document("query {\n  ?\n}")

        assert failure.value.__cause__ is not None

    @pytest.mark.parametrize("text", ["", "   ", "#only a comment", "{ a", "{ a }}"])
    def test_refuses_text_without_a_whole_operation(self, text):
        with pytest.raises(InvariantError, match="the query is no GraphQL"):
            parse_document(text)

    @pytest.mark.parametrize("query", [None, b"{ a }", {"query": "{ a }"}, 7])
    def test_refuses_what_is_neither_text_nor_document(self, query):
        with pytest.raises(TypeError, match=f"`query` is {kind_of(query)}") as failure:
            parse_document(query)

        assert InvariantTypeError is type(failure.value)


class TestPrinting:
    def test_happens_once_for_each_document(self, calls):
        node = parse("{ a }")

        texts = {document_of(node).text for _ in range(3)} | {document_of(node).json_tail}

        assert ({"{\n  a\n}", ',"query":"{\\n  a\\n}"}'}, ["print_ast"]) == (texts, calls)

    def test_keeps_equal_documents_apart(self, calls):
        nodes = [parse("{ a }"), parse("{ a }")]

        assert document_of(nodes[0]) is not document_of(nodes[1])

    def test_is_forgotten_with_the_document(self):
        node = parse("{ a }")
        document_of(node)
        identity = id(node)
        before = identity in documents._known

        del node
        gc.collect()

        assert (True, False) == (before, identity in documents._known)


class TestVariableTypes:
    @pytest.mark.parametrize(
        ("text", "types"),
        [
            ("{ a }", {None: {}}),
            ("query Q($a: Int, $b: ID!) { a }", {"Q": {"a": "Int", "b": "ID"}}),
            ("query ($a: [F], $b: [F!]!, $c: [[F!]]!) { a }", {None: {"a": "F", "b": "F", "c": "F"}}),
            ("query Q($a: F = {b: 1}) @d { a }", {"Q": {"a": "F"}}),
            ("query A($v: F) { a } mutation B($v: G) { b }", {"A": {"v": "F"}, "B": {"v": "G"}}),
            (f"{FRAGMENT} query Q($a: F) {{ a }}", {"Q": {"a": "F"}}),
        ],
    )
    def test_are_named_by_operation_without_lists_and_non_null_marks(self, text, types):
        assert types == document_of(parse_document(text)).variable_types

    def test_are_read_once(self):
        document = document_of(parse_document("query ReadOnce($a: F) { a }"))

        assert document.variable_types is document.variable_types


class TestChoosing:
    def test_takes_the_only_operation(self):
        assert (None, OperationType.QUERY) == document_of(parse_document(f"{FRAGMENT} {{ a }}")).choose(None)

    def test_takes_the_named_one(self):
        node = parse("query A { a } subscription B { b }")

        assert ("B", OperationType.SUBSCRIPTION) == document_of(node).choose("B")

    @pytest.mark.parametrize(
        ("text", "name", "message"),
        [
            ("query A { a } mutation B { b }", None, r"has 2 operations \(A, B\); exactly one is needed"),
            ("{ a } { b }", None, r"has 2 operations \(\(anonymous\), \(anonymous\)\)"),
            ("query A { a } query A { b }", None, r"has 2 operations \(A, A\)"),
            ("query A { a } query A { b }", "A", "several operations named 'A'"),
            (FRAGMENT, None, r"has 0 operations \(none\)"),
            ("query A { a }", "B", "no operation named 'B'; it has A"),
            ("{ a }", "A", r"no operation named 'A'; it has \(anonymous\)"),
            ("query A { a }", "", "no operation named ''"),
        ],
    )
    def test_refuses_what_leaves_a_choice_or_none(self, text, name, message):
        node = parse(text)

        with pytest.raises(InvariantError, match=message):
            document_of(node).choose(name)
