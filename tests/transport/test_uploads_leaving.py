"""Uploads that end early: left, overdue, closed, or answered before all was sent."""

import asyncio
from collections.abc import AsyncIterator
from contextvars import ContextVar
from pathlib import Path

import pytest
from reactivex.subject import Subject

from rxlink.core.chain import execute
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import AbortError, ClientClosed, NetworkTimeout
from rxlink.testing.virtual_time import VirtualTime, virtual
from rxlink.transport._files import CHUNK
from rxlink.transport.http import HttpLink
from tests.recording import subscribed
from tests.transport.upload_server import UPLOADED, UploadServer, upload_server

MUTATION = "mutation Put($file: Upload) { upload(file: $file) }"


@pytest.fixture
async def server() -> AsyncIterator[UploadServer]:
    async with upload_server() as server:
        yield server


def put(file: object, **context: object) -> GraphQLRequest:
    return GraphQLRequest(MUTATION, {"file": file}, context=context)


class Stream:
    """An endless file, or one that stalls behind its first bytes."""

    def __init__(self, *, stalls: bool) -> None:
        self.stalls = stalls
        self.has_begun = asyncio.Event()
        self.is_closed = asyncio.Event()

    async def chunks(self):
        try:
            while True:
                yield b"x" * CHUNK
                self.has_begun.set()
                if self.stalls:
                    await asyncio.Event().wait()
        finally:
            self.is_closed.set()


@pytest.mark.parametrize("stalls", [True, False])
class TestAStream:
    async def test_is_closed_when_its_subscriber_leaves(self, server: UploadServer, stalls: bool):
        stream = Stream(stalls=stalls)
        async with HttpLink(server.uri) as link:
            recorder = subscribed(execute(link, put(stream.chunks())))
            await stream.has_begun.wait()

            recorder.subscription.dispose()

            await stream.is_closed.wait()
        assert [] == recorder.seen

    async def test_is_closed_when_the_signal_aborts(self, server: UploadServer, stalls: bool):
        stream, signal = Stream(stalls=stalls), Subject()
        async with HttpLink(server.uri) as link:
            recorder = subscribed(execute(link, put(stream.chunks(), fetch_options={"signal": signal})))
            await stream.has_begun.wait()

            signal.on_next(None)

            await stream.is_closed.wait()
        assert [AbortError] == list(map(type, recorder.seen))

    async def test_is_closed_when_the_link_is(self, server: UploadServer, stalls: bool):
        stream = Stream(stalls=stalls)
        link = HttpLink(server.uri)
        recorder = subscribed(execute(link, put(stream.chunks())))
        await stream.has_begun.wait()

        await link.aclose()

        await stream.is_closed.wait()
        assert [ClientClosed] == list(map(type, recorder.seen))

    async def test_is_closed_when_the_answer_comes_before_its_end(self, server: UploadServer, stalls: bool):
        stream = Stream(stalls=stalls)
        server.reads = False
        async with HttpLink(server.uri) as link:
            assert UPLOADED == await execute(link, put(stream.chunks()))

            await stream.is_closed.wait()


@virtual
async def test_a_stream_that_stalls_is_closed_when_the_time_is_over(time: VirtualTime):
    stream = Stream(stalls=True)
    async with upload_server() as server, HttpLink(server.uri, timeout=5) as link:
        with pytest.raises(NetworkTimeout) as caught:
            await execute(link, put(stream.chunks()))

        assert 5.0 == time.monotonic()
        await stream.is_closed.wait()
    assert not caught.value.retryable


async def test_leaving_before_anything_is_sent_reads_nothing(server: UploadServer):
    async def rows():
        yield b"x"

    stream = rows()
    async with HttpLink(server.uri) as link:
        execute(link, put(stream)).subscribe().dispose()

        assert UPLOADED == await execute(link, put(stream))

    assert [[b"x"]] == [received.files for received in server.received]


async def test_leaving_while_a_file_is_read_closes_it(server: UploadServer, tmp_path: Path):
    path = tmp_path / "large"
    path.write_bytes(b"x" * CHUNK * 500)
    async with HttpLink(server.uri) as link:
        subscription = execute(link, put(path)).subscribe()
        while not server.received:  # noqa: ASYNC110 - nothing there tells
            await asyncio.sleep(0)

        subscription.dispose()

        assert UPLOADED == await execute(link, put(path))
    assert CHUNK * 500 == len(server.received[-1].files[0])


async def test_streams_run_in_the_context_of_their_subscriber(server: UploadServer):
    tenant = ContextVar("tenant")

    async def rows():
        yield tenant.get().encode()

    async def run(link: HttpLink, name: str) -> None:
        tenant.set(name)
        assert UPLOADED == await execute(link, put(rows()))

    async with HttpLink(server.uri) as link:
        await asyncio.gather(*(run(link, name) for name in "abc"))

    assert [[b"a"], [b"b"], [b"c"]] == sorted(received.files for received in server.received)
