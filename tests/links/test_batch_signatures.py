"""BatchLink: a key is made at once; what has to be waited for has another place."""

from typing import Any

import pytest

from rxlink.errors import InvariantTypeError
from rxlink.links.batch import BatchLink


async def later(operation: Any) -> str:
    return "key"


def test_a_key_that_has_to_be_waited_for_is_refused_with_the_cure() -> None:
    with pytest.raises(
        InvariantTypeError, match=r"`batch_key` .*later.* \bput what it waits for into the context, with Set"
    ):
        BatchLink(batch_handler=lambda operations, forwards: None, batch_key=later)
