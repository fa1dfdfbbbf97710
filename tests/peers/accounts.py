"""The tokens that the servers in Python take; accounts.mjs is the same for those in JavaScript."""

from __future__ import annotations

import re
from collections import Counter


class Accounts:
    """Tokens are `account.generation`; a refresh begins the next generation, and only that is accepted."""

    def __init__(self) -> None:
        self.refreshes: Counter[str] = Counter()

    def refresh(self, account: str) -> str:
        self.refreshes[account] += 1
        return f"{account}.{self.refreshes[account]}"

    def account(self, authorization: str | None) -> str | None:
        """Return the account of an `authorization` header, or None."""
        found = re.fullmatch(r"Bearer (\w+)\.(\d+)", authorization or "")
        return found[1] if found and int(found[2]) == self.refreshes[found[1]] else None
