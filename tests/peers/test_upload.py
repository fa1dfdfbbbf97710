"""Files in variables, sent to servers that other people wrote."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rxlink import AuthLink, GraphQLRequest, HttpLink, execute, from_
from rxlink.transport.upload import Upload
from tests.peers.peer import Peer, Wire, session_of

PREFLIGHT = {"apollo-require-preflight": "true"}
"""Apollo Server takes forms only with it; the others do not mind."""
SINGLE = "mutation Single($file: Upload!) { singleUpload(file: $file) { filename mimetype sha256 } }"
MULTIPLE = "mutation Multiple($files: [Upload!]!) { multipleUpload(files: $files) { filename sha256 } }"
NESTED = "mutation Nested($input: UploadInput!) { nestedUpload(input: $input) { filename sha256 } }"
GUARDED = "mutation Guarded($file: Upload!) { guardedUpload(file: $file) { sha256 } }"
CONTENT = bytes(range(256)) * 4_000 + b"odd"  # every byte, and more than one read


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def info(peer: Peer, content: bytes, **told: str) -> dict[str, Any]:
    """Return what a server says of a file; Strawberry hands on neither name nor type."""
    return {name: None if peer.name == "strawberry" else value for name, value in told.items()} | {
        "sha256": sha256(content)
    }


async def stream() -> AsyncIterator[bytes]:
    for start in range(0, len(CONTENT), 300_000):
        yield CONTENT[start : start + 300_000]


@pytest.mark.parametrize("kind", ["bytes", "path", "file", "function"])
async def test_a_file_arrives_with_its_name_and_type(peer: Peer, wire: Wire, tmp_path: Path, kind: str):
    path = tmp_path / "photo.png"
    path.write_bytes(CONTENT)
    link = HttpLink(peer.url, session=wire.session, headers=PREFLIGHT)

    with path.open("rb") as opened:
        sources = {"bytes": CONTENT, "path": path, "file": opened, "function": stream}
        file = Upload(sources[kind], filename="photo.png")
        result = await execute(link, GraphQLRequest(SINGLE, {"file": file}))

    expected = info(peer, CONTENT, filename="photo.png", mimetype="image/png")
    assert {"data": {"singleUpload": expected}} == result


async def test_what_is_no_upload_but_can_be_read_is_a_file_too(peer: Peer, wire: Wire, tmp_path: Path):
    path = tmp_path / 'ünï "quoted".txt'
    path.write_bytes(b"text")
    link = HttpLink(peer.url, session=wire.session, headers=PREFLIGHT)

    result = await execute(link, GraphQLRequest(MULTIPLE, {"files": [path, b"bytes", stream()]}))

    contents = [b"text", b"bytes", CONTENT]
    assert list(map(sha256, contents)) == [file["sha256"] for file in result["data"]["multipleUpload"]]
    if peer.name != "strawberry":
        name = path.name.replace('"', "%22")  # as browsers write it; servers leave it so
        assert [name, "blob", "blob"] == [file["filename"] for file in result["data"]["multipleUpload"]]


async def test_files_inside_an_input_arrive_and_one_used_twice_is_sent_once(peer: Peer, wire: Wire):
    once = Upload(CONTENT, filename="once.bin")
    link = HttpLink(peer.url, session=wire.session, headers=PREFLIGHT)

    result = await execute(link, GraphQLRequest(NESTED, {"input": {"title": "t", "files": [once, b"other", once]}}))

    hashes = [file["sha256"] for file in result["data"]["nestedUpload"]]
    assert sha256(b"other") == hashes[1]
    if peer.name == "strawberry":  # which reads its one copy to the end for the first of the two
        assert [sha256(CONTENT), sha256(b"")] == [hashes[0], hashes[2]]
    else:
        assert [sha256(CONTENT)] * 2 == [hashes[0], hashes[2]]


async def test_an_empty_file_is_a_file(peer: Peer, wire: Wire):
    link = HttpLink(peer.url, session=wire.session, headers=PREFLIGHT)

    result = await execute(link, GraphQLRequest(SINGLE, {"file": Upload(b"", filename="empty.txt")}))

    assert sha256(b"") == result["data"]["singleUpload"]["sha256"]


async def test_only_apollo_server_refuses_a_form_without_a_preflight_header(peer: Peer, wire: Wire):
    link = HttpLink(peer.url, session=wire.session)
    request = GraphQLRequest(SINGLE, {"file": b"bytes"})

    result = await execute(link, request)

    if peer.name == "apollo":
        assert ("data" in result, 400) == (False, wire.exchanges[0].status)
        assert "CSRF" in result["errors"][0]["message"]
    else:
        assert sha256(b"bytes") == result["data"]["singleUpload"]["sha256"]


async def test_a_file_that_can_be_read_again_is_sent_again_after_a_refresh(
    peer: Peer, wire: Wire, account: str, tmp_path: Path
):
    path = tmp_path / "photo.png"
    path.write_bytes(CONTENT)

    async with session_of(peer, account) as session:
        link = from_([AuthLink(session), HttpLink(peer.url, session=wire.session, headers=PREFLIGHT)])
        result = await execute(link, GraphQLRequest(GUARDED, {"file": path}))

    assert {"data": {"guardedUpload": {"sha256": sha256(CONTENT)}}} == result
    assert 1 == await peer.refreshes(account)
    assert 2 == len(wire.exchanges)


async def test_a_stream_is_never_sent_twice_its_refusal_is_delivered_and_the_next_operation_has_a_new_token(
    peer: Peer, wire: Wire, account: str
):
    async with session_of(peer, account) as session:
        link = from_([AuthLink(session), HttpLink(peer.url, session=wire.session, headers=PREFLIGHT)])
        refused = await execute(link, GraphQLRequest(GUARDED, {"file": stream()}))
        accepted = await execute(link, GraphQLRequest(GUARDED, {"file": stream()}))

    assert "UNAUTHENTICATED" == refused["errors"][0]["extensions"]["code"]
    assert {"data": {"guardedUpload": {"sha256": sha256(CONTENT)}}} == accepted
    assert 2 == len(wire.exchanges)
    assert 1 == await peer.refreshes(account)
