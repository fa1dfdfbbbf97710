"""The one place where exceptions of aiohttp and of the operating system become errors of rxlink."""

from __future__ import annotations

import aiohttp

from rxlink.core.operation import Operation
from rxlink.errors import NetworkError, RxlinkError

__all__ = ["final", "network_error"]

PERMANENT = (
    aiohttp.ClientConnectorCertificateError,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
    aiohttp.TooManyRedirects,
)
"""What happens again when the same request is sent again."""

TELLTALE = (
    aiohttp.ClientPayloadError,
    aiohttp.ClientResponseError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
)
"""What shows the whole URL, the request's headers or a piece of the answer, and so must not become a cause."""

NEVER_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
    aiohttp.ServerFingerprintMismatch,
)
"""What happens before a request leaves: no name, no connection, no TLS."""


def network_error(error: aiohttp.ClientError | OSError, what: object, happened: str = "got no answer") -> NetworkError:
    """Return what an operation gets for a failure below HTTP.

    Args:
        error: The failure; it becomes the cause, unless it would show secrets.
        what: As text, which operation failed and where it was sent.
        happened: What that means for it.
    """
    detail = getattr(error, "strerror", None)
    reason = f"{type(error).__name__}: {detail}" if detail else type(error).__name__
    failure = NetworkError(f"{what} {happened} ({reason})")
    failure.retryable = not isinstance(error, PERMANENT)
    has_left = isinstance(error, aiohttp.RedirectClientError)  # the request before the redirect
    failure.may_have_arrived = has_left or not isinstance(error, NEVER_SENT)
    if not isinstance(error, TELLTALE):
        failure.__cause__ = error
    return failure


def final(failure: Exception, operation: Operation) -> Exception:
    """Say of the failure of an operation that cannot be sent again that trying again makes no sense."""
    if operation.is_spent and isinstance(failure, RxlinkError):
        failure.retryable = False
    return failure
