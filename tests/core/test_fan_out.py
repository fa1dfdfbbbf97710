"""Operations that share one thing get an error each."""

from typing import Self

from rxlink.core.fan_out import own_error
from rxlink.errors import NetworkTimeout, RxlinkError, ServerError


def test_an_error_of_ours_is_made_anew_with_all_that_it_says() -> None:
    shared = ServerError("no", status_code=503, headers={"retry-after": "1"}, body_text="busy", operation_name="Viewer")
    shared.__cause__ = OSError("down")
    shared.retryable = True

    own = own_error(shared)

    assert own is not shared
    assert (ServerError, str(shared), vars(shared)) == (type(own), str(own), vars(own))
    assert shared.__cause__ is own.__cause__


def test_its_raises_do_not_add_to_the_shared_ones_traceback() -> None:
    shared = NetworkTimeout("Viewer", seconds=1)

    for _ in range(2):
        try:
            raise own_error(shared)
        except NetworkTimeout:
            pass

    assert shared.__traceback__ is None


def test_foreign_errors_stay_what_they_are() -> None:
    error = OSError("down")

    assert error is own_error(error)


def test_a_subclass_that_is_not_made_like_ours_stays_what_it_is() -> None:
    class Picky(RxlinkError):
        def __new__(cls, *, needed: str) -> Self:
            return super().__new__(cls)

        def __init__(self, *, needed: str) -> None:
            super().__init__(needed)

    error = Picky(needed="much")

    assert error is own_error(error)
