"""Where tokens are kept between refreshes, between runs, and for several processes."""

from rxlink.auth.storage.memory import MemoryTokenStorage
from rxlink.auth.storage.plain import TokenStorage
from rxlink.auth.storage.shared import SharedTokenStorage, StoredTokens, TokenLease

__all__ = ["MemoryTokenStorage", "SharedTokenStorage", "StoredTokens", "TokenLease", "TokenStorage"]
