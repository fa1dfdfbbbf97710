"""The rules of "one refresh per expiry, everywhere", applied to recorded refreshes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from rxlink.testing._ledger_records import Generation, RefreshTry

__all__ = ["Window", "count_refreshes", "default_window", "find_violations"]

Window = float | Callable[[float], float]
"""Seconds before the end of an access token, or a function from its life to them."""

_ROUNDING = 1e-9
"""Seconds by which sums of floats may miss a boundary."""


def default_window(life: float) -> float:
    """Return the widest default window of a session, in seconds.

    60 s, at most a quarter of `life`, and 10 % jitter.
    """
    return 1.1 * min(60.0, life / 4)


def count_refreshes(tries: Iterable[RefreshTry]) -> int:
    """Return how many refreshes were granted, not counting repeats that recover lost answers."""
    return sum(len(_granted(presented)) for presented in _by_generation(tries).values())


def find_violations(tries: Sequence[RefreshTry], window: Window) -> list[str]:
    """Return one sentence for each broken rule, in order of time."""
    delivered = {attempt.granted for attempt in tries if not attempt.is_lost}
    found: list[tuple[float, str]] = []
    for generation, presented in _by_generation(tries).items():
        granted = _granted(presented)
        found.extend(_more_than_one(generation, granted))
        found.extend(_too_early(generation, granted, window, is_delivered=generation in delivered))
        found.extend(_presented_again(generation, presented))
    return [sentence for _, sentence in sorted(found)]


def _by_generation(tries: Iterable[RefreshTry]) -> dict[Generation, list[RefreshTry]]:
    presented: dict[Generation, list[RefreshTry]] = {}
    for attempt in tries:
        if attempt.generation is not None:
            presented.setdefault(attempt.generation, []).append(attempt)
    return presented


def _granted(presented: Iterable[RefreshTry]) -> list[RefreshTry]:
    granted: list[RefreshTry] = []
    is_answered = False
    for attempt in presented:
        if attempt.outcome != "granted":
            continue
        if is_answered or not attempt.replayed:
            granted.append(attempt)
        is_answered = is_answered or not attempt.is_lost
    return granted


def _more_than_one(generation: Generation, granted: Sequence[RefreshTry]) -> Iterator[tuple[float, str]]:
    if len(granted) > 1:
        times = ", ".join(f"{attempt.at:.3f}" for attempt in granted)
        yield (
            granted[1].at,
            f"{generation.name}: {len(granted)} refreshes granted instead of one (at {times} s)",
        )


def _too_early(
    generation: Generation, granted: Sequence[RefreshTry], window: Window, *, is_delivered: bool
) -> Iterator[tuple[float, str]]:
    if not granted or (generation.issued_why == "refresh" and not is_delivered):
        return
    asked = granted[0].at
    opens = generation.ends - (window(generation.life) if callable(window) else window)
    rejections = (generation.access_revoked_at, generation.refused_at)
    if asked < opens - _ROUNDING and not any(at is not None and at <= asked for at in rejections):
        times = f"asked at {asked:.3f} s, window from {opens:.3f} s, end at {generation.ends:.3f} s"
        yield asked, f"{generation.name}: refreshed before its window opened ({times})"


def _presented_again(generation: Generation, presented: Iterable[RefreshTry]) -> Iterator[tuple[float, str]]:
    is_used = is_answered = False
    for attempt in presented:
        if attempt.outcome == "granted":
            is_used = True
            is_answered = is_answered or not attempt.is_lost
            continue
        if is_used and is_answered:
            outcome = f"at {attempt.at:.3f} s, {attempt.outcome}: {attempt.why}"
            yield attempt.at, f"{generation.name}: used refresh token presented again ({outcome})"
        is_answered = is_answered or (is_used and attempt.outcome == "refused")
