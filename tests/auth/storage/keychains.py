"""Keychains for tests: those of desktops are not to be had in CI."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import keyring
from keyring.backend import KeyringBackend

K = TypeVar("K", bound=KeyringBackend)


@contextmanager
def in_use(keychain: K) -> Iterator[K]:
    before = keyring.get_keyring()
    keyring.set_keyring(keychain)
    try:
        yield keychain
    finally:
        keyring.set_keyring(before)


def start(program: str, folder: Path, **variables: str) -> "subprocess.Popen[str]":
    """Start a program that has no desktop."""
    hidden = {"PYTHON_KEYRING_BACKEND", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "DISPLAY"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    return subprocess.Popen(
        [sys.executable, "-c", program, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment | {"PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(folder)} | variables,
    )


class MemoryKeychain(KeyringBackend):
    """Keeps entries; raises what it is told to."""

    priority = 0

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[tuple[str, str], str] = {}
        self.error: Exception | None = None
        self.error_of_set: Exception | None = None
        self.longest: int | None = None

    def get_password(self, service: str, username: str) -> str | None:
        if self.error is not None:
            raise self.error
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.error_of_set is not None:
            raise self.error_of_set
        self.entries[service, username] = password[: self.longest]

    def delete_password(self, service: str, username: str) -> None:
        del self.entries[service, username]


class SharedKeychain(KeyringBackend):
    """Keeps entries in a file, for several processes, and does nothing so that they do not get in each other's way."""

    priority = 0

    def get_password(self, service: str, username: str) -> str | None:
        path = Path(os.environ["TEST_KEYCHAIN"])
        return json.loads(path.read_text())[service + username] if path.exists() else None

    def set_password(self, service: str, username: str, password: str) -> None:
        path = Path(os.environ["TEST_KEYCHAIN"])
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps({service + username: password}))
        temporary.replace(path)

    def delete_password(self, service: str, username: str) -> None:
        Path(os.environ["TEST_KEYCHAIN"]).unlink()
