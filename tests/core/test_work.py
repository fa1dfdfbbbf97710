"""What is told of exceptions that nobody took: those of callbacks, and those of subscribers without `on_error`."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

import pytest
from reactivex import operators as ops
from reactivex.internal import default_error

from rxlink.core.chain import execute
from rxlink.core.work import report_callback_error
from rxlink.errors import ClientClosed
from rxlink.testing import AuthServer
from rxlink.transport.websocket import GraphQLWsLink
from tests.recording import REQUEST


def raised(error: Exception) -> Exception:
    with suppress(type(error)):
        raise error
    return error


def unheard(error: Exception) -> Exception:
    """Return an error as it comes back from a subscriber that has no `on_error`."""
    with suppress(type(error)):
        default_error(error)
    return error


def shown(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [logging.Formatter().format(record) for record in caplog.records]


class TestReports:
    def test_tell_of_a_callback_that_raised_with_its_place(self, caplog: pytest.LogCaptureFixture) -> None:
        report_callback_error(raised(KeyError("here")))

        (text,) = shown(caplog)
        assert text.startswith("rxlink: a callback raised KeyError\nTraceback")

    @pytest.mark.parametrize("make", [unheard, lambda error: unheard(raised(error))], ids=["new", "raised before"])
    def test_tell_of_a_subscriber_that_takes_no_errors(
        self, make: Callable[[Exception], Exception], caplog: pytest.LogCaptureFixture
    ) -> None:
        report_callback_error(make(KeyError("there")))

        (text,) = shown(caplog)
        assert text.startswith("rxlink: a subscriber without on_error got KeyError\nTraceback")

    def test_show_no_place_where_somebody_has_closed_the_link(self, caplog: pytest.LogCaptureFixture) -> None:
        report_callback_error(unheard(ClientClosed("HttpLink")))

        told = "rxlink: a subscriber without on_error got ClientClosed"
        assert [f"{told}\nrxlink.errors.ClientClosed: {ClientClosed('HttpLink')}"] == shown(caplog)

    def test_show_the_place_of_a_callback_that_has_met_a_closed_link(self, caplog: pytest.LogCaptureFixture) -> None:
        report_callback_error(raised(ClientClosed("HttpLink")))

        (text,) = shown(caplog)
        assert text.startswith("rxlink: a callback raised ClientClosed\nTraceback")

    async def test_of_a_link_that_is_closed_go_to_the_event_loop(self) -> None:
        told = []
        loop = asyncio.get_running_loop()
        async with AuthServer() as server:
            link = GraphQLWsLink(server.ws_url)
            loop.set_exception_handler(lambda _, context: told.append((context["message"], context["exception"])))
            execute(link, REQUEST).subscribe(print)
            execute(link, REQUEST).pipe(ops.map(str)).subscribe(print)

            await link.aclose()
            loop.set_exception_handler(None)

        assert ["rxlink: a subscriber without on_error got ClientClosed"] * 2 == [message for message, _ in told]
        assert [(ClientClosed, None)] * 2 == [(type(error), error.__traceback__) for _, error in told]
