"""Addresses: what of one is checked, and where the parts of a query go that is sent with GET."""

import pytest

from rxlink.transport._uri import parse_uri, with_parameters

PARAMETERS = [("query", "{ a }"), ("variables", '{"b":"ä&c"}')]
ADDED = "query=%7B%20a%20%7D&variables=%7B%22b%22%3A%22%C3%A4%26c%22%7D"  # as encodeURIComponent writes it


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("http://host/graphql", f"http://host/graphql?{ADDED}"),
        ("http://host/graphql?a=b", f"http://host/graphql?a=b&{ADDED}"),
        ("http://host/graphql?", f"http://host/graphql?{ADDED}"),
        ("http://host/graphql#part", f"http://host/graphql?{ADDED}#part"),
        ("http://host/graphql?a=b#part", f"http://host/graphql?a=b&{ADDED}#part"),
        ("http://host", f"http://host/?{ADDED}"),
    ],
)
def test_parameters_stand_behind_those_of_the_address_and_before_its_fragment(uri: str, expected: str) -> None:
    target = with_parameters(parse_uri(uri, "`uri`"), PARAMETERS)

    assert expected == str(target.url)


def test_an_address_with_parameters_keeps_its_user() -> None:
    target = parse_uri("http://ada:lovelace@host/graphql", "`uri`")

    assert target.authorization is not None
    assert target.authorization == with_parameters(target, PARAMETERS).authorization


def test_an_address_shows_neither_its_parameters_nor_its_fragment() -> None:
    target = with_parameters(parse_uri("https://ada:s3cret@host:8443/graphql?token=s3cret#s3cret", "`uri`"), PARAMETERS)

    assert ("https://host:8443/graphql", "<Target https://host:8443/graphql>") == (str(target), repr(target))
