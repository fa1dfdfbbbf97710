"""Options that links check when they are made."""

from __future__ import annotations

from rxlink.errors import InvariantTypeError

__all__ = ["checked_flag"]


def checked_flag(name: str, value: object) -> bool:
    """Return an option that is yes or no; text such as ``"false"``, which is true in Python, is neither.

    Raises:
        InvariantTypeError: It is no bool; the message names option and value.
    """
    if not isinstance(value, bool):
        raise InvariantTypeError(f"`{name}` is {value!r}; give True or False")
    return value
