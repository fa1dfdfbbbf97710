"""The public interface as text: `python tests/public_api.py` writes it into `tests/public_api.txt`.

A change of it is a line in a diff that somebody has looked at.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

LISTING = Path(__file__).with_suffix(".txt")
MODULES = ("rxlink", "rxlink.testing", "rxlink.integrations.gql")
ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def listing() -> str:
    """Return a line for each public name, and below a class one for each of its members."""
    lines: list[str] = []
    for name in MODULES:
        module = importlib.import_module(name)
        for public in sorted(module.__all__):
            lines += _lines(f"{name}.{public}", getattr(module, public))
    return "\n".join(lines) + "\n"


def _lines(name: str, value: Any) -> Iterator[str]:
    if not inspect.isclass(value):
        yield f"{name}{_signature(value)}"
        return
    yield f"class {name}{_signature(value)}"
    if issubclass(value, Enum):
        yield from (f"    .{member.name} = {member.value!r}" for member in value)
        return
    for member in sorted(_members(value)):
        raw = inspect.getattr_static(value, member, None)  # None of an annotation alone
        function = raw.__func__ if isinstance(raw, (staticmethod, classmethod)) else raw
        yield f"    .{member}{_signature(function) if inspect.isfunction(function) else ''}"


def _members(kind: type) -> set[str]:
    """Return what a class has of rxlink, and not of what it is made of elsewhere."""
    own = [base for base in kind.__mro__ if base.__module__.partition(".")[0] == "rxlink"]
    found = {name for base in own for name in vars(base)}
    found |= {name for base in own for name in vars(base).get("__annotations__", {})}
    return {name for name in found if not name.startswith("_")}


def _signature(value: Any) -> str:
    if not callable(value):
        return ""
    try:
        return ADDRESS.sub("", str(inspect.signature(value)))
    except (ValueError, TypeError):
        return ""


if __name__ == "__main__":
    LISTING.write_text(listing(), encoding="utf-8")
