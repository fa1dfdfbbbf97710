"""RemoveTypenameFromVariablesLink: what goes, what stays where, and that nobody else's objects change."""

import copy
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import InvariantError, InvariantTypeError, SerializationError
from rxlink.links.remove_typename import KEEP, RemoveTypenameFromVariablesLink
from rxlink.testing import MockedResponse, MockLink
from tests.recording import DATA, END, garbage_of, seen_of, sending

NAMES = ("foo", "bar", "baz", "__typename")
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=3)


def named(name, **fields):
    return {"__typename": name, **fields}


def sent(query, variables, *links, operation_name=None, **options):
    """The variables that reach the end of the chain."""
    server = MockLink([MockedResponse(result=DATA)])
    link = from_([*links, RemoveTypenameFromVariablesLink(**options), server])

    assert [DATA, END] == seen_of(execute(link, GraphQLRequest(query, variables, operation_name)))

    return server.operations[0].variables


def sent_as(kind, value, **options):
    return sent(f"query ($v: {kind}) {{ a(v: $v) }}", {"v": value}, **options)["v"]


def values():
    def inside(parts):
        objects = st.dictionaries(st.sampled_from(NAMES), parts, max_size=3)
        return objects | st.lists(parts, max_size=3) | st.lists(parts, max_size=3).map(tuple)

    return st.recursive(LEAVES, inside, max_leaves=12)


def configs():
    inside = st.recursive(st.just(KEEP), lambda c: st.dictionaries(st.sampled_from(NAMES[:3]), c, max_size=3))
    return st.dictionaries(st.sampled_from(["A", "B"]), inside, max_size=2)


def stripped(value, config):
    """What should be left, in the fewest words."""
    if config == KEEP:
        return value
    if isinstance(value, (list, tuple)):
        return type(value)(stripped(each, config) for each in value)
    if isinstance(value, dict):
        return {name: stripped(each, config.get(name, {})) for name, each in value.items() if name != "__typename"}
    return value


class TestWithoutExceptions:
    def test_every_typename_goes_at_any_depth(self):
        variables = {
            "foo": named("Foo", foo=True, bar="Bar", baz=named("Baz", baz=True), qux=[named("Qux", qux=0)]),
            "bar": [named("Bar", bar=True)],
            "both": (named("Bar", bar=True), [[named("Bar", bar=None)]]),
        }

        expected = {
            "foo": {"foo": True, "bar": "Bar", "baz": {"baz": True}, "qux": [{"qux": 0}]},
            "bar": [{"bar": True}],
            "both": ({"bar": True}, [[{"bar": None}]]),
        }
        assert expected == sent("query ($foo: F!, $bar: B!) { a }", variables)

    @pytest.mark.parametrize("query", ["query Q { a }", "query Q($unused: Boolean) { a }"])
    @pytest.mark.parametrize("variables", [None, {}])
    def test_no_variables_stay_none(self, query, variables):
        assert {} == sent(query, variables)

    def test_a_typename_beside_the_variables_goes_too(self):
        assert {"a": 1} == sent("query ($a: Int) { a }", named("User", a=1))
        assert {"a": 1} == sent("query ($a: Int) { a }", named("User", a=1), except_={"JSON": KEEP})

    def test_a_typename_that_is_a_value_stays(self):
        assert {"a": "__typename", "b": ["__typename"]} == sent("{ a }", {"a": "__typename", "b": ["__typename"]})

    def test_what_is_no_plain_container_stays_as_it_is(self):
        class Own:
            __typename = "Own"

        own, view = Own(), MappingProxyType(named("Foo"))

        variables = sent("{ a }", {"own": own, "view": view, "text": "a", "in": [named("Foo", own=own)]})

        assert {"own": own, "view": view, "text": "a", "in": [{"own": own}]} == variables

    def test_what_needs_no_change_is_not_copied(self):
        clean, tidy = {"a": [1, {"b": 2}]}, [{"c": (1,)}]

        variables = sent("{ a }", {"clean": clean, "tidy": tidy, "not": named("Foo", clean=clean)})

        assert (True, True, True) == (
            variables["clean"] is clean,
            variables["tidy"] is tidy,
            variables["not"]["clean"] is clean,
        )

    @given(values())
    def test_nothing_else_changes_and_never_the_callers_objects(self, value):
        before = copy.deepcopy(value)

        after = sent("{ a }", {"v": value})

        assert (stripped(before, {}), before) == (after["v"], value)

    def test_objects_in_a_circle_are_copied_in_a_circle(self):
        user = named("User", friends=[])
        user["friends"].append(user)

        copied = sent("{ a }", {"user": user})["user"]

        assert (["friends"], True, ["__typename", "friends"]) == (
            list(copied),
            copied["friends"][0] is copied,
            list(user),
        )

    def test_one_object_in_many_places_is_looked_at_once(self):
        value = named("Leaf")
        for _ in range(60):
            value = {"left": value, "right": value}

        copied = sent("{ a }", {"v": value})["v"]

        assert copied["left"] is copied["right"]

    def test_variables_deeper_than_python_can_go_are_named_and_nothing_is_sent(self):
        value = named("Leaf")
        for _ in range(100_000):
            value = [value]
        server = MockLink([MockedResponse(result=DATA)])

        [error] = seen_of(
            execute(
                from_([RemoveTypenameFromVariablesLink(), server]),
                GraphQLRequest("query Deep { a }", {"v": value}),
            )
        )

        assert (SerializationError, [], "variables") == (type(error), server.operations, error.path)
        assert "operation Deep: variables is a value nested too deeply" in str(error)


class TestExceptions:
    @pytest.mark.parametrize("kind", ["JSON", "JSON!", "[JSON]", "[JSON!]!", "[[JSON]!]"])
    def test_keep_all_of_a_variable_of_that_type(self, kind):
        value = [named("Foo", foo=True, baz=named("Baz", baz=True))]

        assert value is sent_as(kind, value, except_={"JSON": KEEP})
        assert [{"foo": True, "baz": {"baz": True}}] == sent_as(kind, value, except_={"Json": KEEP})

    def test_keep_all_of_a_field_and_nothing_beside_it(self):
        value = named("Foo", aa=True, bar=named("Bar", bb=named("B")), baz=named("Baz"), qux=named("Qux", dd=1))

        after = sent_as("FooInput", value, except_={"FooInput": {"bar": KEEP, "baz": KEEP}})

        assert {"aa": True, "bar": named("Bar", bb=named("B")), "baz": named("Baz"), "qux": {"dd": 1}} == after

    def test_go_to_any_depth_and_through_lists(self):
        value = [named("Foo", bar=[named("Bar", baz=named("Baz", qux=named("Qux", quux=True), other=named("O")))])]

        after = sent_as("[FooInput!]", value, except_={"FooInput": {"bar": {"baz": {"qux": KEEP}}}})

        assert [{"bar": [{"baz": {"qux": named("Qux", quux=True), "other": {}}}]}] == after

    def test_may_differ_in_depth_and_between_types(self):
        except_ = {"FooInput": {"bar": KEEP, "baz": {"qux": KEEP}}, "BarInput": {"qux": KEEP}, "JSON": KEEP}
        variables = {
            "foo": named("Foo", bar=named("Bar"), baz=named("Baz", qux=named("Qux"))),
            "bar": named("Bar", qux=named("Qux"), baz=named("Baz")),
            "json": named("J"),
            "rest": named("R"),
        }

        after = sent("query ($foo: FooInput, $bar: BarInput, $json: JSON!) { a }", variables, except_=except_)

        expected = {
            "foo": {"bar": named("Bar"), "baz": {"qux": named("Qux")}},
            "bar": {"qux": named("Qux"), "baz": {}},
            "json": named("J"),
            "rest": {},
        }
        assert expected == after

    def test_count_for_the_place_and_not_for_the_object_that_stands_there(self):
        shared = named("S", x=named("X"))

        after = sent_as("F", {"a": shared, "b": shared}, except_={"F": {"a": {"x": KEEP}}})

        assert {"a": {"x": named("X")}, "b": {"x": {}}} == after

    def test_may_hold_themselves_as_input_types_do(self):
        where = {"value": KEEP}
        where["and"] = where
        value = named("W", value=named("V"), **{"and": [named("W", value=named("V"), x=named("X"))]})

        after = sent_as("Where", value, except_={"Where": where})

        assert {"value": named("V"), "and": [{"value": named("V"), "x": {}}]} == after

    def test_make_no_difference_where_they_are_empty(self):
        assert {"a": {}} == sent_as("F", named("Foo", a=named("A")), except_={})
        assert {"a": {}} == sent_as("F", named("Foo", a=named("A")), except_={"F": {}})

    def test_count_by_the_types_of_the_operation_to_run(self):
        query = "query A($v: JSON) { a } query B($v: Other) { a }"

        kept = sent(query, {"v": named("V")}, operation_name="A", except_={"JSON": KEEP})
        removed = sent(query, {"v": named("V")}, operation_name="B", except_={"JSON": KEEP})

        assert ({"v": named("V")}, {"v": {}}) == (kept, removed)

    def test_fit_nothing_in_a_document_that_a_link_has_put_there_without_this_operation(self):
        other = GraphQLRequest("query Other($v: JSON) { a }")

        def replaced(operation, forward):
            operation.query = type(operation)(other).query
            return forward(operation)

        after = sent("query Q($v: JSON) { a }", {"v": named("V")}, ApolloLink(replaced), except_={"JSON": KEEP})

        assert {"v": {}} == after

    def test_are_those_of_construction(self):
        except_ = {"F": {"a": KEEP}}
        server = MockLink([MockedResponse(result=DATA)])
        link = from_([RemoveTypenameFromVariablesLink(except_=except_), server])

        except_["F"].clear()
        seen_of(execute(link, GraphQLRequest("query ($v: F) { a }", {"v": {"a": named("A")}})))

        assert {"v": {"a": named("A")}} == server.operations[0].variables

    @given(values(), values(), configs())
    def test_hold_for_any_variables(self, a, b, config):
        before = copy.deepcopy((a, b))

        after = sent("query ($a: A!, $b: [B!]) { x }", {"a": a, "b": b}, except_=config)

        expected = {"a": stripped(a, config.get("A", {})), "b": stripped(b, config.get("B", {}))}
        assert (expected, before) == (after, (a, b))


class TestSubscriptions:
    def test_find_the_same_variables_again(self):
        server = MockLink([MockedResponse(result=DATA, max_usage=None)])
        results = execute(
            from_([RemoveTypenameFromVariablesLink(), server]), GraphQLRequest("{ a }", {"v": named("V", a=1)})
        )

        seen_of(results)
        seen_of(results)

        assert [{"v": {"a": 1}}] * 2 == [operation.variables for operation in server.operations]

    def test_leave_no_garbage(self):
        link = from_([RemoveTypenameFromVariablesLink(except_={"F": {"a": KEEP}}), sending(DATA)])
        request = GraphQLRequest("query ($v: F) { a }", {"v": named("V", a=[named("A")])})

        assert 0 == garbage_of(lambda: execute(link, request).subscribe(), 20)


class TestBadOptions:
    @pytest.mark.parametrize(
        ("except_", "message"),
        [
            (KEEP, "`except_` is '__KEEP'; give a mapping"),
            (["JSON"], r"`except_` is \['JSON'\]; give a mapping"),
            ({"JSON": True}, r"`except_`\['JSON'\] is True; give KEEP, or a mapping"),
            ({"JSON": None}, r"`except_`\['JSON'\] is None; give KEEP"),
            ({"F": {"a": {"b": "KEEP"}}}, r"`except_`\['F'\]\['a'\]\['b'\] is 'KEEP'; give KEEP"),
        ],
    )
    def test_are_refused_at_construction(self, except_, message):
        with pytest.raises(InvariantError, match=message) as failure:
            RemoveTypenameFromVariablesLink(except_=except_)

        assert InvariantTypeError is type(failure.value)

    @pytest.mark.parametrize(
        ("except_", "kind", "message"),
        [
            ({"": KEEP}, InvariantError, "`except_` has ''; give the name of a type, without its lists and `!`"),
            ({"a b": KEEP}, InvariantError, "`except_` has 'a b'; give the name of a type"),
            ({"UserInput!": KEEP}, InvariantError, "`except_` has 'UserInput!'; give the name of a type"),
            ({"[Int]": {"a": KEEP}}, InvariantError, r"`except_` has '\[Int\]'; give the name of a type"),
            ({"1a": KEEP}, InvariantError, "`except_` has '1a'; give the name of a type"),
            ({"Größe": KEEP}, InvariantError, "`except_` has 'Größe'; give the name of a type"),
            ({5: KEEP}, InvariantTypeError, "`except_` has 5 as a name; names are text"),
            ({None: KEEP}, InvariantTypeError, "`except_` has None as a name; names are text"),
            ({"F": {5: KEEP}}, InvariantTypeError, r"`except_`\['F'\] has 5 as a name; names are text"),
            ({"F": {"a": {"": KEEP}}}, InvariantError, r"`except_`\['F'\]\['a'\] has '' as a name; give the name of"),
        ],
    )
    def test_that_name_what_cannot_be_are_refused(self, except_, kind, message):
        with pytest.raises(InvariantError, match=f"^{message}") as failure:
            RemoveTypenameFromVariablesLink(except_=except_)

        assert kind is type(failure.value)

    def test_are_not_keys_of_a_scalar_that_are_no_names(self):
        server = MockLink([MockedResponse(result=DATA)])
        link = from_([RemoveTypenameFromVariablesLink(except_={"JSON": {"content type": KEEP}}), server])
        value = {"content type": {"__typename": "Stays"}, "other": {"__typename": "Goes"}}

        execute(link, GraphQLRequest("query ($v: JSON) { a(v: $v) }", {"v": value})).subscribe()

        assert {"v": {"content type": {"__typename": "Stays"}, "other": {}}} == server.operations[0].variables

    def test_may_not_be_given_by_position(self):
        with pytest.raises(TypeError):
            RemoveTypenameFromVariablesLink({"JSON": KEEP})
