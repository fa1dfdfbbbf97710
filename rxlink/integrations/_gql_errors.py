"""The one place where rxlink's errors become gql's."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Final

from gql.transport.exceptions import (
    TransportClosed,
    TransportConnectionFailed,
    TransportError,
    TransportProtocolError,
    TransportQueryError,
    TransportServerError,
)
from reactivex.internal.exceptions import SequenceContainsNoElementsError

from rxlink.errors import (
    AbortError,
    AuthError,
    BufferOverflow,
    ClientClosed,
    CombinedGraphQLErrors,
    CombinedProtocolErrors,
    InvariantError,
    NetworkError,
    NetworkTimeout,
    OperationCancelled,
    ResponseTooLarge,
    RxlinkError,
    SerializationError,
    ServerError,
    ServerParseError,
    SessionEnded,
    SocketClosed,
    TokenRefreshTimeout,
    UploadError,
)

__all__ = ["MAPPING", "TransportTimeout", "as_gql_errors", "gql_error"]

UNAUTHORIZED: Final = 401
FIRST_ERROR_STATUS: Final = 400

BAD_MESSAGES: Final = (4400, 4406)
"""Close codes of a side that does not understand the other: a broken message, or no protocol that both speak."""
REFUSALS: Final = (4401, 4403)
"""Close codes of a server that does not let somebody in."""
EXPECTED: Final = ("json", "multipart/mixed", "text/event-stream")
"""What stands in the content-type of an answer that is JSON, or has JSON in its pieces."""
INVALID: Final = "Server did not return a valid GraphQL result"
NOT_ACKNOWLEDGED: Final = 4504
"""The close code of a link whose server did not acknowledge the connection in time."""


class TransportTimeout(TransportConnectionFailed, TimeoutError):
    """Nothing came in time: a connection that failed to gql, and a ``TimeoutError``, as of gql's WebSocket classes."""


def _of_answer(error: Any) -> TransportError:
    status: int = error.status_code
    if status < FIRST_ERROR_STATUS:
        return TransportProtocolError(f"{INVALID}: {_instead_of_json(error)}{error}")
    # As aiohttp words it in gql's own transport, which logs are searched for.
    return TransportServerError(f"{status}, message={_phrase(status)!r}: {error}", status)


def _instead_of_json(error: ServerError | ServerParseError) -> str:
    content_type = error.headers.get("content-type", "")
    is_usual = not content_type or any(expected in content_type for expected in EXPECTED)
    return "" if is_usual or isinstance(error, ServerError) else f"Unexpected content-type: {content_type}: "


def _why(error: ServerError | ServerParseError) -> str:
    """Say it in gql's words, where it has some."""
    if isinstance(error, ServerParseError):
        return f"{_instead_of_json(error)}Not a JSON answer"
    return str(error).rstrip(".") if error.result is None else 'No "data" or "errors" keys in answer'


def _of_socket(error: Any) -> TransportError:
    code: int = error.code
    if code in BAD_MESSAGES:
        return TransportProtocolError(str(error))
    if code == NOT_ACKNOWLEDGED:
        return TransportTimeout(str(error))
    return TransportServerError(str(error), code) if code in REFUSALS else TransportConnectionFailed(str(error))


def _of_graphql_errors(error: Any) -> TransportError:
    return TransportQueryError(str(error), errors=[*error.errors], data=error.data, extensions=error.extensions)


def _of_session(error: Exception) -> TransportError:
    return TransportServerError(str(error), UNAUTHORIZED)


def _with_text(kind: Callable[[str], TransportError]) -> Callable[[Exception], TransportError]:
    return lambda error: kind(str(error))


MAPPING: Final[Mapping[type[RxlinkError], Callable[[Exception], TransportError] | None]] = {
    RxlinkError: _with_text(TransportError),
    InvariantError: None,
    AbortError: _with_text(TransportError),
    AuthError: _with_text(TransportConnectionFailed),
    BufferOverflow: _with_text(TransportError),
    ClientClosed: _with_text(TransportClosed),
    CombinedGraphQLErrors: _of_graphql_errors,
    CombinedProtocolErrors: _with_text(TransportServerError),
    NetworkError: _with_text(TransportConnectionFailed),
    NetworkTimeout: _with_text(TransportTimeout),
    OperationCancelled: _with_text(TransportConnectionFailed),
    ResponseTooLarge: _with_text(TransportProtocolError),
    SerializationError: _with_text(TransportError),
    ServerError: _of_answer,
    ServerParseError: _of_answer,
    SessionEnded: _of_session,
    SocketClosed: _of_socket,
    TokenRefreshTimeout: _with_text(TransportTimeout),
    UploadError: _with_text(TransportError),
}
"""What makes gql's exception of an error of this class, or of one below it that is not named; None lets it pass."""


def gql_error(error: RxlinkError, *, quotes_answers: bool = False) -> TransportError | None:
    """Return gql's exception for an error, without its cause; None for misuse, which stays what it is.

    Args:
        error: The error.
        quotes_answers: Whether the message quotes an answer that is no GraphQL response, as gql's own do.
    """
    nearest = next(kind for kind in type(error).__mro__ if kind in MAPPING)
    make = MAPPING[nearest]
    made = None if make is None else make(error)
    is_quoted = quotes_answers and isinstance(made, TransportProtocolError)
    if not is_quoted or not isinstance(error, ServerError | ServerParseError):
        return made
    return TransportProtocolError(f"{INVALID}: {_why(error)}: {error.body_text}")


@contextmanager
def as_gql_errors(*, quotes_answers: bool = False) -> Generator[None]:
    """Raise gql's exceptions for rxlink's errors, which become their causes.

    Args:
        quotes_answers: As of :func:`gql_error`.

    Raises:
        TransportError: As :data:`MAPPING` says; ``TransportQueryError`` for an operation that ends without a result.
        InvariantError: Misuse, as it is. So is what is no error of rxlink, such as one of a user's function.
    """
    try:
        yield
    except RxlinkError as error:
        made = gql_error(error, quotes_answers=quotes_answers)
        if made is None:
            raise
        raise made from error
    except SequenceContainsNoElementsError as error:
        raise TransportQueryError("The operation was completed without a result") from error


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
