"""GraphQL subscriptions as Strawberry's guide has them, beside queries and mutations."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import strawberry
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute
from strawberry.asgi import GraphQL

from tests.e2e.apps import alive, report
from tests.frameworks.latches import latch


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    yield
    report("alive", json.dumps(alive()))


@strawberry.type
class Query:
    @strawberry.field
    def hello(self, name: str) -> str:
        return f"Hello, {name}"


@strawberry.type
class Mutation:
    @strawberry.mutation
    def open_latch(self, name: str) -> bool:
        latch(name).open()
        return True


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, target: int) -> AsyncIterator[int]:
        for number in range(target):
            yield number

    @strawberry.subscription
    async def wait(self, name: str) -> AsyncIterator[str]:
        try:
            yield "waiting"
            await latch(name).passed()
            yield "passed"
            await asyncio.Event().wait()
        finally:
            report("subscription ended", name)


graphql: GraphQL[None, None] = GraphQL(strawberry.Schema(Query, Mutation, Subscription))

app = Starlette(lifespan=lifespan, routes=[Route("/graphql", graphql), WebSocketRoute("/graphql", graphql)])
