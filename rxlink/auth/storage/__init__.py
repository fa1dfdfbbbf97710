"""Where tokens are kept between refreshes, and between runs."""

from rxlink.auth.storage.memory import MemoryTokenStorage, TokenStorage

__all__ = ["MemoryTokenStorage", "TokenStorage"]
