"""Arbitrary bytes, and valid streams with damages, into what reads streams, for as long as somebody wants.

    python -m tests.transport.fuzz_streams --seconds 600 --corpus corpus     # all targets, one after the other
    python -m tests.transport.fuzz_streams --target sse --seed 7

`fuzz_targets.py` says what is a mistake; to hang is one too. Inputs that run lines in an order in which none did before
are kept and changed further; a corpus keeps them from run to run. Prints how many inputs were run, how many such orders
were seen and what was found, with an input made small; exits with 1 if anything was.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Any

from tests.transport.fuzz_targets import TARGETS, Case, Target

__all__ = ["main"]

LONGEST = 500  # bytes of an input
PATIENCE = 5  # seconds for one input
CHANGES = 5  # of one input, at most


class Watch:
    """Which lines were run one after the other, and about how often."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._files = tuple(f"/rxlink/{module}" for module in modules)
        self._last: object = None
        self._steps: Counter[object] = Counter()

    @contextmanager
    def on(self) -> Iterator[None]:
        before, self._last = sys.gettrace(), None
        self._steps.clear()
        sys.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(before)

    @property
    def orders(self) -> set[object]:
        return {(step, count.bit_length()) for step, count in self._steps.items()}

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        return self._step if frame.f_code.co_filename.endswith(self._files) else None

    def _step(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any]:
        here = (frame.f_code.co_name, frame.f_lineno, event)
        self._steps[self._last, here] += 1
        self._last = here
        return self._step


class Fuzzer:
    """One target, and the inputs that were new to it."""

    def __init__(self, target: Target, dice: random.Random, corpus: Path | None) -> None:
        self._target = target
        self._dice = dice
        self._corpus = corpus
        self._watch = Watch(target.modules)
        self._orders: set[object] = set()
        self._kept: list[Case] = []
        self.runs = 0
        self.found: list[tuple[Case, BaseException]] = []
        for case in self._first():
            self.run(case)

    @property
    def summary(self) -> str:
        return f"{self.runs} inputs run, {len(self._orders)} orders of lines, {len(self._kept)} inputs kept"

    def run(self, case: Case) -> None:
        """Run an input, and keep it if it is new."""
        self.runs += 1
        failure = self._failure_of(case)
        if failure is not None:
            small = self._smallest(case, type(failure))
            self.found.append((small, self._failure_of(small) or failure))
            self._save(small, "found")
            return
        with self._watch.on():
            self._target.read(case)
        if new := self._watch.orders - self._orders:
            self._orders |= new
            self._kept.append(case)
            self._save(case, "kept")

    def step(self) -> None:
        """Run what a kept input becomes by some changes."""
        dice, case = self._dice, self._dice.choice(self._kept)
        data, where, limit = case.data, case.where, case.limit
        for _ in range(dice.randint(0, CHANGES)):
            data = self._changed(data)[:LONGEST]
        if dice.random() < 0.5:
            some = sorted(dice.randrange(len(data) + 1) for _ in range(dice.randint(0, 6)))
            where = tuple(dice.choice([some, some, some, range(len(data))]))
        if dice.random() < 0.1:
            limit = dice.choice([None, dice.randrange(60), len(data)])
        self.run(Case(data, where, limit))

    def _changed(self, data: bytes) -> bytes:
        dice = self._dice
        begin = dice.randint(0, len(data))
        end = min(len(data), begin + dice.choice([0, 0, 1, 1, 4, 16, 64]))
        other = dice.choice(self._kept).data
        cut_from = dice.randint(0, len(other))
        piece = dice.choice(
            [
                b"",
                self._target.word(dice),
                self._target.word(dice),
                dice.randbytes(dice.randint(1, 3)),
                data[begin:end] * dice.choice([2, 3, 40]),
                other[cut_from : cut_from + dice.choice([4, 16, 64])],
            ]
        )
        return data[:begin] + piece + data[end:]

    def _first(self) -> Iterator[Case]:
        for seed in self._target.seeds:
            yield Case(seed)
            yield Case(seed, (len(seed) // 2,), 40)
        if self._corpus is not None:
            for file in sorted(self._corpus.glob("kept-*")):
                yield Case.loads(file.read_text())

    def _failure_of(self, case: Case) -> BaseException | None:
        signal.setitimer(signal.ITIMER_REAL, PATIENCE)
        try:
            self._target.check(case)
        except Exception as failure:  # noqa: BLE001 - whatever it is, it is what is looked for
            return failure
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        return None

    def _smallest(self, case: Case, kind: type[BaseException]) -> Case:
        """Take away pieces of an input for as long as it fails in the same way."""
        size = len(case.data)
        while size:
            for begin in range(0, len(case.data), size):
                smaller = replace(case, data=case.data[:begin] + case.data[begin + size :])
                if type(self._failure_of(smaller)) is kind:
                    case = smaller
                    break
            else:
                size //= 2
        return case

    def _save(self, case: Case, name: str) -> None:
        if self._corpus is not None:
            text = case.dumps()
            (self._corpus / f"{name}-{sha256(text.encode()).hexdigest()[:16]}").write_text(text)


def _give_up(*_: object) -> None:
    raise TimeoutError(f"more than {PATIENCE} s for one input")


def _memory() -> int:
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def fuzz(name: str, *, seconds: float, seed: int, corpus: Path | None) -> int:
    """Fuzz one target, print what came out, and return how many mistakes were found."""
    end = monotonic() + seconds
    folder = None if corpus is None else corpus / name
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    fuzzer = Fuzzer(TARGETS[name], random.Random(seed), folder)  # noqa: S311 - a sample, no secret
    told = 0
    while monotonic() < end and not fuzzer.found:
        fuzzer.step()
        if fuzzer.runs >= told:
            print(f"{name}: {fuzzer.summary}", flush=True)
            told = fuzzer.runs * 2
    print(f"{name}: {fuzzer.summary}, {_memory()} MiB of memory at most; {len(fuzzer.found)} mistakes found")
    for case, failure in fuzzer.found:
        print(f"  {case}\n    {type(failure).__name__}: {failure}")
    return len(fuzzer.found)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Look for bytes that the parsers of streams do not bear.")
    parser.add_argument("--seconds", type=float, default=60, help="for all targets together")
    parser.add_argument("--corpus", type=Path, help="a folder in which the inputs are kept from run to run")
    parser.add_argument("--target", choices=[*TARGETS], action="append", help="of all by default; repeatable")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    options = parser.parse_args(arguments)
    names = options.target or [*TARGETS]
    before = signal.signal(signal.SIGALRM, _give_up)
    print(f"seed {options.seed}, {options.seconds:g} s for {', '.join(names)}")
    try:
        each = options.seconds / len(names)
        found = [fuzz(name, seconds=each, seed=options.seed, corpus=options.corpus) for name in names]
    finally:
        signal.signal(signal.SIGALRM, before)
    return 1 if any(found) else 0


if __name__ == "__main__":
    sys.exit(main())
