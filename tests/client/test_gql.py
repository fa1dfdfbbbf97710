"""gql: text parsed at once, and fragments put beside it."""

import pytest
from graphql import print_ast

from rxlink import Client, InvariantError, InvariantTypeError, gql
from rxlink.testing import MockedResponse, MockLink
from tests.recording import seen_of

FIRST = gql("fragment First on Name { first }")
NAME = gql("fragment Name on User { name { ...First } }", FIRST)
EMAIL = gql("fragment Email on User { email { ...First } }", FIRST)


def names(document):
    return [definition.name.value for definition in document.definitions]


def test_fragments_come_with_their_own_each_once():
    assert ["Viewer", "Name", "First", "Email"] == names(
        gql("query Viewer { a { ...Name ...Email } }", NAME, EMAIL, NAME)
    )


def test_equal_fragments_of_two_texts_are_one():
    again = gql("fragment First on Name {\n  first\n}")

    assert ["Q", "First"] == names(gql("query Q { a { ...First } }", FIRST, again))


def test_a_fragment_that_stands_in_the_text_is_not_added_again():
    assert ["Q", "First"] == names(gql("query Q { a { ...First } } fragment First on Name { first }", FIRST))


def test_two_fragments_of_one_name_are_refused():
    with pytest.raises(InvariantError, match="two different fragments named 'First'; rename one"):
        gql("query Q { a }", FIRST, gql("fragment First on Name { last }"))
    with pytest.raises(InvariantError, match="two different fragments named 'First'; rename one"):
        gql("query Q { a } fragment First on Name { first } fragment First on Name { last }")


def test_equal_fragments_of_one_text_are_one():
    twice = "query Q { a } fragment First on Name { first } fragment First on Name { first }"

    assert [["Q", "First"], ["Q", "First", "Name"]] == [names(gql(twice)), names(gql(twice, NAME))]


def test_two_operations_of_one_name_are_left_to_whoever_runs_them():
    document = gql("query Q { a } query Q { b }", FIRST)

    with pytest.raises(InvariantError, match="several operations named 'Q'"):
        Client(MockLink([])).query(document, operation_name="Q")


def test_the_same_text_is_the_same_document():
    assert gql("query Same { a }") is gql("query Same { a }")


def test_a_document_is_sent_with_its_fragments():
    link = MockLink([MockedResponse(result={"data": {}})])

    seen_of(Client(link).query(gql("query Q { a { ...Name } }", NAME)))

    assert "fragment First on Name" in print_ast(link.operations[0].query)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("query Q {\n  a(",), "no GraphQL: .* at line 2, column 5"),
        (("",), "no GraphQL"),
        ((42,), "gql got an int; give GraphQL text"),
        (("{ a }", "fragment A on B { a }"), "gql got a str as a fragment; give a document"),
        (("{ a }", gql("{ a }")), "gql got a document with an OperationDefinitionNode in it as a fragment"),
    ],
)
def test_what_cannot_be_a_document_is_refused_at_once(arguments, reason):
    with pytest.raises(InvariantError, match=reason) as caught:
        gql(*arguments)

    assert isinstance(caught.value, InvariantTypeError) == ("got a str" in reason or "an int" in reason)
