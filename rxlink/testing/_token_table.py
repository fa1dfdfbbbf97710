"""The tokens of an auth server: issued, judged, rotated, revoked by a table of exact ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from rxlink.testing._ledger import Ledger, fingerprint
from rxlink.testing._ledger_records import Generation, IssuedWhy, ReplacedWhy, RevokedWhy
from rxlink.testing._token_mint import TokenMint

__all__ = ["Granted", "RefreshRefused", "TokenPair", "TokenTable", "Verdict"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPair:
    """What a sign-in or a refresh hands out. Printing it shows no token.

    Attributes:
        access_token: A JWT (HS256) with `sub`, `iat`, `exp` and `jti`.
        refresh_token: An opaque text, good for one refresh; `None` for client credentials.
        expires_in: Seconds until the server stops accepting the access token, fractions included.
        generation: The ledger's record of the pair.
    """

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_in: float
    generation: Generation


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """A refresh that was granted: the new pair, what it replaces, whether it is a repeat."""

    pair: TokenPair
    replaced: Generation | None
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whose an access token is, and why it is not accepted (`None`: it is)."""

    generation: Generation | None
    why: Literal["missing", "unknown", "expired", "revoked"] | None


class RefreshRefused(Exception):
    """A refresh token that earns no new pair.

    Attributes:
        why: `missing`, `unknown`, `expired`, `revoked` or `reused`.
    """

    def __init__(self, why: Literal["missing", "unknown", "expired", "revoked", "reused"]) -> None:
        """Make the refusal for one reason."""
        super().__init__(f"The refresh token is {why}.")
        self.why = why


@dataclass(slots=True, kw_only=True, eq=False)
class _Entry:
    generation: Generation
    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    successor: _Entry | None = field(default=None, repr=False)


class TokenTable:
    """Every token of one server, and the rules under which each is accepted.

    Attributes:
        on_revoked: Called when access tokens were revoked before their end.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        token_life: float,
        refresh_life: float,
        reuse_grace: float,
        seed: int,
    ) -> None:
        """Make an empty table; all durations are seconds."""
        self._ledger = ledger
        self._clock = clock
        self._mint = TokenMint(now=now, token_life=token_life, seed=seed)
        self._token_life = token_life
        self._refresh_life = refresh_life
        self._reuse_grace = reuse_grace
        self._by_access: dict[str, _Entry] = {}
        self._by_refresh: dict[str, _Entry] = {}
        self._families: list[list[_Entry]] = []
        self._ended_families: set[int] = set()
        self.on_revoked: Callable[[], object] | None = None

    def sign_in(self, user: str, *, over: Generation | None = None) -> TokenPair:
        """Start a new family of tokens, and end the family of `over` that the sign-in came over."""
        pair = self._start_family(user, "sign-in")
        if over is not None and over.family not in self._ended_families:
            newest = self._families[over.family][-1].generation
            newest.replaced_at, newest.replaced_why = self._clock(), "sign-in"
            self.end_family(over, "sign-in")
        return pair

    def judge(self, access_token: str | None) -> Verdict:
        """Say whether an access token is accepted at this moment."""
        if access_token is None:
            return Verdict(None, "missing")
        entry = self._by_access.get(access_token)
        if entry is None:
            return Verdict(None, "unknown")
        if entry.generation.access_revoked_at is not None:
            return Verdict(entry.generation, "revoked")
        return Verdict(entry.generation, "expired" if self._clock() >= entry.generation.ends else None)

    def generation_of(self, refresh_token: str | None) -> Generation | None:
        """Return the generation that a refresh token belongs to, whatever its state."""
        entry = self._by_refresh.get(refresh_token) if refresh_token else None
        return None if entry is None else entry.generation

    def client_generation(self, client_id: str) -> Generation | None:
        """Return the newest generation that a client holds by client credentials."""
        entry = self._client_entry(client_id)
        return None if entry is None else entry.generation

    def rotate(self, refresh_token: str | None, *, asked_at: float, stale_as: float | None = None) -> Granted:
        """Trade a refresh token for a new pair.

        Args:
            refresh_token: What the client presented.
            asked_at: When the request arrived, in seconds of the clock.
            stale_as: Make the new access token one that has already ended and claims to live so
                many seconds.

        Raises:
            RefreshRefused: The token earns nothing. Reuse revokes its family first.
        """
        if not refresh_token:
            raise RefreshRefused("missing")
        entry = self._by_refresh.get(refresh_token)
        if entry is None:
            raise RefreshRefused("unknown")
        if entry.successor is not None:
            return self._repeat(entry, entry.successor)
        if entry.generation.refresh_revoked_at is not None:
            raise RefreshRefused("revoked")
        ends = entry.generation.refresh_ends
        if ends is not None and self._clock() >= ends:
            raise RefreshRefused("expired")
        return self._succeed(entry, asked_at=asked_at, stale_as=stale_as)

    def client_credentials(self, client_id: str, *, asked_at: float, stale_as: float | None = None) -> Granted:
        """Give a client a new access token; all but its first are refreshes of the one before."""
        entry = self._client_entry(client_id)
        if entry is not None:
            return self._succeed(entry, asked_at=asked_at, stale_as=stale_as)
        pair = self._start_family(client_id, "client-credentials", stale_as)
        return Granted(pair=pair, replaced=None)

    def revoke_access(self, user: str) -> int:
        """Revoke the newest access token of each of a user's families; return how many."""
        entries = self._newest(user)
        revoked = [entry for entry in entries if self.judge(entry.access_token).why is None]
        for entry in revoked:
            entry.generation.access_revoked_at = self._clock()
            entry.generation.revoked_why = "revoked"
        self._tell_revoked()
        return len(revoked)

    def revoke_refresh(self, user: str) -> int:
        """Revoke the newest refresh token of each of a user's families; return how many."""
        entries = [entry for entry in self._newest(user) if entry.refresh_token is not None]
        revoked = [entry for entry in entries if entry.generation.refresh_revoked_at is None]
        for entry in revoked:
            entry.generation.refresh_revoked_at = self._clock()
            entry.generation.revoked_why = "revoked"
        return len(revoked)

    def end_family(self, generation: Generation, why: RevokedWhy) -> None:
        """Revoke every token of a family from now on."""
        at = self._clock()
        self._ended_families.add(generation.family)
        for entry in self._families[generation.family]:
            member = entry.generation
            if member.access_revoked_at is None:
                member.access_revoked_at, member.revoked_why = at, why
            if member.refresh_revoked_at is None and entry.refresh_token is not None:
                member.refresh_revoked_at, member.revoked_why = at, why
        self._tell_revoked()

    def _tell_revoked(self) -> None:
        if self.on_revoked is not None:
            self.on_revoked()

    def _newest(self, user: str) -> list[_Entry]:
        return [family[-1] for family in self._families if family[0].generation.user == user]

    def _client_entry(self, client_id: str) -> _Entry | None:
        held = [entry for entry in self._newest(client_id) if entry.refresh_token is None]
        return held[0] if held else None

    def _repeat(self, entry: _Entry, successor: _Entry) -> Granted:
        is_in_grace = self._clock() - successor.generation.issued < self._reuse_grace
        is_ended = entry.generation.family in self._ended_families
        if is_in_grace and successor.successor is None and not is_ended:
            left = max(0.0, successor.generation.ends - self._clock())
            return Granted(pair=_pair(successor, left), replaced=entry.generation, replayed=True)
        self.end_family(entry.generation, "reuse")
        raise RefreshRefused("reused")

    def _succeed(self, entry: _Entry, *, asked_at: float, stale_as: float | None) -> Granted:
        old = entry.generation
        entry.successor = self._issue(old.user, old.family, "refresh", stale_as)
        old.replaced_at, old.replaced_why = self._clock(), _why_replaced(old, asked_at)
        return Granted(pair=_pair(entry.successor, self._claimed(stale_as)), replaced=old)

    def _start_family(self, user: str, why: IssuedWhy, stale_as: float | None = None) -> TokenPair:
        self._families.append([])
        entry = self._issue(user, len(self._families) - 1, why, stale_as)
        return _pair(entry, self._claimed(stale_as))

    def _claimed(self, stale_as: float | None) -> float:
        return self._token_life if stale_as is None else stale_as

    def _issue(self, user: str, family: int, why: IssuedWhy, stale_as: float | None) -> _Entry:
        members = self._families[family]
        origin = members[0].generation.issued_why if members else why
        has_refresh_token = origin != "client-credentials"
        issued = self._clock()
        life = self._token_life if stale_as is None else 0.0
        access_token = self._mint.access_token(user, is_stale=stale_as is not None)
        refresh_token = self._mint.refresh_token() if has_refresh_token else None
        generation = Generation(
            family=family,
            index=len(members),
            user=user,
            issued=issued,
            ends=issued + life,
            refresh_ends=issued + self._refresh_life if has_refresh_token else None,
            issued_why=why,
            access_fingerprint=fingerprint(access_token),
            refresh_fingerprint=None if refresh_token is None else fingerprint(refresh_token),
        )
        entry = _Entry(generation=generation, access_token=access_token, refresh_token=refresh_token)
        self._ledger.generations.append(generation)
        members.append(entry)
        self._by_access[access_token] = entry
        if refresh_token is not None:
            self._by_refresh[refresh_token] = entry
        return entry


def _pair(entry: _Entry, expires_in: float) -> TokenPair:
    return TokenPair(
        access_token=entry.access_token,
        refresh_token=entry.refresh_token,
        expires_in=expires_in,
        generation=entry.generation,
    )


def _why_replaced(generation: Generation, asked_at: float) -> ReplacedWhy:
    if generation.access_revoked_at is not None and generation.access_revoked_at <= asked_at:
        return "revoked"
    if asked_at >= generation.ends:
        return "expired"
    if generation.refused_at is not None and generation.refused_at <= asked_at:
        return "refused"
    return "advisory-window"
