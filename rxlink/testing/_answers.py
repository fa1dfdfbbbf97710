"""The HTTP answers of an auth server: results, tokens, errors, and what faults say instead."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web

from rxlink.testing._faults import Fault, Unauthenticated
from rxlink.testing._ledger_records import Arrival
from rxlink.testing._oauth2_messages import OAuth2Error
from rxlink.testing._token_table import TokenPair

__all__ = [
    "COOKIE_NAME",
    "COOKIE_PATH",
    "fault_answer",
    "forget_cookie",
    "graphql_answer",
    "malformed_answer",
    "oauth2_error",
    "set_cookie",
    "token_answer",
    "unauthenticated_error",
]

COOKIE_NAME = "refresh_token"
COOKIE_PATH = "/refresh"

_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_BEARER = {"WWW-Authenticate": 'Bearer error="invalid_token"'}


def graphql_answer(result: Mapping[str, Any], *, refused: Unauthenticated | None = None) -> web.Response:
    """Return a GraphQL result, as a 401 if `refused` says so."""
    if refused is None or refused == "result":
        return web.json_response(result)
    content_type = "application/json" if refused == "status" else "application/graphql-response+json"
    return web.json_response(result, status=401, headers=_BEARER, content_type=content_type)


def malformed_answer(error: Exception) -> web.Response:
    """Return what a body that is no GraphQL request earns."""
    return web.json_response({"errors": [{"message": str(error)}]}, status=400)


def unauthenticated_error(why: str) -> dict[str, Any]:
    """Return a GraphQL error of code UNAUTHENTICATED and reason `why`, as the wire's dict."""
    return {
        "message": f"Not authenticated: {why}.",
        "extensions": {"code": "UNAUTHENTICATED", "reason": why},
    }


def token_answer(pair: TokenPair, *, is_by_cookie: bool) -> web.Response:
    """Return a token message (RFC 6749, 5.1), its refresh token in the body or in the cookie."""
    life = int(pair.expires_in) if pair.expires_in.is_integer() else pair.expires_in
    message: dict[str, Any] = {
        "access_token": pair.access_token,
        "token_type": "Bearer",
        "expires_in": life,
    }
    if pair.refresh_token is not None and not is_by_cookie:
        message["refresh_token"] = pair.refresh_token
    answer = web.json_response(message, headers=_NO_STORE)
    if pair.refresh_token is not None and is_by_cookie:
        set_cookie(answer, pair.refresh_token)
    return answer


def oauth2_error(error: OAuth2Error) -> web.Response:
    """Return an error message (RFC 6749, section 5.2)."""
    headers = _NO_STORE | (
        {"WWW-Authenticate": 'Basic realm="token"'} if error.status == HTTPStatus.UNAUTHORIZED else {}
    )
    message = {"error": error.error, "error_description": error.description}
    return web.json_response(message, status=error.status, headers=headers)


def set_cookie(answer: web.Response, refresh_token: str) -> None:
    """Put a refresh token into the cookie, which only the refresh path gets to see."""
    answer.set_cookie(COOKIE_NAME, refresh_token, path=COOKIE_PATH, httponly=True, samesite="Strict")


def forget_cookie(answer: web.Response) -> None:
    """Tell the client to drop its cookie."""
    answer.del_cookie(COOKIE_NAME, path=COOKIE_PATH, httponly=True, samesite="Strict")


def fault_answer(fault: Fault, arrival: Arrival) -> web.Response | None:
    """Return what a fault answers, or `None` if it lets the request be processed."""
    match fault.kind:
        case "status" | "too_many_requests":
            headers = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
            return web.Response(status=fault.status_code, text="The server is not well.", headers=headers)
        case "not_json":
            body = b"<!doctype html><title>Not what you asked for</title>"
            return web.Response(body=body, headers={"Content-Type": fault.content_type})
        case "invalid_grant":
            return _refused(arrival, "invalid_grant", style="result", status=400)
        case "unauthenticated":
            status = 200 if fault.style == "result" else 401
            return _refused(arrival, "invalid_token", style=fault.style, status=status)
        case _:
            return None


def _refused(arrival: Arrival, why: str, *, style: Unauthenticated, status: int) -> web.Response:
    if arrival.endpoint == "graphql":
        return graphql_answer({"data": None, "errors": [unauthenticated_error(why)]}, refused=style)
    return oauth2_error(OAuth2Error(why, "The server was told to refuse.", status=status))
