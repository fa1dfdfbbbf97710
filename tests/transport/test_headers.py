"""Headers: which of their values may be seen in a log, and whose names are remembered."""

import pytest

from rxlink.errors import InvariantError
from rxlink.transport._headers import checked_accept, described, with_headers


@pytest.mark.parametrize(
    "name",
    [
        *("accept", "accept-encoding", "age", "cache-control", "connection", "content-encoding", "content-length"),
        *("content-type", "date", "retry-after", "server", "transfer-encoding", "user-agent", "vary"),
    ],
)
def test_what_a_request_is_and_what_an_answer_is_may_be_seen_in_whatever_case(name: str) -> None:
    for written in (name, name.title()):
        assert f"{written}: 7" == described({written: "7"})


@pytest.mark.parametrize(
    "name",
    ["authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "x-user", "location", "accept-x"],
)
def test_all_others_are_masked(name: str) -> None:
    assert f"{name}: ***, age: 7" == described({name: "s3cret", "age": "7"})


class Loud(str):
    """Text that says of itself what it likes."""

    __slots__ = ()

    def lower(self) -> str:
        return self.upper()


def test_a_name_of_a_class_of_its_own_is_not_remembered_for_others() -> None:
    with_headers({}, {Loud("X-Loud"): "1"}, "a test")

    assert {"x-loud": "2"} == with_headers({}, {"X-Loud": "2"}, "a test")


@pytest.mark.parametrize("types", [[None], ["a/b", 7], ["a/b\n"]])
def test_a_media_type_that_cannot_be_sent_is_told_with_where_it_stands(types: list[object]) -> None:
    with pytest.raises(InvariantError, match=r"the header 'accept' of `http.accept` of the context"):
        checked_accept(types)


def test_a_name_that_is_known_by_now_brings_its_value_as_at_the_first_time() -> None:
    merged = [with_headers({"accept": "a"}, {"X-Known-By-Now": str(time)}, "a test") for time in range(3)]

    assert [{"accept": "a", "x-known-by-now": str(time)} for time in range(3)] == merged
