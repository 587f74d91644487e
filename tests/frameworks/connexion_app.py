"""Connexion applications as its quickstart builds them: an OpenAPI file, and a function for each operation.

The same operations in an AsyncApp and, in threads and through a2wsgi, in a FlaskApp.
"""

import hashlib
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from connexion import AsyncApp, FlaskApp
from connexion.exceptions import ProblemException
from connexion.resolver import Resolver
from flask import Response
from starlette.responses import StreamingResponse

from tests.e2e.apps import alive, report

# Connexion logs every problem that it answers with, also those that a client has made.
logging.getLogger("connexion").setLevel(logging.CRITICAL)

# --- Operations, as both applications have them ---


def list_pets(limit: int, kind: list[str] | None = None, **headers: str) -> dict[str, Any]:
    return {"limit": limit, "kind": kind}


def add_pet(body: dict[str, Any]) -> tuple[dict[str, Any], int, dict[str, str]]:
    return body, 201, {"Location": f"/v1/pets/{len(body['name'])}"}


def get_pet(pet_id: int) -> dict[str, Any]:
    if pet_id > 100:
        raise ProblemException(status=404, title="No such pet", detail=f"There is no pet {pet_id}")
    return {"id": pet_id}


def delete_pet(pet_id: int) -> tuple[None, int]:
    return None, 204


def break_promise() -> dict[str, Any]:
    return {"something": "else"}


def check_password(username: str, password: str) -> dict[str, str] | None:
    return {"sub": username} if password == "secret" else None


def read_secret(user: str) -> dict[str, str]:
    return {"secret": f"for {user}"}


def fail() -> None:
    raise LookupError("raised on purpose")


# --- Operations in coroutines ---


class InCoroutines:
    @staticmethod
    async def post_greeting(name: str) -> str:
        return f"Hello {name}"

    @staticmethod
    async def upload(file: Any, body: dict[str, str]) -> dict[str, str]:
        return {"name": file.filename, "sha256": hashlib.sha256(await file.read()).hexdigest(), "note": body["note"]}

    @staticmethod
    async def stream(count: int) -> Any:
        async def generate() -> AsyncIterator[str]:
            for number in range(count):
                yield f"{number}\n"

        return StreamingResponse(generate(), media_type="text/plain")


# --- Operations in threads ---


class InThreads:
    @staticmethod
    def post_greeting(name: str) -> str:
        return f"Hello {name}"

    @staticmethod
    def upload(file: Any, body: dict[str, str]) -> dict[str, str]:
        return {"name": file.filename, "sha256": hashlib.sha256(file.read()).hexdigest(), "note": body["note"]}

    @staticmethod
    def stream(count: int) -> Response:
        def generate() -> Iterator[str]:
            for number in range(count):
                yield f"{number}\n"

        return Response(generate(), mimetype="text/plain")


# --- The applications ---


@asynccontextmanager
async def lifespan(app: object) -> AsyncIterator[None]:
    yield
    report("alive", json.dumps(alive()))


def resolver(operations: type) -> Resolver:
    """Finds the function of an operationId among these operations, or in this module."""
    return Resolver(lambda name: getattr(operations, name, None) or globals()[name])


def build(kind: type, operations: type) -> Any:
    app = kind(__name__, lifespan=lifespan, specification_dir=Path(__file__).parent)
    app.add_api("connexion.yaml", resolver=resolver(operations), validate_responses=True)
    return app


asynchronous = build(AsyncApp, InCoroutines)
threaded = build(FlaskApp, InThreads)
