"""HttpLink and BatchHttpLink: what is refused of their options is named, with the cure."""

import pytest

from rxlink.errors import InvariantError
from rxlink.transport.batch_http import BatchHttpLink
from rxlink.transport.http import HttpLink

URI = "http://localhost/graphql"


@pytest.mark.parametrize("link", [HttpLink, BatchHttpLink])
class TestBoth:
    @pytest.mark.parametrize("seconds", [0, 0.0, -1, float("nan"), float("inf")])
    def test_a_timeout_is_longer_than_no_time_and_shorter_than_for_ever(self, link, seconds: float) -> None:
        with pytest.raises(InvariantError, match="`timeout` is"):
            link(URI, timeout=seconds)

    def test_credentials_are_one_of_three_words(self, link) -> None:
        with pytest.raises(InvariantError, match=r"`credentials` of (Batch)?HttpLink is 'all'; give "):
            link(URI, credentials="all")

    def test_headers_are_those_of_the_link(self, link) -> None:
        with pytest.raises(InvariantError, match=r"'x' of (Batch)?HttpLink is "):
            link(URI, headers={"x": None})
