"""Child processes of tests that are interrupted."""

import os

__all__ = ["unmeasured"]


def unmeasured() -> dict[str, str]:
    """Return an environment in which coverage does not measure the child.

    It would complain on standard error where the interruption meets it before its file is ready.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_PROCESS_")}
