"""What a server says in ``WWW-Authenticate``: which credentials it wants, and what was wrong with those it got.

RFC 9110 section 11.6.1 gives the form, RFC 6750 section 3 the meaning of ``error`` and ``scope``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

__all__ = ["INSUFFICIENT_SCOPE", "INVALID_TOKEN", "Challenge", "parse_challenges", "required_scopes"]

INVALID_TOKEN: Final = "invalid_token"  # noqa: S105 - a word of RFC 6750
"""The token has expired, was revoked, or is none: a new one helps (RFC 6750 section 3.1)."""
INSUFFICIENT_SCOPE: Final = "insufficient_scope"
"""The token is good and does not allow this: a refresh cannot widen it (RFC 6750 section 3.1, RFC 6749 section 6)."""

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"  # noqa: S105 - RFC 9110 section 5.6.2
_BETWEEN = re.compile(r"[\s,]*+")
_PARAMETER = re.compile(rf'({_TOKEN})\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)"|({_TOKEN}))', re.DOTALL)
_SCHEME = re.compile(rf"({_TOKEN})(?=[\s,]|\Z)(?!\s*+=)(?:\s++([A-Za-z0-9._~+/-]++=*+)(?=\s*+(?:,|\Z)))?")
_JUNK = re.compile(r"[^,]*+")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True, repr=False)
class Challenge:
    """One way to authenticate that a server asks for; it may carry a nonce, which its ``repr`` leaves out.

    Attributes:
        scheme: Such as ``bearer``, in lower case.
        parameters: By name in lower case; of one that came twice the first.
        token68: What some schemes have instead of parameters, such as Negotiate; else None.
    """

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    token68: str | None = None

    @property
    def error(self) -> str | None:
        """What was wrong, such as ``invalid_token``; None where the server does not say."""
        return self.parameters.get("error")

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes that it names, each once, as they stand there."""
        return tuple(dict.fromkeys(self.parameters.get("scope", "").split()))

    def __repr__(self) -> str:
        """Show the scheme and the error."""
        return f"<Challenge {self.scheme}{'' if self.error is None else f' error={self.error!r}'}>"


def parse_challenges(header: str | None) -> tuple[Challenge, ...]:
    """Return the challenges of a ``WWW-Authenticate`` header, in their order.

    What is none is passed over up to the next comma; so are parameters before the first scheme. Parameters may stand
    without commas between them, as some servers write them.

    Args:
        header: Its value; of several headers the values, joined by commas. None where there was none.

    Example:
        >>> from rxlink.auth.challenges import parse_challenges
        >>> challenges = parse_challenges('Basic realm="a, b", Bearer error="insufficient_scope", scope="read write"')
        >>> challenges
        (<Challenge basic>, <Challenge bearer error='insufficient_scope'>)
        >>> challenges[1].scopes
        ('read', 'write')
    """
    found: list[Challenge] = []
    parameters: dict[str, str] = {}
    position = 0
    while header:
        position = _end(_BETWEEN, header, position)
        if position == len(header):
            break
        if parameter := _PARAMETER.match(header, position):
            name, quoted, plain = parameter.groups()
            parameters.setdefault(name.lower(), plain if quoted is None else _ESCAPED.sub(r"\1", quoted))
            position = parameter.end()
        elif scheme := _SCHEME.match(header, position):
            parameters = {}
            found.append(Challenge(scheme[1].lower(), MappingProxyType(parameters), scheme[2]))
            position = scheme.end()
        else:
            position = _end(_JUNK, header, position)
    return tuple(found)


def required_scopes(challenges: Iterable[Challenge]) -> tuple[str, ...]:
    """Return the scopes that a token lacks, each once: those of the challenges that say ``insufficient_scope``."""
    lacking = (challenge.scopes for challenge in challenges if challenge.error == INSUFFICIENT_SCOPE)
    return tuple(dict.fromkeys(scope for scopes in lacking for scope in scopes))


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    """Return where something ends that may also be empty."""
    found = pattern.match(text, position)
    return position if found is None else found.end()
