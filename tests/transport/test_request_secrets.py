"""A request as text: what was sent where, and nothing that may be secret."""

import pytest

from rxlink.transport._http_request import HttpRequest
from rxlink.transport._uri import parse_uri


@pytest.mark.parametrize("shown", [str, repr])
def test_a_request_shows_neither_its_headers_nor_its_body_nor_its_parameters(shown) -> None:
    request = HttpRequest(
        operation_name="Login",
        target=parse_uri("https://ada:s3cret@host/graphql?token=s3cret", "`uri`"),
        headers={"authorization": "Bearer s3cret"},
        body=b'{"variables":{"password":"s3cret"}}',
        credentials=None,
        method="POST",
    )

    assert "s3cret" not in shown(request)
    assert "Login" in shown(request)
    assert "https://host/graphql" in shown(request)
