"""An AuthLink inside a link: each stream is opened as an operation of its own, with the token of then."""

from __future__ import annotations

from typing import Any, cast

from rxlink.auth.link import AuthLink
from rxlink.auth.session import AuthSession
from rxlink.auth.sessions import AuthSessions
from rxlink.core.link import ApolloLink, EndOfChain, Forward
from rxlink.core.options import kind_of
from rxlink.core.subscription import Connect
from rxlink.errors import InvariantTypeError

__all__ = ["auth_link_of", "through"]


class _Streams(ApolloLink):
    """What is behind the AuthLink inside the link."""

    is_terminating = True

    def __init__(self, send: Connect) -> None:
        super().__init__()
        self._send = send

    def connect(self, forward: Forward) -> Connect:
        return self._send


def auth_link_of(auth: Any, link: str) -> AuthLink | None:
    """Return what writes the token of a session.

    Raises:
        InvariantTypeError: It is no session.
    """
    if isinstance(auth, AuthSession | AuthSessions):
        return AuthLink(cast("AuthSession | AuthSessions[Any]", auth))
    if auth is not None and not isinstance(auth, AuthLink):
        raise InvariantTypeError(f"`auth` of {link} is {kind_of(auth)}; give an AuthSession, an AuthLink, or None")
    return auth


def through(auth: AuthLink, send: Connect) -> Connect:
    """Return what sends operations through an AuthLink."""
    streams = _Streams(send)
    return auth.connect(Forward(streams, EndOfChain(streams)))
