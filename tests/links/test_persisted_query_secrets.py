"""What `retry` and `disable` are told, as text: it has no data of the answer in it, which may be a person's."""

import pytest

from tests.links.persisted import answered, failed, run

ANSWER = {"data": {"name": "s3cret"}, "errors": [{"message": "no", "extensions": {"user": "s3cret"}}]}


@pytest.mark.parametrize("answer", [ANSWER, failed(ANSWER)])
@pytest.mark.parametrize("predicate", ["retry", "disable"])
def test_the_answer_is_in_no_repr(answer, predicate):
    told = []

    run(answered(answer), **{predicate: lambda options: told.append(options) or False})

    [options] = told
    assert ANSWER == options.result
    assert "s3cret" not in repr(options)
