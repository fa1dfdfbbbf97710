"""The options of WebSocket links, checked."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, TypeVar, cast

from reactivex import Observable
from reactivex.internal.exceptions import SequenceContainsNoElementsError

from rxlink.core.observables import resolve
from rxlink.core.operation import Operation
from rxlink.core.options import checked_flag, checked_function, checked_word, kind_of, name_of
from rxlink.core.result import FetchResult
from rxlink.core.timing import Duration, sleep, to_seconds, to_seconds_or_none
from rxlink.core.work import close_unawaited, report_callback_error
from rxlink.errors import InvariantError, InvariantTypeError
from rxlink.transport._body import NOT_AWAITED, BodyWriter, JsonEncoder, Parts, Printer, checked_functions
from rxlink.transport._headers import checked_headers
from rxlink.transport._response import JsonDecoder, decode_strictly
from rxlink.transport._retry_wait import NO_END, default_retry_wait, whole_number
from rxlink.transport._uri import Target, parse_uri
from rxlink.transport._ws_events import report_given_up
from rxlink.transport._ws_protocol import Dialect

__all__ = [
    "ConnectionParams",
    "MissingSubprotocol",
    "OnNewToken",
    "RetryWait",
    "UrlFunction",
    "WebSocketOptions",
    "checked_options",
]

UrlFunction: TypeAlias = Callable[[], str | Awaitable[str]]
Params: TypeAlias = Mapping[str, Any]
ConnectionParams: TypeAlias = (
    Params | Callable[[], Params | Awaitable[Params | None] | Observable[Params | None] | None]
)
RetryWait: TypeAlias = Callable[[int], Duration | Awaitable[Duration | None]]
OnNewToken: TypeAlias = Literal["overlap", "reconnect", "keep"]
MissingSubprotocol: TypeAlias = Literal["refuse", "accept"]

F = TypeVar("F")

ALL: Final = Parts()
NEVER: Final = ", or None for never"
FOR_EVER: Final = ", or None for ever"
UNCALLED: Final = ", or the function itself, without calling it: it is asked at each connect"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)  # which would show secrets
class WebSocketOptions:
    """How a link connects, keeps the connection, and gets it back; durations are in seconds.

    Attributes:
        link: What the link is called in messages.
        dialect: The protocol.
        url: Where to connect, or what tells.
        connection_params: What the server is told first, or what tells; None for nothing.
        headers: Of the handshake.
        on_non_lazy_error: Gets what has ended a connection that is kept open without operations.
        is_lazy: Whether the socket is open only while there are operations.
        lazy_close_timeout: How long it stays open after the last one.
        keep_alive: After how long a silence the server is asked whether it is there; None for never.
        keep_alive_timeout: How long it may take to answer.
        ack_timeout: How long the handshake may take, and then the acknowledgement; None for ever.
        retry_attempts: How often in a row the socket is opened again; None for no limit.
        retry_wait: How long to wait before.
        should_retry: Decides instead of the list of codes, None for that.
        is_fatal: Says which errors end the operations, beside those of the list; None for no more.
        retries_mutations: Whether a mutation that was under way is sent again.
        generate_id: Makes the ids of operations.
        accepts_missing_subprotocol: Whether a server may leave open which protocol it speaks.
        max_msg_size: The largest message in bytes.
        body: Writes operations.
        decode: Makes objects of JSON.
        overlap: How long both sockets are heard after the newer one is ready.
        on_new_token: How the connection goes over to a new token.
        dedup_key: By what a result that has come before is known; None to let it pass.
    """

    link: str
    dialect: Dialect
    url: Target | UrlFunction
    connection_params: ConnectionParams | None
    headers: Mapping[str, str]
    on_non_lazy_error: Callable[[Exception], None]
    is_lazy: bool
    lazy_close_timeout: float
    keep_alive: float | None
    keep_alive_timeout: float
    ack_timeout: float | None
    retry_attempts: int | None
    retry_wait: RetryWait
    should_retry: Callable[[Exception], bool] | None
    is_fatal: Callable[[Exception], bool] | None
    retries_mutations: bool
    generate_id: Callable[[Mapping[str, Any]], str] | None
    accepts_missing_subprotocol: bool
    max_msg_size: int
    body: BodyWriter
    decode: Callable[[bytes], Any]
    overlap: float
    on_new_token: OnNewToken
    dedup_key: Callable[[FetchResult], Hashable] | None

    @property
    def shown_url(self) -> str:
        """The address without its secrets."""
        return str(self.url) if isinstance(self.url, Target) else f"(the url of {name_of(self.url)})"

    def body_of(self, operation: Operation) -> str:
        """Return what is sent of an operation, as JSON.

        Raises:
            SerializationError: Variables or extensions hold what JSON cannot carry.
            InvariantTypeError: The encoder or the printer returned no text.
        """
        return (self.body.assemble(operation, ALL) or self.body.write(operation, ALL)).decode()

    async def current_url(self) -> Target:
        """Return where to connect now.

        Raises:
            InvariantError: The user's function returned no address of a WebSocket.
        """
        if isinstance(self.url, Target):
            return self.url
        where = f"what `url` of {self.link} returned"
        return parse_uri(await _value_of(self.url(), where), where, "ws")

    async def current_params(self) -> Params | None:
        """Return what the server is told first now.

        Raises:
            InvariantError: The user's function returned an Observable of nothing.
            InvariantTypeError: It returned no mapping.
        """
        given = self.connection_params
        if callable(given):
            where = f"what `connection_params` of {self.link} returned"
            return _params(await _value_of(given(), where), where)
        return given

    def tell_non_lazy(self, error: Exception) -> None:
        """Tell that a connection which should stand is given up."""
        try:
            self.on_non_lazy_error(error)
        except (Exception, CancelledError, GeneratorExit) as failure:  # noqa: BLE001 - of the application
            report_callback_error(failure)

    async def wait(self, retries: int) -> None:
        """Wait before the socket is opened again."""
        waiting = await _value_of(self.retry_wait(retries), f"what `retry_wait` of {self.link} returned")
        if waiting is not None:
            await sleep(to_seconds("retry_wait", waiting))


def checked_options(
    link: str,
    dialect: Dialect,
    *,
    url: str | UrlFunction,
    connection_params: ConnectionParams | None,
    on_new_token: OnNewToken,
    overlap: Duration | None,
    dedup_key: Callable[[FetchResult], Hashable] | None,
    headers: Mapping[str, str] | None,
    lazy: bool,
    lazy_close_timeout: Duration,
    on_non_lazy_error: Callable[[Exception], None] | None,
    keep_alive: Duration | None,
    keep_alive_timeout: Duration,
    connection_ack_wait_timeout: Duration | None,
    retry_attempts: int | None,
    retry_wait: RetryWait | None,
    should_retry: Callable[[Exception], bool] | None,
    is_fatal_connection_problem: Callable[[Exception], bool] | None,
    retry_mutations: bool,
    generate_id: Callable[[Mapping[str, Any]], str] | None,
    missing_subprotocol: MissingSubprotocol,
    max_msg_size: int,
    print: Printer | None,
    encode: JsonEncoder | None,
    decode: JsonDecoder | None,
) -> WebSocketOptions:
    """Return the options of a link.

    Raises:
        InvariantError: One is out of its range.
        InvariantTypeError: One has the wrong type.
    """
    checked_functions(link, print=print, encode=encode, decode=decode)
    return WebSocketOptions(
        link=link,
        dialect=dialect,
        url=_checked_url(url, link),
        connection_params=_checked_source(connection_params, link),
        headers={} if headers is None else checked_headers(headers, link),
        on_non_lazy_error=_checked(link, "on_non_lazy_error", on_non_lazy_error, "error") or report_given_up,
        is_lazy=checked_flag("lazy", lazy),
        lazy_close_timeout=to_seconds("lazy_close_timeout", lazy_close_timeout),
        keep_alive=to_seconds_or_none("keep_alive", keep_alive, or_else=NEVER),
        keep_alive_timeout=to_seconds("keep_alive_timeout", keep_alive_timeout, may_be_zero=False),
        ack_timeout=to_seconds_or_none("connection_ack_wait_timeout", connection_ack_wait_timeout, or_else=FOR_EVER),
        retry_attempts=None if retry_attempts is None else whole_number("retry_attempts", retry_attempts, NO_END),
        retry_wait=_checked(link, "retry_wait", retry_wait, "retries", is_awaited=True) or default_retry_wait,
        should_retry=_checked(link, "should_retry", should_retry, "error"),
        is_fatal=_checked(link, "is_fatal_connection_problem", is_fatal_connection_problem, "error"),
        retries_mutations=checked_flag("retry_mutations", retry_mutations),
        generate_id=_checked(link, "generate_id", generate_id, "payload"),
        accepts_missing_subprotocol=checked_word("missing_subprotocol", missing_subprotocol, MissingSubprotocol)
        == "accept",
        max_msg_size=whole_number("max_msg_size", max_msg_size),
        body=BodyWriter(print, encode, includes_unused_variables=False, link=link),
        decode=decode or decode_strictly,
        overlap=to_seconds("overlap", overlap if overlap is not None else dialect.usual_overlap),
        on_new_token=checked_word("on_new_token", on_new_token, OnNewToken),
        dedup_key=_checked(link, "dedup_key", dedup_key, "result"),
    )


async def _value_of(returned: object, where: str) -> Any:
    """Wait for what a user's function returned.

    Raises:
        InvariantError: It is an Observable of nothing.
    """
    try:
        return await resolve(returned)
    except SequenceContainsNoElementsError as error:
        raise InvariantError(f"{where} ended without a value; let it send one") from error


def _checked(link: str, name: str, function: F | None, argument: str, *, is_awaited: bool = False) -> F | None:
    if function is None:
        return None
    instead = None if is_awaited else NOT_AWAITED
    return checked_function(f"`{name}` of {link}", function, argument, or_else=", or None", instead=instead)


def _checked_url(url: object, link: str) -> Target | UrlFunction:
    where = f"`url` of {link}"
    if callable(url):
        return cast("UrlFunction", checked_function(where, url, or_else=", or an address as text"))
    return parse_uri(url, where, "ws")


def _checked_source(params: Any, link: str) -> ConnectionParams | None:
    """Return parameters of a connection, or the function that tells them."""
    where = f"`connection_params` of {link}"
    if callable(params):
        return cast("ConnectionParams", checked_function(where, params, or_else=", or a mapping"))
    is_called = isinstance(params, Awaitable)  # an Observable is one too
    return _params(params, where, UNCALLED if is_called else "")


def _params(params: object, where: str, or_else: str = "") -> Params | None:
    if params is not None and not isinstance(params, Mapping):
        close_unawaited(cast("Any", params))
        raise InvariantTypeError(f"{where} is {kind_of(params)}; give a mapping that JSON can carry, or None{or_else}")
    return cast("Params | None", params)
