"""Options that links check when they are made."""

from typing import Any

import pytest

from rxlink.core.operation import GraphQLRequest, Operation
from rxlink.core.options import checked_flag
from rxlink.errors import InvariantTypeError
from rxlink.links.batch import BatchLink
from rxlink.transport._body import BodyWriter
from rxlink.transport._request import HttpOptions, RequestBuilder
from rxlink.transport.batch_http import BatchHttpLink
from rxlink.transport.http import HttpLink

URI = "http://localhost/graphql"


@pytest.mark.parametrize("value", [True, False])
def test_a_flag_is_what_it_is(value: bool) -> None:
    assert value is checked_flag("name", value)


@pytest.mark.parametrize("value", ["false", "", 0, 1, None, []])
def test_what_is_no_flag_is_named(value: Any) -> None:
    with pytest.raises(InvariantTypeError, match=r"`name` is .*; give True or False"):
        checked_flag("name", value)


@pytest.mark.parametrize(
    ("link", "name"),
    [
        (HttpLink, "use_get_for_queries"),
        (HttpLink, "include_extensions"),
        (HttpLink, "include_unused_variables"),
        (HttpLink, "preserve_header_case"),
        (BatchHttpLink, "include_extensions"),
        (BatchHttpLink, "include_unused_variables"),
        (BatchHttpLink, "preserve_header_case"),
        (BatchHttpLink, "batch_hybrid_requests"),
        (BatchHttpLink, "batch_debounce"),
    ],
)
def test_links_over_http_refuse_text_in_the_place_of_a_flag(link: Any, name: str) -> None:
    with pytest.raises(InvariantTypeError, match=f"`{name}` is 'false'; give True or False"):
        link(URI, **{name: "false"})


def test_a_batch_link_refuses_text_in_the_place_of_a_flag() -> None:
    wrong: Any = "false"

    with pytest.raises(InvariantTypeError, match="`batch_debounce` is 'false'; give True or False"):
        BatchLink(batch_handler=lambda operations, forwards: None, batch_debounce=wrong)


@pytest.mark.parametrize("name", ["include_query", "include_extensions", "preserve_header_case"])
def test_the_context_is_held_to_it_too(name: str) -> None:
    builder = RequestBuilder(
        URI, headers=None, credentials=None, http=HttpOptions(), body=BodyWriter(None, None, False)
    )

    with pytest.raises(InvariantTypeError, match=f"`http` of the context has 'no' as `{name}`; give True or False"):
        builder.build(Operation(GraphQLRequest("{ a }", context={"http": {name: "no"}})))
