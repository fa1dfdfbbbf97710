"""The one contract of shared storages, over the four that rxlink has."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from keyring.errors import KeyringError

from rxlink.auth.storage import MemoryTokenStorage, SharedTokenStorage
from rxlink.auth.storage.file import FileTokenStorage
from rxlink.auth.storage.keyring import KeyringTokenStorage
from rxlink.auth.storage.redis import RedisTokenStorage
from rxlink.testing.storage_contract import SharedTokenStorageContract
from tests.auth.storage.keychains import MemoryKeychain, in_use
from tests.auth.storage.valkey_server import ValkeyServer, running_server

KEY = "rxlink:ada"
ENTRY = ("api.example.com", "ada")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    with running_server(tmp_path_factory.mktemp("valkey"), keeps=True) as server:
        yield server


class TestMemory(SharedTokenStorageContract):
    """What several processes have in common is one object here."""

    def setup_method(self) -> None:
        self.place = MemoryTokenStorage()

    def make_storage(self) -> SharedTokenStorage:
        return self.place


class TestFile(SharedTokenStorageContract):
    """An outage is a folder that has gone: root may write where others may not."""

    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "tokens"
        self.away = tmp_path / "away"
        self.path = self.folder / "tokens.json"

    def make_storage(self) -> SharedTokenStorage:
        return FileTokenStorage(self.path, lease=self.lease)

    def spoil(self, content: bytes) -> None:
        self.path.write_bytes(content)

    def spoiled(self) -> bytes:
        return self.path.read_bytes()

    def tear(self) -> None:
        content = self.path.read_bytes()
        self.path.write_bytes(content[: len(content) // 2])

    def break_down(self) -> None:
        self.folder.rename(self.away)
        self.folder.write_text("in the way")

    def mend(self) -> None:
        self.folder.unlink()
        self.away.rename(self.folder)


class TestKeyring(SharedTokenStorageContract):
    """A keychain holds text, so garbage is what bytes look like there."""

    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path) -> Iterator[None]:
        self.folder = tmp_path / "locks"
        with in_use(MemoryKeychain()) as self.keychain:
            yield

    def make_storage(self) -> SharedTokenStorage:
        return KeyringTokenStorage(*ENTRY, lease=self.lease, lock_folder=self.folder)

    def spoil(self, content: bytes) -> None:
        self.keychain.entries[ENTRY] = content.decode("latin-1")

    def spoiled(self) -> bytes:
        return self.keychain.entries[ENTRY].encode("latin-1")

    def tear(self) -> None:
        content = self.spoiled()
        self.spoil(content[: len(content) // 2])

    def break_down(self) -> None:
        self.keychain.error = KeyringError("locked")

    def mend(self) -> None:
        self.keychain.error = None


class TestValkey(SharedTokenStorageContract):
    """An outage is a server that has died, and comes back with what it keeps."""

    @pytest.fixture(autouse=True)
    def place(self, server: ValkeyServer) -> Iterator[None]:
        self.server = server
        yield
        assert server.wait_for_connections(0)
        with server.client() as client:
            client.flushall()

    def make_storage(self) -> SharedTokenStorage:
        return RedisTokenStorage(self.server.url, KEY, lease=self.lease)

    def spoil(self, content: bytes) -> None:
        with self.server.client() as client:
            client.set(KEY, content)

    def spoiled(self) -> bytes:
        with self.server.client() as client:
            return client.get(KEY)

    def tear(self) -> None:
        content = self.spoiled()
        self.spoil(content[: len(content) // 2])

    def break_down(self) -> None:
        self.server.kill()

    def mend(self) -> None:
        self.server.start()


class StandingStill(TestValkey):
    """An outage is a server that takes connections and answers nothing; each call has its limit."""

    def make_storage(self) -> SharedTokenStorage:
        url = f"{self.server.url}?socket_timeout=0.2&socket_connect_timeout=0.2"
        return RedisTokenStorage(url, KEY, lease=self.lease)

    def break_down(self) -> None:
        self.pause = self.server.paused()
        self.pause.__enter__()

    def mend(self) -> None:
        self.pause.__exit__(None, None, None)


def test_a_server_that_stands_still_is_an_outage_too(server: ValkeyServer) -> None:
    contract = StandingStill()
    contract.server = server

    contract.test_an_outage_passes()

    assert server.wait_for_connections(0)
    with server.client() as client:
        client.flushall()
