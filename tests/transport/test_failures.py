"""Which foreign exceptions become network errors, and what they show."""

import errno
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey, RequestInfo
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from rxlink.errors import NetworkError
from rxlink.transport._failures import network_error

SECRET_URL = URL("http://host/graphql?token=s3cret")
SECRET_HEADERS = CIMultiDictProxy(CIMultiDict({"authorization": "s3cret"}))
INFO = RequestInfo(SECRET_URL, "POST", SECRET_HEADERS, SECRET_URL)
KEY = ConnectionKey("host", 443, True, True, None, None, None)
REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
BAD_CERTIFICATE = ssl.SSLCertVerificationError(1, "certificate verify failed")

CHAINED = True
HIDDEN = False
RETRYABLE = True
FINAL = False


@pytest.mark.parametrize(
    ("error", "is_retryable", "is_chained"),
    [
        (aiohttp.ClientConnectorError(KEY, REFUSED), RETRYABLE, CHAINED),
        (aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "unknown name")), RETRYABLE, CHAINED),
        (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "bad hello")), RETRYABLE, CHAINED),
        (aiohttp.ClientConnectorCertificateError(KEY, BAD_CERTIFICATE), FINAL, CHAINED),
        (aiohttp.ClientOSError(errno.EPIPE, "Broken pipe"), RETRYABLE, CHAINED),
        (aiohttp.ServerDisconnectedError(), RETRYABLE, CHAINED),
        (aiohttp.ClientPayloadError("chunk size: s3cret"), RETRYABLE, HIDDEN),
        (aiohttp.ClientConnectionError("Connector is closed"), RETRYABLE, CHAINED),
        (aiohttp.ClientConnectionResetError("closing transport"), RETRYABLE, CHAINED),
        (aiohttp.SocketTimeoutError("slow"), RETRYABLE, CHAINED),
        (ConnectionResetError(errno.ECONNRESET, "reset by peer"), RETRYABLE, CHAINED),
        (OSError(errno.EMFILE, "Too many open files"), RETRYABLE, CHAINED),
        (TimeoutError(), RETRYABLE, CHAINED),
        (aiohttp.ConnectionTimeoutError(f"to {SECRET_URL}"), RETRYABLE, HIDDEN),
        (aiohttp.ClientResponseError(INFO, (), status=400, message="bad"), RETRYABLE, HIDDEN),
        (aiohttp.ClientHttpProxyError(INFO, (), status=502), RETRYABLE, HIDDEN),
        (aiohttp.TooManyRedirects(INFO, ()), FINAL, HIDDEN),
        (aiohttp.InvalidURL(SECRET_URL), FINAL, HIDDEN),
        (aiohttp.InvalidUrlRedirectClientError(SECRET_URL), FINAL, HIDDEN),
        (aiohttp.NonHttpUrlRedirectClientError(SECRET_URL), FINAL, HIDDEN),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_becomes_a_network_error(error: Exception, is_retryable: bool, is_chained: bool):
    failure = network_error(error, "operation Q to http://host/graphql")

    assert NetworkError is type(failure)
    assert str(failure).startswith("operation Q to http://host/graphql got no answer (")
    assert type(error).__name__ in str(failure)
    assert is_retryable == failure.retryable
    assert (error if is_chained else None) is failure.__cause__
    assert "s3cret" not in f"{failure} {failure!r} {failure.__cause__} {failure.__cause__!r}"


def test_says_what_the_system_said():
    failure = network_error(aiohttp.ClientConnectorError(KEY, REFUSED), "it")

    assert "it got no answer (ClientConnectorError: Connection refused)" == str(failure)


@pytest.mark.parametrize(
    ("error", "may_have_arrived"),
    [
        (aiohttp.ClientConnectorError(KEY, REFUSED), False),
        (aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "unknown name")), False),
        (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "bad hello")), False),
        (aiohttp.ClientConnectorCertificateError(KEY, BAD_CERTIFICATE), False),
        (aiohttp.ClientProxyConnectionError(KEY, REFUSED), False),
        (aiohttp.ClientHttpProxyError(INFO, (), status=502), False),
        (aiohttp.ConnectionTimeoutError("to host"), False),
        (aiohttp.InvalidUrlClientError(SECRET_URL), False),
        (aiohttp.NonHttpUrlClientError(SECRET_URL), False),
        (aiohttp.InvalidUrlRedirectClientError(SECRET_URL), True),
        (aiohttp.NonHttpUrlRedirectClientError(SECRET_URL), True),
        (aiohttp.TooManyRedirects(INFO, ()), True),
        (aiohttp.ClientOSError(errno.EPIPE, "Broken pipe"), True),
        (aiohttp.ServerDisconnectedError(), True),
        (aiohttp.ClientPayloadError("not completed"), True),
        (aiohttp.SocketTimeoutError("slow"), True),
        (ConnectionResetError(errno.ECONNRESET, "reset by peer"), True),
        (TimeoutError(), True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_says_whether_the_request_may_have_arrived(error: Exception, may_have_arrived: bool):
    """E77: only a request that may have arrived can have used up a refresh token."""
    failure = network_error(error, "it")

    assert may_have_arrived == failure.may_have_arrived
