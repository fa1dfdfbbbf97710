"""However a subscriber leaves, its request is cancelled once, nobody else is, and its connection is not used again."""

import asyncio
import inspect
from pathlib import Path

import aiohttp
import pytest
from reactivex import operators as ops
from reactivex.scheduler.eventloop import AsyncIOScheduler

import rxlink
from rxlink import ErrorLink, GraphQLRequest, HttpLink, RetryLink, SetContextLink, execute, from_
from rxlink.testing import VirtualTime, virtual
from tests.transport.scripted_server import VIEWER, answer_in_chunks, answer_json, answer_never, scripted_server

QUERY = GraphQLRequest("query Viewer { viewer { name } }")
PATIENCE = 5  # seconds: of the virtual time
OWN_FOLDER = str(Path(rxlink.__file__).parent)


class CountedTask(asyncio.Task):
    """A task that knows how often somebody has cancelled it."""

    cancels = 0

    def cancel(self, msg=None):
        self.cancels += 1
        return super().cancel(msg)


class Tasks:
    """All tasks of the running loop, as they are made."""

    def __init__(self):
        self.made = []
        asyncio.get_running_loop().set_task_factory(self._make)

    def _make(self, loop, coroutine, **options):
        task = CountedTask(coroutine, loop=loop, **options)
        code = coroutine.cr_code if inspect.iscoroutine(coroutine) else coroutine.gi_code
        self.made.append((task, code.co_filename))
        return task

    def cancels_of_own(self):
        """How often each task of the chain was cancelled."""
        return [task.cancels for task, file in self.made if file.startswith(OWN_FOLDER)]

    def most_cancels(self):
        return max(task.cancels for task, _ in self.made)


async def by_dispose(results, server):
    subscription = results.subscribe()
    await server.arrived.wait()
    subscription.dispose()


async def by_cancel(results, server):
    async def wait():
        await results

    task = asyncio.create_task(wait())
    await server.arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def by_wait_for(results, server):
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(results, PATIENCE)


async def by_timeout(results, server):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            await results


async def by_timeout_operator(results, server):
    with pytest.raises(Exception, match="Timeout"):
        await results.pipe(ops.timeout(PATIENCE))


async def by_timeout_operator_of_callbacks(results, server):
    ended = asyncio.get_running_loop().create_future()
    scheduler = AsyncIOScheduler(asyncio.get_running_loop())
    results.pipe(ops.timeout(PATIENCE)).subscribe(on_error=ended.set_result, scheduler=scheduler)
    assert "Timeout" in str(await ended)


WAYS = [by_dispose, by_cancel, by_wait_for, by_timeout, by_timeout_operator, by_timeout_operator_of_callbacks]


@pytest.mark.parametrize("is_begun", [False, True], ids=["before the head", "in the body"])
@pytest.mark.parametrize("leave", WAYS)
@virtual
async def test_a_request_is_cancelled_once(time: VirtualTime, leave, is_begun):
    # given
    async with scripted_server() as server, aiohttp.ClientSession() as session:
        server.answer = answer_in_chunks(b'{"data":', then=asyncio.Event()) if is_begun else answer_never
        link = from_(
            [
                RetryLink(),
                ErrorLink(lambda response: None),
                SetContextLink(lambda context, operation: {"n": 1}),
                HttpLink(server.uri, session=session),
            ]
        )
        tasks = Tasks()

        # when
        await leave(execute(link, QUERY), server)
        await server.aborted.wait()

        # then
        assert [1] == tasks.cancels_of_own()
        assert 1 == tasks.most_cancels()
        assert 0 == asyncio.current_task().cancelling()
        assert (0, {}) == (len(session.connector._acquired), dict(session.connector._conns))
        assert 1 == len(server.requests)

        # and the chain goes on
        server.answer = answer_json(VIEWER)
        assert VIEWER == await execute(link, QUERY)
