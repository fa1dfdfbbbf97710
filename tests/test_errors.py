"""The tree of errors: what they say, what they carry, and that it is drawn as it is."""

import re

import pytest

from rxlink import errors
from rxlink.errors import (
    RETRYABLE_STATUSES,
    AbortError,
    AuthError,
    BufferOverflow,
    ClientClosed,
    CombinedGraphQLErrors,
    CombinedProtocolErrors,
    InvariantError,
    InvariantTypeError,
    NetworkError,
    NetworkTimeout,
    OperationCancelled,
    ResponseTooLarge,
    RxlinkError,
    SerializationError,
    ServerError,
    ServerParseError,
    SessionEnded,
    TokenRefreshError,
    TokenRefreshTimeout,
    UploadError,
)

CLASSES = [getattr(errors, name) for name in errors.__all__]


def drawn_tree():
    """Child and parent of each line of the tree in the module's docstring."""
    stack, pairs = [], {}
    for line in errors.__doc__.splitlines():
        found = re.match(r"^    ([│├└─ ]*)(\w+)", line)
        if found:
            depth = len(found[1]) // 4
            stack[depth:] = [found[2]]
            pairs[found[2]] = stack[depth - 1] if depth else None
    return pairs


class TestTree:
    def test_is_drawn_as_it_is(self):
        actual = {cls.__name__: cls.__bases__[0].__name__ for cls in CLASSES if cls is not RxlinkError}

        assert {"RxlinkError": None, **actual} == drawn_tree()

    def test_exports_every_class(self):
        defined = {
            name
            for name, value in vars(errors).items()
            if isinstance(value, type) and value.__module__ == errors.__name__
        }

        assert sorted(defined) == sorted(errors.__all__)

    @pytest.mark.parametrize(
        ("error", "builtin"),
        [
            (InvariantTypeError("wrong"), TypeError),
            (NetworkTimeout("POST", seconds=3), TimeoutError),
            (TokenRefreshTimeout(seconds=3), TimeoutError),
        ],
    )
    def test_can_be_caught_by_pythons_own_names(self, error, builtin):
        assert isinstance(error, builtin)

    def test_has_no_cancellation_in_it(self):
        assert all(issubclass(cls, Exception) for cls in CLASSES)


def server_error(status):
    return ServerError("bad", status_code=status, headers={}, body_text="")


def parse_error(status):
    return ServerParseError("bad", status_code=status, headers={}, body_text="")


class TestRetryable:
    @pytest.mark.parametrize(
        ("error", "answer"),
        [
            (RxlinkError("x"), False),
            (InvariantError("x"), False),
            (NetworkError("x"), True),
            (NetworkTimeout("x", seconds=1), True),
            (ClientClosed("x"), False),
            (OperationCancelled("x"), False),
            (AbortError("x"), False),
            (UploadError("x", path="variables.file", operation_name=None), False),
            (ResponseTooLarge("x", limit=1), False),
            (BufferOverflow(max_buffer=1), False),
            (CombinedGraphQLErrors({"errors": []}), False),
            (AuthError("x"), False),
            (SessionEnded(), False),
            (TokenRefreshError("x", retryable=True), True),
            (TokenRefreshError("x", retryable=False), False),
            (TokenRefreshTimeout(seconds=1), True),
        ],
    )
    def test_says_whether_trying_again_makes_sense(self, error, answer):
        assert answer is error.retryable

    @pytest.mark.parametrize("make", [server_error, parse_error])
    def test_follows_the_status(self, make):
        retryable = {status for status in range(400, 600) if make(status).retryable}

        assert RETRYABLE_STATUSES == retryable


class TestMessages:
    @pytest.mark.parametrize(
        ("error", "message"),
        [
            (
                NetworkTimeout("POST https://a/", seconds=1.5),
                "POST https://a/: no answer within 1.5 s; raise `timeout` if the server needs longer",
            ),
            (
                ResponseTooLarge("POST", limit=10),
                "POST: the response is longer than 10 bytes; raise `max_response_size`",
            ),
            (
                SerializationError(path="variables.since", type_name="datetime", operation_name=None),
                (
                    "operation (anonymous): variables.since is a datetime, which JSON cannot carry; convert it to "
                    "text or a number, or give the link an `encode` that knows it"
                ),
            ),
            (
                UploadError("is gone", path="variables.file", operation_name="Put"),
                "operation Put: the file variables.file is gone",
            ),
            (AbortError("it"), "it was aborted by its `signal`"),
            (OperationCancelled("it"), "it was cancelled from outside while its subscriber still waited"),
            (
                BufferOverflow(max_buffer=1000),
                (
                    "1000 values were waiting when another came, and the source was left: take them faster, raise "
                    "`max_buffer`, or let `overflow` say which may be dropped"
                ),
            ),
            (
                BufferOverflow(max_buffer=1),
                (
                    "1 value was waiting when another came, and the source was left: take them faster, raise "
                    "`max_buffer`, or let `overflow` say which may be dropped"
                ),
            ),
            (ClientClosed("<HttpLink>"), "<HttpLink> is closed; make a new one, or close it later"),
            (SessionEnded("signed out"), "the session has ended (signed out); sign in again"),
            (TokenRefreshTimeout(seconds=30), "the token refresh did not end within 30 s"),
        ],
    )
    def test_say_what_happened_and_what_to_do(self, error, message):
        assert message == str(error)

    def test_show_no_body_and_no_header(self):
        parts = {"status_code": 500, "headers": {"x-token": "planted"}, "body_text": "planted"}

        shown = [
            f"{error!r} {error} {error.args}"
            for error in (ServerError("bad", **parts), ServerParseError("bad", **parts))
        ]

        assert [] == [text for text in shown if "planted" in text]

    @pytest.mark.parametrize(
        ("found", "message"),
        [
            ([{"message": "a"}, {"message": "b"}], "a\nb"),
            ([{"message": None}, {}], "Error message not found.\nError message not found."),
            ([None, "text", 7], "text\n7"),
            ([], ""),
            (None, ""),
            (7, "7"),
            ("no list", "no list"),
            ({"message": "no list"}, "no list"),
        ],
    )
    def test_of_graphql_errors_are_joined_whatever_servers_send(self, found, message):
        assert message == str(CombinedGraphQLErrors({"errors": found}))

    @pytest.mark.parametrize("place", [lambda deep: deep, lambda deep: {"message": deep}])
    def test_of_graphql_errors_that_are_nested_too_deeply_cannot_be_shown(self, place):
        deep = []
        for _ in range(100_000):
            deep = [deep]

        assert "Error message cannot be shown.\nb" == str(CombinedGraphQLErrors({"errors": [place(deep), "b"]}))

    def test_of_protocol_errors_are_joined_likewise(self):
        error = CombinedProtocolErrors([{"message": "a"}, {"message": "b"}])

        assert ("a\nb", [{"message": "a"}, {"message": "b"}]) == (str(error), error.errors)


class TestCombinedGraphQLErrors:
    def test_carries_the_parts_of_the_result(self):
        result = {"data": {"a": 1}, "errors": [{"message": "no"}], "extensions": {"x": 1}}

        error = CombinedGraphQLErrors(result)

        assert tuple(result.values()) == (error.data, error.errors, error.extensions)

    def test_has_none_for_parts_that_are_missing(self):
        error = CombinedGraphQLErrors({})

        assert ((), None, None) == (error.errors, error.data, error.extensions)

    def test_takes_errors_that_were_found_elsewhere(self):
        error = CombinedGraphQLErrors({"data": 1}, [{"message": "in a chunk"}])

        assert "in a chunk" == str(error)


class TestErrorsOfOneWave:
    """Each operation that waited gets an error of its own, with the same cause."""

    @pytest.mark.parametrize(
        "shared",
        [
            TokenRefreshError("no", retryable=True, retry_after=7.0),
            TokenRefreshTimeout(seconds=30),
            SessionEnded("signed out"),
            AuthError("no"),
        ],
    )
    def test_are_of_the_same_class_with_the_same_attributes(self, shared):
        rejected = {"errors": [1]}

        error = shared.for_operation("Viewer", rejected)

        own = {"operation_name": "Viewer", "auth_error": rejected}
        assert (type(shared), f"operation Viewer: {shared}") == (type(error), str(error))
        assert {**vars(shared), **own} == vars(error)
        assert (None, None) == (shared.operation_name, shared.auth_error)

    def test_name_the_cause_of_the_wave_or_the_shared_error_itself(self):
        shared = TokenRefreshError("no", retryable=True)
        without = shared.for_operation(None, None).__cause__
        shared.__cause__ = cause = OSError("down")

        assert (shared, cause) == (without, shared.for_operation(None, None).__cause__)

    def test_keep_their_tracebacks_apart(self):
        shared = TokenRefreshError("no", retryable=True)
        first, second = shared.for_operation("A", None), shared.for_operation("B", None)

        with pytest.raises(TokenRefreshError):
            raise first

        assert (None, None) == (second.__traceback__, shared.__traceback__)

    def test_say_anonymous_for_an_operation_without_a_name(self):
        assert "operation (anonymous): no" == str(AuthError("no").for_operation(None, OSError()))

    def test_say_nothing_of_an_operation_where_a_call_waited(self):
        assert "no" == str(AuthError("no").made_anew())
