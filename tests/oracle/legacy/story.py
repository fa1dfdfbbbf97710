"""A scenario with its name, and where rxlink differs from the original on purpose."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Differs:
    """Why rxlink's trace is another one, and the events of those who do something else there."""

    reason: str
    ours: dict[str, list[Any]]


@dataclass(frozen=True)
class Story:
    name: str
    differs: Differs | None = None
    scenario: dict[str, Any] = field(default_factory=dict)
