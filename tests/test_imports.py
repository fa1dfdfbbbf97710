"""`import rxlink` is quick because it loads nothing; and what is loaded later is no more than what is asked for."""

import ast
import importlib
import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import rxlink

HEAVY = {
    "cryptography",
    "filelock",
    "http.server",
    "importlib.metadata",
    "jwt",
    "keyring",
    "oauthlib",
    "opentelemetry",
    "platformdirs",
    "pytest",
    "redis",
    "rich",
    "unittest",
}
"""What takes long, and what most services never use."""
OTHER_TRANSPORTS = {f"rxlink.transport.{name}" for name in ("batch_http", "oauth2", "schema", "sse", "websocket")}
STUB = Path(rxlink.__file__).with_suffix(".pyi")


def loaded_by(statement):
    """The modules that a statement loads in a new process."""
    script = (
        f"import json, sys\nbefore = set(sys.modules)\n{statement}\nprint(json.dumps([*set(sys.modules) - before]))"
    )
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(process.stdout))


def names_in_stub():
    """The public names as type checkers see them, with their homes."""
    nodes = ast.parse(STUB.read_text()).body
    return {alias.name: node.module for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}


def test_the_package_alone_loads_nothing_else():
    loaded = loaded_by("import rxlink")

    assert {"rxlink"} == {name for name in loaded if name.partition(".")[0] == "rxlink"}
    assert set() == loaded & {*HEAVY, "aiohttp", "graphql", "reactivex"}


def test_a_service_over_http_loads_what_it_uses():
    loaded = loaded_by(
        "from rxlink import AuthLink, AuthSession, ErrorLink, GraphQLRequest, HttpLink, RetryLink, SetContextLink\n"
        "from rxlink import SessionEnded, TokenSet, execute, from_"
    )

    assert {"aiohttp", "graphql", "reactivex", "rxlink.auth.session", "rxlink.transport.http"} <= loaded
    # PyJWT reads access tokens, and takes cryptography along where that is installed: rather now than when the first
    # token is read, on the event loop.
    assert loaded & {*HEAVY, *OTHER_TRANSPORTS, "rxlink.testing"} <= {"jwt", "cryptography"}


def test_all_public_names_together_load_little_that_is_heavy():
    loaded = loaded_by("from rxlink import *")

    assert loaded >= OTHER_TRANSPORTS
    assert {"oauthlib"} == loaded & HEAVY - {"jwt", "cryptography"}  # the messages of `oauth2_refresh`


@pytest.mark.parametrize("name", rxlink.__all__)
def test_each_public_name_is_that_of_its_home(name):
    home = importlib.import_module(names_in_stub()[name])

    assert getattr(home, name) is getattr(rxlink, name)


def test_type_checkers_see_the_same_names():
    tree = ast.parse(STUB.read_text())
    exported = next(ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.Assign))

    assert len(rxlink.__all__) == len(set(rxlink.__all__))
    assert set(rxlink.__all__) == set(exported) == set(names_in_stub())


def test_the_names_are_listed_before_they_are_loaded():
    listed = subprocess.run(
        [sys.executable, "-c", "import rxlink; print(*dir(rxlink))"], capture_output=True, text=True, check=True
    )

    assert set(rxlink.__all__) <= set(listed.stdout.split())


def test_parts_of_the_package_are_found_too():
    asked = "import rxlink; print(rxlink.errors.RxlinkError is rxlink.RxlinkError)"
    answer = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)

    assert "True" == answer.stdout.strip()


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'rxlink' has no attribute 'nothing'"):
        _ = rxlink.nothing
    with pytest.raises(ImportError):
        from rxlink import nothing  # noqa: F401


def test_values_are_pickled_by_their_homes():
    tokens = rxlink.TokenSet("access-token", "refresh-token")

    pickled = pickle.dumps(tokens)

    assert b"rxlink.auth.tokens" in pickled
    assert tokens == pickle.loads(pickled)  # noqa: S301 - written a line above


def test_nothing_is_logged_at_import():
    script = (
        "import importlib.util, logging, pkgutil, sys\n"
        "logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)\n"
        "import rxlink\n"
        "names = [each.name for each in pkgutil.walk_packages(rxlink.__path__, 'rxlink.')]\n"
        "for name in names:\n"
        "    has_its_extra = 'gql' not in name.partition('integrations')[2] or importlib.util.find_spec('gql')\n"
        "    if name != 'rxlink.__main__' and has_its_extra:\n"
        "        importlib.import_module(name)\n"
        "assert 'rxlink.integrations.opentelemetry' in names"
    )
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ("", "") == (process.stdout, process.stderr)
