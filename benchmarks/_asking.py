"""How a question is asked: each in a process of its own, so that none finds what another has left of the memory."""

import asyncio
import importlib
import os
from collections.abc import Sequence
from importlib.util import find_spec
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from threading import Thread

from benchmarks.harness import Effort, Table

__all__ = ["answer", "answer_alone", "has_uvloop"]


def answer_alone(question: str, effort: Effort, *, on_uvloop: bool = False) -> Sequence[Table]:
    """Answer a question in a new process, which ends with this one.

    Raises:
        RuntimeError: The question has failed; its process has printed why.
    """
    processes = get_context("spawn")
    receiver, sender = processes.Pipe(duplex=False)
    process = processes.Process(target=_send_answer, args=(sender, question, effort, on_uvloop), daemon=True)
    process.start()
    sender.close()  # so that it ends when the process does
    try:
        tables: Sequence[Table] = receiver.recv()
    except EOFError:
        raise RuntimeError(f"the question {question!r} has failed; what is printed above says why") from None
    finally:
        process.terminate()
        process.join()
    return tables


async def answer(question: str, effort: Effort) -> Sequence[Table]:
    """Answer a question in this process."""
    tables: Sequence[Table] = await importlib.import_module(f"benchmarks.{question}").measure(effort)
    return tables


def has_uvloop() -> bool:
    """Return whether a question can be asked on uvloop."""
    return find_spec("uvloop") is not None


def _send_answer(sender: Connection, question: str, effort: Effort, on_uvloop: bool) -> None:  # noqa: FBT001 - by place alone
    Thread(target=_leave_with_the_command, daemon=True).start()
    loop = importlib.import_module("uvloop").new_event_loop if on_uvloop else None
    with asyncio.Runner(loop_factory=loop) as runner:
        tables = runner.run(answer(question, effort))
    sender.send(tables)


def _leave_with_the_command() -> None:
    """Wait until the command has ended, however it did, and end too."""
    command = parent_process()
    assert command is not None, "it runs in a process of the command's"
    command.join()
    os._exit(1)
