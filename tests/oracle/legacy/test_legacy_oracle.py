"""Links of the time before Apollo Client 4 beside rxlink's: the same scenarios, equal traces but for what is meant.

apollo-link-token-refresh 0.7.0 on @apollo/client 3.14; apollo-link-dedup 1.0.21 and apollo-link-polling 1.0.0 on
apollo-link 1.2.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from tests.oracle.legacy import links_player, token_refresh_player
from tests.oracle.legacy.original import FOLDER, SCENARIOS, Trace, played, recorded
from tests.oracle.legacy.story import Story
from tests.oracle.node import node_in

PLAY = {"links": links_player.play, "token_refresh": token_refresh_player.play}
STORIES = {player: list(stories()) for player, stories in SCENARIOS.items()}
GOLDEN = {player: recorded(player) for player in SCENARIOS}


def cases(*, only_different: bool = False) -> list[Any]:
    return [
        pytest.param(player, story, id=f"{player}: {story.name}")
        for player, stories in STORIES.items()
        for story in stories
        if story.differs or not only_different
    ]


def by_who(trace: Trace) -> dict[str, list[Any]]:
    """Order counts for each operation, each request and the link's own callbacks, not between them."""
    events: dict[str, list[Any]] = defaultdict(list)
    for event in trace:
        events[event[0]].append(event)
    return dict(events)


@pytest.mark.parametrize(("player", "story"), cases())
def test_rxlink_does_what_the_original_did_but_for_what_is_meant(player: str, story: Story) -> None:
    original = by_who(GOLDEN[player][story.name])
    meant = {} if story.differs is None else story.differs.ours
    expected = {who: events for who, events in {**original, **meant}.items() if events}

    actual = by_who(PLAY[player](story.scenario))

    assert expected == actual


@pytest.mark.parametrize(("player", "story"), cases(only_different=True))
def test_each_difference_is_one(player: str, story: Story) -> None:
    original = by_who(GOLDEN[player][story.name])

    meant = {} if story.differs is None else story.differs.ours

    assert meant
    assert {} == {who: events for who, events in meant.items() if events == original.get(who, [])}


@pytest.mark.parametrize("player", SCENARIOS)
def test_the_recorded_traces_are_what_the_original_does(player: str) -> None:
    node = node_in(FOLDER)
    stories = STORIES[player]

    traces = played(node, [story.scenario for story in stories])

    assert GOLDEN[player] == dict(zip([story.name for story in stories], traces, strict=True))


def test_there_are_enough_scenarios_each_with_a_name_of_its_own() -> None:
    for player, least in [("links", 16), ("token_refresh", 12)]:
        stories = STORIES[player]

        assert len(stories) == len({story.name for story in stories})
        assert least <= sum(story.differs is None for story in stories)
