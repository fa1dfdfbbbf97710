"""Where a fleet keeps its tokens: a file, Valkey, or for the contrast each process for itself."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rxlink import MemoryTokenStorage
from rxlink.auth.storage import SharedTokenStorage
from tests.fleet.tokens import tokens_of

__all__ = ["KEY", "KINDS", "Place", "add_place", "storage_of"]

KINDS = ("file", "valkey")
KEY = "fleet:tokens"


@dataclass(frozen=True)
class Place:
    """A storage, as the arguments of a process."""

    kind: str
    where: str
    lease: float = 3.0

    @property
    def arguments(self) -> list[str]:
        return [f"--{self.kind}", self.where, "--lease", str(self.lease)]

    @property
    def storage(self) -> SharedTokenStorage:
        parser = argparse.ArgumentParser()
        add_place(parser)
        return storage_of(parser.parse_args(self.arguments))


def add_place(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say where the tokens are."""
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--file", type=Path, help="path of a file")
    where.add_argument("--valkey", help="URL of a server")
    where.add_argument("--memory", type=json.loads, help="the tokens, which the process keeps for itself")
    parser.add_argument("--lease", type=float, default=3.0, help="seconds")


def storage_of(given: argparse.Namespace) -> Any:
    """Return the storage that the arguments ask for."""
    if given.file is not None:
        from rxlink.auth.storage.file import FileTokenStorage

        return FileTokenStorage(given.file)
    if given.valkey is not None:
        from rxlink.auth.storage.redis import RedisTokenStorage

        return RedisTokenStorage(given.valkey, KEY, lease=given.lease)
    return MemoryTokenStorage(tokens_of(given.memory))
