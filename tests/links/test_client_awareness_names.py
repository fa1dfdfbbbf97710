"""ClientAwarenessLink: an option that is none is called by its name."""

from typing import Any

import pytest

from rxlink.errors import InvariantError
from rxlink.links.client_awareness import ClientAwarenessLink


@pytest.mark.parametrize("option", ["client_awareness", "enhanced_client_awareness"])
@pytest.mark.parametrize("wrong", [3, {"unknown": 1}])
def test_the_message_begins_with_it(option: str, wrong: Any) -> None:
    with pytest.raises(InvariantError, match=f"^`{option}` (is|has) "):
        ClientAwarenessLink(**{option: wrong})
