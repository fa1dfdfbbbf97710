"""HttpLink and BatchHttpLink: options that cannot work are refused, and the message names the link."""

import functools
import gc
import json
from collections.abc import Callable

import aiohttp
import pytest

from rxlink.core.chain import execute
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import ClientClosed, InvariantError, InvariantTypeError
from rxlink.transport.batch_http import BatchHttpLink
from rxlink.transport.http import HttpLink
from tests.recording import subscribed
from tests.transport.scripted_server import ScriptedServer

URI = "http://localhost/graphql"
PLAIN = "what it returns is not awaited: give a plain function"


class OwnLink(HttpLink):
    """A link under a name of its own."""


async def later(*_: object) -> str:
    return ""


class Later:
    """Called, it has to be awaited; shown, it tells too much."""

    async def __call__(self, *_: object) -> str:
        return ""

    def __repr__(self) -> str:
        return "s3cret"


both = pytest.mark.parametrize("link", [HttpLink, BatchHttpLink, OwnLink])


@both
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"uri": 5}, "`uri` of LINK is an int; give an http(s) address as text"),
        ({"uri": None}, "`uri` of LINK is None; give an http(s) address as text"),
        ({"uri": "/graphql"}, "`uri` of LINK is '/graphql'; give an absolute address"),
        ({"uri": lambda: URI}, "takes other arguments; give a function of (operation), or an address"),
        ({"uri": later}, "`uri` of LINK is the coroutine function later; put what has to be waited for into"),
        ({"uri": Later()}, "`uri` of LINK is the coroutine function a Later; put what has to"),
        ({"print": "text"}, "`print` of LINK is a str; give a function of (document, default_printer), or None"),
        ({"print": len}, "`print` of LINK is len, which takes other arguments; give a function of (document, de"),
        ({"print": later}, f"`print` of LINK is the coroutine function later; {PLAIN}"),
        ({"encode": "text"}, "`encode` of LINK is a str; give a function of (body), or None"),
        ({"encode": lambda: ""}, "takes other arguments; give a function of (body), or None"),
        ({"encode": Later()}, f"`encode` of LINK is the coroutine function a Later; {PLAIN}"),
        ({"decode": 5}, "`decode` of LINK is 5; give a function of (body), or None"),
        ({"decode": lambda body, charset: body}, "takes other arguments; give a function of (body), or None"),
        ({"decode": functools.partial(later, "s3cret")}, "`decode` of LINK is the coroutine function a partial of la"),
        ({"headers": [("x", "s3cret")]}, "the headers of LINK are a list; give a mapping"),
        ({"headers": {"x": 5}}, "the header 'x' of LINK is an int; names and values"),
        ({"headers": {"x": "s3cret\n"}}, "the header 'x' of LINK holds a line break"),
        ({"credentials": "all"}, "`credentials` of LINK is 'all'; give 'omit'"),
        ({"fetch_options": {"mode": "cors"}}, "`fetch_options` of LINK has no option 'mode'"),
        ({"fetch_options": 5}, "`fetch_options` of LINK is an int; give a mapping"),
        ({"session": {}}, "`session` of LINK is a dict; give an aiohttp.ClientSession, or None"),
        ({"session": aiohttp.ClientSession}, "`session` of LINK is the class ClientSession; give an aiohttp.Cl"),
    ],
)
def test_are_refused_when_the_link_is_made(
    link: Callable[..., HttpLink], options: dict[str, object], message: str
) -> None:
    with pytest.raises(InvariantError) as caught:
        link(**{"uri": URI, **options})

    shown = str(caught.value)
    assert message.replace("LINK", link.__name__) in shown
    assert "s3cret" not in shown


@both
@pytest.mark.parametrize(
    "options",
    [
        {"encode": json.dumps, "decode": json.loads},
        {"encode": functools.partial(json.dumps, separators=(",", ":")), "decode": json.JSONDecoder().decode},
        {"print": lambda document, printer: printer(document)},
        {"print": lambda *both: both[1](both[0]), "encode": str, "decode": max},
        {"uri": lambda operation, shard=1: URI},
    ],
)
def test_that_take_their_arguments_pass(link: Callable[..., HttpLink], options: dict[str, object]) -> None:
    link(**{"uri": URI, **options})


@both
@pytest.mark.parametrize("name", ["print", "encode"])
async def test_functions_that_return_no_text_are_named_with_the_link(
    link: Callable[..., HttpLink], name: str, server: ScriptedServer
) -> None:
    async with link(server.uri, **{name: lambda *_: later()}) as made:
        recorder = subscribed(execute(made, GraphQLRequest("{ a }")))
    gc.collect()  # a warning "was never awaited" would fail the test

    assert [InvariantTypeError] == list(map(type, recorder.seen))
    assert f"`{name}` of {link.__name__} returned a coroutine" in str(recorder.seen[0])


@both
async def test_a_given_session_is_named_with_the_link(link: Callable[..., HttpLink], server: ScriptedServer) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(InvariantError, match=f"the session given to {link.__name__} keeps cookies"):
            link(server.uri, session=session, credentials="omit")
        closed = link(server.uri, session=session)
    with pytest.raises(ClientClosed, match=f"the aiohttp session given to {link.__name__}"):
        await execute(closed, GraphQLRequest("{ a }"))


def test_a_link_shows_the_name_of_the_function_that_says_its_uri_and_nothing_that_it_carries() -> None:
    def of_shard(key: str, operation: object) -> str:
        return URI

    class Shards(dict[str, str]):
        def __call__(self, operation: object) -> str:
            return URI

    shown = [repr(HttpLink(uri)) for uri in (functools.partial(of_shard, "s3cret"), Shards(key="s3cret"))]

    assert "<HttpLink a Shards>" == shown[1]
    assert shown[0].startswith("<HttpLink a partial of ")
    assert shown[0].endswith("of_shard>")
