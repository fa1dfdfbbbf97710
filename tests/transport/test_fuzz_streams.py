"""Arbitrary bytes and damaged streams into the parsers, in any pieces: some for each run; `fuzz_streams.py` has no end.

About 12 seconds for each parser, and what makes results of it, with `CI=true`.
"""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rxlink.transport._multipart_parts import MultipartParser
from rxlink.transport._sse_parser import SseParser
from tests.transport import fuzz_streams
from tests.transport.fuzz_targets import (
    Case,
    body_of_payloads,
    check_events,
    check_multipart,
    check_results,
    check_sse_results,
    events_of_payloads,
)
from tests.transport.stream_strategies import (
    EVENT_TOKENS,
    MULTIPART_TOKENS,
    damaged,
    event_streams,
    multipart_bodies,
    places,
    soups,
)

SHARE = 1 if os.environ.get("CI") == "true" else 10
LIMITS = st.none() | st.integers(0, 100)
PLACES = places() | st.just([*range(400)])
TIME_LIMIT = pytest.mark.timeout(300)  # coverage makes it slow
ANY_BYTES = st.binary(max_size=200)


@TIME_LIMIT
class TestAnyBytes:
    @settings(max_examples=1_500 // SHARE)
    @given(soups(MULTIPART_TOKENS, most=60) | damaged(multipart_bodies(), MULTIPART_TOKENS) | ANY_BYTES, PLACES, LIMITS)
    def test_are_parts_or_a_declared_error(self, data: bytes, where: list[int], limit: int | None) -> None:
        check_multipart(Case(data, tuple(where), limit))

    @settings(max_examples=1_200 // SHARE)
    @given(soups(EVENT_TOKENS, most=60) | damaged(event_streams(), EVENT_TOKENS) | ANY_BYTES, PLACES, LIMITS)
    def test_are_events_or_a_declared_error(self, data: bytes, where: list[int], limit: int | None) -> None:
        check_events(Case(data, tuple(where), limit))

    @settings(max_examples=400 // SHARE)
    @given(damaged(st.randoms(use_true_random=False).map(body_of_payloads), MULTIPART_TOKENS), PLACES, LIMITS)
    def test_are_results_or_an_error_of_ours(self, data: bytes, where: list[int], limit: int | None) -> None:
        check_results(Case(data, tuple(where), limit))

    @settings(max_examples=400 // SHARE)
    @given(damaged(st.randoms(use_true_random=False).map(events_of_payloads), EVENT_TOKENS), PLACES, LIMITS)
    def test_are_results_of_events_or_an_error_of_ours(self, data: bytes, where: list[int], limit: int | None) -> None:
        check_sse_results(Case(data, tuple(where), limit))


class TestTheProgram:
    def test_says_what_it_ran_and_keeps_what_was_new(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        arguments = ["--seconds", "0.6", "--corpus", str(tmp_path), "--seed", "1"]

        assert 0 == fuzz_streams.main(arguments)

        printed = capsys.readouterr().out
        assert "multipart: " in printed
        assert "0 mistakes found" in printed
        assert 5 < len(list((tmp_path / "sse").glob("kept-*")))
        assert 0 == fuzz_streams.main([*arguments, "--target", "sse"])

    @pytest.mark.parametrize(
        ("target", "broken"), [("sse", SseParser._end_event), ("multipart", MultipartParser._drop)]
    )
    def test_finds_a_mistake(self, target, broken, monkeypatch, tmp_path, capsys) -> None:
        owner = SseParser if target == "sse" else MultipartParser
        monkeypatch.setattr(owner, broken.__name__, lambda parser: None)

        arguments = ["--seconds", "20", "--corpus", str(tmp_path), "--target", target]
        assert 1 == fuzz_streams.main([*arguments, "--seed", "1"])  # how small an input becomes depends on the seed

        assert " 0 mistakes found" not in capsys.readouterr().out
        found = [Case.loads(file.read_text()) for file in (tmp_path / target).glob("found-*")]
        assert all(len(case.data) < 100 for case in found)
        assert found
