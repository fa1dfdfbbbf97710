"""RemoveTypenameFromVariablesLink: variables that hold themselves end as what a transport can complain about."""

from rxlink.core.chain import execute, from_
from rxlink.core.operation import GraphQLRequest
from rxlink.links.remove_typename import RemoveTypenameFromVariablesLink
from tests.recording import DATA, END, seen_of, sending


def test_a_list_and_an_object_may_stand_in_themselves():
    many, one = [], {"__typename": "One"}
    many.append(many)
    one["self"] = one
    variables = {"many": many, "one": one}

    seen = seen_of(
        execute(from_([RemoveTypenameFromVariablesLink(), sending(DATA)]), GraphQLRequest("{ a }", variables))
    )

    assert [DATA, END] == seen
