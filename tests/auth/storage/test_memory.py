"""The storage that forgets at the end of the process."""

import pytest

from rxlink.auth.storage import MemoryTokenStorage, TokenStorage
from rxlink.auth.tokens import TokenSet

A0 = TokenSet("A0")
A1 = TokenSet("A1")


async def test_what_was_saved_last_is_loaded() -> None:
    storage: TokenStorage = MemoryTokenStorage()
    nothing = await storage.load()

    await storage.save(A0)
    await storage.save(A1)

    assert (None, A1) == (nothing, await storage.load())


async def test_it_may_begin_with_tokens_and_forgets_them() -> None:
    storage = MemoryTokenStorage(A0)
    begin = await storage.load()

    await storage.clear()

    assert (A0, None) == (begin, await storage.load())


@pytest.mark.parametrize("tokens", [None, TokenSet("planted")])
def test_it_prints_no_token(tokens: TokenSet | None) -> None:
    """P7."""
    assert "planted" not in repr(MemoryTokenStorage(tokens))
