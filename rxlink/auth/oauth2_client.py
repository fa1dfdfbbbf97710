"""Who the client of an OAuth2 issuer is, how it proves that, and what it asks for besides tokens."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias, cast
from urllib.parse import quote_plus, urlencode

from rxlink.core.options import kind_of
from rxlink.errors import InvariantError, InvariantTypeError

__all__ = ["ClientAuthentication", "OAuth2Client"]

ClientAuthentication: TypeAlias = Literal["basic", "body", "none"]

OWN_PARAMETERS: Final = ("grant_type", "refresh_token", "client_id", "client_secret", "scope")


class OAuth2Client:
    """A client as it was registered, checked once; its `repr` shows nothing of it.

    Attributes:
        authorization: The header that says who the client is; None where the form does.
        parameters: What the form says of the client.
        scope: The scope to ask for; None for what was granted, or the issuer's default.
        extra: Further parameters, encoded as a form.
    """

    __slots__ = ("authorization", "extra", "parameters", "scope")

    def __init__(
        self,
        client_id: str,
        client_secret: str | None,
        authentication: ClientAuthentication | None,
        *,
        scope: str | Sequence[str] | None,
        extra: Mapping[str, str | Sequence[str]] | None,
    ) -> None:
        """Describe a client; the options are those of :func:`~rxlink.transport.oauth2.oauth2_refresh`.

        Raises:
            InvariantError: An option makes no sense.
            InvariantTypeError: An option has the wrong type.
        """
        _check_text("client_id", client_id)
        if client_secret is not None:
            _check_text("client_secret", client_secret)
        way = _checked_way(authentication, client_secret)
        self.authorization = _basic(client_id, client_secret or "") if way == "basic" else None
        self.parameters: dict[str, str] = {} if way == "basic" else {"client_id": client_id}
        if way == "body" and client_secret is not None:
            self.parameters["client_secret"] = client_secret
        self.scope = _checked_scope(scope)
        self.extra = "" if extra is None else _encoded(extra)


def _basic(client_id: str, client_secret: str) -> str:
    # Each is encoded as in a form first (RFC 6749 section 2.3.1): an id may hold a colon.
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise InvariantTypeError(f"`{name}` is {kind_of(value)}; give text")
    if not value or not value.isprintable():
        raise InvariantError(f"`{name}` is empty, or holds a line break or the like; give it as it was registered")


def _checked_way(way: str | None, client_secret: str | None) -> ClientAuthentication:
    if way is None:
        return "none" if client_secret is None else "basic"
    if way not in ("basic", "body", "none"):
        raise InvariantError("`client_authentication` is unknown; give 'basic', 'body' or 'none'")
    if (way == "none") != (client_secret is None):
        raise InvariantError(
            f"`client_authentication` is {way!r} {'without' if client_secret is None else 'with'} a `client_secret`; "
            "'basic' and 'body' send one, 'none' is for clients that have none"
        )
    return way


def _checked_scope(scope: object) -> str | None:
    if scope is None or isinstance(scope, str):
        return scope
    words = list(cast("Sequence[object]", scope)) if isinstance(scope, (list, tuple)) else [None]
    if not all(isinstance(word, str) for word in words):
        raise InvariantTypeError("`scope` is no text and no list of texts; give 'read write', or ['read', 'write']")
    return " ".join(cast("list[str]", words))


def _encoded(extra: object) -> str:
    if not isinstance(extra, Mapping):
        raise InvariantTypeError(f"`extra` is {kind_of(extra)}; give a mapping of names to text")
    pairs: list[tuple[str, str]] = []
    for name, value in cast("Mapping[object, object]", extra).items():
        values = cast("Sequence[object]", value) if isinstance(value, (list, tuple)) else (value,)
        if not isinstance(name, str) or not all(isinstance(each, str) for each in values):
            raise InvariantTypeError(f"{name!r} of `extra` is {kind_of(cast('object', value))}; give text, or a list")
        if name in OWN_PARAMETERS:
            raise InvariantError(f"{name!r} of `extra` has an option of its own; give it there")
        pairs += [(name, each) for each in cast("Sequence[str]", values)]
    try:
        return urlencode(pairs)
    except UnicodeError:
        pass  # whose own text shows the value
    raise InvariantError("`extra` holds half a surrogate pair, which no form can carry")
