"""oidc-provider in a Node process: how it is installed and started."""

from __future__ import annotations

from pathlib import Path

from tests.oracle.node import INSTALLATION_LIMIT, node_in

__all__ = ["INSTALLATION_LIMIT", "provider_command"]

FOLDER = Path(__file__).parent / "provider"


def provider_command() -> tuple[list[str], Path]:
    """Return what starts it, and where; skips without Node, or fails in CI."""
    return [node_in(FOLDER), "provider.mjs"], FOLDER
