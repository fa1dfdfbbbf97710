"""PollingLink: what a subscriber's own callback raises in a later attempt comes out where that attempt was made."""

import pytest
from reactivex.testing import TestScheduler

from rxlink.core.chain import execute, from_
from rxlink.links.polling import PollingLink
from tests.recording import DATA, REQUEST, Worker

DOWN = OSError("down")


def test_a_callback_that_raises_when_the_stream_ends_is_heard_of():
    scheduler, answers = TestScheduler(), iter([("on_next", DATA), ("on_error", DOWN)])

    def answer(operation, observer, root):
        event, value = next(answers)
        getattr(observer, event)(value)

    def give_up(error):
        raise KeyError("consumer") from error

    link = from_([PollingLink(lambda operation: 1), Worker(answer)])
    execute(link, REQUEST).subscribe(on_error=give_up, scheduler=scheduler)

    with pytest.raises(KeyError, match="consumer"):
        scheduler.advance_by(1)
