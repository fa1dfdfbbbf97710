"""How an operation says that its hash or its text is to be sent, and what of it stays as it was."""

import pytest

from rxlink.core.chain import execute, from_
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import InvariantTypeError
from rxlink.links.persisted_queries import PersistedQueryLink
from tests.links.persisted import AS_BOTH, AS_HASH, AS_TEXT, HASH, MISS, REFUSAL, TEXT, answered, run, wire, wires
from tests.recording import DATA, END, REQUEST, seen_of


class TestAnOperation:
    def test_goes_out_as_a_hash_without_its_text(self):
        server = answered(DATA)

        seen = run(server)

        assert ([[DATA, END]], [AS_HASH]) == (seen, wires(server))
        assert {"persistedQuery": {"version": 1, "sha256Hash": HASH}} == server.operations[0].extensions
        assert {"http": {"include_query": False, "include_extensions": True}} == server.operations[0].get_context()

    def test_keeps_its_context_and_its_extensions(self):
        context = {"http": {"accept": ["a/b"], "include_extensions": False}, "fetch_options": {"signal": 1}, "x": 1}
        extensions = {"trace": 1}
        server = answered(DATA)

        run(server, GraphQLRequest("{ a }", extensions=extensions, context=context))

        sent = server.operations[0]
        assert {
            "http": {"accept": ["a/b"], "include_extensions": True, "include_query": False},
            "fetch_options": {"signal": 1},
            "x": 1,
        } == sent.get_context()
        assert (["trace", "persistedQuery"], {"trace": 1}) == (list(sent.extensions), extensions)
        assert {"accept": ["a/b"], "include_extensions": False} == context["http"]

    @pytest.mark.parametrize("key", ["http", "fetch_options"])
    def test_with_something_else_than_options_in_its_context_is_not_sent(self, key):
        server = answered(DATA)

        [[error]] = run(server, GraphQLRequest("{ a }", context={key: "GET"}), use_get_for_hashed_queries=True)

        assert (InvariantTypeError, []) == (type(error), server.operations)
        assert f"`{key}` of the context is a str" in str(error)

    def test_that_a_link_above_has_put_none_into_is_sent(self):
        server = answered(DATA)

        assert [[DATA, END]] == run(server, GraphQLRequest("{ a }", context={"http": None, "fetch_options": None}))


class TestATextAfterAHash:
    def test_takes_the_hash_with_it_whatever_else_was_done_to_the_context(self):
        def retry(options):
            options.operation.set_context({"http": {"include_extensions": False, "accept": ["a/b"]}})
            return True

        server = answered(MISS, DATA)
        run(server, retry=retry)

        assert [AS_HASH, AS_BOTH] == wires(server)
        assert ["a/b"] == server.operations[1].get_context()["http"]["accept"]

    def test_goes_by_post_also_where_the_operation_asked_for_get(self):
        """It may be too long for a URL."""
        server = answered(MISS, DATA)

        run(server, GraphQLRequest(TEXT, context={"fetch_options": {"method": "GET", "signal": 1}}))

        assert [(HASH, "hash alone", "GET"), AS_BOTH] == wires(server)
        assert 1 == server.operations[1].get_context()["fetch_options"]["signal"]


class TestGet:
    def test_is_for_hashes_and_a_text_goes_by_post(self):
        server = answered(MISS, DATA)

        run(server, use_get_for_hashed_queries=True)

        assert [(HASH, "hash alone", "GET"), AS_BOTH] == wires(server)

    def test_leaves_the_other_fetch_options_as_they_were(self):
        server = answered(MISS, DATA)

        run(server, GraphQLRequest("{ a }", context={"fetch_options": {"signal": 1}}), use_get_for_hashed_queries=True)

        assert [{"signal": 1, "method": "GET"}, {"signal": 1}] == [
            operation.get_context()["fetch_options"] for operation in server.operations
        ]

    @pytest.mark.parametrize(
        ("query", "name", "method"),
        [
            ("mutation { a }", None, "POST"),
            ("{ a }", None, "GET"),
            ("query A { a } mutation B { b }", "A", "GET"),
            ("query A { a } mutation B { b }", "B", "POST"),
        ],
    )
    def test_is_not_for_mutations(self, query, name, method):
        server = answered(DATA)

        run(server, GraphQLRequest(query, operation_name=name), use_get_for_hashed_queries=True)

        assert method == wire(server.operations[0])[2]

    def test_of_the_operation_itself_stays_where_the_link_does_not_ask_for_it(self):
        server = answered(DATA, DATA)
        request = GraphQLRequest("{ a }", context={"fetch_options": {"method": "GET"}})
        results = execute(from_([PersistedQueryLink(), server]), request)

        seen_of(results)
        seen_of(results)

        assert ["GET", "GET"] == [method for _, _, method in wires(server)]

    def test_is_not_for_links_that_are_disabled(self):
        server = answered(REFUSAL, DATA, DATA)

        run(server, REQUEST, REQUEST, use_get_for_hashed_queries=True)

        assert [(HASH, "hash alone", "GET"), AS_TEXT, AS_TEXT] == wires(server)

    def test_is_forgotten_where_the_operation_is_subscribed_again_and_missed(self):
        server = answered(DATA, MISS, DATA)
        results = execute(from_([PersistedQueryLink(use_get_for_hashed_queries=True), server]), REQUEST)

        seen_of(results)
        seen_of(results)

        assert [(HASH, "hash alone", "GET")] * 2 + [AS_BOTH] == wires(server)
