"""What to make of what others have put into a shared storage."""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum
from typing import Final

from rxlink.auth.credential import Wallet
from rxlink.auth.storage.shared import StoredTokens

__all__ = ["Finding", "PartedLogins"]

REMEMBERED: Final = 64
"""How many logins that this session has parted with are remembered."""
FOR_GOOD: Final = float("inf")


class Finding(Enum):
    """What was found in a storage, beside what is in use."""

    OLD = "nothing new"
    NEWER_TOKENS = "newer tokens of the same login"
    OTHER_LOGIN = "tokens of another login"
    SIGN_OUT = "that nobody is signed in any more"


class PartedLogins:
    """The logins that this session has parted with: what is kept of them means nothing to it."""

    def __init__(self) -> None:
        self._serials: OrderedDict[str, float] = OrderedDict()

    def note(self, record: StoredTokens | None, *, is_final: bool) -> None:
        """Take note that this login is over.

        Args:
            record: What was in use.
            is_final: Whether somebody has signed out, or in as somebody else. Otherwise its refresh token was dead, and
                whoever else signs in again may go on with the same login.
        """
        if record is not None:
            self._serials[record.login] = FOR_GOOD if is_final else record.serial
            self._serials.move_to_end(record.login)
            if len(self._serials) > REMEMBERED:
                self._serials.popitem(last=False)

    def has(self, record: StoredTokens) -> bool:
        """Tell whether this is of a login that is over."""
        return record.serial <= self._serials.get(record.login, 0)

    def judge(self, found: StoredTokens | None, wallet: Wallet) -> Finding:
        """Tell what was found.

        Nothing there means nothing: a storage may lose what it had, and who signs out leaves a note of it.
        """
        known, confirmed = wallet.record, wallet.confirmed
        if found is None or self.has(found) or wallet.is_new_login or found in {known, confirmed}:
            return Finding.OLD
        # Of its own login, what was not saved yet counts too; of another, only what was really there.
        newest = known if known is not None and known.login == found.login else confirmed
        if newest is not None and found.serial < newest.serial:
            return Finding.OLD
        if found.tokens is None:
            return Finding.OLD if wallet.credential is None else Finding.SIGN_OUT
        if wallet.credential is not None and known is not None and found.login == known.login:
            return Finding.NEWER_TOKENS
        return Finding.OTHER_LOGIN
