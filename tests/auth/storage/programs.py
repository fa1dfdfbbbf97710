"""Programs that share a storage with a test, each in an interpreter of its own."""

import subprocess
import sys
import textwrap
from pathlib import Path

from rxlink.auth.storage.shared import StoredTokens
from rxlink.auth.tokens import TokenSet

PATIENCE = 40
"""Real seconds for a program that should take one, on a machine that may be busy."""

BEGINNING = """
import asyncio, gc, os, signal, sys, threading, time
from rxlink.auth.storage.file import FileTokenStorage
from rxlink.auth.storage.shared import StoredTokens
from rxlink.auth.tokens import TokenSet

path = sys.argv[1]
storage = FileTokenStorage(path)

def record(serial):
    return StoredTokens(TokenSet(f"A{serial}", f"R{serial}"), "login", serial)
"""


def record(serial: int) -> StoredTokens:
    return StoredTokens(TokenSet(f"A{serial}", f"R{serial}"), "login", serial)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def start(program: str, path: Path) -> "subprocess.Popen[str]":
    # From Python 3.12 on a fork beside threads is warned of.
    options = ["-W", "error", "-W", "ignore:This process:DeprecationWarning"]
    return subprocess.Popen(
        [sys.executable, *options, "-c", BEGINNING + textwrap.dedent(program), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(program: str, path: Path, ends_with: int = 0) -> list[str]:
    """What a program prints, its children's words included."""
    child = start(program, path)
    with child:
        said, complained = child.communicate(timeout=PATIENCE)
    assert (ends_with, "") == (child.returncode, complained)
    return said.splitlines()
