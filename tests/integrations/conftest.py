"""What the tests of integrations share; modules whose name begins with `test_gql` need gql.

It is not there with the oldest graphql-core.
"""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from tests.integrations.exported import Exported

collect_ignore_glob = [] if find_spec("gql") else ["test_gql*.py"]  # test_extras.py says so


@pytest.fixture
def exported() -> Exported:
    return Exported()
