"""A session's dealings with its storage: what is under way, what is left, and whose cancellation it was."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from reactivex.testing import TestScheduler

from rxlink.auth.session import AuthSession
from rxlink.auth.storage import MemoryTokenStorage
from rxlink.auth.tokens import TokenSet
from rxlink.auth.vault import Vault
from rxlink.errors import InvariantTypeError, TokenStorageError
from rxlink.testing.virtual_time import virtual
from tests.auth.scripted import ScriptedStorage, never

NEW = TokenSet("A1")


def vault_on(storage: Any) -> Vault:
    return Vault(storage, lambda tokens: None, lambda event: None, time_limit=5, scheduler=None)


@pytest.mark.parametrize("failures", [[], [OSError("full")]])
@virtual
async def test_it_is_saving_until_the_save_has_ended_however(failures: list[Any]) -> None:
    vault = vault_on(ScriptedStorage(delay=1, save=failures))
    saving = asyncio.create_task(vault.save_refreshed(NEW, 1))
    await asyncio.sleep(0.5)
    during = vault.is_saving

    await saving

    assert (True, False) == (during, vault.is_saving)


@pytest.mark.parametrize("call", ["save", "clear"])
@virtual
async def test_whoever_cancels_a_call_cancels_it_and_is_not_told_of_the_storage(call: str) -> None:
    vault = vault_on(ScriptedStorage(**{call: [never]}))
    task = asyncio.create_task(vault.save(NEW, 1) if call == "save" else vault.clear())
    await asyncio.sleep(1)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


@virtual
async def test_a_call_that_takes_too_long_is_told_of_the_storage() -> None:
    with pytest.raises(TokenStorageError):
        await vault_on(ScriptedStorage(clear=[never])).clear()


@virtual
async def test_a_chore_that_has_ended_is_kept_no_longer() -> None:
    vault = vault_on(ScriptedStorage(delay=1))
    before = asyncio.all_tasks()
    vault.forget_later(1, vault.take_turn())
    chore = weakref.ref(*(asyncio.all_tasks() - before))

    await asyncio.sleep(2)
    gc.collect()

    assert chore() is None


@virtual
async def test_closing_cancels_a_chore_that_does_not_end() -> None:
    """Its own limit is in the time of a scheduler, which may stand still."""
    storage: Any = ScriptedStorage(clear=[never])
    vault = Vault(storage, lambda tokens: None, lambda event: None, time_limit=5, scheduler=TestScheduler())
    before = asyncio.all_tasks()
    vault.forget_later(1, vault.take_turn())
    [chore] = asyncio.all_tasks() - before

    await vault.aclose()
    await asyncio.sleep(0.5)

    assert chore.cancelled()


def test_the_class_of_a_storage_is_no_storage() -> None:
    with pytest.raises(InvariantTypeError, match="`storage` is the class MemoryTokenStorage"):
        AuthSession(refresh=lambda tokens, reason: None, storage=MemoryTokenStorage)
