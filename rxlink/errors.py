"""Every error that rxlink raises or sends through a stream, as one tree.

::

    RxlinkError
    ├── InvariantError               misuse: raised at once, at construction or at the call
    │   └── InvariantTypeError       the same where a type is wrong (also a TypeError)
    ├── NetworkError                 no answer arrived
    │   ├── NetworkTimeout           none in time (also a TimeoutError)
    │   └── SocketClosed             the WebSocket closed, and is not opened again
    ├── ServerError                  an answer arrived that is no GraphQL response
    ├── ServerParseError             an answer arrived that is no JSON
    ├── ResponseTooLarge             an answer was longer than the link accepts
    ├── SerializationError           variables or extensions that JSON cannot carry
    ├── UploadError                  a file that cannot be read, or not again
    ├── CombinedGraphQLErrors        the ``errors`` of a result, as one exception
    ├── CombinedProtocolErrors       the fatal ``errors`` of a multipart subscription
    ├── BufferOverflow               an ``async for`` loop took its values more slowly than they came
    ├── AbortError                   the abort signal that came with an operation
    ├── OperationCancelled           somebody cancelled the work of an operation that was still wanted
    ├── ClientClosed                 the link or session was closed
    └── AuthError
        ├── TokenStorageError        the storage did not load, save or clear
        ├── InvalidStoredTokens      where tokens should be kept, there is something else
        ├── SessionEnded             signed out, another login, or a refresh token that is dead for good
        └── TokenRefreshError        a refresh failed; ``retryable`` says whether trying again makes sense
            └── TokenRefreshTimeout  a refresh did not end in time (also a TimeoutError)

What is misuse is raised where it happens; everything else travels as ``on_error``. No message, ``repr`` or
``args`` of these classes holds a token, a header value (but for a media type), a body or the query part of a URL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

__all__ = [
    "AbortError",
    "AuthError",
    "BufferOverflow",
    "ClientClosed",
    "CombinedGraphQLErrors",
    "CombinedProtocolErrors",
    "InvalidStoredTokens",
    "InvariantError",
    "InvariantTypeError",
    "NetworkError",
    "NetworkTimeout",
    "OperationCancelled",
    "ResponseTooLarge",
    "RxlinkError",
    "SerializationError",
    "ServerError",
    "ServerParseError",
    "SessionEnded",
    "SocketClosed",
    "TokenRefreshError",
    "TokenRefreshTimeout",
    "TokenStorageError",
    "UploadError",
]

RETRYABLE_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses after which the same request may well succeed (RFC 9110 section 15, RFC 6585 section 4)."""


class RxlinkError(Exception):
    """The root of the tree: catches everything that rxlink itself raises.

    Attributes:
        retryable: Whether sending the same operation again may succeed without anybody changing anything.
    """

    retryable: bool = False


class InvariantError(RxlinkError):
    """The program asks for something that cannot work; the message names the value and the cure."""


class InvariantTypeError(InvariantError, TypeError):
    """An :class:`InvariantError` where a value has the wrong type."""


class NetworkError(RxlinkError):
    """No answer arrived: the name did not resolve, the connection was refused, or it broke.

    The exception of the HTTP library is the ``__cause__``.

    Attributes:
        may_have_arrived: Whether the request may have reached the server, which may have acted on it; False where the
            connection was never made.
    """

    retryable = True
    may_have_arrived: bool = True


class NetworkTimeout(NetworkError, TimeoutError):
    """No answer arrived in time.

    Attributes:
        seconds: The time that was allowed.
    """

    def __init__(self, what: str, *, seconds: float, option: str = "timeout") -> None:
        super().__init__(f"{what}: no answer within {seconds:g} s; raise `{option}` if the server needs longer")
        self.seconds = seconds


class SocketClosed(NetworkError):
    """The WebSocket of an operation closed, and opening it again makes no sense, or was tried often enough.

    Attributes:
        code: The close code: 1006 where the connection broke, of the protocol's own from 4000 on.
        reason: What the closing side said, without what was sent to it as a secret.
    """

    def __init__(self, code: int, reason: str = "", *, meaning: str = "", retryable: bool = False) -> None:
        said = f" {reason}" if reason else ""
        super().__init__(f"Socket closed with event {code}{said}{f' ({meaning})' if meaning else ''}")
        self.code = code
        self.reason = reason
        self.retryable = retryable


class ServerError(RxlinkError):
    """The server answered with something that is no GraphQL response (Apollo's ``ServerError``).

    Attributes:
        status_code: The HTTP status.
        headers: The response headers, names in lower case.
        body_text: The body as text; it may hold anything, so print it with care.
        result: The body as JSON where it is a JSON object, else None.
        operation_name: The name of the operation, None if it has none.
        required_scopes: The scopes that the token lacks, where a 401 or 403 says ``insufficient_scope`` in
            ``WWW-Authenticate``: sign in again and ask for them, a refresh cannot add them.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int,
        headers: Mapping[str, str],
        body_text: str,
        result: dict[str, Any] | None = None,
        operation_name: str | None = None,
        required_scopes: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.headers = headers
        self.body_text = body_text
        self.result = result
        self.operation_name = operation_name
        self.required_scopes = tuple(required_scopes)
        self.retryable = status_code in RETRYABLE_STATUSES


class ServerParseError(RxlinkError):
    """The server's answer is no JSON (Apollo's ``ServerParseError``); the parser's exception is the cause.

    Attributes:
        status_code: The HTTP status.
        headers: The response headers, names in lower case.
        body_text: The body as text; it may hold anything, so print it with care.
        operation_name: The name of the operation, None if it has none.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int,
        headers: Mapping[str, str],
        body_text: str,
        operation_name: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.headers = headers
        self.body_text = body_text
        self.operation_name = operation_name
        self.retryable = status_code in RETRYABLE_STATUSES


class ResponseTooLarge(RxlinkError):
    """A response body was longer than the link accepts; nothing beyond the limit was read.

    Attributes:
        limit: The limit in bytes.
    """

    def __init__(self, what: str, *, limit: int) -> None:
        super().__init__(f"{what}: the response is longer than {limit} bytes; raise `max_response_size`")
        self.limit = limit


class SerializationError(RxlinkError):
    """Variables or extensions hold a value that the JSON encoder does not take.

    Attributes:
        path: Where the value stands, such as ``variables.filter.since``.
    """

    def __init__(self, *, path: str, type_name: str, operation_name: str | None) -> None:
        is_file = type_name == "Upload"
        cure = "convert it to text or a number, or give the link an `encode` that knows it"
        super().__init__(
            f"operation {operation_name or '(anonymous)'}: {path} is a {type_name}, which JSON cannot carry; "
            + ("files do not go in batches: `split` them off to an HttpLink" if is_file else cure)
        )
        self.path = path


class UploadError(RxlinkError):
    """A file in the variables of an operation could not be sent; what reading it raised is the cause.

    Attributes:
        path: Where the file stands, such as ``variables.file``.
    """

    def __init__(self, what: str, *, path: str, operation_name: str | None) -> None:
        super().__init__(f"operation {operation_name or '(anonymous)'}: the file {path} {what}")
        self.path = path


class CombinedGraphQLErrors(RxlinkError):
    """The ``errors`` of a result as one exception (Apollo's ``CombinedGraphQLErrors``).

    Attributes:
        errors: The errors as they came.
        data: The result's ``data``, None if it has none.
        extensions: The result's ``extensions``, None if it has none.
    """

    def __init__(self, result: Mapping[str, Any], errors: Sequence[Any] | None = None) -> None:
        found: Sequence[Any] = errors if errors is not None else (result.get("errors") or ())
        super().__init__(_messages(found))
        self.errors = found
        self.data: Any = result.get("data")
        self.extensions: Any = result.get("extensions")


class CombinedProtocolErrors(RxlinkError):
    """The fatal ``errors`` beside a multipart payload (Apollo's ``CombinedProtocolErrors``).

    Attributes:
        errors: The errors as they came.
    """

    def __init__(self, errors: Sequence[Any]) -> None:
        super().__init__(_messages(errors))
        self.errors = errors


class BufferOverflow(RxlinkError):
    """A value came, and the buffer before an ``async for`` loop was full.

    Attributes:
        max_buffer: How many values were waiting.
    """

    def __init__(self, *, max_buffer: int) -> None:
        waiting = "1 value was" if max_buffer == 1 else f"{max_buffer} values were"
        super().__init__(
            f"{waiting} waiting when another came, and the source was left: take them faster, raise `max_buffer`, or "
            "let `overflow` say which may be dropped"
        )
        self.max_buffer = max_buffer


class AbortError(RxlinkError):
    """An operation's abort signal came before its answer (fetch's ``AbortError``).

    A signal whose value is an exception is followed by that exception instead.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} was aborted by its `signal`")


class OperationCancelled(RxlinkError):
    """The work of an operation was cancelled by somebody other than its subscriber, such as a closing loop."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} was cancelled from outside while its subscriber still waited")


class ClientClosed(RxlinkError):
    """The link or session was closed; an operation that is sent afterwards needs a new one."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is closed; make a new one, or close it later")


class AuthError(RxlinkError):
    """Something about the session, not about the operation.

    Attributes:
        operation_name: The operation that got this error, None where it concerns the session itself.
        auth_error: What the server had answered to that operation: an exception, or a result with errors.
    """

    def __init__(self, message: str, *, operation_name: str | None = None, auth_error: object | None = None) -> None:
        super().__init__(message)
        self.operation_name = operation_name
        self.auth_error = auth_error

    def made_anew(self) -> Self:
        """Make this error anew for one of those who waited, with the same cause.

        One exception object must not travel through many operations: each raise would add to its traceback.
        """
        error = type(self).__new__(type(self))
        error.__dict__.update(self.__dict__)
        error.args = (str(self),)
        error.__cause__ = self.__cause__ or self
        return error

    def for_operation(self, operation_name: str | None, auth_error: object | None) -> Self:
        """Make this error anew for one of the operations that waited; its message names the operation."""
        error = self.made_anew()
        error.args = (f"operation {operation_name or '(anonymous)'}: {self}",)
        error.operation_name = operation_name
        error.auth_error = auth_error
        return error


class SessionEnded(AuthError):
    """The session is over: nobody is signed in, or somebody else is.

    Raise it from a ``refresh`` callback when the refresh token is dead for good (``invalid_grant``).

    Attributes:
        reason: Why, in a word or two: ``signed out``, ``another login``, ``refresh token rejected`` ...
    """

    def __init__(self, reason: str = "refresh token rejected") -> None:
        if reason == "another login":
            super().__init__("somebody else has signed in since; start the operation again to run it as them")
        else:
            super().__init__(f"the session has ended ({reason}); sign in again")
        self.reason = reason


class TokenStorageError(AuthError):
    """The storage raised; its exception is the cause. The next operation tries again.

    Attributes:
        retryable: True where it is an outage; False where the storage does not do what a storage has to.
    """

    def __init__(self, done: str, *, because: InvariantError | InvalidStoredTokens | None = None) -> None:
        super().__init__(f"the tokens could not be {done}" + ("" if because is None else f": {because}"))
        self.retryable = because is None


class InvalidStoredTokens(AuthError):
    """Where tokens should be kept, something else was found; nothing was written over it.

    Attributes:
        where: The path, key or entry, in words.
        reason: What is wrong with it, without what was found.
    """

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(
            f"{where} holds something else than rxlink's tokens: {reason}. Nothing was written over it; put it right, "
            "or move it away and sign in again"
        )
        self.where = where
        self.reason = reason


class TokenRefreshError(AuthError):
    """A refresh failed, but the session was kept.

    Attributes:
        retryable: Whether trying again may help (an outage), or not (the callback returned nothing).
        retry_after: Seconds that the issuer asked to wait, None if it did not say.
    """

    def __init__(self, message: str, *, retryable: bool, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after = retry_after


class TokenRefreshTimeout(TokenRefreshError, TimeoutError):
    """A refresh did not end within the session's ``refresh_timeout``.

    Attributes:
        seconds: The time that was allowed.
    """

    def __init__(self, *, seconds: float) -> None:
        super().__init__(f"the token refresh did not end within {seconds:g} s", retryable=True)
        self.seconds = seconds


def _messages(errors: Sequence[Any]) -> str:
    """Join the messages of GraphQL errors; servers send None and bare text among them too."""
    is_list = isinstance(errors, Sequence) and not isinstance(errors, (str, bytes))  # pyright: ignore[reportUnnecessaryIsInstance] - any JSON
    return "\n".join(filter(None, map(_message, errors if is_list else (errors,))))


def _message(error: Any) -> str:
    """Return the message of a GraphQL error, "" for none; whatever came, it cannot stop what tells of it."""
    try:
        if isinstance(error, Mapping):
            return str(error.get("message") or "Error message not found.")  # pyright: ignore[reportUnknownMemberType,reportUnknownArgumentType] - any JSON
        return str(error) if error else ""
    except Exception:  # noqa: BLE001 - such as a list that is nested too deeply
        return "Error message cannot be shown."
