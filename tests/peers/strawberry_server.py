"""Strawberry on a port of the system's choice; prints its address as a line of JSON, and ends when its input does.

Runs in an environment of its own, made from `requirements.txt`: rxlink is not in it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import sys
from enum import Enum
from typing import Any

import strawberry
from accounts import Accounts
from aiohttp import web
from graphql import GraphQLError
from strawberry.aiohttp.views import GraphQLView
from strawberry.file_uploads import Upload
from strawberry.schema.config import StrawberryConfig
from strawberry.types import Info

ACCOUNTS = Accounts()


@strawberry.type
class Viewer:
    account: str
    name: str


@strawberry.enum
class Color(Enum):
    RED = "RED"
    GREEN = "GREEN"


@strawberry.input
class EchoInput:
    text: str | None = None
    number: int | None = None
    ratio: float | None = None
    flag: bool | None = None
    color: Color | None = None
    tags: list[str] | None = None
    matrix: list[list[int | None]] | None = None
    inner: EchoInput | None = None
    others: list[EchoInput] | None = None


@strawberry.type
class Echo:
    text: str | None
    number: int | None
    ratio: float | None
    flag: bool | None
    color: Color | None
    tags: list[str] | None
    matrix: list[list[int | None]] | None
    inner: Echo | None
    others: list[Echo] | None


@strawberry.input
class UploadInput:
    title: str
    files: list[Upload]


@strawberry.type
class FileInfo:
    filename: str | None
    mimetype: str | None
    sha256: str


def viewer_of(info: Info[Any, Any]) -> Viewer:
    account = ACCOUNTS.account(info.context["request"].headers.get("authorization"))
    if account is None:
        raise GraphQLError("sign in", extensions={"code": "UNAUTHENTICATED"})
    return Viewer(account=account, name=account)


def info_of(file: Any) -> FileInfo:
    return FileInfo(filename=None, mimetype=None, sha256=hashlib.sha256(file.read()).hexdigest())


def fail() -> Any:
    raise GraphQLError("on purpose", extensions={"code": "ON_PURPOSE"})


@strawberry.type
class Query:
    @strawberry.field
    def hello(self, name: str | None = "world") -> str:
        return f"hello {name}"

    @strawberry.field
    def echo(self, input: EchoInput) -> Echo:  # noqa: A002 - the name of the argument
        return input  # type: ignore[return-value]

    @strawberry.field
    def optional(self) -> str | None:
        return fail()

    @strawberry.field
    def required(self) -> str:
        return fail()

    @strawberry.field
    async def slow(self, milliseconds: int) -> str:
        await asyncio.sleep(milliseconds / 1000)
        return "at last"

    @strawberry.field
    def viewer(self, info: Info[Any, Any]) -> Viewer:
        return viewer_of(info)

    @strawberry.field
    def guarded(self, info: Info[Any, Any]) -> Viewer:
        try:
            return viewer_of(info)
        except GraphQLError:
            info.context["response"].set_status(401)
            raise

    @strawberry.field
    def refreshes(self, account: str) -> int:
        return ACCOUNTS.refreshes[account]


@strawberry.type
class Mutation:
    @strawberry.mutation
    def rename(self, info: Info[Any, Any], name: str) -> Viewer:
        return Viewer(account=viewer_of(info).account, name=name)

    @strawberry.mutation
    def refresh(self, account: str) -> str:
        return ACCOUNTS.refresh(account)

    @strawberry.mutation
    def single_upload(self, file: Upload) -> FileInfo:
        return info_of(file)

    @strawberry.mutation
    def multiple_upload(self, files: list[Upload]) -> list[FileInfo]:
        return [info_of(file) for file in files]

    @strawberry.mutation
    def nested_upload(self, input: UploadInput) -> list[FileInfo]:  # noqa: A002 - the name of the argument
        return [info_of(file) for file in input.files]

    @strawberry.mutation
    def guarded_upload(self, info: Info[Any, Any], file: Upload) -> FileInfo:
        viewer_of(info)
        return info_of(file)


async def main() -> None:
    logging.disable()
    schema = strawberry.Schema(Query, Mutation, config=StrawberryConfig(batching_config={"max_operations": 10}))
    view = GraphQLView(schema, graphql_ide=None, multipart_uploads_enabled=True)

    async def gate(request: web.Request) -> web.StreamResponse:
        if ACCOUNTS.account(request.headers.get("authorization")) is None:
            return web.Response(status=401, text="sign in")
        return await view(request)

    app = web.Application()
    app.router.add_route("*", "/graphql", view)
    app.router.add_route("*", "/gated", gate)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(json.dumps({"strawberry": f"http://127.0.0.1:{runner.addresses[0][1]}"}), flush=True)
    await asyncio.to_thread(sys.stdin.read)


asyncio.run(main())
