"""The picture for documents."""

from xml.etree import ElementTree as ET

import pytest

from rxlink.errors import InvariantError
from rxlink.testing import MockedResponse, MockLink
from rxlink.testing.virtual_time import virtual
from rxlink.trace.recorder import Trace
from rxlink.trace.svg import to_svg
from tests.recording import DATA, sending
from tests.trace.traces import planted, refused_storm, traced_run

SVG = "{http://www.w3.org/2000/svg}"


def titles_of(svg):
    return [title.text for title in ET.fromstring(svg).iter(f"{SVG}title")]  # noqa: S314 - made here


@virtual
async def test_a_storm_shows_who_waited_for_which_refresh():
    trace, _ = await refused_storm(2)

    titles = titles_of(to_svg(trace))

    assert "Refresh 1 (token rejected) took 0.30 s; 2 operations waited for it." in titles
    assert 2 == titles.count("waiting for refresh 1 (AuthLink), 0.300 s")
    assert "query 2 Viewer: answered" in titles


@virtual
async def test_the_same_trace_gives_the_same_bytes():
    trace, _ = await refused_storm(2)

    assert to_svg(trace) == to_svg(trace)


@virtual
async def test_it_needs_nothing_from_outside_and_runs_nothing():
    trace, _ = await refused_storm(2)

    svg = to_svg(trace)

    assert ["http://www.w3.org/2000/svg"] == [part.split('"')[0] for part in svg.split('="') if part.startswith("http")]
    assert not [word for word in ("<script", "@import", "url(", "href", "<image", "foreignObject") if word in svg]


def test_text_of_others_stays_text():
    svg = to_svg(planted(), title="<script>alert(1)</script>")

    tags = {element.tag.removeprefix(SVG) for element in ET.fromstring(svg).iter()}  # noqa: S314 - made here
    assert {"svg", "title", "style", "rect", "text", "line", "g", "path", "circle"} >= tags
    assert "&lt;script&gt;" in svg


def test_where_rows_are_few_it_says_how_many_are_not_drawn():
    trace = Trace()
    for _ in range(5):
        traced_run(sending(DATA), trace=trace)
    traced_run(MockLink([MockedResponse(error=OSError())]), trace=trace)

    svg = to_svg(trace, rows=2)

    assert "query 6 Viewer: failed" in titles_of(svg)
    assert "query 5 Viewer: answered" not in titles_of(svg)
    assert "4 more operations are not drawn" in svg


def test_an_empty_trace_can_be_drawn():
    assert "What happened" in titles_of(to_svg(Trace()))


@pytest.mark.parametrize("options", [{"rows": 0}, {"rows": True}, {"rows": "all"}, {"title": None}])
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(InvariantError, match=f"`{next(iter(options))}`"):
        to_svg(Trace(), **options)
