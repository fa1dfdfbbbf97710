"""GraphQLWsLink and WebSocketLink: options that cannot work are refused; the message names option and value."""

import functools
import gc
import json
from datetime import timedelta
from typing import Any

import pytest
import reactivex

from rxlink.auth.session import AuthSession
from rxlink.auth.sessions import AuthSessions
from rxlink.errors import InvariantError, InvariantTypeError
from tests.transport.websocket_stories import Make, both

URL = "ws://localhost/graphql"


PLAIN = "what it returns is not awaited: give a plain function"


MAPPING = "give a mapping that JSON can carry, or None"


FUNCTION = "which takes other arguments; give a function of"


AROUND = "?s3cret"


async def later(*_: object) -> str:
    return ""


def nothing() -> None:
    """Take no argument."""


def sessions() -> AuthSessions:
    return AuthSessions(lambda key: AuthSession(refresh=lambda tokens, reason: None), key=str)


class TestOptions:
    @both
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"url": 5}, "`url` of LINK is an int; give a ws(s) address as text"),
            ({"url": None}, "`url` of LINK is None; give a ws(s) address as text"),
            (
                {"url": "/graphql" + AROUND},
                "`url` of LINK is '/graphql'; give an absolute address that starts with ws://",
            ),
            ({"url": "http://a:s3cret@b/" + AROUND}, "`url` of LINK is 'http://***@b/'; give an absolute address that"),
            ({"url": "ws://a%3Ab:s3cret@c"}, "`url` of LINK has a user name with a colon in it"),
            ({"url": lambda operation: URL}, "takes other arguments; give a function without arguments, or an address"),
            ({"connection_params": [("a", "s3cret")]}, f"`connection_params` of LINK is a list; {MAPPING}"),
            ({"connection_params": "s3cret"}, f"`connection_params` of LINK is a str; {MAPPING}"),
            (
                {"connection_params": lambda operation: {}},
                "takes other arguments; give a function without arguments, or",
            ),
            ({"auth": "s3cret"}, "`auth` of LINK is a str; give an AuthSession, or None"),
            ({"auth": AuthSession}, "`auth` of LINK is the class AuthSession; give an AuthSession, or None"),
            (
                {"auth": sessions()},
                "`auth` of LINK is AuthSessions, but a socket belongs to one user; make a link for ea",
            ),
            ({"auth_params": None}, "`auth_params` of LINK is None; give a function of (token)"),
            ({"auth_params": later}, f"`auth_params` of LINK is the coroutine function later; {PLAIN}"),
            ({"auth_params": nothing}, f"`auth_params` of LINK is nothing, {FUNCTION} (token)"),
            ({"is_auth_error": later}, f"`is_auth_error` of LINK is the coroutine function later; {PLAIN}"),
            ({"is_auth_error": nothing}, f"`is_auth_error` of LINK is nothing, {FUNCTION} (answer)"),
            ({"auth_close_codes": 4401}, "`auth_close_codes` is an int; give a list of close codes"),
            ({"auth_close_codes": "4401"}, "`auth_close_codes` is a str; give a list of close codes"),
            ({"auth_close_codes": {4401: 1}}, "`auth_close_codes` is a dict; give a list of close codes"),
            ({"auth_close_codes": ["4401"]}, "`auth_close_codes` holds a str; give close codes such as 4401"),
            ({"auth_close_codes": [True]}, "`auth_close_codes` holds a bool; give close codes such as 4401"),
            ({"auth_close_codes": [999]}, "`auth_close_codes` holds 999; close codes are 1000 to 4999"),
            ({"auth_close_codes": {5000}}, "`auth_close_codes` holds 5000; close codes are 1000 to 4999"),
            ({"auth_close_messages": "expired"}, "`auth_close_messages` is a str; give a list of texts or patterns"),
            ({"auth_close_messages": [4401]}, "`auth_close_messages` holds an int; give texts or compiled patterns"),
            ({"on_new_token": "never"}, "`on_new_token` is 'never'; give one of 'overlap', 'reconnect', 'keep'"),
            ({"on_new_token": None}, "`on_new_token` is None; give one of 'overlap', 'reconnect', 'keep'"),
            ({"on_new_token": ["keep"]}, "`on_new_token` is ['keep']; give one of"),
            ({"overlap": -1}, "`overlap` is -1; give 0 or more seconds"),
            ({"overlap": "1"}, "`overlap` is '1'; give seconds or a timedelta"),
            ({"dedup_key": "id"}, "`dedup_key` of LINK is a str; give a function of (result), or None"),
            ({"dedup_key": later}, f"`dedup_key` of LINK is the coroutine function later; {PLAIN}"),
            ({"dedup_key": nothing}, f"`dedup_key` of LINK is nothing, {FUNCTION} (result), or None"),
            ({"allow_insecure": "no"}, "`allow_insecure` is 'no'; give True or False"),
            ({"headers": [("x", "s3cret")]}, "the headers of LINK are a list; give a mapping"),
            ({"headers": {"x": 5}}, "the header 'x' of LINK is an int; names and values"),
            ({"headers": {"x": "s3cret\n"}}, "the header 'x' of LINK holds a line break"),
            ({"lazy": None}, "`lazy` is None; give True or False"),
            ({"lazy_close_timeout": None}, "`lazy_close_timeout` is None; give seconds or a timedelta"),
            ({"lazy_close_timeout": timedelta(-1)}, "`lazy_close_timeout` is -86400.0; give 0 or more seconds"),
            ({"on_non_lazy_error": 5}, "`on_non_lazy_error` of LINK is 5; give a function of (error), or None"),
            ({"on_non_lazy_error": later}, f"`on_non_lazy_error` of LINK is the coroutine function later; {PLAIN}"),
            ({"on_non_lazy_error": nothing}, f"`on_non_lazy_error` of LINK is nothing, {FUNCTION} (error), or None"),
            ({"keep_alive": 0}, "`keep_alive` is 0; give more than 0 seconds, or None for never"),
            ({"keep_alive": "30"}, "`keep_alive` is '30'; give seconds or a timedelta, or None for never"),
            ({"keep_alive_timeout": 0}, "`keep_alive_timeout` is 0; give more than 0 seconds"),
            ({"keep_alive_timeout": None}, "`keep_alive_timeout` is None; give seconds or a timedelta"),
            (
                {"connection_ack_wait_timeout": 0},
                "`connection_ack_wait_timeout` is 0; give more than 0 seconds, or None for ever",
            ),
            ({"connection_ack_wait_timeout": float("inf")}, "`connection_ack_wait_timeout` is inf; give more than 0"),
            ({"retry_attempts": -1}, "`retry_attempts` is -1; give 0 or more, or None for tries without end"),
            ({"retry_attempts": 1.5}, "`retry_attempts` is 1.5; give a whole number, or None for tries without end"),
            ({"retry_attempts": True}, "`retry_attempts` is True; give a whole number, or None"),
            ({"retry_wait": 1.0}, "`retry_wait` of LINK is 1.0; give a function of (retries), or None"),
            ({"retry_wait": nothing}, f"`retry_wait` of LINK is nothing, {FUNCTION} (retries), or None"),
            ({"should_retry": True}, "`should_retry` of LINK is True; give a function of (error), or None"),
            ({"should_retry": later}, f"`should_retry` of LINK is the coroutine function later; {PLAIN}"),
            ({"should_retry": nothing}, f"`should_retry` of LINK is nothing, {FUNCTION} (error), or None"),
            (
                {"is_fatal_connection_problem": True},
                "`is_fatal_connection_problem` of LINK is True; give a function of (e",
            ),
            (
                {"is_fatal_connection_problem": later},
                "`is_fatal_connection_problem` of LINK is the coroutine function la",
            ),
            ({"is_fatal_connection_problem": nothing}, f"`is_fatal_connection_problem` of LINK is nothing, {FUNCTION}"),
            ({"retry_mutations": "no"}, "`retry_mutations` is 'no'; give True or False"),
            ({"generate_id": "1"}, "`generate_id` of LINK is a str; give a function of (payload), or None"),
            ({"generate_id": later}, f"`generate_id` of LINK is the coroutine function later; {PLAIN}"),
            ({"generate_id": nothing}, f"`generate_id` of LINK is nothing, {FUNCTION} (payload), or None"),
            ({"missing_subprotocol": True}, "`missing_subprotocol` is True; give one of 'refuse', 'accept'"),
            ({"max_msg_size": None}, "`max_msg_size` is None; give a whole number"),
            ({"max_msg_size": 1.5}, "`max_msg_size` is 1.5; give a whole number"),
            ({"max_msg_size": -1}, "`max_msg_size` is -1; give 0 or more"),
            ({"print": "text"}, "`print` of LINK is a str; give a function of (document, default_printer), or None"),
            ({"print": later}, f"`print` of LINK is the coroutine function later; {PLAIN}"),
            ({"encode": nothing}, f"`encode` of LINK is nothing, {FUNCTION} (body), or None"),
            ({"decode": 5}, "`decode` of LINK is 5; give a function of (body), or None"),
            ({"session": {}}, "`session` of LINK is a dict; give an aiohttp.ClientSession, or None"),
        ],
    )
    def test_are_refused_when_the_link_is_made(self, make: Make, options: dict[str, object], message: str) -> None:
        with pytest.raises(InvariantError) as caught:
            make(**{"url": URL, **options})

        shown = str(caught.value)
        assert message.replace("LINK", make.__name__) in shown
        assert "s3cret" not in shown

    @both
    def test_that_are_coroutines_by_mistake_are_closed(self, make: Make) -> None:
        with pytest.raises(InvariantTypeError) as caught:
            make(URL, connection_params=later())
        gc.collect()  # a warning "was never awaited" would fail the test

        cure = f"{MAPPING}, or the function itself, without calling it: it is asked at each connect"
        assert f"`connection_params` of {make.__name__} is a coroutine; {cure}" == str(caught.value)

    @both
    def test_that_are_observables_by_mistake_tell_of_the_function(self, make: Make) -> None:
        with pytest.raises(InvariantTypeError, match=r"; give .*, or the function itself, without calling it: it is"):
            make(URL, connection_params=reactivex.of({}))

    @both
    @pytest.mark.parametrize(
        "options",
        [
            {"url": lambda: URL},
            {"url": later},
            {"connection_params": later},
            {"connection_params": dict},
            {"connection_params": {}},
            {"auth_params": lambda token, scheme="Bearer": {}},
            {"auth_close_codes": []},
            {"auth_close_codes": range(4401, 4404)},
            {"overlap": timedelta(seconds=1)},
            {"overlap": 0, "lazy_close_timeout": 0},
            {"keep_alive": None, "connection_ack_wait_timeout": None, "retry_attempts": None},
            {"retry_wait": later, "retry_attempts": 0, "max_msg_size": 0},
            {"retry_wait": functools.partial(max, 1)},
            {"generate_id": str, "encode": json.dumps, "decode": json.loads, "dedup_key": id},
        ],
    )
    def test_that_make_sense_pass(self, make: Make, options: dict[str, Any]) -> None:
        make(**{"url": URL, **options})

    @both
    def test_stand_behind_their_names(self, make: Make) -> None:
        with pytest.raises(TypeError, match="positional argument"):
            make(URL, {"authorization": "Bearer s3cret"})  # type: ignore[misc]
