"""Where a header with a token may be sent: only to those whom it is meant for, and never in the open.

AuthLink writes the header into an operation's context, and beside it, under :data:`PROTECTED`, its audience. The
transport knows where the operation really goes, and asks: :meth:`Audience.refusal`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, cast
from unicodedata import category, normalize

from rxlink.core.options import kind_of
from rxlink.errors import InvariantError, InvariantTypeError

__all__ = ["PROTECTED", "Audience", "checked_origins", "is_loopback", "origin_of"]

PROTECTED: Final = "protected_headers"
"""The context key: a mapping from a header's name in lower case to its :class:`Audience`.

The mapping is never changed: transports remember, by its identity, that it may go to their own address.
"""

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
LAST_PORT: Final = 65535

_ORIGIN = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[^\s/\\?#@:%*\[\]]+)(?::([0-9]{1,5}))?", re.IGNORECASE | re.ASCII)
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")
_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)\.?")
"""What a host's last part looks like if it is an IPv4 address, also in one of the forms that nobody should write."""


@dataclass(frozen=True, slots=True)
class Audience:
    """Who may get a header.

    Attributes:
        origins: The only origins that it may be sent to, as :func:`checked_origins` returns them; None: where the
            transport sends by itself.
        allow_insecure: Whether it may be sent over plain http to other hosts than this one.
    """

    origins: frozenset[str] | None = None
    allow_insecure: bool = False

    def refusal(self, scheme: str, host: str, port: int | None, *, is_own: bool) -> str | None:
        """Return why the header must not go to a target, with the cure, or None where it may.

        Args:
            scheme: Of the target, in lower case.
            host: As it is on the wire: in lower case, international names in ASCII, IPv6 with or without brackets.
            port: None is the scheme's own.
            is_own: Whether the transport was made to send there, and it is not the operation that wants it so.
        """
        if self.origins is None:
            if not is_own:
                return "that is not the origin of the link's own address; name it in `origins=[...]` of AuthLink"
        elif origin_of(scheme, host, port) not in self.origins:
            return "`origins` of AuthLink does not name it; add it there"
        if scheme == "https" or self.allow_insecure or is_loopback(host):
            return None
        return (
            "over plain http everybody on the way can read it; use https, or give AuthLink `allow_insecure=True` "
            "where the network can be trusted"
        )


def checked_origins(origins: object, *, allow_insecure: bool) -> frozenset[str] | None:
    """Return the origins that a user named, in the one form in which they are compared.

    Args:
        origins: Texts such as ``"https://api.example.com"`` or ``"http://localhost:8080"``; None stays None.
        allow_insecure: Whether plain http to other hosts than this one is wanted.

    Raises:
        InvariantTypeError: This is no collection of texts.
        InvariantError: A text is no origin, or none that a token could be sent to; or there are none.
    """
    if origins is None:
        return None
    if isinstance(origins, (str, bytes, Mapping)) or not isinstance(origins, Iterable):
        raise InvariantTypeError(f"`origins` is {kind_of(cast('object', origins))}; give a list of texts, or None")
    checked = frozenset(_checked_origin(origin, allow_insecure) for origin in cast("Iterable[object]", origins))
    if not checked:
        raise InvariantError("`origins` is empty, so the token could go nowhere; give None for the link's own address")
    return checked


def origin_of(scheme: str, host: str, port: int | None) -> str:
    """Return an origin as text, without the port where it is the scheme's own (RFC 6454 section 6.2)."""
    shown = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"{scheme}://{shown}" if port in (None, DEFAULT_PORTS.get(scheme)) else f"{scheme}://{shown}:{port}"


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine: localhost and names below it (RFC 6761), 127.0.0.0/8, ::1.

    Other ways to write such an address, such as ``127.1``, are none: readers of addresses do not agree on them.
    """
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    # An IPv4 address inside an IPv6 one is a loopback for some versions of Python only.
    return address.is_loopback if address.version == 4 else address == ipaddress.IPv6Address(1)  # noqa: PLR2004 - IPv4


def _checked_origin(text: object, allow_insecure: bool) -> str:  # noqa: FBT001 - private
    if not isinstance(text, str):
        raise InvariantTypeError(f"`origins` holds {kind_of(text)}; give texts such as 'https://api.example.com'")
    parts = _ORIGIN.fullmatch(text)
    host = None if parts is None else _wire_host(parts[2].lower())
    port = None if parts is None or parts[3] is None else int(parts[3])
    if parts is None or host is None or not (port is None or 0 < port <= LAST_PORT):
        raise InvariantError(
            f"`origins` holds {_without_secrets(text)!r}; give scheme, host and, if it is not the usual one, the port, "
            "and nothing else: 'https://api.example.com' or 'https://api.example.com:8443'; "
            "an international name in its ASCII form (xn--...)"
        )
    scheme = parts[1].lower()
    origin = origin_of(scheme, host, port)
    if scheme == "http" and not allow_insecure and not is_loopback(host):
        raise InvariantError(
            f"`origins` holds {origin!r}, and over plain http everybody on the way can read the token; "
            "give the origin with https, or `allow_insecure=True` beside it where the network can be trusted"
        )
    return origin


def _wire_host(host: str) -> str | None:
    """Return a host as requests name it, None where different readers could take it for different hosts."""
    try:
        if host.startswith("["):
            return f"[{ipaddress.IPv6Address(host[1:-1]).compressed}]"
        if _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
            return str(ipaddress.IPv4Address(host))
        wire = host if host.isascii() else _ascii_name(normalize("NFC", host))
    except ValueError:
        return None
    return wire if _NAME.fullmatch(wire) else None


def _ascii_name(host: str) -> str:
    """Return an international name in ASCII, "" where the two standards for that (IDNA 2003, 2008) may not agree.

    They agree on letters that stand for themselves alone: none that is dropped, or written as another one.
    """
    is_plain = host == normalize("NFKC", host.casefold()) and all(c.isascii() or category(c)[0] in "LMN" for c in host)
    wire = host.encode("idna")
    return wire.decode() if is_plain and wire.decode("idna") == host else ""


def _without_secrets(text: str) -> str:
    """Cut what should be an origin, and may have a user's password or a query in it, before it is shown."""
    shown = text.partition("?")[0].partition("#")[0]
    before, at, after = shown.rpartition("@")
    return f"{before.partition('//')[0]}//***@{after}" if at and "//" in before else f"***@{after}" if at else shown
