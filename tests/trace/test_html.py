"""The page, as text and as Chromium shows it."""

import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from rxlink.errors import InvariantError
from rxlink.testing.virtual_time import virtual
from rxlink.trace.html import to_html
from rxlink.trace.recorder import Trace
from tests.trace.traces import COUNT, IMAGE, SCRIPT, VIEWER, planted, refused_storm

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=2000",
    "--window-size=1200,900",
]
HANDS = """
const press = (key) => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
const filter = document.getElementById("filter");
filter.value = "viewer";
filter.dispatchEvent(new Event("input"));
press("ArrowDown"); press("ArrowDown");
document.activeElement.click();
document.getElementById("in").click();
press("+");
document.getElementById("head").dispatchEvent(new WheelEvent("wheel", { deltaY: -300, clientX: 700 }));
document.getElementById("kind").dataset.address = location.hash;
"""
SECONDS = 50  # of a test


class Page(HTMLParser):
    """What is in a page."""

    def __init__(self, html):
        super().__init__()
        self.elements = []
        self.texts = {}
        self._open = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self._open.append(dict(attributes).get("id") or tag)

    def handle_endtag(self, tag):
        if self._open:
            self._open.pop()

    def handle_data(self, data):
        for name in self._open:
            self.texts[name] = self.texts.get(name, "") + data

    def of_class(self, name):
        return [attributes for _, attributes in self.elements if name in attributes.get("class", "").split()]


@pytest.fixture
def chromium(tmp_path):
    """Opens a page in Chromium; gives what it has become."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        assert os.environ.get("CI") != "true", "the page is tested in Chromium, which is not installed"
        pytest.skip("Chromium is not installed")

    def open_page(html, fragment=""):
        path = tmp_path / "trace.html"
        path.write_text(html, encoding="utf-8")
        command = [
            program,
            *FLAGS,
            f"--user-data-dir={tmp_path / 'profile'}",
            "--dump-dom",
            f"{path.as_uri()}{fragment}",
        ]
        opened = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True)
        return Page(opened.stdout)

    return open_page


@virtual
async def test_it_needs_nothing_from_outside():
    trace, _ = await refused_storm(2)

    page = Page(to_html(trace))

    attributes = [
        value for _, each in page.elements for name, value in each.items() if name in {"src", "href", "action"}
    ]
    assert [] == attributes
    assert "default-src 'none'" in str(page.elements)
    assert not re.search(r"https?://|@import|url\(", to_html(trace))


@virtual
async def test_the_same_trace_gives_the_same_bytes_and_holds_the_words():
    trace, _ = await refused_storm(2)

    assert to_html(trace) == to_html(trace)
    words = Page(to_html(trace)).texts["words"]
    assert "waited 0.30 s for refresh 1 (token rejected), were sent again and answered." in words


def test_text_of_others_stays_text():
    html = to_html(planted(), title=f"{SCRIPT}@@data@@")

    page = Page(html)
    assert ["meta", "meta", "meta"] == [tag for tag, _ in page.elements if tag in {"img", "meta", "iframe"}]
    assert 2 == sum(tag == "script" for tag, _ in page.elements)
    assert not set("<>&") & set(page.texts["data"])
    [operation] = json.loads(page.texts["data"])["operations"]
    assert operation["name"] == IMAGE
    assert f"{SCRIPT}@@data@@" in page.texts["h1"]


@pytest.mark.parametrize("title", [None, 7, b"title"])
def test_a_title_that_is_no_text_is_refused(title):
    with pytest.raises(InvariantError, match="`title`"):
        to_html(Trace(), title=title)


class TestInChromium:
    def storm(self):
        kept = []

        @virtual
        async def run():
            trace, _ = await refused_storm(3, requests=[VIEWER, COUNT, VIEWER])
            kept.append(to_html(trace))

        run()
        return kept[0]

    def test_it_shows_who_waited_for_which_refresh(self, chromium):
        page = chromium(self.storm())

        assert ["1", "2", "3"] == [row["data-number"] for row in page.of_class("row")]
        waits = [each["title"] for each in page.of_class("waiting") if "title" in each]
        assert ["waits for refresh 1 (AuthLink), 0.300 s"] * 3 == waits
        assert 1 == len(page.of_class("band")) == len(page.of_class("chip"))
        assert "3 of 3 operations" == page.texts["count"]
        assert "hidden" in next(attributes for _, attributes in page.elements if attributes.get("id") == "details")

    def test_the_address_filters_zooms_and_opens_an_operation(self, chromium):
        page = chromium(self.storm(), "#filter=viewer%20unauth&kind=query&show=waited&operation=3&zoom=4&shift=0.25")

        hidden = {row["data-number"] for row in page.of_class("row") if "hidden" in row}
        assert {"2"} == hidden
        assert "2 of 3 operations" == page.texts["count"]
        opened = [row["data-number"] for row in page.of_class("row") if row["aria-expanded"] == "true"]
        assert ["3"] == opened
        assert "Viewer (query 3)" in page.texts["details"]
        told = ["passed on to MockLink", "MockLink answered: errors UNAUTHENTICATED", "waits for refresh 1"]
        told += ["is sent again with another token", "passed on to MockLink (attempt 2)", "AuthLink answered: data"]
        places = [page.texts["details"].index(words) for words in told]
        assert sorted(places) == places
        style = next(attributes for tag, attributes in page.elements if tag == "html").get("style", "")
        assert "--zoom: 4" in style
        assert "--shift: 0.25" in style

    def test_what_is_planted_in_names_runs_nowhere(self, chromium):
        page = chromium(to_html(planted()), "#operation=1&filter=%3Cimg")

        assert "What happened" == page.texts["title"].strip()
        assert not [tag for tag, _ in page.elements if tag == "img"]
        assert IMAGE in page.texts["details"]
        assert f"failed: {SCRIPT}" in page.texts["details"]
        assert "1 of 1 operations" == page.texts["count"]

    def test_hands_filter_walk_open_and_zoom(self, chromium):
        page = chromium(self.storm().replace("</body>", f"<script>{HANDS}</script></body>"))

        assert ["3"] == [row["data-number"] for row in page.of_class("row") if row["aria-expanded"] == "true"]
        assert "2 of 3 operations" == page.texts["count"]
        address = next(attributes["data-address"] for _, attributes in page.elements if attributes.get("id") == "kind")
        zoom = re.fullmatch(r"#filter=viewer&operation=3&zoom=([0-9.]+)&shift=0\.[0-9]+", address)
        assert zoom is not None, address
        assert 1.6 * 1.6 * 2.71 < float(zoom[1]) < 1.6 * 1.6 * 2.72
