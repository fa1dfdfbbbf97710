"""Results that keep coming: what the canned servers send, and how the ways to follow them are compared."""

import contextlib
import json

import aiohttp
import pytest

from benchmarks import canned_websocket, following, harness, streams, websocket
from benchmarks.canned_streams import INCREMENTS, MULTIPART, SSE, answer_to
from benchmarks.following import Way
from benchmarks.harness import Effort
from benchmarks.in_process import InProcessConnector

TINY = Effort(rounds=2, round_seconds=0.001)


def way(follow, name="a way"):
    @contextlib.asynccontextmanager
    async def opened():
        yield follow

    return Way(name, opened(), "last")


def frames_in(sent):
    """Take apart frames that are all short."""
    while sent:
        assert 0x81 == sent[0]
        yield sent[2 : 2 + sent[1]]
        sent = sent[2 + sent[1] :]


def test_results_of_subscriptions_side_by_side_come_in_turns_and_then_their_ends():
    sent = [json.loads(frame) for frame in frames_in(canned_websocket._answers(["a", "b"], 2))]

    assert [
        ("a", "next"),
        ("b", "next"),
        ("a", "next"),
        ("b", "next"),
        ("a", "complete"),
        ("b", "complete"),
    ] == [(message["id"], message["type"]) for message in sent]


@pytest.mark.parametrize(
    ("size", "head"), [(0, b"\x81\x00"), (125, b"\x81\x7d"), (126, b"\x81\x7e\x00\x7e"), (300, b"\x81\x7e\x01\x2c")]
)
def test_a_frame_says_how_long_its_message_is(size, head):
    assert head + b"x" * size == canned_websocket._frame(b"x" * size)


async def test_every_way_takes_as_many_results_in_each_round():
    # given
    taken = []

    async def follow(count, take):
        taken.append(count)
        for _ in range(count):
            take("last")

    # when
    times = await following.compare([way(follow)], TINY, harness.wall_clock, count=30_000, beside=3)

    # then
    checked, *rounds = taken
    assert 6 == checked
    assert {1_000} == set(rounds)
    assert 2 == len(times["a way"])


@pytest.mark.parametrize("answers", [["last"], ["last", "another"]])
async def test_a_way_that_gives_something_else_is_not_measured(answers):
    async def follow(count, take):
        for answer in answers:
            take(answer)

    with pytest.raises(AssertionError, match="a way got"):
        await following.compare([way(follow)], TINY, harness.wall_clock, count=1)


def test_what_is_not_installed_is_said(capsys):
    found = following.installed("websocket", "json", "no_such_peer")

    assert {"json"} == found
    assert "\n== websocket with no_such_peer: not installed\n" == capsys.readouterr().out


def test_a_chain_is_judged_against_those_that_were_measured():
    times = {websocket.BARE: [3.0, 3.0], websocket.FOUR: [2.0, 2.0], websocket.GQL: [5.0, 5.0]}
    rows = harness.ratio_rows(times, websocket.BARE, of_speed=True)

    with_gql = websocket._verdicts(times, rows)
    del times[websocket.GQL]
    without = websocket._verdicts(times, rows)

    assert [1.5, 2.5] == [verdict.measured for verdict in with_gql]
    assert with_gql[:1] == without


@pytest.mark.parametrize("stream", [MULTIPART, SSE, INCREMENTS])
async def test_inside_the_process_each_piece_of_an_answer_comes_by_itself(stream):
    # given
    async with aiohttp.ClientSession(connector=InProcessConnector(answer_to=answer_to)) as session:
        # when
        async with session.post(streams.NOWHERE + stream.path, json={"variables": {"count": 4}}) as response:
            chunks = [chunk async for chunk in response.content.iter_any()]

    # then
    begin, *pieces, end = chunks
    assert (stream.begin, stream.end) == (begin, end)
    assert [stream.frame % payload for payload in stream.payloads(4)] == pieces


def test_an_answer_in_pieces_has_no_more_of_them_than_its_kind_allows():
    subscription, _, increments = streams.KINDS

    assert [120] == list(streams._answers(120, subscription))
    assert [50, 50, 20] == list(streams._answers(120, increments))
