"""The one place where exceptions of aiohttp and of the operating system become errors of rxlink."""

from __future__ import annotations

import aiohttp

from rxlink.errors import NetworkError

__all__ = ["network_error"]

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


def network_error(error: aiohttp.ClientError | OSError, what: object) -> NetworkError:
    """Return what an operation gets for a failure below HTTP.

    Args:
        error: The failure; it becomes the cause, unless it would show secrets.
        what: As text, which operation failed and where it was sent.
    """
    detail = getattr(error, "strerror", None)
    reason = f"{type(error).__name__}: {detail}" if detail else type(error).__name__
    failure = NetworkError(f"{what} got no answer ({reason})")
    failure.retryable = not isinstance(error, PERMANENT)
    has_left = isinstance(error, aiohttp.RedirectClientError)  # the request before the redirect
    failure.may_have_arrived = has_left or not isinstance(error, NEVER_SENT)
    if not isinstance(error, TELLTALE):
        failure.__cause__ = error
    return failure
