"""AuthLink above BatchHttpLink: who was refused is sent again, and nobody else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from aiohttp import web

from rxlink.auth.link import AuthLink
from rxlink.auth.session import AuthSession
from rxlink.core.chain import execute, from_
from rxlink.transport.batch_http import BatchHttpLink
from tests.auth.scripted import REFUSED, UNAUTHENTICATED, Issuer, request
from tests.transport.scripted_server import scripted_server

Answer = Callable[[str, str], Any]
"""Gets the token and the name of an operation, and returns its part of the answer; a status refuses the request."""


async def batched(answer: Answer, *names: str) -> tuple[list[Any], list[tuple[str, list[str]]], Issuer]:
    """Run operations at once; return their outcomes, the requests as token and names, and the issuer."""
    issuer = Issuer(delay=0.01)
    sent: list[tuple[str, list[str]]] = []

    async def serve(arrived: web.Request) -> web.StreamResponse:
        token = arrived.headers["authorization"].removeprefix("Bearer ")
        asked = [operation["operationName"] for operation in json.loads(await arrived.read())]
        sent.append((token, sorted(asked)))
        answers = [answer(token, name) for name in asked]
        if 401 in answers:
            return web.json_response({"errors": [{"message": "no"}]}, status=401)
        return web.json_response(answers)

    async with scripted_server() as server:
        server.answer = serve
        session = AuthSession(refresh=issuer, tokens=REFUSED)
        async with from_([AuthLink(session), BatchHttpLink(server.uri)]) as link:

            async def one(name: str) -> Any:
                return await execute(link, request(name))

            outcomes = await asyncio.gather(*map(one, names), return_exceptions=True)
    return outcomes, sent, issuer


def echo(name: str) -> dict[str, Any]:
    return {"data": {"echo": name}}


async def test_only_the_one_that_was_refused_is_sent_again() -> None:
    """E39: the other two have their answers, and keep them."""
    outcomes, sent, issuer = await batched(
        lambda token, name: UNAUTHENTICATED if name == "B" and token == "A0" else echo(name), "A", "B", "C"
    )

    assert [echo("A"), echo("B"), echo("C")] == outcomes
    assert ([("A0", ["A", "B", "C"]), ("A1", ["B"])], 1) == (sent, len(issuer.calls))


async def test_of_a_whole_batch_that_was_refused_all_are_sent_again_once() -> None:
    """E39, E02: by its status; one refresh, and one request again."""
    outcomes, sent, issuer = await batched(lambda token, name: 401 if token == "A0" else echo(name), "A", "B", "C")

    assert [echo("A"), echo("B"), echo("C")] == outcomes
    assert ([("A0", ["A", "B", "C"]), ("A1", ["A", "B", "C"])], 1) == (sent, len(issuer.calls))


async def test_all_that_were_refused_one_by_one_share_a_refresh_and_a_batch() -> None:
    """E39, S07: they go on together."""
    outcomes, sent, issuer = await batched(
        lambda token, name: UNAUTHENTICATED if name != "B" and token == "A0" else echo(name), "A", "B", "C"
    )

    assert [echo("A"), echo("B"), echo("C")] == outcomes
    assert ([("A0", ["A", "B", "C"]), ("A1", ["A", "C"])], 1) == (sent, len(issuer.calls))


async def test_one_that_is_refused_again_has_had_its_two_attempts() -> None:
    """E39, P3, S17: its refusal is its own, and no third request goes out."""
    outcomes, sent, issuer = await batched(
        lambda token, name: UNAUTHENTICATED if name == "B" else echo(name), "A", "B", "C"
    )

    assert [echo("A"), UNAUTHENTICATED, echo("C")] == outcomes
    assert ([("A0", ["A", "B", "C"]), ("A1", ["B"])], 1) == (sent, len(issuer.calls))
