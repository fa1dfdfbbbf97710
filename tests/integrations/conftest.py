"""Modules whose name begins with `test_gql` need gql, which is not there with the oldest graphql-core."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("gql") else ["test_gql*.py"]  # test_extras.py says so
