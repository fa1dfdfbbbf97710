"""Options that links check when they are made."""

import functools
import operator
import uuid
from typing import Any
from unittest.mock import Mock, create_autospec

import pytest
from reactivex.testing import TestScheduler

from rxlink.core.operation import GraphQLRequest, Operation
from rxlink.core.options import checked_flag, checked_function, checked_scheduler, kind_of
from rxlink.errors import InvariantTypeError
from rxlink.links.batch import BatchLink
from rxlink.transport._body import BodyWriter
from rxlink.transport._request import HttpOptions, RequestBuilder
from rxlink.transport.batch_http import BatchHttpLink
from rxlink.transport.http import HttpLink
from rxlink.transport.upload import Upload

URI = "http://localhost/graphql"


@pytest.mark.parametrize("value", [True, False])
def test_a_flag_is_what_it_is(value: bool) -> None:
    assert value is checked_flag("name", value)


@pytest.mark.parametrize("value", ["false", "", 0, 1, None, []])
def test_what_is_no_flag_is_named(value: Any) -> None:
    with pytest.raises(InvariantTypeError, match=r"`name` is .*; give True or False"):
        checked_flag("name", value)


@pytest.mark.parametrize(
    ("link", "name"),
    [
        (HttpLink, "use_get_for_queries"),
        (HttpLink, "include_extensions"),
        (HttpLink, "include_unused_variables"),
        (HttpLink, "preserve_header_case"),
        (BatchHttpLink, "include_extensions"),
        (BatchHttpLink, "include_unused_variables"),
        (BatchHttpLink, "preserve_header_case"),
        (BatchHttpLink, "batch_hybrid_requests"),
        (BatchHttpLink, "batch_debounce"),
    ],
)
def test_links_over_http_refuse_text_in_the_place_of_a_flag(link: Any, name: str) -> None:
    with pytest.raises(InvariantTypeError, match=f"`{name}` is 'false'; give True or False"):
        link(URI, **{name: "false"})


def test_a_batch_link_refuses_text_in_the_place_of_a_flag() -> None:
    wrong: Any = "false"

    with pytest.raises(InvariantTypeError, match="`batch_debounce` is 'false'; give True or False"):
        BatchLink(batch_handler=lambda operations, forwards: None, batch_debounce=wrong)


@pytest.mark.parametrize("name", ["include_query", "include_extensions", "preserve_header_case"])
def test_the_context_is_held_to_it_too(name: str) -> None:
    builder = RequestBuilder(
        URI, headers=None, credentials=None, http=HttpOptions(), body=BodyWriter(None, None, False, "HttpLink")
    )

    with pytest.raises(InvariantTypeError, match=f"`http` of the context has 'no' as `{name}`; give True or False"):
        builder.build(Operation(GraphQLRequest("{ a }", context={"http": {name: "no"}})))


class Caller:
    def __init__(self, secret: str = "planted") -> None:
        self.secret = secret

    def __call__(self, one: object, two: object) -> str:
        return self.secret

    def __repr__(self) -> str:
        return self.secret

    def method(self, one: object, two: object) -> None: ...

    @classmethod
    def of_class(cls, one: object, two: object) -> None: ...

    @staticmethod
    def static(one: object, two: object) -> None: ...


class Made:
    def __init__(self, one: object, two: object) -> None: ...


class Waiting:
    async def __call__(self, one: object, two: object) -> None: ...

    async def method(self, one: object, two: object) -> None: ...


class Union: ...


def two(one: object, two: object) -> None: ...


async def two_later(one: object, two: object) -> None: ...


def decorated(function: Any) -> Any:
    """Give to the function one argument more than it gets."""

    @functools.wraps(function)
    def with_one_more(*args: Any) -> Any:
        return function(*args, 3)

    return with_one_more


class Lying:
    __signature__ = "no signature"

    def __call__(self, one: object, two: object) -> None: ...


CHECKED = ("`name` of a link", "one", "two")
PLAIN_ONLY = "give a plain function"


class TestFunctions:
    @pytest.mark.parametrize(
        "function",
        [
            two,
            two_later,
            lambda *_: None,
            lambda one, two, three=3, *, four=4, **more: None,
            lambda one, two=2: None,
            Caller(),
            Caller().method,
            Caller.of_class,
            Caller.static,
            Made,
            functools.partial(lambda zero, one, two: None, 0),
            functools.lru_cache(two),
            decorated(lambda one, two, three: None),
            Lying(),
            Mock(),
            create_autospec(two),
            isinstance,
            max,
            min,
            getattr,
            dict.fromkeys,
            operator.itemgetter(0).__call__,
            print,
        ],
    )
    def test_that_take_the_arguments_or_do_not_tell_pass(self, function: Any) -> None:
        assert function is checked_function(CHECKED[0], function, *CHECKED[1:])

    @pytest.mark.parametrize(
        ("function", "shown"),
        [
            (lambda: None, ".*<lambda>, which takes other arguments"),
            (lambda one: None, ".*<lambda>, which takes other arguments"),
            (lambda one, two, three: None, ".*<lambda>, which takes"),
            (lambda one, two, *, needed: None, ".*<lambda>, which takes"),
            (lambda one, **more: None, ".*<lambda>, which takes"),
            (Caller.method, "Caller.method, which takes"),
            (functools.partial(two, "planted"), "a partial of two, which takes"),
            (functools.partial(two, two="planted"), "a partial of two, which takes"),
            (functools.partial(Caller("planted"), 1), "a partial of a Caller, which takes"),
            (Caller, "Caller, which takes"),
            (len, "len, which takes"),
            (5, "5;"),
            (True, "True;"),
            (None, "None;"),
            ("planted", "a str;"),
            (b"planted", "bytes;"),
            ({"headers": "planted"}, "a dict;"),
            (Upload(b"planted"), "an Upload;"),
        ],
    )
    def test_that_cannot_take_them_are_named_and_nothing_that_they_carry(self, function: Any, shown: str) -> None:
        cure = r"give a function of \(one, two\), or None$"

        with pytest.raises(InvariantTypeError, match=f"^`name` of a link is {shown}.* {cure}") as caught:
            checked_function(CHECKED[0], function, *CHECKED[1:], or_else=", or None")

        assert "planted" not in str(caught.value)
        assert caught.value.__cause__ is None

    @pytest.mark.parametrize(
        ("function", "name"),
        [
            (two_later, "two_later"),
            (Waiting().method, "Waiting.method"),
            (Waiting(), "a Waiting"),
            (functools.partial(two_later), "a partial of two_later"),
            (functools.partial(functools.partial(Waiting())), "a partial of a Waiting"),
        ],
    )
    def test_that_are_coroutine_functions_are_named_where_nobody_awaits_them(self, function: Any, name: str) -> None:
        assert function is checked_function(CHECKED[0], function, *CHECKED[1:])
        with pytest.raises(InvariantTypeError) as caught:
            checked_function(CHECKED[0], function, *CHECKED[1:], instead=PLAIN_ONLY)

        assert f"`name` of a link is the coroutine function {name}; {PLAIN_ONLY}" == str(caught.value)

    @pytest.mark.parametrize("function", [two, Caller(), Made, Waiting, max, functools.partial(two)])
    def test_that_are_plain_pass_where_nobody_awaits_them(self, function: Any) -> None:
        arguments = () if function is Waiting else CHECKED[1:]

        assert function is checked_function(CHECKED[0], function, *arguments, instead=PLAIN_ONLY)

    def test_without_arguments_are_asked_for_in_plain_words(self) -> None:
        with pytest.raises(InvariantTypeError, match=r"is two, which takes other arguments; give a function without a"):
            checked_function("`name`", two)

    def test_of_which_an_annotation_names_what_is_not_there_pass(self) -> None:
        def annotated(one, two): ...

        annotated.__annotations__ = {"one": "NowhereToBeFound"}

        assert annotated is checked_function(CHECKED[0], annotated, *CHECKED[1:])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "None"),
        (5, "an int"),
        ("planted", "a str"),
        (["planted"], "a list"),
        (OSError("planted"), "an OSError"),
        (b"planted", "bytes"),
        (Upload(b"planted"), "an Upload"),
        (uuid.UUID(int=7), "a UUID"),
        (Union(), "a Union"),
        (HttpLink, "the class HttpLink"),
        (two, "a function"),
        (Made(1, 2), "a Made"),
    ],
)
def test_a_value_is_described_in_english_and_not_shown(value: Any, expected: str) -> None:
    assert expected == kind_of(value)


class TestSchedulers:
    @pytest.mark.parametrize("scheduler", [None, TestScheduler()])
    def test_pass_as_they_are(self, scheduler: Any) -> None:
        assert scheduler is checked_scheduler("scheduler", scheduler)

    @pytest.mark.parametrize(("wrong", "shown"), [(5, "5"), ("loop", "a str"), (TestScheduler, "the class TestSch")])
    def test_that_are_none_are_named(self, wrong: Any, shown: str) -> None:
        with pytest.raises(InvariantTypeError, match=f"`scheduler` is {shown}.*; give a scheduler of RxPY, or None"):
            checked_scheduler("scheduler", wrong)
