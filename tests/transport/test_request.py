"""What is decided about a request before it is sent: address, headers, options, cookies."""

import json
from base64 import b64encode
from importlib.metadata import version

import pytest

from rxlink.core.chain import execute, from_
from rxlink.core.operation import GraphQLRequest
from rxlink.core.options import kind_of
from rxlink.errors import InvariantError, InvariantTypeError
from rxlink.links.context import SetContextLink
from rxlink.transport.http import HttpLink
from tests.transport.scripted_server import VIEWER, ScriptedServer, scripted_server

ACCEPT = "application/graphql-response+json,application/json;q=0.9"
QUERY = "query Q { a }"
URI = "http://localhost/graphql"


def request_with(**context: object) -> GraphQLRequest:
    return GraphQLRequest(QUERY, context=context)


async def error_of(link: HttpLink, **context: object) -> Exception:
    """The error that an operation with such a context gets before anything is sent."""
    errors: list[Exception] = []
    execute(link, request_with(**context)).subscribe(on_error=errors.append)
    assert 1 == len(errors), "it arrives at once"
    return errors[0]


class TestHeaders:
    async def test_start_from_apollos(self, server: ScriptedServer):
        async with HttpLink(server.uri) as link:
            await execute(link, request_with())

        assert (ACCEPT, "application/json") == (
            server.headers["accept"],
            server.headers["content-type"],
        )

    # Expectations computed with Apollo Client 4.3.8 under Node.
    @pytest.mark.parametrize(
        ("link_headers", "context", "expected"),
        [
            ({"X-One": "1"}, {}, {"x-one": "1"}),
            ({"x-one": "1"}, {"headers": {"X-ONE": "2"}}, {"x-one": "2"}),
            ({"x-one": "1"}, {"headers": {"x-two": "2"}}, {"x-one": "1", "x-two": "2"}),
            ({"Accept": "x/y"}, {}, {"accept": "x/y"}),
            ({}, {"headers": {"Content-Type": "text/x"}}, {"content-type": "text/x"}),
            ({}, {"headers": {"a": "1", "A": "2"}}, {"a": "2"}),
            ({}, {"http": {"accept": ["a/b", "c/d"]}}, {"accept": f"a/b,c/d,{ACCEPT}"}),
            ({}, {"http": {"accept": []}}, {"accept": ACCEPT}),
            ({"accept": "x/y"}, {"http": {"accept": ["a/b"]}}, {"accept": "a/b,x/y"}),
            ({"Accept": "x/y"}, {"http": {"accept": ["a/b"]}}, {"accept": "x/y"}),
            (
                {},
                {"headers": {"X-One": "1"}, "http": {"preserve_header_case": True}},
                {"X-One": "1", "accept": ACCEPT},
            ),
            (
                {"x-one": "1"},
                {"headers": {"X-One": "2"}, "http": {"preserve_header_case": True}},
                {"X-One": "2"},
            ),
        ],
    )
    async def test_are_merged(self, server: ScriptedServer, link_headers: dict, context: dict, expected: dict):
        async with HttpLink(server.uri, headers=link_headers) as link:
            await execute(link, request_with(**context))

        assert expected == {name: server.headers[name] for name in expected}
        names = [name.lower() for name in server.headers]
        assert sorted(set(names)) == sorted(names), "none is sent twice"

    async def test_keep_their_case_where_the_link_says_so(self, server: ScriptedServer):
        async with HttpLink(server.uri, headers={"X-One": "1"}, preserve_header_case=True) as link:
            await execute(link, request_with())
            assert "X-One" in server.headers
            await execute(link, request_with(http={"preserve_header_case": False}))
            assert "x-one" in server.headers

    async def test_of_a_set_context_link_are_sent(self, server: ScriptedServer):
        setter = SetContextLink(lambda *_: {"headers": {"authorization": "Bearer 1"}})
        async with from_([setter, HttpLink(server.uri)]) as link:
            await execute(link, request_with())

        assert "Bearer 1" == server.headers["authorization"]

    @pytest.mark.parametrize(
        ("headers", "message"),
        [
            ({"authorization": None}, "'authorization' of the context is None"),
            ({"x": 1}, "'x' of the context is an int"),
            ({1: "x"}, "1 of the context"),
            ([("x", "1")], "are a list"),
            ({"authorization": "s3cret\n"}, "'authorization' of the context holds a line break"),
            ({"x": "s3cret\x00"}, "control character"),
            ({"a b": "s3cret"}, "'a b' of the context cannot be the name"),
        ],
    )
    async def test_that_cannot_be_sent_are_named_without_their_value(self, headers: object, message: str):
        error = await error_of(HttpLink(URI), headers=headers)

        assert isinstance(error, InvariantError)
        assert message in str(error)
        assert "s3cret" not in str(error)

    async def test_of_one_operation_are_not_those_of_the_next(self, server: ScriptedServer):
        given = {"x-one": "1"}
        sent: list[str | None] = []
        async with HttpLink(server.uri) as link:
            for name, value in (("x-one", "2"), ("x-one", "2"), ("x-two", "3")):
                given[name] = value  # it is the same dict each time, as a setter may return it
                await execute(link, request_with(headers=given))
                sent += [server.headers.get("x-one"), server.headers.get("x-two")]
            await execute(link, request_with())
            sent += [server.headers.get("x-one")]

        assert ["2", None, "2", None, "2", "3", None] == sent

    async def test_with_an_equality_of_their_own_are_read_each_time(self, server: ScriptedServer):
        class AnyText(str):
            __slots__ = ()
            __hash__ = str.__hash__

            def __eq__(self, other: object) -> bool:
                return True

        sent: list[str] = []
        async with HttpLink(server.uri) as link:
            for value in ("Bearer 1", AnyText("Bearer 2"), "Bearer 3", AnyText("Bearer 4"), AnyText("Bearer 5")):
                await execute(link, request_with(headers={"authorization": value}))
                sent.append(server.headers["authorization"])

        assert [f"Bearer {number}" for number in range(1, 6)] == sent

    async def test_that_differ_only_in_case_count_in_their_order_each_time(self, server: ScriptedServer):
        sent: list[str] = []
        async with HttpLink(server.uri) as link:
            for headers in ({"a": "1", "A": "2"}, {"A": "2", "a": "1"}, {"accept": "x/y"}, {"accept": "x/y"}):
                await execute(link, request_with(headers=headers))
                sent.append(server.headers.get("a", server.headers["accept"]))

        assert ["2", "1", "x/y", "x/y"] == sent

    def test_of_the_link_are_checked_when_it_is_made(self):
        with pytest.raises(InvariantTypeError, match="'x' of HttpLink"):
            HttpLink(URI, headers={"x": None})


class TestUri:
    async def test_may_be_a_function_of_the_operation(self, server: ScriptedServer):
        async with HttpLink(lambda operation: f"{server.origin}/{operation.operation_name}") as link:
            await execute(link, request_with())

        assert "/Q" == server.requests[-1].path

    async def test_of_the_context_wins_and_an_empty_one_does_not(self, server: ScriptedServer):
        async with HttpLink(server.uri) as link:
            await execute(link, request_with(uri=f"{server.origin}/other?a=b"))
            await execute(link, request_with(uri=""))

        assert ["/other?a=b", "/graphql"] == [request.path_qs for request in server.requests]

    @pytest.mark.parametrize(
        ("uri", "shown"),
        [
            ("/graphql", "'/graphql'"),
            ("", "''"),
            ("localhost:4000/graphql", "'localhost:4000/graphql'"),
            ("ftp://host/graphql", "'ftp://host/graphql'"),
            ("ws://host/graphql", "'ws://host/graphql'"),
            ("http://", "'http://'"),
            ("http://host:port/", "'http://host:port/'"),
            ("http://host:99999/", "'http://host:99999/'"),
            ("ftp://ada:s3cret@host/x?token=s3cret#s3cret", "'ftp://***@host/x'"),
            ("ada:s3cret@host", "'***@host'"),
        ],
    )
    async def test_that_is_no_http_address_is_named_without_secrets(self, uri: str, shown: str):
        with pytest.raises(InvariantError, match="http://") as caught:
            HttpLink(uri)
        later = [await error_of(HttpLink(lambda _: uri))]
        later += [await error_of(HttpLink(URI), uri=uri)] if uri else []

        assert shown in str(caught.value)
        for error in [caught.value, *later]:
            assert shown in str(error)
            assert "s3cret" not in str(error)
            assert (None, None) == (error.__cause__, error.__context__)

    @pytest.mark.parametrize("uri", [5, b"http://host/", None])
    async def test_that_is_no_text_is_refused(self, uri: object):
        with pytest.raises(InvariantTypeError, match=f"`uri` of HttpLink is {kind_of(uri)}; give an http"):
            HttpLink(uri)
        assert isinstance(await error_of(HttpLink(lambda _: uri)), InvariantTypeError)

    async def test_function_that_raises_is_the_operations_error(self):
        def uri(_: object) -> str:
            raise LookupError("no shard")

        assert "'no shard'" in repr(await error_of(HttpLink(uri)))

    async def test_function_must_not_have_to_wait(self):
        async def uri(_: object) -> str:
            return URI

        with pytest.raises(InvariantTypeError, match=r"coroutine function .*uri.*SetContextLink"):
            HttpLink(uri)
        assert "coroutine" in str(await error_of(HttpLink(lambda *_: uri(None))))

    async def test_with_user_and_password_makes_an_authorization(self, server: ScriptedServer):
        uri = server.uri.replace("http://", "http://ada:love%21@")

        async with HttpLink(uri) as link:
            await execute(link, request_with())
            assert "Basic YWRhOmxvdmUh" == server.headers["Authorization".lower()]
            await execute(link, request_with(headers={"Authorization": "Bearer 1"}))
            assert "Bearer 1" == server.headers["authorization"]

        assert f"<HttpLink {server.uri}>" == repr(link)

    @pytest.mark.parametrize(("userinfo", "plain"), [("ada", "ada:"), (":love", ":love")])
    async def test_with_one_of_user_and_password_has_nothing_for_the_other(
        self, server: ScriptedServer, userinfo: str, plain: str
    ):
        async with HttpLink(server.uri.replace("http://", f"http://{userinfo}@")) as link:
            await execute(link, request_with())

        assert f"Basic {b64encode(plain.encode()).decode()}" == server.headers["authorization"]

    def test_with_a_colon_in_the_user_name_is_refused(self):
        with pytest.raises(InvariantError, match="colon"):
            HttpLink("http://ada%3Alove:s3cret@host/")

    def test_shows_only_origin_and_path(self):
        link = HttpLink("https://ada:s3cret@host:444/graphql?token=s3cret#s3cret")

        assert "<HttpLink https://host:444/graphql>" == repr(link)

    def test_shows_the_name_of_its_function(self):
        def shard(_: object) -> str:
            return URI

        assert repr(HttpLink(shard)).endswith("shard>")


class TestHttpOptions:
    async def test_leave_out_query_and_extensions(self, server: ScriptedServer):
        request = GraphQLRequest(QUERY, extensions={"k": 1})
        without = {"include_query": False, "include_extensions": False}

        async with HttpLink(server.uri) as link:
            await execute(link, request)
            assert {"operationName", "variables", "extensions", "query"} == server.sent.keys()
            await execute(link, GraphQLRequest(QUERY, extensions={"k": 1}, context={"http": without}))
            assert {"operationName", "variables"} == server.sent.keys()

    async def test_of_the_context_win_over_the_links(self, server: ScriptedServer):
        for_this = {"http": {"include_extensions": True}}

        async with HttpLink(server.uri, include_extensions=False) as link:
            await execute(link, GraphQLRequest(QUERY, extensions={"k": 1}))
            assert "extensions" not in server.sent
            await execute(link, GraphQLRequest(QUERY, extensions={"k": 1}, context=for_this))
            assert 1 == server.sent["extensions"]["k"]

    @pytest.mark.parametrize(
        ("context", "message"),
        [
            ({"http": {"includeQuery": False}}, r"'includeQuery'; it has .*include_query"),
            ({"http": True}, "a bool"),
            ({"http": {"accept": "a/b"}}, "`http.accept` of the context is a str"),
            ({"http": {"accept": [1]}}, "`http.accept` of the context"),
            ({"http": {"accept": ["a\r\nb"]}}, "line break"),
            ({"credentials": "s-o"}, "'s-o'; give 'omit', 'same-origin', 'include'"),
        ],
    )
    async def test_that_do_not_exist_are_refused(self, context: dict, message: str):
        with pytest.raises(InvariantError, match=message):
            raise await error_of(HttpLink(URI), **context)


class TestAwareness:
    async def test_of_the_library_is_in_the_extensions_and_yields_to_the_operations_own(self, server: ScriptedServer):
        own = {"clientLibrary": {"name": "mine"}, "k": 1}

        async with HttpLink(server.uri) as link:
            await execute(link, GraphQLRequest(QUERY, extensions={"k": 1}))
            await execute(link, GraphQLRequest(QUERY, extensions=own))

        first, second = (json.loads(body)["extensions"] for body in server.bodies)
        assert ["clientLibrary", "k"] == list(first)
        assert {"name": "rxlink", "version": version("rxlink")} == first["clientLibrary"]
        assert own == second

    @pytest.mark.parametrize(
        ("options", "http"),
        [
            ({"enhanced_client_awareness": {"transport": False}}, {}),
            ({"include_extensions": False}, {}),
            ({}, {"include_extensions": False}),
        ],
    )
    async def test_of_the_library_can_be_left_out(self, server: ScriptedServer, options: dict, http: dict):
        async with HttpLink(server.uri, **options) as link:
            await execute(link, request_with(http=http))

        assert "extensions" not in server.sent

    async def test_of_the_application_is_in_the_headers(self, server: ScriptedServer):
        async with HttpLink(server.uri, client_awareness={"name": "billing", "version": "1"}) as link:
            await execute(link, request_with(client_awareness={"version": "2"}))

        sent = {name: value for name, value in server.headers.items() if name.startswith("apollographql")}
        assert {"apollographql-client-name": "billing", "apollographql-client-version": "2"} == sent

    def test_options_are_checked_when_the_link_is_made(self):
        with pytest.raises(InvariantError, match="client_awareness"):
            HttpLink(URI, client_awareness={"nick": "x"})


class TestCredentials:
    async def sent_cookies(self, server: ScriptedServer, link: HttpLink, **context: object) -> list:
        """What is sent after the server has set a cookie."""
        server.answer = set_cookie
        async with link:
            await execute(link, request_with(**context))
            await execute(link, request_with(**context))
        return [request.headers.get("cookie") for request in server.requests]

    @pytest.mark.parametrize("credentials", ["include", "same-origin"])
    async def test_keep_cookies(self, server: ScriptedServer, credentials: str):
        link = HttpLink(server.uri, credentials=credentials)

        assert [None, "id=7"] == await self.sent_cookies(server, link)

    @pytest.mark.parametrize("credentials", ["omit", None])
    async def test_of_nobody_keep_none(self, server: ScriptedServer, credentials: str | None):
        link = HttpLink(server.uri, credentials=credentials)

        assert [None, None] == await self.sent_cookies(server, link)

    async def test_of_the_context_win(self, server: ScriptedServer):
        asked, left_out = HttpLink(server.uri), HttpLink(server.uri, credentials="include")

        cookies = await self.sent_cookies(server, asked, credentials="include")
        cookies += await self.sent_cookies(server, left_out, credentials="omit")

        assert [None, "id=7"] == cookies[:2]
        assert [None, None] == cookies[-2:]

    async def test_are_kept_by_host(self, server: ScriptedServer):
        server.answer = set_cookie
        async with scripted_server() as other, HttpLink(server.uri, credentials="include") as link:
            await execute(link, request_with())
            other_host = other.uri.replace("127.0.0.1", "localhost")
            assert VIEWER == await execute(link, request_with(uri=other_host))

            assert "cookie" not in other.requests[-1].headers

    @pytest.mark.parametrize("credentials", ["", "all", 1])
    def test_are_one_of_fetchs_words(self, credentials: object):
        if not credentials:
            HttpLink(URI, credentials=credentials)
            return
        with pytest.raises(InvariantError, match=repr(credentials)):
            HttpLink(URI, credentials=credentials)


async def set_cookie(request):
    from aiohttp import web

    response = web.json_response(VIEWER)
    response.set_cookie("id", "7")
    return response
