"""What gql's client does by itself goes on beside a chain: schemas, enums and scalars of its own, reconnecting."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import gql
import pytest
from gql.utilities import update_schema_scalar
from graphql import GraphQLError, GraphQLScalarType, GraphQLSchema, build_schema

from rxlink import SchemaLink
from rxlink.integrations.gql import LinkTransport

SDL = "scalar Time type Query { later(than: Time!, hours: Int!): Time! }"
LATER = "query Later($than: Time!) { later(than: $than, hours: 1) }"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TIME = GraphQLScalarType("Time", serialize=datetime.isoformat, parse_value=datetime.fromisoformat)


def later(_root: object, _info: object, than: Any, hours: int) -> str:
    assert "2026-01-01T12:00:00+00:00" == than  # text, as on the wire
    return "2026-01-01T13:00:00+00:00"


def served() -> GraphQLSchema:
    schema = build_schema(SDL)
    assert schema.query_type is not None
    schema.query_type.fields["later"].resolve = later
    return schema


def known() -> GraphQLSchema:
    schema = build_schema(SDL)
    update_schema_scalar(schema, "Time", TIME)
    return schema


def transport() -> LinkTransport:
    return LinkTransport(SchemaLink(schema=served()))


async def test_variables_are_serialized_and_results_are_parsed() -> None:
    client = gql.Client(transport=transport(), schema=known(), serialize_variables=True, parse_results=True)
    request = gql.GraphQLRequest(LATER, variable_values={"than": NOON})

    async with client as session:
        executed = await session.execute(request)
        (batched,) = await session.execute_batch([request])
        subscribed = [result async for result in session.subscribe(request)]

    expected = {"later": datetime(2026, 1, 1, 13, tzinfo=UTC)}
    assert [expected] * 3 == [executed, batched, *subscribed]


async def test_a_schema_is_fetched_through_the_chain_and_validates() -> None:
    async with gql.Client(transport=transport(), fetch_schema_from_transport=True) as session:
        assert session.client.schema is not None
        assert "later" in session.client.schema.query_type.fields
        with pytest.raises(GraphQLError, match="Cannot query field 'sooner'"):
            await session.execute(gql.gql("{ sooner }"))


async def test_a_session_that_reconnects_works_over_a_chain() -> None:
    client = gql.Client(transport=transport())
    session = await client.connect_async(reconnecting=True)
    try:
        result = await session.execute(gql.GraphQLRequest(LATER, variable_values={"than": NOON.isoformat()}))
    finally:
        await client.close_async()

    assert {"later": "2026-01-01T13:00:00+00:00"} == result
