"""A Starlette application as people write them: a JSON route with a path and a query parameter, and a file."""

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse
from starlette.routing import Route

FOLDER = os.getcwd()  # noqa: PTH109 - as in apps.py


async def read_item(request: Request) -> JSONResponse:
    """One item, made up from its number."""
    number: int = request.path_params["item_id"]
    tags = ["small", request.query_params.get("currency", "EUR")]
    return JSONResponse({"id": number, "name": f"Item {number}", "price": 9.5, "tags": tags})


async def read_file(request: Request) -> FileResponse:
    """A file of the current folder."""
    return FileResponse(f"{FOLDER}/{request.path_params['name']}")


app = Starlette(routes=[Route("/items/{item_id:int}", read_item), Route("/files/{name}", read_file)])
