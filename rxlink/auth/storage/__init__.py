"""Where tokens are kept between refreshes, between runs, and for several processes."""

from rxlink.auth.storage.file import FileTokenStorage
from rxlink.auth.storage.keyring import KeyringTokenStorage
from rxlink.auth.storage.memory import MemoryTokenStorage
from rxlink.auth.storage.plain import TokenStorage
from rxlink.auth.storage.redis import RedisTokenStorage
from rxlink.auth.storage.shared import SharedTokenStorage, StoredTokens, TokenLease

__all__ = [
    "FileTokenStorage",
    "KeyringTokenStorage",
    "MemoryTokenStorage",
    "RedisTokenStorage",
    "SharedTokenStorage",
    "StoredTokens",
    "TokenLease",
    "TokenStorage",
]
