"""How a question is asked: each in a process of its own, so that none finds what another has left of the memory."""

import asyncio
import importlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context

from benchmarks.harness import Effort, Table

__all__ = ["answer", "answer_alone", "has_uvloop"]


def answer_alone(question: str, effort: Effort, *, on_uvloop: bool = False) -> Sequence[Table]:
    """Answer a question in a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_run, question, effort, on_uvloop=on_uvloop).result()


async def answer(question: str, effort: Effort) -> Sequence[Table]:
    """Answer a question in this one."""
    tables: Sequence[Table] = await importlib.import_module(f"benchmarks.{question}").measure(effort)
    return tables


def has_uvloop() -> bool:
    """Return whether a question can be asked on uvloop."""
    return find_spec("uvloop") is not None


def _run(question: str, effort: Effort, *, on_uvloop: bool) -> Sequence[Table]:
    loop = importlib.import_module("uvloop").new_event_loop if on_uvloop else None
    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(answer(question, effort))
