"""What handlers are told of an error, as text: it has no data of the answer in it, which may be a person's."""

from rxlink.core.chain import execute, from_
from rxlink.links.error import ErrorLink
from tests.recording import REQUEST, answering, seen_of

ANSWER = {"data": {"name": "s3cret"}, "errors": [{"message": "no", "extensions": {"user": "s3cret"}}]}


def test_the_answer_is_in_no_repr():
    told = []

    seen_of(execute(from_([ErrorLink(told.append), answering(ANSWER)]), REQUEST))

    [response] = told
    assert ANSWER is response.result
    assert ("ErrorResponse", False) == (repr(response)[:13], "s3cret" in repr(response))
