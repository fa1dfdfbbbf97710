"""Which storage of tokens is meant: a file, the keychain, Redis, or none but memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from rxlink.auth.storage import (
    FileTokenStorage,
    KeyringTokenStorage,
    MemoryTokenStorage,
    RedisTokenStorage,
    SharedTokenStorage,
)
from rxlink.commands.failures import Misuse
from rxlink.commands.sources import Sources

__all__ = ["storage_of"]

OPTION: Final = "--storage"
KEYCHAIN: Final = "keyring:"
SERVERS: Final = ("redis://", "rediss://", "unix://")


def storage_of(given: str, sources: Sources, warn: Callable[[str], None]) -> SharedTokenStorage:
    """Return the storage that ``--storage`` names.

    Args:
        given: ``FILE``, ``keyring:SERVICE/USER``, ``redis://HOST:PORT/DB#KEY`` or ``memory``; or, as ``@FILE`` or
            ``env:NAME``, where that stands.
        sources: Reads it.
        warn: Is told of a password on the command line.

    Raises:
        Misuse: It is none of these.
        InvariantError: An extra is missing, or a part of it makes no sense.
    """
    text = sources.value(OPTION, given) if sources.is_elsewhere(given) else given  # a path need be no text
    if text == "memory":
        return MemoryTokenStorage()
    if text.startswith(KEYCHAIN):
        service, _, user = text.removeprefix(KEYCHAIN).rpartition("/")
        if not service or not user:
            raise Misuse(f"argument {OPTION}: give an entry of the keychain as keyring:SERVICE/USER")
        return KeyringTokenStorage(service, user)
    if text.startswith(SERVERS):
        if text == given and _has_password(text):
            warn(
                "warning: the password of the storage is on the command line, where other users of this machine and "
                "the shell's history have it; give --storage @FILE or --storage env:NAME"
            )
        return _redis(text)
    if "://" in text:
        raise Misuse(f"argument {OPTION}: give FILE, keyring:SERVICE/USER, redis://HOST:PORT/DB#KEY or memory")
    return FileTokenStorage(text)


def _redis(text: str) -> RedisTokenStorage:
    server, _, key = text.rpartition("#")
    if not server or not key:
        raise Misuse(f"argument {OPTION}: the address of the server has no key; give it as redis://HOST:PORT/DB#KEY")
    return RedisTokenStorage(server, key)


def _has_password(text: str) -> bool:
    try:
        return urlsplit(text).password is not None
    except ValueError:
        return False  # it is refused soon enough
