"""Options of a client's calls: what goes over what, and what is refused."""

from datetime import timedelta

import pytest

from rxlink import Client, InvariantError, InvariantTypeError
from rxlink.client.options import OF_THE_CACHE
from rxlink.core.chain import from_
from rxlink.core.link import ApolloLink
from rxlink.testing import MockedResponse, MockLink
from tests.recording import seen_of

WITH_ERRORS = {"data": {"a": 1}, "errors": [{"message": "no"}]}


def sent(method="query", options=None, variables=None, **call):
    """What arrives at the transport of a call on a client with such options."""
    link = MockLink([MockedResponse(result={"data": {"a": 1}})])
    word = {"query": "query", "mutate": "mutation", "subscribe": "subscription"}[method]
    seen_of(getattr(Client(link, **(options or {})), method)(f"{word} Q {{ a }}", variables, **call))
    return link.operations[0]


class TestContext:
    def test_goes_over_the_clients_value_by_value(self):
        operation = sent(options={"default_context": {"a": 1, "b": 1}}, context={"b": 2})

        assert {"a": 1, "b": 2} == dict(operation.get_context())

    def test_takes_the_place_of_that_of_the_default_options(self):
        options = {"default_options": {"query": {"context": {"a": 1}}}, "default_context": {"c": 3}}

        assert {"b": 2, "c": 3} == dict(sent(options=options, context={"b": 2}).get_context())
        assert {"a": 1, "c": 3} == dict(sent(options=options).get_context())

    def test_is_the_operations_own(self):
        given = {"a": 1}
        operation = sent(context=given)

        operation.set_context({"a": 2})

        assert {"a": 1} == given


class TestHeaders:
    def test_go_over_those_of_the_context_in_any_case(self):
        operation = sent(context={"headers": {"Tenant": "1", "b": "1"}, "x": 1}, headers={"tenant": "2"})

        assert {"headers": {"b": "1", "tenant": "2"}, "x": 1} == dict(operation.get_context())

    def test_of_the_call_go_over_the_default_ones(self):
        options = {"default_options": {"query": {"headers": {"a": "1", "B": "1"}}}}

        assert {"a": "1", "b": "2"} == sent(options=options, headers={"b": "2"}).get_context()["headers"]


class TestDefaults:
    def test_are_for_one_kind_of_call(self):
        options = {"default_options": {"mutate": {"headers": {"a": "1"}}}}

        assert {"a": "1"} == sent("mutate", options).get_context()["headers"]
        assert {} == dict(sent("query", options).get_context())
        assert {} == dict(sent("subscribe", options).get_context())

    def test_of_variables_are_merged_by_name(self):
        options = {"default_options": {"query": {"variables": {"a": 1, "b": 1}}}}

        assert {"a": 1, "b": 2} == sent(options=options, variables={"b": 2}).variables
        assert {"a": 1, "b": 1} == sent(options=options).variables

    def test_of_extensions_give_way(self):
        options = {"default_options": {"query": {"extensions": {"a": 1}}}}

        assert {"b": 2} == sent(options=options, extensions={"b": 2}).extensions
        assert {"a": 1} == sent(options=options).extensions

    def test_of_the_error_policy_give_way(self):
        link = MockLink([MockedResponse(result=WITH_ERRORS, max_usage=None)])
        client = Client(link, default_options={"query": {"error_policy": "ignore"}})

        assert None is seen_of(client.query("{ a }"))[0].error
        assert "no" == str(seen_of(client.query("{ a }", error_policy="all"))[0].error)
        assert None is seen_of(client.query("{ a }", error_policy=None))[0].error

    def test_of_the_timeout_can_be_lifted(self):
        link = MockLink([MockedResponse(result=WITH_ERRORS, max_usage=None)])
        client = Client(link, default_options={"query": {"timeout": timedelta(seconds=1)}})

        assert "no event loop runs" in str(seen_of(client.query("{ a }"))[0])
        assert "no" == str(seen_of(client.query("{ a }", timeout=None))[0])


class TestRefused:
    @pytest.mark.parametrize("policy", OF_THE_CACHE)
    def test_is_what_needs_the_cache(self, policy):
        with pytest.raises(
            InvariantError, match=f"'{policy}', which needs the cache, and rxlink does not have one yet"
        ):
            sent(fetch_policy=policy)

    @pytest.mark.parametrize("policy", ["network-only", "no-cache", None])
    def test_is_not_what_needs_none(self, policy):
        assert "Q" == sent(fetch_policy=policy).operation_name

    @pytest.mark.parametrize(
        ("option", "reason"),
        [
            ({"fetch_policy": "network_only"}, "`fetch_policy` is 'network_only'; give 'network-only' or 'no-cache'"),
            ({"error_policy": "some"}, "`error_policy` is 'some'; give 'none', 'ignore' or 'all'"),
            ({"timeout": 0}, "`timeout` is 0; give more than 0 seconds, or None for ever"),
            ({"timeout": "1"}, "`timeout` is '1'; give seconds"),
            ({"headers": [("a", "1")]}, "`headers` is a list; give a mapping"),
            ({"context": 3}, "`context` is an int; give a mapping"),
            ({"extensions": 3}, "`extensions` is an int; give a mapping"),
            ({"operation_name": 3}, "`operation_name` is an int; give text"),
            ({"timout": 3}, "has no option 'timout'; it has .*timeout"),
        ],
    )
    def test_is_what_makes_no_sense(self, option, reason):
        with pytest.raises(InvariantError, match=reason):
            sent(**option)
        if "operation_name" not in option:
            with pytest.raises(InvariantError, match=reason):
                Client(MockLink([]), default_options={"query": option})

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            ({"default_options": []}, "`default_options` is a list; give a mapping"),
            ({"default_options": {"query": 1}}, r"`default_options\['query'\]` is an int"),
            ({"default_options": {"watch_query": {}}}, "'watch_query' in it; its keys are query, mutate, subscribe"),
            ({"default_context": 1}, "`default_context` is an int"),
            ({"default_options": {"query": {"operation_name": "A"}}}, "only a call can choose one"),
        ],
    )
    def test_are_defaults_of_another_shape(self, options, reason):
        with pytest.raises(InvariantTypeError, match=reason):
            Client(MockLink([]), **options)

    def test_is_no_header_shown(self):
        with pytest.raises(InvariantTypeError) as caught:
            sent(context={"headers": "secret"}, headers={"a": "secret"})

        assert "secret" not in str(caught.value)


def test_what_a_link_changes_is_seen_by_those_below():
    link = MockLink([MockedResponse(result={"data": {}})])
    mark = ApolloLink(lambda operation, forward: operation.set_context({"a": 2}) or forward(operation))

    seen_of(Client(from_([mark, link]), default_context={"a": 1}).query("{ a }"))

    assert 2 == link.operations[0].get_context()["a"]
