"""A schema whose resolvers wait and open things, and the list of what is still open."""

import asyncio
from contextlib import contextmanager

import pytest
from graphql import build_schema

from rxlink.core.operation import GraphQLRequest
from rxlink.transport._execution import HAS_PIECES
from rxlink.transport.schema import SchemaLink

NEEDS_PIECES = pytest.mark.skipif(not HAS_PIECES, reason="graphql-core 3.2 overlooks @defer and @stream")
TYPES = """
    type Query {
      plain: String
      slow: String
      boom: String
      must: String!
      number: Int
      numbers: [Int]
      ready: [Int]
      hero: Hero
      heroes: [Hero]
    }
    type Hero { name: String slow: String boom: String must: String! friend: Hero friends: [Hero] }
    type Mutation { first: String second: String }
    type Subscription { hero: Hero heroes: [Hero] }
"""
DIRECTIVES = """
    directive @defer(if: Boolean! = true, label: String) on FRAGMENT_SPREAD | INLINE_FRAGMENT
    directive @stream(if: Boolean! = true, label: String, initialCount: Int! = 0) on FIELD
"""
SCHEMA = build_schema(TYPES)
DECLARED = build_schema(TYPES + DIRECTIVES)


class World:
    """Resolvers, as the root of a query; attributes that are given take their places."""

    def __init__(self, **resolvers):
        self.open = []
        for name, resolver in resolvers.items():
            setattr(self, name, resolver)

    plain = "plain"

    @contextmanager
    def held(self, what):
        self.open.append(what)
        try:
            yield
        finally:
            self.open.remove(what)

    async def slow(self, info):
        with self.held("slow"):
            for _ in range(3):
                await asyncio.sleep(0)
        return "slow"

    def boom(self, info):
        raise OSError("boom")

    must = boom

    async def numbers(self, info):
        """An asynchronous generator; where it is cut, its end takes its time."""
        self.open.append("numbers")
        try:
            for number in range(3):
                await asyncio.sleep(0)
                yield number
        except (asyncio.CancelledError, GeneratorExit):
            await turns(3)
            self.open.remove("numbers")
            raise
        self.open.remove("numbers")

    def ready(self, info):
        with self.held("ready"):
            yield from range(3)

    def hero(self, info):
        return Hero(self)

    friend = hero

    def heroes(self, info):
        return [self._later(), Hero(self), self._later()]

    friends = heroes
    first = second = slow

    async def _later(self):
        with self.held("later"):
            await asyncio.sleep(0)
        return Hero(self)


class Hero:
    name = "Luke"

    def __init__(self, world):
        self.world = world

    def __getattr__(self, name):
        return getattr(self.world, name)


def link_of(world=None, schema=SCHEMA, **options):
    return SchemaLink(schema, root_value=world or World(), **options)


def request(query, **options):
    return GraphQLRequest(query, **options)


async def turns(count=60):
    for _ in range(count):
        await asyncio.sleep(0)


def pieces(values):
    """What is in the results, and whether another one is to come."""
    return [(dict(value), value.has_next) if hasattr(value, "has_next") else value for value in values]
