"""ErrorLink: the first stream has given its place back before anybody above hears of its end."""

import asyncio

import pytest

from rxlink.core.chain import execute, from_
from rxlink.core.operation import GraphQLRequest
from rxlink.links.context import SetContextLink
from rxlink.links.error import ErrorLink
from rxlink.testing import MockedResponse, MockLink
from rxlink.testing.virtual_time import virtual
from tests.recording import DATA, END, FAILED, streaming, subscribed
from tests.sending_twice import TwiceLink

DOWN = OSError("down")


async def waiting(*_):
    await asyncio.sleep(1)


@pytest.mark.parametrize("handler", [lambda response: None, waiting])
@pytest.mark.parametrize("kind", ["query", "subscription"])
@pytest.mark.parametrize(("answer", "expected"), [({"result": DATA}, [DATA, DATA, END]), ({"error": DOWN}, [DOWN] * 2)])
@virtual
async def test_a_link_above_may_send_again_where_it_hears_of_the_end(answer, expected, kind, handler):
    server = MockLink([MockedResponse(**answer, delay=1, max_usage=2)])
    link = from_([TwiceLink(), SetContextLink(waiting), ErrorLink(handler), server])

    recorder = subscribed(execute(link, GraphQLRequest(f"{kind} {{ a }}")))
    await asyncio.sleep(9)

    assert expected == recorder.seen


@virtual
async def test_a_link_above_may_send_again_where_the_handler_fails_in_the_midst_of_a_stream():
    def broken(response):
        raise DOWN

    server = streaming([FAILED, DATA], lambda: asyncio.sleep(1))
    link = from_([TwiceLink(), SetContextLink(waiting), ErrorLink(broken), server])

    recorder = subscribed(execute(link, GraphQLRequest("{ a }")))
    await asyncio.sleep(9)

    assert [DOWN, DOWN] == recorder.seen
