"""What a bridge says where the library on its other side is missing."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import graphql

from tests.oracle.node import skip_or_fail

OLDEST_GRAPHQL_FOR_GQL = (3, 3)


def test_gql_is_missing_only_beside_an_older_graphql_core() -> None:
    is_too_old = graphql.version_info[:2] < OLDEST_GRAPHQL_FOR_GQL
    if not is_too_old and find_spec("gql") is None:
        skip_or_fail("the tests of the gql adapter are left out, because gql is missing: pip install 'rxlink[test]'")

    assert is_too_old is (find_spec("gql") is None)


def test_without_gql_the_adapter_names_the_extra() -> None:
    program = "import sys; sys.modules['gql'] = None; import rxlink.integrations.gql"

    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (
        "ImportError: rxlink.integrations.gql needs gql 4.4 or a later 4.x: pip install 'rxlink[gql]'"
        == finished.stderr.strip().splitlines()[-1]
    )
