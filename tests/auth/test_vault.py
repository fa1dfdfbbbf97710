"""A session's dealings with its storage: what is under way, what is left, and whose cancellation it was."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from reactivex.testing import TestScheduler

from rxlink.auth.session import AuthSession
from rxlink.auth.storage import MemoryTokenStorage, StoredTokens
from rxlink.auth.storage.depot import Kept
from rxlink.auth.tokens import TokenSet
from rxlink.auth.vault import Vault
from rxlink.errors import InvariantTypeError, TokenStorageError
from rxlink.testing.virtual_time import virtual
from tests.auth.scripted import ScriptedStorage, never

NEW = TokenSet("A1")


def kept_of(tokens: TokenSet | None) -> Kept:
    return Kept(StoredTokens(tokens, "login", 1), 1)


class Owner:
    """The part of a session that only looks on."""

    is_loaded = True
    is_closed = False
    generation = 1

    def __init__(self) -> None:
        self.adopt = self.tell = lambda _: None
        self.claim = lambda kept: None
        self.confirm = lambda kept, record: None


def vault_on(storage: Any, scheduler: Any = None) -> Vault:
    return Vault(storage, Owner(), time_limit=5, scheduler=scheduler)


@pytest.mark.parametrize("failures", [[], [OSError("full")]])
@virtual
async def test_it_is_saving_until_the_save_has_ended_however(failures: list[Any]) -> None:
    vault = vault_on(ScriptedStorage(delay=1, save=failures))
    saving = asyncio.create_task(vault.save_refreshed(kept_of(NEW)))
    await asyncio.sleep(0.5)
    during = vault.is_saving

    await saving

    assert (True, False) == (during, vault.is_saving)


@pytest.mark.parametrize("call", ["save", "clear"])
@virtual
async def test_whoever_cancels_a_call_cancels_it_and_is_not_told_of_the_storage(call: str) -> None:
    vault = vault_on(ScriptedStorage(**{call: [never]}))
    task = asyncio.create_task(vault.save(kept_of(NEW if call == "save" else None)))
    await asyncio.sleep(1)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


@virtual
async def test_a_call_that_takes_too_long_is_told_of_the_storage() -> None:
    with pytest.raises(TokenStorageError):
        await vault_on(ScriptedStorage(clear=[never])).save(kept_of(None))


@virtual
async def test_a_chore_that_has_ended_is_kept_no_longer() -> None:
    vault = vault_on(ScriptedStorage(delay=1))
    before = asyncio.all_tasks()
    vault.forget_later(kept_of(None), vault.take_turn())
    chore = weakref.ref(*(asyncio.all_tasks() - before))

    await asyncio.sleep(2)
    gc.collect()

    assert chore() is None


@virtual
async def test_closing_cancels_a_chore_that_does_not_end() -> None:
    """Its own limit is in the time of a scheduler, which may stand still."""
    storage: Any = ScriptedStorage(clear=[never])
    vault = vault_on(storage, TestScheduler())
    before = asyncio.all_tasks()
    vault.forget_later(kept_of(None), vault.take_turn())
    [chore] = asyncio.all_tasks() - before

    await vault.aclose()
    await asyncio.sleep(0.5)

    assert chore.cancelled()


def test_the_class_of_a_storage_is_no_storage() -> None:
    with pytest.raises(InvariantTypeError, match="`storage` is the class MemoryTokenStorage"):
        AuthSession(refresh=lambda tokens, reason: None, storage=MemoryTokenStorage)
