"""Links on the pages: those inside lead somewhere, and those to the outside are listed for whoever checks them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
OUTSIDE = Path(__file__).with_name("external_links.txt")
CODE = re.compile(r"^( *)(`{3,}).*?^\1\2$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^()\s]+(?:\([^()\s]*\))?)\)|<(https?://[^>\s]+)>|^\[[^\]]+\]: (\S+)$", re.MULTILINE)
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def text_of(page):
    return page.read_text(encoding="utf-8")


def links_of(page):
    return ["".join(groups) for groups in LINK.findall(CODE.sub("", text_of(page)))]


def anchors_of(page):
    headings = HEADING.findall(
        CODE.sub(lambda found: found[0].strip("`") if "\n" not in found[0] else "", text_of(page))
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_inside_leads_to_a_file_and_to_a_heading(page):
    for link in links_of(page):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors_of(target), link


def test_links_to_the_outside_are_listed():
    found = {link for page in PAGES for link in links_of(page) if link.startswith(("http://", "https://"))}

    assert sorted(found) == OUTSIDE.read_text(encoding="utf-8").split(), f"list them in {OUTSIDE.relative_to(ROOT)}"
