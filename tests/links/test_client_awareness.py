"""ClientAwarenessLink: what it says of the application and of rxlink, where, and whose word counts."""

from importlib.metadata import PackageNotFoundError

import pytest

from rxlink.core.chain import execute, from_
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import InvariantError, InvariantTypeError
from rxlink.links import client_awareness
from rxlink.links.client_awareness import (
    ClientAwarenessLink,
    ClientAwarenessOptions,
    EnhancedClientAwarenessOptions,
)
from rxlink.testing import MockedResponse, MockLink
from tests.recording import DATA, END, REQUEST, garbage_of, seen_of, sending

NAME = "apollographql-client-name"
VERSION = "apollographql-client-version"
INSTALLED = client_awareness._library_version()
LIBRARY_HEADERS = {"apollographql-library-name": "rxlink", "apollographql-library-version": INSTALLED}
LIBRARY = {"clientLibrary": {"name": "rxlink", "version": INSTALLED}}


def sent(request=REQUEST, **options):
    """What reaches the end of the chain: headers (None where there are none) and extensions."""
    server = MockLink([MockedResponse(result=DATA)])

    assert [DATA, END] == seen_of(execute(from_([ClientAwarenessLink(**options), server]), request))

    [operation] = server.operations
    return operation.get_context().get("headers"), operation.extensions


def of_application(request=REQUEST, **client_awareness):
    return sent(request, client_awareness=client_awareness)[0]


def with_context(**context):
    return GraphQLRequest("{ a }", context=context)


@pytest.fixture
def own_version():
    """Has the version looked up by this test alone."""
    client_awareness._library_version.cache_clear()
    yield
    client_awareness._library_version.cache_clear()


class TestTheApplication:
    def test_is_not_spoken_of_without_options(self):
        assert sent()[0] is None

    @pytest.mark.parametrize(
        ("options", "headers"),
        [
            ({"name": "billing", "version": "1.2"}, {NAME: "billing", VERSION: "1.2"}),
            ({"name": "billing"}, {NAME: "billing"}),
            ({"version": "1.2"}, {VERSION: "1.2"}),
            ({"name": ""}, {NAME: ""}),
            ({"name": "billing", "transport": "headers"}, {NAME: "billing"}),
            ({"name": "billing", "transport": None}, {NAME: "billing"}),
            ({"name": "billing", "transport": False}, None),
            ({"transport": "headers"}, None),
        ],
    )
    def test_is_named_in_the_headers(self, options, headers):
        assert headers == of_application(**options)
        assert headers == sent(client_awareness=ClientAwarenessOptions(**options))[0]
        assert headers == sent(with_context(client_awareness=options))[0]
        assert headers == sent(with_context(client_awareness=ClientAwarenessOptions(**options)))[0]

    @pytest.mark.parametrize(
        ("of_link", "of_context", "headers"),
        [
            ({"name": "link", "version": "1"}, {"name": "context"}, {NAME: "context", VERSION: "1"}),
            ({"name": "link", "version": "1"}, {"version": "2"}, {NAME: "link", VERSION: "2"}),
            ({"name": "link"}, {"name": None}, {NAME: "link"}),
            ({"name": "link"}, {}, {NAME: "link"}),
            ({"name": "link"}, {"transport": False}, None),
            ({"name": "link", "transport": False}, {"version": "2"}, None),
            ({"name": "link", "transport": False}, {"transport": "headers"}, {NAME: "link"}),
        ],
    )
    def test_is_what_the_context_says_over_the_link(self, of_link, of_context, headers):
        assert headers == of_application(with_context(client_awareness=of_context), **of_link)

    def test_keeps_the_headers_of_the_operation_which_win(self):
        request = with_context(headers={NAME: "mine", "x-tenant": "blue"})

        headers = of_application(request, name="billing", version="1.2")

        assert {NAME: "mine", VERSION: "1.2", "x-tenant": "blue"} == headers

    def test_stands_before_headers_that_differ_in_case_so_that_these_win(self):
        headers = of_application(with_context(headers={NAME.title(): "mine"}), name="billing")

        assert [(NAME, "billing"), (NAME.title(), "mine")] == list(headers.items())

    def test_leaves_the_callers_mappings_alone(self):
        own = {"headers": {"x-tenant": "blue"}, "client_awareness": {"name": "billing"}}
        extensions = {"trace": 1}

        sent(GraphQLRequest("{ a }", context=own, extensions=extensions))

        assert {"headers": {"x-tenant": "blue"}, "client_awareness": {"name": "billing"}} == own
        assert {"trace": 1} == extensions


class TestTheLibrary:
    @pytest.mark.parametrize(
        ("options", "headers", "extensions"),
        [
            ({}, None, LIBRARY),
            ({"enhanced_client_awareness": {}}, None, LIBRARY),
            ({"enhanced_client_awareness": {"transport": "extensions"}}, None, LIBRARY),
            ({"enhanced_client_awareness": {"transport": "headers"}}, LIBRARY_HEADERS, {}),
            ({"enhanced_client_awareness": {"transport": False}}, None, {}),
            ({"enhanced_client_awareness": EnhancedClientAwarenessOptions(transport=False)}, None, {}),
        ],
    )
    def test_is_named_where_the_option_says(self, options, headers, extensions):
        assert (headers, extensions) == sent(**options)

    def test_stands_beside_the_application_in_the_headers(self):
        options = {"client_awareness": {"name": "billing"}, "enhanced_client_awareness": {"transport": "headers"}}

        assert ({**LIBRARY_HEADERS, NAME: "billing"}, {}) == sent(**options)
        assert ({**LIBRARY_HEADERS, NAME: "mine"}, {}) == sent(
            with_context(client_awareness={"name": "mine"}), **options
        )
        assert (LIBRARY_HEADERS, {}) == sent(with_context(client_awareness={"transport": False}), **options)

    def test_stands_before_the_extensions_of_the_operation_which_win(self):
        beside = sent(GraphQLRequest("{ a }", extensions={"trace": 1}))[1]
        instead = sent(GraphQLRequest("{ a }", extensions={"clientLibrary": {"name": "mine"}}))[1]

        assert [*LIBRARY.items(), ("trace", 1)] == list(beside.items())
        assert {"clientLibrary": {"name": "mine"}} == instead

    def test_is_a_mapping_of_each_operations_own(self):
        server = MockLink([MockedResponse(result=DATA, max_usage=None)])
        link = from_([ClientAwarenessLink(), server])

        seen_of(execute(link, REQUEST))
        server.operations[0].extensions["clientLibrary"]["name"] = "changed"
        seen_of(execute(link, REQUEST))

        assert LIBRARY == server.operations[1].extensions

    def test_has_the_version_of_its_package(self, monkeypatch, own_version):
        monkeypatch.setattr("importlib.metadata.version", lambda package: f"{package} 9")

        assert {"clientLibrary": {"name": "rxlink", "version": "rxlink 9"}} == sent()[1]

    def test_has_an_unknown_version_where_only_its_files_are(self, monkeypatch, own_version):
        def missing(_):
            raise PackageNotFoundError

        monkeypatch.setattr("importlib.metadata.version", missing)

        assert {"clientLibrary": {"name": "rxlink", "version": "unknown"}} == sent()[1]


class TestSubscriptions:
    def test_say_the_same_again(self):
        server = MockLink([MockedResponse(result=DATA, max_usage=None)])
        link = from_([ClientAwarenessLink(client_awareness={"name": "billing"}), server])
        results = execute(link, REQUEST)

        seen_of(results)
        seen_of(results)

        first, second = ((dict(each.get_context()), each.extensions) for each in server.operations)
        assert ({"headers": {NAME: "billing"}}, LIBRARY) == first == second

    def test_leave_no_garbage(self):
        link = from_([ClientAwarenessLink(client_awareness={"name": "billing"}), sending(DATA)])

        assert 0 == garbage_of(lambda: execute(link, REQUEST).subscribe(), 20)


class TestBadOptions:
    @pytest.mark.parametrize(
        ("name", "value", "kind", "message"),
        [
            ("client_awareness", "billing", InvariantTypeError, "`client_awareness` is a str; give ClientAwarenessOp"),
            ("client_awareness", {"name": 7}, InvariantTypeError, "`name` of client_awareness is 7; give text"),
            ("client_awareness", {"version": 1.2}, InvariantTypeError, "`version` of client_awareness is 1.2; give"),
            (
                "client_awareness",
                {"name": "a\r\nx: y"},
                InvariantError,
                r"`name` of client_awareness is 'a\\r\\nx: y', wh",
            ),
            ("client_awareness", {"name": "a\0", "transport": False}, InvariantError, "cannot stand in a header; give"),
            ("client_awareness", {"version": "1\n"}, InvariantError, r"`version` of client_awareness is '1\\n', which"),
            ("client_awareness", {"version": "\ud800"}, InvariantError, "`version` of client_awareness is .*, which"),
            ("client_awareness", {"nome": "x"}, InvariantError, "has no option 'nome'; it has name, version, transp"),
            (
                "client_awareness",
                {"transport": "extensions"},
                InvariantError,
                "`transport` of client_awareness is 'ext",
            ),
            ("client_awareness", {"transport": True}, InvariantError, "is True; give 'headers', False or None"),
            ("client_awareness", {"transport": 0}, InvariantError, "`transport` of client_awareness is 0; give"),
            ("enhanced_client_awareness", 7, InvariantTypeError, "is an int; give EnhancedClientAwarenessOptions"),
            ("enhanced_client_awareness", {"name": "x"}, InvariantError, "has no option 'name'; it has transport"),
            (
                "enhanced_client_awareness",
                {"transport": "body"},
                InvariantError,
                "`transport` of enhanced_client_awareness is 'body'; give 'extensions', 'headers', False or None",
            ),
        ],
    )
    def test_are_refused_at_construction(self, name, value, kind, message):
        with pytest.raises(InvariantError, match=message) as failure:
            ClientAwarenessLink(**{name: value})

        assert kind is type(failure.value)

    @pytest.mark.parametrize(
        ("context", "message"),
        [
            ({"client_awareness": "billing"}, "`client_awareness` is a str"),
            ({"client_awareness": {"version": "1\n"}}, "`version` of client_awareness is '1\\n', which cannot stand"),
            ({"client_awareness": {"nome": "x"}}, "has no option 'nome'"),
            ({"client_awareness": {"name": "x"}, "headers": [("a", "b")]}, "`headers` of the context is a list"),
        ],
    )
    def test_in_the_context_are_the_operations_error_and_nothing_is_sent(self, context, message):
        server = MockLink([MockedResponse(result=DATA)])

        [error] = seen_of(execute(from_([ClientAwarenessLink(), server]), with_context(**context)))

        assert isinstance(error, InvariantError)
        assert (True, []) == (message in str(error), server.operations)

    def test_may_not_be_given_by_position(self):
        with pytest.raises(TypeError):
            ClientAwarenessLink({"name": "billing"})
